"""From a statistic to a p-value, always as a base-10 logarithm; numbers in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import optimize, special, stats

LN10 = math.log(10.0)
# log10 by which the t approximation exceeds the true rate of a perfect agreement, for each unit: ln(2.846 / 2) / 2.
TAIL_EXCESS = 0.0767
# The saddle point divides by zero at the mean, where the normal distribution is as good.
NEAR_THE_MEAN = 0.05
# From here on, in log10, a p-value of shifts is a bound and no longer an approximation.
BOUND_FROM = -3.0
# Differences below this are rounding.
NO_SPREAD = 1e-9


def permutation_floor(units: int) -> float:
    """log10 of 1 / units!: no statistic of a permutation can be rarer than one permutation."""
    return 0.0 - float(special.gammaln(units + 1)) / LN10


def rank_agreement(correlation: float, units: int) -> float:
    """One-sided log10 p-value of a Spearman correlation between a random permutation and the identity.

    Student's t with `units - 2` degrees of freedom (Zhu et al. 2025, eq. 6), corrected in the far tail and floored at
    one permutation in `units`!. Returns 0 where fewer than four units leave nothing to say.
    """
    if units < 4:
        return 0.0
    floor = permutation_floor(units)
    spread = 1.0 - correlation * correlation
    if spread <= 0.0:
        return floor if correlation > 0 else 0.0
    k = units - 2
    tail = float(stats.t.logsf(correlation * math.sqrt(k / spread), k)) / LN10
    if not math.isfinite(tail):
        # Leading term of the t tail, (1 - r^2)^(k/2) / (k B(k/2, 1/2)), where the library underflows.
        tail = (0.5 * k * math.log(spread) - math.log(k) - float(special.betaln(k / 2, 0.5))) / LN10
    # The t approximation calls far agreements rarer than they are; see docs/decisions/0004.
    return (
        min(0.0, max(tail + TAIL_EXCESS * (units + 6) * correlation**4, floor)) if correlation > 0 else min(0.0, tail)
    )


def shifts_within_blocks(sums: np.ndarray) -> float:
    """One-sided log10 p-value of the sum of column 0, where each row might as well have shown any of its columns.

    `sums` is (blocks, shifts). Down to one in a thousand by the saddle point (Lugannani and Rice 1980, in
    Barndorff-Nielsen's form), below by Chernoff's bound, which no distribution of the sum can break.
    """
    centred = sums - sums.mean(axis=1, keepdims=True)
    spread = math.sqrt(float((centred**2).mean(axis=1).sum()))
    if spread <= NO_SPREAD * max(1.0, float(np.abs(sums).max(initial=0.0))):
        return 0.0
    centred = centred / spread
    seen = float(centred[:, 0].sum())
    most = centred.max(axis=1, keepdims=True)
    if seen >= float(most.sum()) - NO_SPREAD:
        return float(np.log10((centred >= most - NO_SPREAD).mean(axis=1)).sum())
    if seen <= float(centred.min(axis=1).sum()) + NO_SPREAD:
        return 0.0
    if abs(seen) < NEAR_THE_MEAN:
        return float(stats.norm.logsf(seen)) / LN10

    def beyond(tilt: float) -> float:
        return float((special.softmax(tilt * centred, axis=1) * centred).sum()) - seen

    way = math.copysign(1.0, seen)
    while beyond(way) * seen < 0.0:
        way *= 2.0
    tilt = float(optimize.brentq(beyond, 0.0, way))
    weights = special.softmax(tilt * centred, axis=1)
    variance = float(((weights * centred**2).sum(axis=1) - (weights * centred).sum(axis=1) ** 2).sum())
    rate = float((special.logsumexp(tilt * centred, axis=1) - math.log(centred.shape[1])).sum()) - tilt * seen
    root = math.copysign(math.sqrt(-2.0 * rate), seen)
    # Close to its ends the sum hardly varies any more under the tilt, and only the bounds are left.
    steps = tilt * math.sqrt(max(variance, 1e-300)) / root
    saddle = float(stats.norm.logsf(root + math.log(steps) / root)) / LN10
    if seen < 0.0:
        return min(0.0, max(saddle, math.log1p(-math.exp(rate)) / LN10))
    bound = rate / LN10
    return max(min(saddle, bound), min(BOUND_FROM, bound))


def coincidence(elements: int, entropy_bits: float) -> float:
    """log10 of the chance that `elements` values agree, each carrying `entropy_bits` of collision entropy."""
    return 0.0 - elements * entropy_bits * math.log10(2.0)


def bonferroni(log10_pvalues: Sequence[float], tests: int | None = None) -> float:
    """Smallest of several p-values, corrected for how many were looked at; valid however they depend on each other."""
    if not log10_pvalues:
        return 0.0
    return min(0.0, min(log10_pvalues) + math.log10(max(tests or 0, len(log10_pvalues))))


def at_least(log10_pvalues: Sequence[float], level: float) -> int:
    """How many of several independent tests must have something to find, where `level` (log10) is the risk of one more.

    At least u have, if the largest p-values, all but u - 1 of them, are together rarer than the level by Fisher's rule
    (partial conjunction, Benjamini and Heller 2008). Several weak signs count that way, one by one they would not.
    """
    logs = sorted(log10_pvalues)
    found = [fisher(logs[u:]) <= level for u in range(len(logs))]
    return max(sum(log <= level for log in logs), found.index(False) if False in found else len(found))


def fisher(log10_pvalues: Sequence[float]) -> float:
    """Combined log10 p-value of independent tests (Fisher 1932): -2 sum(ln p) is chi-squared with 2k degrees.

    Falls back to the dominating term of the tail where the chi-squared tail underflows.
    """
    k = len(log10_pvalues)
    if k == 0:
        return 0.0
    half = -sum(log10_pvalues) * LN10
    tail = float(stats.chi2.logsf(2.0 * half, 2 * k))
    if not math.isfinite(tail):
        tail = -half + (k - 1) * math.log(half) - float(special.gammaln(k))
    return min(0.0, tail / LN10)
