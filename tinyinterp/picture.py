"""Grey pictures as characters and as PNG files, without an imaging package."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np

SHADES, PLAIN = " ░▒▓█", " .+#@"


def characters(image: np.ndarray, brightest: int, shades: str = SHADES) -> list[str]:
    """image [H, W], 0 to `brightest`, as H lines of 2 * W characters.

    >>> characters(np.array([[0, 4], [2, 3]]), 4)
    ['  ██', '▒▒▓▓']
    """
    return ["".join(shades[int(v) * (len(shades) - 1) // brightest] * 2 for v in row) for row in image]


def beside(pictures: Sequence[Sequence[str]], gap: int = 3) -> list[str]:
    """Pictures of the same height side by side, as lines."""
    return [(" " * gap).join(lines).rstrip() for lines in zip(*pictures)]


def png(pixels: np.ndarray) -> bytes:
    """pixels [H, W] or [H, W, 3] uint8 as a PNG file.

    Source: the PNG specification: a signature, then chunks of (length, name, data, crc); every row starts with filter 0.
    """
    height, width = pixels.shape[:2]

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    color = 0 if pixels.ndim == 2 else 2
    rows = np.pad(np.ascontiguousarray(pixels, np.uint8).reshape(height, -1), ((0, 0), (1, 0)))
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)),
                     chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)), chunk(b"IEND", b"")])


def sheet(images: np.ndarray, brightest: int, good: Sequence[bool], columns: int, zoom: int = 8) -> np.ndarray:
    """images [N, H, W] as one picture [?, ?, 3] uint8, each enlarged and framed: green when `good`, else red."""
    frame = 2
    tiles = []
    for image, right in zip(images, good):
        grey = (image.astype(np.int64) * 255 // brightest).repeat(zoom, 0).repeat(zoom, 1).astype(np.uint8)
        tile = np.empty((grey.shape[0] + 2 * frame, grey.shape[1] + 2 * frame, 3), np.uint8)
        tile[:] = (40, 160, 60) if right else (200, 50, 40)
        tile[frame:-frame, frame:-frame] = grey[..., None]
        tiles.append(np.pad(tile, ((4, 4), (4, 4), (0, 0)), constant_values=255))
    while len(tiles) % columns:
        tiles.append(np.full_like(tiles[0], 255))
    return np.concatenate([np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)])
