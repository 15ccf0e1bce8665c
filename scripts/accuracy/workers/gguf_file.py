"""Writes a GGUF file with the shapes of a model and random weights.

Usage: gguf_file.py f16|q8_0|q4_0 FILE < config.json
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import gguf
import numpy as np

TYPES = {name: gguf.GGMLQuantizationType[name.upper()] for name in ("f16", "bf16", "q8_0", "q4_0")}
ROWS = 256


def write(config: dict[str, Any], kind: str, path: str) -> None:
    """All matrices in one format, the table of tokens too; norms and biases in f32."""
    layers, hidden, inner = (config[key] for key in ("num_hidden_layers", "hidden_size", "intermediate_size"))
    heads, kv_heads, dim = (config[key] for key in ("num_attention_heads", "num_key_value_heads", "head_dim"))
    writer = gguf.GGUFWriter(path, config["model_type"])
    writer.add_name("random weights")
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{kind.upper()}"])
    writer.add_block_count(layers)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(dim)
    writer.add_value_length(dim)
    writer.add_rope_dimension_count(dim)
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    random = np.random.default_rng(1)
    tiles: dict[int, Any] = {}

    def matrix(name: str, rows: int, columns: int) -> None:
        if columns not in tiles:
            values = random.standard_normal((ROWS, columns), dtype=np.float32) * np.float32(0.02)
            tiles[columns] = gguf.quants.quantize(values, TYPES[kind])
        packed = np.tile(tiles[columns], (math.ceil(rows / ROWS), 1))[:rows]
        writer.add_tensor(name, np.ascontiguousarray(packed), raw_dtype=TYPES[kind])

    def vector(name: str, size: int, value: float) -> None:
        writer.add_tensor(name, np.full(size, value, dtype=np.float32))

    matrix("token_embd.weight", config["vocab_size"], hidden)
    for layer in range(layers):
        block = f"blk.{layer}"
        vector(f"{block}.attn_norm.weight", hidden, 1.0)
        for part, rows in (("q", heads * dim), ("k", kv_heads * dim), ("v", kv_heads * dim)):
            matrix(f"{block}.attn_{part}.weight", rows, hidden)
            if config["attention_bias"]:
                vector(f"{block}.attn_{part}.bias", rows, 0.0)
        matrix(f"{block}.attn_output.weight", hidden, heads * dim)
        vector(f"{block}.ffn_norm.weight", hidden, 1.0)
        for part in ("gate", "up"):
            matrix(f"{block}.ffn_{part}.weight", inner, hidden)
        matrix(f"{block}.ffn_down.weight", hidden, inner)
    vector("output_norm.weight", hidden, 1.0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    write(json.load(sys.stdin), *sys.argv[1:])
