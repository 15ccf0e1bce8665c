"""Times what workers do: every repetition with whether other work on the machine disturbed it."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "benches" / "peers"))

import timing

Sample = tuple[float, bool]  # seconds, and whether it was disturbed

ENOUGH_CLEAN = 3
ANSWERS = 3  # of a load, at least, unless one alone takes longer than all may


def once(call: Callable[[], object]) -> Sample:
    """One call."""
    return timing.sample(call, 1)


def answers(first: Callable[[], object], later: Callable[[int], object], steps: int, seconds: float) -> dict[str, list[Sample]]:
    """Whole answers for some seconds, after one to warm up: the times of prompts, and of the steps after them. Long ones are repeated less."""
    start = time.perf_counter()
    first()
    for step in range(min(steps, 2)):
        later(step)
    least = ANSWERS if time.perf_counter() - start < seconds else 1
    samples: dict[str, list[Sample]] = {"ttft": [], "tpot": []}
    start = time.perf_counter()
    while len(samples["ttft"]) < least or time.perf_counter() - start < seconds:
        samples["ttft"].append(once(first))
        samples["tpot"] += [once(lambda step=step: later(step)) for step in range(steps)]
    return samples


def chosen(samples: Sequence[Sample]) -> list[float]:
    """The times of undisturbed samples; of all, where there are too few."""
    clean = [seconds for seconds, disturbed in samples if not disturbed]
    return clean if len(clean) >= min(ENOUGH_CLEAN, len(samples)) else [seconds for seconds, _ in samples]


def median(samples: Sequence[Sample]) -> float:
    """The median of the undisturbed samples."""
    return statistics.median(chosen(samples))


def scatter(samples: Sequence[Sample]) -> float:
    """The median of how far the undisturbed samples are from their median, over it."""
    times = chosen(samples)
    middle = statistics.median(times)
    return statistics.median(abs(seconds - middle) for seconds in times) / middle
