"""Whatever a hub or the line to it does wrong: the right answer, or one clear sentence, and soon."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.hub_emulator import Fault, HubEmulator, Repository
from tests.timing import least
from tools import progress
from tools.checkpoint import Checkpoint
from tools.errors import Cancelled, UserError
from tools.sources import connection, hub, open_checkpoint

StartHub = Callable[..., HubEmulator]
WEIGHTS = {f"w{i}": torch.randn(400, 128, generator=torch.Generator().manual_seed(i)) for i in range(3)}
HERE = "/model.safetensors"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are as in earnest, only shorter, and a model of this size is read by parts."""
    monkeypatch.setattr(connection, "STILL_SECONDS", 2.0)
    monkeypatch.setattr(connection, "FIRST_WAIT_SECONDS", 0.02)
    monkeypatch.setattr(hub, "REQUEST_BYTES", 100_000)
    monkeypatch.setattr(hub, "HEAD_BYTES", 2_000)


@pytest.fixture
def model(start_hub: StartHub, tmp_path: Path) -> tuple[HubEmulator, Path]:
    folder = tmp_path / "model"
    folder.mkdir()
    save_file(WEIGHTS, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    return start_hub({"owner/name": folder}), folder


def read_all(**how: Any) -> None:
    with open_checkpoint("owner/name", **how) as opened:
        opened.expect([(name, None, None) for name in opened.shapes])
        for name, value in WEIGHTS.items():
            assert torch.equal(opened.read(name), value)


def refused(ask: Callable[[], object] = read_all) -> UserError:
    with pytest.raises(UserError) as caught:
        ask()
    for language in ("en", "zh"):
        message, remedy = caught.value.say(language)
        assert message and remedy and len(message) < 300
    return caught.value


PASSING = {
    "busy": Fault("status", status=429, headers={"Retry-After": "0"}, times=3),
    "rate limit": Fault("status", status=429, headers={"RateLimit": '"api";r=0;t=0'}, times=2),
    "server error": Fault("status", status=503, times=3),
    "bad gateway": Fault("status", status=502, times=2),
    "reset": Fault("reset", times=3),
    "truncated": Fault("truncated", times=3),
    "stalled": Fault("stalled", seconds=20.0, times=1),
    "busy interface": Fault("status", match="/api/models/", status=500, times=2),
    "reset interface": Fault("reset", match="/api/models/", times=2),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_what_passes_is_waited_for(model: tuple[HubEmulator, Path], fault: Fault) -> None:
    hub, _ = model
    hub.faults = [fault]
    read_all()
    assert fault.times == 0


LASTING = {
    "busy": (Fault("status", status=429, times=99), "hub_busy"),
    "busy for an hour": (Fault("status", status=429, headers={"Retry-After": "3600"}, times=99), "hub_busy"),
    "server error": (Fault("status", status=500, times=99), "hub_busy"),
    "no ranges": (Fault("no_range", match=HERE, times=99), "hub_no_ranges"),
    "another range": (Fault("wrong_range", match=HERE, times=99), "hub_no_ranges"),
    "another size": (Fault("changed", match=HERE, times=99), "changed_file"),
    "reset": (Fault("reset", times=99), "hub_unreachable"),
    "a page of text": (Fault("garbage", match="/api/models/", times=99), "hub_bad_answer"),
    "a page for a file": (Fault("garbage", match=HERE, times=99), "hub_no_ranges"),
    "teapot": (Fault("status", status=418, times=99), "hub_bad_answer"),
    "file gone": (Fault("status", status=404, headers={"X-Error-Code": "EntryNotFound"}, times=99), "hub_no_file"),
    "forbidden": (Fault("status", status=403, times=99), "hub_gated"),
    "redirect inside": (Fault("redirect", location="https://10.0.0.1/x", times=99), "hub_refused_address"),
    "redirect to metadata": (
        Fault("redirect", location="http://169.254.169.254/latest/meta-data", times=99),
        "hub_refused_address",
    ),
    "redirect to a file": (Fault("redirect", location="file:///etc/passwd", times=99), "hub_refused_address"),
    "redirect to plain http": (Fault("redirect", location="http://example.org/x", times=99), "hub_refused_address"),
    "redirect in circles": (Fault("redirect", location="/owner/name/resolve/main/x", times=99), "hub_refused_address"),
    "redirect to nonsense": (Fault("redirect", location="https://[", times=99), "hub_bad_answer"),
}  # fmt: skip


@pytest.mark.parametrize(("fault", "kind"), LASTING.values(), ids=LASTING)
def test_what_lasts_is_one_sentence(model: tuple[HubEmulator, Path], fault: Fault, kind: str) -> None:
    hub, folder = model
    hub.faults = [fault]
    began = time.monotonic()
    assert refused().kind == kind
    assert time.monotonic() - began < 10
    # What a refused server sent before it was refused is no flood.
    assert hub.served < 10_000 + (folder / "model.safetensors").stat().st_size


def test_a_server_that_ignores_ranges_is_left_before_its_body(start_hub: StartHub, tmp_path: Path) -> None:
    with (tmp_path / "model.safetensors").open("wb") as stream:
        stream.truncate(2_000_000_000)
    hub = start_hub({"owner/name": tmp_path})
    hub.faults = [Fault("no_range", match=HERE, times=99)]
    assert refused(lambda: open_checkpoint("owner/name")).kind == "hub_no_ranges"
    # What the system buffers on its way may have left the server, and no more.
    assert hub.served_of(HERE) < 20_000_000


def test_progress_goes_on_while_a_slow_line_brings_what_was_expected(
    model: tuple[HubEmulator, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model[0].faults = [Fault("slow", match=HERE, seconds=0.2, times=99)]
    monkeypatch.setattr(progress, "TELL_SECONDS", 0.05)
    told: list[dict[str, Any]] = []
    listening = progress.Progress(told.append, None)
    with open_checkpoint("owner/name", stop=listening.stopped) as opened:
        whole = sum(value.nbytes for value in WEIGHTS.values())
        listening.expect([opened], whole)
        opened.expect([(name, None, None) for name in opened.shapes])
        steps = [record["bytes_done"] for record in told]
        # Nothing was read yet.
        assert opened.bytes_read == 0 and len({step for step in steps if 0 < step < whole}) > 1
        assert steps == sorted(steps) and {record["bytes_expected"] for record in told} == {whole}


def test_a_slow_line_is_slow_and_right(model: tuple[HubEmulator, Path]) -> None:
    hub, _ = model
    hub.faults = [Fault("slow", match=HERE, seconds=0.05, times=99)]
    read_all()


def test_a_trickle_is_no_answer(model: tuple[HubEmulator, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    hub, _ = model
    monkeypatch.setattr(connection, "SLOWEST_BYTES_A_SECOND", 10_000_000)
    monkeypatch.setattr(connection, "STILL_SECONDS", 0.2)
    monkeypatch.setattr("tools.sources.hub.REQUEST_BYTES", 1_000_000)
    hub.faults = [Fault("slow", match=HERE, seconds=0.15, times=99)]
    assert refused().kind == "hub_unreachable"


def test_a_body_that_breaks_off_is_not_asked_for_twice(model: tuple[HubEmulator, Path]) -> None:
    hub, folder = model
    hub.faults = [Fault("truncated", match=HERE, times=2)]
    read_all()
    size = (folder / "model.safetensors").stat().st_size
    assert hub.served_of(HERE) == size


def test_a_file_that_changes_under_its_commit(model: tuple[HubEmulator, Path]) -> None:
    hub, _ = model
    opened = open_checkpoint("owner/name")
    hub.faults = [Fault("changed", match=HERE, times=1)]
    assert refused(lambda: opened.read("w1")).kind == "changed_file"


def test_a_commit_that_is_gone(start_hub: StartHub, model: tuple[HubEmulator, Path]) -> None:
    hub, _ = model
    opened = open_checkpoint("owner/name")
    hub.repositories["owner/name"].commits.clear()
    assert refused(lambda: opened.read("w1")).kind == "hub_no_revision"


def test_a_storage_whose_address_ran_out(start_hub: StartHub, model: tuple[HubEmulator, Path]) -> None:
    hub = start_hub({"owner/name": model[1]}, redirect=True)
    opened = open_checkpoint("owner/name")
    assert torch.equal(opened.read("w0"), WEIGHTS["w0"])
    asked = sum(request.server == "hub" for request in hub.requests)
    assert torch.equal(opened.read("w1"), WEIGHTS["w1"])
    # Where the redirect led is remembered until it leads nowhere.
    assert sum(request.server == "hub" for request in hub.requests) == asked
    hub.faults = [Fault("status", match="/stored/", status=403, times=1)]
    assert torch.equal(opened.read("w2"), WEIGHTS["w2"])


def test_a_stop_ends_a_stalled_read(model: tuple[HubEmulator, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    hub, _ = model
    monkeypatch.setattr(connection, "STILL_SECONDS", 30.0)
    pressed = [False]
    opened = open_checkpoint("owner/name", stop=lambda: pressed[0])
    hub.faults = [Fault("stalled", match=HERE, seconds=20.0, times=999)]

    def stopped(read: Callable[[], object]) -> float:
        began = time.monotonic()
        later = began + 0.3

        def press() -> bool:
            return time.monotonic() > later

        opened.weight_files[0].reading.__dict__["stop"] = press
        with pytest.raises(Cancelled):
            read()
        return time.monotonic() - later

    assert least(lambda: stopped(lambda: opened.read("w1")), 0.5) < 0.5
    assert least(lambda: stopped(lambda: opened.expect([("w2", None, None)])), 0.5) < 0.5


def test_a_stop_ends_a_wait_for_a_busy_hub(model: tuple[HubEmulator, Path]) -> None:
    hub, _ = model
    hub.faults = [Fault("status", status=429, headers={"Retry-After": "50"}, match="/api/", times=99)]

    def stopped() -> float:
        pressed = time.monotonic() + 0.3
        with pytest.raises(Cancelled):
            open_checkpoint("owner/name", stop=lambda: time.monotonic() > pressed)
        return time.monotonic() - pressed

    assert least(stopped, 0.5) < 0.5


class TestAddresses:
    @pytest.mark.parametrize(
        "endpoint",
        ["http://example.org", "https://10.1.2.3", "https://[::1", "ftp://example.org", "https://user:x@example.org",
         "https://169.254.169.254", "https://[fd00::1]", "nonsense", "https://0.0.0.0", "https://[::ffff:10.0.0.1]"],
    )  # fmt: skip
    def test_an_endpoint_that_is_none(
        self, start_hub: StartHub, monkeypatch: pytest.MonkeyPatch, endpoint: str
    ) -> None:
        start_hub({})
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        assert refused(lambda: open_checkpoint("owner/name")).kind == "hub_refused_address"

    @pytest.mark.parametrize(
        "address",
        ["10.0.0.1", "192.168.1.1", "172.16.0.1", "127.0.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "::1",
         "fe80::1%eth0", "fd00::1", "::ffff:192.168.0.1", "64:ff9b::a00:1", "2002:a00:1::",
         "224.0.0.1", "255.255.255.255", "ff02::1"],
    )  # fmt: skip
    def test_addresses_inside(self, address: str) -> None:
        assert not connection._may_connect(address, local=False)
        inside = ipaddress.ip_address(address.partition("%")[0])
        assert connection._may_connect(address, local=True) == inside.is_loopback

    def test_addresses_outside(self) -> None:
        for address in ("1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"):
            assert connection._may_connect(address, local=False)

    def test_a_name_that_leads_inside(self, start_hub: StartHub, monkeypatch: pytest.MonkeyPatch) -> None:
        """The address is judged as it is connected to, so a name cannot hide it, and one bad address is enough."""
        start_hub({})
        inside: list[tuple[object, ...]] = []
        for address in ("1.1.1.1", "10.0.0.1"):
            inside.append((socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: inside)
        monkeypatch.setenv("HF_ENDPOINT", "https://hub.example.org")
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        connection.connection_to.cache_clear()
        assert refused(lambda: open_checkpoint("owner/name")).kind == "hub_refused_address"

    def test_a_hub_on_this_machine_leads_no_further_inside(self, model: tuple[HubEmulator, Path]) -> None:
        hub, _ = model
        hub.faults = [Fault("redirect", location="https://192.168.0.1/model.safetensors", times=99)]
        assert refused().kind == "hub_refused_address"


class TestListings:
    @pytest.mark.parametrize(
        "row",
        [
            {"type": "file", "path": "../../x.safetensors", "size": 3},
            {"type": "file", "path": "x.safetensors", "size": -1},
            {"type": "file", "path": "x.safetensors", "size": "3"},
            {"type": "file", "path": 3, "size": 3},
            {"type": "link", "path": "x.safetensors", "size": 3},
            {"type": "file", "path": "..", "size": 3},
            None,
        ],
    )
    def test_unsound_rows_are_left_out(self, row: object) -> None:
        assert hub._entries([row, {"type": "file", "path": "config.json", "size": 2}], "").keys() == {"config.json"}

    def test_a_digest_that_is_none(self) -> None:
        row = {"type": "file", "path": "x.bin", "size": 2, "lfs": {"oid": "<script>"}}
        assert hub._entries([row], "")["x.bin"]["sha256"] is None

    def test_a_list_of_pages_without_end(
        self, model: tuple[HubEmulator, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pages = []

        def endless(line: object, path: str, **how: object) -> tuple[object, str]:
            if "/tree/" not in path:
                return {"sha": "a" * 40, "private": False, "gated": False}, ""
            pages.append(path)
            return [{"type": "file", "path": f"{len(pages)}.txt", "size": 1}], path

        monkeypatch.setattr(hub, "ask", endless)
        assert refused(lambda: open_checkpoint("owner/name")).kind == "no_model_here"
        assert len(pages) <= 20


def test_a_repository_without_anything(start_hub: StartHub, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    empty = Repository()
    empty.commit(tmp_path / "nothing")
    start_hub({"owner/name": empty})
    assert refused(lambda: open_checkpoint("owner/name")).kind == "empty_folder"


def test_nothing_is_left_open(model: tuple[HubEmulator, Path]) -> None:
    """A model that was opened through a fault is a model like any other."""
    hub, _ = model
    hub.faults = [Fault("reset", times=2), Fault("truncated", times=2)]
    opened: Checkpoint = open_checkpoint("owner/name")
    with opened:
        assert set(opened.shapes) == set(WEIGHTS)
