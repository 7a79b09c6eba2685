"""Noise below the rounding of 16-bit numbers is told with its size; what little training moves is not called noise."""

from __future__ import annotations

import pytest
import torch

from tests.small_models import Small, trained, tuned
from tools.comparison import Comparison
from tools.evidence import Evidence
from tools.perturbations.add_noise import noisy
from tools.probes import probe_named
from tools.rounded_noise import noise_below_rounding, stored_in

Shares = dict[str, float]


def stored(dtype: torch.dtype = torch.bfloat16, seed: int = 0) -> torch.Tensor:
    """A matrix like a trained one, rows and columns of uneven size, in 16 bit."""
    luck = torch.Generator().manual_seed(seed)
    values = torch.randn(192, 128, generator=luck) * (0.3 * torch.randn(192, 1, generator=luck)).exp()
    return (0.02 * values * (0.3 * torch.randn(1, 128, generator=luck)).exp()).to(dtype)


def found(a: torch.Tensor, b: torch.Tensor) -> float | None:
    dtype = stored_in(a, b)
    assert dtype is not None
    sizes = noise_below_rounding(a, b, dtype), noise_below_rounding(b, a, dtype)
    assert sizes[0] == sizes[1]
    return sizes[0]


@pytest.mark.parametrize("share", [0.0007, 0.001, 0.003])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("as_float", [False, True])
def test_noise_is_told_with_its_size(share: float, dtype: torch.dtype, as_float: bool) -> None:
    for seed in range(3):
        values = stored(dtype, seed)
        other = noisy(values.float(), share, seed, "name").to(dtype)
        if as_float:
            values, other = values.float(), other.float()
        size = found(values, other)
        assert size is not None and size / float(values.float().std()) == pytest.approx(share, rel=0.1)


def test_what_is_not_evenly_random_is_no_noise() -> None:
    values = stored()
    spread = 0.001 * float(values.float().std())
    luck = torch.Generator().manual_seed(7)
    bell = torch.randn(values.shape, generator=luck)
    uneven_rows = bell * (0.5 * torch.randn(192, 1, generator=luck)).exp()
    uneven_columns = bell * (0.5 * torch.randn(1, 128, generator=luck)).exp()
    few_directions = torch.randn(192, 1, generator=luck) @ torch.randn(1, 128, generator=luck)
    heavy = bell * torch.randn(values.shape, generator=luck).exp()
    for change in (
        uneven_rows,
        uneven_columns,
        few_directions,
        heavy,
        bell.sign(),
        bell.abs(),
        values.sign() * bell.abs(),
    ):
        assert found(values, (values.float() + spread * change).bfloat16()) is None


def test_too_little_moved_says_nothing() -> None:
    values = stored()
    assert found(values, noisy(values.float(), 1e-5, 0, "name").bfloat16()) is None
    assert found(values[:2], noisy(values[:2].float(), 0.001, 0, "name").bfloat16()) is None


def shares(a: Small, b: Small) -> Shares:
    finding = probe_named("difference_shape").measure(Comparison(a.held(), b.held()))
    assert isinstance(finding, Evidence)
    return dict(finding.where["shares"])


def in_16_bit(model: Small) -> Small:
    return model.with_tensors({name: value.bfloat16() for name, value in model.tensors.items()})


def with_noise(model: Small, amounts: list[float]) -> Small:
    tensors = {
        name: noisy(value.float(), amounts[place % len(amounts)], 3, name).bfloat16()
        for place, (name, value) in enumerate(model.tensors.items())
    }
    return model.with_tensors(tensors)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
def test_noise_of_one_size_in_a_model(kind: str) -> None:
    model = in_16_bit(trained(kind, 1))
    assert shares(with_noise(model, [0.001]), model)["noise"] > 0.9
    # Of many sizes it is as likely to be training.
    assert "noise" not in shares(with_noise(model, [0.0007, 0.0012, 0.002]), model)


@pytest.mark.parametrize("scale", [0.1, 0.03, 0.01, 0.003])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
def test_little_training_is_no_noise(kind: str, scale: float) -> None:
    model, after = in_16_bit(trained(kind, 1)), tuned(kind, 1, 3)
    change = {n: (v.float() + scale * (after.tensors[n] - v.float())).bfloat16() for n, v in model.tensors.items()}
    assert "noise" not in shares(model.with_tensors(change), model)
