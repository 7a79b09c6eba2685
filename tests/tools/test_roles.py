"""Roles of tensors: what was learned, what holds hidden units, what holds tokens; with names and without."""

from __future__ import annotations

import math

import pytest
import torch

from tests.small_models import LAYERS, UNITS, VOCABULARY, WIDTH, Held, fresh, tensors_of, trained
from tools.perturbations import perturbation_named
from tools.roles import Layout, block_of, has_role, layer_of, name_patterns, unit_vectors


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


ROLES = {
    "model.embed_tokens.weight": "embedding",
    "transformer.wte.weight": "embedding",
    "bert.embeddings.word_embeddings.weight": "embedding",
    "gpt_neox.embed_in.weight": "embedding",
    "emb.weight": "embedding",
    "lm_head.weight": "head",
    "embed_out.weight": "head",
    "model.layers.3.self_attn.q_proj.weight": "query",
    "bert.encoder.layer.0.attention.self.key.weight": "key",
    "model.layers.3.self_attn.v_proj.bias": "value",
    "model.layers.3.self_attn.o_proj.weight": "attention_output",
    "bert.encoder.layer.0.attention.output.dense.weight": "attention_output",
    "layers.0.attention.wo.weight": "attention_output",
    "model.layers.0.mlp.gate_proj.weight": "gate",
    "layers.0.feed_forward.w1.weight": "gate",
    "model.layers.0.mlp.up_proj.weight": "up",
    "model.layers.0.mlp.down_proj.weight": "out",
    "blocks.4.ffn.value.weight": "out",
    "h.0.mlp.c_fc.weight": "in",
    "gpt_neox.layers.0.mlp.dense_h_to_4h.weight": "in",
    "model.layers.0.post_attention_layernorm.weight": "mlp_norm",
    "layers.0.ffn_norm.weight": "mlp_norm",
    "bn1.running_mean": "buffer",
    "layer1.0.bn2.num_batches_tracked": "buffer",
    "model.rotary_emb.inv_freq": "buffer",
    "embeddings.position_ids": "buffer",
    "h.0.attn.masked_bias": "buffer",
    "h.0.attn.bias": "buffer",
}

LEARNED_NAMES = [
    "transformer.h.0.attn.c_attn.bias",
    "transformer.h.0.attn.c_attn.weight",
    "transformer.h.0.attn.c_proj.bias",
    "h.0.self_attn.bias_k",
    "visual.blocks.0.attn.qkv.bias",
    "model.layers.0.self_attn.q_proj.bias",
    "bert.encoder.layer.0.attention.self.query.bias",
    "bert.embeddings.position_embeddings.weight",
    "gpt_neox.layers.0.attention.dense.bias",
    "bn1.weight",
]


@pytest.mark.parametrize(("name", "role"), ROLES.items())
def test_names_in_use_have_their_role(name: str, role: str) -> None:
    assert has_role(name, role)


@pytest.mark.parametrize("name", LEARNED_NAMES)
def test_learned_tensors_are_no_buffers_by_name(name: str) -> None:
    assert not has_role(name, "buffer")


def test_every_pattern_is_used_by_some_name() -> None:
    assert set(ROLES.values()) <= set(name_patterns())


def test_layers_and_blocks() -> None:
    assert [layer_of(n) for n in ("model.layers.12.mlp.up", "h.3.attn", "lm_head", "conv1.weight")] == [
        12,
        3,
        None,
        None,
    ]
    assert block_of("model.layers.2.mlp.up_proj.weight") == "model.layers.2"
    assert block_of("layers.0.experts.3.w1") == "layers.0.experts.3"
    assert block_of("lm_head.weight") is None


def rotary(length: int = 128, width: int = 64) -> torch.Tensor:
    rates = 10000 ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(length)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


NOT_LEARNED = {
    "bn.running_mean": random(64, 64),
    "bn.num_batches_tracked": torch.tensor(5),
    "steps": torch.arange(4096).reshape(64, 64),
    "tril": torch.tril(torch.ones(64, 64)),
    "bool_mask": torch.tril(torch.ones(64, 64)).bool(),
    "causal": torch.triu(torch.full((64, 64), -math.inf), 1),
    "causal_min": torch.triu(torch.full((64, 64), torch.finfo(torch.float32).min), 1),
    "ones": torch.ones(64, 64),
    "zeros": torch.zeros(64, 64),
    "rope_under_no_name": rotary(),
    "cosines": torch.cos(torch.arange(256.0)[:, None] * torch.arange(1, 65)[None, :] * 0.01),
    "ramp": torch.linspace(-1, 1, 64 * 96).reshape(64, 96),
    "hann": torch.hann_window(400).repeat(8, 1),
    "empty": torch.empty(0, 64),
}

LEARNED = {
    "plain": random(64, 96),
    "half": random(64, 96).half(),
    "bfloat": random(64, 96).bfloat16(),
    "float8": random(64, 96).to(torch.float8_e4m3fn),
    "convolution": random(32, 16, 3, 3),
    "gains": torch.ones(96),
    "bias": random(96),
    "pruned": random(64, 96) * (random(64, 96, seed=4) > -0.2),
    "low_rank": random(64, 2) @ random(2, 96, seed=3),
    "quantised": (random(64, 96) * 20).round() / 20,
}


@pytest.mark.parametrize("name", NOT_LEARNED)
def test_tables_nobody_learned_are_left_out(name: str) -> None:
    assert Layout(Held({name: NOT_LEARNED[name], **LEARNED})).learned == tuple(LEARNED)


@pytest.mark.parametrize("name", LEARNED)
def test_learned_tensors_are_found(name: str) -> None:
    assert Layout(Held({name: LEARNED[name]})).learned == (name,)


def test_parameters_count_learned_numbers_alone() -> None:
    layout = Layout(Held(NOT_LEARNED | LEARNED))
    assert layout.parameters == sum(value.numel() for value in LEARNED.values())


KINDS = ["llama", "llama_tied", "qwen2", "qwen3", "gemma", "phi3", "neox", "opt", "gpt2", "bert"]


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_units_by_name(kind: str) -> None:
    model = fresh(kind, 1).held()
    layout = Layout(model)
    units = layout.hidden_units
    assert len(units) == LAYERS and [u.layer for u in units] == list(range(LAYERS))
    assert {u.width for u in units} == {4 * WIDTH if kind == "gpt2" else UNITS}
    assert {u.features for u in units} == {WIDTH} and layout.residual_width == WIDTH
    gated = kind not in ("gpt2", "bert", "neox", "opt")
    for layer in units:
        assert len(layer.members) == (3 if gated else 2)
        assert sum(member.part == "out" for member in layer.members) == 1
        for member in layer.members:
            assert unit_vectors(model, member).shape == (layer.width, WIDTH)
    assert layout.embedding is not None and model.shapes[layout.embedding] == (VOCABULARY, WIDTH)
    assert not has_role(layout.embedding, "head")


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_of_a_known_family_was_learned(kind: str) -> None:
    model = fresh(kind, 1).held()
    assert Layout(model).learned == tuple(model.shapes)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert", "qwen2", "phi3"])
def test_hidden_units_without_names(kind: str) -> None:
    known = trained(kind, 1).held()
    nameless = perturbation_named("rename_tensors").apply(known, "all", 0)
    assert all(name.startswith("t") and name[1:].isdigit() for name in nameless.shapes)
    units = Layout(nameless).hidden_units
    named = Layout(known).hidden_units
    assert units and {u.width for u in units} == {u.width for u in named}
    assert {u.features for u in units} == {WIDTH}
    assert Layout(nameless).learned and Layout(nameless).parameters == Layout(known).parameters


def test_convolutions() -> None:
    model = Held(
        {
            "conv1.weight": random(32, 3, 3, 3),
            "layer1.conv.weight": random(64, 32, 3, 3, seed=1),
            "fc.weight": random(10, 64, seed=2),
        }
    )
    units = Layout(model).hidden_units
    # The channels of both are read by what comes next, so nobody outside sees their order.
    assert [(u.label, u.width, u.kind) for u in units] == [
        ("conv1.weight", 32, "conv"), ("layer1.conv.weight", 64, "conv"),
    ]  # fmt: skip


def language_part() -> dict[str, torch.Tensor]:
    """Two layers of width 64 with 96 hidden units, and a token table."""
    layers = {
        f"model.layers.{i}.{name}": random(*shape, seed=10 * i + k)
        for i in range(2)
        for k, (name, shape) in enumerate(
            {"mlp.up_proj.weight": (96, 64), "mlp.down_proj.weight": (64, 96), "norm1.weight": (64,)}.items()
        )
    }
    return {"model.embed_tokens.weight": random(VOCABULARY, 64, seed=99), **layers}


def tower_layer(name: str, seed: int, **more: torch.Tensor) -> dict[str, torch.Tensor]:
    """One layer of width 32 with 80 hidden units, as towers that see have them; the two tensors' names vary."""
    vectors = {f"visual.blocks.{seed}.{v}": random(32, seed=seed) for v in ("n1.weight", "n1.bias", "n2.weight")}
    first, second = name.split()
    matrices = {first: random(80, 32, seed=seed), second: random(32, 80, seed=seed + 50)}
    return {**vectors, **{f"visual.blocks.{seed}.{n}": v for n, v in {**matrices, **more}.items()}}


@pytest.mark.parametrize("names", ["mlp.fc1.weight mlp.fc2.weight", "wide narrow", "ff.1.net.0.w ff.1.net.3.w"])
def test_a_tower_of_another_width_has_hidden_units_of_its_own(names: str) -> None:
    tensors = language_part() | tower_layer(names, 0) | tower_layer(names, 1)
    layout = Layout(Held(tensors))
    assert {(u.width, u.features) for u in layout.main_layers} == {(96, 64)} and len(layout.main_layers) == 2
    towers = [u for u in layout.hidden_units if u not in layout.main_layers]
    # Tensors whose names do not join them are joined by what training makes alike, of which there is nothing here.
    assert [(u.width, u.features) for u in towers] == [(80, 32)] * 2


def test_what_no_layer_hides_is_no_tower() -> None:
    two = {f"visual.blocks.{i}.{n}": random(*s, seed=i) for i in range(2) for n, s in (
        ("to_q.weight", (80, 32)), ("to_kv.weight", (160, 32)), ("to_out.weight", (32, 80)), ("norm.weight", (32,)),
    )}  # fmt: skip
    # Into the language part's coordinates and back: their numbers belong to its stream.
    there_and_back = {"visual.merge.weight": random(64, 32), "visual.ask.weight": random(32, 64, seed=1)}
    norms = {f"visual.norm{i}.weight": random(32, seed=i) for i in range(4)}
    units = Layout(Held(language_part() | two | there_and_back | norms)).hidden_units
    assert {(u.width, u.features) for u in units} == {(96, 64)}


def test_small_matrices_beside_convolutions_do_not_stand_for_them() -> None:
    tensors = {"stem.weight": random(64, 3, 3, 3), "layer.0.conv.weight": random(64, 64, 3, 3, seed=1)}
    tensors |= {"layer.0.se.fc1.weight": random(48, 96), "layer.0.se.fc2.weight": random(96, 48, seed=2)}
    tensors |= {f"layer.0.norm{i}.{n}": random(64, seed=i) for i in range(2) for n in ("weight", "bias")}
    tensors |= {f"layer.0.se.norm.{n}": random(96, seed=3) for n in ("weight", "bias")}
    assert {u.kind for u in Layout(Held(tensors)).hidden_units} == {"conv"}


def test_attention_and_tokens_are_no_hidden_units() -> None:
    square = {f"model.layers.{i}.self_attn.{p}_proj.weight": random(64, 32, seed=i) for i in range(2) for p in "qkv"}
    square |= {f"model.layers.{i}.self_attn.o_proj.weight": random(32, 64, seed=i) for i in range(2)}
    assert Layout(Held({"model.embed_tokens.weight": random(VOCABULARY, 32), **square})).hidden_units == ()


def test_the_gain_before_a_layer() -> None:
    model = trained("llama", 1).held()
    layout = Layout(model)
    for i, units in enumerate(layout.hidden_units):
        gain = layout.gain_before(units)
        assert gain is not None
        assert torch.equal(gain, model.read(f"model.layers.{i}.post_attention_layernorm.weight"))


def test_broken_names_the_tensor_with_nan_but_not_a_mask() -> None:
    spoilt = random(64, 96)
    spoilt[3, 5] = math.nan
    endless = random(64, 96)
    endless[3, 5] = math.inf
    layout = Layout(Held({"good": random(64, 96), "nan": spoilt, "inf": endless, "mask": NOT_LEARNED["causal"]}))
    assert set(layout.broken) == {"nan", "inf"}


def test_views_keep_shapes_and_values() -> None:
    model = trained("llama", 1).held()
    assert tensors_of(model).keys() == model.shapes.keys()
    assert all(torch.equal(value, model.tensors[name]) for name, value in tensors_of(model).items())
