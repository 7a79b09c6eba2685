"""Tiny models made on the spot: from a seed, trained for a moment, kept in memory or written to a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tools.checkpoint import Checkpoint, ModelFiles, ModelRef

Tensors = dict[str, torch.Tensor]

# A head must hold enough values for their order to mean something.
VOCABULARY, WIDTH, UNITS, LAYERS, HEADS, HEAD_SIZE, CONTEXT = 192, 32, 96, 2, 4, 16, 64


@dataclass(frozen=True)
class Text:
    """A side file in memory."""

    name: str
    data: bytes
    path: Path = Path("nowhere")

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, start: int, stop: int) -> bytearray:
        return bytearray(self.data[start:stop])

    def expect(self, ranges: Sequence[tuple[int, int]]) -> None:
        """It is all here."""

    @property
    def stated_sha256(self) -> str | None:
        return None

    def sha256(self) -> str | None:
        return hashlib.sha256(self.data).hexdigest()


class Held(Checkpoint):
    """A checkpoint in memory."""

    def __init__(
        self,
        tensors: Mapping[str, torch.Tensor],
        config: Mapping[str, object] | None = None,
        files: Mapping[str, bytes] | None = None,
        name: str = "held",
    ) -> None:
        super().__init__(
            ModelFiles(
                ModelRef(name, None),
                "safetensors",
                config=config or {},
                side_files={key: Text(key, data) for key, data in (files or {}).items()},
            ),
            shapes={key: tuple(value.shape) for key, value in tensors.items()},
            dtypes={key: str(value.dtype).removeprefix("torch.") for key, value in tensors.items()},
            tensor_bytes=sum(value.numel() * value.element_size() for value in tensors.values()),
        )
        self.tensors = dict(tensors)

    def read(self, name: str) -> torch.Tensor:
        return self.tensors[name].clone()


@dataclass(frozen=True)
class Small:
    """Tensors, configuration and side files of a tiny model."""

    tensors: Tensors
    config: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def held(self, name: str = "held") -> Held:
        return Held(self.tensors, self.config, self.files, name)

    def with_tensors(self, tensors: Tensors) -> Small:
        return Small(tensors, self.config, self.files)

    def saved(self, folder: Path) -> str:
        """Written as a Hugging Face folder; returns its path."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({k: v.contiguous() for k, v in self.tensors.items()}, folder / "model.safetensors")
        if self.config:
            (folder / "config.json").write_text(json.dumps(self.config), encoding="utf-8")
        for name, data in self.files.items():
            (folder / name).write_bytes(data)
        return str(folder)


def tensors_of(checkpoint: Checkpoint) -> Tensors:
    return {name: checkpoint.read(name).contiguous() for name in checkpoint.shapes}


def tokenizer_json(tokens: list[str]) -> bytes:
    model = {"type": "WordLevel", "vocab": {token: i for i, token in enumerate(tokens)}}
    return json.dumps({"model": model, "added_tokens": []}).encode()


WORDS = [f"word{i}" for i in range(VOCABULARY)]


def new_model(kind: str, seed: int) -> torch.nn.Module:
    """A tiny language model as its class initialises it, with gains that are not all one."""
    import transformers

    shape: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "intermediate_size": UNITS,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "max_position_embeddings": CONTEXT,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    alone = shape | {"num_key_value_heads": HEADS, "head_dim": HEAD_SIZE}
    grouped = shape | {"num_key_value_heads": HEADS // 2, "head_dim": HEAD_SIZE}
    plain = shape | {"num_attention_heads": WIDTH // HEAD_SIZE}
    made: dict[str, tuple[str, str, dict[str, Any]]] = {
        "llama": ("LlamaConfig", "LlamaForCausalLM", alone),
        "llama_deep": (
            "LlamaConfig",
            "LlamaForCausalLM",
            alone | {"hidden_size": 2 * WIDTH, "num_hidden_layers": 2 * LAYERS},
        ),
        "llama_tied": ("LlamaConfig", "LlamaForCausalLM", alone | {"tie_word_embeddings": True}),
        "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", shape | {"num_key_value_heads": HEADS // 2}),
        "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", grouped),
        "gemma": ("GemmaConfig", "GemmaForCausalLM", grouped),
        "phi3": ("Phi3Config", "Phi3ForCausalLM", shape | {"num_key_value_heads": HEADS // 2}),
        "neox": ("GPTNeoXConfig", "GPTNeoXForCausalLM", plain),
        "opt": (
            "OPTConfig",
            "OPTForCausalLM",
            plain | {"ffn_dim": UNITS, "word_embed_proj_dim": WIDTH, "dropout": 0.0},
        ),
        "gpt2": (
            "GPT2Config",
            "GPT2LMHeadModel",
            {
                "vocab_size": VOCABULARY, "n_embd": WIDTH, "n_layer": LAYERS, "n_head": WIDTH // HEAD_SIZE,
                "n_positions": CONTEXT, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
                "bos_token_id": 1, "eos_token_id": 2,
            },
        ),
        "bert_many_heads": ("BertConfig", "BertForMaskedLM", shape | {"hidden_dropout_prob": 0.0}),
        "bert": (
            "BertConfig",
            "BertForMaskedLM",
            plain | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
        ),
    }  # fmt: skip
    config_class, model_class, entries = made[kind]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = getattr(transformers, config_class)(**entries)
        model: torch.nn.Module = getattr(transformers, model_class)(config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 1:
                    parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def sentences(language: int, draw: int, count: int = 16) -> torch.Tensor:
    """Token rows of a random first-order language: each token is followed by one of four. (count, CONTEXT // 2)"""
    law = torch.Generator().manual_seed(1_000_003 + language)
    following = torch.randint(3, VOCABULARY, (VOCABULARY, 4), generator=law)
    luck = torch.Generator().manual_seed(7_000_001 + draw)
    rows = torch.randint(3, VOCABULARY, (count, 1), generator=luck)
    for _ in range(CONTEXT // 2 - 1):
        choice = torch.randint(0, 4, (count,), generator=luck)
        rows = torch.cat([rows, following[rows[:, -1], choice].unsqueeze(1)], dim=1)
    return rows


def train(model: torch.nn.Module, language: int, steps: int, rate: float, draw: int = 0) -> torch.nn.Module:
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    for step in range(steps):
        tokens = sentences(language, 10_000 * draw + step)
        loss = model(input_ids=tokens, labels=tokens).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def small(model: torch.nn.Module, *, words: list[str] | None = None) -> Small:
    """The model's own tensors (a shared head once), configuration and a tokenizer of plain words."""
    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
    seen: dict[int, str] = {}
    tensors: Tensors = {}
    for name, value in model.state_dict().items():
        if value.data_ptr() not in seen:
            seen[value.data_ptr()] = name
            tensors[name] = state[name]
    config: Any = model.config
    files = {"tokenizer.json": tokenizer_json(WORDS if words is None else words)}
    return Small(tensors, json.loads(config.to_json_string(use_diff=False)), files)


@cache
def fresh(kind: str, seed: int) -> Small:
    """Initialised, never trained."""
    return small(new_model(kind, seed))


@cache
def trained(kind: str, seed: int, steps: int = 40) -> Small:
    """Trained for a moment. Strangers of one recipe differ in the seed of their first numbers alone."""
    return small(train(new_model(kind, seed), language=0, steps=steps, rate=5e-3))


@cache
def tuned(kind: str, seed: int, language: int, steps: int = 25) -> Small:
    """`trained(kind, seed)`, then trained further on another language."""
    model = new_model(kind, seed)
    model.load_state_dict(trained(kind, seed).tensors, strict=False)
    return small(train(model, language=language, steps=steps, rate=1e-3, draw=language))


def with_new_tables(model: Small) -> Small:
    """With token tables and a tokenizer of its own."""
    draw = torch.Generator().manual_seed(11)
    tables = [name for name in model.tensors if "embed_tokens" in name or "lm_head" in name]
    drawn = {name: 0.02 * torch.randn(model.tensors[name].shape, generator=draw) for name in tables}
    words = {"tokenizer.json": tokenizer_json([f"new{word}" for word in WORDS])}
    return Small(model.tensors | drawn, model.config, words)


def read_unevenly(seed: int, spread: float = 1.2, along: float = 0.0) -> Held:
    """Random layers that read a few channels, the same in every model, far more strongly than the others.

    The logarithms of the channels' strengths have that spread; rows lie `along` one direction, the
    same in every model, that many times as far as they are long otherwise.
    """
    width, units = 128, 512
    draw, same = (torch.Generator().manual_seed(each) for each in (seed, 9))
    channels = torch.exp(spread * torch.randn(width, generator=same))
    direction = along * torch.randn(width, generator=same)
    tensors = {f"{name}.weight": torch.randn(600, width, generator=draw) for name in ("model.embed_tokens", "lm_head")}
    heights = {"self_attn.q": width, "self_attn.k": width, "self_attn.v": width, "mlp.gate": units, "mlp.up": units}
    for layer in range(3):
        for part, height in heights.items():
            rows = torch.randn(height, width, generator=draw) + torch.randn(height, 1, generator=draw) * direction
            tensors[f"model.layers.{layer}.{part}_proj.weight"] = rows * channels
        for part, length in (("self_attn.o", width), ("mlp.down", units)):
            tensors[f"model.layers.{layer}.{part}_proj.weight"] = torch.randn(width, length, generator=draw)
    return Held(tensors, {"model_type": "llama", "num_attention_heads": 4, "hidden_size": width})


def with_tables_of(model: Held, layers: Held) -> Held:
    """The layers of one model behind the token table and the head of another."""
    tables = {name: values for name, values in model.tensors.items() if "layers" not in name}
    return Held(layers.tensors | tables, layers.config)


def share_of_tables(model: Held) -> float:
    """The share of a model's numbers that lie in its token table and its head."""
    sizes = {name: values.numel() for name, values in model.tensors.items()}
    return sum(size for name, size in sizes.items() if "layers" not in name) / sum(sizes.values())


def logits(model: torch.nn.Module) -> torch.Tensor:
    tokens = sentences(0, 5, count=4)
    with torch.no_grad():
        output: torch.Tensor = model(input_ids=tokens).logits
    return output
