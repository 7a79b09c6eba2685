"""Models brought into one order and one set of coordinates, and the same whichever of them comes first."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.small_models import WORDS, Small, tensors_of, tokenizer_json, trained
from tools.audit import compare
from tools.comparison import Comparison
from tools.gauge import is_permutation
from tools.perturbations import Amount, perturbation_named


def disguised(model: Small, *changes: tuple[str, Amount]) -> Small:
    for number, (name, amount) in enumerate(changes):
        model = model.with_tensors(tensors_of(perturbation_named(name).apply(model.held(), amount, 5 + number)))
    return model


COORDINATES: tuple[str, Amount] = ("permute_residual", "all")
UNITS: tuple[str, Amount] = ("shuffle_units", "all")


@pytest.mark.parametrize("kind", ["gpt2", "bert"])
def test_coordinates_in_another_order_are_undone_where_a_mean_is_subtracted(kind: str) -> None:
    model = trained(kind, 1)
    found = Comparison(disguised(model, COORDINATES).held("copy"), model.held()).in_one_basis
    assert found is not None and is_permutation(found[1])
    for name, values in model.tensors.items():
        assert torch.equal(found[0].a.read(name), values), name


@pytest.mark.parametrize("kind", ["gpt2", "bert"])
@pytest.mark.parametrize("more", [(), (("add_noise", 0.05),), (UNITS,)], ids=["alone", "noisy", "units too"])
def test_a_copy_in_another_order_of_coordinates_is_a_disguised_one(
    kind: str, more: tuple[tuple[str, Amount], ...], tmp_path: Path
) -> None:
    model = trained(kind, 1)
    a, b = disguised(model, COORDINATES, *more).saved(tmp_path / "copy"), model.saved(tmp_path / "model")
    result = compare(a, b)
    kinds = {change["kind"] for change in result["changes"]}
    assert result["answer"] == "disguised_copy"
    assert "residual_permuted" in kinds and not kinds & {"rotated", "fine_tuned", "merged", "heads_permuted"}
    assert ("units_permuted" in kinds) is (UNITS in more) and ("noise" in kinds) is (("add_noise", 0.05) in more)


@pytest.mark.parametrize("weight", [0.1, 0.3])
def test_a_merge_is_in_no_other_coordinates(weight: float, tmp_path: Path) -> None:
    one, other = trained("gpt2", 1), trained("gpt2", 2)
    mean = {name: (1 - weight) * other.tensors[name] + weight * value for name, value in one.tensors.items()}
    result = compare(one.with_tensors(mean).saved(tmp_path / "mean"), one.saved(tmp_path / "one"))
    assert not {change["kind"] for change in result["changes"]} & {"rotated", "residual_permuted"}


def test_the_bias_of_a_head_has_no_rows_of_tokens() -> None:
    model = trained("bert", 1)
    order = torch.randperm(len(WORDS), generator=torch.Generator().manual_seed(3))
    tensors = {name: value[order] if value.shape[0] == len(WORDS) else value for name, value in model.tensors.items()}
    moved = Small(tensors, model.config, {"tokenizer.json": tokenizer_json([WORDS[i] for i in order])})
    assert any(len(value.shape) == 1 and value.shape[0] == len(WORDS) for value in tensors.values())
    tables = [pair for pair in Comparison(moved.held("moved"), model.held()).tensor_pairs if "word_emb" in pair.a]
    assert len(tables) == 1 and tables[0].partners is not None
