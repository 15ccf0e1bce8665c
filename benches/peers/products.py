"""The products of language models that are compared, and the libraries they are compared with, as data."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from measure import BUILD, HERE, MIB, CommandFailed, Reading, cpu_flags, output, typed
from peers import best_and_median

SIZES = (512, 1024, 2048, 4096)
GEMV_BYTES = 1024 * MIB  # where rooflab does not say how many
LIMIT_SECONDS = 300

PYTHON = str(BUILD / "venv" / "bin" / "python")
CRATES = str(BUILD / "crates" / "release" / "products")
GGML = str(BUILD / "ggml" / "ggml_gemv")


@dataclass(frozen=True)
class Product:
    """A ceiling of rooflab, at one shape where it has shapes."""

    resource: str  # such as "gemm.bf16.f32"
    one_core: bool
    references: tuple[str, ...]  # resources; the highest of their ceilings is what the product could reach
    shape: str = ""  # such as "512x512x512"

    @property
    def ceiling(self) -> str:
        return self.scoped(self.resource)

    @property
    def key(self) -> str:
        return " ".join(filter(None, (self.ceiling, self.shape)))

    @property
    def unit(self) -> str:
        if self.resource.startswith("gemm"):
            return "GOP/s" if "int8" in self.resource else "GFLOP/s"
        return "Gweights/s" if self.resource.startswith("gemv") else "GB/s"

    def scoped(self, resource: str) -> str:
        return resource + ("@core" if self.one_core else "")


@dataclass(frozen=True)
class Task:
    """A product on certain processors, from main memory with as many bytes of matrices as rooflab used."""

    product: Product
    processors: tuple[int, ...]
    bytes: int

    @property
    def threads(self) -> str:
        return str(len(self.processors))

    @property
    def place(self) -> str:
        return self.product.shape or str(self.bytes)


@dataclass(frozen=True)
class Rival:
    """A library that computes some of the same products."""

    name: str
    about: str
    ways: Mapping[str, str]  # resource to what its program is to be told
    command: Callable[[Task, str], list[str]]
    environment: Callable[[Task], Mapping[str, str]]

    def measure(self, task: Task) -> Reading:
        """Runs it once."""
        try:
            return best_and_median(output(self.pinned(task), self.environment(task), LIMIT_SECONDS))
        except (CommandFailed, ValueError) as error:
            return Reading(reason=str(error))

    def pinned(self, task: Task) -> list[str]:
        """Its command, on the processors of the task."""
        processors = ",".join(map(str, task.processors))
        return ["taskset", "-c", processors, *self.command(task, self.ways[task.product.resource])]

    def shell(self, task: Task) -> str:
        """What to type for the same."""
        settings = [f"{name}={value}" for name, value in self.environment(task).items()]
        return typed([*settings, *self.pinned(task)])


def task_like(product: Product, ours: Reading) -> Task:
    """What the rivals have to do: the same as rooflab did."""
    allowed = sorted(os.sched_getaffinity(0))
    threads = 1 if product.one_core else ours.threads or len(allowed)
    # A multiple of 64 MiB, which is a matrix of 4096 x 4096 f32, and small enough to be had several times.
    size = (ours.bytes or GEMV_BYTES) // (64 * MIB) * 64 * MIB
    return Task(product, tuple(allowed[:threads]), min(max(size, 256 * MIB), 4096 * MIB))


def openmp(task: Task) -> Mapping[str, str]:
    return {"OMP_NUM_THREADS": task.threads, "OMP_PLACES": "cores", "OMP_PROC_BIND": "close"}


def torch_environment(task: Task) -> Mapping[str, str]:
    return {**openmp(task), "THP_MEM_ALLOC_ENABLE": "1"}


def openblas(task: Task) -> Mapping[str, str]:
    return {"OPENBLAS_NUM_THREADS": task.threads}


def openblas_avx512(task: Task) -> Mapping[str, str]:
    return {**openblas(task), "OPENBLAS_CORETYPE": "SKYLAKEX"}


def numpy_command(task: Task, way: str) -> list[str]:
    return [PYTHON, str(HERE / "numpy_product.py"), *way.split(), task.place]


def torch_command(task: Task, way: str) -> list[str]:
    return [PYTHON, str(HERE / "torch_product.py"), *way.split(), task.threads, task.place]


def ggml_command(task: Task, way: str) -> list[str]:
    return [GGML, *way.split(), str(task.bytes), task.threads]


def crate_command(name: str) -> Callable[[Task, str], list[str]]:
    return lambda task, way: [CRATES, name, way, task.threads, task.place]


def crate(name: str, ways: Mapping[str, str], about: str = "") -> Rival:
    environment = (lambda task: {"MATMUL_NUM_THREADS": task.threads}) if name == "matrixmultiply" else lambda task: {}
    return Rival(name, f"The Rust crate, at the version in crates/Cargo.toml{about}.", ways, crate_command(name), environment)


@functools.cache
def rivals() -> list[Rival]:
    """All libraries."""
    numpy = {"gemm.f32": "gemm f32", "gemm.f64": "gemm f64", "gemv.f32": "gemv f32"}
    floats = {"gemm.f32": "f32", "gemm.f64": "f64"}
    found = [
        Rival("NumPy", "numpy_product.py: OpenBLAS with the kernels that it chooses.", numpy, numpy_command, openblas)
    ]
    if "avx512f" in cpu_flags():
        about = "The same, told to use the kernels for AVX-512, which it does not always find in virtual machines."
        found.append(Rival("NumPy, AVX-512", about, numpy, numpy_command, openblas_avx512))
    return [
        *found,
        Rival(
            "PyTorch",
            "torch_product.py: torch.mm and torch.mv, that is, MKL for f32 and f64, oneDNN and its own kernels for the rest; "
            "torch._int_mm for int8.",
            {
                "gemm.f32": "mm f32",
                "gemm.f64": "mm f64",
                "gemm.bf16.f32": "mm bf16",
                "gemm.int8.int32": "mm int8",
                "gemv.f32": "mv f32",
                "gemv.f16": "mv f16",
                "gemv.bf16": "mv bf16",
            },
            torch_command,
            torch_environment,
        ),
        Rival(
            "PyTorch, packed",
            "torch_product.py: linear layers with weights that oneDNN has packed beforehand, which is not in the time. Those of int8 "
            "give 8-bit results.",
            {"gemm.f32": "packed f32", "gemm.bf16.f32": "packed bf16", "gemm.int8.int32": "packed int8"},
            torch_command,
            torch_environment,
        ),
        crate("gemm", floats),
        crate("faer", floats),
        crate("matrixmultiply", floats, ", with threads of its own"),
        crate("rten-gemm", {"gemm.f32": "f32", "gemm.int8.int32": "int8"}),
        Rival(
            "llama.cpp",
            "ggml/gemv.c: ggml_mul_mat by the CPU backend; gemv.int8.bf16 is Q8_0 there and gemv.int4_g128.bf16 is Q4_0, which have "
            "a scale per 32 weights and round the activations to 8 bits.",
            {
                "gemv.f32": "f32 plain",
                "gemv.f16": "f16 plain",
                "gemv.bf16": "bf16 plain",
                "gemv.int8.bf16": "q8_0 plain",
                "gemv.int4_g128.bf16": "q4_0 plain",
            },
            ggml_command,
            openmp,
        ),
        Rival(
            "llama.cpp, repacked",
            "The same in the layout that llama.cpp's loader brings weights into on this processor.",
            {"gemv.int4_g128.bf16": "q4_0 repacked"},
            ggml_command,
            openmp,
        ),
    ]


def products() -> list[Product]:
    """All products, in the order in which they are measured and shown."""
    arithmetic = {
        "gemm.f32": ("compute.vector.f32",),
        "gemm.f64": ("compute.vector.f64",),
        # Where dot products of bf16 are slow, widening it to f32 is faster.
        "gemm.bf16.f32": ("compute.vector.bf16.f32", "compute.matrix.bf16.f32", "compute.vector.f32"),
        "gemm.int8.int32": ("compute.vector.int8.int32", "compute.matrix.int8.int32"),
    }
    streams = ["gemv.f32", "gemv.f16", "gemv.bf16", "gemv.int8.bf16", "gemv.int4_g128.bf16", "attention.decode.bf16"]
    scopes = (True, False)
    return [
        *(
            Product(resource, one_core, references, f"{size}x{size}x{size}")
            for resource, references in arithmetic.items()
            for one_core in scopes
            for size in SIZES
        ),
        *(Product(resource, one_core, ("memory.dram.read",)) for resource in streams for one_core in scopes),
    ]
