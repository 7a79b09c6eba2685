"""Roles of tensors: what was learned, what holds hidden units, what holds tokens; with names and without."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from tests.small_models import LAYERS, UNITS, VOCABULARY, WIDTH, Held, fresh, tensors_of, trained
from tools.names import block_of, has_role, layer_of, name_patterns
from tools.perturbations import perturbation_named
from tools.roles import Layout
from tools.units import unit_vectors


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
    "encoder.block.0.layer.0.SelfAttention.o.weight": "attention_output",
    "encoder.block.0.layer.0.SelfAttention.v.weight": "value",
    "encoder.layer.0.attention.attn.q.weight": "query",
    "transformer.layer.0.attention.v_lin.weight": "value",
    "deberta.encoder.layer.0.attention.self.value_proj.weight": "value",
    "model.layers.0.attn.Wo.weight": "attention_output",
    "lstm.weight_ih_l0_reverse": "recurrent",
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


FEED_FORWARD = [
    "encoder.block.0.layer.1.DenseReluDense.wo.weight",
    "model.layers.0.mlp.Wo.weight",
    "down_blocks.0.attentions.1.transformer_blocks.0.ff.net.2.weight",
]


@pytest.mark.parametrize("name", FEED_FORWARD)
def test_what_feed_forward_layers_write_is_no_attention(name: str) -> None:
    assert not has_role(name, "attention") and not has_role(name, "attention_output")


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
    assert block_of("decoder.block.0.layer.2.DenseReluDense.wi_1.weight") == "decoder.block.0.layer.2"
    assert block_of("transformer.layer.3.ff.layer_2.bias") == "transformer.layer.3" and block_of("t_001") == "t_001"


def rotary(length: int = 128, width: int = 64) -> torch.Tensor:
    rates = 10000 ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(length)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def on_a_square(side: int = 8, width: int = 32) -> torch.Tensor:
    """Sines and cosines of the row and of the column of each patch of a picture, behind a token of its own."""
    places = rotary(side, width // 2)
    square = torch.cat([places.repeat_interleave(side, 0), places.repeat(side, 1)], dim=1)
    return torch.cat([torch.zeros(1, width), square])[None]


NOT_LEARNED = {
    "pos_embed": on_a_square(),
    "few_places": rotary(32),
    "places_of_one_text": rotary()[None],
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


def test_units_of_one_length_join_no_layers() -> None:
    """Squares of such large numbers are infinite in 32 bits: all lengths are alike, and correlate with nothing."""
    nameless = perturbation_named("rename_tensors").apply(fresh("llama", 1).held(), "all", 0)
    large = {name: values * 1e30 for name, values in tensors_of(nameless).items()}
    units = Layout(Held(large, None, {})).hidden_units
    assert units and all(len(layer.members) == 1 for layer in units)


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


LAYERS_OF_FAMILIES = {
    "t5": ("encoder.block.{}.layer.1.DenseReluDense.", {"wi.weight": (96, 64), "wo.weight": (64, 96)}),
    "t5, gated": (
        "decoder.block.{}.layer.2.DenseReluDense.",
        {"wi_0.weight": (96, 64), "wi_1.weight": (96, 64), "wo.weight": (64, 96)},
    ),
    "modernbert": ("model.layers.{}.mlp.", {"Wi.weight": (192, 64), "Wo.weight": (64, 96)}),
    "xlnet": ("transformer.layer.{}.ff.", {"layer_1.weight": (96, 64), "layer_2.weight": (64, 96)}),
    "patchtst": ("model.encoder.layers.{}.ff.", {"0.weight": (96, 64), "3.weight": (64, 96)}),
    "diffusers": (
        "up_blocks.{}.attentions.0.transformer_blocks.0.ff.net.", {"0.proj.weight": (192, 64), "2.weight": (64, 96)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", LAYERS_OF_FAMILIES)
def test_feed_forward_layers_of_many_families(family: str) -> None:
    prefix, shapes = LAYERS_OF_FAMILIES[family]
    tensors = {"shared.weight": random(VOCABULARY, 64)}
    for i in range(3):
        block = prefix.format(i)
        tensors |= {block + name: random(*shape, seed=7 * i + k) for k, (name, shape) in enumerate(shapes.items())}
        tensors[f"{block}norm.weight"] = random(64, seed=i)
        tensors |= {f"{prefix.partition('{}')[0]}{i}.self_attn.{p}_proj.weight": random(64, 64) for p in "qkvo"}
    units = Layout(Held(tensors)).hidden_units
    assert [(u.width, u.features, u.kind) for u in units] == [(96, 64, "mlp")] * 3
    gated = sum(shape[0] for shape in shapes.values()) > 96 + 64
    assert {len(u.members) for u in units} == {3 if gated else 2}


def test_a_narrow_token_table_is_mapped_into_the_stream_by_no_hidden_layer() -> None:
    layers = {f"encoder.layer.{i}.{n}.dense.weight": random(*s, seed=i) for i in range(2) for n, s in (
        ("intermediate", (256, 64)), ("output", (64, 256)),
    )}  # fmt: skip
    vectors = {f"encoder.layer.{i}.LayerNorm.{n}": random(64, seed=i) for i in range(2) for n in ("weight", "bias")}
    maps = {"embeddings_project.weight": random(64, 32), "predictions.dense.weight": random(32, 64)}
    values = {f"encoder.layer.{i}.attention.self.value.weight": random(64, 64, seed=i) for i in range(2)}
    tensors = {"embeddings.word_embeddings.weight": random(VOCABULARY, 32), **layers, **vectors, **maps, **values}
    layout = Layout(Held(tensors, config={"hidden_size": 64, "embedding_size": 32, "num_attention_heads": 4}))
    assert [(u.width, u.features) for u in layout.main_layers] == [(256, 64)] * 2
    assert layout.hidden_units == layout.main_layers
    assert [(u.width, u.features) for u in layout.value_units] == [(16, 64)] * 8


def test_recurrent_layers() -> None:
    shapes = {"rnn.weight_ih_l0": (128, 24), "rnn.weight_hh_l0": (128, 32), "gru.weight_ih_l1": (96, 32)}
    tensors = {name: random(*shape, seed=len(name)) for name, shape in shapes.items()}
    tensors |= {"gru.weight_hh_l1": random(96, 32, seed=1), "embedding.weight": random(VOCABULARY, 24)}
    units = Layout(Held(tensors)).hidden_units
    assert [(u.label, u.kind, u.width, u.features, len(u.members)) for u in units] == [
        ("rnn.weight_ih_l0", "recurrent", 32, 24, 4), ("gru.weight_ih_l1", "recurrent", 32, 32, 3),
    ]  # fmt: skip


def chain(*widths: int) -> dict[str, torch.Tensor]:
    """Linear layers one after the other, each with its bias."""
    pairs = [(f"{2 * i}", wide, narrow) for i, (narrow, wide) in enumerate(pairwise(widths))]
    weights = {f"{name}.weight": random(wide, narrow, seed=int(name)) for name, wide, narrow in pairs}
    return weights | {f"{name}.bias": random(wide, seed=int(name)) for name, wide, _ in pairs}


def test_chains_of_linear_layers() -> None:
    tensors = chain(20, 96, 64, 3)
    assert [(u.label, u.width, u.kind) for u in Layout(Held(tensors)).hidden_units] == [
        ("0.weight", 96, "lone"), ("2.weight", 64, "lone"),
    ]  # fmt: skip
    # Rows of a table have no bias; whether any are units nobody can tell.
    tensors["places.weight"] = random(64, 20)
    assert {u.label for u in Layout(Held(tensors)).hidden_units} == {"0.weight", "2.weight"}


def test_rows_whose_order_means_something_are_no_hidden_units() -> None:
    tensors = chain(80, 96, 64, 80)
    smooth = torch.nn.functional.avg_pool1d(random(1, 64, 88), 9, 1)[0].T
    assert [u.label for u in Layout(Held(tensors)).hidden_units] == ["0.weight", "2.weight", "4.weight"]
    # What comes out lies along frequencies, points in time or pixels, in one order in strangers too.
    units = Layout(Held(tensors | {"4.weight": smooth})).hidden_units
    assert [u.label for u in units] == ["0.weight", "2.weight"]


def test_what_goes_in_and_comes_out_is_not_hidden() -> None:
    smooth = torch.nn.functional.avg_pool1d(random(1, 96, 88), 9, 1)[0]
    units = Layout(Held(chain(80, 96, 80) | {"0.weight": smooth, "2.weight": smooth.T.contiguous()})).hidden_units
    assert all(u.width == 96 for u in units)


def test_small_layers_within_convolutions_do_not_silence_their_channels() -> None:
    convolutions = {f"conv{i}.weight": random(64, 64, 3, 3, seed=i) for i in range(3)}
    layer = {"mid.0.ff.net.0.proj.weight": random(512, 64), "mid.0.ff.net.2.weight": random(64, 256)}
    vectors = {f"norm{i}.weight": random(64, seed=i) for i in range(3)}
    units = Layout(Held(convolutions | layer | vectors)).hidden_units
    assert sorted({u.kind for u in units}) == ["conv", "mlp"]


def test_roles_do_not_depend_on_the_order_of_the_file() -> None:
    tensors = {f"layer{i}.conv.weight": random(w, v, 3, 3, seed=w) for i, (v, w) in enumerate([(3, 24), (24, 48)])}
    tensors |= {f"layer{i}.bn.{n}": random(w, seed=w) for i, w in enumerate((24, 48)) for n in ("weight", "bias")}
    tensors["fc.weight"] = random(8, 48)
    one, other = Layout(Held(tensors)), Layout(Held(dict(reversed(tensors.items()))))
    assert one.residual_width == other.residual_width and one.units_per_layer == other.units_per_layer
    assert len(one.main_layers) == len(other.main_layers) == 2


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
