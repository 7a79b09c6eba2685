"""Whether a kind of change explains all of a difference, or may hide a smaller one under it.

A tensor and the same one with zeros, rounding or a few directions differ by exactly that. Where anything is left beside
it, the other tensor was changed as well, and neither was made from the other: both come from a third.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from tools.matching import spread_indices
from tools.steps import gaps_between, step_of

# Rows looked at, and values of a block where a row has no step of its own.
ROWS, BLOCK = 24, 32
# A block must show its step, and so many of the blocks.
FEWEST_GAPS, OF_BLOCKS = 4, 0.75
# Values beyond half a step: none but by the rounding of the steps themselves. A change of a hundredth of a step moves
# about as many values across.
HALF, HALF_SCALED, BEYOND = 0.51, 0.75, 0.004
# What few directions may leave, relative to the rounding of the format in which the sum is stored.
ROUNDING_LEFT = 1.5
ZEROS_ALONE = 1e-3


def only_zeros(x: torch.Tensor, y: torch.Tensor, zeros: torch.Tensor) -> bool:
    """Whether two tensors differ at the places alone where one was set to zero."""
    beside = int((x != y).sum()) - int(zeros.sum())
    return beside <= ZEROS_ALONE * x.numel()


def is_rounding(rest: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> bool:
    """Whether what is left of a difference is no more than storing the two sides leaves; `rest` is a matrix."""
    allowed = sum(float(_spacing(side).square().sum()) / 12 for side in (x, y))
    return float(rest.norm()) <= ROUNDING_LEFT * math.sqrt(allowed)


def only_rounding(coarse: torch.Tensor, fine: torch.Tensor, group: int | None, scaled: bool = False) -> bool:
    """Whether every value went to the nearest level, `group` values with one step (None: a row), (rows, columns).

    Levels are read off the steps; where number formats blur these, off the values in use. Scales that were undone
    (`scaled`) are known only about.
    """
    half = HALF_SCALED if scaled else HALF
    rows = torch.from_numpy(spread_indices(len(coarse), ROWS))
    levels, values = coarse[rows].numpy(), fine[rows].numpy()
    slack = (_spacing(coarse[rows]) / 2).numpy()
    size = min(BLOCK if group is None else group, BLOCK, levels.shape[1])
    beyond, known, asked = 0, 0, 0
    for row, its, blur in zip(levels, values, slack, strict=True):
        across = len(row) // size * size
        blocks = [side[:across].reshape(-1, size) for side in (row, its, blur)]
        steps = np.array([_step(block) for block in blocks[0]])
        if group is None and (steps > 0).any():
            # A step is only known up to a whole factor, so the smallest of a row stands for a row-wide one.
            steps[:] = steps[steps > 0].min()
        told = steps > 0
        known += int(told.sum()) * size
        asked += across
        off = np.abs(blocks[0] - blocks[1])[told]
        beyond += int((off > half * steps[told][:, None] + blocks[2][told]).sum())
    if known < OF_BLOCKS * asked or not known:
        return _nearest_in_use(levels, values, slack, group, half)
    return beyond <= BEYOND * known


def _nearest_in_use(levels: np.ndarray, values: np.ndarray, slack: np.ndarray, group: int | None, half: float) -> bool:
    """Whether no other level that is in use in the same block lies nearer."""
    width = levels.shape[1] if group is None or levels.shape[1] % group else group
    beyond, count = 0, 0
    for row, its, blur in zip(*(side.reshape(-1, width) for side in (levels, values, slack)), strict=True):
        used = np.unique(row)
        nearest = np.abs(its[:, None] - used[None, :]).min(axis=1)
        beyond += int((np.abs(its - row) > nearest * (2 * half) + 2 * blur).sum())
        count += len(row)
    return beyond <= BEYOND * max(count, 1)


def _step(block: np.ndarray) -> float:
    gaps = gaps_between(block)
    return (step_of(gaps) or 0.0) if len(gaps) >= FEWEST_GAPS else 0.0


def _spacing(values: torch.Tensor) -> torch.Tensor:
    """The distance between numbers of the coarsest float format that holds the values, at each of them."""
    for dtype in (torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16, torch.float16, torch.float32):
        if torch.equal(values.to(dtype).double(), values.double()):
            return values.double().abs() * torch.finfo(dtype).eps
    return values.double().abs() * math.ldexp(1.0, -52)
