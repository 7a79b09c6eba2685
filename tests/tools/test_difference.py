"""What lies between two tensors: every kind is made here and must be named, with its amount."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.small_models import trained, tuned
from tools.difference import SUMS_BLUR, Difference, _left_by_sums, _relative, compare_values

SWAPPED = {"a": "b", "b": "a", None: None}


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def weights(rows: int = 192, columns: int = 128, seed: int = 0) -> torch.Tensor:
    """A matrix like a trained one: rows and columns of uneven size, and a few strong directions."""
    values = 0.02 * gaussian(rows, columns, seed=seed)
    values *= (0.3 * gaussian(rows, 1, seed=seed + 1)).exp() * (0.3 * gaussian(1, columns, seed=seed + 2)).exp()
    return values + 0.05 * gaussian(rows, 3, seed=seed + 3) @ gaussian(3, columns, seed=seed + 4) / 8


def noisy(values: torch.Tensor, share: float, seed: int = 9) -> torch.Tensor:
    return values + share * values.std() * gaussian(*values.shape, seed=seed)


def rounded_rows(values: torch.Tensor, bits: int = 8) -> torch.Tensor:
    """Quantised and put back, one scale a row."""
    scale = values.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)
    return (values / scale).round() * scale


def rounded_blocks(values: torch.Tensor, bits: int = 4, block: int = 32) -> torch.Tensor:
    """Quantised and put back, one scale a block, as Q4_0 does."""
    blocks = values.reshape(-1, block)
    scale = blocks.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)
    return ((blocks / scale).round() * scale).reshape(values.shape)


def trained_like(values: torch.Tensor, size: float = 0.1, seed: int = 21) -> torch.Tensor:
    """An uneven change in many directions, heavy in a few rows and columns."""
    rows, columns = values.shape
    change = gaussian(rows, columns, seed=seed)
    change *= gaussian(rows, 1, seed=seed + 1).exp() * gaussian(1, columns, seed=seed + 2).exp()
    return values + size * values.norm() * change / change.norm()


def both_ways(a: torch.Tensor, b: torch.Tensor) -> Difference:
    """The difference, after a check that the order of the two changes nothing but the sides."""
    one, other = compare_values(a, b), compare_values(b, a)
    assert one.kind == other.kind and one.coarser == SWAPPED[other.coarser]
    for key in ("relative_size", "amount", "cosine"):
        first, second = getattr(one, key), getattr(other, key)
        assert first == second or first == pytest.approx(second, rel=1e-6, abs=1e-9), key
    assert one.along_a == pytest.approx(-other.along_b, rel=1e-5, abs=1e-5)
    for number in dataclasses.astuple(one):
        assert not isinstance(number, float) or math.isfinite(number)
    return one


def test_equal() -> None:
    found = both_ways(weights(), weights())
    assert (found.kind, found.relative_size, found.cosine) == ("equal", 0.0, 1.0)
    assert both_ways(torch.zeros(20, 30), torch.zeros(20, 30)).kind == "equal"
    # The same numbers in another container.
    assert both_ways(weights().half(), weights().half().float()).kind == "equal"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
@pytest.mark.parametrize("back", [False, True], ids=["kept", "cast back"])
def test_recast_names_the_rounded_side(dtype: torch.dtype, back: bool) -> None:
    values = weights()
    cast = values.to(dtype).float() if back else values.to(dtype)
    found = both_ways(values, cast)
    assert (found.kind, found.coarser) == ("recast", "b")
    assert compare_values(cast, values).coarser == "a"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("bits", [4, 6, 8])
def test_quantised_a_row_at_a_time(bits: int, seed: int) -> None:
    found = both_ways(weights(seed=seed), rounded_rows(weights(seed=seed), bits))
    assert (found.kind, found.coarser) == ("quantised", "b")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("bits", [3, 4, 5, 8])
def test_quantised_in_blocks(bits: int, seed: int) -> None:
    found = both_ways(weights(seed=seed), rounded_blocks(weights(seed=seed), bits))
    assert found.kind == "quantised"
    if bits <= 5:
        assert found.coarser == "b"


@pytest.mark.parametrize("size", [0.001, 0.006, 0.015])
@pytest.mark.parametrize("grid", [rounded_rows(weights(), 4), rounded_blocks(weights())], ids=["rows", "blocks"])
def test_a_little_change_of_what_stood_on_a_grid_is_no_rounding(grid: torch.Tensor, size: float) -> None:
    # Few steps of an optimiser move every value by about as much.
    even = gaussian(*grid.shape).sign() * (1 + 0.2 * gaussian(*grid.shape, seed=1))
    stepped = both_ways(grid, grid + size * grid.std() * even)
    assert stepped.kind == "trained" and stepped.relative_size == pytest.approx(size, rel=0.1)
    blurred = both_ways(grid, noisy(grid, size))
    assert blurred.kind == "noise" and blurred.amount == pytest.approx(size, rel=0.1)


def test_quantised_and_stored_in_half() -> None:
    assert both_ways(weights(), rounded_blocks(weights()).half()).kind == "quantised"


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.5])
@pytest.mark.parametrize("shape", [(192, 128), (96, 32), (64, 512), (32, 96)])
def test_noise_and_how_much(share: float, shape: tuple[int, int]) -> None:
    values = weights(*shape)
    found = both_ways(values, noisy(values, share))
    assert found.kind == "noise"
    assert found.amount == pytest.approx(share, rel=0.10)


def test_noise_points_to_the_side_that_it_was_added_to() -> None:
    values = weights()
    found = compare_values(values, noisy(values, 0.2))
    assert abs(found.along_a) < 4 and found.along_b > 8
    turned = compare_values(noisy(values, 0.2), values)
    assert abs(turned.along_b) < 4 and turned.along_a < -8


@given(st.floats(0.001, 0.5), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_noise_of_any_seed_is_noise(share: float, seed: int) -> None:
    values = weights(96, 64, seed=seed)
    found = compare_values(values, noisy(values, share, seed=seed + 77))
    assert found.kind == "noise"
    assert found.amount == pytest.approx(share, rel=0.10)


def test_a_tensor_of_one_number_has_no_spread_to_measure_noise_by() -> None:
    constant = torch.full((64, 64), 100.0)
    changed = constant + 0.1 * gaussian(64, 64)
    assert compare_values(constant, changed).kind == compare_values(changed, constant).kind == "trained"


@pytest.mark.parametrize("shape", [(8, 4096), (1, 400), (300, 8)])
def test_one_number_added_to_all_is_no_noise(shape: tuple[int, int]) -> None:
    values = torch.randint(-100, 100, shape, generator=torch.Generator().manual_seed(0)) / 64
    assert compare_values(values, values + 1).kind == compare_values(values + 1, values).kind == "trained"


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5])
def test_pruned_values(share: float) -> None:
    values = weights()
    smallest = values.abs() < values.abs().flatten().quantile(share)
    found = both_ways(values, values.masked_fill(smallest, 0.0))
    assert (found.kind, found.coarser) == ("pruned", "b")
    assert found.amount == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("rank", [1, 4, 8])
@pytest.mark.parametrize("shape", [(192, 128), (64, 64), (96, 32)])
def test_low_rank_and_which(rank: int, shape: tuple[int, int]) -> None:
    values = weights(*shape)
    change = gaussian(shape[0], rank, seed=5) @ gaussian(rank, shape[1], seed=6)
    found = both_ways(values, values + 0.05 * values.norm() * change / change.norm())
    assert (found.kind, found.amount) == ("low_rank", rank)


@pytest.mark.parametrize("size", [0.003, 0.03, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_an_uneven_change_is_training(size: float, seed: int) -> None:
    values = weights(seed=seed)
    found = both_ways(values, trained_like(values, size, seed=seed + 40))
    assert found.kind == "trained"
    assert found.amount == pytest.approx(found.relative_size) == pytest.approx(size, rel=0.1)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
@pytest.mark.parametrize("steps", [10, 25, 80])
def test_real_training_is_neither_noise_nor_rounding(kind: str, steps: int) -> None:
    before, after = trained(kind, 1).tensors, tuned(kind, 1, 3, steps).tensors
    found = {
        name: compare_values(values, after[name]).kind
        for name, values in before.items()
        if values.dim() == 2 and values.numel() >= 1024
    }
    wrong = {name: kind for name, kind in found.items() if kind not in ("trained", "low_rank")}
    size = sum(before[name].numel() for name in found)
    # Small matrices can look like anything; most of the numbers must not.
    assert sum(before[name].numel() for name in wrong) <= 0.1 * size, wrong


def test_sgd_momentum_training_is_not_noise() -> None:
    # Adam's steps are bounded and flat; plain gradient steps are heavy-tailed. Both are training.
    values = weights(64, 64)
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(256, 64, generator=generator) * torch.linspace(0.2, 3.0, 64)
    wanted = torch.randn(256, 64, generator=generator)
    moved = values.clone().requires_grad_()
    optimizer = torch.optim.SGD([moved], lr=1e-3, momentum=0.9)
    for _ in range(30):
        loss = (inputs @ moved.T - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert both_ways(values, moved.detach()).kind in ("trained", "low_rank")


def test_strangers_are_unrelated() -> None:
    for seed in range(5):
        assert both_ways(weights(seed=seed * 10), weights(seed=seed * 10 + 500)).kind == "unrelated"
    assert both_ways(weights(), torch.zeros(192, 128)).kind == "unrelated"


@pytest.mark.parametrize("shape", [(32, 16, 3), (24, 16, 3, 3), (1, 400), (400, 1)])
def test_any_number_of_axes(shape: tuple[int, ...]) -> None:
    values = gaussian(*shape)
    assert both_ways(values, values).kind == "equal"
    assert both_ways(values, noisy(values, 0.1)).kind in ("noise", "trained")
    assert both_ways(values, gaussian(*shape, seed=3)).kind == "unrelated"


@pytest.mark.parametrize("scale", [4.0, 0.25])
def test_a_scaled_noisy_copy_gives_no_direction(scale: float) -> None:
    # What the scale was fitted to cannot also tell which side the noise was added to.
    values = weights()
    found = both_ways(values, scale * noisy(values, 0.3))
    assert found.kind == "noise" and found.amount == pytest.approx(0.3, rel=0.15)
    assert (abs(found.along_a) > 8) == (abs(found.along_b) > 8)


@pytest.mark.parametrize("shape", [(192, 1), (1, 128), (1, 1)], ids=["by row", "by column", "as a whole"])
def test_a_pure_rescaling_is_nothing_else(shape: tuple[int, int]) -> None:
    factors = (2 * gaussian(*shape, seed=8).clamp(-1, 1)).exp()
    assert both_ways(weights(), weights() * factors).kind == "rescaled"


scales = st.sampled_from([0.0, 1e-30, 1e-3, 1.0, 1e30])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99), scales)
@settings(max_examples=60, deadline=None)
def test_any_shape_and_scale_gets_an_answer(rows: int, columns: int, seed: int, scale: float) -> None:
    a, b = gaussian(rows, columns, seed=seed), gaussian(rows, columns, seed=seed + 1)
    for found in (compare_values(a, a + scale * b), compare_values(a + scale * b, a), compare_values(a, a * 0)):
        assert all(math.isfinite(n) for n in dataclasses.astuple(found) if isinstance(n, float))


@given(st.integers(16, 60), st.integers(16, 60), st.integers(0, 99), scales)
@settings(max_examples=60, deadline=None)
def test_the_order_of_two_matrices_does_not_matter(rows: int, columns: int, seed: int, scale: float) -> None:
    a, b = gaussian(rows, columns, seed=seed), gaussian(rows, columns, seed=seed + 1)
    both_ways(a, a + scale * b)


def test_a_scale_that_is_not_worth_undoing_is_told_without_undoing_it() -> None:
    # What the sums say a scale would leave is what it leaves once it is undone.
    x = gaussian(24, 40, seed=1).double()
    y = x + gaussian(24, 40, seed=2).double()
    for axes in ((0, 1), (1,), (0,)):
        lengths = [side.square().sum(dim=axes, keepdim=True).sqrt() for side in (x, y)]
        both = (x * y).sum(dim=axes, keepdim=True)
        halfway = (lengths[1] / lengths[0]).sqrt()
        met = x * halfway, y * both.sign() / halfway
        left = _relative(met[1] - met[0], float(met[0].norm()), float(met[1].norm()))
        assert _left_by_sums(lengths[0], lengths[1], both) == pytest.approx(left, abs=SUMS_BLUR / 10)
