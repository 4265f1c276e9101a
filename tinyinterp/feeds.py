"""Values from files into inputs, and outputs into values that mean something.

Nothing is changed unless asked for: an array must have the input's dtype and shape, an image the input's size. `Ask` says
what may be done: resize an image, spread its pixels over a range of real numbers, quantize real numbers.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import OptionError, TensorError, hint

Detail = dict[str, Any]  # an entry of get_input_details()


@dataclass(frozen=True, slots=True)
class Ask:
    """What may be done to a value on its way in."""

    resize: bool = False
    range: tuple[float, float] | None = None
    quantize: bool = False


def files_of(items: Sequence[str], details: dict[str, Detail]) -> dict[str, Any]:
    """Each input's file or array, from `NAME=FILE`, `NUMBER=FILE`, `FILE`, or an .npz that names its own. Raises: OptionError."""
    found: dict[str, Any] = {}
    for item in items:
        name, equals, file = item.rpartition("=")
        if not equals and file.endswith(".npz"):
            with _npz(file) as arrays:
                found |= {_named(key, details): arrays[key] for key in arrays.files}
        elif not equals:
            if len(details) != 1:
                raise OptionError(hint(f"-i {file}: the model has {len(details)} inputs",
                                       f"NAME={file} with one of {_list(details)}"))
            found[next(iter(details))] = file
        else:
            found[_named(name, details)] = file
    return found


def _named(name: str, details: dict[str, Detail]) -> str:
    by_number = {str(d["index"]): n for n, d in details.items()}
    if name not in details and name not in by_number:
        raise OptionError(hint(f"there is no input {name!r}", f"there are {_list(details)}"))
    return name if name in details else by_number[name]


def _list(details: dict[str, Detail]) -> str:
    return ", ".join(f"{n!r} (tensor {d['index']}, {np.dtype(d['dtype']).name}{list(map(int, d['shape']))})"
                     for n, d in details.items())


def value_of(source: Any, name: str, detail: Detail, ask: Ask) -> np.ndarray:
    """The value for an input, from an array or a file. Raises: OptionError, TensorError, OSError."""
    if isinstance(source, np.ndarray):
        array = source
    elif source.endswith(".npy"):
        array = _npy(source)
    elif source.endswith(".npz"):
        with _npz(source) as arrays:
            if name not in arrays.files and len(arrays.files) != 1:
                raise OptionError(hint(f"{source} has no array {name!r}", f"it has {', '.join(arrays.files)}"))
            array = arrays[name if name in arrays.files else arrays.files[0]]
    else:
        array = _image(source, name, detail, ask)
    return quantized(array, name, detail) if ask.quantize else array


def _npy(file: str) -> np.ndarray:
    try:
        return np.asarray(np.load(file, allow_pickle=False))
    except (ValueError, EOFError) as error:
        raise OptionError(hint(f"{file} is not a .npy file that can be read", str(error))) from error


def _npz(file: str) -> Any:
    from zipfile import BadZipFile

    try:
        arrays = np.load(file, allow_pickle=False)
        if hasattr(arrays, "files"):
            return arrays
    except (ValueError, EOFError, BadZipFile) as error:
        raise OptionError(hint(f"{file} is not a .npz file that can be read", str(error))) from error
    raise OptionError(hint(f"{file} is not a .npz file that can be read", "it holds one array: call it .npy"))


def _image(file: str, name: str, detail: Detail, ask: Ask) -> np.ndarray:
    """An image as [1, H, W, C], or [1, H, W] for an input of three dimensions."""
    if not os.path.exists(file):
        raise OptionError(f"there is no file {file}")
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise OptionError(hint(f"{file}: images need the package pillow", "pip install 'tinyinterp[image]'")) from error
    shape = [int(d) for d in detail["shape"]]
    grey = len(shape) == 3 or (len(shape) == 4 and shape[3] == 1)
    if (not grey and (len(shape) != 4 or shape[3] not in (3, 4))) or shape[0] != 1:
        raise OptionError(hint(f"{file}: input {name!r} takes no image", f"its shape is {shape}, not [1, H, W, C]"))
    try:
        picture = Image.open(file).convert("L" if grey else "RGB" if shape[3] == 3 else "RGBA")
    except UnidentifiedImageError as error:
        raise OptionError(hint(f"{file} is no image that pillow can read", "arrays come as .npy or .npz")) from error
    height, width = shape[1:3]
    if picture.size != (width, height):
        if not ask.resize:
            raise OptionError(hint(f"{file} has {picture.size[0]} x {picture.size[1]} pixels, "
                                   f"input {name!r} takes {width} x {height}", "--resize scales it"))
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(picture, np.uint8).reshape(shape)
    if ask.range is not None:
        low, high = ask.range
        return (low + pixels * ((high - low) / 255)).astype(np.float32)
    if np.dtype(detail["dtype"]) != np.uint8:
        kind = np.dtype(detail["dtype"]).name
        raise OptionError(hint(f"{file} holds pixels from 0 to 255, input {name!r} takes {kind}",
                               "--range 0 1 or --range -1 1 makes real numbers of them, as the model was trained on",
                               *(() if kind == "float32" else ("--quantize turns those into the input's integers",))))
    return pixels


def quantized(array: np.ndarray, name: str, detail: Detail) -> np.ndarray:
    """Real values as the integers q of an input, real = scale * (q - zero_point), rounded and clipped; integers as they are.

    >>> quantized(np.float32([0.5, 9]), "x", {"dtype": np.int8, "quantization": (0.25, -1)})
    array([ 1, 35], dtype=int8)
    """
    dtype = np.dtype(detail["dtype"])
    if array.dtype.kind != "f" or dtype.kind not in "iu":
        return array
    scale, zero_point = detail["quantization"]
    if scale == 0:
        raise TensorError(hint(f"input {name!r} has no scale to quantize with", f"it is plain {dtype.name}"))
    info = np.iinfo(dtype.name)
    return np.asarray(np.clip(np.round(array / scale) + zero_point, info.min, info.max).astype(dtype))


def dequantized(array: np.ndarray, detail: Detail) -> np.ndarray:
    """scale * (q - zero_point) as float32 for a quantized tensor; any other value as it is."""
    scale, zero_point = detail["quantization"]
    if scale == 0 or array.dtype.kind not in "iu":
        return array
    return np.asarray(scale * (array.astype(np.float64) - zero_point), np.float32)
