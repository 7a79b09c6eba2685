"""From a statistic to a p-value, always as a base-10 logarithm; numbers in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy import special, stats

LN10 = math.log(10.0)
# log10 by which the t approximation exceeds the true rate of a perfect agreement, for each unit: ln(2.846 / 2) / 2.
TAIL_EXCESS = 0.0767


def permutation_floor(units: int) -> float:
    """log10 of 1 / units!: no statistic of a permutation can be rarer than one permutation."""
    return -float(special.gammaln(units + 1)) / LN10


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


def coincidence(elements: int, entropy_bits: float) -> float:
    """log10 of the chance that `elements` values agree, each carrying `entropy_bits` of collision entropy."""
    return -elements * entropy_bits * math.log10(2.0)


def bonferroni(log10_pvalues: Sequence[float], tests: int | None = None) -> float:
    """Smallest of several p-values, corrected for how many were looked at; valid however they depend on each other."""
    if not log10_pvalues:
        return 0.0
    return min(0.0, min(log10_pvalues) + math.log10(max(tests or 0, len(log10_pvalues))))


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
