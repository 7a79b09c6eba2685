"""Large models made on the spot, to measure speed on: Llama's shapes in bfloat16, random weights of the usual spread.

Every tensor is drawn from its own seed, so no layer repeats another. A copy holds the same draws under other names with
noise added; a stranger has another seed. A folder that is complete is used again.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

WIDTH, HIDDEN, HEADS, GROUPS, HEAD_SIZE = 4096, 14336, 32, 8, 128
SPREAD = 0.02
# Noise of the copy, as a share of the spread.
NOISE = 0.01
ROWS_AT_ONCE = 1024

# The other naming scheme in use for these models, as the copy has it.
RENAMED = (
    ("model.embed_tokens", "tok_embeddings"),
    ("model.layers", "layers"),
    ("model.norm", "norm"),
    ("lm_head", "output"),
    ("self_attn.q_proj", "attention.wq"),
    ("self_attn.k_proj", "attention.wk"),
    ("self_attn.v_proj", "attention.wv"),
    ("self_attn.o_proj", "attention.wo"),
    ("mlp.gate_proj", "feed_forward.w1"),
    ("mlp.down_proj", "feed_forward.w2"),
    ("mlp.up_proj", "feed_forward.w3"),
    ("input_layernorm", "attention_norm"),
    ("post_attention_layernorm", "ffn_norm"),
)


@dataclass(frozen=True)
class Size:
    """The sizes that vary between the models of the benchmark."""

    layers: int
    vocabulary: int
    tied: bool

    def shapes(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (self.vocabulary, WIDTH)}
        for layer in range(self.layers):
            block = f"model.layers.{layer}"
            found |= {
                f"{block}.input_layernorm.weight": (WIDTH,),
                f"{block}.self_attn.q_proj.weight": (HEADS * HEAD_SIZE, WIDTH),
                f"{block}.self_attn.k_proj.weight": (GROUPS * HEAD_SIZE, WIDTH),
                f"{block}.self_attn.v_proj.weight": (GROUPS * HEAD_SIZE, WIDTH),
                f"{block}.self_attn.o_proj.weight": (WIDTH, HEADS * HEAD_SIZE),
                f"{block}.post_attention_layernorm.weight": (WIDTH,),
                f"{block}.mlp.gate_proj.weight": (HIDDEN, WIDTH),
                f"{block}.mlp.up_proj.weight": (HIDDEN, WIDTH),
                f"{block}.mlp.down_proj.weight": (WIDTH, HIDDEN),
            }
        found["model.norm.weight"] = (WIDTH,)
        if not self.tied:
            found["lm_head.weight"] = (self.vocabulary, WIDTH)
        return found


# Gigabytes -> what makes a model of about that size.
SIZES = {1: Size(2, 32_000, True), 2: Size(4, 32_000, True), 5: Size(7, 128_256, False), 10: Size(19, 128_256, False)}


def made(folder: Path, size: Size, seed: int, *, copy: bool = False) -> Path:
    """The folder with the model in it, made unless it is there; with `copy` the renamed one with noise."""
    if folder.is_dir():
        return folder
    partly = folder.with_name(f"{folder.name}.partly")
    shutil.rmtree(partly, ignore_errors=True)
    partly.mkdir(parents=True)
    _write_weights(partly / "model.safetensors", size, seed, copy)
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDTH,
        "intermediate_size": HIDDEN, "num_hidden_layers": size.layers, "num_attention_heads": HEADS,
        "num_key_value_heads": GROUPS, "head_dim": HEAD_SIZE, "vocab_size": size.vocabulary,
        "rope_theta": 500000.0, "tie_word_embeddings": size.tied,
    }  # fmt: skip
    (partly / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tokens = {f"token{i}": i for i in range(size.vocabulary)}
    tokenizer = {"version": "1.0", "model": {"type": "BPE", "vocab": tokens, "merges": []}}
    (partly / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    partly.rename(folder)
    return folder


def _write_weights(path: Path, size: Size, seed: int, copy: bool) -> None:
    header, place = {}, 0
    for name, shape in size.shapes().items():
        length = 2 * torch.Size(shape).numel()
        header[_renamed(name) if copy else name] = {
            "dtype": "BF16",
            "shape": list(shape),
            "data_offsets": [place, place + length],
        }
        place += length
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in size.shapes().items():
            for part in _values(name, shape, seed, copy):
                file.write(part.view(torch.int16).numpy().data)


def _values(name: str, shape: tuple[int, ...], seed: int, copy: bool) -> Iterator[torch.Tensor]:
    """The tensor in bfloat16, some rows at a time."""
    own = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
    other = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name} noise".encode()))
    for start in range(0, shape[0], ROWS_AT_ONCE):
        rows = (min(ROWS_AT_ONCE, shape[0] - start), *shape[1:])
        values = torch.randn(rows, generator=own) * SPREAD + (1.0 if len(shape) == 1 else 0.0)
        values = values.bfloat16()
        if copy:
            values = (values.float() + NOISE * SPREAD * torch.randn(rows, generator=other)).bfloat16()
        yield values


def _renamed(name: str) -> str:
    for old, new in RENAMED:
        name = name.replace(old, new)
    return name
