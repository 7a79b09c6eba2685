"""Models on a hub: found by name and link, pinned, read by ranges, refused in one sentence; tokens never go astray."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.hub_emulator import HubEmulator, Repository
from tests.timing import least
from tools.audit import compare, describe
from tools.errors import Cancelled, UserError
from tools.report import markdown
from tools.sources import open_checkpoint
from tools.sources.hub_names import HubName, hub_name
from tools.sources.ranges import cut, joined, missing

StartHub = Callable[..., HubEmulator]
EXHIBITS = Path(__file__).resolve().parents[2] / "exhibits" / "llama3v"
TOKEN = "hf_a_token_of_some_visitor"


def tensors(seed: int, rows: int = 64) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {f"layer.{i}.weight": torch.randn(rows, 32, generator=generator) for i in range(4)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model in two shards, and another one in a folder inside."""
    root = tmp_path / "model"
    root.mkdir()
    held = tensors(1)
    names = list(held)
    save_file({name: held[name] for name in names[:2]}, root / "model-00001-of-00002.safetensors")
    save_file({name: held[name] for name in names[2:]}, root / "model-00002-of-00002.safetensors")
    weight_map = {name: f"model-0000{1 + i // 2}-of-00002.safetensors" for i, name in enumerate(names)}
    (root / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (root / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    (root / "inside").mkdir()
    save_file(tensors(2), root / "inside" / "model.safetensors")
    return root


def kind_of(name: str, token: str | None = None) -> str:
    with pytest.raises(UserError) as caught:
        open_checkpoint(name, token=token)
    for language in ("en", "zh"):
        assert all(caught.value.say(language))
    return caught.value.kind


class TestNames:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("owner/name", HubName("owner/name")),
            ("owner/name/", HubName("owner/name")),
            ("owner/name@v1.0", HubName("owner/name", "v1.0")),
            ("owner/name@refs/pr/3", HubName("owner/name", "refs/pr/3")),
            ("owner/name@main/a/b", HubName("owner/name", "main", "a/b")),
            ("owner/name/sub/x.safetensors", HubName("owner/name", None, "sub/x.safetensors")),
            ("https://huggingface.co/owner/name", HubName("owner/name")),
            ("https://huggingface.co/owner/name/tree/main/sub", HubName("owner/name", "main", "sub")),
            ("https://hf.co/owner/name/tree/refs%2Fpr%2F1", HubName("owner/name", "refs/pr/1")),
            ("https://huggingface.co/owner/name/blob/v2/a.bin?x=1#L3", HubName("owner/name", "v2", "a.bin")),
            ("https://huggingface.co/owner/name/resolve/main/a.bin?d=1", HubName("owner/name", "main", "a.bin")),
            ("https://own.hub:8000/owner/name", HubName("owner/name")),
            ("https://huggingface.co/datasets/owner/name", None),
            ("https://huggingface.co/owner", None),
            ("https://huggingface.co/owner/name/discussions/1", None),
            ("https://huggingface.co.example.org/owner/name", None),
            ("https://user:x@huggingface.co/owner/name", None),
            ("owner/name/../../etc", None),
            ("owner/name@../../x", None),
            ("owner/na me", None),
            ("owner", None),
            ("owner/name@main?x", None),
        ],
    )  # fmt: skip
    def test_what_names_a_model(self, text: str, found: HubName | None) -> None:
        assert hub_name(text, "own.hub:8000") == found

    def test_a_local_path_wins(
        self, start_hub: StartHub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub = start_hub({"owner/name": folder})
        monkeypatch.chdir(tmp_path)
        shutil.copytree(folder / "inside", tmp_path / "owner" / "name")
        assert open_checkpoint("owner/name").ref.revision is None
        assert not hub.requests


class TestReading:
    def test_a_model_is_read_as_from_disk(self, start_hub: StartHub, folder: Path) -> None:
        start_hub({"owner/name": folder})
        with open_checkpoint("owner/name") as model:
            assert model.format == "safetensors" and model.config["architectures"] == ["LlamaForCausalLM"]
            for name, value in tensors(1).items():
                assert torch.equal(model.read(name), value)
                assert torch.equal(model.read_rows(name, 3, 9), value[3:9])

    def test_every_way_to_name_it(self, start_hub: StartHub, folder: Path) -> None:
        hub = start_hub({"owner/name": folder})
        whole = set(tensors(1))
        for name in ("owner/name", "owner/name@main", f"{hub.endpoint}/owner/name/tree/main"):
            assert set(open_checkpoint(name).shapes) == whole
        for name in ("owner/name/inside", "owner/name@main/inside/model.safetensors",
                     "https://huggingface.co/owner/name/tree/main/inside"):  # fmt: skip
            assert torch.equal(open_checkpoint(name).read("layer.0.weight"), tensors(2)["layer.0.weight"])

    def test_it_is_pinned(self, start_hub: StartHub, folder: Path) -> None:
        """A branch that moves during a run changes nothing."""
        repository = Repository()
        first = repository.commit(folder)
        start_hub({"owner/name": repository})
        model = open_checkpoint("owner/name")
        second = repository.commit(folder / "inside")
        assert model.ref.revision == first
        assert torch.equal(model.read("layer.3.weight"), tensors(1)["layer.3.weight"])
        moved = open_checkpoint("owner/name")
        assert moved.ref.revision == second
        assert torch.equal(moved.read("layer.3.weight"), tensors(2)["layer.3.weight"])
        assert open_checkpoint(f"owner/name@{first}").ref.revision == first

    def test_digests_come_from_the_hub(self, start_hub: StartHub, folder: Path) -> None:
        hub = start_hub({"owner/name": folder})
        with open_checkpoint(str(folder)) as local, open_checkpoint("owner/name") as remote:
            served = hub.served
            for name in local.weight_files:
                assert remote.files[name.name] == local.files[name.name]
            assert remote.files["config.json"] is None
            assert hub.served == served

    def test_only_what_is_asked_for_is_sent(self, start_hub: StartHub, tmp_path: Path) -> None:
        big = {f"w{i}": torch.randn(2000, 512) for i in range(4)}
        save_file(big, tmp_path / "model.safetensors")
        hub = start_hub({"owner/name": tmp_path})
        with open_checkpoint("owner/name") as model:
            before = hub.served
            assert before < 100_000
            assert torch.equal(model.read_rows("w2", 700, 710), big["w2"][700:710])
            assert hub.served - before == 10 * 512 * 4
            # Rows that lie close together come in one request, far ones side by side.
            asked = len(hub.requests)
            model.expect([("w0", 10, 20), ("w0", 30, 40), ("w3", 0, 5), ("w1", 1000, 1001)])
            assert len(hub.requests) - asked == 3
            asked, before = len(hub.requests), hub.served
            for name, first, last in (("w0", 10, 20), ("w0", 30, 40), ("w3", 0, 5), ("w1", 1000, 1001)):
                assert torch.equal(model.read_rows(name, first, last), big[name][first:last])
            assert (len(hub.requests), hub.served) == (asked, before)

    def test_through_a_storage_of_another_host(self, start_hub: StartHub, folder: Path) -> None:
        hub = start_hub({"owner/name": folder}, redirect=True)
        with open_checkpoint("owner/name", token=TOKEN) as model:
            for name, value in tensors(1).items():
                assert torch.equal(model.read(name), value)
        storage = [request for request in hub.requests if request.server == "storage"]
        assert storage and all(request.authorization is None for request in storage)
        assert any(request.authorization == f"Bearer {TOKEN}" for request in hub.requests)

    def test_a_comparison_over_the_network(self, start_hub: StartHub) -> None:
        hub = start_hub({"o/original": EXHIBITS / "original", "o/suspect": EXHIBITS / "suspect"})
        local = compare(str(EXHIBITS / "original"), str(EXHIBITS / "suspect"))
        result = compare("o/original", "o/suspect")
        assert result["answer"] == local["answer"] == "disguised_copy"
        assert result["findings"] == local["findings"] and result["changes"] == local["changes"]
        assert result["a"]["revision"] == hub.repositories["o/original"].branches["main"]
        assert len(hub.requests) <= 16
        assert "--seed" in result["reproduce"]["command"] and "o/original" in result["reproduce"]["command"]

    def test_equal_digests_need_no_weights(self, start_hub: StartHub, tmp_path: Path) -> None:
        """Two repositories with the same files are identical, however they call the files."""
        again = tmp_path / "again"
        shutil.copytree(EXHIBITS / "original", again)
        (again / "model.safetensors").rename(again / "weights.safetensors")
        hub = start_hub({"o/original": EXHIBITS / "original", "o/again": again})
        result = compare("o/original", "o/again")
        assert result["answer"] == "identical" and result["because"] == ["same_values"]
        assert result["cost"]["bytes_read_a"] == result["cost"]["bytes_read_b"] == 0
        assert list(result["findings"]) == ["same_values"]
        assert result["findings"]["same_values"]["where"]["equal_files"] == 1
        for language, word in (("en", "digests"), ("zh", "摘要")):
            text = markdown(result, language)
            assert word in text.partition("## ")[2].partition("## ")[0] and text.count(word) >= 2
        assert set(result["a"]["files"].values()) & set(result["b"]["files"].values()) - {None}
        # The listing and the header are all that was read.
        hub.clear()
        compare("o/original", "o/again")
        assert len(hub.requests) == 2

    def test_one_unequal_file_is_looked_into(self, start_hub: StartHub, folder: Path, tmp_path: Path) -> None:
        other = tmp_path / "other"
        shutil.copytree(folder, other)
        held = tensors(1)
        changed = {"layer.2.weight": held["layer.2.weight"], "layer.3.weight": held["layer.3.weight"] + 1e-3}
        save_file(changed, other / "model-00002-of-00002.safetensors")
        start_hub({"owner/name": folder, "owner/other": other})
        result = compare("owner/name", "owner/other")
        assert result["answer"] != "identical" and result["cost"]["bytes_read_a"] > 0
        assert "equal_files" not in result["findings"]["same_values"]["where"]

    def test_local_files_are_not_hashed_for_it(self, folder: Path) -> None:
        result = compare(str(folder), str(folder))
        assert "equal_files" not in result["findings"]["same_values"]["where"]

    def test_a_model_without_weights(self, start_hub: StartHub, folder: Path) -> None:
        for file in folder.glob("*.safetensors"):
            file.unlink()
        start_hub({"owner/name": folder})
        assert not describe("owner/name")["parameters"]


class TestRefusals:
    def test_what_is_not_there(self, start_hub: StartHub, folder: Path) -> None:
        start_hub({"owner/name": folder})
        assert kind_of("owner/nobody") == "hub_not_found"
        assert kind_of("owner/name@nowhere") == "hub_no_revision"
        assert kind_of("owner/name/nothing") == "hub_no_file"
        assert kind_of("owner/name/inside/nothing.bin") == "hub_no_file"

    def test_private_and_gated_need_the_right_token(self, start_hub: StartHub, folder: Path) -> None:
        private, gated = Repository(private=True), Repository(gated=True)
        for repository in (private, gated):
            repository.commit(folder)
            repository.open_to = frozenset({TOKEN})
        start_hub({"owner/private": private, "owner/gated": gated})
        assert kind_of("owner/private") == kind_of("owner/private", "hf_wrong") == "hub_not_found"
        assert kind_of("owner/gated") == "hub_gated"
        assert kind_of("owner/gated", "hf_wrong") == "hub_gated_token"
        for name in ("owner/private", "owner/gated"):
            with open_checkpoint(name, token=TOKEN) as model:
                assert torch.equal(model.read("layer.1.weight"), tensors(1)["layer.1.weight"])

    def test_what_only_some_may_see_is_not_kept_on_disk(
        self, start_hub: StartHub, folder: Path, tmp_path: Path
    ) -> None:
        gated = Repository(gated=True, open_to=frozenset({TOKEN}))
        gated.commit(folder)
        start_hub({"owner/gated": gated, "owner/open": folder})
        with open_checkpoint("owner/gated", token=TOKEN) as model:
            model.read("layer.1.weight")
        assert not (tmp_path / "hub-cache").exists()
        assert kind_of("owner/gated") == "hub_gated"
        with open_checkpoint("owner/open") as model:
            model.read("layer.1.weight")
        assert (tmp_path / "hub-cache").exists()

    def test_a_token_is_seen_by_the_hub_alone(
        self, start_hub: StartHub, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        hub = start_hub({"o/original": EXHIBITS / "original", "o/suspect": EXHIBITS / "suspect"}, redirect=True)
        with caplog.at_level(logging.DEBUG):
            result = compare("o/original", "o/suspect", token=TOKEN)
            with pytest.raises(UserError) as caught:
                open_checkpoint("o/nothing", token=TOKEN)
        assert any(request.authorization for request in hub.requests)
        assert TOKEN not in json.dumps(result) and TOKEN not in caplog.text and TOKEN not in repr(caught.value)
        assert not any(TOKEN.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        with open_checkpoint("o/original", token=TOKEN) as model:
            assert TOKEN not in repr(model.weight_files)

    def test_no_token_is_taken_from_the_environment(
        self, start_hub: StartHub, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        hub = start_hub({"owner/name": folder})
        open_checkpoint("owner/name")
        assert all(request.authorization is None for request in hub.requests)

    def test_offline(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert kind_of("owner/name") == "hub_offline"
        monkeypatch.delenv("HF_HUB_OFFLINE")
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        began = time.monotonic()
        assert kind_of("owner/name") == "hub_unreachable"
        assert time.monotonic() - began < 5

    def test_an_index_leads_nowhere(self, start_hub: StartHub, folder: Path) -> None:
        index = {"weight_map": {"layer.0.weight": "../../other/name/model.safetensors"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        start_hub({"owner/name": folder})
        assert kind_of("owner/name") == "unsafe_path"


class TestStop:
    def test_a_stop_ends_any_wait(self, start_hub: StartHub, folder: Path) -> None:
        start_hub({"owner/name": folder}, pace=5.0)

        def stopped() -> float:
            pressed = time.monotonic() + 0.3
            with pytest.raises(Cancelled):
                open_checkpoint("owner/name", stop=lambda: time.monotonic() > pressed)
            return time.monotonic() - pressed

        assert least(stopped, 0.5) < 0.5


class TestRanges:
    def test_joined(self) -> None:
        assert joined([(5, 7), (0, 2), (2, 3), (9, 9), (6, 8)]) == [(0, 3), (5, 8)]
        assert joined([(0, 2), (5, 7)], gap=3) == [(0, 7)]

    def test_missing(self) -> None:
        assert missing([(0, 10), (20, 30)], [(3, 5), (8, 22), (29, 40)]) == [(0, 3), (5, 8), (22, 29)]
        assert missing([(0, 10)], []) == [(0, 10)]
        assert missing([(2, 4)], [(0, 10)]) == []

    def test_cut(self) -> None:
        assert cut([(0, 10), (20, 22)], 4) == [(0, 4), (4, 8), (8, 10), (20, 22)]
