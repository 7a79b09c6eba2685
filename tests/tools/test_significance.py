"""From a statistic to a p-value: against exact enumeration, against other libraries, and far out in the tail."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tools.significance import (
    at_least,
    bonferroni,
    coincidence,
    fisher,
    permutation_floor,
    rank_agreement,
    shifts_within_blocks,
)
from tools.units import FEWEST_UNITS
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


def exact_shifts(sums: np.ndarray) -> float:
    """The share of all choices of one column a row whose sum reaches that of the first column, in log10."""
    totals = np.zeros(1)
    for row in sums:
        totals = (totals[:, None] + row).ravel()
    return math.log10(float((totals >= sums[:, 0].sum() - 1e-9).mean()))


@pytest.mark.parametrize("heavy", [False, True])
def test_shifts_within_blocks_against_all_shifts(heavy: bool) -> None:
    luck = np.random.default_rng(5)
    rarest = 0.0
    for trial in range(60):
        sums = luck.standard_t(2, (7, 8)) if heavy else luck.normal(size=(7, 8))
        sums[:, 0] += trial / 15
        exact, said = exact_shifts(sums), shifts_within_blocks(sums)
        rarest = min(rarest, exact)
        # Never rarer than it is where it matters, and within a factor of two where strangers are, even if one of the
        # seven blocks outweighs the rest.
        assert said >= exact - (1e-6 if said < -3 else math.log10(2)), (trial, exact, said)
        assert said <= exact + 1.5
    assert rarest < -5


def test_shifts_within_blocks_at_its_ends() -> None:
    best = np.zeros((20, 8))
    best[:, 0] = 1.0
    assert shifts_within_blocks(best) == pytest.approx(-20 * math.log10(8))
    # Blocks in which all shifts are equal say nothing.
    best[10:] = 0.5
    assert shifts_within_blocks(best) == pytest.approx(-10 * math.log10(8))
    assert shifts_within_blocks(-best) == 0.0
    assert shifts_within_blocks(np.ones((5, 8))) == shifts_within_blocks(np.zeros((0, 8))) == 0.0


def test_shifts_within_blocks_near_the_ends_keep_to_the_bounds() -> None:
    for few in (2, 7):
        for lift in (0.5, 0.99, 0.999999, 1 - 1e-8):
            sums = np.zeros((few, 8))
            sums[:, 0], sums[:, 1] = lift, 1.0
            assert 0.0 > shifts_within_blocks(sums) >= exact_shifts(sums) - math.log10(2)
            # Just above the smallest sum almost every other choice is larger.
            assert shifts_within_blocks(-sums) >= math.log10(0.5)


def test_shifts_within_blocks_are_uniform_under_the_null() -> None:
    luck = np.random.default_rng(3)
    pvalues = [10 ** shifts_within_blocks(luck.standard_t(3, (24, 8))) for _ in range(400)]
    assert stats.kstest(pvalues, "uniform").pvalue > 0.01


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


def test_at_least_so_many_have_something_to_find() -> None:
    assert at_least([], -4.0) == 0
    assert at_least([-0.3, -0.5, -1.0], -4.0) == 0
    assert at_least([-5.0, -0.3, -0.5, -0.1], -4.0) == 1
    assert at_least([-5.0, -6.0, -4.5], -4.0) == 3
    # Together the three weak ones are rarer than the level, so are the weaker two of them, the weakest alone is not.
    assert at_least([-50.0, -2.7, -3.0, -3.0], -4.0) == 3


def test_at_least_calls_strangers_linked_no_oftener_than_the_level() -> None:
    luck = np.random.default_rng(5)
    for level in (-1.0, -2.0):
        # One is linked, seven are not; more than one is wrong.
        wrong = sum(at_least([-40.0, *np.log10(luck.random(7))], level) > 1 for _ in range(2000))
        # Each of the seven is also looked at alone.
        assert wrong <= 1.2 * 2000 * 8 * 10**level
