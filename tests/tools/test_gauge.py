"""Coordinates that two models share, fitted on the tokens that both know."""

from __future__ import annotations

import pytest
import torch

from tools import gauge
from tools.gauge import common_coordinates, nearest_rotation


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rotation(width: int) -> torch.Tensor:
    turned: torch.Tensor = torch.linalg.qr(random(width, width, seed=9))[0]
    return turned


def test_a_rotation_is_undone() -> None:
    tokens, turn, units = random(200, 24), rotation(24), random(10, 24, seed=3)
    of_a, of_b = common_coordinates(tokens, tokens @ turn)
    assert torch.allclose(units @ of_a, units @ turn @ of_b, atol=1e-3)


@pytest.mark.parametrize("wide_first", [True, False])
def test_a_choice_of_coordinates_is_undone(wide_first: bool) -> None:
    tokens, units, kept = random(200, 24), random(10, 24, seed=3), [1, 4, 5, 8, 11, 20]
    if wide_first:
        of_wide, of_narrow = common_coordinates(tokens, tokens[:, kept])
    else:
        of_narrow, of_wide = common_coordinates(tokens[:, kept], tokens)
    assert torch.allclose(units @ of_wide, units[:, kept] @ of_narrow, atol=1e-3)


def test_swapped_models_are_seen_alike() -> None:
    a, b, units = random(200, 24), random(200, 24, seed=1), random(10, 24, seed=3)
    here, there = common_coordinates(a, b), common_coordinates(b, a)
    assert torch.allclose(units @ here[0], units @ there[1], atol=1e-5)
    assert torch.allclose(units @ here[1], units @ there[0], atol=1e-5)


def test_few_tokens_fit_few_directions() -> None:
    tokens, turn = random(30, 64), rotation(64)
    of_a, of_b = common_coordinates(tokens, tokens @ turn)
    assert of_a.shape == of_b.shape == (64, 15)
    # What the tokens vary along most is what is seen, and it is seen alike.
    seen, mirrored = tokens @ of_a, tokens @ turn @ of_b
    assert float((seen * mirrored).sum() / (seen.norm() * mirrored.norm())) > 0.999


def test_tokens_that_say_nothing_do_no_harm() -> None:
    for few in (100, 20):
        of_a, of_b = common_coordinates(torch.zeros(few, 32), random(few, 32))
        assert torch.isfinite(of_a).all() and torch.isfinite(of_b).all()


@pytest.mark.parametrize("widest", [0, 2048], ids=["iterated", "decomposed"])
def test_the_nearest_rotation_is_found_either_way(widest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauge, "WIDEST_DECOMPOSED", widest)
    rows, turn = random(400, 96) * torch.linspace(0.05, 1.0, 96), rotation(96)
    assert torch.allclose(nearest_rotation(rows.T @ (rows @ turn)), turn, atol=2e-3)
    noisy = rows @ turn + 0.1 * random(400, 96, seed=4)
    found = nearest_rotation(rows.T @ noisy)
    assert torch.allclose(found @ found.T, torch.eye(96), atol=1e-3)
    left, _, right = torch.linalg.svd((rows.T @ noisy).double())
    assert torch.allclose(found, (left @ right).float(), atol=5e-3)


def test_a_matrix_that_has_no_inverse_is_decomposed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauge, "WIDEST_DECOMPOSED", 0)
    found = nearest_rotation(torch.diag(torch.tensor([1.0, 2.0, 0.0])))
    assert torch.allclose(found @ found.T, torch.eye(3), atol=1e-5)
