"""Times what the peers in Python do and prints it: lines "best", "median", "clean" and "total".

A sample is as many calls as take 5 ms. It is clean if the threads of this process, together, waited less than 1.5 % of it for a
processor; best and median are of the clean samples, or of all if fewer than two are clean.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

SAMPLE_SECONDS = 0.005
ENOUGH_SECONDS = 0.6
LONG_SECONDS = 0.1  # what is not repeated to warm up
SAMPLES = 3
CLEAN_SAMPLES = 2
WAITED = 0.015


def report(amount: float, call: Callable[[], object]) -> None:
    """Repeats a call that does some amount of work, once it has warmed up."""
    taken = sample(call, 1)[0]
    calls = 1 if taken > LONG_SECONDS else math.ceil(SAMPLE_SECONDS / sample(call, 1)[0])
    samples = []
    start = time.perf_counter()
    while len(samples) < SAMPLES or time.perf_counter() - start < ENOUGH_SECONDS:
        samples.append(sample(call, calls))
    times = [seconds for seconds, _ in samples]
    clean = [seconds for seconds, disturbed in samples if not disturbed]
    chosen = clean if len(clean) >= CLEAN_SAMPLES else times
    print(f"best {amount / min(chosen):.6e}")
    print(f"median {amount / statistics.median(chosen):.6e}")
    print(f"clean {len(clean)}")
    print(f"total {len(times)}")


def sample(call: Callable[[], object], calls: int) -> tuple[float, bool]:
    """Seconds of a call, and whether it had to wait."""
    before = waited()
    start = time.perf_counter()
    for _ in range(calls):
        call()
    taken = time.perf_counter() - start
    return taken / calls, waited() - before > WAITED * taken


def waited() -> float:
    """Seconds that the threads of this process have waited for a processor, where the kernel counts them."""
    total = 0
    for file in Path("/proc/self/task").glob("*/schedstat"):
        try:
            total += int(file.read_text(encoding="utf-8").split()[1])
        except OSError:  # the thread has ended meanwhile
            continue
    return total * 1e-9
