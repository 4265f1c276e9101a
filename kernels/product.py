"""The order of a float sum of products in the builtin kernels' matrix product: an Eigen GEMM for SSE.

    y[i, j] = sum over k of a[i, k] * b[j, k]        a: [I, K]    b: [J, K]

Products and sums are rounded one by one. In which order depends on where the output lies, since the product is computed
in tiles of 8 rows, then 4, then 1, by 4 columns, then 1:

    IN_TURN     one sum from 0                          8 rows; and all single columns
    EVEN_ODD    even k, odd k, up to a multiple of 8    4 rows by 4 columns
    FOUR        k mod 4: (0 + 1) + (2 + 3)              1 row by 4 columns
    LANES       k mod 4: (0 + 2) + (1 + 3)              one row or one column in all, and I + J + K < 20

What is left of k is added in turn. A long k is cut into equal blocks that fit the first-level cache, whose sums are added
in turn: beyond about 700 products the official answer depends on the processor's cache, and so does this one.

Source: Eigen Core/products/GeneralBlockPanelKernel.h, GeneralMatrixVector.h, GeneralProduct.h; LiteRT
tflite/kernels/cpu_backend_gemm_eigen.cc.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from .machine import f32, inline

IN_TURN, EVEN_ODD, FOUR, LANES = range(4)


@lru_cache(maxsize=1)
def first_level_cache() -> int:
    """Bytes of the processor's first-level data cache; 32 KiB where the system does not say."""
    try:
        with open("/sys/devices/system/cpu/cpu0/cache/index0/size") as file:
            return int(file.read().rstrip("K\n")) * 1024
    except (OSError, ValueError):
        return 32768


def block_of(rows: int, columns: int, depth: int) -> int:
    """How many k are summed at a time."""
    if rows == 1 or columns == 1 or max(rows, columns, depth) < 48:
        return max(depth, 1)
    most = max((first_level_cache() - 128) // 48 // 8 * 8, 1)
    if depth <= most:
        return max(depth, 1)
    return most if depth % most == 0 else most - 8 * ((most - 1 - depth % most) // (8 * (depth // most + 1)))


@inline
def order_of(i: int, j: int, rows: int, columns: int, depth: int) -> Any:
    """The order for output i, j."""
    if rows == 1 or columns == 1 or rows + columns + depth < 20:
        return 3
    if i < rows - rows % 8 or j >= columns - columns % 4:
        return 0
    return 1 if i < rows - rows % 4 else 2


@inline
def sum_of_products(a: Any, i: int, b: Any, j: int, order: Any, block: int) -> Any:
    """The sum over k of a[i, k] * b[j, k]."""
    total = f32(0)
    for first in range(0, a.shape[1], block):
        last = min(first + block, a.shape[1])
        t0, t1, t2, t3 = f32(0), f32(0), f32(0), f32(0)
        k = first
        if order == 1:
            while k + 8 <= last:
                for e in range(k, k + 8, 2):
                    t0 = t0 + a[i, e] * b[j, e]
                    t1 = t1 + a[i, e + 1] * b[j, e + 1]
                k += 8
            t0 = t0 + t1
        elif order >= 2:
            while k + 4 <= last:
                t0 = t0 + a[i, k] * b[j, k]
                t1 = t1 + a[i, k + 1] * b[j, k + 1]
                t2 = t2 + a[i, k + 2] * b[j, k + 2]
                t3 = t3 + a[i, k + 3] * b[j, k + 3]
                k += 4
            t0 = (t0 + t1) + (t2 + t3) if order == 2 else (t0 + t2) + (t1 + t3)
        while k < last:
            t0 = t0 + a[i, k] * b[j, k]
            k += 1
        total = total + t0
    return total
