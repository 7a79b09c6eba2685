"""A kind of change explains all of a difference, or something smaller lies under it."""

from __future__ import annotations

import math

import pytest
import torch

from tools.difference import Difference, compare_values

SIZE = (64, 96)
SHARE = {8: 0.003, 4: 0.01, 3: 0.02}


def drawn(seed: int) -> torch.Tensor:
    return torch.randn(SIZE, generator=torch.Generator().manual_seed(seed))


def rounded(values: torch.Tensor, bits: int, block: int) -> torch.Tensor:
    blocks = values.reshape(-1, block)
    step = blocks.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)
    return ((blocks / step).round() * step).reshape(values.shape)


def both_ways(child: torch.Tensor, other: torch.Tensor) -> Difference:
    one, turned = compare_values(child, other), compare_values(other, child)
    assert (one.kind, one.alone) == (turned.kind, turned.alone)
    return one


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("bits", "block"), [(8, 96), (4, 32), (3, 32)])
def test_rounding_to_the_nearest_level_and_a_little_change_beside_it(dtype: torch.dtype, bits: int, block: int) -> None:
    values = drawn(1).to(dtype)
    child = rounded(values.float(), bits, block).to(dtype)
    alone = both_ways(child, values)
    assert (alone.kind, alone.alone) == ("quantised", True)
    beside = both_ways(child, (values.float() + SHARE[bits] * drawn(2)).to(dtype))
    assert (beside.kind, beside.alone) == ("quantised", False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_few_directions_and_a_little_change_beside_them(dtype: torch.dtype) -> None:
    values, draw = drawn(1).to(dtype), torch.Generator().manual_seed(3)
    added = torch.randn(64, 2, generator=draw) @ torch.randn(2, 96, generator=draw)
    child = (values.float() + 0.3 * added).to(dtype)
    alone = both_ways(child, values)
    assert alone.kind == "low_rank" and alone.alone
    beside = both_ways(child, (values.float() + 0.02 * drawn(2)).to(dtype))
    assert beside.kind == "low_rank" and not beside.alone


def test_zeros_and_a_little_change_beside_them() -> None:
    values = drawn(1)
    child = values * (values.abs() > 0.7)
    alone, beside = both_ways(child, values), both_ways(child, values + 2e-4 * drawn(2))
    assert (alone.kind, alone.alone) == ("pruned", True)
    assert (beside.kind, beside.alone) == ("pruned", False)


def test_what_has_no_side_or_is_training_explains_nothing() -> None:
    values = drawn(1)
    assert both_ways(values, values).alone and both_ways(values.to(torch.bfloat16).float(), values).alone
    doubled = both_ways(2.0 * values, values)
    assert (doubled.kind, doubled.scales, doubled.coarser) == ("rescaled", 0, None)
    assert doubled.scaled_by == pytest.approx(-math.log(2.0))
    assert not both_ways(values + 0.1 * drawn(2) * drawn(4).abs(), values).alone
