"""Noise too faint for a plain correlation is told by a tensor's strong directions, and training under it too."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

from tests.small_models import Small, trained
from tests.tools.test_direction import disguised, found
from tools import noise_side, own_changes
from tools.comparison import Comparison
from tools.probes import probe_named
from tools.sides import SIDES

FAINT = 0.018


@cache
def with_strong_directions(dtype: torch.dtype) -> Small:
    """A model whose matrices are strong along few directions, as those of long training are."""
    model = trained("llama", 1)
    tensors = dict(model.tensors)
    for name, values in tensors.items():
        if values.dim() == 2:
            left, _, right = torch.linalg.svd(values, full_matrices=False)
            strengths = values.norm() * 0.8 ** torch.arange(len(right))
            tensors[name] = left * strengths @ right
    return model.with_tensors({name: values.to(dtype) for name, values in tensors.items()})


def noisy(model: Small, dtype: torch.dtype) -> Small:
    copy = disguised(model, "add_noise", FAINT)
    return copy.with_tensors({name: values.to(dtype) for name, values in copy.tensors.items()})


def trained_along_strong_directions(model: Small, share: float) -> Small:
    """Every matrix moves by that share of itself, along what it reads."""
    draw, tensors = torch.Generator().manual_seed(5), dict(model.tensors)
    for name, values in tensors.items():
        if values.dim() == 2:
            matrix = values.double()
            step = torch.randn(len(matrix), len(matrix), generator=draw).double() @ matrix
            tensors[name] = (matrix + share * matrix.norm() * step / step.norm()).to(values.dtype)
    return model.with_tensors(tensors)


def shape_of(child: Small, parent: Small) -> tuple[Comparison, list[dict[str, Any]]]:
    comparison = Comparison(child.held("a"), parent.held("b"))
    finding: Any = probe_named("difference_shape").measure(comparison)
    return comparison, finding.where["tensors"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_faint_noise_is_told_by_strong_directions_alone(dtype: torch.dtype) -> None:
    parent = with_strong_directions(dtype)
    child = noisy(parent, dtype)
    _, rows = shape_of(child, parent)
    assert {row["kind"] for row in rows} == {"noise"} and not [*own_changes.grown(rows, "n")]
    assert found(child, parent, "disguised_copy")["answer"] == "a_from_b"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_training_under_noise_lies_along_strong_directions(dtype: torch.dtype) -> None:
    base = with_strong_directions(dtype)
    child, sibling = noisy(base, dtype), trained_along_strong_directions(base, FAINT / 6)
    comparison, rows = shape_of(child, sibling)
    assert {row["kind"] for row in rows} == {"noise"}
    assert noise_side.lies_along_strong_directions(comparison, rows, "a")
    assert found(child, sibling, "disguised_copy")["answer"] == "unknown"
    comparison, rows = shape_of(child, base)
    assert not noise_side.lies_along_strong_directions(comparison, rows, "a")


def test_independent_tensors_are_along_neither_side() -> None:
    draw = torch.Generator().manual_seed(6)
    parent = with_strong_directions(torch.float32)
    errors = []
    for _ in range(20):
        noise = {name: FAINT * values.std() * torch.randn(values.shape, generator=draw)
                 for name, values in parent.tensors.items() if values.dim() == 2}  # fmt: skip
        child = parent.with_tensors({**parent.tensors, **{n: parent.tensors[n] + v for n, v in noise.items()}})
        comparison = Comparison(child.held("a"), parent.held("b"))
        rows = [{"a": name, "b": name, "kind": "noise", "alone": True, "reordered": False, "n": values.numel()}
                for name, values in noise.items()]  # fmt: skip
        along = noise_side.along_sides(comparison, rows)
        assert set(along) == set(SIDES) and abs(along["a"]) > abs(along["b"])
        errors.append(along["b"])
    # Standard errors, as they are called: of twenty draws the root mean square is one, give or take a sixth.
    assert 0.5 < (sum(error**2 for error in errors) / len(errors)) ** 0.5 < 1.5
