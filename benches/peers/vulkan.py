"""The peers that measure a Vulkan driver, as data, and what rooflab measures of the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from measure import BUILD, CommandFailed, Reading, output, typed
from peers import best_and_median

LAVAPIPE = "/usr/share/vulkan/icd.d"
REPETITIONS = 20
LIKELY_BYTES = 8 << 20  # where rooflab reports no working set
LIMIT_SECONDS = 300

# Fixed, so that a table says what it compares with. Each fetches what it needs as submodules.
CLPEAK = ("https://github.com/krrishnarraj/clpeak", "a68fbf0")
VKPEAK = ("https://github.com/nihui/vkpeak", "b99d75e")


@dataclass(frozen=True)
class Quantity:
    """A ceiling of rooflab, and what each peer calls the same."""

    key: str
    title: str
    clpeak: str = ""  # the option that chooses its test
    vkpeak: tuple[str, ...] = ()  # its scenarios
    opencl: tuple[str, ...] = ()  # kernels of stream_cl.c
    counted: float = 1.0  # bytes that we count for each that vkpeak counts


QUANTITIES = [
    Quantity("memory.dram.read", "Read", clpeak="--global-memory-bandwidth", opencl=("read",)),
    Quantity("memory.dram.copy", "Copy", vkpeak=("copy-d2d",), opencl=("copy", "copy4"), counted=2.0),
    Quantity("memory.dram.triad", "Triad", opencl=("triad", "triad4")),
    Quantity("compute.vector.f32", "FMA f32", clpeak="--single-precision-compute", vkpeak=("fp32-scalar", "fp32-vec4")),
    Quantity("compute.vector.f64", "FMA f64", clpeak="--double-precision-compute", vkpeak=("fp64-scalar", "fp64-vec4")),
    Quantity("compute.vector.int8.int32", "Dot products of int8", clpeak="--int8-dot-product-compute", vkpeak=("int8-dotprod",)),
]


@dataclass(frozen=True)
class Setting:
    """What all commands of a comparison have in common."""

    manifest: Path  # of the Vulkan driver
    rooflab: Path
    clpeak: Path | None
    vkpeak: Path | None
    word: str = "llvmpipe"  # in the name of the same driver's OpenCL device

    @property
    def environment(self) -> Mapping[str, str]:
        """The driver alone; Mesa's OpenCL has its devices only when they are named."""
        return {"VK_DRIVER_FILES": str(self.manifest), "NODEVICE_SELECT": "1", "RUSTICL_ENABLE": "llvmpipe"}


@dataclass(frozen=True)
class Peer:
    """A tool, with its command for a quantity and what its output says."""

    name: str
    about: str
    command: Callable[[Setting, Quantity, int], list[str] | None]
    parse: Callable[[str, Quantity], Reading]
    settings: tuple[str, ...] = field(default=("VK_DRIVER_FILES",))  # that its command needs, to be typed

    def measure(self, setting: Setting, quantity: Quantity, size: int) -> Reading | None:
        """Runs it once; none where it has nothing like the quantity."""
        command = self.command(setting, quantity, size)
        if command is None:
            return None
        try:
            return self.parse(output(command, setting.environment, timeout=LIMIT_SECONDS), quantity)
        except (CommandFailed, ValueError) as error:
            return Reading(reason=re.sub(r"^exit status -(\d+): .*", r"it crashed with signal \1", str(error)))

    def shell(self, setting: Setting, quantity: Quantity, size: int) -> str:
        """What to type for the same."""
        settings = [f"{name}={setting.environment[name]}" for name in self.settings]
        return typed([*settings, *(self.command(setting, quantity, size) or [])])


def clpeak_command(setting: Setting, quantity: Quantity, _: int) -> list[str] | None:
    return [str(setting.clpeak), "--vulkan", quantity.clpeak] if setting.clpeak and quantity.clpeak else None


def vkpeak_command(setting: Setting, quantity: Quantity, _: int) -> list[str] | None:
    return [str(setting.vkpeak), "0", ",".join(quantity.vkpeak)] if setting.vkpeak and quantity.vkpeak else None


def opencl_command(place: int) -> Callable[[Setting, Quantity, int], list[str] | None]:
    """The command of a kernel of stream_cl.c, by its place."""

    def command(setting: Setting, quantity: Quantity, size: int) -> list[str] | None:
        if place >= len(quantity.opencl):
            return None
        return [str(BUILD / "stream_cl"), setting.word, quantity.opencl[place], str(size), str(REPETITIONS)]

    return command


def clpeak_rate(text: str, _: Quantity) -> Reading:
    """The highest of a test's rows, which differ in the width of vectors. GB and GFLOP are of 10^9."""
    rows = [float(found[1]) * 1e9 for found in re.finditer(r"^\s+\w+\s+: ([0-9.]+)$", text, re.MULTILINE)]
    if not rows:
        raise ValueError("it does not measure this here")
    return Reading(value=max(rows), best=max(rows))


def vkpeak_rate(text: str, quantity: Quantity) -> Reading:
    """The highest of its scenarios, each of which is the best of many runs. A copy counts what arrives."""
    rows = [float(found[1]) for found in re.finditer(r"^[\w-]+\s+= ([0-9.]+) G", text, re.MULTILINE)]
    if not rows or max(rows) == 0.0:
        raise ValueError("it does not measure this here")
    return Reading(value=max(rows) * 1e9 * quantity.counted, best=max(rows) * 1e9 * quantity.counted)


def opencl_rate(text: str, _: Quantity) -> Reading:
    """The lines that our own peers print, without that of the device's name."""
    return best_and_median("\n".join(line for line in text.splitlines() if not line.startswith("device")))


PEERS = [
    Peer(
        "clpeak",
        f"{CLPEAK[0]} at {CLPEAK[1]}, its Vulkan kernels: the highest of its vector widths; its read goes over an array of its own size.",
        clpeak_command,
        clpeak_rate,
    ),
    Peer(
        "vkpeak",
        f"{VKPEAK[0]} at {VKPEAK[1]}: the highest of scalars and vectors, each the best of its runs. Its copy is the driver's own (`vkCmdCopyBuffer`) over an array of its "
        "own size, and counts what arrives, which is counted twice here as rooflab does. It is not the same on a driver that computes on the processor: nothing was ever "
        "written to what vkpeak copies, and for such memory Linux has a single page of zeros, which stays in a cache.",
        vkpeak_command,
        vkpeak_rate,
    ),
    Peer(
        "OpenCL, one element each",
        "stream_cl.c through Mesa's rusticl, which hands kernels to the same llvmpipe: an element of f32 to each work item, as BabelStream "
        "writes its loops; the read as clpeak's. As many bytes as rooflab took, and every result is compared.",
        opencl_command(0),
        opencl_rate,
        ("RUSTICL_ENABLE",),
    ),
    Peer(
        "OpenCL, four elements each",
        "The same with a vector of four to each work item.",
        opencl_command(1),
        opencl_rate,
        ("RUSTICL_ENABLE",),
    ),
]
