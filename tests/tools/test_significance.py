"""From a statistic to a p-value: against exact enumeration, against other libraries, and far out in the tail."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tools.roles import FEWEST_UNITS
from tools.significance import (
    bonferroni,
    coincidence,
    fisher,
    permutation_floor,
    rank_agreement,
)
from tools.verdict import LINK_LOG10_PVALUE

CORRELATIONS = st.floats(-1.0, 1.0)
LOGS = st.lists(st.floats(-2000.0, 0.0), min_size=1, max_size=30)


def test_the_floor_is_one_permutation_among_all() -> None:
    assert permutation_floor(7) == pytest.approx(-math.log10(math.factorial(7)))
    assert permutation_floor(512) == pytest.approx(-math.log10(math.factorial(512)))


def exact_log10(units: int, most: int) -> dict[float, float]:
    """Correlation -> log10 share of all permutations that reach it, for squared distances up to `most`.

    Counts permutations place by place over the sets of numbers already used.
    """
    table = {0: np.eye(1, most + 1, dtype=np.int64)[0]}
    for place in range(units):
        longer: dict[int, np.ndarray] = {}
        for used, counts in table.items():
            for number in range(units):
                distance = (place - number) ** 2
                if used >> number & 1 or distance > most:
                    continue
                row = longer.setdefault(used | 1 << number, np.zeros(most + 1, dtype=np.int64))
                row[distance:] += counts[: most + 1 - distance]
        table = {used: counts for used, counts in longer.items() if counts.any()}
    reached = np.cumsum(table[(1 << units) - 1])
    size = (units**3 - units) / 6
    return {1 - d / size: math.log10(reached[d] / math.factorial(units)) for d in range(0, most + 1, 2)}


def test_the_exact_count_is_right_where_all_can_be_listed() -> None:
    everyone = [float(stats.spearmanr(p, range(6)).statistic) for p in itertools.permutations(range(6))]
    for correlation, exact in exact_log10(6, 30).items():
        assert 10**exact == pytest.approx(np.mean([r >= correlation - 1e-9 for r in everyone]))


def test_sixteen_units_are_not_called_rarer_than_they_are() -> None:
    for correlation, exact in exact_log10(FEWEST_UNITS, 90).items():
        if exact >= LINK_LOG10_PVALUE:
            assert rank_agreement(correlation, FEWEST_UNITS) >= exact - math.log10(2), correlation


def test_rank_agreement_is_student_t_made_a_little_more_careful() -> None:
    for correlation, units, slack in ((0.02, 64, 0.001), (0.1, 64, 0.005), (0.3, 200, 0.2), (-0.4, 64, 1e-9)):
        t = correlation * math.sqrt((units - 2) / (1 - correlation**2))
        plain = math.log10(stats.t.sf(t, units - 2))
        assert plain - 1e-9 <= rank_agreement(correlation, units) <= plain + slack


def test_rank_agreement_far_below_the_smallest_double() -> None:
    mpmath = pytest.importorskip("mpmath", reason="high precision arithmetic is absent")
    units, correlation = 512, 0.985
    k = units - 2
    with mpmath.workdps(60):
        t2 = mpmath.mpf(correlation) ** 2 * k / (1 - mpmath.mpf(correlation) ** 2)
        tail = mpmath.betainc(mpmath.mpf(k) / 2, mpmath.mpf(1) / 2, 0, k / (k + t2), regularized=True) / 2
        exact = float(mpmath.log10(tail))
    assert exact < -308
    # Never rarer than the approximation; a tenth of four hundred decades makes no difference to a reader.
    assert exact <= rank_agreement(correlation, units) <= 0.88 * exact


def test_rank_agreement_stops_at_one_permutation() -> None:
    for units in (16, 64, 512):
        assert rank_agreement(1.0, units) == pytest.approx(permutation_floor(units))
        assert rank_agreement(1.0 - 1e-15, units) >= permutation_floor(units)
        assert rank_agreement(-1.0, units) == 0.0


def test_few_units_say_nothing() -> None:
    assert [rank_agreement(1.0, units) for units in (0, 1, 2, 3)] == [0.0] * 4


@given(CORRELATIONS, CORRELATIONS, st.integers(4, 600))
def test_rank_agreement_falls_as_agreement_rises(one: float, other: float, units: int) -> None:
    low, high = sorted((one, other))
    rarer, commoner = rank_agreement(high, units), rank_agreement(low, units)
    assert permutation_floor(units) - 1e-9 <= rarer <= commoner + 1e-6 <= 1e-6


def test_coincidence_counts_bits() -> None:
    assert coincidence(100, 8.0) == pytest.approx(-100 * 8 * math.log10(2))
    assert coincidence(0, 8.0) == 0.0


def test_bonferroni_multiplies_by_the_number_looked_at() -> None:
    assert bonferroni([-5.0, -1.0, -0.3]) == pytest.approx(-5 + math.log10(3))
    assert bonferroni([-5.0], 100) == pytest.approx(-3.0)
    assert bonferroni([-0.1, -0.2]) == 0.0
    assert bonferroni([]) == 0.0


def test_fisher_is_the_textbook_rule() -> None:
    logs = [-0.2, -1.5, -3.0, -0.01]
    together = stats.combine_pvalues([10**log for log in logs], method="fisher").pvalue
    assert fisher(logs) == pytest.approx(math.log10(together))
    assert fisher([]) == 0.0
    assert fisher([-2.5]) == pytest.approx(-2.5)


def test_fisher_keeps_its_slope_where_the_library_underflows() -> None:
    near, far = fisher([-100.0] * 3), fisher([-2000.0] * 3)
    assert -300 <= near <= -294
    # The exact tail for 2k degrees is exp(-h) sum h^i / i!, i < k.
    half = 6000 * math.log(10)
    exact = (-half + math.log(1 + half + half * half / 2)) / math.log(10)
    assert far == pytest.approx(exact, abs=1e-3)


@given(LOGS)
def test_combined_pvalues_are_pvalues(logs: list[float]) -> None:
    assert fisher(logs) <= 0.0 and math.isfinite(fisher(logs))
    assert min(logs) <= bonferroni(logs) <= 0.0
    assert fisher([*logs, -50.0]) < fisher([*logs, 0.0]) + 1e-9


def test_fisher_and_rank_agreement_are_uniform_on_random_permutations() -> None:
    luck = np.random.default_rng(11)

    def one_layer(units: int) -> float:
        return rank_agreement(float(stats.spearmanr(luck.permutation(units), np.arange(units)).statistic), units)

    together = [10 ** fisher([one_layer(96) for _ in range(4)]) for _ in range(300)]
    assert stats.kstest(together, "uniform").pvalue > 0.01
