#!/usr/bin/env python3
"""Times a matrix product of NumPy or PyTorch and prints what `rooflab diagnose --product` wants to know of it.

Usage: product.py numpy|torch f32|f64|bf16 MxNxK
The time is the median of the faster half of its repetitions over three seconds; C = A·Bᵀ with A of m rows, B of n rows, each of k elements.
Needs `pip install numpy==2.4.6 torch==2.15.0`. How many threads take part is the library's own business: OPENBLAS_NUM_THREADS, OMP_NUM_THREADS.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

SECONDS = 3.0


def numpy_product(dtype: str, m: int, n: int, k: int) -> Callable[[], object]:
    import numpy as np

    kind = {"f32": np.float32, "f64": np.float64}[dtype]
    random = np.random.default_rng(1)
    a, b = (random.random((rows, k), dtype=kind) - kind(0.5) for rows in (m, n))
    c = np.empty((m, n), dtype=kind)
    return lambda: np.matmul(a, b.T, out=c)


def torch_product(dtype: str, m: int, n: int, k: int) -> Callable[[], object]:
    import torch

    kind = {"f32": torch.float32, "f64": torch.float64, "bf16": torch.bfloat16}[dtype]
    torch.manual_seed(1)
    a, b = ((torch.rand(rows, k) - 0.5).to(kind) for rows in (m, n))
    c = torch.empty((m, n), dtype=kind)
    return lambda: torch.mm(a, b.T, out=c)


def main(library: str, dtype: str, shape: str) -> None:
    multiply = {"numpy": numpy_product, "torch": torch_product}[library](dtype, *map(int, shape.split("x")))
    multiply()
    times = []
    begin = time.perf_counter()
    while time.perf_counter() - begin < SECONDS or len(times) < 5:
        start = time.perf_counter()
        multiply()
        times.append(time.perf_counter() - start)
    # The slow half is what other work on the machine disturbed.
    fast = sorted(times)[: max(len(times) // 2, 3)]
    print(f"--product {shape} --dtype {dtype} --time {statistics.median(fast) * 1e3:.4g}ms")


if __name__ == "__main__":
    main(*sys.argv[1:])
