"""Merge weights from named parents: least squares tensor by tensor, believed only where little is left (method K6).

A parent's weight is what the mean holds of it; a spherical mean (SLERP) shows its effective weights, which may sum to
more than one. With a base the parents' changes to it are weighed, so that task arithmetic is seen as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tools.base_changes import changes_of, values_at_even_places
from tools.checkpoint import Checkpoint
from tools.comparison import Comparison
from tools.merging import AGREEING, LEAST_WEIGHT, Merge, weighted_median
from tools.rounded_merges import Stored, missed_by, some, weights_of_rounded, weights_without
from tools.sampling import Sample
from tools.sides import SIDES, Side
from tools.sparse_merges import merge_of_parts
from tools.tensor_pairs import FEWEST_VALUES

# What the parents may leave of a tensor, relative to what the nearest of them alone leaves. Checkpoints of one training
# leave more when taken for means of each other: docs/decisions/0038-named-parents.md.
LEFT_OVER = 0.003
# How many times more is left without a parent that is named.
NEEDED = 10.0
# Below zero by more than this is no part of a mean.
NEGATIVE = -0.02
# Parents nearer to each other than this (condition of the products) cannot be told apart.
ALIKE_PARENTS = 1e-12
# Formats whose rounding can be as large as what lies between siblings.
SIXTEEN_BIT = ("bfloat16", "float16")
# Values multiplied at once.
CHUNK = 2**20

# Rows of a tensor, from and to; None for all.
Rows = Sequence[tuple[int, int]] | None


@dataclass(frozen=True)
class _Fit:
    """Weights of one tensor, whether they explain it, which parents it needs, and how many numbers it has."""

    weights: np.ndarray
    explains: bool
    needed: np.ndarray
    n: int


def merge_of_parents(models: Comparison, read: Comparison, parents: Sequence[Checkpoint]) -> Merge | None:
    """Which of the two models is a weighted mean of the other and of `parents`; None where neither clearly is.

    `read` is what was read of the two; the same rows are read of the parents. The weights are those of the other model
    and of the parents, in their order; those below LEAST_WEIGHT are 0. Tensors are found by their names. With a base,
    merges that keep parts of the parents' changes to it are found too, also of the other model alone.
    """
    tables, kept, parts = [], [], []
    for names, rows in _places(models, read):
        values = _held(models, parents, names, rows)
        table = None if values is None else _products(values, models.base is not None)
        count = models.layout_a.size(names[0])
        if values is not None and models.base is not None:
            parts.append((values_at_even_places(values), count))
        if values is not None and table is not None:
            tables.append((table, count))
            kept.append((some(values), [models.a.dtypes[names[0]], models.b.dtypes[names[1]]], count))
    found = []
    for side in SIDES:
        target = 0 if side == "a" else 1
        merge = _mean(side, tables, kept, models.base is not None) if parents else None
        if merge is None and parts:
            changes = [changes_of(values[target], _others(values[:-1], target), values[-1], n) for values, n in parts]
            merge = merge_of_parts(changes, side)
        found += [merge] if merge is not None else []
    return found[0] if len(found) == 1 else None


def _mean(
    side: Side,
    tables: Sequence[tuple[np.ndarray, int]],
    kept: Sequence[tuple[list[torch.Tensor], list[str], int]],
    based: bool,
) -> Merge | None:
    """The weighted mean that one side is, by the products of its tensors or by some values that are kept in 16 bit."""
    target = 0 if side == "a" else 1
    fits = [fit for table, count in tables if (fit := _fit(table, target, count)) is not None]
    weights = _weights(fits)
    if weights is None:
        stored = [
            (_stored(values, target, dtypes[target], based), count)
            for values, dtypes, count in kept
            if dtypes[target] in SIXTEEN_BIT
        ]
        weights = _weights(_fits_of_rounded(stored))
    return None if weights is None else Merge(side, float(weights[0]), tuple(float(weight) for weight in weights))


def _places(models: Comparison, read: Comparison) -> list[tuple[tuple[str, str], Rows]]:
    """The matrices of a with their counterparts in b, and which rows were read."""
    found: list[tuple[tuple[str, str], Rows]] = []
    nearest = {pair.a: pair.b for pair in read.tensor_pairs}
    for name in read.layout_a.learned:
        shape = models.a.shapes[name]
        other = name if models.b.shapes.get(name) == shape else nearest.get(name)
        if len(shape) >= 2 and np.prod(shape) >= FEWEST_VALUES and other is not None:
            rows = read.a.blocks[name] if isinstance(read.a, Sample) else None
            found.append(((name, other), rows))
    return found


def _held(
    models: Comparison, parents: Sequence[Checkpoint], names: tuple[str, str], rows: Rows
) -> list[torch.Tensor] | None:
    """One tensor of a, b, the parents and the base if there is one, (values,) each; None where one of them has none."""
    models.check()
    shape = models.a.shapes[names[0]]
    own = [(models.a, names[0]), (models.b, names[1])]
    more = [*parents, *([models.base] if models.base is not None else [])]
    for parent in more:
        name = next((name for name in names[::-1] if parent.shapes.get(name) == shape), None)
        if name is None:
            return None
        own.append((parent, name))
    return [_values(checkpoint, name, rows) for checkpoint, name in own]


def _products(values: Sequence[torch.Tensor], based: bool) -> np.ndarray | None:
    """Scalar products of a, b and the parents in one tensor, as changes to the base, the last, where one is named."""
    total = np.zeros((len(values), len(values)))
    for start in range(0, len(values[0]), CHUNK):
        part = torch.stack([side[start : start + CHUNK].double() for side in values])
        total += (part @ part.T).numpy()
    if not np.isfinite(total).all():
        return None
    if based:
        turned = np.hstack([np.eye(len(total) - 1), -np.ones((len(total) - 1, 1))])
        total = turned @ total @ turned.T
    return total


def _values(checkpoint: Checkpoint, name: str, rows: Rows) -> torch.Tensor:
    if rows is None:
        return checkpoint.read(name).flatten()
    return torch.cat([checkpoint.read_rows(name, start, stop) for start, stop in rows]).flatten()


def _fit(products: np.ndarray, target: int, count: int) -> _Fit | None:
    """One tensor of the target as a sum of all the others; None where these cannot be told apart."""
    others = [place for place in range(len(products)) if place != target]
    among = products[np.ix_(others, others)]
    sizes = np.linalg.eigvalsh(among)
    if sizes[0] <= ALIKE_PARENTS * sizes[-1]:
        return None
    weights, left = _least_squares(products, target, others)
    alone = min(products[target, target] - 2 * products[target, i] + products[i, i] for i in others)
    without = [_least_squares(products, target, [i for i in others if i != place])[1] for place in others]
    return _Fit(weights, left <= LEFT_OVER * alone, np.array(without) >= NEEDED * left, count)


def _others(values: Sequence[torch.Tensor], target: int) -> list[torch.Tensor]:
    return [side for place, side in enumerate(values) if place != target]


def _stored(values: Sequence[torch.Tensor], target: int, dtype: str, based: bool) -> Stored:
    others = _others(values[:-1] if based else values, target)
    return Stored(values[target], tuple(others), values[-1] if based else None, getattr(torch, dtype))


def _fits_of_rounded(stored: Sequence[tuple[Stored, int]]) -> list[_Fit]:
    """The tensors of a target kept in 16 bit, all with the weights that meet most of them; none where no weights do."""
    differing = [(tensor, count) for tensor, count in stored if not tensor.equals_a_parent]
    tensors = [tensor for tensor, _ in differing]
    found = weights_of_rounded(tensors) if tensors else None
    if found is None:
        return []
    weights, way = found
    without = [weights_without(tensors, place) for place in range(len(weights))]
    fits = []
    for tensor, count in differing:
        left = missed_by(weights, tensor, way)
        least = max(NEEDED * left, LEFT_OVER)
        needed = [other is None or missed_by(other, tensor, way) >= least for other in without]
        fits.append(_Fit(weights, left <= LEFT_OVER, np.array(needed), count))
    return fits


def _least_squares(products: np.ndarray, target: int, others: Sequence[int]) -> tuple[np.ndarray, float]:
    along = products[others, target]
    weights = np.linalg.solve(products[np.ix_(others, others)], along)
    return weights, max(0.0, float(products[target, target] - weights @ along))


def _weights(fits: Sequence[_Fit]) -> np.ndarray | None:
    """The usual weights, where most of the numbers are explained by them and two parents or more are needed."""
    counts = np.array([fit.n for fit in fits], dtype=float)
    if not fits or counts[[fit.explains for fit in fits]].sum() < AGREEING * counts.sum():
        return None
    explained = [fit for fit in fits if fit.explains]
    counts = np.array([fit.n for fit in explained], dtype=float)
    usual = np.array([weighted_median(column, counts) for column in np.array([fit.weights for fit in explained]).T])
    named = usual >= LEAST_WEIGHT
    needed = np.array([fit.needed for fit in explained]).T @ counts >= AGREEING * counts.sum()
    if usual.min() < NEGATIVE or not named[0] or named.sum() < 2 or (named & ~needed).any():
        return None
    return np.where(named, usual, 0.0)
