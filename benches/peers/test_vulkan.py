"""Tests of what is read of the peers on a Vulkan driver: python3 -m unittest discover -s benches/peers."""

from __future__ import annotations

import unittest
from pathlib import Path

import vulkan
from vulkan import QUANTITIES, Setting

COPY = next(quantity for quantity in QUANTITIES if quantity.key == "memory.dram.copy")
FMA = next(quantity for quantity in QUANTITIES if quantity.key == "compute.vector.f32")


class Readings(unittest.TestCase):
    def test_the_widest_vectors_count_of_clpeak(self) -> None:
        text = "Backend: Vulkan\n  Device 0: llvmpipe\n    API version      : 1.3.230\n\n    Single-precision compute (GFLOPS)\n"
        text += "      float    : 6.60\n      float4   : 27.53\n"
        self.assertEqual(vulkan.clpeak_rate(text, FMA).value, 27.53e9)
        with self.assertRaises(ValueError):
            vulkan.clpeak_rate("Backend: Vulkan\n    VRAM             : 2048 MB\n", FMA)

    def test_a_copy_of_vkpeak_is_counted_as_rooflab_counts(self) -> None:
        text = "device       = llvmpipe (LLVM 15.0.6, 256 bits)\n\ncopy-d2d     = 19.96 GBPS\n"
        self.assertEqual(vulkan.vkpeak_rate(text, COPY).value, 2 * 19.96e9)
        self.assertEqual(vulkan.vkpeak_rate("fp32-scalar  = 8.00 GFLOPS\nfp32-vec4  = 9.5 GFLOPS\n", FMA).value, 9.5e9)
        with self.assertRaises(ValueError):
            vulkan.vkpeak_rate("fp64-vec4    = 0.00 GFLOPS\n", FMA)

    def test_a_peer_that_lacks_a_quantity_or_is_not_there_has_no_reading(self) -> None:
        setting = Setting(manifest=Path("lvp.json"), rooflab=Path("rooflab"), clpeak=None, vkpeak=Path("/nonexistent/vkpeak"))
        readings = {peer.name: peer.measure(setting, FMA, 1) for peer in vulkan.PEERS}
        self.assertIsNone(readings["clpeak"])
        self.assertIsNone(readings["OpenCL, one element each"])
        self.assertEqual(readings["vkpeak"].reason, "vkpeak is not there")


if __name__ == "__main__":
    unittest.main()
