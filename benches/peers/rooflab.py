"""Rooflab's own measurements."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure import ROOT, CommandFailed, Reading, output

BINARY = ROOT / "target" / "release" / "rooflab"


def command(patterns: Sequence[str], binary: Path = BINARY) -> list[str]:
    """The command that measures some ceilings."""
    chosen = [word for pattern in patterns for word in ("-p", pattern)]
    return [str(binary), "probe", "-d", "cpu", *chosen, "--effort", "quick", "--json", "--no-save"]


def rooflab(patterns: Sequence[str], binary: Path = BINARY) -> dict[str, Reading]:
    """Measures some ceilings. Every pattern has a reading, if only with the reason why there is no value."""
    try:
        document = json.loads(output(command(patterns, binary), timeout=600))
        readings = {key(ceiling): reading(ceiling) for ceiling in document["ceilings"]}
    except CommandFailed as error:
        return {pattern: Reading(reason=str(error)) for pattern in patterns}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return {pattern: Reading(reason=f"unexpected output: {error!r}") for pattern in patterns}
    return {pattern: readings.get(pattern, Reading(reason="not in the output")) for pattern in patterns}


def key(ceiling: dict[str, Any]) -> str:
    """A ceiling's name, with its scope where that is one core."""
    suffix = "@core" if ceiling.get("scope") == "core" else ""
    return f"{ceiling['resource']}{suffix}"


def reading(ceiling: dict[str, Any]) -> Reading:
    """A ceiling's value."""
    if ceiling.get("status") != "ok":
        return Reading(reason=f"{ceiling.get('status', 'no status')}: {ceiling.get('reason', 'no reason given')}")
    points = ceiling.get("points") or []
    if len(points) != 1:
        return Reading(reason=f"{len(points)} points instead of one")
    (point,) = points
    samples = point.get("samples", {})
    return Reading(
        value=point["value"],
        best=point.get("best"),
        bytes=int(point["at"]) if point.get("at") else None,
        threads=point.get("lanes"),
        clean=samples.get("clean", 0),
        total=samples.get("total", 0),
        limit=(ceiling.get("limit") or {}).get("value"),
    )
