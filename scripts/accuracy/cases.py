"""What is run, as data: models by their shapes, formats, engines and loads."""

from __future__ import annotations

import itertools
from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """A dense transformer by its numbers, as published; its weights are random, because what a step costs does not depend on them."""

    name: str
    layers: int
    hidden: int
    inner: int
    heads: int
    kv_heads: int
    vocabulary: int
    bias: bool = False  # of queries, keys and values
    context: int = 32_768
    head_dim: int = 64

    @property
    def architecture(self) -> str:
        """What transformers and llama.cpp call it."""
        return "qwen2" if self.bias else "llama"

    def config(self, dtype: str = "bfloat16") -> dict[str, object]:
        """Its `config.json`."""
        return {
            "architectures": ["Qwen2ForCausalLM" if self.bias else "LlamaForCausalLM"],
            "model_type": self.architecture,
            "hidden_size": self.hidden,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": self.context,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1e6,
            "hidden_act": "silu",
            "tie_word_embeddings": True,
            "attention_bias": self.bias,
            "torch_dtype": dtype,
            "use_cache": True,
        }


SMALL = Shape("smollm2-135m", layers=30, hidden=576, inner=1536, heads=9, kv_heads=3, vocabulary=49_152)
MIDDLE = Shape("qwen2.5-0.5b", layers=24, hidden=896, inner=4864, heads=14, kv_heads=2, vocabulary=151_936, bias=True)
LARGE = Shape("llama-3.2-1b", layers=16, hidden=2048, inner=8192, heads=32, kv_heads=8, vocabulary=128_256)


@dataclass(frozen=True)
class Load:
    """Sequences that start together, each with a prompt, of which some tokens are generated."""

    batch: int
    prompt: int
    generate: int = 16

    @property
    def context(self) -> float:
        """Tokens that the middle one of the later steps attends to."""
        return self.prompt + self.generate / 2


@dataclass(frozen=True)
class Engine:
    """An engine in one of its ways of running."""

    name: str
    worker: str
    mode: str
    formats: tuple[str, ...]
    device: str = "cpu"
    kv: dict[str, str] | None = None  # the cache's format where it is not that of the activations

    def cache(self, weights: str) -> str:
        """The format of keys and values."""
        return (self.kv or {}).get(weights, weights)


LLAMA_KV = {"f16": "f16", "q8_0": "f16", "q4_0": "f16"}

ENGINES = (
    Engine("PyTorch, eager", "torch", "eager", ("bf16", "f32")),
    Engine("PyTorch, compiled", "torch", "compiled", ("bf16", "f32")),
    Engine("llama.cpp", "llama", "default", ("f16", "q8_0", "q4_0"), kv=LLAMA_KV),
    Engine("ONNX Runtime", "onnx", "default", ("f32",)),
    Engine("PyTorch CUDA, eager", "torch", "eager", ("bf16",), device="cuda"),
    Engine("PyTorch CUDA, graphs", "torch", "graphs", ("bf16",), device="cuda"),
)

# A model's loads at each effort. Prompts of a batch go through the model together.
QUICK = {
    SMALL: (Load(1, 128), Load(16, 16), Load(1, 512)),
    MIDDLE: (Load(1, 64), Load(8, 16)),
}
FULL = {
    SMALL: (Load(1, 16), Load(1, 512), Load(4, 128), Load(16, 64), Load(1, 2048)),
    MIDDLE: (Load(1, 64), Load(1, 512), Load(4, 128), Load(16, 32)),
    LARGE: (Load(1, 32), Load(1, 256), Load(8, 32)),
}
TINY = Shape("tiny", layers=2, hidden=64, inner=128, heads=2, kv_heads=1, vocabulary=512, head_dim=32)
SMOKE = {TINY: (Load(1, 16, 4),)}  # whether everything runs at all
GRIDS = {"smoke": SMOKE, "quick": QUICK, "full": FULL}


def formats(engine: Engine, grid: str, model: Shape) -> tuple[str, ...]:
    """The formats in which an engine runs a model: the larger the model, the fewer, for the sake of time."""
    if model in (SMALL, TINY) or (model is MIDDLE and grid == "full" and engine.mode != "compiled"):
        return engine.formats[:1] if grid == "quick" and engine.worker == "torch" else engine.formats
    if model is LARGE and (engine.mode == "compiled" or engine.worker == "onnx"):
        return ()
    return engine.formats[-1:] if engine.worker == "llama" else engine.formats[:1]


def loads(engine: Engine, of_grid: tuple[Load, ...]) -> tuple[Load, ...]:
    """The loads that an engine runs: each that is compiled for costs its compiling."""
    return of_grid[:3] if engine.mode == "compiled" else of_grid


@dataclass(frozen=True)
class Run:
    """The loads of a model in a format on an engine: what one process of a worker runs."""

    engine: Engine
    model: Shape
    format: str
    loads: tuple[Load, ...]

    @property
    def key(self) -> str:
        """What it is called in messages, and what `--only` is matched with."""
        return f"{self.engine.name} {self.model.name} {self.format}"


def runs(grid: str, device: str) -> list[Run]:
    """All runs of a grid on a kind of device, the engines in turn, so that none has all of the quiet minutes."""
    chosen = [engine for engine in ENGINES if engine.device == device]
    by_engine = [
        [Run(engine, model, each, loads(engine, of_grid)) for model, of_grid in GRIDS[grid].items() for each in formats(engine, grid, model)]
        for engine in chosen
    ]
    return [run for turn in itertools.zip_longest(*by_engine) for run in turn if run]
