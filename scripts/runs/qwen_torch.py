#!/usr/bin/env python3
"""Runs a model with the shapes of Qwen2.5-0.5B and random weights in eager PyTorch, and writes its times as an observation for `rooflab diagnose`.

Usage: qwen_torch.py bf16|f32 PROMPT GENERATE > run.json
The time to the first token is that of the prompt; the time per token is that of each later step, both medians of three answers after one to warm up.
Needs `pip install torch==2.15.0`. Nothing of this machine but the number of threads is in the file.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F

LAYERS, HIDDEN, INNER, HEADS, KV_HEADS, DIM, VOCABULARY = 24, 896, 4864, 14, 2, 64, 151_936
ANSWERS = 3


class Layer:
    """Weights of a layer, with queries, keys and values apart, as transformers has them."""

    def __init__(self, dtype: torch.dtype) -> None:
        def matrix(rows: int, columns: int) -> torch.Tensor:
            return (torch.randn(rows, columns) * 0.02).to(dtype)

        self.q, self.k, self.v = matrix(HEADS * DIM, HIDDEN), matrix(KV_HEADS * DIM, HIDDEN), matrix(KV_HEADS * DIM, HIDDEN)
        self.biases = [torch.zeros(rows, dtype=dtype) for rows in (HEADS * DIM, KV_HEADS * DIM, KV_HEADS * DIM)]
        self.o = matrix(HIDDEN, HEADS * DIM)
        self.gate, self.up, self.down = matrix(INNER, HIDDEN), matrix(INNER, HIDDEN), matrix(HIDDEN, INNER)
        self.norms = [torch.ones(HIDDEN, dtype=dtype) for _ in range(2)]


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin


class Model:
    def __init__(self, dtype: torch.dtype, context: int) -> None:
        self.layers = [Layer(dtype) for _ in range(LAYERS)]
        self.embedding = (torch.randn(VOCABULARY, HIDDEN) * 0.02).to(dtype)
        self.norm = torch.ones(HIDDEN, dtype=dtype)
        angles = torch.outer(torch.arange(context).float(), 1e6 ** (-torch.arange(0, DIM, 2).float() / DIM))
        self.cos, self.sin = (f(torch.cat((angles, angles), dim=-1)).to(dtype) for f in (torch.cos, torch.sin))
        self.cache = torch.zeros(LAYERS, 2, KV_HEADS, context, DIM, dtype=dtype)

    def step(self, tokens: torch.Tensor, start: int) -> torch.Tensor:
        """The token that follows, with the cache filled up to it."""
        count = len(tokens)
        end = start + count
        cos, sin = self.cos[start:end], self.sin[start:end]
        x = self.embedding[tokens]
        for layer, (keys, values) in zip(self.layers, self.cache):
            y = F.rms_norm(x, (HIDDEN,), layer.norms[0], 1e-6)
            parts = (F.linear(y, weight, bias) for weight, bias in zip((layer.q, layer.k, layer.v), layer.biases))
            q, k, v = (part.view(count, -1, DIM).transpose(0, 1) for part in parts)
            keys[:, start:end], values[:, start:end] = rotate(k, cos, sin), v
            y = F.scaled_dot_product_attention(
                rotate(q, cos, sin)[None], keys[None, :, :end], values[None, :, :end], is_causal=count > 1, enable_gqa=True
            )
            x = x + F.linear(y[0].transpose(0, 1).reshape(count, HEADS * DIM), layer.o)
            y = F.rms_norm(x, (HIDDEN,), layer.norms[1], 1e-6)
            x = x + F.linear(F.silu(F.linear(y, layer.gate)) * F.linear(y, layer.up), layer.down)
        logits = F.linear(F.rms_norm(x[-1:], (HIDDEN,), self.norm, 1e-6), self.embedding)
        return logits.argmax(-1)


def main(dtype: str, prompt: int, generate: int) -> None:
    torch.manual_seed(1)
    model = Model({"bf16": torch.bfloat16, "f32": torch.float32}[dtype], prompt + generate)
    first, later = [], []
    with torch.inference_mode():
        for _ in range(1 + ANSWERS):
            times = [time.perf_counter()]
            token = model.step(torch.randint(VOCABULARY, (prompt,)), 0)
            times.append(time.perf_counter())
            for position in range(prompt, prompt + generate - 1):
                token = model.step(token, position)
                times.append(time.perf_counter())
            taken = [after - before for before, after in zip(times, times[1:])]
            first.append(taken[0])
            later.append(statistics.median(taken[1:]))

    def median(times: list[float]) -> dict[str, object]:
        return {"unit": "s", "median": round(statistics.median(times[1:]), 6)}

    document = {
        "schema": "rooflab.observation/1",
        "subject": {
            "model": "qwen2.5-0.5b",
            "weights": {"given": dtype, "dtype": dtype},
            "kv": {"given": dtype, "dtype": dtype},
            "engine": "PyTorch, eager",
            "engine_version": torch.__version__.split("+")[0],
            "devices": 1,
        },
        "load": {"batch": 1, "prompt": prompt, "generate": generate, "threads": torch.get_num_threads()},
        "metrics": {"ttft": median(first), "tpot": median(later)},
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
