"""The disk reads ahead of a full comparison: in the order of the pass, a bounded way, and never instead of reading."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch

from tests.small_models import trained
from tools import read_ahead
from tools.audit import compare
from tools.checkpoint import Checkpoint, Wanted
from tools.errors import Cancelled, UserError
from tools.read_ahead import PARTS_AHEAD, ReadAhead
from tools.reading import MostDifferent
from tools.sources import open_checkpoint
from tools.sources.folder import regular_file
from tools.view import SeenCheckpoint, unchanged


class Asked(SeenCheckpoint):
    """Notes what is expected of it; `refuse` is raised instead."""

    def __init__(self, behind: Checkpoint, refuse: Exception | None = None) -> None:
        super().__init__(behind, unchanged(behind))
        self.asked: list[Wanted] = []
        self.refuse = refuse

    def expect(self, wanted: Iterable[Wanted]) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.asked += wanted


@pytest.fixture
def model(tmp_path: Path) -> Checkpoint:
    return open_checkpoint(trained("llama_deep", 1).saved(tmp_path / "model"))


def soon(true: Callable[[], bool]) -> bool:
    until = time.monotonic() + 5.0
    while not true() and time.monotonic() < until:
        time.sleep(0.005)
    return true()


def test_both_beginnings_are_asked_for_by_turns_and_no_more(model: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "STEP_BYTES", 4096)
    monkeypatch.setattr(read_ahead, "FIRST_BYTES", 20_000)
    a, b = Asked(model), Asked(model)
    with ReadAhead(a, b) as ahead:
        ahead.begin()
        assert soon(lambda: len(a.asked) == len(b.asked) == 5)
    assert a.asked == b.asked
    name = next(iter(model.shapes))
    assert {asked[0] for asked in a.asked} == {name}
    row_bytes = model.shapes[name][1] * 4
    assert [asked[1:] for asked in a.asked[:2]] == [(0, 4096 // row_bytes), (4096 // row_bytes, 2 * 4096 // row_bytes)]


def test_parts_are_asked_for_a_bounded_way_ahead(model: Checkpoint) -> None:
    a, b = Asked(model), Asked(model)
    name = next(iter(model.shapes))
    parts = [(name, name, row, row + 1) for row in range(PARTS_AHEAD + 5)]
    with ReadAhead(a, b) as ahead:
        ahead.follow(parts)
        assert soon(lambda: len(b.asked) == PARTS_AHEAD)
        time.sleep(0.05)
        assert len(a.asked) <= PARTS_AHEAD + 1 and len(b.asked) == PARTS_AHEAD
        ahead.taken()
        ahead.taken()
        assert soon(lambda: len(b.asked) == PARTS_AHEAD + 2)
    assert b.asked == [(name, start, stop) for _, name, start, stop in parts[: len(b.asked)]]
    assert not [thread for thread in threading.enumerate() if "(work)" in thread.name]


@pytest.mark.parametrize("refuse", [Cancelled(), UserError("changed_file", file="model.safetensors")])
def test_what_cannot_be_read_is_told_by_whoever_reads_it(model: Checkpoint, refuse: Exception) -> None:
    a, b = Asked(model, refuse), Asked(model)
    with ReadAhead(a, b) as ahead:
        ahead.begin()
        ahead.follow([(next(iter(model.shapes)),) * 2 + (0, 1)])
    assert not b.asked


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
    add = MostDifferent.add
    monkeypatch.setattr(MostDifferent, "add", lambda self, held, describe: add(self, held, False))
    assert compare(a, b, full=True)["findings"] == found
