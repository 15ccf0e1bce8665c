"""What is measured, and what comes of it."""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# PEERS_BUILD names another place, so that several checkouts can share what was installed and built.
BUILD = Path(os.environ.get("PEERS_BUILD", ROOT / "target" / "peers")).resolve()
MIB = 1 << 20


@dataclass(frozen=True)
class Quantity:
    """One row group of the table: a ceiling of rooflab, and what its peers have to do for it."""

    key: str  # as rooflab writes it, such as "memory.dram.read@core"
    title: str
    kernel: str = ""  # read, copy or triad; empty where there are no peers
    non_temporal: bool = False
    one_core: bool = False
    level: str = "dram"


@dataclass(frozen=True)
class Job:
    """A quantity on a certain number of threads and bytes: those that rooflab used in the same round."""

    quantity: Quantity
    threads: int
    bytes: int  # of all arrays of all threads
    rate: float  # what to expect, in B/s, to choose a number of iterations


@dataclass(frozen=True)
class Reading:
    """One measurement, or the reason why there is none. Rates are in B/s."""

    value: float | None = None
    best: float | None = None
    reason: str = ""
    bytes: int | None = None
    threads: int | None = None
    clean: int = 0
    total: int = 0
    limit: float | None = None
    share: float | None = None  # of the ceiling that bounds it, measured by the same command


@dataclass(frozen=True)
class Spread:
    """Median and range of some numbers."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        return cls(statistics.median(values), min(values), max(values)) if values else None


class CommandFailed(Exception):
    """A command could not be run or did not succeed."""


def output(command: Sequence[str], environment: Mapping[str, str] | None = None, timeout: float = 120) -> str:
    """Standard output of a command."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        raise CommandFailed(f"{Path(command[0]).name} is not there") from None
    except OSError as error:
        raise CommandFailed(f"{Path(command[0]).name}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"not finished after {timeout:.0f} s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing said"]
        raise CommandFailed(f"exit status {done.returncode}: {said[-1]}")
    return done.stdout


def typed(command: Sequence[str]) -> str:
    """A command as one would type it in the repository."""
    return " ".join(command).replace(f"{BUILD}/", "target/peers/").replace(f"{ROOT}/", "")


def cpu_flags() -> frozenset[str]:
    """Instruction sets of the processor, as Linux names them."""
    for line in cpuinfo():
        if line.startswith(("flags", "Features")):
            return frozenset(line.split(":", 1)[1].split())
    return frozenset()


def cpu_name() -> str:
    """The processor's name, with family and model where the name alone says little."""
    fields = dict(part for line in cpuinfo() if len(part := [text.strip() for text in line.split(":", 1)]) == 2)
    name = fields.get("model name", "unknown processor")
    if "cpu family" in fields:
        name += f" (family {fields['cpu family']}, model {fields.get('model', '?')})"
    return name


def huge_pages() -> str:
    """When the system gives huge pages: always, madvise (where a program asks for them) or never."""
    path = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return text.partition("[")[2].partition("]")[0] or "unknown"


def cpuinfo() -> list[str]:
    """Lines of the first processor's description."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return text.split("\n\n")[0].splitlines()
