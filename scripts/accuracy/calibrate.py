"""Engine profiles (`rooflab.engine/1`): what an engine itself costs, by the times of models that no case has.

All is measured through the engine as the cases are: whole steps of models whose sizes single out what is wanted. The smallest matrices at two numbers of
layers leave the engine's own time; deep models of narrow layers, in as many bytes as a real one, their products with the passes around them; two sizes of
the vocabulary the head; equally many tokens in few long sequences and in many short ones attention.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

import clock
from cases import Load, Run, Shape
from install import BUILD
from readings import Reading, WorkerFailed, job, worker

WORDS = 256  # a vocabulary whose head costs nothing
SHORT = 16  # tokens of sequences whose attention costs nothing
NARROW = Shape("own-time", layers=2, hidden=64, inner=64, heads=1, kv_heads=1, vocabulary=WORDS)
DEEPER = replace(NARROW, layers=12)
# Layers whose products are measured, in about as many bytes as a model of a few hundred million parameters has.
LAYERS = (
    Shape("products-512", layers=40, hidden=512, inner=1408, heads=8, kv_heads=2, vocabulary=WORDS),
    Shape("products-1024", layers=8, hidden=1024, inner=5120, heads=16, kv_heads=4, vocabulary=WORDS),
    Shape("products-2304", layers=4, hidden=2304, inner=8960, heads=36, kv_heads=9, vocabulary=WORDS),
)
HEAD = Shape("head", layers=1, hidden=1024, inner=1024, heads=16, kv_heads=4, vocabulary=196_608)
ATTENTION = Shape("attention", layers=4, hidden=512, inner=64, heads=8, kv_heads=2, vocabulary=WORDS)

BATCHES = (1, 4, 16)
PROMPTS = (256, 1024)
MOST_OPERATIONS = 6e11  # of the largest step
HIDDEN = 1.05  # times its own time, a step has to take for the rest to be seen
SECONDS = 0.3

GEMM = {"bf16": "gemm.bf16.f32", "f16": "gemm.f16.f32", "f32": "gemm.f32", "q8_0": "gemm.q8_0.int32", "q4_0": "gemm.q4_0.int32"}
# Formats in which an estimate may count the arithmetic of prompts' attention.
ARITHMETIC = {"bf16": ("bf16",), "f32": ("f32",)}
BYTES = {"bf16": 2, "f16": 2, "f32": 4}

Times = Mapping[Load, tuple[float, float]]  # of the prompts, and of a later step where there is one


@dataclass
class Profiles:
    """The files of engine profiles by engine and format, and why others are missing."""

    files: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass
class Calibration:
    """What is measured of an engine in a format, in as many rounds as its cases: a machine has faster and slower minutes."""

    alike: list[Run]
    version: str = ""
    measured: dict[tuple[Shape, Load], Reading] = field(default_factory=dict)
    failed: str = ""

    def measure(self, threads: int) -> None:
        """One more round, in one process."""
        run, plan = self.alike[0], planned(self.alike)
        shapes = list(plan)
        jobs = [job(replace(run, model=shape, loads=tuple(dict.fromkeys(plan[shape]))), threads, SECONDS) for shape in shapes]
        try:
            for line in worker(f"{run.engine.worker}_worker", jobs, threads=threads):
                self.version = line.get("version", self.version)
                if "load" in line:
                    self.measured.setdefault((shapes[line["job"]], Load(**line["load"])), Reading()).add(line)
        except (WorkerFailed, ValueError, KeyError) as error:
            self.failed = self.failed or str(error)

    def times(self, shape: Shape) -> Times:
        """The times of a model's loads, over all rounds."""
        readings = {load: reading for (of, load), reading in self.measured.items() if of == shape}
        return {load: (clock.median(each.ttft), clock.median(each.tpot or [(math.nan, False)])) for load, each in readings.items()}


def name(run: Run) -> str:
    """What an engine in a format is called; its profile is that of all models."""
    return f"{run.engine.name} {run.format}"


def of(runs: Sequence[Run]) -> dict[str, Calibration]:
    """A calibration of every engine and format that runs, for models as large as they run."""
    calibrations: dict[str, Calibration] = {}
    for run in runs:
        calibrations.setdefault(name(run), Calibration([])).alike.append(run)
    return calibrations


def written(calibrations: Mapping[str, Calibration], threads: int, device: str) -> Profiles:
    """The profiles of all engines, in files."""
    profiles = Profiles()
    for key, calibration in calibrations.items():
        try:
            if calibration.failed:
                raise ValueError(calibration.failed)
            document = profile(calibration, threads, device)
        except (ValueError, KeyError) as error:
            profiles.failed[key] = str(error)
            continue
        path = BUILD / "engines" / f"{key.lower().replace(',', '').replace(' ', '-')}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        profiles.files[key] = str(path)
    return profiles


DECODE = tuple(Load(batch, SHORT) for batch in BATCHES)
LONG = tuple(Load(1, tokens, 1) for tokens in PROMPTS)
CACHED = tuple(Load(4, tokens) for tokens in (SHORT, *PROMPTS))
SHORTEST = Load(1, SHORT)
SMALL_HEAD = replace(HEAD, name="head-small", vocabulary=WORDS)


def layers_for(alike: Sequence[Run]) -> list[Shape]:
    """The models whose products are measured: as wide as those that run, and one beyond."""
    widest = max(each.model.hidden for each in alike)
    return [shape for index, shape in enumerate(LAYERS) if index < 2 or LAYERS[index - 1].hidden < widest]


def planned(alike: Sequence[Run]) -> dict[Shape, list[Load]]:
    """The loads of every model that some runs need."""
    most = 1.25 * max(load.batch * load.prompt for each in alike for load in each.loads)
    short = [Load(tokens // SHORT, SHORT, 1) for tokens in PROMPTS]
    plan: dict[Shape, list[Load]] = {NARROW: [SHORTEST], DEEPER: [SHORTEST]}
    plan |= {shape: [*DECODE, many(shape, most)] for shape in layers_for(alike)}
    return plan | {HEAD: [*DECODE], SMALL_HEAD: [*DECODE], ATTENTION: [*LONG, *short, *CACHED]}


def profile(calibration: Calibration, threads: int, device: str) -> dict[str, Any]:
    """The document of an engine in a format."""
    run, times = calibration.alike[0], calibration.times
    step, layer = own_time(times(NARROW)[SHORTEST][1], times(DEEPER)[SHORTEST][1])
    overlapped = run.engine.device == "cuda" and run.engine.mode == "eager"
    of_all = ((shape, times(shape), step + shape.layers * layer) for shape in layers_for(calibration.alike))
    products = [point for shape, taken, own in of_all for point in of_layers(shape, taken, own, overlapped)]
    products += of_head(HEAD, times(HEAD), times(SMALL_HEAD))
    kv, attention = run.engine.cache(run.format), times(ATTENTION)
    ceilings = [(GEMM[run.format], products), (f"attention.decode.{kv}", of_cache(attention, CACHED, BYTES[kv]))]
    ceilings += [(f"attention.prefill.{dtype}", of_prompts(attention, LONG)) for dtype in ARITHMETIC.get(run.format, ("f16", "bf16"))]
    return {
        "schema": "rooflab.engine/1",
        "created": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "name": run.engine.name,
        "version": calibration.version,
        "settings": {"mode": run.engine.mode, "threads": str(threads), "weights": run.format, "kv": kv},
        "device": device,
        "calibrated_on": [described(shape) for shape in planned(calibration.alike)],
        "host": "overlapped" if overlapped else "added",
        "step": step,
        "layer": layer,
        "passes_within": True,
        "ceilings": [{"resource": resource, "points": points} for resource, points in ceilings if points],
    }


def many(shape: Shape, most: float) -> Load:
    """About so many tokens of short prompts, or fewer where those would take too long."""
    most = min(most, MOST_OPERATIONS / (2 * shape.layers * sum(n * k for n, k in matrices(shape))))
    return Load(max(BATCHES[-1], round(most / SHORT)), SHORT, 1)


def described(shape: Shape) -> str:
    return f"{shape.layers} layers of {shape.hidden} and {shape.inner}, {shape.heads} heads over {shape.kv_heads}, {shape.vocabulary} tokens"


def own_time(shallow: float, deep: float) -> tuple[float, float]:
    """The engine's own time for a step and for each layer, from steps through few and through many layers of next to no work."""
    layer = max(0.0, (deep - shallow) / (DEEPER.layers - NARROW.layers))
    return max(0.0, shallow - NARROW.layers * layer), layer


def matrices(shape: Shape) -> list[tuple[int, int]]:
    """Outputs and inputs of a layer's products, those of the same input together."""
    heads, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    return [(heads + 2 * keys, shape.hidden), (shape.hidden, heads), (2 * shape.inner, shape.hidden), (shape.hidden, shape.inner)]


def of_layers(shape: Shape, times: Times, own: float, overlapped: bool) -> list[dict[str, Any]]:
    """The rate of a layer's products together, with the passes around them, at each of their shapes; none where the engine's own time hides it."""
    later = {load.batch: tpot for load, (_, tpot) in times.items() if load.generate > 1}
    first = {load.batch * load.prompt: ttft for load, (ttft, _) in times.items()}
    points = []
    for tokens, taken in (first | later).items():
        work = 2.0 * tokens * shape.layers * sum(n * k for n, k in matrices(shape))
        left = taken if overlapped else taken - own
        if left > 0 and taken > HIDDEN * own:
            points += [product(tokens, n, k, work / left) for n, k in matrices(shape)]
    return points


def of_head(shape: Shape, times: Times, without: Times) -> list[dict[str, Any]]:
    """The rate of the head, with the choice of a token."""
    left = {load: tpot - without[load][1] for load, (_, tpot) in times.items()}
    work = 2.0 * (shape.vocabulary - WORDS) * shape.hidden
    return [product(load.batch, shape.vocabulary, shape.hidden, load.batch * work / taken) for load, taken in left.items() if taken > 0]


def product(m: int, n: int, k: int, value: float) -> dict[str, Any]:
    return {"shape": {"m": m, "n": n, "k": k}, "value": value}


def of_cache(times: Times, loads: Sequence[Load], element: int) -> list[dict[str, Any]]:
    """Bytes of cached keys and values per second, beyond those of the shortest context."""
    shortest, *longer = loads
    token = 2 * ATTENTION.kv_heads * ATTENTION.head_dim * element * ATTENTION.layers
    points = []
    for load in longer:
        left = times[load][1] - times[shortest][1]
        if left > 0:
            points.append({"at": load.context, "value": load.batch * token * (load.context - shortest.context) / left})
    return points


def of_prompts(times: Times, loads: Sequence[Load]) -> list[dict[str, Any]]:
    """Operations of prompts' attention per second, beyond those of as many tokens in short sequences."""
    pairs = lambda tokens: tokens * (tokens + 1) / 2
    points = []
    for load in loads:
        short = Load(load.prompt // SHORT, SHORT, 1)
        more = pairs(load.prompt) - short.batch * pairs(SHORT)
        left = times[load][0] - times[short][0]
        if left > 0:
            work = 4.0 * more * ATTENTION.heads * ATTENTION.head_dim * ATTENTION.layers
            points.append({"at": float(load.prompt), "value": work / left})
    return points
