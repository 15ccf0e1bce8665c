"""Installs and builds what the comparison needs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import peers
from measure import BUILD, HERE, ROOT


NUMPY = "numpy==2.4.6"
TORCH = "torch==2.15.0"
# Where PyTorch is to be had without the libraries for GPUs.
TORCH_FOR_CPUS = "https://download.pytorch.org/whl/cpu"
BUILD_TOOLS = ["cmake==4.4.4", "ninja==1.13.2"]
# Its source package holds the source of llama.cpp.
LLAMA = ("llama_cpp_python", "0.3.36")

VENV = BUILD / "venv"
PIP = [str(VENV / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]


def prepare(build_rooflab: bool, libraries: bool) -> None:
    """Everything. What cannot be had is said and later shown as missing; only rooflab itself must be built."""
    install()
    BUILD.mkdir(parents=True, exist_ok=True)
    for program in peers.PROGRAMS:
        (BUILD / program.name).unlink(missing_ok=True)  # so that an old one is not measured if this one does not compile
        attempt(program.command)
    if environment():
        packages(NUMPY)
        if libraries:
            torch()
            ggml()
    if libraries:
        crates()
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


def environment() -> bool:
    """An environment of its own for Python's packages."""
    try:
        if not (VENV / "bin" / "pip").exists():
            venv.create(VENV, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        say(f"no environment for Python's packages: {error}")
        return False
    return True


def packages(*wanted: str) -> bool:
    """Python packages at fixed versions, unless they are there."""
    missing = [package for package in wanted if not installed(package)]
    return not missing or attempt([*PIP, "install", *missing])


def installed(package: str) -> bool:
    name, _, version = package.partition("==")
    return any(VENV.glob(f"lib/python*/site-packages/{name}-{version}*.dist-info"))


def torch() -> None:
    """PyTorch: without what is for GPUs, where that can be had."""
    if not installed(TORCH) and not attempt([*PIP, "install", "--retries", "0", "--index-url", TORCH_FOR_CPUS, TORCH]):
        packages(TORCH)


def ggml() -> None:
    """llama.cpp's ggml and our program with it."""
    program = BUILD / "ggml" / "ggml_gemv"
    program.unlink(missing_ok=True)
    source = ggml_source()
    if not source or not packages(*BUILD_TOOLS):
        return
    tools = VENV / "bin"
    attempt([
        str(tools / "cmake"),
        "--fresh",  # what another checkout has configured here is of no use
        *("-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tools / 'ninja'}", "-DCMAKE_BUILD_TYPE=Release"),
        *("-S", str(HERE / "ggml"), "-B", str(program.parent), f"-DGGML_SOURCE={source}"),
    ]) and attempt([str(tools / "cmake"), "--build", str(program.parent)])


def ggml_source() -> Path | None:
    """The source of ggml, out of the package that has it."""
    name, version = LLAMA
    folder = f"{name}-{version}"
    source = BUILD / "sdist" / folder / "vendor" / "llama.cpp" / "ggml"
    archive = BUILD / "sdist" / f"{folder}.tar.gz"
    if source.exists():
        return source
    if not attempt([*PIP, "download", "--no-deps", "--no-binary", name, "--dest", str(archive.parent), f"{name}=={version}"]):
        return None
    with tarfile.open(archive) as contents:
        inside = [member for member in contents if member.name.startswith(f"{folder}/vendor/llama.cpp/ggml/")]
        contents.extractall(archive.parent, inside, filter="data")
    archive.unlink()
    return source


def crates() -> None:
    """Our program with the crates that multiply matrices."""
    manifest = HERE / "crates" / "Cargo.toml"
    target = BUILD / "crates"
    (target / "release" / "products").unlink(missing_ok=True)
    attempt(["cargo", "build", "--release", "--locked", "--manifest-path", str(manifest), "--target-dir", str(target)])


def attempt(command: list[str]) -> bool:
    """Runs a command whose failure is not the end. Gives whether it succeeded."""
    say(" ".join(command))
    try:
        subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        say(f"failed: {error}")
        return False
    return True


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
