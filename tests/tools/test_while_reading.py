"""What happens beside the reading of a full comparison: the disk is told of the sample, differences are described."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
import torch

from tests.small_models import trained
from tools.audit import compare
from tools.errors import Cancelled
from tools.reading import MostDifferent, PartialComparison
from tools.sources.folder import regular_file


def test_a_local_file_tells_the_system_what_will_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights"
    path.write_bytes(bytes(50_000_000))
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda file, start, count, what: told.append((start, start + count)))
    pressed = threading.Event()
    file = regular_file(path, "weights", pressed.is_set)
    file.expect([(7, 30_000_000), (40_000_000, 40_000_100)])
    assert told[0][0] == 7 and told[-1] == (40_000_000, 40_000_100)
    assert sum(stop - start for start, stop in told) == 30_000_000 - 7 + 100
    assert max(stop - start for start, stop in told) <= 2**24
    pressed.set()
    with pytest.raises(Cancelled):
        file.expect([(0, 1)])


def test_a_system_without_advice_is_read_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fadvise")
    monkeypatch.setattr("tools.reading.READ_ALL_BYTES", -1)
    model = trained("llama_deep", 1)
    a, b = model.saved(tmp_path / "a"), model.saved(tmp_path / "b")
    assert compare(a, b, full=True)["answer"] == "identical"


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_what_is_described_during_the_pass_is_what_is_described_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noise: float
) -> None:
    monkeypatch.setattr("tools.reading.READ_ALL_BYTES", -1)
    monkeypatch.setattr("tools.sampling.READ_ALL_BYTES", 0)
    monkeypatch.setattr("tools.sampling.TENSOR_VALUES", 16 * 64)
    monkeypatch.setattr("tools.streaming.BLOCK_VALUES", 512)
    model = trained("llama_deep", 1)
    draw = torch.Generator().manual_seed(3)
    changed = {
        name: value + noise * value.std() * torch.randn(value.shape, generator=draw) if value.dim() == 2 else value
        for name, value in model.tensors.items()
    }
    changed["model.layers.2.mlp.up_proj.weight"] = model.tensors["model.layers.2.mlp.up_proj.weight"] * 1.5
    a = model.saved(tmp_path / "a")
    b = model.with_tensors(changed).saved(tmp_path / "b")
    found = compare(a, b, full=True)["findings"]
    comparison = MostDifferent.comparison

    def undescribed(self: MostDifferent) -> PartialComparison:
        found = comparison(self)
        assert found.differences
        found.differences = {}
        return found

    monkeypatch.setattr(MostDifferent, "comparison", undescribed)
    assert compare(a, b, full=True)["findings"] == found
