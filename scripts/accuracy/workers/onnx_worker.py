"""Runs a model of random weights in ONNX Runtime, as a graph of the operators that its exporters make of one, and prints its times: one line of JSON for each load of each job.

Usage: onnx_worker.py < jobs.json
All matrices lie over one another in one file of random numbers: the runtime packs each for itself when it loads them.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

import clock

WEIGHTS = "weights.bin"
MICROSOFT = "com.microsoft"
EPSILON = 1e-6


class Graph:
    """A graph in the making."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.largest = 0

    def matrix(self, name: str, rows: int, columns: int) -> str:
        """Weights in the file that all share."""
        size = rows * columns * 4
        self.largest = max(self.largest, size)
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[rows, columns], data_location=TensorProto.EXTERNAL)
        for key, value in (("location", WEIGHTS), ("offset", "0"), ("length", str(size))):
            tensor.external_data.add(key=key, value=value)
        self.initializers.append(tensor)
        return name

    def constant(self, name: str, values: np.ndarray) -> str:
        self.initializers.append(onnx.numpy_helper.from_array(values, name))
        return name

    def add(self, kind: str, inputs: list[str], outputs: list[str], domain: str = "", **attributes: Any) -> str:
        """A node; gives its first output."""
        self.nodes.append(helper.make_node(kind, inputs, outputs, domain=domain, **attributes))
        return outputs[0]


def build(config: dict[str, Any], folder: Path, most: int) -> Path:
    """The model's file, for contexts of so many tokens at most."""
    layers, hidden, inner, vocabulary = (config[key] for key in ("num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size"))
    heads, kv_heads, dim = (config[key] for key in ("num_attention_heads", "num_key_value_heads", "head_dim"))
    graph = Graph()
    angles = np.outer(np.arange(most), config["rope_theta"] ** (-np.arange(0, dim, 2) / dim)).astype(np.float32)
    graph.constant("cos", np.cos(angles))
    graph.constant("sin", np.sin(angles))
    graph.constant("ones", np.ones(hidden, dtype=np.float32))
    width = (heads + 2 * kv_heads) * dim
    graph.constant("zeros", np.zeros(width, dtype=np.float32))
    x = graph.add("Gather", [graph.matrix("embedding", vocabulary, hidden), "tokens"], ["x"])
    y = graph.add("SimplifiedLayerNormalization", [x, "ones"], ["y"], axis=-1, epsilon=EPSILON, stash_type=1)
    for layer in range(layers):
        name = lambda part, layer=layer: f"{part}.{layer}"
        qkv = graph.add("MatMul", [y, graph.matrix(name("w_qkv"), hidden, width)], [name("qkv")])
        if config["attention_bias"]:
            qkv = graph.add("Add", [qkv, "zeros"], [name("biased")])
        attended = graph.add(
            "GroupQueryAttention",
            [qkv, "", "", name("past_k"), name("past_v"), "lengths", "total", "cos", "sin"],
            [name("attended"), name("present_k"), name("present_v")],
            domain=MICROSOFT,
            num_heads=heads,
            kv_num_heads=kv_heads,
            do_rotary=1,
        )
        o = graph.add("MatMul", [attended, graph.matrix(name("w_o"), heads * dim, hidden)], [name("o")])
        y = graph.add(
            "SkipSimplifiedLayerNormalization", [o, x, "ones"], [name("y2"), "", "", name("x2")], domain=MICROSOFT, epsilon=EPSILON
        )
        gate, up = (graph.add("MatMul", [y, graph.matrix(name(f"w_{part}"), hidden, inner)], [name(part)]) for part in ("gate", "up"))
        sigmoid = graph.add("Sigmoid", [gate], [name("sigmoid")])
        activated = graph.add("Mul", [graph.add("Mul", [gate, sigmoid], [name("silu")]), up], [name("activated")])
        down = graph.add("MatMul", [activated, graph.matrix(name("w_down"), inner, hidden)], [name("down")])
        y = graph.add(
            "SkipSimplifiedLayerNormalization",
            [down, name("x2"), "ones"],
            [name("y"), "", "", name("x")],
            domain=MICROSOFT,
            epsilon=EPSILON,
        )
        x = name("x")
    graph.constant("last", np.array([-1], dtype=np.int64))
    final = graph.add("Gather", [y, "last"], ["final"], axis=1)
    logits = graph.add("MatMul", [final, graph.matrix("head", hidden, vocabulary)], ["logits"])
    graph.add("ArgMax", [logits], ["next"], axis=-1, keepdims=0)
    cache = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", kv_heads, None, dim])
    kinds = [f"{part}.{layer}" for layer in range(layers) for part in ("k", "v")]
    inputs = [
        helper.make_tensor_value_info("tokens", TensorProto.INT64, ["batch", None]),
        helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"]),
        helper.make_tensor_value_info("total", TensorProto.INT32, []),
        *(cache(f"past_{kind}") for kind in kinds),
    ]
    outputs = [helper.make_tensor_value_info("next", TensorProto.INT64, ["batch", 1]), *(cache(f"present_{kind}") for kind in kinds)]
    made = helper.make_graph(graph.nodes, "model", inputs, outputs, graph.initializers)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)], ir_version=9)
    values = (np.random.default_rng(1).standard_normal(1 << 20, dtype=np.float32) * np.float32(0.02)).tobytes()
    with (folder / WEIGHTS).open("wb") as file:
        for start in range(0, graph.largest, len(values)):
            file.write(values[: min(len(values), graph.largest - start)])
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


class Runner:
    """A session, with the caches of a load bound to it."""

    def __init__(self, job: dict[str, Any], folder: Path) -> None:
        self.config = job["config"]
        most = max(load["prompt"] + load["generate"] for load in job["loads"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = job["threads"], 1
        path = build(self.config, folder, most)
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(self, load: dict[str, int], seconds: float) -> dict[str, Any]:
        batch, prompt, generate = load["batch"], load["prompt"], load["generate"]
        value = onnxruntime.OrtValue.ortvalue_from_numpy
        shape = (batch, self.config["num_key_value_heads"], prompt + generate, self.config["head_dim"])
        binding = self.session.io_binding()
        for layer in range(self.config["num_hidden_layers"]):
            for part in ("k", "v"):
                cache = value(np.zeros(shape, dtype=np.float32))
                binding.bind_ortvalue_input(f"past_{part}.{layer}", cache)
                binding.bind_ortvalue_output(f"present_{part}.{layer}", cache)
        prompts = np.random.default_rng(1).integers(self.config["vocab_size"], size=(batch, prompt))

        def step(inputs: np.ndarray, total: int) -> None:
            binding.bind_ortvalue_input("tokens", value(inputs))
            binding.bind_ortvalue_input("lengths", value(np.full(batch, total - 1, dtype=np.int32)))
            binding.bind_ortvalue_input("total", value(np.array(total, dtype=np.int32)))
            binding.bind_output("next")
            self.session.run_with_iobinding(binding)

        def first() -> None:
            step(prompts, prompt)

        def later(number: int) -> None:
            step(prompts[:, -1:], prompt + 1 + number)

        return clock.answers(first, later, generate - 1, seconds)


def main() -> None:
    print(json.dumps({"version": onnxruntime.__version__}), flush=True)
    for index, job in enumerate(json.load(sys.stdin)):
        with tempfile.TemporaryDirectory() as folder:
            runner = Runner(job, Path(folder))
            for load in job["loads"]:
                print(json.dumps({"job": index, "load": load, **runner.run(load, job["seconds"])}), flush=True)
            del runner


if __name__ == "__main__":
    main()
