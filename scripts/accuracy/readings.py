"""Runs workers, each in a process of its own, and keeps what they say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import clock
from cases import Load, Run, Shape
from install import BUILD, HERE, PYTHON

MODELS = BUILD / "models"
PATIENCE = 900.0


class WorkerFailed(Exception):
    """A worker could not be run, or did not come to its end."""


@dataclass
class Reading:
    """What was measured of one load, over all rounds; or why there is nothing."""

    ttft: list[clock.Sample] = field(default_factory=list)
    tpot: list[clock.Sample] = field(default_factory=list)
    reason: str = ""

    def add(self, line: dict[str, Any]) -> None:
        """Takes in what a worker says of a load."""
        self.ttft += [(taken, disturbed) for taken, disturbed in line["ttft"]]
        self.tpot += [(taken, disturbed) for taken, disturbed in line["tpot"]]

    @property
    def complete(self) -> bool:
        return bool(self.ttft and self.tpot)


def worker(name: str, work: Any, arguments: tuple[str, ...] = (), threads: int = 1) -> Iterator[dict[str, Any]]:
    """The lines of JSON that a worker prints, given some work as JSON."""
    environment = {
        **os.environ,
        **{variable: str(threads) for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")},
        "TORCHINDUCTOR_CACHE_DIR": str(BUILD / "inductor"),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [str(PYTHON), str(HERE / "workers" / f"{name}.py"), *arguments]
    try:
        done = subprocess.run(
            command, input=json.dumps(work), env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WorkerFailed(str(error)) from None
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            yield json.loads(line)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
        raise WorkerFailed(said[-1].strip()[:300])


def config_file(model: Shape) -> str:
    """The model's `config.json`, written where it is not there."""
    path = MODELS / model.name / "config.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(model.config(), indent=2) + "\n", encoding="utf-8")
    return str(path)


def gguf_file(model: Shape, kind: str) -> str:
    """The model as a GGUF file, written where it is not there."""
    path = MODELS / f"{model.name}-{kind}.gguf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        for _ in worker("gguf_file", model.config(), (kind, str(part))):
            pass
        part.rename(path)
    return str(path)


def model_file(run: Run) -> str:
    """What `rooflab estimate -m` is given of a run's model."""
    return gguf_file(run.model, run.format) if run.engine.worker == "llama" else config_file(run.model)


def job(run: Run, threads: int, seconds: float) -> dict[str, Any]:
    """What a worker has to do for a run."""
    file = {"file": gguf_file(run.model, run.format)} if run.engine.worker == "llama" else {}
    return {
        **file,
        "config": run.model.config(),
        "format": run.format,
        "mode": run.engine.mode,
        "device": run.engine.device,
        "threads": threads,
        "seconds": seconds,
        "loads": [{"batch": load.batch, "prompt": load.prompt, "generate": load.generate} for load in run.loads],
    }


Readings = dict[tuple[str, Load], Reading]


def measure(run: Run, threads: int, seconds: float, readings: Readings, versions: dict[str, str]) -> None:
    """One round of a run, added to what was measured before."""
    for load in run.loads:
        readings.setdefault((run.key, load), Reading())
    try:
        for line in worker(f"{run.engine.worker}_worker", [job(run, threads, seconds)], threads=threads):
            if "version" in line:
                versions[run.engine.name] = line["version"]
                continue
            readings[run.key, Load(**line["load"])].add(line)
    except (WorkerFailed, ValueError, KeyError) as error:
        say(f"{run.key}: {error}")
        for load in run.loads:
            reading = readings[run.key, load]
            reading.reason = reading.reason or str(error)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
