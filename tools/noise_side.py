"""Which side of a noisy pair holds the noise, by the directions along which the tensors are strong.

Noise is a summand: it is independent of the tensor it was added to, and not of the sum. A plain correlation of the
difference with either side tells which is which where noise is loud or models are large. Trained tensors have few
strong directions that drown it; with each direction weighed by the root of its strength the same numbers tell more.
What was trained under the noise lies along the strong directions, where independent noise has no more than elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tools.comparison import Comparison
from tools.exactness import precision
from tools.sides import SIDES, Side, opposite

# Numbers that are looked at; a larger pair tells by the plain correlation.
ENOUGH = 2**20
# Tensors of fewer directions have no strong and weak ones.
FEWEST_DIRECTIONS = 16
# Strong directions, of which each gets its share of independent noise to within so many standard errors.
STRONG, MORE_THAN_CHANCE = 8, 3.0

Row = Mapping[str, Any]


@dataclass(frozen=True)
class _Along:
    """Sums over tensors: the difference along one side with its variance, and what is too much along its strong
    directions with the degrees of freedom."""

    along: float = 0.0
    variance: float = 0.0
    excess: float = 0.0
    freedom: int = 0

    def __add__(self, other: _Along) -> _Along:
        return _Along(
            self.along + other.along,
            self.variance + other.variance,
            self.excess + other.excess,
            self.freedom + other.freedom,
        )


def along_sides(comparison: Comparison, rows: Sequence[Row]) -> dict[Side, float]:
    """The noise along either side, directions weighed by the root of their strength, in standard errors."""
    found = {side: _sums(comparison, rows, side) for side in SIDES}
    return {side: sums.along / math.sqrt(sums.variance) if sums.variance else 0.0 for side, sums in found.items()}


def lies_along_strong_directions(comparison: Comparison, rows: Sequence[Row], child: Side) -> bool:
    """Whether the noise on the child has more along the parent's strong directions than chance gives them."""
    sums = _sums(comparison, rows, opposite(child))
    return sums.excess > MORE_THAN_CHANCE * math.sqrt(2.0 * sums.freedom)


def _sums(comparison: Comparison, rows: Sequence[Row], side: Side) -> _Along:
    found, left = _Along(), ENOUGH
    for row in rows:
        if row["kind"] != "noise" or not row["alone"] or row["reordered"] or row["n"] > left:
            continue
        values = []
        for its in SIDES:
            held = comparison.checkpoint(its)
            if row[its] in held.shapes:
                matrix = held.read(row[its]).double()
                values.append(matrix.reshape(len(matrix), -1))
        # Turned models are seen with a head of its own where the file has none.
        if len(values) == len(SIDES) and min(values[0].shape) >= FEWEST_DIRECTIONS:
            left -= row["n"]
            own, other = values if side == "a" else values[::-1]
            found += _along(own, other)
    return found


def _along(side: torch.Tensor, other: torch.Tensor) -> _Along:
    """How the difference of two matrices lies along the first one."""
    if side.shape[0] < side.shape[1]:
        side, other = side.T, other.T
    noise = other - side
    energies, right = torch.linalg.eigh(side.T @ side)
    strengths, right = energies.clamp_min(0).sqrt().flip(0), right.flip(1)
    kept = strengths > 1e-6 * strengths[0]
    strengths, right = strengths[kept], right[:, kept]
    left = side @ right / strengths
    size = math.sqrt(float(noise.square().mean()))
    along = float(((left * (noise @ right)).sum(dim=0) * strengths.sqrt()).sum()) / size**1.5
    # Rounding the sum adds more where numbers are large, and is no sign of training.
    steps = torch.ldexp(torch.full_like(other, precision(other)), torch.frexp(other).exponent - 1)
    rounding = steps.square() / 12
    expected = max(size**2 - float(rounding.mean()), 1e-12 * size**2) + rounding
    right, left = right[:, :STRONG], left[:, :STRONG]
    held = float((noise @ right).square().sum() + (left.T @ noise).square().sum())
    chance = float((expected @ right.square()).sum() + (left.square().T @ expected).sum())
    return _Along(along, float(strengths.sum()) / size, (held - chance) / size**2, right.shape[1] * sum(side.shape))
