"""The rounding grid on which a tensor's values lie: how many bits, and how many values share one step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from tools.matching import spread_indices
from tools.steps import GRID_TOLERANCE, step_in

# Values of a block with one step of its own; GGUF's six-bit type has one for each sixteen.
BLOCK, SHORT_BLOCK = 32, 16
# Rows looked at, and the share of a row's blocks that must show their step.
GRID_ROWS, SHOWN = 24, 0.75


@dataclass(frozen=True)
class Grid:
    """A rounding grid: bits of a value, and how many values share one step (None where a whole row does)."""

    bits: int
    group: int | None


def rounding_grid(values: torch.Tensor) -> Grid | None:
    """The grid on which a tensor's values lie, (rows, columns); None where they lie on none.

    In blocks of one step, neighbouring values differ by small whole multiples of it. Values that no grid made have a
    smallest gap that divides nothing.
    """
    matrix = values.reshape(values.shape[0], -1).double().numpy()
    rows = matrix[spread_indices(len(matrix), GRID_ROWS)]
    if rows.shape[1] < BLOCK:
        rows = rows.reshape(1, -1)
    for size in (BLOCK, SHORT_BLOCK):
        grid = _stepped_grid(rows, size)
        if grid is not None:
            return grid
    return _blurred_grid(rows)


def _stepped_grid(rows: np.ndarray, size: int) -> Grid | None:
    """The grid whose steps show in blocks of this many values; None where too few blocks show one."""
    levels, row_levels, even = [], [], []
    for row in rows:
        blocks = row[: len(row) // size * size].reshape(-1, size)
        found: list[float | None] = []
        unknown = 0
        for block in blocks:
            found.append(step_in(block))
            unknown += found[-1] is None
            # Of nearly all tensors the first blocks tell.
            if unknown > (1.0 - SHOWN) * len(blocks):
                return None
        known = [step for step in found if step is not None]
        if not known:
            return None
        levels += [np.ptp(block) / step + 1 for block, step in zip(blocks, found, strict=True) if step is not None]
        # A step is only known up to a whole factor, so the smallest of a row stands for a row-wide one.
        smallest = min(known)
        row_levels.append(np.ptp(row) / smallest + 1)
        even.append(all(abs(step / smallest - round(step / smallest)) < GRID_TOLERANCE for step in known))
    by_row = all(even)
    most = np.median(row_levels) if by_row else np.quantile(levels, 0.9)
    return Grid(max(1, math.ceil(math.log2(max(2.0, float(most) * 0.98)))), None if by_row else size)


def _blurred_grid(rows: np.ndarray) -> Grid | None:
    """The usual grids by hypothesis: steps from the largest value or the range, where rounding blurs the gaps."""
    scaled = []
    for group in (None, 128, 64, BLOCK):
        if group is None or rows.shape[1] % group == 0:
            blocks = rows if group is None else rows.reshape(-1, group)
            largest = np.abs(blocks).max(axis=1, keepdims=True)
            lowest, width = blocks.min(axis=1, keepdims=True), np.ptp(blocks, axis=1, keepdims=True)
            by_range = (blocks - lowest) / np.maximum(width, 1e-300)
            scaled.append((group, blocks / np.maximum(largest, 1e-300), by_range))
    for bits in range(2, 9):
        for group, by_largest, by_range in scaled:
            for counted in (
                by_largest * (2 ** (bits - 1) - 1),
                by_largest * 2 ** (bits - 1),
                by_range * (2**bits - 1),
            ):
                # A quarter of a step is what values on no grid are off on average.
                if float(np.mean(np.abs(counted - counted.round()))) < 0.1:
                    return Grid(bits, group)
    return None
