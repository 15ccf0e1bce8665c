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


def once(call: Callable[[], object]) -> Sample:
    """One call."""
    return timing.sample(call, 1)


def repeat(call: Callable[[], object], seconds: float, least: int = 3) -> list[Sample]:
    """Calls for some seconds, at least so often; to warm up, once before where that is short."""
    start = time.perf_counter()
    call()
    if time.perf_counter() - start > seconds:
        least = min(least, 2)
    samples: list[Sample] = []
    start = time.perf_counter()
    while len(samples) < least or time.perf_counter() - start < seconds:
        samples.append(once(call))
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
