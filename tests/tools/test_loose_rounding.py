"""Rounding by tools that do not take the nearest level, after GPTQ and AWQ, told from training and from strangers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tools.audit import compare
from tools.difference import compare_values
from tools.loose_rounding import LooseRounding, loose_rounding

EXHIBITS = Path(__file__).resolve().parents[2] / "exhibits" / "llama3v"
GROUP = 32


def weights(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.exp(0.4 * torch.randn(192, 1, generator=generator))
    return torch.randn(192, 160, generator=generator) * rows * 0.03


def step_of(values: torch.Tensor, bits: int) -> torch.Tensor:
    """One step for each row of a group, the grid even around nothing."""
    return values.abs().amax(dim=1, keepdim=True).clamp_min(1e-9) * 2 / (2**bits - 1)


def nearest(values: torch.Tensor, step: torch.Tensor, bits: int) -> torch.Tensor:
    return (values / step).round().clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) * step


def rounded(weight: torch.Tensor, bits: int) -> torch.Tensor:
    groups = [weight[:, i : i + GROUP] for i in range(0, weight.shape[1], GROUP)]
    return torch.cat([nearest(group, step_of(group, bits), bits) for group in groups], dim=1)


def gptq(weight: torch.Tensor, bits: int, by_activity: bool = False, seed: int = 5) -> torch.Tensor:
    """Frantar et al. (2023), algorithm 1, without its blocks: errors are made up for in the columns still to come."""
    generator = torch.Generator().manual_seed(seed)
    columns = weight.shape[1]
    inputs = torch.randn(4 * columns, columns // 4, generator=generator) @ torch.randn(
        columns // 4, columns, generator=generator
    ) + 2.0 * torch.randn(4 * columns, columns, generator=generator)
    hessian = inputs.T @ inputs
    order = hessian.diagonal().argsort(descending=True) if by_activity else torch.arange(columns)
    hessian = hessian[order][:, order] + 0.05 * hessian.diagonal().mean() * torch.eye(columns)
    upper = torch.linalg.cholesky(torch.linalg.inv(hessian), upper=True)
    left, found = weight[:, order].clone(), torch.zeros_like(weight)
    for column in range(columns):
        if column % GROUP == 0:
            step = step_of(left[:, column : column + GROUP], bits)
        one = left[:, column : column + 1]
        found[:, column : column + 1] = nearest(one, step, bits)
        error = (one - found[:, column : column + 1]) / upper[column, column]
        left[:, column:] -= error @ upper[column : column + 1, column:]
    return found[:, order.argsort()]


def awq(weight: torch.Tensor, bits: int) -> torch.Tensor:
    """Columns scaled before rounding (Lin et al., 2024), as the gain before them is divided by the same."""
    return rounded(
        weight * torch.exp(0.5 * torch.randn(weight.shape[1], generator=torch.Generator().manual_seed(3))), bits
    )


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_errors_that_were_made_up_for(bits: int) -> None:
    copy = gptq(weights(), bits)
    # With more than four bits the grid may as well be the older side, changed by half a step.
    coarser = "a" if bits <= 4 else None
    assert loose_rounding(copy, weights()) == LooseRounding(bits, coarser, scaled=False, nearest=False)
    found = compare_values(weights(), copy)
    assert (found.kind, found.coarser, found.amount) == ("quantised_loosely", "b" if bits <= 4 else None, bits)


@pytest.mark.parametrize("bits", [4, 8])
def test_a_little_change_of_what_stood_on_a_grid_is_none(bits: int) -> None:
    older = rounded(weights(), bits)
    step = torch.cat([step_of(g, bits).expand_as(g) for g in older.split(GROUP, dim=1)], dim=1)
    draws = torch.randn(older.shape, generator=torch.Generator().manual_seed(2))
    for size in (0.02, 0.1, 0.2):
        assert loose_rounding(older, older + size * step * draws) is None
        assert loose_rounding(older, older + size * step * draws**3 / 4) is None
    for size in (0.3, 0.45):
        assert compare_values(older, older + size * float(step.mean()) * draws).kind == "noise"


@pytest.mark.parametrize("bits", [3, 4])
def test_groups_of_columns_from_anywhere(bits: int) -> None:
    found = compare_values(gptq(weights(), bits, by_activity=True), weights())
    assert (found.kind, found.coarser, found.amount) == ("quantised_loosely", "a", bits)


def test_three_levels_under_the_largest_value() -> None:
    # TQ1_0 of llama.cpp: nearly all values go to the level in the middle, and errors are nearly as large as they are.
    largest = weights().abs().amax(dim=1, keepdim=True)
    copy = (weights() / largest).round() * largest
    found = compare_values(copy, weights())
    assert (found.kind, found.coarser, found.amount, found.scales) == ("quantised", "a", 2, 0)


def test_columns_scaled_before() -> None:
    found = compare_values(weights(), awq(weights(), 4))
    assert (found.kind, found.coarser, found.amount) == ("quantised", "b", 4)
    assert found.scales


def test_two_roundings_of_one_tensor() -> None:
    found = compare_values(gptq(weights(), 4), rounded(weights(), 4))
    assert (found.kind, found.coarser) == ("quantised_loosely", None)
    found = compare_values(rounded(weights(), 8), gptq(weights(), 4))
    assert (found.kind, found.coarser, found.amount) == ("quantised_loosely", "b", 4)


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_more_than_rounding_is_training(bits: int) -> None:
    step = float(step_of(weights(), bits).mean())
    trained = weights() + 0.8 * step * torch.randn(weights().shape, generator=torch.Generator().manual_seed(9)) ** 3
    assert compare_values(weights(), trained).kind == "trained"
    assert compare_values(weights(), gptq(trained, bits)).kind == "trained"
    assert compare_values(weights().bfloat16(), trained.bfloat16()).kind == "trained"


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_strangers_are_no_rounding_of_each_other(bits: int) -> None:
    for other in (weights(1), weights(1).bfloat16(), rounded(weights(1), 8), gptq(weights(1), bits)):
        for packed in (gptq(weights(), bits), gptq(weights(), bits, by_activity=True), awq(weights(), bits)):
            assert loose_rounding(packed, other) is None
            assert loose_rounding(other, packed) is None


@pytest.mark.parametrize("shape", [(0, 64), (64, 8), (64,), (3, 32), (2, 2, 40)])
def test_odd_shapes(shape: tuple[int, ...]) -> None:
    assert loose_rounding(torch.randn(shape), torch.randn(shape)) is None
    assert loose_rounding(torch.zeros(shape), torch.ones(shape)) is None


@pytest.mark.parametrize("by_activity", [False, True])
def test_no_training_is_told_where_a_tool_made_up_for_errors(tmp_path: Path, by_activity: bool) -> None:
    tensors = load_file(EXHIBITS / "original" / "model.safetensors")
    packed = {n: gptq(t.float(), 4, by_activity) if "proj" in n else t for n, t in tensors.items()}
    save_file(packed, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((EXHIBITS / "original" / "config.json").read_text())
    result = compare(str(tmp_path), str(EXHIBITS / "original"))
    # Rounded to the nearest level from a sibling it would look the same, so its side is told and no parent.
    way = result["direction"]
    assert (result["answer"], way["answer"], way["changed"]) == ("derived", "unknown", "a")
    changes = {change["kind"]: change for change in result["changes"]}
    assert "fine_tuned" not in changes, json.dumps(result["changes"])
    assert changes["quantised"]["amount"] == 4 and changes["quantised"]["where"]["loosely"] > 0
    assert compare(str(tmp_path), str(EXHIBITS / "stranger"))["answer"] == "independent"
