"""Rounding to a few uneven levels: four-bit floats, quantiles of the normal law, eight-bit floats with scales.

A uniform grid shows as whole multiples of one step; such levels do not. They show as few different values in a block,
each of which is the nearest one to the value that the other side has there.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch

from tools.matching import spread_indices
from tools.steps import LEAST_OF_STEP

# Blocks in which published formats share a scale: values in a row, or a tile of rows and columns.
BLOCKS = ((1, 16), (1, 32), (1, 64), (1, 4096), (128, 128))
MOST_LEVELS = 256
# Levels a block may have for each of its values: sixteen levels for 32 values are one half.
LEVELS_FOR_VALUES = 0.5
# Blocks looked at, and the share of values that must lie at the nearest level; noise of a step leaves a third.
BLOCKS_READ = 32
NEAREST = 0.9
# So many of the blocks may stand on no levels.
UNKNOWN = 0.1
FEWEST_VALUES = 16
# Of most blocks these show more than MOST_LEVELS levels already.
FIRST_VALUES = 1024
# A block of sixteen is too short for sixteen levels to show as few; those of 4-bit floats are known: twelfths of the
# largest. Stored in 16 bit they are off by a twentieth of a twelfth at most.
SHORT_BLOCK = 16
TWELFTHS = (0, 1, 2, 3, 4, 6, 8, 12)
TWELFTHS_BLUR = 0.06
# No format in use has uneven levels of seven bits: so many are those of an 8-bit float, not all of which occur.
MOST_BITS_BELOW_EIGHT = 6


def codebook_bits(coarse: torch.Tensor, fine: torch.Tensor) -> int | None:
    """Bits of the few levels to which `coarse` is `fine` rounded, tensors of one shape; None where it is not."""
    rounded, source = (side.reshape(side.shape[0], -1).double().numpy() for side in (coarse, fine))
    for high, wide in BLOCKS:
        rows, columns = min(high, rounded.shape[0]), min(wide, rounded.shape[1])
        corners = _corners(rounded.shape, rows, columns)
        if _too_many_levels(rounded, corners, rows, columns):
            continue
        known, unknown = [], 0
        for down, across in corners:
            place = slice(down, down + rows), slice(across, across + columns)
            levels = _block(rounded[place], source[place])
            known += [] if levels is None else [levels]
            unknown += levels is None
            if unknown > UNKNOWN * len(corners):
                break
        else:
            bits = max(1, math.ceil(math.log2(max(known))))
            return bits if bits <= MOST_BITS_BELOW_EIGHT else 8
    return 4 if _are_four_bit_floats(rounded, source) else None


def _are_four_bit_floats(rounded: np.ndarray, source: np.ndarray) -> bool:
    """Whether blocks of sixteen lie on the levels of 4-bit floats under one scale, each the nearest to its source."""
    if rounded.shape[1] < SHORT_BLOCK:
        return False
    corners = _corners(rounded.shape, 1, SHORT_BLOCK)
    blocks = corners[:, :1], corners[:, 1:] + np.arange(SHORT_BLOCK)
    values, wanted = rounded[blocks], source[blocks]
    largest = np.abs(values).max(axis=1, keepdims=True)
    kept = largest[:, 0] > 0
    counted = 12 * values[kept] / largest[kept]
    if len(counted) < 0.9 * len(corners):
        return False
    levels = np.array([-level for level in TWELFTHS[:0:-1]] + list(TWELFTHS), dtype=float)
    middles = (levels[1:] + levels[:-1]) / 2
    at = levels[np.searchsorted(middles, counted)]
    if float(np.mean(np.abs(at - counted) < TWELFTHS_BLUR)) < NEAREST:
        return False
    meant = 12 * wanted[kept] / largest[kept]
    if float(np.mean((counted - meant) ** 2)) < LEAST_OF_STEP**2:
        return False
    return float(np.mean(levels[np.searchsorted(middles, meant)] == at)) >= NEAREST


@lru_cache(maxsize=64)
def _corners(shape: tuple[int, ...], rows: int, columns: int) -> np.ndarray:
    """First row and first column of each block that is looked at, (blocks, 2)."""
    across = shape[1] // columns
    chosen = spread_indices(shape[0] // rows * across, BLOCKS_READ)
    return np.stack([chosen // across * rows, chosen % across * columns], axis=1)


def _block(rounded: np.ndarray, source: np.ndarray) -> int | None:
    """How many levels a block's values stand on, where they are few and the nearest ones to their source."""
    # Pruned values are alike whatever was done to the others.
    kept = rounded != 0
    values, wanted = rounded[kept], source[kept]
    most = min(MOST_LEVELS, LEVELS_FOR_VALUES * len(values))
    if len(values) < FEWEST_VALUES or _different(values[:FIRST_VALUES]) > most:
        return None
    levels = np.unique(values)
    if len(levels) > most:
        return None
    middles, gaps = (levels[1:] + levels[:-1]) / 2, np.diff(levels)
    nearest = np.searchsorted(middles, wanted)
    if float(np.mean(levels[nearest] == values)) < NEAREST:
        return None
    # One level alone has no step, and tells nothing.
    steps = np.minimum(np.append(gaps, np.inf), np.append(np.inf, gaps))[nearest]
    if float(np.median(np.abs(wanted - values) / steps)) < LEAST_OF_STEP:
        return None
    return len(levels) + (not kept.all())


def _too_many_levels(rounded: np.ndarray, corners: np.ndarray, rows: int, columns: int) -> bool:
    """Whether as many blocks as settle it show, in their first row, more levels than any of their length may have.

    What `_block` would say of each, in a tenth of the time: of nearly all tensors it says so of every block.
    """
    first = corners[: int(UNKNOWN * len(corners)) + 1]
    values = rounded[first[:, :1], first[:, 1:] + np.arange(min(columns, FIRST_VALUES))]
    # A zero may stand beside the levels.
    return bool((_different(values) - 1 > min(MOST_LEVELS, LEVELS_FOR_VALUES * rows * columns)).all())


def _different(values: np.ndarray) -> np.ndarray:
    """How many different values there are along the last axis; `np.unique` takes ten times as long for a few."""
    in_order = np.sort(values, axis=-1)
    different: np.ndarray = 1 + np.count_nonzero(in_order[..., 1:] != in_order[..., :-1], axis=-1)
    return different
