"""RESULTS.md, which has a section for each set of peers: measuring one leaves the others as they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

TITLE = "# Rooflab and its peers\n"
STREAMS = "Memory and arithmetic"
PRODUCTS = "Products of language models"
VULKAN = "Vulkan, on a driver that computes on the processor"


def renewed(path: Path, new: Mapping[str, str]) -> str:
    """The document with some sections, by title, replaced or added."""
    old = parse(path.read_text(encoding="utf-8")) if path.exists() else {}
    sections = {**old, **new}
    parts = [f"## {title}\n\n{sections[title].strip()}\n" for title in (STREAMS, PRODUCTS, VULKAN) if title in sections]
    return "\n".join([TITLE, *parts])


def parse(text: str) -> dict[str, str]:
    """The sections by their titles."""
    parts = ("\n" + text).split("\n## ")[1:]
    return {title: body for title, _, body in (part.partition("\n") for part in parts)}
