"""A weighted mean of models is named with its weight; noise, training and strangers are not taken for one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.small_models import Small, trained, tuned
from tools.comparison import Comparison
from tools.evidence import Evidence
from tools.merging import Merge, merge_of
from tools.probes import probe_named

KINDS = ["llama", "qwen2", "gpt2", "bert"]


def rows(a: Small, b: Small) -> list[dict[str, Any]]:
    finding = probe_named("difference_shape").measure(Comparison(a.held(), b.held()))
    return list(finding.where["tensors"]) if isinstance(finding, Evidence) else []


def mean(one: Small, other: Small, weight: float) -> Small:
    return one.with_tensors({n: weight * v + (1 - weight) * other.tensors[n] for n, v in one.tensors.items()})


@pytest.mark.parametrize("weight", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("kind", KINDS)
def test_the_weight_of_a_parent_is_found(kind: str, weight: float) -> None:
    parent = trained(kind, 1)
    child = mean(parent, trained(kind, 2), weight)
    for a, b, side in ((child, parent, "a"), (parent, child, "b")):
        found = merge_of(rows(a, b))
        assert found is not None and found.side == side
        # Models as tiny as these share a little of everything, so the weight comes out slightly too large.
        assert found.weight == pytest.approx(weight, abs=0.05)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_noise_is_no_merge(share: float) -> None:
    parent = trained("llama", 1)
    draw = torch.Generator().manual_seed(5)
    noisy = {n: v + share * v.std() * torch.randn(v.shape, generator=draw) for n, v in parent.tensors.items()}
    assert merge_of(rows(parent.with_tensors(noisy), parent)) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [5, 25, 80])
def test_training_is_no_merge(kind: str, steps: int) -> None:
    assert merge_of(rows(tuned(kind, 1, 3, steps), trained(kind, 1))) is None
    # Siblings are means of nothing, and a mean of siblings cannot be told from training.
    assert merge_of(rows(tuned(kind, 1, 3, steps), tuned(kind, 1, 4))) is None


def test_strangers_are_no_merge() -> None:
    for kind in KINDS:
        assert merge_of(rows(trained(kind, 1), trained(kind, 2))) is None


def test_either_way_round_is_no_answer() -> None:
    # The same figures seen from both sides: nothing tells which one is the mean.
    row = {"n": 1000, "kind": "trained", "sizes": [1.0, 1.0], "weight_of_a": 0.5, "weight_of_b": 0.5, "table": False}
    assert merge_of([row] * 4) is None
    one_way = {**row, "sizes": [1.0, 0.5**0.5], "weight_of_b": 1.0}
    assert merge_of([one_way] * 4) == Merge("b", 0.5)


def test_a_mean_mixes_token_tables_too() -> None:
    row = {
        "n": 1000, "kind": "trained", "sizes": [1.0, 0.5**0.5], "weight_of_a": 0.5, "weight_of_b": 1.0, "table": False
    }  # fmt: skip
    mixed, copied = ({**row, "table": True, "kind": kind} for kind in ("trained", "equal"))
    assert merge_of([*[row] * 4, mixed]) == Merge("b", 0.5)
    assert merge_of([*[row] * 4, copied]) is None


def test_all_tensors_hold_a_mean_and_not_only_the_largest() -> None:
    """Two recurrent networks trained on from one start: their four large matrices keep about as much of it."""
    row = {
        "n": 90_000, "kind": "trained", "sizes": [1.0, 0.5**0.5], "weight_of_a": 0.5, "weight_of_b": 1.0, "table": False
    }  # fmt: skip
    small = {**row, "n": 5_000, "weight_of_a": 0.8}
    assert merge_of([row] * 4) == Merge("b", 0.5)
    assert merge_of([*[row] * 4, small]) == Merge("b", 0.5)
    assert merge_of([*[row] * 4, small, small]) is None
