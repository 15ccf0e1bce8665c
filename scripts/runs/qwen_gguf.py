#!/usr/bin/env python3
"""Writes a GGUF file with the shapes of Qwen2.5-0.5B and random weights, for `llama-bench`: what a step costs does not depend on the values.

Usage: qwen_gguf.py q8_0|bf16 FILE
Needs `pip install gguf==0.19.0 numpy`.
"""

from __future__ import annotations

import sys

import gguf
import numpy as np

NAME = "Qwen2.5-0.5B"
LAYERS, HIDDEN, INNER, HEADS, KV_HEADS, VOCABULARY, CONTEXT = 24, 896, 4864, 14, 2, 151_936, 32_768
KV = HIDDEN // HEADS * KV_HEADS
TYPES = {"q8_0": gguf.GGMLQuantizationType.Q8_0, "bf16": gguf.GGMLQuantizationType.BF16}
FILES = {"q8_0": gguf.LlamaFileType.MOSTLY_Q8_0, "bf16": gguf.LlamaFileType.MOSTLY_BF16}


def main(kind: str, path: str) -> None:
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_name(NAME)
    writer.add_file_type(FILES[kind])
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("no_vocab")

    def matrix(name: str, rows: int, columns: int) -> None:
        values = random.standard_normal((rows, columns), dtype=np.float32) * np.float32(0.02)
        packed = gguf.quants.quantize(values, TYPES[kind])
        writer.add_tensor(name, packed, raw_dtype=TYPES[kind])

    def vector(name: str, size: int) -> None:
        writer.add_tensor(name, np.ones(size, dtype=np.float32))

    matrix("token_embd.weight", VOCABULARY, HIDDEN)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        vector(f"{block}.attn_norm.weight", HIDDEN)
        for part, rows in (("q", HIDDEN), ("k", KV), ("v", KV)):
            matrix(f"{block}.attn_{part}.weight", rows, HIDDEN)
            vector(f"{block}.attn_{part}.bias", rows)
        matrix(f"{block}.attn_output.weight", HIDDEN, HIDDEN)
        vector(f"{block}.ffn_norm.weight", HIDDEN)
        for part in ("gate", "up"):
            matrix(f"{block}.ffn_{part}.weight", INNER, HIDDEN)
        matrix(f"{block}.ffn_down.weight", HIDDEN, INNER)
    vector("output_norm.weight", HIDDEN)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
