"""Whether rooflab's value holds while something else uses the processors."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from measure import Reading
from rooflab import rooflab

KEY = "memory.dram.read"
SETTLE_SECONDS = 0.5


@contextlib.contextmanager
def burners() -> Iterator[None]:
    """One process at normal priority that only computes, on each processor this process may use."""
    program = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"
    running: list[subprocess.Popen[bytes]] = []
    try:
        for cpu in sorted(os.sched_getaffinity(0)):
            running.append(subprocess.Popen([sys.executable, "-c", program, str(cpu)]))
        time.sleep(SETTLE_SECONDS)
        yield
    finally:
        for burner in running:
            burner.kill()
            burner.wait()


def measure_noise(rounds: int, binary: Path) -> list[tuple[Reading, Reading]]:
    """Readings without and with burners, in turn."""
    pairs = []
    for number in range(1, rounds + 1):
        print(f"round {number} of {rounds}: {KEY}", file=sys.stderr, flush=True)
        quiet = rooflab([KEY], binary)[KEY]
        with burners():
            noisy = rooflab([KEY], binary)[KEY]
        pairs.append((quiet, noisy))
    return pairs
