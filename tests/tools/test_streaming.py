"""A full comparison of large models: every byte once, told while it runs, ended by a stop."""

from __future__ import annotations

import math
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.small_models import Small, trained, tuned
from tests.timing import least
from tools import streaming
from tools.audit import compare
from tools.errors import Cancelled, UserError
from tools.sources import open_checkpoint
from tools.tensor_pairs import TensorPair
from tools.view import SeenCheckpoint, unchanged

DEEP = "llama_deep"


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.reading.READ_ALL_BYTES", -1)
    monkeypatch.setattr("tools.sampling.READ_ALL_BYTES", 0)
    monkeypatch.setattr("tools.sampling.TENSOR_VALUES", 16 * 64)
    monkeypatch.setattr("tools.sampling.LAYERS_SAMPLED", 3)
    monkeypatch.setattr("tools.streaming.PART_BLOCKS", 4)
    monkeypatch.setattr("tools.streaming.BLOCK_VALUES", 512)


def in_bfloat16(model: Small) -> Small:
    return model.with_tensors({name: value.bfloat16() for name, value in model.tensors.items()})


def saved(folder: Path, name: str, model: Small) -> str:
    return model.saved(folder / name)


def noisy(model: Small, share: float) -> Small:
    draw = torch.Generator().manual_seed(5)
    changed = {
        name: (value.float() + share * value.float().std() * torch.randn(value.shape, generator=draw)).to(value.dtype)
        for name, value in model.tensors.items()
    }
    return model.with_tensors(changed)


def with_one_row_changed(model: Small) -> Small:
    """One row of a layer that a sample leaves out."""
    changed = dict(model.tensors)
    name = "model.layers.1.mlp.up_proj.weight"
    changed[name] = changed[name].clone()
    changed[name][-3] += 0.5
    return model.with_tensors(changed)


def test_a_copy_is_identical_only_after_all_bytes_were_compared(tmp_path: Path) -> None:
    model = in_bfloat16(trained(DEEP, 1))
    a, b = saved(tmp_path, "a", model), saved(tmp_path, "b", model)
    found = compare(a, b)
    assert found["answer"] == "identical"
    tensors = sum(value.numel() * value.itemsize for value in model.tensors.values())
    assert found["cost"]["bytes_read_a"] == found["cost"]["bytes_read_b"] == tensors


@pytest.mark.parametrize("full", [False, True])
def test_one_changed_row_is_found_among_all(tmp_path: Path, full: bool) -> None:
    model = in_bfloat16(trained(DEEP, 1))
    found = compare(saved(tmp_path, "a", model), saved(tmp_path, "b", with_one_row_changed(model)), full=full)
    assert found["answer"] != "identical"
    rows = found["findings"]["difference_shape"]["where"]["tensors"]
    assert [row["a"] for row in rows if row["kind"] != "equal"] == ["model.layers.1.mlp.up_proj.weight"]


def test_noise_everywhere_is_a_disguised_copy_and_training_is_not(tmp_path: Path) -> None:
    model = trained(DEEP, 1)
    a = saved(tmp_path, "a", model)
    assert compare(a, saved(tmp_path, "b", noisy(model, 0.02)), full=True)["answer"] == "disguised_copy"
    assert compare(a, saved(tmp_path, "c", tuned(DEEP, 1, 1)), full=True)["answer"] == "derived"


def test_formats_that_differ_are_held_against_each_other(tmp_path: Path) -> None:
    model = trained(DEEP, 1)
    found = compare(saved(tmp_path, "a", model), saved(tmp_path, "b", in_bfloat16(model)), full=True)
    assert found["answer"] == "disguised_copy"
    assert [change["kind"] for change in found["changes"]] == ["recast"]


def test_a_stranger_stays_independent(tmp_path: Path) -> None:
    found = compare(saved(tmp_path, "a", trained(DEEP, 1)), saved(tmp_path, "b", trained(DEEP, 2)), full=True)
    assert found["answer"] == "independent"


def test_a_broken_value_anywhere_is_refused(tmp_path: Path) -> None:
    model = trained(DEEP, 1)
    broken = with_one_row_changed(model)
    broken.tensors["model.layers.1.mlp.up_proj.weight"][-3, 0] = float("nan")
    with pytest.raises(UserError) as refused:
        compare(saved(tmp_path, "a", model), saved(tmp_path, "b", broken), full=True)
    assert refused.value.kind == "not_finite"


def test_the_listener_is_told_what_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.progress.TELL_SECONDS", 0.0)
    # A pass over so little that begins at once is over before anybody is told of it.
    monkeypatch.setattr("tools.measuring.likely_pairs", lambda models: [])
    model = in_bfloat16(trained(DEEP, 1))
    records: list[dict[str, Any]] = []
    compare(saved(tmp_path, "a", model), saved(tmp_path, "b", noisy(model, 0.05)), full=True, on_finding=records.append)
    told = [record for record in records if "bytes_expected" in record]
    done = [record["bytes_done"] for record in told]
    assert done == sorted(done) and len(set(done)) > 3
    assert all(record["bytes_done"] <= record["bytes_expected"] for record in told)
    tensors = [r["finding"]["tensor"] for r in records if r["step"] == "read" and (r["finding"] or {}).get("tensor")]
    assert {"model.embed_tokens.weight", "model.layers.3.mlp.down_proj.weight"} <= {*tensors}


@pytest.mark.parametrize("full", [False, True])
def test_a_stop_ends_any_read(tmp_path: Path, full: bool) -> None:
    model = trained(DEEP, 1)
    a, b = saved(tmp_path, "a", model), saved(tmp_path, "b", trained(DEEP, 2))
    asked = 0

    def never() -> bool:
        nonlocal asked
        asked += 1
        return False

    compare(a, b, full=full, stop=never)
    for share in (0.0, 0.3, 0.6, 0.9):
        left = int(share * asked)

        def stop() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        with pytest.raises(Cancelled):
            compare(a, b, full=full, stop=stop)
    assert not [thread for thread in threading.enumerate() if "_work" in thread.name]


def test_a_stop_ends_the_pass_within_half_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "BLOCK_VALUES", 128)
    model = in_bfloat16(trained(DEEP, 1))
    a, b = saved(tmp_path, "a", model), saved(tmp_path, "b", noisy(model, 0.1))

    def stopped() -> float:
        pressed = threading.Event()
        with open_checkpoint(a) as one, open_checkpoint(b) as other:
            pairs = [TensorPair(name, name, 0, None) for name, shape in one.shapes.items() if len(shape) == 2]
            with pytest.raises(Cancelled), streaming.Stream(one, other, pairs, pressed.is_set) as stream:
                stream.settle(pairs)
                for _ in stream.results(lambda: None):
                    pressed.set()
                    begun = time.monotonic()
            return time.monotonic() - begun

    assert least(stopped, 0.5) < 0.5


def test_rows_can_be_read_where_they_lie(tmp_path: Path) -> None:
    model = in_bfloat16(trained(DEEP, 1))
    name = "model.layers.0.mlp.up_proj.weight"
    with open_checkpoint(saved(tmp_path, "a", model)) as checkpoint:
        place = checkpoint.place(name, 3, 17)
        assert place is not None
        with place.file.opened() as number:
            data = bytearray(os.pread(number, place.stop - place.start, place.start))
        assert torch.equal(torch.frombuffer(data, dtype=torch.bfloat16).reshape(14, -1), model.tensors[name][3:17])
        assert checkpoint.bytes_read == 0
        checkpoint.count(name, len(data))
        assert checkpoint.bytes_read == len(data)
        assert SeenCheckpoint(checkpoint, unchanged(checkpoint)).place(name, 3, 17) is None


def test_values_that_are_decoded_come_in_the_same_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.checkpoint.READ_AT_ONCE", 5 * 64 * 2)
    model = in_bfloat16(trained(DEEP, 1))
    name = "model.layers.0.mlp.up_proj.weight"
    with open_checkpoint(saved(tmp_path, "a", model)) as checkpoint:
        blocks = list(checkpoint.read_blocks(name, 3, 17, 2))
    assert [len(rows) for rows in blocks] == [2] * 7
    assert torch.equal(torch.cat(blocks), model.tensors[name][3:17])


@pytest.mark.parametrize("block", [64, 512, 100_000])
@pytest.mark.parametrize("where_they_lie", [True, False])
def test_the_row_that_differs_most_does_not_depend_on_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, where_they_lie: bool
) -> None:
    monkeypatch.setattr(streaming, "BLOCK_VALUES", block)
    monkeypatch.setattr(streaming, "can_compare", lambda x, y: where_they_lie)
    model = in_bfloat16(trained(DEEP, 1))
    other = with_one_row_changed(noisy(model, 0.01))
    name = "model.layers.1.mlp.up_proj.weight"
    last = model.tensors[name].shape[0] - 3
    with open_checkpoint(saved(tmp_path, "a", model)) as a, open_checkpoint(saved(tmp_path, "b", other)) as b:
        pairs = [TensorPair(name, name, 0, None) for name, shape in a.shapes.items() if len(shape) == 2]
        found = []
        for workers in (1, 2):
            monkeypatch.setattr(streaming, "MOST_WORKERS", workers)
            with streaming.Stream(a, b, [], None) as stream:
                stream.settle(pairs)
                found.append({held.a: held for held in stream.results(lambda: None)})
        assert found[0] == found[1] and not found[0][name].equal
        assert found[0][name].row == last


@pytest.mark.parametrize("read_before", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("guess", ["all", "some", "wrong", "none"])
def test_what_the_pass_finds_does_not_depend_on_the_pairs_it_began_with(
    tmp_path: Path, guess: str, read_before: float
) -> None:
    model = in_bfloat16(trained(DEEP, 1))
    other = with_one_row_changed(model)
    # Nobody may be told of a tensor that cannot be compared, unless it has to be.
    strange = torch.full((64, 64), float("inf"), dtype=torch.bfloat16)
    model.tensors["aside"], other.tensors["aside"] = strange, -strange
    with open_checkpoint(saved(tmp_path, "a", model)) as a, open_checkpoint(saved(tmp_path, "b", other)) as b:
        names = [name for name, shape in a.shapes.items() if len(shape) == 2]
        right = [TensorPair(name, name, 0, None) for name in names]
        ups = [name for name in names if "up_proj" in name]
        wrong = [TensorPair(x, y, 0, None) for x, y in zip(ups, [*ups[1:], ups[0]], strict=True)]
        likely = {"all": right, "some": right[::2], "wrong": wrong, "none": []}[guess]
        with streaming.Stream(a, b, likely, None) as stream:
            whole = sum(2 * math.prod(a.shapes[pair.a]) for pair in likely if pair.a != "aside")
            until = time.monotonic() + 20.0
            while a.bytes_read < read_before * whole and time.monotonic() < until:
                time.sleep(0.01)
            assert a.bytes_read >= read_before * whole
            stream.settle([pair for pair in right if pair.a != "aside"])
            found = {held.a: held for held in stream.results(lambda: None)}
        assert set(found) == {*names} - {"aside"}
        changed = "model.layers.1.mlp.up_proj.weight"
        assert [name for name, held in found.items() if not held.equal] == [changed]
        assert found[changed].row == model.tensors[changed].shape[0] - 3
        with pytest.raises(UserError), streaming.Stream(a, b, likely, None) as stream:
            stream.settle(right)
            list(stream.results(lambda: None))


@pytest.mark.parametrize("where_they_lie", [True, False])
def test_numbers_too_small_for_squares_in_32_bits_are_not_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where_they_lie: bool
) -> None:
    monkeypatch.setattr(streaming, "can_compare", lambda x, y: where_they_lie)
    name = "model.layers.1.mlp.up_proj.weight"
    model = in_bfloat16(trained(DEEP, 1))
    tiny, other = (dict(model.tensors) for _ in range(2))
    tiny[name], other[name] = torch.full_like(model.tensors[name], 1e-30), torch.full_like(model.tensors[name], 2e-30)
    huge, minus = (dict(model.tensors) for _ in range(2))
    huge[name], minus[name] = torch.full_like(model.tensors[name], 3e38), torch.full_like(model.tensors[name], -3e38)
    for i, (one, two) in enumerate([(tiny, other), (huge, minus)]):
        a, b = (saved(tmp_path, f"{i}{j}", model.with_tensors(some)) for j, some in enumerate((one, two)))
        pairs = [TensorPair(name, name, 0, None)]
        with (
            open_checkpoint(a) as first,
            open_checkpoint(b) as second,
            streaming.Stream(first, second, pairs, None) as stream,
        ):
            stream.settle(pairs)
            assert [held.equal for held in stream.results(lambda: None)] == [False]
