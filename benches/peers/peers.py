"""The quantities compared and the tools they are compared with, as data."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from measure import BUILD, HERE, CommandFailed, Job, Quantity, Reading, cpu_flags, output, typed

REPETITIONS = 20
BABEL_REPETITIONS = 100
LIKWID_SECONDS = 1.0

PLAIN, NON_TEMPORAL = False, True
Kernels = Mapping[tuple[str, bool], str]  # (read, copy or triad; non-temporal) to the peer's name for it

GCC = ["-O3", "-march=native", "-fopenmp", "-Wall", "-Wextra"]
# Otherwise GCC may turn the copy into memcpy, which uses non-temporal stores for large sizes.
KEEP_STORES = ["-fno-tree-loop-distribute-patterns"]


@dataclass(frozen=True)
class Program:
    """A peer of our own that must be compiled."""

    name: str
    command: list[str]


@dataclass(frozen=True)
class Peer:
    """A tool that measures some of the same quantities."""

    name: str
    about: str
    kernels: Kernels
    command: Callable[[Job, str], list[str]]
    parse: Callable[[str], Reading]
    environment: Callable[[Job], Mapping[str, str]] = lambda job: {}
    caches: bool = False  # whether it suits levels other than DRAM

    def kernel(self, quantity: Quantity) -> str | None:
        """What it calls the quantity's kernel, if it has one."""
        if quantity.level != "dram" and not self.caches:
            return None
        return self.kernels.get((quantity.kernel, quantity.non_temporal))

    def measure(self, job: Job, kernel: str) -> Reading:
        """Runs it once."""
        try:
            return self.parse(output(self.command(job, kernel), self.environment(job)))
        except (CommandFailed, ValueError) as error:
            return Reading(reason=str(error))

    def shell(self, job: Job, kernel: str) -> str:
        """What to type for the same."""
        settings = [f"{name}={value}" for name, value in self.environment(job).items()]
        return typed([*settings, *self.command(job, kernel)])


def best_and_median(text: str) -> Reading:
    """Reads the lines that our own peers print, of which some do not count clean samples."""
    values = dict(line.split() for line in text.splitlines())
    clean, total = int(values.get("clean", 0)), int(values.get("total", 0))
    try:
        return Reading(value=float(values["median"]), best=float(values["best"]), clean=clean, total=total)
    except KeyError as missing:
        raise ValueError(f"no {missing} in the output") from None


def likwid_rate(text: str) -> Reading:
    """Reads likwid-bench's mean. Its MByte are 10^6 bytes."""
    found = re.search(r"^MByte/s:\s*([0-9.]+)", text, re.MULTILINE)
    if not found:
        raise ValueError("no MByte/s in the output")
    return Reading(value=float(found[1]) * 1e6)


def openmp(job: Job) -> Mapping[str, str]:
    """One thread on each core, in the order of the cores, so that a single thread is on the first."""
    return {"OMP_NUM_THREADS": str(job.threads), "OMP_PLACES": "cores", "OMP_PROC_BIND": "close"}


def compiled(program: str, repetitions: int) -> Callable[[Job, str], list[str]]:
    """The command of one of our own compiled peers."""
    return lambda job, kernel: [str(BUILD / program), kernel, str(job.bytes), str(repetitions)]


def numpy_command(job: Job, kernel: str) -> list[str]:
    python = str(BUILD / "venv" / "bin" / "python")
    return [python, str(HERE / "numpy_stream.py"), kernel, str(job.bytes), str(REPETITIONS), str(job.threads)]


def likwid_command(job: Job, kernel: str) -> list[str]:
    """Fixed iterations, for about the same time as likwid-bench takes by itself, spare its calibration in each run."""
    iterations = max(10, round(job.rate * LIKWID_SECONDS / job.bytes))
    group = f"N:{job.bytes // 1000}kB:{job.threads}"
    return ["likwid-bench", "-t", kernel, "-i", str(iterations), "-W", group]


def likwid_kernels() -> Kernels:
    """likwid-bench's kernels for the widest vectors of this processor.

    Its `stream` is STREAM's triad; its own `triad` has four arrays.
    """
    flags = cpu_flags()
    vectors = next((name for flag, name in (("avx512f", "_avx512"), ("avx", "_avx"), ("sse2", "_sse")) if flag in flags), "")
    wanted = {
        ("read", PLAIN): f"load{vectors}",
        ("copy", PLAIN): f"copy{vectors}",
        ("copy", NON_TEMPORAL): f"copy_mem{vectors}",
        ("triad", PLAIN): f"stream{vectors}",
        ("triad", NON_TEMPORAL): f"stream_mem{vectors}",
    }
    try:
        listed = {line.split(" ")[0] for line in output(["likwid-bench", "-a"]).splitlines()}
    except CommandFailed:
        return wanted  # measuring will say why there is nothing
    return {kind: name for kind, name in wanted.items() if name in listed}


PROGRAMS = [
    Program("stream", ["gcc", *GCC, *KEEP_STORES, str(HERE / "stream.c"), "-o", str(BUILD / "stream")]),
    Program("stream_nt", ["gcc", *GCC, "-DNON_TEMPORAL", str(HERE / "stream.c"), "-o", str(BUILD / "stream_nt")]),
    Program("babel", ["g++", *GCC, "-ffast-math", *KEEP_STORES, str(HERE / "babel.cpp"), "-o", str(BUILD / "babel")]),
]


@functools.cache
def peers() -> list[Peer]:
    """All peers. Called when likwid-bench has been installed, because its kernels are asked for."""
    return [
        Peer(
            name="STREAM",
            about="stream.c: STREAM's loops in C with OpenMP and vectors of the machine's width, huge pages asked for.",
            kernels={("read", PLAIN): "read", ("copy", PLAIN): "copy", ("triad", PLAIN): "triad"},
            command=compiled("stream", REPETITIONS),
            parse=best_and_median,
            environment=openmp,
        ),
        Peer(
            name="STREAM, non-temporal",
            about="The same with non-temporal stores.",
            kernels={("copy", NON_TEMPORAL): "copy", ("triad", NON_TEMPORAL): "triad"},
            command=compiled("stream_nt", REPETITIONS),
            parse=best_and_median,
            environment=openmp,
        ),
        Peer(
            name="BabelStream",
            about="babel.cpp: plain C++ loops with OpenMP as in BabelStream, default pages, dot of two arrays as the read.",
            kernels={("read", PLAIN): "dot", ("copy", PLAIN): "copy", ("triad", PLAIN): "triad"},
            command=compiled("babel", BABEL_REPETITIONS),
            parse=best_and_median,
            environment=openmp,
        ),
        Peer(
            name="NumPy",
            about="numpy_stream.py: one process per core. The triad is two passes that move 40 bytes per element, of which the "
            "24 of the fused loop are counted. The read is the dot product of an array with itself.",
            kernels={("read", PLAIN): "read", ("copy", PLAIN): "copy", ("triad", PLAIN): "triad"},
            command=numpy_command,
            parse=best_and_median,
        ),
        Peer(
            name="likwid-bench",
            about="Kernels in assembly over arrays of double, default pages; one mean over about a second, so it has no best.",
            kernels=likwid_kernels(),
            command=likwid_command,
            parse=likwid_rate,
            caches=True,
        ),
    ]


def quantities() -> list[Quantity]:
    """All quantities, in the order in which they are measured and shown."""
    kinds = [("read", PLAIN), ("copy", PLAIN), ("copy", NON_TEMPORAL), ("triad", PLAIN), ("triad", NON_TEMPORAL)]
    dram = [dram_quantity(kernel, stores, one_core) for one_core in (False, True) for kernel, stores in kinds]
    caches = [
        Quantity(key=f"memory.{level}.read", title=f"{level.upper()} read, all cores", kernel="read", level=level)
        for level in ("l1", "l2", "l3")
    ]
    compute = [Quantity(key=f"compute.vector.{kind}", title=f"FMA {kind}, all cores", level="") for kind in ("f32", "f64")]
    return dram + caches + compute


def dram_quantity(kernel: str, non_temporal: bool, one_core: bool) -> Quantity:
    stores = ", non-temporal stores" if non_temporal else ""
    cores = "one core" if one_core else "all cores"
    return Quantity(
        key=f"memory.dram.{kernel}{'_nt' if non_temporal else ''}{'@core' if one_core else ''}",
        title=f"DRAM {kernel}{stores}, {cores}",
        kernel=kernel,
        non_temporal=non_temporal,
        one_core=one_core,
    )
