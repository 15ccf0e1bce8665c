"""One product with PyTorch: C = A·Bᵀ with matrices that stay in the caches, or A·x with matrices from main memory.

Usage: torch_product.py mm f64|f32|f16|bf16|int8 THREADS MxNxK
       torch_product.py packed f32|bf16|int8 THREADS MxNxK
       torch_product.py mv f32|f16|bf16 THREADS BYTES
mm is torch.mm, for int8 torch._int_mm. packed is a linear layer whose weights B oneDNN has brought into its own layout beforehand; that
of int8 gives 8-bit results. For mv, BYTES is the size of all matrices, of 4096 x 4096 each; a sample is a product with each of them in
turn. The result is verified first. Prints operations or weights per second as timing.py says.
"""

from __future__ import annotations

import sys

sys.dont_write_bytecode = True

import warnings
from collections.abc import Callable

import torch

import timing

SIZE = 4096
TYPES = {
    "f64": torch.float64,
    "f32": torch.float32,
    "f16": torch.float16,
    "bf16": torch.bfloat16,
    "int8": torch.int8,
}


def gemm(way: str, name: str, shape: str) -> None:
    m, n, k = map(int, shape.split("x"))
    a, b = matrix(name, m, k), matrix(name, n, k)
    call, step = WAYS[way, name == "int8"](a, b)
    result = call()
    for rows in (slice(0, 8), slice(-8, None)):
        verify(result[rows, rows], a[rows].double() @ b[rows].T.double(), step)
    timing.report(2 * m * n * k, call)


def gemv(name: str, size: int) -> None:
    first = matrix(name, SIZE, SIZE)
    matrices = [first] + [first.clone() for _ in range(size // first.nbytes - 1)]
    x = matrix(name, 1, SIZE)[0]
    y = torch.full((SIZE,), torch.nan, dtype=first.dtype)
    torch.mv(matrices[-1], x, out=y)
    verify(y[:64], first[:64].double() @ x.double(), 1.0)

    def pass_over_all() -> None:
        for each in matrices:
            torch.mv(each, x, out=y)

    timing.report(len(matrices) * first.numel(), pass_over_all)


def matrix(name: str, rows: int, columns: int) -> torch.Tensor:
    if name == "int8":
        return torch.randint(-127, 128, (rows, columns), dtype=torch.int8)
    return (torch.rand(rows, columns) - 0.5).to(TYPES[name])


Call = tuple[Callable[[], torch.Tensor], float]  # the product, and what one step of its result stands for


def mm(a: torch.Tensor, b: torch.Tensor) -> Call:
    c = torch.full((len(a), len(b)), torch.nan, dtype=a.dtype)
    return lambda: torch.mm(a, b.T, out=c), 1.0


def int_mm(a: torch.Tensor, b: torch.Tensor) -> Call:
    return lambda: torch._int_mm(a, b.T), 1.0


def packed(a: torch.Tensor, b: torch.Tensor) -> Call:
    weights = torch.ops.mkldnn._reorder_linear_weight(b, len(a))
    return lambda: torch.ops.mkldnn._linear_pointwise(a, weights, None, "none", [], ""), 1.0


def packed_int8(a: torch.Tensor, b: torch.Tensor) -> Call:
    """PyTorch's quantised linear layer. Its activations and results are unsigned; zero points other than 0 make it very slow."""
    torch.backends.quantized.engine = "onednn"
    warnings.simplefilter("ignore")  # that quantised tensors are to go
    a.abs_()
    x = torch._make_per_tensor_quantized_tensor(a.to(torch.uint8), 1.0, 0)
    weights = torch.ops.quantized.linear_prepack(torch._make_per_tensor_quantized_tensor(b, 1.0, 0), None)
    step = 127 * 127 * a.shape[1] ** 0.5 / 256  # brings sums of random sign into 8 bits
    return lambda: torch.ops.quantized.linear(x, weights, step, 0), step


WAYS: dict[tuple[str, bool], Callable[[torch.Tensor, torch.Tensor], Call]] = {
    ("mm", False): mm,
    ("mm", True): int_mm,
    ("packed", False): packed,
    ("packed", True): packed_int8,
}


def verify(found: torch.Tensor, expected: torch.Tensor, step: float) -> None:
    """Against sums of rounded factors: a result may be off by its own rounding and that of the sum."""
    if found.is_quantized:
        off = (found.dequantize().double() - expected.clamp(0, 255 * step)).abs().max() / step
        wrong = not off <= 1
    elif found.is_floating_point():
        wrong = not torch.allclose(found.double(), expected, rtol=2 * torch.finfo(found.dtype).eps, atol=2e-2)
    else:
        wrong = not torch.equal(found.double(), expected)
    if wrong:
        sys.exit("wrong result")


if __name__ == "__main__":
    command, kind, threads, place = sys.argv[1:5]
    torch.manual_seed(1)
    torch.set_num_threads(int(threads))
    with torch.inference_mode():
        if command == "mv":
            gemv(kind, int(place))
        else:
            gemm(command, kind, place)
