"""GGUF files for tests: a Llama-type model written as llama.cpp's converter does, in any quantisation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind

_NAMES = {
    "model.embed_tokens": "token_embd",
    "lm_head": "output",
    "model.norm": "output_norm",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def name_in_gguf(name: str) -> str:
    name = name.replace("model.layers.", "blk.")
    for ours, theirs in _NAMES.items():
        name = name.replace(ours, theirs)
    return name


def paired(values: np.ndarray, heads: int) -> np.ndarray:
    """LlamaModel.permute of llama.cpp's converter."""
    shape = values.shape
    return values.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def write_llama(
    path: Path,
    tensors: Mapping[str, torch.Tensor],
    config: Mapping[str, Any],
    kind: Kind,
    *,
    tokens: list[str] | None = None,
    merges: list[str] | None = None,
) -> Path:
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("A model")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(1e-5)
    if tokens:
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list(tokens)
        writer.add_token_types([1] * len(tokens))
        writer.add_token_merges(merges or [])
    for name, tensor in tensors.items():
        values = tensor.float().numpy()
        if "q_proj" in name:
            values = paired(values, config["num_attention_heads"])
        if "k_proj" in name:
            values = paired(values, config["num_key_value_heads"])
        one = Kind.F32 if values.ndim == 1 else kind
        data = {Kind.Q4_K: q4_k, Kind.Q6_K: q6_k}.get(one, lambda v, k=one: gguf.quants.quantize(v, k))(values)
        writer.add_tensor(name_in_gguf(name), data, raw_dtype=one)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _sixteens(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float16).view(np.uint8).reshape(len(values), 2)


def q4_k(values: np.ndarray) -> np.ndarray:
    """Blocks of 256: eight steps and eight minima of 6 bits, values of 4 bits (ggml, dequantize_row_q4_K)."""
    blocks = values.reshape(-1, 8, 32)
    low = np.minimum(blocks.min(-1), 0)
    step = (blocks.max(-1) - low) / 15
    d, m = step.max(-1) / 63, -low.min(-1) / 63
    steps = np.rint(step / d[:, None]).astype(np.uint8)
    minima = np.rint(-low / m[:, None]).astype(np.uint8)
    real = (d.astype(np.float16).astype(float)[:, None] * steps)[..., None]
    least = (m.astype(np.float16).astype(float)[:, None] * minima)[..., None]
    q = np.clip(np.rint((blocks + least) / np.maximum(real, 1e-12)), 0, 15).astype(np.uint8)
    packed = np.concatenate(
        [
            steps[:, :4] | (steps[:, 4:] >> 4 << 6),
            minima[:, :4] | (minima[:, 4:] >> 4 << 6),
            (steps[:, 4:] & 15) | (minima[:, 4:] & 15) << 4,
        ],
        axis=1,
    )
    pairs = q.reshape(-1, 4, 2, 32)
    data = (pairs[:, :, 0] | pairs[:, :, 1] << 4).reshape(-1, 128)
    whole = np.concatenate([_sixteens(d), _sixteens(m), packed, data], axis=1)
    return whole.reshape(len(values), -1)


def q6_k(values: np.ndarray) -> np.ndarray:
    """Blocks of 256: sixteen steps of 8 bits, values of 6 bits around 32 (ggml, dequantize_row_q6_K)."""
    blocks = values.reshape(-1, 16, 16)
    step = np.abs(blocks).max(-1) / 31
    d = step.max(-1) / 127
    scales = np.rint(step / d[:, None]).astype(np.int8)
    real = (d.astype(np.float16).astype(float)[:, None] * scales)[..., None]
    q = (np.clip(np.rint(blocks / np.maximum(real, 1e-12)), -32, 31) + 32).astype(np.uint8).reshape(-1, 2, 4, 32)
    low = np.concatenate([q[:, :, 0] & 15 | (q[:, :, 2] & 15) << 4, q[:, :, 1] & 15 | (q[:, :, 3] & 15) << 4], axis=2)
    high = q[:, :, 0] >> 4 | q[:, :, 1] >> 4 << 2 | q[:, :, 2] >> 4 << 4 | q[:, :, 3] >> 4 << 6
    whole = [low.reshape(-1, 128), high.reshape(-1, 64), scales.view(np.uint8), _sixteens(d)]
    return np.concatenate(whole, axis=1).reshape(len(values), -1)
