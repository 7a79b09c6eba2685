"""Rounding to a grid by tools that do not take the nearest level: they make up for errors, or scale before rounding.

GPTQ (Frantar et al., 2023) moves what is still to be rounded so that a layer's answers stay near; AWQ (Lin et al.,
2024) scales columns first, against the gain before them, and cuts large values off. One side then stands on a grid, and
the other is off by little more than half a step. Training of that size, with rounding after it, looks the same; so do
two roundings of one tensor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from tools.matching import spread_indices
from tools.steps import gaps_between, step_of

# Values that share a step in all these formats, and blocks of them looked at.
BLOCK = 32
BLOCKS_READ = 256
# So many of the blocks must stand on a step.
OF_BLOCKS = 0.75
# Root mean square error in steps: 0.29 to the nearest, 0.33 to 0.40 by GPTQ. What lies further off was moved otherwise.
LOOSE = 0.5
# Less is no rounding but a little change of what stood on a grid, if it is little beside the values: of three levels
# under the largest of 256 values (TQ1_0) nearly all values go to the one in the middle.
LEAST, LARGE = 0.27, 0.5
# Half a step of so few bits is more than training after rounding changes; of more bits it may be that.
COARSE = 4
# Errors that are less than the values themselves: those of strangers are more, and with scales near nothing as large.
UNLIKE, UNLIKE_SCALED = 0.95, 0.85
# Scales are believed where they leave so much less.
SCALES_LEAVE = 0.7
# To the nearest level nearly all errors are half a step or, stored in 16 bit, little more.
HALF, NEARLY_ALL = 0.55, 0.97
SCALING_ROUNDS = 4
# Where both sides stand on a grid and the steps of one are so many times finer, only the other's count.
FINER = 3.0
# Rows by which columns of one step are told, largest whole number of a value in steps, and how exact their ratios are.
ROWS_ASKED, MOST_TIMES, RATIO_ERROR = 8, 15, 1e-5


@dataclass(frozen=True)
class LooseRounding:
    """Which side stands on a grid, of how many bits; whether the other was scaled, and levels are the nearest ones.

    `coarser` is None where both stand on grids of about one step, or where it may be the side that was changed little.
    """

    bits: int
    coarser: Literal["a", "b"] | None
    scaled: bool
    nearest: bool


def loose_rounding(a: torch.Tensor, b: torch.Tensor) -> LooseRounding | None:
    """How one tensor is the other one rounded to a grid, by little more than half a step; None where it is not."""
    if not a.numel() or a.numel() < BLOCK * len(a):
        return None
    x, y = (side.reshape(len(side), -1).double() for side in (a, b))
    places = _places(x)
    steps = [_steps(side.reshape(-1)[places].numpy()) for side in (x, y)]
    if steps[0] is None and steps[1] is None:
        orders = [_groups_together(side) for side in (x, y)]
        order = orders[1] if orders[0] is None else orders[0]
        if order is None:
            return None
        places = _places(x, order)
        steps = [_steps(side.reshape(-1)[places].numpy()) for side in (x, y)]
    usual = [0.0 if known is None else float(np.median(known)) for known in steps]
    coarser: Literal["a", "b"] = "a" if usual[0] > usual[1] else "b"
    coarse, fine, known = (x, y, steps[0]) if coarser == "a" else (y, x, steps[1])
    if known is None:
        return None
    values = coarse.reshape(-1)[places].numpy()
    levels = float(np.quantile(np.ptp(values, axis=1) / known, 0.9)) + 1
    bits = max(1, math.ceil(math.log2(0.98 * levels)))
    both = usual[0] < FINER * usual[1] and usual[1] < FINER * usual[0]
    if both:
        # Errors of both sides add up.
        known = np.sqrt(sum(step**2 for step in steps if step is not None))
    as_it_lies = math.inf
    for scaled in (False, True):
        source = _scaled(fine, coarse) if scaled else fine
        errors = np.abs(values - source.reshape(-1)[places].numpy())
        relative = math.sqrt(float(np.sum(errors**2)) / max(float(np.sum(values**2)), 1e-300))
        errors /= known[:, None]
        usual_error = float(np.median(np.sqrt(np.mean(errors**2, axis=1))))
        like = relative <= (UNLIKE_SCALED if scaled else UNLIKE) and usual_error <= SCALES_LEAVE * as_it_lies
        as_it_lies = usual_error
        if like and usual_error <= LOOSE and (usual_error >= LEAST or relative >= LARGE):
            nearest = not both and float(np.mean(errors <= HALF)) >= NEARLY_ALL
            tells = nearest or (bits <= COARSE and not both)
            return LooseRounding(bits, coarser if tells else None, scaled, nearest)
    return None


def _places(values: torch.Tensor, order: torch.Tensor | None = None) -> torch.Tensor:
    """Places of blocks of values in a row, (blocks, BLOCK), spread over the matrix, its columns in an order."""
    columns = values.shape[1]
    across = columns // BLOCK
    chosen = torch.from_numpy(spread_indices(values.shape[0] * across, BLOCKS_READ))
    inside = (chosen % across * BLOCK)[:, None] + torch.arange(BLOCK)
    return (chosen // across * columns)[:, None] + (inside if order is None else order[inside])


def _steps(blocks: np.ndarray) -> np.ndarray | None:
    """The step on which each block's values stand; None where too few blocks stand on one."""
    found = np.array([_step(block) for block in blocks])
    known = found[found > 0]
    if len(known) < OF_BLOCKS * len(found):
        return None
    # A block of few levels, or one that shows no step, has the usual one.
    return np.where(found > 0, found, np.median(known))


def _step(block: np.ndarray) -> float:
    """The step on which a block's values stand; 0 where they stand on none, or nearly all differ."""
    gaps = gaps_between(block)
    return (step_of(gaps) or 0.0) if 0 < len(gaps) <= 0.97 * (BLOCK - 1) else 0.0


def _groups_together(values: torch.Tensor) -> torch.Tensor | None:
    """An order of the columns in which those of one step stand together; None where few share one.

    GPTQ may take columns for a group from anywhere. Two values of one step are to each other as small whole numbers.
    """
    rows = values[torch.from_numpy(spread_indices(len(values), ROWS_ASKED))]
    left, groups = torch.arange(rows.shape[1]), []
    while len(left):
        of_first = rows[:, left] / rows[:, left[:1]]
        times = of_first.unsqueeze(-1) * torch.arange(1, MOST_TIMES + 1)
        whole = ((times - times.round()).abs() < RATIO_ERROR * times.abs().clamp_min(1.0)).any(dim=-1)
        # What is divided by nothing tells nothing.
        told = (rows[:, left[:1]] != 0).expand_as(whole)
        together = (whole | ~told).all(dim=0) & bool(told.any())
        if int(together.sum()) < BLOCK:
            return None
        groups.append(left[together])
        left = left[~together]
    return torch.cat(groups) if len(groups) > 1 else None


def _scaled(fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
    """The one matrix with the scales of its rows and columns that bring it nearest to the other."""
    found = fine
    for _ in range(SCALING_ROUNDS):
        for axis in (0, 1):
            energy = found.square().sum(dim=axis, keepdim=True).clamp_min(1e-300)
            found = found * ((found * coarse).sum(dim=axis, keepdim=True) / energy)
    return found
