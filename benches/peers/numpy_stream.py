"""Bandwidth of read, copy and triad over arrays of double with NumPy.

  read    a.dot(a)                            8 bytes per element (one array)
  copy    np.copyto(c, a)                    16 bytes per element
  triad   np.multiply(c, s, out=a)           24 bytes per element
          np.add(a, b, out=a)

NumPy has no fused triad: its two passes load and store 40 bytes per element. Counted are the 24 bytes of a = b + s*c, that is,
what the program wanted done, so the result says what the second pass costs. One process uses one thread; with several
processes, each has arrays of its own on a core of its own, and a repetition lasts until all are done.

Usage: numpy_stream.py read|copy|triad BYTES REPETITIONS PROCESSES
BYTES is the size of the arrays that the kernel touches, over all processes. The first repetition is not counted.
Prints "best B/s" and "median B/s", one per line.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy is imported

import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier

import numpy as np

ARRAYS = {"read": 1, "copy": 2, "triad": 3}
FACTOR = 0.5


def kernel(name: str, arrays: list[np.ndarray]) -> Callable[[], object]:
    """The kernel over its arrays, ready to be called."""
    if name == "read":
        (a,) = arrays
        return lambda: a.dot(a)
    if name == "copy":
        a, c = arrays
        return lambda: np.copyto(c, a)
    a, b, c = arrays

    def triad() -> None:
        np.multiply(c, FACTOR, out=a)
        np.add(a, b, out=a)

    return triad


def work(
    name: str, elements: int, repetitions: int, core: int, barrier: Barrier, times: Connection | None
) -> None:
    """Repeats the kernel in step with the other processes. The first process reports the times."""
    os.sched_setaffinity(0, {core})
    run = kernel(name, [np.full(elements, index + 1.0) for index in range(ARRAYS[name])])
    taken = []
    for _ in range(repetitions + 1):
        barrier.wait()
        start = time.perf_counter()
        run()
        barrier.wait()
        taken.append(time.perf_counter() - start)
    if times is not None:
        times.send(taken[1:])


def main() -> None:
    name, total, repetitions, processes = sys.argv[1], *map(int, sys.argv[2:5])
    elements = total // 8 // ARRAYS[name] // processes
    cores = sorted(os.sched_getaffinity(0))[:processes]
    barrier = multiprocessing.Barrier(processes, timeout=60)  # so that none waits for ever for one that failed
    receiver, sender = multiprocessing.Pipe(duplex=False)
    workers = [
        multiprocessing.Process(
            target=work, args=(name, elements, repetitions, core, barrier, sender if index == 0 else None)
        )
        for index, core in enumerate(cores)
    ]
    for worker in workers:
        worker.start()
    sender.close()
    times = receiver.recv()
    for worker in workers:
        worker.join()
    size = elements * 8 * ARRAYS[name] * processes
    print(f"best {size / min(times):.6e}")
    print(f"median {size / statistics.median(times):.6e}")


if __name__ == "__main__":
    main()
