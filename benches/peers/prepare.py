"""Installs and builds what the comparison needs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import venv

import peers
from measure import BUILD, ROOT


def prepare(build_rooflab: bool) -> None:
    """Everything. What cannot be had is said and later shown as missing; only rooflab itself must be built."""
    install()
    BUILD.mkdir(parents=True, exist_ok=True)
    for program in peers.PROGRAMS:
        (BUILD / program.name).unlink(missing_ok=True)  # so that an old one is not measured if this one does not compile
        attempt(program.command)
    numpy()
    if build_rooflab:
        say("cargo build --release")
        subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)


def install() -> None:
    """Debian packages, where a command is missing."""
    needed = {"gcc": "gcc", "g++": "g++", "likwid-bench": "likwid"}
    packages = [package for command, package in needed.items() if not shutil.which(command)]
    if not importlib.util.find_spec("ensurepip"):
        packages.append("python3-venv")
    if not packages:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        attempt(["apt-get", "update", "-qq"])
        attempt(["apt-get", "install", "-y", "-qq", *packages])
    else:
        say(f"missing, and not installed without root and apt-get: {' '.join(packages)}")


def numpy() -> None:
    """NumPy, in an environment of its own."""
    home = BUILD / "venv"
    python = str(home / "bin" / "python")
    try:
        if not (home / "bin" / "pip").exists():
            venv.create(home, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        say(f"no environment for NumPy: {error}")
        return
    if not list(home.glob("lib/python*/site-packages/numpy")):
        attempt([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "numpy"])


def attempt(command: list[str]) -> None:
    """Runs a command whose failure is not the end."""
    say(" ".join(command))
    try:
        subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        say(f"failed: {error}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
