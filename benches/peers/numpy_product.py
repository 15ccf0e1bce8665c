"""One product with NumPy: C = A·Bᵀ with matrices that stay in the caches, or A·x with matrices from main memory.

Usage: numpy_product.py gemm f32|f64 MxNxK
       numpy_product.py gemv f32 BYTES
BYTES is the size of all matrices, of 4096 x 4096 each; a sample is a product with each of them in turn. Threads are those of OpenBLAS
(OPENBLAS_NUM_THREADS). The result is verified first. Prints operations or weights per second as timing.py says.
"""

from __future__ import annotations

import sys

sys.dont_write_bytecode = True

import numpy as np

import timing

SIZE = 4096
TYPES = {"f32": np.float32, "f64": np.float64}


def gemm(kind: type, shape: str) -> None:
    m, n, k = map(int, shape.split("x"))
    random = np.random.default_rng(1)
    a = random.random((m, k), dtype=kind) - kind(0.5)
    b = random.random((n, k), dtype=kind) - kind(0.5)
    c = np.full((m, n), np.nan, dtype=kind)
    np.matmul(a, b.T, out=c)
    verify(c[:8, :8], a[:8].astype(np.float64) @ b[:8].T.astype(np.float64), kind)
    verify(c[-8:, -8:], a[-8:].astype(np.float64) @ b[-8:].T.astype(np.float64), kind)
    timing.report(2 * m * n * k, lambda: np.matmul(a, b.T, out=c))


def gemv(kind: type, size: int) -> None:
    random = np.random.default_rng(1)
    first = random.random((SIZE, SIZE), dtype=kind) - kind(0.5)
    matrices = [first] + [first.copy() for _ in range(size // first.nbytes - 1)]
    x = random.random(SIZE, dtype=kind) - kind(0.5)
    y = np.full(SIZE, np.nan, dtype=kind)
    np.matmul(matrices[-1], x, out=y)
    verify(y[:64], first[:64].astype(np.float64) @ x.astype(np.float64), kind)

    def pass_over_all() -> None:
        for matrix in matrices:
            np.matmul(matrix, x, out=y)

    timing.report(len(matrices) * first.size, pass_over_all)


def verify(found: np.ndarray, expected: np.ndarray, kind: type) -> None:
    """Sums of thousands of products that are each below 1/4."""
    if not np.allclose(found, expected, rtol=0, atol=2000 * np.finfo(kind).eps):
        sys.exit("wrong result")


if __name__ == "__main__":
    operation, name, place = sys.argv[1:4]
    if operation == "gemm":
        gemm(TYPES[name], place)
    else:
        gemv(TYPES[name], int(place))
