"""Whether a kind of change explains all of a difference, or may hide a smaller one under it.

A tensor and the same one with zeros, rounding or a few directions differ by exactly that. Where anything is left beside
it, the other tensor was changed as well, and neither was made from the other: both come from a third.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from tools.matching import spread_indices
from tools.steps import step_in

# Values of a block where a row has no step of its own, blocks looked at, and rows they come from at least.
BLOCK, BLOCKS, ROWS = 32, 768, 4
# So many of the blocks must show their step.
OF_BLOCKS = 0.75
# No value of a rounded tensor lies beyond half a step, and a change of a hundredth of a step takes about one in a
# hundred there. Steps that are stored in 16 bit are known less well, and so are scales that were undone.
HALF, HALF_16_BIT, HALF_SCALED = 0.501, 0.51, 0.75
BEYOND, BEYOND_16_BIT = 5e-4, 0.004
# What few directions may leave, relative to the rounding of the format in which the sum is stored.
ROUNDING_LEFT = 1.5
ZEROS_ALONE = 1e-3
SIXTEEN_BIT = (torch.bfloat16, torch.float16)


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

    Levels are read off the steps; where number formats blur these, off the values in use. `coarse` is in the format
    in which it is stored. Scales that were undone (`scaled`) are known only about.
    """
    blurred = coarse.dtype in SIXTEEN_BIT
    half = HALF_SCALED if scaled else HALF_16_BIT if blurred else HALF
    most = BEYOND_16_BIT if blurred or scaled else BEYOND
    rows = torch.from_numpy(spread_indices(len(coarse), max(ROWS, BLOCKS * BLOCK // coarse.shape[1])))
    levels, values = coarse[rows].double().numpy(), fine[rows].double().numpy()
    slack = np.abs(levels) * torch.finfo(coarse.dtype if blurred else torch.float32).eps / 2
    size = min(BLOCK if group is None else group, BLOCK, levels.shape[1])
    across = levels.shape[1] // size * size
    steps = np.array([[step_in(block) or 0.0 for block in row[:across].reshape(-1, size)] for row in levels])
    if (steps > 0).mean() < OF_BLOCKS:
        return _nearest_in_use(levels, values, slack, group, half) <= most
    tried = [steps]
    if group is None:
        # A step is only known up to a whole factor, so the smallest of a row stands for a row-wide one; a row that has
        # one step in all its blocks may have several by chance.
        least = np.where(steps > 0, steps, np.inf).min(axis=1, keepdims=True)
        tried = [np.where(np.isfinite(least), np.broadcast_to(least, steps.shape), 0.0), steps]
    off = np.abs(levels - values)[:, :across].reshape(len(levels), -1, size)
    allowed = slack[:, :across].reshape(off.shape)
    return any(float((off > half * known[..., None] + allowed)[known > 0].mean()) <= most for known in tried)


def _nearest_in_use(levels: np.ndarray, values: np.ndarray, slack: np.ndarray, group: int | None, half: float) -> float:
    """The share of the values to which another level that is in use in the same block lies nearer."""
    width = levels.shape[1] if group is None or levels.shape[1] % group else group
    beyond, count = 0, 0
    for row, its, blur in zip(*(side.reshape(-1, width) for side in (levels, values, slack)), strict=True):
        used = np.unique(row)
        nearest = np.abs(its[:, None] - used[None, :]).min(axis=1)
        beyond += int((np.abs(its - row) > nearest * (2 * half) + 2 * blur).sum())
        count += len(row)
    return beyond / max(count, 1)


def _spacing(values: torch.Tensor) -> torch.Tensor:
    """The distance between numbers of the coarsest float format that holds the values, at each of them, at most."""
    return values.double().abs() * precision(values)


def precision(values: torch.Tensor) -> float:
    """The distance between 1 and the next number of the coarsest float format that holds the values."""
    for dtype in (*SIXTEEN_BIT, torch.float32):
        if torch.equal(values.to(dtype).double(), values.double()):
            return float(torch.finfo(dtype).eps)
    return math.ldexp(1.0, -52)
