"""Noise smaller than the rounding of a 16-bit format: most numbers stay, some move by a step, as often as chance says.

Whether a number moves depends on the size of the noise, on the step of the format at its place and on nothing else. So
one size must explain the moves at all magnitudes, in all rows and columns, in both senses. Training moves numbers where
it learns: docs/decisions/0070-noise-below-rounding.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import optimize, special

from tools.matching import spread_indices

FORMATS = (torch.bfloat16, torch.float16)
# Values by which the size is estimated, and those that tell whether a tensor is stored in 16 bit.
VALUES, FIRST_VALUES = 2**16, 4096
# With fewer moves than this, or a smaller share of them, little training looks like noise.
FEWEST_MOVES, LEAST_MOVED = 100, 0.1
# How many moves a magnitude needs to be held against the expectation, and how far off the expectation may be.
MOVES_OF_ONE, OFF_BY = 25.0, 0.15
# Standard errors beyond which a sum is no chance.
FAR = 3.5
# Spread of row and column energies over what chance gives, and the largest singular value over its edge.
UNEVEN, EDGE = 1.6, 1.15
# Moves rarer than this make single entries too large for a spectrum.
LEAST_CHANCE = 0.05
LARGEST_SPECTRUM = 768
# Sizes relative to the spread, between which noise is looked for.
LEAST_NOISE, MOST_NOISE = 1e-5, 0.1


@dataclass(frozen=True)
class _Expected:
    """What noise of one size does to numbers of each step, (steps,) each."""

    moves: np.ndarray
    variance: np.ndarray
    fourth: np.ndarray


def stored_in(a: torch.Tensor, b: torch.Tensor) -> torch.dtype | None:
    """The 16-bit format in which all values of both are exact, whatever type the files say; None where none is."""
    for dtype in FORMATS:
        # Of nearly all pairs the first values tell.
        for count in (FIRST_VALUES, None):
            some = (side.flatten()[:count] for side in (a, b))
            if not all(torch.equal(values.to(dtype).double(), values.double()) for values in some):
                break
        else:
            return dtype
    return None


def noise_below_rounding(a: torch.Tensor, b: torch.Tensor, dtype: torch.dtype) -> float | None:
    """The standard deviation of the noise between a and b; None where it was not noise, or too little to tell.

    Both must be exact in the 16-bit format `dtype`.
    """
    x, y = (side.double().reshape(side.shape[0], -1) for side in (a, b))
    sizes = []
    for start, end in ((x, y), (y, x)):
        # Whichever side was there first, the same must hold.
        size = _size(start, end, dtype)
        if size is None or not _is_noise(start, end, size, dtype):
            return None
        sizes.append(size)
    return math.sqrt(sizes[0] * sizes[1])


def _steps(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The distance to the next larger number of the format."""
    info = torch.finfo(dtype)
    _, exponent = torch.frexp(values.abs().clamp_min(info.tiny))
    return torch.ldexp(torch.full_like(values, info.eps), exponent - 1)


def _size(x: torch.Tensor, y: torch.Tensor, dtype: torch.dtype) -> float | None:
    """The likeliest size of the noise that made y of x: each y lies in the interval that is rounded to it."""
    places = torch.from_numpy(spread_indices(x.numel(), VALUES))
    x, y = x.flatten()[places], y.flatten()[places]
    if int((x != y).sum()) < max(FEWEST_MOVES, LEAST_MOVED * len(x)):
        return None
    half = _steps(y, dtype) / 2
    # Towards zero the numbers below a power of two lie half as far apart.
    inner = torch.where(y.abs() == torch.ldexp(torch.ones_like(y), torch.frexp(y)[1] - 1), half / 2, half)
    down, up = (torch.where(y > 0, *sides) for sides in ((inner, half), (half, inner)))
    low, high = (y - down - x).numpy(), (y + up - x).numpy()
    spread = float(x.std())
    # One side of zero, where differences of distribution functions are exact.
    low, high = np.where(low > 0, -high, low), np.where(low > 0, -low, high)

    def unlikeliness(log_size: float) -> float:
        size = math.exp(log_size)
        chance = special.ndtr(high / size) - special.ndtr(low / size)
        return -float(np.log(np.maximum(chance, 1e-300)).sum())

    bounds = (math.log(LEAST_NOISE * spread), math.log(MOST_NOISE * spread))
    found = optimize.minimize_scalar(unlikeliness, bounds=bounds, method="bounded", options={"xatol": 1e-3})
    return math.exp(float(found.x))


def _expected(steps: np.ndarray, size: float) -> _Expected:
    moves, variance, fourth = [], [], []
    for step in steps:
        if step < size / 2:
            # Fine steps only blur the noise.
            moves.append(1 - step / size / math.sqrt(2 * math.pi))
            variance.append(size**2 + step**2 / 12)
            fourth.append(3 * size**4 + size**2 * step**2 / 2)
            continue
        far = np.arange(1, math.ceil(8 * size / step) + 2)
        chance = 2 * (special.ndtr(-(far - 0.5) * step / size) - special.ndtr(-(far + 0.5) * step / size))
        moves.append(chance.sum())
        variance.append((chance * (far * step) ** 2).sum())
        fourth.append((chance * (far * step) ** 4).sum())
    return _Expected(np.array(moves), np.array(variance), np.array(fourth))


def _is_noise(x: torch.Tensor, y: torch.Tensor, size: float, dtype: torch.dtype) -> bool:
    moved = (y - x).numpy()
    steps, places = np.unique(_steps(x, dtype).numpy(), return_inverse=True)
    places = places.reshape(moved.shape)
    expected = _expected(steps, size)
    counts = np.bincount(places.flatten(), minlength=len(steps))
    if not _as_often(moved, places, counts, expected):
        return False
    variance, fourth = expected.variance[places], expected.fourth[places]
    total = math.sqrt(float(variance.sum()))
    if abs(float(moved.sum())) > FAR * total or abs(float((moved * np.sign(x.numpy())).sum())) > FAR * total:
        return False
    for axis in (0, 1):
        if moved.shape[1 - axis] < 8:
            continue
        surplus = (moved**2 - variance).sum(axis=axis)
        chance = (fourth - variance**2).sum(axis=axis)
        spread = float(np.mean(surplus**2 / np.maximum(chance, 1e-300)))
        if spread > UNEVEN * (1 + FAR / math.sqrt(len(surplus))):
            return False
    often = expected.moves[places] >= LEAST_CHANCE
    return _fills_the_space(np.divide(moved, np.sqrt(variance), out=np.zeros_like(moved), where=often))


def _as_often(moved: np.ndarray, places: np.ndarray, counts: np.ndarray, expected: _Expected) -> bool:
    """Whether numbers of each magnitude moved as often, and as far, as noise of this size moves them."""
    flips = np.bincount(places.flatten(), (moved != 0.0).flatten(), len(counts))
    energy = np.bincount(places.flatten(), (moved**2).flatten(), len(counts))
    for seen, one, variance in (
        (flips, expected.moves, expected.moves * (1 - expected.moves)),
        (energy, expected.variance, expected.fourth - expected.variance**2),
    ):
        wanted, chance = counts * one, np.sqrt(counts * np.maximum(variance, 0.0))
        asked = counts * expected.moves >= MOVES_OF_ONE
        # Where none are expected, many are too many.
        rare = ~asked & (seen > 0)
        off = np.abs(seen - wanted)
        if (off[asked] > OFF_BY * wanted[asked] + FAR * chance[asked]).any():
            return False
        if seen is flips and (off[rare] > FAR * (chance[rare] + 1.0)).any():
            return False
    return True


def _fills_the_space(standardised: np.ndarray) -> bool:
    """Whether the largest singular value is one of independent values of variance one, or zero."""
    rows, columns = standardised.shape
    part = standardised[:: math.ceil(rows / LARGEST_SPECTRUM), :: math.ceil(columns / LARGEST_SPECTRUM)]
    if min(part.shape) < 16:
        return True
    return float(np.linalg.norm(part, 2)) <= EDGE * (math.sqrt(part.shape[0]) + math.sqrt(part.shape[1]))
