"""Values of a merge and of its parents as changes to their base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from tools.matching import spread_indices

# Values of each tensor that are looked at.
VALUES = 2**14
# How far a stored number may lie from a combination, in steps of its format.
STEPS_OFF_16_BIT, STEPS_OFF = 1.0, 4.0


@dataclass(frozen=True)
class Changes:
    """Some values of a tensor: of the base, the merge's changes to it, (values,), and its parents', (parents, values).

    `rounding` is how far off a number may be stored, relative to the power of two below it. `n` numbers are meant.
    """

    base: np.ndarray
    merge: np.ndarray
    parents: np.ndarray
    rounding: float
    n: int

    @property
    def off(self) -> np.ndarray:
        """How far rounding may have put the merge's changes off, (values,)."""
        largest = np.maximum(np.abs(self.base), np.abs(self.base + self.merge))
        return self.rounding * power_below(np.maximum(largest, np.abs(self.parents).max(axis=0)))

    def those(self, places: np.ndarray, parents: Sequence[int] | None = None) -> Changes:
        """Some values and some parents of these."""
        rows = self.parents if parents is None else self.parents[list(parents)]
        return replace(self, base=self.base[places], merge=self.merge[places], parents=rows[:, places])


def power_below(values: np.ndarray) -> np.ndarray:
    power: np.ndarray = np.ldexp(1.0, np.frexp(np.maximum(np.abs(values), 1e-300))[1] - 1)
    return power


def values_at_even_places(values: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The same few values of each, in their own formats."""
    places = torch.from_numpy(spread_indices(len(values[0]), VALUES))
    return [side[places] for side in values]


def changes_of(merge: torch.Tensor, parents: Sequence[torch.Tensor], base: torch.Tensor, n: int) -> Changes:
    """The same values of each, (values,), as changes to the base."""
    x, start, *parts = (side.double().numpy() for side in (merge, base, *parents))
    few = merge.dtype.is_floating_point and merge.dtype.itemsize <= 2
    rounding = (STEPS_OFF_16_BIT if few else STEPS_OFF) * torch.finfo(merge.dtype if few else torch.float32).eps
    return Changes(start, x - start, np.array(parts) - start, rounding, n)
