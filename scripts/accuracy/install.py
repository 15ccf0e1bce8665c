"""Installs the engines at fixed versions in an environment of their own below target/accuracy (or ACCURACY_BUILD)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = Path(os.environ.get("ACCURACY_BUILD", ROOT / "target" / "accuracy")).resolve()

# The comparison with peers knows how to make such an environment; its place is this one.
os.environ["PEERS_BUILD"] = str(BUILD)
sys.path.append(str(ROOT / "benches" / "peers"))

import prepare

PYTHON = BUILD / "venv" / "bin" / "python"
PACKAGES = {
    "torch": ["transformers==5.23.0"],
    "llama": ["llama_cpp_python==0.3.36", "gguf==0.19.0"],
    "onnx": ["onnxruntime==1.31.1", "onnx==1.23.2"],
}


def install(workers: set[str]) -> None:
    """What some workers need. What cannot be had is said, and later shown as missing."""
    BUILD.mkdir(parents=True, exist_ok=True)
    if not prepare.environment():
        return
    prepare.packages(prepare.NUMPY)
    if "torch" in workers:
        prepare.torch()
    for worker in sorted(workers):
        prepare.packages(*PACKAGES[worker])
