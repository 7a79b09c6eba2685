"""By which multiples of its parents' changes a merge of parts was made, read off its numbers.

Every number of such a merge lies where the base lies, or away from it by fixed multiples of some of the parents'
changes. Training puts numbers anywhere. The limits have their reasons in docs/decisions/0071-merges-of-parts.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tools.base_changes import Changes, power_below
from tools.merging import AGREEING, LEAST_WEIGHT

# How far apart combinations must lie, in what rounding may put a number off.
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
# Means give single parents multiples no further apart than this.
SAME_MULTIPLE = 0.1


@dataclass(frozen=True)
class Rule:
    """For every choice of parents the multiples of their changes, (choices, parents), that together make the merge's.

    `weights` are the parents' own; where `scale` is not None, chosen parents are averaged with them and then scaled.
    """

    choices: np.ndarray
    multiples: np.ndarray
    weights: np.ndarray
    scale: float | None


def rule_of(tensors: Sequence[Changes]) -> Rule | None:
    """The multiples that explain the tensors; None where none do."""
    parents = len(tensors[0].parents)
    choices = np.array(list(itertools.product((0.0, 1.0), repeat=parents)))
    singles = np.array([_usual_multiple(tensors, place) for place in range(parents)])
    if not (singles >= LEAST_WEIGHT).all():
        return None
    sums = singles
    for turn in range(ROUNDS):
        sums = _nearer(tensors, choices, choices * sums, AT_FIRST if turn < ROUNDS // 2 else ACCURACY, sums)
    found = Rule(choices, choices * sums, sums, None)
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


def _mean_of_chosen(choices: np.ndarray, weights: np.ndarray, scale: float) -> Rule:
    together = np.maximum(choices @ weights, 1e-300)[:, None]
    return Rule(choices, scale * choices * weights / together, weights, scale)


def _nearer_weight(tensors: Sequence[Changes], rule: Rule, place: int) -> float:
    """A better weight of a parent, relative to the first one's, from numbers that are a mean of these two."""
    assert rule.scale is not None
    both = int(np.flatnonzero((rule.choices.sum(axis=1) == 2) & (rule.choices[:, [0, place]] == 1).all(axis=1))[0])
    before = rule.weights[place] / rule.weights[0]
    squares = products = 0.0
    for tensor in tensors:
        nearest, left = nearest_choice(tensor, rule.multiples)
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
        _, left = nearest_choice(tensor, alone)
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


def nearest_choice(tensor: Changes, multiples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
        nearest, left = nearest_choice(tensor, multiples)
        near = (left <= tensor.off + slack * np.abs(tensor.merge)) & (np.abs(tensor.merge) > tensor.off)
        parts = choices[nearest[near]].T * tensor.parents[:, near]
        whole += parts @ parts.T
        along += parts @ tensor.merge[near]
    if np.linalg.cond(whole) > 1e12:
        return before
    better: np.ndarray = np.linalg.solve(whole, along)
    return better


def clear_values(tensor: Changes, rule: Rule) -> np.ndarray:
    """Values at which every parent's change is larger than rounding, so that choices can be told apart, (values,)."""
    single = rule.multiples[rule.choices.sum(axis=1) == 1].max(axis=0)
    sizes = np.abs(tensor.parents)
    # Of all that could have been kept, so that what was kept does not choose the values.
    off = tensor.rounding * power_below(np.abs(tensor.base) + np.maximum(1.0, single) @ sizes)
    clear: np.ndarray = (np.minimum(1.0, single)[:, None] * sizes >= APART * off).all(axis=0)
    return clear


def _explains(tensors: Sequence[Changes], rule: Rule) -> bool:
    """Whether the changed numbers of most tensors lie on choices of the rule, far more often than by chance."""
    right = asked = seen = lucky = 0
    luck = np.random.default_rng(0)
    for tensor in tensors:
        some = clear_values(tensor, rule) & (np.abs(tensor.merge) > tensor.off)
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


def _on_a_choice(tensor: Changes, rule: Rule) -> np.ndarray:
    _, left = nearest_choice(tensor, rule.multiples)
    near: np.ndarray = left <= tensor.off + ACCURACY * np.abs(tensor.merge)
    return near
