"""Who is whose partner: cosines between units and the best one-to-one matching."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

Vectors = torch.Tensor  # (units, features), float32

# A linear map is fitted on at most so many directions, and on half as many as units, or it fits anything.
DIRECTIONS_FITTED = 1024
UNITS_PER_DIRECTION = 2
UNITS_AT_ONCE = 2048
# Less alike than anything whose likeness lies between -1 and 1.
FORBIDDEN = -10.0
# The share of the way from what chance reaches to being the same that partners must go: strangers 0.17 at most, copies
# under noise of their own size 0.4.
STANDS_OUT = 0.25
# Mixtures of units that stand for units with nothing in common: as many as are matched elsewhere.
MIXTURES = 512


def centred_unit_rows(vectors: Vectors) -> Vectors:
    """Rows minus the mean row, each at length one; a constant row becomes zero.

    The common row is what all units of a layer share (a bias of the input); left in, it is the same for strangers.
    """
    vectors = vectors.float()
    vectors = vectors - vectors.mean(dim=0, keepdim=True)
    lengths = vectors.norm(dim=1, keepdim=True)
    centred = vectors.div_(lengths.clamp_min(1e-30))
    return centred if bool((lengths > 0).all()) else torch.where(lengths > 0, centred, torch.zeros_like(centred))


def live_units(vectors: Sequence[Vectors]) -> np.ndarray:
    """Which units have numbers other than zero in all of their tensors, (units,) of bool.

    Padding and pruning leave units empty, in places that are no accident; which of them is whose partner says nothing.
    """
    live: np.ndarray = np.all([(some.numpy() != 0.0).any(axis=1) for some in vectors], axis=0)
    return live


def cosines(first: Vectors, second: Vectors) -> np.ndarray:
    """All cosines between centred rows, (units of first, units of second)."""
    return (centred_unit_rows(first) @ centred_unit_rows(second).T).double().numpy()


def unpredicted(vectors: Vectors, known: Vectors, check: Callable[[], None] = lambda: None) -> Vectors:
    """Rows of `vectors` less what a linear map of the same units' rows in `known` tells of them; both centred.

    The map is fitted by least squares on the strongest directions of `known`, in one model alone, on all units where
    their descriptions are short: the same in any order of units. What is left is what the second description says
    beyond the first. `check` is called several times a second and may raise.
    """
    check()
    most = len(known) if known.shape[1] <= DIRECTIONS_FITTED else DIRECTIONS_FITTED
    few = torch.from_numpy(spread_indices(len(known), most))
    energy, along = _strongest_directions(known, few, check)
    told = torch.zeros(along.shape[1], vectors.shape[1], dtype=torch.float64)
    for start in range(0, len(few), UNITS_AT_ONCE):
        check()
        rows = few[start : start + UNITS_AT_ONCE]
        told += (known[rows].double() @ along / energy).T @ vectors[rows].double()
    left = torch.empty(vectors.shape)
    for start in range(0, len(vectors), UNITS_AT_ONCE):
        check()
        part = slice(start, start + UNITS_AT_ONCE)
        left[part] = vectors[part].double() - (known[part].double() @ along) @ told
    return left


def _strongest_directions(known: Vectors, few: torch.Tensor, check: Callable[[], None]) -> tuple[Vectors, Vectors]:
    """Energies and directions of those rows, (k,) and (features, k), from the smaller of their two product tables."""
    features = known.shape[1]
    if features <= len(few):
        products = torch.zeros(features, features, dtype=torch.float64)
        for start in range(0, len(few), UNITS_AT_ONCE):
            check()
            some = known[few[start : start + UNITS_AT_ONCE]].double()
            products += some.T @ some
    else:
        some = known[few].double()
        products = some @ some.T
    energy, directions = torch.linalg.eigh(products)
    check()
    most = len(few) // UNITS_PER_DIRECTION
    energy, directions = energy[-most:], directions[:, -most:]
    strong = energy > 1e-10 * energy[-1].clamp_min(1e-30)
    energy, directions = energy[strong], directions[:, strong]
    return energy, directions if features <= len(few) else some.T @ (directions / energy.sqrt())


def best_partners(similarity: np.ndarray) -> np.ndarray:
    """For each row its partner column in the matching of largest total similarity; -1 where rows are left over.

    Equally good columns are taken in a shuffled order: taken as they stand, ties would put first with first.
    """
    shuffled = np.random.default_rng(similarity.shape[1]).permutation(similarity.shape[1])
    rows, columns = linear_sum_assignment(similarity[:, shuffled], maximize=True)
    partners = np.full(similarity.shape[0], -1, dtype=np.int64)
    partners[rows] = shuffled[columns]
    return partners


def mean_of_partners(similarity: np.ndarray, partners: np.ndarray) -> float:
    """How alike each row and its partner column are on average; every row has one."""
    return float(similarity[np.arange(len(partners)), partners].mean())


def one_to_one(likeness: np.ndarray, same_place: float, allowed: np.ndarray | None = None) -> list[tuple[int, int]]:
    """Rows with columns, in the order of rows, so that their total likeness is largest.

    What stands at one place in both counts as more alike by `same_place`, so that ties keep the natural order. Pairs
    that are not `allowed`, (rows, columns) of bool, are not made.
    """
    favoured = likeness + same_place * np.eye(*likeness.shape)
    if allowed is not None:
        favoured = np.where(allowed, favoured, FORBIDDEN)
    rows, columns = linear_sum_assignment(favoured, maximize=True)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(i, j) for i, j in pairs if allowed is None or allowed[i, j]]


def nearest_partners(
    first: Sequence[Vectors], second: Sequence[Vectors], check: Callable[[], None] = lambda: None
) -> torch.Tensor:
    """For each unit of first the most alike of second, by cosines summed over their descriptions, (units,).

    Several may find the same one: it is to fit what most of them agree on. `check` is called between parts.
    """
    theirs = [centred_unit_rows(some) for some in second]
    mine = [centred_unit_rows(some) for some in first]
    found = []
    for start in range(0, len(mine[0]), UNITS_AT_ONCE):
        check()
        parts = [one[start : start + UNITS_AT_ONCE] @ other.T for one, other in zip(mine, theirs, strict=True)]
        found.append(torch.stack(parts).sum(dim=0).argmax(dim=1))
    return torch.cat(found)


def stand_out(alike: float, first: Sequence[Vectors], second: Sequence[Vectors]) -> bool:
    """Whether partners that are so alike on average are clearly more so than units with nothing in common.

    `first` and `second` are the units' descriptions, one or more of each side. What units with nothing in common reach
    is measured: either side is matched with random mixtures of the other's units. These read the same channels and
    directions as strongly, and are nobody's partners.
    """
    chance = max(_alike_when_mixed(first, second), _alike_when_mixed(second, first))
    return alike - chance >= STANDS_OUT * (1.0 - chance)


def _alike_when_mixed(first: Sequence[Vectors], second: Sequence[Vectors]) -> float:
    """How alike the best partners are between random mixtures of first's units and second's units, on average."""
    count = len(first[0])
    shares = torch.randn(min(count, MIXTURES), count, generator=torch.Generator().manual_seed(count))
    centred = [some.float() - some.float().mean(dim=0, keepdim=True) for some in first]
    likeness = np.mean([cosines(shares @ x, y) for x, y in zip(centred, second, strict=True)], axis=0)
    rows, columns = linear_sum_assignment(likeness, maximize=True)
    return float(likeness[rows, columns].mean())


def order_agreement(partners: np.ndarray) -> float:
    """Spearman correlation of a matching with the identity, -1 to 1; 0 for fewer than two units."""
    if len(partners) < 2:
        return 0.0
    _, place, counts = np.unique(partners, return_inverse=True, return_counts=True)
    # Units that are left over share a rank.
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float(np.corrcoef(ranks, np.arange(len(partners)))[0, 1])


def spread_indices(count: int, limit: int) -> np.ndarray:
    """`limit` indices at fixed even places among `count`; all of them where there are fewer."""
    return _spread(count, limit).copy()


@lru_cache(maxsize=64)
def _spread(count: int, limit: int) -> np.ndarray:
    if count <= limit:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, limit).round().astype(np.int64))
