"""The parts of a model answered one by one: what was borrowed, what is its own, and how much of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.small_models import Small, tensors_of, trained
from tools.audit import compare
from tools.perturbations import Amount, perturbation_named

Change = tuple[str, Amount]


def tower(seed: int, prefix: str, *changes: Change) -> dict[str, torch.Tensor]:
    """An encoder without its tokens, as a part of a larger model."""
    model = trained("bert", seed)
    for name, amount in changes:
        model = model.with_tensors(tensors_of(perturbation_named(name).apply(model.held(), amount, 3)))
    return {prefix + name: value for name, value in model.tensors.items() if ".encoder." in name}


def seeing(seed: int, part: dict[str, torch.Tensor]) -> Small:
    """A language model of its own with a part that sees."""
    own = trained("llama_deep", seed)
    return Small(own.tensors | part, own.config, own.files)


DISGUISES: dict[str, tuple[tuple[Change, ...], set[str]]] = {
    "renamed": ((), {"identical"}),
    "re-ordered": ((("shuffle_units", "all"),), {"identical", "disguised_copy"}),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_borrowed_tower_in_a_model_of_its_own_is_a_shared_part(disguise: str, tmp_path: Path) -> None:
    changes, right = DISGUISES[disguise]
    borrowed = tower(1, "model.visual.", *changes)
    renamed = {name.replace("bert.encoder.layer", "blocks"): value for name, value in borrowed.items()}
    a, b = seeing(3, renamed), seeing(4, tower(1, "vision_tower."))
    result = compare(a.saved(tmp_path / "a"), b.saved(tmp_path / "b"))
    assert result["answer"] == "shared_part"
    share = sum(value.numel() for value in borrowed.values()) / sum(value.numel() for value in a.tensors.values())
    parts = {part["name"]: part for part in result["components"]}
    assert parts["vision part"]["answer"] in right
    assert parts["vision part"]["share_of_parameters"] == pytest.approx(share, rel=0.02)
    assert {part["answer"] for name, part in parts.items() if name != "vision part"} == {"undecided"}
    (told,) = [change for change in result["changes"] if change["kind"] == "component_only"]
    assert told["amount"] == pytest.approx(share, rel=0.1)


def test_towers_of_their_own_link_nothing(tmp_path: Path) -> None:
    a, b = seeing(3, tower(2, "model.visual.")), seeing(4, tower(1, "vision_tower."))
    result = compare(a.saved(tmp_path / "a"), b.saved(tmp_path / "b"))
    assert result["answer"] == "independent" and not result["changes"]


def upcycled(model: Small, experts: int, noise: float) -> Small:
    """Every feed-forward layer placed several times as experts, a fresh router in front (Komatsuzaki et al., 2023)."""
    luck = torch.Generator().manual_seed(4)
    tensors: dict[str, torch.Tensor] = {}
    for name, value in model.tensors.items():
        if ".mlp." not in name:
            tensors[name] = value
            continue
        before, after = name.split(".mlp.")
        tensors[f"{before}.mlp.gate.weight"] = torch.randn(experts, 64, generator=luck) * 0.02
        for expert in range(experts):
            grown = noise * value.std() * torch.randn(value.shape, generator=luck)
            tensors[f"{before}.mlp.experts.{expert}.{after}"] = value + grown
    return Small(tensors, model.config, model.files)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_experts_made_from_a_dense_model_are_linked_to_it(noise: float, tmp_path: Path) -> None:
    dense = trained("llama_deep", 1)
    a, b = upcycled(dense, 4, noise).saved(tmp_path / "experts"), dense.saved(tmp_path / "dense")
    stranger = trained("llama_deep", 2).saved(tmp_path / "stranger")
    for result in (compare(a, b), compare(b, a)):
        assert result["answer"] == "derived"
        assert "experts_from_dense" in {change["kind"] for change in result["changes"]}
        assert not {c["kind"] for c in result["changes"]} & {"layers_removed", "layers_repeated"}
    assert compare(a, stranger)["answer"] == "independent"
