"""Experts that lie stacked in one tensor are seen, matched and put in order one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.small_models import Held, Small, Tensors, fresh, tensors_of
from tools.comparison import Comparison
from tools.evidence import Evidence
from tools.formats.stacked import one_by_one
from tools.perturbations import perturbation_named
from tools.probes import probe_named
from tools.roles import Layout
from tools.sources import open_checkpoint
from tools.units import unit_vectors

EXPERTS, WIDTH, UNITS = 4, 32, 48


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def mixture(kind: str, seed: int, units: int = UNITS) -> Small:
    """Two layers of experts as a family stores them, each matrix of its own spread, behind a token table."""
    tensors: Tensors = {"model.embed_tokens.weight": random(200, WIDTH, seed=seed)}
    config: dict[str, object] = {"model_type": kind, "rope_theta": 1e4}
    shapes: dict[str, tuple[int, ...]] = {
        "gpt_oss": {"experts.gate_up_proj": (EXPERTS, WIDTH, 2 * units), "experts.down_proj": (EXPERTS, units, WIDTH)},
        "granitemoe": {
            "moe.input_linear.weight": (EXPERTS, 2 * units, WIDTH),
            "moe.output_linear.weight": (EXPERTS, WIDTH, units),
        },
        "dbrx": {f"experts.mlp.{one}": (EXPERTS * units, WIDTH) for one in ("w1", "v1", "w2")},
    }[kind]
    if kind == "dbrx":
        config["ffn_config"] = {"moe_num_experts": EXPERTS}
    for layer in (0, 1):
        for i, (name, shape) in enumerate(shapes.items()):
            tensors[f"model.layers.{layer}.{name}"] = random(*shape, seed=1000 * seed + 10 * layer + i)
    return Small(tensors, config)


KINDS = ["gpt_oss", "granitemoe", "dbrx"]


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_expert_is_a_layer_of_its_own(kind: str, suffix: str, tmp_path: Path) -> None:
    model = mixture(kind, 1)
    folder = model.saved(tmp_path / kind)
    if suffix == "bin":
        (tmp_path / kind / "model.safetensors").unlink()
        torch.save(model.tensors, tmp_path / kind / "pytorch_model.bin")
    with open_checkpoint(folder) as checkpoint:
        units = Layout(checkpoint).hidden_units
        assert len(units) == 2 * EXPERTS and {(u.width, u.features) for u in units} == {(UNITS, WIDTH)}
        assert all(len(u.members) == 3 for u in units)
        assert checkpoint.parameters == sum(v.numel() for v in model.tensors.values())
        last = units[-1]
        out = next(unit_vectors(checkpoint, member) for member in last.members if member.part == "out")
        stored = model.tensors[[n for n in model.tensors if "down_proj" in n or "output" in n or n.endswith("w2")][-1]]
        whole = stored.reshape(EXPERTS, -1, stored.shape[-1])[-1]
        assert torch.equal(out, whole.T if kind == "granitemoe" else whole)
        name = last.members[0].name
        assert torch.equal(checkpoint.read_rows(name, 3, 7), checkpoint.read(name)[3:7])


def test_gates_and_values_that_lie_by_turns_are_told_apart(tmp_path: Path) -> None:
    model = mixture("gpt_oss", 1)
    with open_checkpoint(model.saved(tmp_path / "model")) as checkpoint:
        first = Layout(checkpoint).hidden_units[0]
        parts = {member.part: unit_vectors(checkpoint, member) for member in first.members}
    stack = model.tensors["model.layers.0.experts.gate_up_proj"][0]
    assert torch.equal(parts["gate"], stack[:, ::2].T) and torch.equal(parts["up"], stack[:, 1::2].T)


@pytest.mark.parametrize("kind", KINDS)
def test_reordered_experts_are_linked_and_strangers_are_not(kind: str, tmp_path: Path) -> None:
    with (
        open_checkpoint(mixture(kind, 1).saved(tmp_path / "a")) as a,
        open_checkpoint(mixture(kind, 2).saved(tmp_path / "b")) as b,
    ):
        copy = Comparison(perturbation_named("shuffle_units").apply(a, "all", 3), a)
        partners, shape = (probe_named(name).measure(copy) for name in ("unit_partners", "difference_shape"))
        assert isinstance(partners, Evidence) and partners.log10_pvalue is not None and partners.log10_pvalue < -50
        assert isinstance(shape, Evidence) and shape.where["shares"] == {"equal": 1.0}
        for name in ("unit_order", "unit_partners", "unit_relations"):
            found = probe_named(name).measure(Comparison(a, b))
            assert isinstance(found, Evidence) and found.log10_pvalue is not None and found.log10_pvalue > -4


def test_units_of_a_tensor_that_holds_gates_and_values_can_be_reordered() -> None:
    model = fresh("phi3", 1)
    shuffled = perturbation_named("shuffle_units").apply(model.held(), "all", 3)
    found = probe_named("difference_shape").measure(Comparison(Held(tensors_of(shuffled), model.config), model.held()))
    assert isinstance(found, Evidence) and found.where["shares"] == {"equal": 1.0}


class Shaped:
    def __init__(self, *shape: int) -> None:
        self.shape = shape


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("model.layers.0.experts.gate_up_proj", (1, 64, 96)),
        ("model.layers.0.experts.gate_up_proj", (1 << 40, 64, 96)),
        ("model.layers.0.experts.gate_up_proj_scale", (4, 1, 96)),
        ("encoder.conv.weight", (64, 32, 9)),
        ("experts.mlp.w1", (192, 64)),
    ],
)
def test_what_is_no_stack_of_experts_stays_whole(name: str, shape: tuple[int, ...]) -> None:
    tensor = Shaped(*shape)
    assert one_by_one({name: tensor}, {}, lambda *_: pytest.fail("split")) == {name: tensor}


def test_a_name_that_exists_is_never_taken_over(tmp_path: Path) -> None:
    tensors = {"moe.experts.gate_up_proj": random(4, 32, 96), "moe.experts.2.gate_up_proj": random(32, 96)}
    save_file(tensors, tmp_path / "model.safetensors")
    with open_checkpoint(str(tmp_path)) as checkpoint:
        assert set(checkpoint.shapes) == set(tensors)
