"""Merges: how much of one model another holds, in every tensor alike.

A merge is a weighted mean of models, so each of its tensors holds the same multiple of a parent's. Training changes
that multiple from tensor to tensor, noise leaves it at one. With all parents at hand their weights are found by least
squares (`tools/parents.py`); with one, the other parent can be computed, and must be as large as trained models are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tools.sides import SIDES, Side, opposite
from tools.verdict import TRAINING_FREE_KINDS

Method = Literal["mean", "DARE", "TIES"]

# Weights outside are no merge worth the name, or cannot be told from further training.
LEAST_WEIGHT, MOST_WEIGHT = 0.03, 0.9
# How far a tensor's multiple of the parent may lie from the usual one: strangers resemble each other a little.
WEIGHT_SPREAD = 0.06
# The size of the other parent relative to this one, tensor by tensor; trained models of one design lie close to one.
OTHER_PARENT = (0.7, 1.4)
# The share of the numbers, and of the tensors, that must agree with the usual weight, and of the numbers with the usual
# size: four matrices of one recurrent layer may hold nearly all numbers. Token tables are not asked where there is
# more: what tokens mean makes those of strangers alike.
AGREEING = 0.8
# Plain noise is evenly spread everywhere; what comes from a trained model is not.
LEAST_UNEVEN = 0.1


@dataclass(frozen=True)
class Merge:
    """The side that is a mean of the other and of further models, and the other's weight in it.

    `weights` are those of the other and of the named parents, in order; empty where the others are not known. Of merges
    of parts of changes (`tools/sparse_merges.py`) `kept` is the share of each parent's change that was kept; where
    `scale` is given, what was kept was averaged with the weights and then multiplied by it.
    """

    side: Side
    weight: float
    weights: tuple[float, ...] = ()
    method: Method = "mean"
    kept: tuple[float, ...] = ()
    scale: float | None = None


def merge_of(rows: Sequence[Mapping[str, Any]]) -> Merge | None:
    """The merge that explains all tensors of a `difference_shape`; None where none or either way would.

    Averaging shrinks, so the wrong way round the other parent comes out too large, or no mean at all.
    """
    compared = [row for row in rows if row["n"] and min(row["sizes"]) > 0]
    uneven = sum(row["n"] for row in compared if row["kind"] not in TRAINING_FREE_KINDS)
    if not compared or uneven < LEAST_UNEVEN * sum(row["n"] for row in compared):
        return None
    if any(row["table"] and row["kind"] == "equal" for row in compared):
        # A mean mixes token tables too. Layers of one's own behind copied ones can all be alike a little.
        return None
    asked = [row for row in compared if not row["table"]] or compared
    found = [merge for side in SIDES if (merge := _merged(asked, side)) is not None]
    return found[0] if len(found) == 1 else None


def _merged(rows: Sequence[Mapping[str, Any]], child: Side) -> Merge | None:
    parent = opposite(child)
    counts = np.array([row["n"] for row in rows], dtype=float)
    weights = np.array([row[f"weight_of_{parent}"] for row in rows])
    usual = weighted_median(weights, counts)
    if not LEAST_WEIGHT <= usual <= MOST_WEIGHT:
        return None
    sizes = np.array([row["sizes"] for row in rows])
    child_size, parent_size = (sizes[:, 0], sizes[:, 1]) if child == "a" else (sizes[:, 1], sizes[:, 0])
    # |child - w parent|^2, from the two sizes and their product.
    rest = child_size**2 - 2 * usual * weights * parent_size**2 + (usual * parent_size) ** 2
    other = np.sqrt(np.maximum(rest, 0.0)) / (1.0 - usual) / parent_size
    near = np.abs(weights - usual) <= WEIGHT_SPREAD
    alike = min(counts[near].sum() / counts.sum(), near.mean())
    as_large = counts[(other >= OTHER_PARENT[0]) & (other <= OTHER_PARENT[1])].sum() / counts.sum()
    if min(alike, as_large) < AGREEING:
        return None
    return Merge(child, usual)


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """The value below which half of the weights lie, (n,) each."""
    order = np.argsort(values)
    passed = np.cumsum(weights[order])
    return float(values[order][int(np.searchsorted(passed, passed[-1] / 2))])
