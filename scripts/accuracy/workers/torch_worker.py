"""Runs a model of random weights in PyTorch, by transformers, and prints its times: one line of JSON for each load of each job.

Usage: torch_worker.py < jobs.json
The time to the first token is that of all prompts through the model, the choice of a token included; the time per token that of each later step.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

import torch
import transformers

import clock

DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}
TILE = 1 << 20


def build(config: dict[str, Any], dtype: torch.dtype, device: str) -> Any:
    """A model whose matrices are filled with one tile of random numbers over and over."""
    for layer in (torch.nn.Linear, torch.nn.Embedding):
        layer.reset_parameters = lambda self: None  # type: ignore[method-assign]
    transformers.PreTrainedModel._init_weights = lambda self, module: None
    described = transformers.AutoConfig.for_model(**config)
    model = transformers.AutoModelForCausalLM.from_config(described, dtype=dtype, attn_implementation="sdpa")
    model.tie_weights()
    torch.manual_seed(1)
    tile = (torch.randn(TILE) * 0.02).to(dtype)
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            for part in parameter.data.view(-1).split(TILE):
                part.copy_(tile[: part.numel()])
        else:
            parameter.data.fill_(0.0 if name.endswith("bias") else 1.0)
    return model.to(device).eval()


class OneLayer:
    """A layer's part of a cache."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def update(self, keys: torch.Tensor, values: torch.Tensor, *_: object) -> tuple[torch.Tensor, torch.Tensor]:
        return self.layer.update(keys, values)


class Alike(torch.nn.Module):
    """A layer that knows neither its number nor the other layers' caches, so that it is compiled as every other one."""

    def __init__(self, layer: torch.nn.Module, number: int) -> None:
        super().__init__()
        layer.self_attn.layer_idx = 0
        layer.compile(dynamic=False)
        self.layer, self.number = layer, number

    def forward(self, hidden: torch.Tensor, *rest: Any, past_key_values: Any, **named: Any) -> Any:
        return self.layer(hidden, *rest, past_key_values=OneLayer(past_key_values.layers[self.number]), **named)


def compile_layers(model: Any) -> None:
    """Compiles one layer for all, once for each load. More than a few loads are no reason to give up on compiling."""
    torch._dynamo.reset()
    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = 1000
    model.layers = torch.nn.ModuleList(Alike(layer, number) for number, layer in enumerate(model.layers))


class Runner:
    """A model that answers, in one of the ways of running."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.device, self.mode = job["device"], job["mode"]
        self.model = build(job["config"], DTYPES[job["format"]], self.device)
        self.vocabulary = job["config"]["vocab_size"]
        if self.mode == "compiled":
            compile_layers(self.model.model)

    def cache(self, batch: int, tokens: int) -> Any:
        """An empty cache."""
        if self.mode == "eager":
            return transformers.DynamicCache(config=self.model.config)
        return transformers.StaticCache(config=self.model.config, max_cache_len=tokens)

    def step(self, tokens: torch.Tensor, cache: Any) -> torch.Tensor:
        """The tokens that follow."""
        done = self.model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return done.logits[:, -1].argmax(-1, keepdim=True)

    def wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def run(self, load: dict[str, int], seconds: float) -> dict[str, Any]:
        batch, prompt, generate = load["batch"], load["prompt"], load["generate"]
        prompts = torch.randint(self.vocabulary, (batch, prompt), device=self.device)
        state: list[Any] = []

        def first() -> None:
            cache = self.cache(batch, prompt + generate)
            state[:] = [self.step(prompts, cache), cache]
            self.wait()

        def later(_: int) -> None:
            state[0] = self.step(state[0], state[1])
            self.wait()

        if self.mode == "graphs":
            return self.run_graphs(first, state, prompt, generate - 1, seconds)
        return clock.answers(first, later, generate - 1, seconds)

    def run_graphs(self, first: Callable[[], None], state: list[Any], prompt: int, steps: int, seconds: float) -> dict[str, Any]:
        """Later steps as one CUDA graph that is replayed; prompts as in eager PyTorch. The graph has a cache of its own, which begins again with each answer."""
        first()
        tokens, cache = state
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.step(tokens, cache)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.step(tokens, cache)

        def begin() -> None:
            first()
            for layer in cache.layers:
                layer.cumulative_length.fill_(prompt)

        def later(_: int) -> None:
            graph.replay()
            self.wait()

        return clock.answers(begin, later, steps, seconds)


def main() -> None:
    jobs = json.load(sys.stdin)
    torch.set_num_threads(jobs[0]["threads"])
    print(json.dumps({"version": torch.__version__.split("+")[0]}), flush=True)
    for index, job in enumerate(jobs):
        with torch.inference_mode() if job["mode"] == "eager" else torch.no_grad():
            runner = Runner(job)
            for load in job["loads"]:
                print(json.dumps({"job": index, "load": load, **runner.run(load, job["seconds"])}), flush=True)


if __name__ == "__main__":
    main()
