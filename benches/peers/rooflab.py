"""Rooflab's own measurements."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from measure import ROOT, CommandFailed, Reading, output
from products import Product

BINARY = ROOT / "target" / "release" / "rooflab"


def command(patterns: Sequence[str], binary: Path = BINARY, shape: str = "", device: str = "cpu") -> list[str]:
    """The command that measures some ceilings, those of matrix products at one shape."""
    chosen = [word for pattern in patterns for word in ("-p", pattern)]
    shapes = ["--shape", shape] if shape else []
    return [str(binary), "probe", "-d", device, *chosen, *shapes, "--effort", "quick", "--json", "--no-save"]


def rooflab(
    patterns: Sequence[str], binary: Path = BINARY, device: str = "cpu", environment: Mapping[str, str] | None = None
) -> dict[str, Reading]:
    """Measures some ceilings. Every pattern has a reading, if only with the reason why there is no value."""
    try:
        document = json.loads(output(command(patterns, binary, device=device), environment, timeout=600))
        readings = {key(ceiling): reading(ceiling) for ceiling in document["ceilings"]}
    except CommandFailed as error:
        return {pattern: Reading(reason=str(error)) for pattern in patterns}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return {pattern: Reading(reason=f"unexpected output: {error!r}") for pattern in patterns}
    return {pattern: readings.get(pattern, Reading(reason="not in the output")) for pattern in patterns}


def product_command(product: Product, binary: Path = BINARY) -> list[str]:
    """The command that measures a product and what bounds it."""
    references = [product.scoped(reference) for reference in product.references]
    return command([product.ceiling, *references], binary, product.shape)


def measure_product(product: Product, binary: Path = BINARY) -> Reading:
    """Measures a product."""
    try:
        return product_reading(json.loads(output(product_command(product, binary), timeout=600)), product)
    except CommandFailed as error:
        return Reading(reason=str(error))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Reading(reason=f"unexpected output: {error!r}")


def product_reading(document: dict[str, Any], product: Product) -> Reading:
    """A product's rate, in the unit in which it is compared, and its share of the highest ceiling that bounds it."""
    ceilings = {key(ceiling): ceiling for ceiling in document["ceilings"]}
    ceiling = ceilings.get(product.ceiling)
    if ceiling is None:
        return Reading(reason="not in the output")
    if ceiling.get("status") != "ok":
        return reading(ceiling)
    points = [point for point in ceiling.get("points") or [] if not product.shape or shape(point) == product.shape]
    if not points:
        return Reading(reason="no point of this shape")
    point = max(points, key=lambda point: point.get("at") or 0)  # of a curve, where it is longest
    value = point["value"]
    references = [reading(ceilings[name]).value for name in map(product.scoped, product.references) if name in ceilings]
    bound = max((reference for reference in references if reference), default=None)
    # A matrix-vector product is a multiply-add per weight: two operations.
    scale = point["work"]["ops"] / 2 / point["time"] / value if product.resource.startswith("gemv") else 1.0
    samples = point.get("samples", {})
    return Reading(
        value=value * scale,
        best=point["best"] * scale if point.get("best") else None,
        bytes=int(point["at"]) if product.resource.startswith("gemv") and point.get("at") else None,
        threads=point.get("lanes"),
        clean=samples.get("clean", 0),
        total=samples.get("total", 0),
        share=value / bound if bound else None,
    )


def shape(point: dict[str, Any]) -> str:
    sizes = point.get("shape") or {}
    return "x".join(str(sizes.get(name)) for name in "mnk")


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
