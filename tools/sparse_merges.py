"""Merges that keep parts of each parent's change to a base: DARE (random parts) and TIES (the largest parts).

DARE: Yu et al., ICML 2024; TIES: Yadav et al., NeurIPS 2023. The limits have their reasons in
docs/decisions/0071-merges-of-parts.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from tools.base_changes import Changes
from tools.merge_rule import FEWEST_IN_ONE, Rule, clear_values, nearest_choice, rule_of
from tools.merging import AGREEING, Merge, Method, weighted_median
from tools.sides import Side

# More parents have too many combinations.
MOST_PARENTS = 4
# What is kept of a parent's change: less is no parent, more in all is no merge of parts.
LEAST_KEPT, MOST_KEPT = 0.003, 0.95
# The chance that a kept change is larger than a dropped one: a half for random parts, one for the largest.
RANDOM, LARGEST = (0.4, 0.6), 0.95
# The share of the numbers in tensors of which some changes were kept and some dropped.
MIXED = 0.5
# Tensors of one share differ by no more than this.
SAME_SHARE = 0.02
# Where changes of different signs are kept together so many times more rarely than they occur, signs were elected.
SIGNS_DIFFER = 0.25


@dataclass(frozen=True)
class _Kept:
    """What is kept of each parent's change in one tensor, (parents,), and how much larger that is than the rest."""

    shares: np.ndarray
    densities: np.ndarray
    larger: np.ndarray
    seen: int
    n: int


def merge_of_parts(tensors: Sequence[Changes], side: Side) -> Merge | None:
    """The merge of parts that explains the tensors of one side; None where none does, or where everything was kept.

    Weights and shares are those of all parents, in their order, 0 for those of which nothing was kept.
    """
    tensors = [t for t in tensors if np.isfinite(t.merge).all() and np.isfinite(t.parents).all()]
    parents = len(tensors[0].parents) if tensors else 0
    if not 1 <= parents <= MOST_PARENTS:
        return None
    for count in range(parents, 0, -1):
        for more in itertools.combinations(range(1, parents), count - 1):
            chosen = [0, *more]
            found = _merge([tensor.those(np.arange(len(tensor.merge)), chosen) for tensor in tensors], side)
            if found is not None:
                weights, shares = np.zeros(parents), np.zeros(parents)
                weights[chosen], shares[chosen] = found.weights, found.kept
                return replace(found, weights=_tuple(weights), kept=_tuple(shares))
    return None


def _merge(tensors: Sequence[Changes], side: Side) -> Merge | None:
    rule = rule_of(tensors)
    if rule is None:
        return None
    kept = _what_was_kept(tensors, rule)
    counts = np.array([tensor.n for tensor in kept], dtype=float)
    if not kept or counts.sum() < AGREEING * sum(tensor.n for tensor in tensors):
        return None
    larger, seen = (np.array([getattr(tensor, key) for tensor in kept]) for key in ("larger", "seen"))
    mixed = ~np.isnan(larger).any(axis=1)
    if counts[mixed].sum() < MIXED * counts.sum():
        return None
    usual = np.array([weighted_median(column, counts[mixed]) for column in larger[mixed].T])
    method: Method
    if (usual >= LARGEST).all():
        shares = _one_share(np.array([tensor.densities for tensor in kept]), counts)
        method, weights = "TIES", rule.weights
    elif (usual > RANDOM[0]).all() and (usual < RANDOM[1]).all():
        each = np.array([tensor.shares for tensor in kept])
        shares = (each * seen[:, None]).sum(axis=0) / seen.sum()
        luck = 4 * np.sqrt(shares * (1 - shares) / seen[:, None])
        alike = (np.abs(each - shares) <= SAME_SHARE + luck).all(axis=1)
        if counts[alike].sum() < AGREEING * counts.sum():
            return None
        # What was kept is larger, so that the whole is as large as before.
        method, weights = "DARE", rule.weights * (shares if rule.scale is None else 1.0)
    else:
        return None
    if shares.min() < LEAST_KEPT or shares.max() > MOST_KEPT:
        return None
    scale = rule.scale if rule.scale is None or method == "TIES" else rule.scale * float(shares.mean())
    return Merge(side, float(weights[0]), _tuple(weights), method, _tuple(shares), scale)


def _tuple(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _one_share(shares: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The usual share where most tensors have it; else that of all, since the largest of all tensors were kept."""
    usual = np.array([weighted_median(column, counts) for column in shares.T])
    alike = (np.abs(shares - usual) <= SAME_SHARE).all(axis=1)
    if counts[alike].sum() >= AGREEING * counts.sum():
        return usual
    whole: np.ndarray = counts @ shares / counts.sum()
    return whole


def _what_was_kept(tensors: Sequence[Changes], rule: Rule) -> list[_Kept]:
    seen = []
    for tensor in tensors:
        clear = clear_values(tensor, rule)
        nearest, _ = nearest_choice(tensor, rule.multiples)
        seen.append((tensor, clear, rule.choices[nearest].T.astype(bool)))
    elected = _signs_elected([(tensor.parents[:, clear], chosen[:, clear]) for tensor, clear, chosen in seen])
    found = []
    for tensor, clear, chosen in seen:
        if elected:
            # Where signs differ, a change may be missing for its sign.
            clear = clear & (np.abs(np.sign(tensor.parents).sum(axis=0)) == len(tensor.parents))
        if clear.sum() < FEWEST_IN_ONE:
            continue
        sizes, kept = np.abs(tensor.parents[:, clear]), chosen[:, clear]
        everywhere = np.abs(tensor.parents)
        rows = [_by_size(*each) for each in zip(sizes, kept, everywhere, strict=True)]
        densities, larger = (np.array(column) for column in zip(*rows, strict=True))
        found.append(_Kept(kept.mean(axis=1), densities, larger, int(clear.sum()), tensor.n))
    return found


def _signs_elected(seen: Sequence[tuple[np.ndarray, np.ndarray]]) -> bool:
    """Whether changes of different signs are hardly ever kept at one place."""
    found = np.zeros((2, 2))
    for parents, kept in seen:
        for one, other in itertools.combinations(range(len(parents)), 2):
            both = kept[one] & kept[other]
            same = np.sign(parents[one]) == np.sign(parents[other])
            found += [[(both & ~same).sum(), (both & same).sum()], [(~same).sum(), same.sum()]]
    (differ, alike), (usual_differ, usual_alike) = found
    return bool(differ * usual_alike < SIGNS_DIFFER * alike * usual_differ)


def _by_size(sizes: np.ndarray, kept: np.ndarray, everywhere: np.ndarray) -> tuple[float, float]:
    """The share of all changes that are as large as the kept ones, and the chance that a kept one is larger.

    The second is not a number where all or none were kept.
    """
    order = np.argsort(sizes)
    ranked = kept[order]
    # Below the best threshold most are dropped, above it most are kept.
    errors = np.concatenate([[0], np.cumsum(ranked)]) + np.concatenate([np.cumsum(~ranked[::-1])[::-1], [0]])
    place = int(errors.argmin())
    threshold = sizes[order][place] if place < len(sizes) else np.inf
    count = int(kept.sum())
    if count in (0, len(kept)):
        return float((everywhere >= threshold).mean()), float("nan")
    larger = (stats.rankdata(sizes)[kept].sum() / count - (count + 1) / 2) / (len(kept) - count)
    return float((everywhere >= threshold).mean()), float(larger)
