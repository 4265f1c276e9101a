"""`tinyinterp demo`: read handwritten digits, and show how."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from ..pair import installed, ours, theirs
from ..picture import PLAIN, SHADES, beside, characters, png, sheet

BRIGHTEST = 16
ACROSS = 4


def run(args: argparse.Namespace) -> int:
    start = time.perf_counter()
    data = files("tinyinterp") / "data"
    with (data / "digits.npz").open("rb") as file:
        held_out = np.load(file)
        images, labels = held_out["images"], held_out["labels"]
    model = (data / "digits_int8.tflite").read_bytes()
    interpreter = ours(model, threads=args.threads)
    show = min(args.pictures, len(images))
    answer(interpreter, images[0])
    first = time.perf_counter() - start
    answers = np.stack([answer(interpreter, image) for image in images])
    read = answers.argmax(axis=1)
    _print_pictures(images[:show], read[:show], labels[:show])
    print(f"first answer after {first:.2f} s, reading and compiling the model included", flush=True)

    elapsed = [time_invoke(interpreter) for _ in range(200)]
    print(f"one invoke takes {statistics.median(elapsed) * 1e6:.1f} us (median of {len(elapsed)}, {args.threads} thread"
          f"{'s' * (args.threads > 1)})")
    right = int((read == labels).sum())
    print(f"{right} of {len(images)} held-out digits read right ({right / len(images):.1%})\n")
    print(f"{interpreter.program}\n", flush=True)
    if args.png:
        picture = sheet(images[:show], BRIGHTEST, [bool(g) for g in read[:show] == labels[:show]], ACROSS)
        Path(args.png).write_bytes(png(picture))
        print(f"wrote {args.png}: {picture.shape[1]} x {picture.shape[0]} pixels, green frames where the answer is right")
    if not installed():
        print("not compared with the official interpreter: ai-edge-litert is not installed")
        return 0
    words = []
    for numerics in ("reference", "default"):
        here = answers if numerics == "default" else _all(ours(model, numerics, args.threads), images)
        there = _all(theirs(model, numerics, args.threads), images)
        words.append(f"{numerics} {'yes' if here.tobytes() == there.tobytes() else 'no'}")
    print(f"equal to the official interpreter: {', '.join(words)} (every byte of the answers to {len(images)} images)")
    return 0


def answer(interpreter: Any, image: np.ndarray) -> Any:
    """What the model says about one image [8, 8] with grey levels 0 to 16: [10] uint8. Either interpreter."""
    x, y = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero_point = x["quantization"]  # real = scale * (q - zero_point), and real = image / 16
    q = np.clip(np.round(image.astype(np.float32) / BRIGHTEST / scale + zero_point), 0, 255)
    interpreter.set_tensor(x["index"], q.astype(np.uint8).reshape(x["shape"]))
    interpreter.invoke()
    return interpreter.get_tensor(y["index"])[0]


def time_invoke(interpreter: Any) -> float:
    """Seconds of one invoke."""
    start = time.perf_counter()
    interpreter.invoke()
    return time.perf_counter() - start


def _all(interpreter: Any, images: np.ndarray) -> np.ndarray:
    return np.stack([answer(interpreter, image) for image in images])


def _print_pictures(images: np.ndarray, read: np.ndarray, labels: np.ndarray) -> None:
    shades = SHADES
    try:
        SHADES.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        shades = PLAIN
    for at in range(0, len(images), ACROSS):
        row = slice(at, at + ACROSS)
        print("\n".join(beside([characters(image, BRIGHTEST, shades) for image in images[row]])))
        words = [f"read as {r}" + ("" if r == l else f", is {l}") for r, l in zip(read[row], labels[row])]
        print("   ".join(word.ljust(2 * images.shape[2]) for word in words).rstrip() + "\n")
