"""The compiled loop against torch: which block differs most, and when it leaves the answer to others."""

from __future__ import annotations

import ctypes
import itertools
import os
from pathlib import Path

import pytest
import torch

from tools.compiled import Farthest, can_compare

TYPES = (torch.float32, torch.bfloat16, torch.float16)
BLOCK, COUNT = 1024, 10 * 1024 + 96


def found(
    folder: Path, x: torch.Tensor, y: torch.Tensor, count: int = COUNT, stop: int = 0
) -> tuple[float, int] | None:
    """What is found in two files that begin with something else."""
    numbers, places = [], []
    for name, values, before in (("x", x, b"abc"), ("y", y, b"")):
        (folder / name).write_bytes(before + bytes(values.view(torch.uint8).numpy()))
        numbers.append(os.open(folder / name, os.O_RDONLY))
        places.append(len(before))
    try:
        one, other = zip(numbers, places, strict=True)
        return Farthest(x.dtype, y.dtype, BLOCK, ctypes.c_int32(stop)).block(one, other, count)
    finally:
        for number in numbers:
            os.close(number)


def drawn(dtype: torch.dtype) -> torch.Tensor:
    draw = torch.Generator().manual_seed(3)
    sizes = torch.randn(COUNT, generator=draw) * 4.0
    return (torch.randn(COUNT, generator=draw) * sizes.exp()).clamp(-6e4, 6e4).to(dtype)


@pytest.mark.parametrize(("mine", "theirs"), itertools.product(TYPES, TYPES))
def test_the_block_that_differs_most_is_the_one_that_torch_finds(
    tmp_path: Path, mine: torch.dtype, theirs: torch.dtype
) -> None:
    x = drawn(mine)
    y = (x.float() * 1.01 + 1e-6).clamp(-6e4, 6e4).to(theirs)
    apart = [
        float((a.double() - b.double()).square().mean()) for a, b in zip(x.split(BLOCK), y.split(BLOCK), strict=True)
    ]
    result = found(tmp_path, x, y)
    assert result is not None
    assert result[0] == pytest.approx(max(apart), rel=1e-5) and result[1] == apart.index(max(apart)) * BLOCK


def test_another_thread_can_end_the_search(tmp_path: Path) -> None:
    x = drawn(torch.bfloat16)
    y = x * 1.01
    assert found(tmp_path, x, y) is not None and found(tmp_path, x, y, stop=1) is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_every_number_of_16_bits_is_read_as_torch_reads_it(tmp_path: Path, dtype: torch.dtype) -> None:
    all_of_them = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    for value in all_of_them[torch.isfinite(all_of_them)][::37]:
        x = value.repeat(32)
        result = found(tmp_path, x, torch.zeros(32), 32)
        square = float(value.double().square())
        if 1e-37 < square < 1e37:
            assert result is not None and result[0] == pytest.approx(square, rel=1e-5)
        elif not 1e-46 < square < 1e39:
            assert result is None
    for value in all_of_them[~torch.isfinite(all_of_them)][::101]:
        assert found(tmp_path, value.repeat(32), torch.zeros(32), 32) is None


@pytest.mark.parametrize("dtype", TYPES)
def test_equal_bytes_are_equal_whatever_they_say(tmp_path: Path, dtype: torch.dtype) -> None:
    x = drawn(dtype)
    x[5], x[BLOCK * 3] = float("nan"), float("inf")
    result = found(tmp_path, x, x.clone())
    assert result is not None and result[0] < 0.0
    y = x.clone()
    y[BLOCK * 2 + 7] += 1.0
    result = found(tmp_path, x, y)
    assert result is not None and result[0] > 0.0 and result[1] == BLOCK * 2


def test_what_it_cannot_tell_it_leaves_to_others(tmp_path: Path) -> None:
    x = drawn(torch.float32)
    for changed in (float("nan"), float("inf")):
        y = x.clone()
        y[-1] = changed
        assert found(tmp_path, x, y) is None
    assert found(tmp_path, x * 1e-30, x * 2e-30) is None
    assert found(tmp_path, x, x[:-1] + 1.0) is None
    zeros = torch.zeros(COUNT)
    assert found(tmp_path, zeros, -zeros) is None
    assert found(tmp_path, zeros, zeros.bfloat16()) is None


def test_types_that_it_does_not_know() -> None:
    assert can_compare(torch.bfloat16, torch.float32)
    assert not can_compare(torch.float8_e4m3fn, torch.float32) and not can_compare(torch.float32, torch.float64)
