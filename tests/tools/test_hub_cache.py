"""What is kept of a hub: never wrong, never half, shared by several runs, bounded, and dispensable."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.hub_emulator import HubEmulator, Repository
from tools.__main__ import main
from tools.sources import hub as hub_source
from tools.sources import open_checkpoint, range_cache
from tools.sources.range_cache import DiskStore, MemoryStore, RangeStore, StoredName, cached_models, clear_cache
from tools.sources.ranges import missing

StartHub = Callable[..., HubEmulator]
ROOT = Path(__file__).resolve().parents[2]
NAME = StoredName("https://hub", "owner/name", "a" * 40, "model.safetensors")
OTHER = StoredName("https://hub", "owner/name", "b" * 40, "model.safetensors")
WEIGHTS = {f"w{i}": torch.randn(600, 512, generator=torch.Generator().manual_seed(i)) for i in range(16)}
READ_ALL = """
import sys
from tools.sources import hub, open_checkpoint
hub.REQUEST_BYTES = 400_000
with open_checkpoint("owner/name") as model:
    print("open", flush=True)
    sums = [model.read(name).double().sum().item() for name in model.shapes]
print(sum(sums), flush=True)
"""


@pytest.fixture
def hub(start_hub: StartHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubEmulator:
    monkeypatch.setattr(hub_source, "REQUEST_BYTES", 400_000)
    (tmp_path / "model").mkdir()
    save_file(WEIGHTS, tmp_path / "model" / "model.safetensors")
    return start_hub({"owner/name": tmp_path / "model"})


def read_all() -> None:
    with open_checkpoint("owner/name") as model:
        for name, value in WEIGHTS.items():
            assert torch.equal(model.read(name), value)


def a_run() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", READ_ALL], cwd=ROOT, stdout=subprocess.PIPE, text=True)


class TestStores:
    @pytest.fixture(params=["memory", "disk"])
    def store(self, request: pytest.FixtureRequest, tmp_path: Path) -> RangeStore:
        return MemoryStore() if request.param == "memory" else DiskStore(tmp_path / "kept", 10**8)

    def test_what_was_put_is_filled_in(self, store: RangeStore) -> None:
        store.put(NAME, 10, b"abcdef")
        store.put(NAME, 30, b"xyz")
        store.put(OTHER, 0, b"another")
        assert sorted(store.spans(NAME)) == [(10, 16), (30, 33)]
        into = bytearray(b"." * 20)
        assert store.fill(NAME, 12, into) == [(12, 16), (30, 32)]
        assert into == b"cdef..............xy"
        assert store.fill(StoredName("https://hub", "x/y", "a" * 40, "model.safetensors"), 0, bytearray(9)) == []

    def test_a_name_is_all_of_its_parts(self) -> None:
        names = {
            StoredName(*parts).digest
            for parts in (("a", "b", "c", "d"), ("a", "bc", "", "d"), ("ab", "", "c", "d"), ("a", "b", "cd", ""))
        }
        assert len(names) == 4

    def test_another_run_finds_it(self, tmp_path: Path) -> None:
        DiskStore(tmp_path, 10**8).put(NAME, 0, b"kept")
        into = bytearray(4)
        assert DiskStore(tmp_path, 10**8).fill(NAME, 0, into) == [(0, 4)] and into == b"kept"

    @pytest.mark.parametrize("damage", ["shorter", "changed", "empty", "longer"])
    def test_a_damaged_range_is_no_range(self, tmp_path: Path, damage: str) -> None:
        DiskStore(tmp_path, 10**8).put(NAME, 0, b"0123456789")
        (path,) = tmp_path.glob("*/*/0-10")
        data = path.read_bytes()
        damaged = {"shorter": data[:-1], "changed": b"X" + data[1:], "empty": b"", "longer": data + b"0"}
        path.write_bytes(damaged[damage])
        store = DiskStore(tmp_path, 10**8)
        assert store.fill(NAME, 0, bytearray(10)) == [] and not path.exists()

    def test_what_was_used_longest_ago_makes_room(self, tmp_path: Path) -> None:
        names = [StoredName("https://hub", "owner/name", "a" * 40, f"{i}.bin") for i in range(6)]
        for age, name in enumerate(names):
            store = DiskStore(tmp_path, 10**6)
            store.put(name, 0, bytes(150_000))
            (place,) = tmp_path.glob(f"*/{name.digest}")
            os.utime(place, (time.time() - 1000 + age,) * 2)
        DiskStore(tmp_path, 10**6).fill(names[0], 0, bytearray(5))
        DiskStore(tmp_path, 10**6).put(OTHER, 0, bytes(300_000))
        held = [bool(DiskStore(tmp_path, 10**6).spans(name)) for name in names]
        assert held[0] and held[-1] and not held[1]
        assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 10**6

    def test_a_server_makes_room_from_what_it_used_before(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One process uses more than the limit over time: it goes on keeping, and what it just used stays."""
        now = [1000.0]
        monkeypatch.setattr(range_cache.time, "monotonic", lambda: now[0])
        names = [StoredName("https://hub", "owner/name", "a" * 40, f"{i}.bin") for i in range(30)]
        store = DiskStore(tmp_path, 10**6)
        for name in names:
            now[0] += 300
            store.put(name, 0, bytes(150_000))
            assert next(tmp_path.glob(f"*/{name.digest}"), None) is not None
        assert next(tmp_path.glob(f"*/{names[0].digest}"), None) is None
        assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 10**6

    def test_a_full_cache_is_tried_again_later(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [1000.0]
        monkeypatch.setattr(range_cache.time, "monotonic", lambda: now[0])
        store = DiskStore(tmp_path, 10**6)
        store.put(NAME, 0, bytes(900_000))
        store.put(OTHER, 0, bytes(500_000))
        assert not list(tmp_path.glob(f"*/{OTHER.digest}/0-*")) and store.spans(OTHER) == [(0, 500_000)]
        now[0] += 1000
        store.put(OTHER, 0, bytes(500_000))
        assert list(tmp_path.glob(f"*/{OTHER.digest}/0-*")) and not list(tmp_path.glob(f"*/{NAME.digest}"))

    def test_more_than_the_limit_goes_on_in_memory(self, tmp_path: Path) -> None:
        store = DiskStore(tmp_path, 1000)
        store.put(NAME, 0, bytes(5000))
        assert store.spans(NAME) == [(0, 5000)]
        assert not list(tmp_path.rglob("*-*"))

    def test_memory_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(range_cache, "MEMORY_BYTES", 1000)
        store = MemoryStore()
        for start in range(0, 5000, 100):
            store.put(NAME, start, bytes(100))
        assert sum(stop - start for start, stop in store.spans(NAME)) <= 1000

    def test_a_full_disk_is_one_note(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def full(path: Path, *parts: bytes) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(range_cache, "_write_whole", full)
        store = DiskStore(tmp_path, 10**8)
        with caplog.at_level(logging.WARNING):
            for start in range(0, 50, 10):
                store.put(NAME, start, b"0123456789")
        assert len(caplog.records) == 1 and "No space left" in caplog.text
        into = bytearray(50)
        assert len(store.fill(NAME, 0, into)) == 5 and into == b"0123456789" * 5


class TestRuns:
    def test_a_second_run_asks_for_the_commit_alone(self, hub: HubEmulator) -> None:
        read_all()
        hub.clear()
        read_all()
        assert [request.path for request in hub.requests] == ["/api/models/owner/name/revision/main"]

    def test_a_moved_branch_is_read_anew(self, start_hub: StartHub, hub: HubEmulator, tmp_path: Path) -> None:
        read_all()
        (tmp_path / "moved").mkdir()
        save_file({"w0": torch.zeros(600, 512)}, tmp_path / "moved" / "model.safetensors")
        hub.repositories["owner/name"].commit(tmp_path / "moved")
        with open_checkpoint("owner/name") as model:
            assert not model.read("w0").any()

    def test_what_became_private_is_not_shown_from_the_cache(self, hub: HubEmulator) -> None:
        read_all()
        hub.repositories["owner/name"].private = True
        with pytest.raises(Exception) as caught:
            read_all()
        assert getattr(caught.value, "kind", "") == "hub_not_found"

    def test_no_room_at_all(self, hub: HubEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        blocked = tmp_path / "a file"
        blocked.write_text("in the way")
        monkeypatch.setenv("WHOSE_WEIGHTS_HUB_CACHE", str(blocked / "cache"))
        read_all()

    def test_switched_off(self, hub: HubEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WHOSE_WEIGHTS_HUB_CACHE_GB", "0")
        read_all()
        assert not (tmp_path / "hub-cache").exists()

    def test_a_killed_run_goes_on_where_it_was(self, hub: HubEmulator, tmp_path: Path) -> None:
        hub.pace = 0.03
        size = (tmp_path / "model" / "model.safetensors").stat().st_size
        killed = a_run()

        def lacking() -> int:
            # What a run has written and not yet renamed is not kept.
            found = [path.name.split("-") for path in (tmp_path / "hub-cache").rglob("[0-9]*-[0-9]*")]
            gaps = missing([(0, size)], [(int(start), int(stop)) for start, stop in found])
            return sum(stop - start for start, stop in gaps)

        while lacking() > size * 3 / 4:
            assert killed.poll() is None
            time.sleep(0.01)
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
        left = lacking()
        time.sleep(0.5)
        hub.clear()
        again = a_run()
        said, _ = again.communicate(timeout=60)
        total = sum(value.double().sum().item() for value in WEIGHTS.values())
        assert float(said.split()[-1]) == pytest.approx(total)
        assert again.returncode == 0
        # Not one byte that was kept is read again.
        assert hub.served_of("model.safetensors") == left
        hub.clear()
        read_all()
        assert hub.served_of("model.safetensors") == 0

    def test_two_runs_share_one_cache(self, hub: HubEmulator, tmp_path: Path) -> None:
        runs = [a_run() for _ in range(2)]
        said = [run.communicate(timeout=100)[0] for run in runs]
        assert [run.returncode for run in runs] == [0, 0]
        total = sum(value.double().sum().item() for value in WEIGHTS.values())
        assert all(float(text.split()[-1]) == pytest.approx(total) for text in said)
        assert not list((tmp_path / "hub-cache").rglob(".unfinished-*"))
        hub.clear()
        read_all()
        assert hub.served_of("model.safetensors") == 0

    def test_cleared_under_a_run(self, hub: HubEmulator, tmp_path: Path) -> None:
        with open_checkpoint("owner/name") as model:
            model.expect([("w1", None, None)])
            clear_cache(tmp_path / "hub-cache")
            assert torch.equal(model.read("w1"), WEIGHTS["w1"])


class TestCommand:
    def test_shown_and_cleared(self, hub: HubEmulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        read_all()
        commit = hub.repositories["owner/name"].branches["main"]
        precious = tmp_path / "hub-cache" / "notes.txt"
        precious.write_text("mine")
        assert main(["cache", "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)
        size = (tmp_path / "model" / "model.safetensors").stat().st_size
        assert list(shown["models"]) == [f"owner/name@{commit}"]
        assert shown["models"][f"owner/name@{commit}"] == pytest.approx(size, rel=0.01)
        assert main(["cache", "--clear"]) == 0
        assert "bytes freed" in capsys.readouterr().out
        assert cached_models(tmp_path / "hub-cache") == {} and precious.exists()
        for language in ("en", "zh"):
            assert main(["cache", "--lang", language]) == 0
        assert "字节" in capsys.readouterr().out

    def test_nothing_kept_yet(self, start_hub: StartHub, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["cache", "--clear", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["models"] == {}


def test_a_repository_of_another_endpoint_is_another(start_hub: StartHub, hub: HubEmulator, tmp_path: Path) -> None:
    """Two hubs may call different models by one name and even one commit."""
    read_all()
    other = tmp_path / "other"
    other.mkdir()
    save_file({"w0": torch.ones(600, 512)}, other / "model.safetensors")
    twin = Repository(dict(hub.repositories["owner/name"].branches), {})
    twin.commits[twin.branches["main"]] = other
    start_hub({"owner/name": twin})
    with open_checkpoint("owner/name") as model:
        assert model.read("w0").all()
