"""The results as Markdown."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import noise
import peers
from measure import MIB, Quantity, Reading, Spread, cpu_name, huge_pages, typed

ROOFLAB = "rooflab"
LIMIT = "width x units x measured clock"
NONE = "–"

Measured = TypeVar("Measured")


@dataclass
class Group(Generic[Measured]):
    """All readings of one quantity or product: for each tool one per round, and the command of the first."""

    quantity: Measured
    readings: dict[str, list[Reading]] = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)

    def add(self, tool: str, reading: Reading, command: str = "") -> None:
        self.readings.setdefault(tool, []).append(reading)
        if command:
            self.commands.setdefault(tool, command)

    def keep(self, rounds: int) -> None:
        """Drops what was measured after some rounds."""
        self.readings = {tool: readings[:rounds] for tool, readings in self.readings.items()}


def results(groups: Sequence[Group[Quantity]], rounds: int, only: str | None, load: float) -> str:
    """The section of a comparison."""
    scope = f" of the quantities that match `{only}`" if only else ""
    rows = [cells for group in groups for cells in group_rows(group)]
    about = [f"- **{peer.name}**: {peer.about}" for peer in peers.peers()]
    commands = [typed(program.command) for program in peers.PROGRAMS]
    commands += dict.fromkeys(command for group in groups for command in group.commands.values())
    return "\n".join([
        f"Written by `benches/peers/run`: {plural(rounds)}{scope}.",
        "",
        *circumstances(load),
        "",
        "In each round, rooflab measured a quantity and then each peer did, on as many threads and bytes, one after the other. "
        "The value is the median over the rounds of what the tool reported (its own median where it has one); best is the "
        "highest it reported in any round; the ratio is taken within each round, and shown as its median over the rounds with "
        "its range. Bytes are what the loop loads and stores: fills of lines that plain stores overwrite are not counted. "
        "GB are 10^9 bytes.",
        "",
        *markdown(["Quantity", "Tool", "GB/s, GFLOP/s", "Best", "rooflab / tool"], rows),
        "",
        *about,
        f"- **{LIMIT}**: the limit that rooflab states for the peak it measured, with the clock of the same run.",
        "",
        "Commands (threads, bytes and iterations are those of the first round):",
        "",
        "```text",
        *commands,
        "```",
    ])


def noise_results(pairs: Sequence[tuple[Reading, Reading]], command: str, load: float) -> str:
    """The whole document of the comparison with other load."""
    rows = [
        [str(number), rate(quiet), samples(quiet), rate(noisy), samples(noisy), ratio_text(ratios([(noisy, quiet)]))]
        for number, (quiet, noisy) in enumerate(pairs, 1)
    ]
    quiet = [pair[0] for pair in pairs]
    noisy = [pair[1] for pair in pairs]
    overall = ratios((noisy, quiet) for quiet, noisy in pairs)
    rows.append(["median", median(quiet), "", median(noisy), "", ratio_text(overall)])
    return "\n".join([
        f"# {noise.KEY} while other processes compute",
        "",
        f"Written by `benches/peers/run --noise`: {plural(len(pairs))}.",
        "",
        *circumstances(load),
        "",
        "In each round rooflab measured twice: quiet, and with one process spinning at normal priority on each processor. "
        "Its value rests on the clean samples, those that were not disturbed.",
        "",
        *markdown(["Round", "Quiet GB/s", "clean / all", "Noisy GB/s", "clean / all", "noisy / quiet"], rows),
        "",
        "Command:",
        "",
        "```text",
        command,
        "```",
        "",
    ])


def plural(rounds: int) -> str:
    return f"{rounds} round{'s' if rounds != 1 else ''}"


def circumstances(load: float) -> list[str]:
    return [
        f"- Date: {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC",
        f"- Processor: {cpu_name()}",
        f"- Kernel: {platform.system()} {platform.release()}, transparent huge pages: {huge_pages()}",
        f"- Load average before: {load:.2f}",
    ]


def group_rows(group: Group[Quantity]) -> Iterable[list[str]]:
    """One row for each tool, rooflab first."""
    ours = group.readings[ROOFLAB]
    for tool, readings in group.readings.items():
        first = tool == ROOFLAB
        compared = "" if first else ratio_text(ratios(zip(ours, readings, strict=True)))
        yield [title(group, ours) if first else "", tool, median(readings), best(readings), compared]


def title(group: Group[Quantity], readings: Sequence[Reading]) -> str:
    """The quantity, with the threads and bytes it was measured on."""
    known = next((reading for reading in readings if reading.value is not None), None)
    details = []
    if known and known.threads:
        details.append(f"{known.threads} thread{'s' if known.threads > 1 else ''}")
    if known and known.bytes and group.quantity.kernel:
        size = known.bytes / MIB
        details.append(f"{size:.0f} MiB" if size >= 10 else f"{size * 1024:.0f} KiB")
    return group.quantity.title + (f" ({', '.join(details)})" if details else "")


def median(readings: Sequence[Reading]) -> str:
    """The median of the values there are, or why there is none."""
    values = [reading.value for reading in readings if reading.value is not None]
    spread = Spread.of(values)
    if not spread:
        return f"{NONE} ({readings[0].reason})" if readings else NONE
    missing = f" ({len(values)} of {len(readings)} rounds)" if len(values) < len(readings) else ""
    return giga(spread.median) + missing


def best(readings: Sequence[Reading]) -> str:
    values = [reading.best for reading in readings if reading.best is not None]
    return giga(max(values)) if values else NONE


def rate(reading: Reading) -> str:
    return median([reading])


def samples(reading: Reading) -> str:
    return f"{reading.clean} / {reading.total}" if reading.total else NONE


def giga(value: float) -> str:
    """In units of 10^9, to four digits where there are that many."""
    scaled = value / 1e9
    return f"{scaled:.0f}" if scaled >= 1000 else f"{scaled:.1f}"


def ratios(pairs: Iterable[tuple[Reading, Reading]]) -> Spread | None:
    """First over second within each pair that has both."""
    return Spread.of([first.value / second.value for first, second in pairs if first.value and second.value])


def ratio_text(spread: Spread | None) -> str:
    if not spread:
        return NONE
    if spread.low == spread.high:
        return f"{spread.median:.3f}"
    return f"{spread.median:.3f} ({spread.low:.3f}..{spread.high:.3f})"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table whose columns line up in plain text."""
    table = [list(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in table]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]
