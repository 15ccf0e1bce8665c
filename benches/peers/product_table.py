"""The results of the products as Markdown: rooflab beside the best library, then beside each."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from measure import MIB, Reading
from products import Product, rivals
from table import NONE, ROOFLAB, Group, best, circumstances, markdown, median, plural, ratio_text, ratios

CLEAN_SAMPLES = 2  # fewer, and the tool has reported all its samples


def results(groups: Sequence[Group[Product]], rounds: int, only: str | None, load: float) -> str:
    """The section of a comparison."""
    scope = f" of those that match `{only}`" if only else ""
    used = {tool for group in groups for tool in group.readings}
    about = [f"- **{rival.name}**: {rival.about}" for rival in rivals() if rival.name in used]
    commands = dict.fromkeys(command for group in groups for command in group.commands.values())
    return "\n".join([
        f"Written by `benches/peers/run`: {plural(rounds)}{scope}.",
        "",
        *circumstances(load),
        "",
        "In each round, rooflab measured a product together with the ceiling that bounds it, and then each library computed the same "
        "product on as many threads, one after the other, each in a process of its own. Matrix products are C = A·Bᵀ with matrices as "
        "the caches hold them from one repetition to the next; matrix–vector products take their weights from main memory. Rates are "
        "medians over the rounds of each tool's own median, without rounds in which other programs kept it waiting for processors; the ratio is taken within each round, and shown as its median with its range. "
        "The best peer is the one with the highest rate. The share is rooflab's own, of its multiply–add or dot-product peak, or for "
        "matrix–vector products and attention of its memory read, in bytes per second, measured by the same command.",
        "",
        *markdown(
            ["Product", "rooflab", "Share of the ceiling", "Best peer", "Its rate", "rooflab / best peer"],
            [summary(group) for group in groups],
        ),
        "",
        "All peers:",
        "",
        *markdown(
            ["Product", "Tool", "Rate", "Best", "rooflab / tool"],
            [cells for group in groups for cells in rows(group)],
        ),
        "",
        *about,
        "",
        "Commands (threads and bytes are those of the first round):",
        "",
        "```text",
        *commands,
        "```",
    ])


def summary(group: Group[Product]) -> list[str]:
    """Rooflab and the best of its rivals."""
    ours = group.readings[ROOFLAB]
    name, theirs = best_rival(group)
    return [
        title(group),
        rate(ours, group.quantity.unit),
        share(ours),
        name,
        rate(theirs, group.quantity.unit) if theirs else NONE,
        ratio_text(ratios(pairs(ours, theirs))) if theirs else NONE,
    ]


def best_rival(group: Group[Product]) -> tuple[str, list[Reading]]:
    """The library with the highest median, if any has one."""
    medians = {
        tool: statistics.median(values)
        for tool, readings in group.readings.items()
        if tool != ROOFLAB and (values := [reading.value for reading in clean(readings) if reading.value is not None])
    }
    if not medians:
        return NONE, []
    name = max(medians, key=medians.__getitem__)
    return name, group.readings[name]


def rows(group: Group[Product]) -> list[list[str]]:
    """One row for each tool, rooflab first."""
    ours = group.readings[ROOFLAB]
    return [
        [
            title(group) if tool == ROOFLAB else "",
            tool,
            rate(readings, group.quantity.unit),
            best(readings),
            "" if tool == ROOFLAB else ratio_text(ratios(pairs(ours, readings))),
        ]
        for tool, readings in group.readings.items()
    ]


def title(group: Group[Product]) -> str:
    """The product, with the bytes of its weights where they come from main memory."""
    sizes = [reading.bytes for reading in group.readings[ROOFLAB] if reading.bytes]
    return group.quantity.key + (f" ({sizes[0] / MIB:.0f} MiB)" if sizes else "")


def pairs(ours: Sequence[Reading], theirs: Sequence[Reading]) -> Iterable[tuple[Reading, Reading]]:
    """What is to be compared: the rounds in which the library was not disturbed, if there are any."""
    chosen = clean(theirs)
    return [pair for pair in zip(ours, theirs, strict=True) if pair[1] in chosen]


def clean(readings: Sequence[Reading]) -> Sequence[Reading]:
    """The readings that rest on clean samples, or all where none does."""
    return [reading for reading in readings if not disturbed(reading)] or readings


def disturbed(reading: Reading) -> bool:
    return reading.total > 0 and reading.clean < CLEAN_SAMPLES


def rate(readings: Sequence[Reading], unit: str) -> str:
    """The median, with a word where other programs have slowed the tool down in every round."""
    chosen = clean(readings)
    if all(reading.value is None for reading in chosen):
        return median(chosen)
    return f"{median(chosen)} {unit}" + (" (disturbed)" if any(map(disturbed, chosen)) else "")


def share(readings: Sequence[Reading]) -> str:
    shares = [reading.share for reading in readings if reading.share is not None]
    return f"{statistics.median(shares):.1%}" if shares else NONE
