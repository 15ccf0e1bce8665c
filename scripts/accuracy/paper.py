"""A datasheet for this machine's processor, where none ships with rooflab: what its maker says of it and nothing measured."""

from __future__ import annotations

import json
import os
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

# Channels of main memory and their transfers per second, by family and model, as the maker's product pages state them for the largest of a generation.
SOCKETS = {
    ("GenuineIntel", 6, 85): (6, 2.933e9, "2nd generation Intel Xeon Scalable: 6 channels of DDR4-2933"),
    ("GenuineIntel", 6, 106): (8, 3.2e9, "3rd generation Intel Xeon Scalable: 8 channels of DDR4-3200"),
    ("GenuineIntel", 6, 143): (8, 4.8e9, "4th generation Intel Xeon Scalable: 8 channels of DDR5-4800"),
    ("GenuineIntel", 6, 207): (8, 5.6e9, "5th generation Intel Xeon Scalable: 8 channels of DDR5-5600"),
    ("AuthenticAMD", 25, 1): (8, 3.2e9, "AMD EPYC 7003: 8 channels of DDR4-3200"),
    ("AuthenticAMD", 25, 17): (12, 4.8e9, "AMD EPYC 9004: 12 channels of DDR5-4800"),
}
BYTES_OF_A_TRANSFER = 8
PAGE = "the maker's product page; the bandwidth of a whole socket, which a virtual machine shares"


def datasheet(cpuinfo: str, device: dict[str, Any], cores: int) -> dict[str, Any] | None:
    """A profile of claims alone: cores times operations of a cycle times the base clock, and the channels of main memory."""
    fields = dict(re.findall(r"^([^\t:]+?)\s*:\s*(.*)$", cpuinfo.split("\n\n")[0], re.MULTILINE))
    try:
        key = (fields["vendor_id"], int(fields["cpu family"]), int(fields["model"]))
        clock = float(fields["bogomips"]) / 2 * 1e6
    except (KeyError, ValueError):
        return None
    if key not in SOCKETS:
        return None
    channels, transfers, source = SOCKETS[key]
    wide = "avx512f" in fields.get("flags", "").split() and key[0] == "GenuineIntel"
    operations = 64 if wide else 32
    vectors = f"{cores} cores × {operations} operations per cycle of f32, two multiply-adds of {'512' if wide else '256'} bits"
    claims = [
        ("memory.dram.read", channels * BYTES_OF_A_TRANSFER * transfers, "B/s", f"{source}; {PAGE}"),
        ("compute.vector.f32", cores * operations * clock, "FLOP/s", f"{vectors} × {clock / 1e9:.1f} GHz, the base clock"),
    ]
    return {
        "schema": "rooflab.profile/1",
        "rooflab": {"version": "0.1.0"},
        "created": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "complete": True,
        "name": "this-processor-on-paper",
        "device": {**device, "id": "datasheet", "backend": "datasheet"},
        "ceilings": [],
        "datasheet": [dict(zip(("resource", "value", "unit", "source"), claim, strict=True)) for claim in claims],
    }


def write(path: Path, device: dict[str, Any]) -> str:
    """The file of this machine's datasheet; nothing where its processor is not in the table."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    document = datasheet(text, device, len(os.sched_getaffinity(0)))
    if document is None:
        return ""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return str(path)
