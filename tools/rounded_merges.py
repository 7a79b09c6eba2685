"""Weights of a merge that is stored in 16 bit: those with which the mean, rounded again, is what is stored.

Where the parents differ by a few steps of the number format, rounding is a good part of what lies between them. It
biases least squares, and what it leaves looks like training. But a mean that is computed again and rounded meets the
stored numbers exactly, and training does not: docs/decisions/0063-merges-in-16-bit.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from tools.matching import spread_indices
from tools.merging import LEAST_WEIGHT

# Values of each tensor that are looked at.
VALUES = 4096
# What is rounded: the mean, or every part of it and then the mean.
Way = Literal["mean", "parts"]
WAYS: tuple[Way, ...] = ("mean", "parts")
# Rounds of the search for the weights, and the step below which it has ended.
ROUNDS, SMALLEST_STEP = 40, 1e-7
# Weights that people choose have few digits. A half lies exactly between stored numbers, where no estimate hits.
DIGITS = (2, 3)
# The share of the whole problem that is kept in each round, so that it can be solved where few values ask for a change.
KEPT = 1e-6


@dataclass(frozen=True)
class Stored:
    """Some values of one tensor: of the merge, of its possible parents and of their base, (values,) each, float32."""

    merge: torch.Tensor
    parents: tuple[torch.Tensor, ...]
    base: torch.Tensor | None
    dtype: torch.dtype

    @property
    def equals_a_parent(self) -> bool:
        """Whether a parent holds the very same values, so that these tell nothing of weights."""
        return any(torch.equal(self.merge, parent) for parent in self.parents)


def some(values: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The same few values of each, at even places."""
    places = torch.from_numpy(spread_indices(len(values[0]), VALUES))
    return [side[places].float() for side in values]


def weights_of_rounded(tensors: Sequence[Stored]) -> tuple[np.ndarray, Way] | None:
    """The weights of the parents, and the way of rounding, that meet most of the stored values; None if none can be.

    With a base they are weights of the parents' changes to it.
    """
    target, parts = (torch.cat(sides) for sides in zip(*map(_in_steps, tensors), strict=True))
    weights = _within_rounding(target, parts)
    if weights is None:
        return None
    named = np.abs(weights) >= LEAST_WEIGHT
    if named.any() and not named.all():
        # Who is no parent has next to no weight; without it the others are met exactly.
        found = weights_of_rounded([_with(tensor, np.flatnonzero(named)) for tensor in tensors])
        if found is not None:
            weights = np.zeros(len(named))
            weights[named] = found[0]
            return weights, found[1]
    likely = [weights, *(np.round(weights, digits) for digits in DIGITS)]
    ways = [(estimate, way) for way in WAYS for estimate in likely]
    return min(ways, key=lambda found: sum(min(1.0, missed_by(found[0], tensor, found[1])) for tensor in tensors))


def weights_without(tensors: Sequence[Stored], place: int) -> np.ndarray | None:
    """The best weights where one parent may not be used, and 0 for it; None where there is none but it."""
    others = [i for i in range(len(tensors[0].parents)) if i != place]
    found = weights_of_rounded([_with(tensor, others) for tensor in tensors]) if others else None
    return None if found is None else np.insert(found[0], place, 0.0)


def _with(tensor: Stored, places: Iterable[int]) -> Stored:
    return replace(tensor, parents=tuple(tensor.parents[place] for place in places))


def missed_by(weights: np.ndarray, tensor: Stored, way: Way) -> float:
    """What the rounded mean with these weights leaves of the stored values, relative to what the nearest parent leaves.

    No parent may hold the very same values.
    """
    alone = min(float((tensor.merge - parent).double().square().sum()) for parent in tensor.parents)
    return float((tensor.merge - _mean(weights, tensor, way)).double().square().sum()) / alone


def _mean(weights: np.ndarray, tensor: Stored, way: Way) -> torch.Tensor:
    """The weighted mean as it is stored, float32."""
    if way == "mean":
        start = tensor.base.double() if tensor.base is not None else torch.zeros_like(tensor.merge).double()
        mean = start + sum(float(w) * (part.double() - start) for w, part in zip(weights, tensor.parents, strict=True))
        # By way of single precision, in which such means are computed.
        return mean.float().to(tensor.dtype).float()
    parts = torch.stack([part.to(tensor.dtype) for part in tensor.parents])
    factors = torch.tensor(weights, dtype=tensor.dtype).unsqueeze(1)
    if tensor.base is None:
        return (factors * parts).sum(dim=0).float()
    start = tensor.base.to(tensor.dtype)
    return (start + (factors * (parts - start)).sum(dim=0)).float()


def _in_steps(tensor: Stored) -> tuple[torch.Tensor, torch.Tensor]:
    """The merge, (values,), and its parents, (values, parents), in steps of the number format, from the base on."""
    everything = torch.stack([tensor.merge, *tensor.parents, *([] if tensor.base is None else [tensor.base])])
    info = torch.finfo(tensor.dtype)
    _, exponent = torch.frexp(everything.abs().amax(dim=0).double().clamp_min(info.tiny))
    step = torch.ldexp(torch.full(exponent.shape, info.eps, dtype=torch.float64), exponent - 1)
    start = 0.0 if tensor.base is None else tensor.base.double()
    parts = [(values.double() - start) / step for values in (tensor.merge, *tensor.parents)]
    return parts[0], torch.stack(parts[1:], dim=1)


def _within_rounding(target: torch.Tensor, parts: torch.Tensor) -> np.ndarray | None:
    """The weights with which the sum of the parts lies within half a step of the target at most places.

    Convex: the squares of what lies beyond half a step are minimised, by Newton's method. None where parents are equal.
    """
    whole = parts.T @ parts
    try:
        weights = torch.linalg.solve(whole, parts.T @ target)
        for _ in range(ROUNDS):
            left = target - parts @ weights
            beyond = left - left.clamp(-0.5, 0.5)
            asking = parts[beyond != 0.0]
            change = torch.linalg.solve(asking.T @ asking + KEPT * whole, parts.T @ beyond)
            weights = weights + change
            if float(change.abs().max()) < SMALLEST_STEP:
                break
    except RuntimeError:
        # What PyTorch raises for a singular matrix.
        return None
    found: np.ndarray = weights.numpy()
    return found if np.isfinite(found).all() else None
