"""Matching units: cosines, best partners, agreement of orders."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tools import matching
from tools.errors import Cancelled
from tools.matching import (
    best_partners,
    centred_unit_rows,
    cosines,
    nearest_partners,
    one_to_one,
    order_agreement,
    spread_indices,
    stand_out,
    unpredicted,
)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_rows_are_centred_and_of_length_one() -> None:
    rows = centred_unit_rows(random(20, 8) + 5.0)
    assert torch.allclose(rows.norm(dim=1), torch.ones(20), atol=1e-5)
    # What all rows share is gone: a shift of every row changes nothing.
    assert torch.allclose(rows, centred_unit_rows(random(20, 8) - 3.0), atol=1e-4)


def test_pairs_keep_their_place_where_nothing_speaks_against_it() -> None:
    assert one_to_one(np.zeros((3, 4)), 0.05) == [(0, 0), (1, 1), (2, 2)]
    swapped = np.array([[0.0, 0.2], [0.2, 0.0]])
    assert one_to_one(swapped, 0.05) == [(0, 1), (1, 0)] and one_to_one(swapped, 0.25) == [(0, 0), (1, 1)]
    assert one_to_one(np.zeros((2, 0)), 0.05) == []


def test_pairs_that_are_not_allowed_are_not_made() -> None:
    likeness = np.array([[0.9, 0.1], [0.9, 0.1]])
    allowed = np.array([[False, True], [False, True]])
    assert one_to_one(likeness, 0.05, allowed) == [(1, 1)]


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_pairs_are_the_best_of_all(rows: int, columns: int, seed: int) -> None:
    likeness = np.random.default_rng(seed).uniform(-1, 1, (rows, columns))
    favoured = likeness + 0.1 * np.eye(rows, columns)
    few = min(rows, columns)
    ways = itertools.product(itertools.combinations(range(rows), few), itertools.permutations(range(columns), few))
    best = max(sum(favoured[i, j] for i, j in zip(*way, strict=True)) for way in ways)
    assert sum(favoured[i, j] for i, j in one_to_one(likeness, 0.1)) == pytest.approx(best)


def test_constant_and_zero_rows_become_zero_not_nan() -> None:
    for matrix in (torch.zeros(5, 4), torch.ones(5, 4), torch.ones(5, 4, dtype=torch.float16)):
        assert torch.equal(centred_unit_rows(matrix), torch.zeros(5, 4))
    assert np.isfinite(cosines(torch.zeros(5, 4), random(6, 4))).all()


def test_cosines_are_cosines() -> None:
    a, b = random(6, 10, seed=1), random(9, 10, seed=2)
    found = cosines(a, b)
    assert found.shape == (6, 9)
    x, y = (a - a.mean(0))[2], (b - b.mean(0))[7]
    assert found[2, 7] == pytest.approx(float(x @ y / (x.norm() * y.norm())), abs=1e-5)


def test_best_partners_maximise_the_total() -> None:
    table = random(6, 6, seed=4).numpy()
    partners = best_partners(table)
    best = max(sum(table[i, p[i]] for i in range(6)) for p in itertools.permutations(range(6)))
    assert sorted(partners) == list(range(6))
    assert table[np.arange(6), partners].sum() == pytest.approx(best)


def test_rows_left_over_have_no_partner() -> None:
    tall = best_partners(random(7, 4).numpy())
    assert (tall == -1).sum() == 3 and sorted(tall[tall >= 0]) == [0, 1, 2, 3]
    wide = best_partners(random(4, 7).numpy())
    assert (wide >= 0).all() and len(set(wide)) == 4


@given(st.permutations(list(range(24))), st.integers(0, 10))
def test_a_shuffled_copy_is_put_in_order(order: list[int], seed: int) -> None:
    vectors = random(24, 32, seed=seed)
    moved = vectors[torch.tensor(order)]
    partners = best_partners(cosines(vectors, moved))
    assert torch.equal(moved[torch.from_numpy(partners)], vectors)


def partners_stand_out(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    likeness = np.mean([cosines(mine, theirs) for mine, theirs in zip(first, second, strict=True)], axis=0)
    partners = best_partners(likeness)
    return stand_out(float(likeness[np.arange(len(partners)), partners].mean()), first, second)


@pytest.mark.parametrize("tensors", [1, 2])
@pytest.mark.parametrize("shape", [(4, 256), (96, 32), (256, 128), (700, 64)])
@pytest.mark.parametrize("spread", [0.0, 0.8, 1.5])
def test_partners_stand_out_only_among_the_same_units(spread: float, shape: tuple[int, int], tensors: int) -> None:
    channels = torch.exp(spread * random(shape[1], seed=90))
    mine, theirs = ([channels * random(*shape, seed=10 * k + i) for i in range(tensors)] for k in range(2))
    assert not partners_stand_out(mine, theirs) and not partners_stand_out(theirs, mine)
    order = torch.from_numpy(np.random.default_rng(0).permutation(shape[0]))
    noisy = [(some + 0.5 * some.std() * random(*shape, seed=50 + i))[order] for i, some in enumerate(mine)]
    assert partners_stand_out(mine, noisy) and partners_stand_out(noisy, mine)


def test_order_agreement() -> None:
    assert order_agreement(np.arange(30)) == pytest.approx(1.0)
    assert order_agreement(np.arange(30)[::-1]) == pytest.approx(-1.0)
    partners = np.random.default_rng(0).permutation(200)
    # The inverse of a permutation agrees with the identity as much as it does itself.
    assert order_agreement(partners) == pytest.approx(order_agreement(np.argsort(partners)))
    assert abs(order_agreement(partners)) < 0.25


@given(st.integers(1, 5000), st.integers(1, 600))
def test_spread_indices(count: int, limit: int) -> None:
    chosen = spread_indices(count, limit)
    assert len(chosen) == len(set(chosen)) <= min(count, max(limit, 1)) or count <= limit
    assert chosen[0] == 0 and chosen[-1] < count and (np.diff(chosen) > 0).all()
    if count <= limit:
        assert list(chosen) == list(range(count))
    else:
        assert len(chosen) == limit
        if limit > 1:
            assert chosen[-1] == count - 1 and np.ptp(np.diff(chosen)) <= 1


def test_what_is_predicted_is_taken_out_and_nothing_else() -> None:
    known, own = random(200, 30, seed=1), random(200, 40, seed=2)
    known, own = known - known.mean(0), own - own.mean(0)
    told = known @ random(30, 40, seed=3)
    assert torch.allclose(unpredicted(told, known), torch.zeros(200, 40), atol=1e-3)
    left = unpredicted(told + own, known)
    assert float((left * own).sum() / (left.norm() * own.norm())) > 0.9
    assert float((left.T @ known).abs().max()) < 1e-2


def test_few_units_cannot_explain_everything_away() -> None:
    # With more features than units any map fits; some of the second description must be left.
    known, own = random(40, 64, seed=1), random(40, 64, seed=2)
    assert float(unpredicted(own, known).norm() / own.norm()) > 0.5
    assert torch.isfinite(unpredicted(own, torch.zeros(40, 64))).all()


def test_what_is_predicted_does_not_depend_on_how_much_is_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    known, own = random(200, 30, seed=1), random(200, 40, seed=2)
    whole = unpredicted(own, known)
    monkeypatch.setattr(matching, "UNITS_AT_ONCE", 7)
    asked: list[None] = []
    parts = unpredicted(own, known, lambda: asked.append(None))
    assert torch.allclose(whole, parts, atol=1e-6)
    assert len(asked) >= 200 // 7


def test_a_stop_ends_a_fit_between_its_steps() -> None:
    asked = 0

    def stopped() -> None:
        nonlocal asked
        asked += 1
        if asked > 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        unpredicted(random(200, 40, seed=2), random(200, 30, seed=1), stopped)


def test_what_is_left_of_wide_layers_does_not_depend_on_the_order_of_units() -> None:
    known, own = random(3000, 64), random(3000, 48, seed=1) + random(3000, 4, seed=2) @ random(4, 48, seed=3)
    order = torch.randperm(3000, generator=torch.Generator().manual_seed(5))
    assert torch.allclose(unpredicted(own[order], known[order]), unpredicted(own, known)[order], atol=1e-4)


def test_the_nearest_unit_is_found_by_all_descriptions_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "UNITS_AT_ONCE", 16)
    views = [random(50, 24, seed=k) for k in range(2)]
    order = torch.randperm(50, generator=torch.Generator().manual_seed(5))
    noisy = [view[order] + 0.1 * random(50, 24, seed=9) for view in views]
    assert torch.equal(nearest_partners([view[:40] for view in noisy], views), order[:40])
