"""The map of layers where depths differ: planted removals and repeats are found in place, whatever hides them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.small_models import tensors_of, trained
from tools.audit import compare
from tools.comparison import Comparison
from tools.depth import counterparts, layer_map
from tools.perturbations import Amount, perturbation_named
from tools.perturbations.drop_layers import with_layers

REMOVED = {"first": [1, 2, 3], "middle": [0, 2, 3], "last": [0, 1, 2], "every second": [0, 2], "all but one": [2]}
REPEATED = {"first": [0, 0, 1, 2, 3], "middle": [0, 1, 1, 2, 3], "last": [0, 1, 2, 3, 3], "all": [0, 1, 2, 3] * 2,
            "up-scaled": [0, 1, 2, 1, 2, 3]}  # fmt: skip
DISGUISES: dict[str, tuple[tuple[str, Amount], ...]] = {
    "plain": (),
    "noisy and re-ordered": (("shuffle_units", "all"), ("add_noise", 0.1)),
    "rotated": (("rotate_residual", "all"),),
}


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize(
    ("kind", "chosen"),
    [(kind, chosen) for kind, some in (("removed", REMOVED), ("repeated", REPEATED)) for chosen in some.values()],
    ids=[*(f"{place} removed" for place in REMOVED), *(f"{place} repeated" for place in REPEATED)],
)
def test_planted_layers_are_mapped(kind: str, chosen: list[int], disguise: str, tmp_path: Path) -> None:
    whole = trained("llama_deep", 1)
    other = whole.with_tensors(tensors_of(with_layers(whole.held(), lambda depth: chosen)))
    for name, amount in DISGUISES[disguise]:
        other = other.with_tensors(tensors_of(perturbation_named(name).apply(other.held(), amount, 3)))
    a, b = other.saved(tmp_path / "other"), whole.saved(tmp_path / "whole")
    result = compare(a, b)
    told = {change["kind"]: change for change in result["changes"]}
    change = told[f"layers_{kind}"]
    assert "layers_removed" not in told or kind == "removed"
    assert change["amount"] == abs(len(chosen) - 4)
    assert [list(pair) for pair in change["where"]["pairs"]] == [list(pair) for pair in enumerate(chosen)]
    assert list(change["where"]["only_in_b"]) == sorted(set(range(4)) - set(chosen))
    assert change["where"]["only_in_a"] == [] and change["where"].get("again_in_b", []) == []
    assert change["where"].get("again_in_a", []) == [i for i, layer in enumerate(chosen) if layer in chosen[:i]]


def test_strangers_of_another_depth_have_no_map() -> None:
    whole = trained("llama_deep", 1)
    short = with_layers(trained("llama_deep", 2).held(), lambda depth: [0, 2, 3])
    found = layer_map(Comparison(whole.held(), short))
    assert found is None or not found.repeated


def test_the_path_goes_on_rather_than_back_where_layers_are_alike() -> None:
    apart = np.eye(2)
    assert counterparts(np.full((3, 2), 0.9), apart) != [None] * 3
    assert counterparts(np.array([[0.9, 0.9], [0.9, 0.9]]), apart) == [0, 1]
    assert counterparts(np.array([[0.9, 0.1], [0.4, 0.1], [0.1, 0.8]]), apart) == [0, None, 1]
    assert counterparts(np.zeros((2, 2)), apart) == [None, None]


def test_layers_that_all_resemble_each_other_are_not_repeated() -> None:
    among = np.array([[1.0, 0.93], [0.93, 1.0]])
    removed = np.array([[1.0, 0.93], [0.94, 0.92], [0.92, 0.94], [0.93, 1.0]])
    assert counterparts(removed, among) == [0, None, None, 1]
    repeated = np.array([[1.0, 0.93], [0.99, 0.93], [0.93, 0.98], [0.93, 1.0]])
    assert counterparts(repeated, among) == [0, 0, 1, 1]
    # Where both models repeat a layer the best still answers.
    assert counterparts(np.array([[0.99, 0.99], [0.5, 0.5]]), np.ones((2, 2))) != [None, None]
