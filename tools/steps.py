"""The step of a rounding grid, read off the gaps between the values that stand on it."""

from __future__ import annotations

import numpy as np

# How near to a whole number of steps a gap must be, and for so many of the gaps.
GRID_TOLERANCE, OF_GAPS = 0.12, 0.9
# A grid of eight bits has so many steps.
MOST_STEPS = 300
# With fewer gaps any values stand on some step.
FEWEST_GAPS = 4
# Rounding leaves errors of 0.29 steps (root mean square), less where many values are zero. Far less is a little change
# of what stood on the grid.
LEAST_OF_STEP = 0.05


def gaps_between(block: np.ndarray) -> np.ndarray:
    """The gaps between a block's different values, smallest value first."""
    gaps = np.diff(np.unique(block))
    # Number formats blur a grid: gaps below a thousandth of the range are copies of one value.
    kept: np.ndarray = gaps[gaps > 1e-3 * max(np.ptp(block), 1e-300)]
    return kept


def step_in(block: np.ndarray) -> float | None:
    """The step on which a block's values stand; None where too few differ, or no step explains their gaps."""
    gaps = gaps_between(block)
    return step_of(gaps) if len(gaps) >= FEWEST_GAPS else None


def step_of(gaps: np.ndarray) -> float | None:
    """The step of which all gaps, at least one, are whole multiples; None where there is none."""
    for part in (1, 2, 3):
        step = float(gaps.min()) / part
        multiples = gaps / step
        whole = np.abs(multiples - multiples.round()) < GRID_TOLERANCE
        if multiples.max() <= MOST_STEPS and float(np.mean(whole)) > OF_GAPS:
            return step
    return None
