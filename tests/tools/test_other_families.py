"""Families beside Llama's: fused and grouped attention, norms inside it, state spaces, tables in the files."""

from __future__ import annotations

import pytest
import torch

from tests.small_models import HEADS, WIDTH, Held, fresh, tensors_of
from tools.changes import size_changes
from tools.comparison import Comparison
from tools.evidence import Evidence
from tools.gauge import NoGauge, in_coordinates, residual_axes
from tools.names import has_role
from tools.perturbations import NotApplicable, perturbation_named
from tools.probes import probe_named
from tools.roles import Layout
from tools.units import lies_transposed


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["qkv_proj", "kv_proj", "q_kv_proj"])
def test_fused_attention_is_no_value_projection(name: str) -> None:
    # Rows of queries and keys turn with the position at rates of their own, so strangers share their order.
    whole = f"model.layers.0.self_attn.{name}.weight"
    assert not has_role(whole, "value") and not has_role(whole, "key") and has_role(whole, "attention")


def test_rows_of_a_fused_projection_are_not_matched() -> None:
    assert Layout(fresh("phi3", 1).held()).value_units == ()


def test_values_of_channels_that_fade_by_number_are_not_matched() -> None:
    tensors = {
        "rwkv.embeddings.weight": random(256, 32),
        "rwkv.blocks.0.attention.value.weight": random(32, 32, seed=1),
        "rwkv.blocks.0.feed_forward.key.weight": random(96, 32, seed=2),
        "rwkv.blocks.0.feed_forward.value.weight": random(32, 96, seed=3),
    }
    assert Layout(Held(tensors)).value_units
    assert not Layout(Held(tensors | {"rwkv.blocks.0.attention.time_decay": random(32)})).value_units


def test_a_few_large_experts_in_one_tensor_are_read() -> None:
    assert Layout(Held({"moe.input_linear.weight": random(4, 320, 64)})).learned == ("moe.input_linear.weight",)


def fading(heads: int, length: int) -> torch.Tensor:
    far = torch.arange(length)[:, None] - torch.arange(length)[None]
    rates = torch.arange(1, heads + 1)[:, None, None] / heads
    return torch.exp(torch.where(far >= 0, -rates * far, -torch.inf))[None]


@pytest.mark.parametrize("table", [fading(4, 32), fading(1, 64)[0, 0], torch.ones(8, 8).tril()[None, None] * 0.5])
def test_tables_of_distances_link_no_strangers(table: torch.Tensor) -> None:
    a, b = (Held({"first": table, "second": random(64, 96, seed=seed)}) for seed in (1, 2))
    assert Layout(a).learned == ("second",)
    found = probe_named("same_values").measure(Comparison(a, b))
    assert isinstance(found, Evidence) and found.statistic == 0.0


@pytest.mark.parametrize(("rows", "columns", "transposed"), [(96, 32, False), (32, 96, True)])
def test_shapes_tell_how_a_layer_of_that_name_lies(rows: int, columns: int, transposed: bool) -> None:
    model = Held({"h.0.mlp.c_fc.weight": random(rows, columns), "h.0.attn.c_proj.weight": random(32, 32)})
    assert lies_transposed(model, "h.0.attn.c_proj.weight") is transposed
    assert residual_axes(model, "h.0.attn.c_proj.weight", 32) == ((1,) if transposed else (0,))


def with_wide_norms(seed: int = 1) -> Held:
    """Norms over all queries and all keys of a layer, as in OLMo 2."""
    model = fresh("llama", seed)
    norms = {
        f"model.layers.{layer}.self_attn.{one}_norm.weight": random(model.tensors[rows].shape[0], seed=layer)
        for layer in (0, 1)
        for one in "qk"
        if (rows := f"model.layers.{layer}.self_attn.{one}_proj.weight")
    }
    return Held(model.tensors | norms, model.config)


def test_norms_inside_attention_follow_the_heads_and_not_the_stream() -> None:
    model = with_wide_norms()
    before = tensors_of(model)
    after = tensors_of(perturbation_named("shuffle_heads").apply(model, "all", 3))
    for layer in (0, 1):
        module = f"model.layers.{layer}.self_attn."
        rows, gains = f"{module}q_proj.weight", f"{module}q_norm.weight"
        size = len(before[gains]) // HEADS
        order = [
            next(i for i in range(HEADS) if torch.equal(before[rows][i * size], after[rows][head * size]))
            for head in range(HEADS)
        ]
        assert order != list(range(HEADS)) or layer
        assert torch.equal(after[gains], before[gains].reshape(HEADS, -1)[order].flatten())
        assert residual_axes(model, gains, len(before[gains])) == ()


def test_heads_beside_what_is_not_known_are_left_alone() -> None:
    model = fresh("llama", 1)
    lone = {f"model.layers.{i}.self_attn.lambda_q1": random(16, seed=i) for i in (0, 1)}
    with pytest.raises(NotApplicable):
        perturbation_named("shuffle_heads").apply(Held(model.tensors | lone, model.config), "all", 3)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("mlp.experts.down_proj", (4, 48, WIDTH)),
        ("post_feedforward_layernorm.weight", (WIDTH,)),
        ("conv.in_proj.weight", (96, WIDTH)),
    ],
)
def test_what_a_rotation_would_break_is_not_rotated(name: str, shape: tuple[int, ...]) -> None:
    model = fresh("llama", 1)
    with pytest.raises(NoGauge):
        in_coordinates(Held(model.tensors | {f"model.layers.0.{name}": random(*shape)}, model.config), None)


def state_space(seed: int) -> Held:
    """A layer of a state-space network: its channels pass through more than two matrices."""
    inner = 2 * WIDTH
    shapes = {
        "backbone.embeddings.weight": (256, WIDTH),
        "backbone.layers.0.mixer.in_proj.weight": (2 * inner, WIDTH),
        "backbone.layers.0.mixer.conv1d.weight": (inner, 1, 4),
        "backbone.layers.0.mixer.x_proj.weight": (12, inner),
        "backbone.layers.0.mixer.D": (inner,),
        "backbone.layers.0.mixer.A_log": (inner, 8),
        "backbone.layers.0.mixer.out_proj.weight": (WIDTH, inner),
    }
    return Held({name: random(*shape, seed=100 * seed + i) for i, (name, shape) in enumerate(shapes.items())})


def test_all_that_belongs_to_a_channel_moves_with_it() -> None:
    model = state_space(1)
    before, after = tensors_of(model), tensors_of(perturbation_named("shuffle_units").apply(model, "all", 3))
    name = "backbone.layers.0.mixer."
    order = [int((before[f"{name}D"] == value).nonzero()) for value in after[f"{name}D"]]
    assert order != sorted(order)
    assert torch.equal(after[f"{name}conv1d.weight"], before[f"{name}conv1d.weight"][order])
    assert torch.equal(after[f"{name}A_log"], before[f"{name}A_log"][order])
    assert torch.equal(after[f"{name}x_proj.weight"], before[f"{name}x_proj.weight"][:, order])
    assert torch.equal(after[f"{name}out_proj.weight"], before[f"{name}out_proj.weight"][:, order])
    with pytest.raises(NotApplicable):
        perturbation_named("rescale").apply(model, "unit", 3)


def test_token_coordinates_of_state_spaces_are_matched() -> None:
    probe = probe_named("coordinate_order")
    copy = probe.measure(Comparison(perturbation_named("add_noise").apply(state_space(1), 0.05, 3), state_space(1)))
    stranger = probe.measure(Comparison(state_space(1), state_space(2)))
    assert isinstance(copy, Evidence) and copy.statistic > 0.99
    assert isinstance(stranger, Evidence) and abs(stranger.statistic) < 0.9


def test_layers_of_which_names_show_more_are_still_paired() -> None:
    model = fresh("neox", 1).held()
    renamed = perturbation_named("rename_tensors").apply(model, "all", 3)
    assert {len(u.members) for u in Layout(renamed).hidden_units} == {1}
    found = probe_named("unit_order").measure(
        Comparison(perturbation_named("add_noise").apply(renamed, 0.05, 3), model)
    )
    assert isinstance(found, Evidence) and found.statistic > 0.99


def test_a_mixture_without_names_has_no_other_number_of_layers() -> None:
    experts = {
        f"model.layers.{layer}.experts.{i}.{name}.weight": random(*shape, seed=100 * layer + 10 * i + len(name))
        for layer in (0, 1)
        for i in range(3)
        for name, shape in (("w1", (48, 32)), ("w2", (32, 48)), ("w3x", (48, 32)))
    }
    model = Held({"model.embed_tokens.weight": random(200, 32)} | experts)
    renamed = perturbation_named("rename_tensors").apply(model, "all", 3)
    assert size_changes(Comparison(renamed, model), {}) == []


def test_a_rotation_is_seen_although_a_part_of_attention_keeps_its_values() -> None:
    # Between two narrow layers inside attention (DeepSeek) nothing has the coordinates of the stream.
    model = fresh("llama", 1)
    inside = {f"model.layers.{i}.self_attn.q_b_proj.weight": random(48, 48, seed=i) for i in (0, 1)}
    whole = Held(model.tensors | inside, model.config, model.files)
    turned = perturbation_named("rotate_residual").apply(whole, "all", 3)
    found = probe_named("difference_shape").measure(Comparison(turned, whole))
    assert isinstance(found, Evidence) and found.where["coordinates"] == "rotated"
