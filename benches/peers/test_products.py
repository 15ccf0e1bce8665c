"""Tests of what is read and shown, with a document made by hand: python3 -m unittest discover -s benches/peers."""

from __future__ import annotations

import unittest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import product_table
import sections
from measure import Reading
from products import Product
from rooflab import product_reading
from table import ROOFLAB, Group

GEMM = Product("gemm.f32", True, ("compute.vector.f32",), "512x512x512")
GEMV = Product("gemv.int4_g128.bf16", False, ("memory.dram.read",))


def ceiling(resource: str, scope: str, *points: dict[str, Any]) -> dict[str, Any]:
    return {"resource": resource, "scope": scope, "status": "ok", "points": list(points)}


def point(value: float, **more: Any) -> dict[str, Any]:
    return {"value": value, "best": 1.1 * value, "samples": {"clean": 8, "total": 9}, "lanes": 1, **more}


class Readings(unittest.TestCase):
    def test_a_matrix_product_is_read_at_its_shape_and_scope(self) -> None:
        document = {
            "ceilings": [
                ceiling("gemm.f32", "device", point(9e9, shape={"m": 512, "n": 512, "k": 512})),
                ceiling(
                    "gemm.f32",
                    "core",
                    point(1e9, shape={"m": 1, "n": 512, "k": 512}),
                    point(80e9, shape={"m": 512, "n": 512, "k": 512}),
                ),
                ceiling("compute.vector.f32", "core", point(100e9)),
            ]
        }
        reading = product_reading(document, GEMM)
        self.assertEqual((reading.value, reading.share, reading.clean), (80e9, 0.8, 8))

    def test_a_matrix_vector_product_is_read_in_weights_where_its_curve_ends(self) -> None:
        work = {"ops": 2_000_000, "bytes_read": 515_625, "bytes_written": 0, "events": 0}
        document = {
            "ceilings": [
                ceiling(
                    "gemv.int4_g128.bf16",
                    "device",
                    point(9e9, at=1024.0, time=1.0, work=work),
                    point(20.625e9, at=2.0**30, time=25e-6, work=work),
                ),
                ceiling("memory.dram.read", "device", point(41.25e9)),
            ]
        }
        reading = product_reading(document, GEMV)
        self.assertAlmostEqual(reading.value or 0, 40e9, delta=1)  # a million weights in 25 us
        self.assertEqual((reading.share, reading.bytes), (0.5, 2**30))

    def test_a_missing_value_has_its_reason(self) -> None:
        failed = {"resource": "gemm.f32", "scope": "core", "status": "failed", "reason": "wrong result"}
        self.assertEqual(product_reading({"ceilings": [failed]}, GEMM).reason, "failed: wrong result")
        self.assertEqual(product_reading({"ceilings": []}, GEMM).reason, "not in the output")


class Tables(unittest.TestCase):
    def test_the_best_peer_is_compared_in_its_clean_rounds(self) -> None:
        group = Group(GEMM)
        for ours, theirs, clean in [(80e9, 100e9, 5), (80e9, 10e9, 0), (90e9, 100e9, 5)]:
            group.add(ROOFLAB, Reading(value=ours, share=0.8))
            group.add("slow", Reading(value=50e9))
            group.add("fast", Reading(value=theirs, clean=clean, total=5))
        row = product_table.summary(group)
        self.assertEqual(row[0], "gemm.f32@core 512x512x512")
        self.assertEqual(row[2:], ["80.0%", "fast", "100.0 GFLOP/s", "0.850 (0.800..0.900)"])

    def test_a_section_is_renewed_without_the_others(self) -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "RESULTS.md"
            path.write_text(sections.renewed(path, {sections.STREAMS: "old\n"}), encoding="utf-8")
            text = sections.renewed(path, {sections.PRODUCTS: "new"})
        self.assertEqual(sections.parse(text), {sections.STREAMS: "\nold\n", sections.PRODUCTS: "\nnew\n"})


if __name__ == "__main__":
    unittest.main()
