"""Merges that keep parts of each parent's change to a base: DARE (random parts) and TIES (the largest parts).

Every number of such a merge lies where the base lies, or away from it by fixed multiples of some of the parents'
changes. Training puts numbers anywhere. DARE: Yu et al., ICML 2024; TIES: Yadav et al., NeurIPS 2023. The limits have
their reasons in docs/decisions/0071-merges-of-parts.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import stats

from tools.matching import spread_indices
from tools.merging import AGREEING, LEAST_WEIGHT, Merge, Method, Side, weighted_median

# Values of each tensor that are looked at.
VALUES = 2**14
# More parents have too many combinations.
MOST_PARENTS = 4
# How far a stored number may lie from a combination, in steps of its format, and how far apart combinations must lie.
STEPS_OFF_16_BIT, STEPS_OFF = 1.0, 4.0
APART = 6.0
# Multiples are known to this relative accuracy; at first, from the densest values, only to the second.
ACCURACY, AT_FIRST = 0.002, 0.01
# The densest window that is looked for holds this share of the values.
WINDOW = 0.02
ROUNDS = 6
# Share of the changed numbers that must lie on a combination, and that may do so by chance.
EXPLAINED, BY_CHANCE = 0.97, 0.6
# Changed numbers that must be seen in all, and in a tensor that is to count.
FEWEST, FEWEST_IN_ONE = 200, 20
# What is kept of a parent's change: less is no parent, more in all is no merge of parts.
LEAST_KEPT, MOST_KEPT = 0.003, 0.95
# The chance that a kept change is larger than a dropped one: a half for random parts, one for the largest.
RANDOM, LARGEST = (0.4, 0.6), 0.95
# The share of the numbers in tensors of which some changes were kept and some dropped.
MIXED = 0.5
# Tensors of one share differ by no more than this, and means give single parents multiples no further apart.
SAME_SHARE, SAME_MULTIPLE = 0.02, 0.1
# Where changes of different signs are kept together so many times more rarely than they occur, signs were elected.
SIGNS_DIFFER = 0.25


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
        return self.rounding * _power_below(np.maximum(largest, np.abs(self.parents).max(axis=0)))

    def those(self, places: np.ndarray, parents: Sequence[int] | None = None) -> Changes:
        """Some values and some parents of these."""
        rows = self.parents if parents is None else self.parents[list(parents)]
        return replace(self, base=self.base[places], merge=self.merge[places], parents=rows[:, places])


def _power_below(values: np.ndarray) -> np.ndarray:
    power: np.ndarray = np.ldexp(1.0, np.frexp(np.maximum(np.abs(values), 1e-300))[1] - 1)
    return power


@dataclass(frozen=True)
class _Rule:
    """For every choice of parents the multiples of their changes, (choices, parents), that together make the merge's.

    `weights` are the parents' own; where `scale` is not None, chosen parents are averaged with them and then scaled.
    """

    choices: np.ndarray
    multiples: np.ndarray
    weights: np.ndarray
    scale: float | None


@dataclass(frozen=True)
class _Kept:
    """What is kept of each parent's change in one tensor, (parents,), and how much larger that is than the rest."""

    shares: np.ndarray
    densities: np.ndarray
    larger: np.ndarray
    seen: int
    n: int


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
    rule = _rule(tensors)
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


def _rule(tensors: Sequence[Changes]) -> _Rule | None:
    """The multiples that explain the tensors; None where none do."""
    parents = len(tensors[0].parents)
    choices = np.array(list(itertools.product((0.0, 1.0), repeat=parents)))
    singles = np.array([_usual_multiple(tensors, place) for place in range(parents)])
    if not (singles >= LEAST_WEIGHT).all():
        return None
    sums = singles
    for turn in range(ROUNDS):
        sums = _nearer(tensors, choices, choices * sums, AT_FIRST if turn < ROUNDS // 2 else ACCURACY, sums)
    found = _Rule(choices, choices * sums, sums, None)
    if _explains(tensors, found):
        return found
    if parents == 1 or np.ptp(singles) > SAME_MULTIPLE * singles.max():
        return None
    scale, weights = float(np.median(singles)), np.ones(parents)
    alone = choices[choices.sum(axis=1) <= 1]
    for turn in range(ROUNDS):
        slack = AT_FIRST if turn < ROUNDS // 2 else ACCURACY
        scale = float(np.mean(_nearer(tensors, alone, alone * scale, slack, np.full(parents, scale))))
    for place in range(1, parents):
        share = _usual_part(tensors, alone * scale, scale, place)
        if not 0.0 < share < 1.0:
            return None
        weights[place] = (1.0 - share) / share
    for _ in range(ROUNDS):
        found = _mean_of_chosen(choices, weights / weights.sum(), scale)
        weights = np.array([1.0, *(_nearer_weight(tensors, found, place) for place in range(1, parents))])
    found = _mean_of_chosen(choices, weights / weights.sum(), scale)
    return found if _explains(tensors, found) else None


def _mean_of_chosen(choices: np.ndarray, weights: np.ndarray, scale: float) -> _Rule:
    together = np.maximum(choices @ weights, 1e-300)[:, None]
    return _Rule(choices, scale * choices * weights / together, weights, scale)


def _nearer_weight(tensors: Sequence[Changes], rule: _Rule, place: int) -> float:
    """A better weight of a parent, relative to the first one's, from numbers that are a mean of these two."""
    assert rule.scale is not None
    both = int(np.flatnonzero((rule.choices.sum(axis=1) == 2) & (rule.choices[:, [0, place]] == 1).all(axis=1))[0])
    before = rule.weights[place] / rule.weights[0]
    squares = products = 0.0
    for tensor in tensors:
        nearest, left = _nearest(tensor, rule.multiples)
        near = (nearest == both) & (left <= tensor.off + AT_FIRST * np.abs(tensor.merge))
        apart = rule.scale * (tensor.parents[0, near] - tensor.parents[place, near])
        squares += float(apart @ apart)
        products += float(apart @ (tensor.merge[near] - rule.scale * tensor.parents[place, near]))
    share = products / squares if squares else 0.0
    return float((1.0 - share) / share) if 0.0 < share < 1.0 else float(before)


def _usual_multiple(tensors: Sequence[Changes], place: int) -> float:
    """The multiple of one parent's change that most changed numbers hold; 0 where there are too few."""
    ratios = []
    for tensor in tensors:
        part = tensor.parents[place]
        sharp = (np.abs(part) >= APART * tensor.off) & (np.abs(tensor.merge) > tensor.off)
        ratios.append(tensor.merge[sharp] / part[sharp])
    return _densest(np.concatenate(ratios))


def _usual_part(tensors: Sequence[Changes], alone: np.ndarray, scale: float, place: int) -> float:
    """The first parent's share in its mean with another one, from numbers that neither explains alone."""
    ratios = []
    for tensor in tensors:
        first, other = tensor.parents[0], tensor.parents[place]
        _, left = _nearest(tensor, alone)
        apart = scale * (first - other)
        sharp = (np.abs(apart) >= APART * tensor.off) & (left > tensor.off + ACCURACY * np.abs(tensor.merge))
        ratios.append((tensor.merge - scale * other)[sharp] / apart[sharp])
    return _densest(np.concatenate(ratios))


def _densest(values: np.ndarray) -> float:
    """The middle of the narrowest window that holds a few hundredths of the values; 0 of too few."""
    count = max(2, round(WINDOW * len(values)))
    if len(values) < FEWEST:
        return 0.0
    ordered = np.sort(values)
    widths = ordered[count - 1 :] - ordered[: len(ordered) - count + 1]
    start = int(widths.argmin())
    return float(np.median(ordered[start : start + count]))


def _nearest(tensor: Changes, multiples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The choice that comes nearest to each value, and what it leaves, (values,) each."""
    left = np.abs(tensor.merge - multiples @ tensor.parents)
    nearest = left.argmin(axis=0)
    return nearest, left[nearest, np.arange(left.shape[1])]


def _nearer(
    tensors: Sequence[Changes], choices: np.ndarray, multiples: np.ndarray, slack: float, before: np.ndarray
) -> np.ndarray:
    """Better multiples of the parents: least squares over the numbers that lie near a choice."""
    whole, along = np.zeros((len(before), len(before))), np.zeros(len(before))
    for tensor in tensors:
        nearest, left = _nearest(tensor, multiples)
        near = (left <= tensor.off + slack * np.abs(tensor.merge)) & (np.abs(tensor.merge) > tensor.off)
        parts = choices[nearest[near]].T * tensor.parents[:, near]
        whole += parts @ parts.T
        along += parts @ tensor.merge[near]
    if np.linalg.cond(whole) > 1e12:
        return before
    better: np.ndarray = np.linalg.solve(whole, along)
    return better


def _clear(tensor: Changes, rule: _Rule) -> np.ndarray:
    """Values at which every parent's change is larger than rounding, so that choices can be told apart, (values,)."""
    single = rule.multiples[rule.choices.sum(axis=1) == 1].max(axis=0)
    sizes = np.abs(tensor.parents)
    # Of all that could have been kept, so that what was kept does not choose the values.
    off = tensor.rounding * _power_below(np.abs(tensor.base) + np.maximum(1.0, single) @ sizes)
    clear: np.ndarray = (np.minimum(1.0, single)[:, None] * sizes >= APART * off).all(axis=0)
    return clear


def _explains(tensors: Sequence[Changes], rule: _Rule) -> bool:
    """Whether the changed numbers of most tensors lie on choices of the rule, far more often than by chance."""
    right = asked = seen = lucky = 0
    luck = np.random.default_rng(0)
    for tensor in tensors:
        some = _clear(tensor, rule) & (np.abs(tensor.merge) > tensor.off)
        if some.sum() < FEWEST_IN_ONE:
            continue
        part = tensor.those(some)
        hits = _on_a_choice(part, rule)
        asked += tensor.n
        right += tensor.n if hits.mean() >= EXPLAINED else 0
        seen += len(hits)
        mixed = replace(part, merge=luck.permutation(part.merge))
        lucky += int(_on_a_choice(mixed, rule).sum())
    return seen >= FEWEST and right >= AGREEING * asked and lucky <= BY_CHANCE * seen


def _on_a_choice(tensor: Changes, rule: _Rule) -> np.ndarray:
    _, left = _nearest(tensor, rule.multiples)
    near: np.ndarray = left <= tensor.off + ACCURACY * np.abs(tensor.merge)
    return near


def _what_was_kept(tensors: Sequence[Changes], rule: _Rule) -> list[_Kept]:
    seen = []
    for tensor in tensors:
        clear = _clear(tensor, rule)
        nearest, _ = _nearest(tensor, rule.multiples)
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
