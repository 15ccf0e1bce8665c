"""Runs a GGUF file in llama.cpp, by the functions of its library, and prints its times: one line of JSON for each load of each job.

Usage: llama_worker.py < jobs.json
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

import llama_cpp as llama
import numpy as np

import clock


class Runner:
    """A file that is loaded once, and a context for each load."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.threads, self.vocabulary = job["threads"], job["config"]["vocab_size"]
        self.model = llama.llama_model_load_from_file(job["file"].encode(), llama.llama_model_default_params())
        if not self.model:
            sys.exit("llama.cpp does not load the file")

    def run(self, load: dict[str, int], seconds: float) -> dict[str, Any]:
        sequences, prompt, generate = load["batch"], load["prompt"], load["generate"]
        params = llama.llama_context_default_params()
        params.n_ctx = sequences * (-(-(prompt + generate) // 256) * 256)
        params.n_batch = params.n_ubatch = max(sequences * prompt, 32)
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = self.threads
        params.no_perf = True
        context = llama.llama_init_from_model(self.model, params)
        if not context:
            raise RuntimeError("llama.cpp gives no context")
        batch = llama.llama_batch_init(sequences * prompt, 0, 1)
        words = [int(word) for word in np.random.default_rng(1).integers(self.vocabulary, size=997)]

        def fill(start: int, count: int) -> None:
            batch.n_tokens = sequences * count
            for sequence in range(sequences):
                for offset in range(count):
                    index = sequence * count + offset
                    batch.token[index] = words[index % len(words)]
                    batch.pos[index] = start + offset
                    batch.n_seq_id[index] = 1
                    batch.seq_id[index][0] = sequence
                    batch.logits[index] = offset == count - 1

        def decode() -> None:
            if llama.llama_decode(context, batch):
                raise RuntimeError("llama_decode fails")
            for index in range(sequences):
                logits = llama.llama_get_logits_ith(context, index * (batch.n_tokens // sequences) + batch.n_tokens // sequences - 1)
                np.ctypeslib.as_array(logits, shape=(self.vocabulary,)).argmax()

        def first() -> None:
            fill(0, prompt)
            llama.llama_memory_clear(llama.llama_get_memory(context), False)
            decode()

        def later(step: int) -> None:
            fill(prompt + step, 1)
            decode()

        samples = clock.answers(first, later, generate - 1, seconds)
        llama.llama_batch_free(batch)
        llama.llama_free(context)
        return samples


def main() -> None:
    log = llama.llama_log_callback(lambda level, text, data: None)  # kept, because C keeps it
    llama.llama_log_set(log, ctypes.c_void_p(0))
    llama.llama_backend_init()
    print(json.dumps({"version": llama.__version__}), flush=True)
    for index, job in enumerate(json.load(sys.stdin)):
        runner = Runner(job)
        for load in job["loads"]:
            print(json.dumps({"job": index, "load": load, **runner.run(load, job["seconds"])}), flush=True)
        llama.llama_model_free(runner.model)


if __name__ == "__main__":
    main()
