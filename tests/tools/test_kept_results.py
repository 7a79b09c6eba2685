"""Kept results: given where nothing that they depend on can differ, never half, never of what only some may see."""

from __future__ import annotations

import ast
import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from page import card
from tests.hub_emulator import HubEmulator, Repository
from tools import kept_results
from tools.__main__ import main
from tools.audit import compare
from tools.errors import LANGUAGES, Cancelled, UserError
from tools.report import markdown, summary
from tools.sources import range_cache
from tools.sources.range_cache import cached_records

StartHub = Callable[..., HubEmulator]
ROOT = Path(__file__).resolve().parents[2]
EXHIBITS = ROOT / "exhibits" / "llama3v"
TOKEN = "hf_of_one_visitor"
PAIR = ("o/original", "o/suspect")

# What a kept file could be made to say: where, and what.
BREAKS: tuple[tuple[tuple[str, ...], Any], ...] = (
    (("found", "answer"), "guilty"),
    (("found", "because"), ["no_probe"]),
    (("found", "findings", "unit_order", "statistic"), "1.0"),
    (("found", "findings", "unit_order", "role"), "context"),
    (("found", "findings", "no_probe"), {"role": "decides", "abstained": "x"}),
    (("found", "strength", "words"), "very"),
    (("found", "limits"), []),
    (("found", "changes"), [{"kind": "copied", "amount": 1, "unit": "", "where": None}]),
    (("found", "changes"), [{"kind": "merged", "amount": 1, "unit": "", "where": {"weights": [[9, 1.0]]}}]),
    (("found", "direction"), {"answer": "because", "because": []}),
    (("found", "more"), 1),
    (("found",), []),
    (("cost", "bytes_read_a"), -1),
    (("on",), "<b>today</b>"),
    (("key", "seed"), 7),
    (("key",), None),
)


@pytest.fixture
def hub(start_hub: StartHub) -> HubEmulator:
    sides = ("original", "suspect", "base", "stranger")
    return start_hub({f"o/{name}": EXHIBITS / name for name in sides})


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "hub-cache"


def was_kept(result: dict[str, Any]) -> bool:
    return result["cost"]["earlier"] is not None


def without_cost(result: dict[str, Any]) -> str:
    """The bytes of a result, but for what the answer took."""
    return json.dumps({key: value for key, value in result.items() if key != "cost"})


def records(cache: Path) -> list[Path]:
    return list(cache.glob("*/*/record"))


class TestGiven:
    @pytest.mark.parametrize("pair", [PAIR, ("o/stranger", "o/original"), (*PAIR, "o/base")])
    def test_a_second_question_asks_for_the_commits_alone(self, hub: HubEmulator, pair: tuple[str, ...]) -> None:
        first = compare(*pair)
        hub.clear()
        told: list[dict[str, Any]] = []
        second = compare(*pair, on_finding=told.append)
        assert sorted(request.path for request in hub.requests) == sorted(
            f"/api/models/{name}/revision/main" for name in pair
        )
        assert not was_kept(first) and was_kept(second)
        assert without_cost(first) == without_cost(second) == without_cost(compare(*pair, fresh=True))
        assert [step["step"] for step in told] == ["kept"]

    def test_it_says_what_was_read_when(self, hub: HubEmulator) -> None:
        first, second = compare(*PAIR)["cost"], compare(*PAIR)["cost"]
        assert second["bytes_read_a"] == second["bytes_read_b"] == 0 < first["bytes_read_a"]
        assert second["bytes_total_a"] == first["bytes_total_a"]
        assert second["earlier"] == {
            "on": datetime.now(UTC).date().isoformat(),
            **{name: first[name] for name in ("bytes_read_a", "bytes_read_b", "seconds")},
        }

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_readers_are_told(self, hub: HubEmulator, language: Any) -> None:
        first, second = compare(*PAIR), compare(*PAIR)
        day = datetime.now(UTC).date().isoformat()
        for show in (
            lambda result: markdown(result, language),
            lambda result: card.verdict(result, summary(result, language), language),
        ):
            assert day in show(second) and day not in show(first)

    def test_the_same_models_by_another_name(self, hub: HubEmulator) -> None:
        """A branch, a commit and a link lead to the same files; the names in the answer are those of the question."""
        compare(*PAIR)
        commit = hub.repositories["o/original"].branches["main"]
        names = (f"o/original@{commit}", f"{hub.endpoint}/o/suspect")
        result = compare(*names)
        assert was_kept(result) and (result["a"]["name"], result["b"]["name"]) == names
        assert without_cost(result) == without_cost(compare(*names, fresh=True))

    def test_a_merge_of_named_parents(self, start_hub: StartHub, cache: Path, tmp_path: Path) -> None:
        parents = [load_file(EXHIBITS / name / "model.safetensors") for name in ("original", "sibling")]
        shutil.copytree(EXHIBITS / "original", tmp_path / "mean")
        save_file(
            {name: (0.35 * value + 0.65 * parents[1][name]).to(value.dtype) for name, value in parents[0].items()},
            tmp_path / "mean" / "model.safetensors",
        )
        sides = {name: EXHIBITS / name for name in ("original", "sibling", "stranger")} | {"mean": tmp_path / "mean"}
        hub = start_hub({f"o/{name}": folder for name, folder in sides.items()})
        named = ["o/sibling", "o/stranger"]
        compare("o/mean", "o/original", parents=named)
        typed = [f"{hub.endpoint}/o/sibling?seen=by-nobody", "o/stranger"]
        result = compare("o/mean", "o/original", parents=typed)
        (merged,) = [change for change in result["changes"] if change["kind"] == "merged"]
        assert [name for name, _ in merged["where"]["weights"]] == ["o/original", typed[0]]
        assert was_kept(result)
        assert without_cost(result) == without_cost(compare("o/mean", "o/original", parents=typed, fresh=True))
        assert not any(b"by-nobody" in path.read_bytes() for path in cache.rglob("*") if path.is_file())
        assert not was_kept(compare("o/mean", "o/original", parents=named[::-1]))

    def test_what_another_process_measured(self, hub: HubEmulator, capsys: pytest.CaptureFixture[str]) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "tools", "compare", *PAIR, "--json"],
            cwd=ROOT, capture_output=True, text=True, timeout=100, check=True,
        )  # fmt: skip
        result = compare(*PAIR)
        assert was_kept(result) and without_cost(json.loads(done.stdout)) == without_cost(result)
        assert main(["compare", *PAIR, "--fresh", "--json"]) == 0
        assert not was_kept(json.loads(capsys.readouterr().out))

    def test_two_processes_at_once(self, hub: HubEmulator, cache: Path) -> None:
        words = [sys.executable, "-m", "tools", "compare", *PAIR, "--json"]
        runs = [subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        results = [json.loads(run.communicate(timeout=100)[0]) for run in runs]
        assert len(records(cache)) == 1 and not list(cache.rglob(".unfinished-*"))
        third = compare(*PAIR)
        assert was_kept(third) and {without_cost(result) for result in results} == {without_cost(third)}

    def test_an_adapter_with_its_base_is_pinned_by_both(self, start_hub: StartHub, tmp_path: Path) -> None:
        change: dict[str, torch.Tensor] = {}
        for name, tensor in load_file(EXHIBITS / "base" / "model.safetensors").items():
            if "mlp.down_proj" in name:
                layer = f"base_model.model.{name.removesuffix('.weight')}"
                change[f"{layer}.lora_A.weight"] = torch.ones(2, tensor.shape[1])
                change[f"{layer}.lora_B.weight"] = torch.ones(tensor.shape[0], 2) / 100
        (tmp_path / "adapter").mkdir()
        save_file(change, tmp_path / "adapter" / "adapter_model.safetensors")
        settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 2}
        (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(settings))
        hub = start_hub({"o/base": EXHIBITS / "base", "o/adapter": tmp_path / "adapter"})
        joined = "o/base+o/adapter"
        first, second = compare(joined, "o/base"), compare(joined, "o/base")
        assert was_kept(second) and without_cost(first) == without_cost(second)
        hub.repositories["o/adapter"].private = True
        hub.repositories["o/adapter"].open_to = frozenset({TOKEN})
        assert not was_kept(compare(joined, "o/base", token=TOKEN))


class TestMeasuredAnew:
    def test_a_moved_branch(self, hub: HubEmulator) -> None:
        compare(*PAIR)
        hub.repositories["o/suspect"].commit(EXHIBITS / "stranger")
        moved = compare(*PAIR)
        assert not was_kept(moved) and moved["answer"] == "independent"

    @pytest.mark.parametrize("how", [{"seed": 1}, {"full": True}, {"base": "o/base"}, {"parents": ["o/base"]}])
    def test_other_options(self, hub: HubEmulator, how: dict[str, Any]) -> None:
        compare(*PAIR)
        first, second = compare(*PAIR, **how), compare(*PAIR, **how)
        assert not was_kept(first) and was_kept(second) and without_cost(first) == without_cost(second)

    def test_swapped_sides(self, hub: HubEmulator) -> None:
        compare(*PAIR)
        assert not was_kept(compare(*PAIR[::-1]))

    def test_other_code(self, hub: HubEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        compare(*PAIR)
        monkeypatch.setattr(kept_results, "_CODE", "another")
        monkeypatch.setattr(kept_results, "_code", lambda: "another")
        assert not was_kept(compare(*PAIR)) and was_kept(compare(*PAIR))

    def test_code_that_was_edited_under_a_running_server(
        self, hub: HubEmulator, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What runs is not what lies on the disk: neither's results are given or kept."""
        monkeypatch.setattr(kept_results, "_code", lambda: "edited")
        assert not was_kept(compare(*PAIR)) and not was_kept(compare(*PAIR)) and not records(cache)

    def test_another_version_of_a_library(self, hub: HubEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        compare(*PAIR)
        known = kept_results._version
        for library in kept_results.LIBRARIES:
            with monkeypatch.context() as patch:
                patch.setattr(kept_results, "_version", lambda name, it=library: "9.9" if name == it else known(name))
                assert not was_kept(compare(*PAIR))

    @pytest.mark.parametrize("damage", ["shorter", "changed", "empty", "longer", "huge"])
    def test_a_damaged_file(self, hub: HubEmulator, cache: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
        compare(*PAIR)
        (path,) = records(cache)
        data = path.read_bytes()
        changed = data.replace(b'"disguised_copy"', b'"independent!!!"')
        damaged = {"shorter": data[:-1], "changed": changed, "empty": b"", "longer": data + b"0"}
        if damage == "huge":
            monkeypatch.setattr(kept_results, "RESULT_BYTES", 1000)
        else:
            path.write_bytes(damaged[damage])
        result = compare(*PAIR)
        assert not was_kept(result) and result["answer"] == "disguised_copy"
        assert was_kept(compare(*PAIR)) == (damage != "huge")

    def test_what_breaks_the_contract(self, hub: HubEmulator, cache: Path) -> None:
        """A file that is whole and yet says what no comparison says, or belongs to another question."""
        first = compare(*PAIR)
        (place,) = records(cache)
        data, disk = place.read_bytes()[:-16], range_cache.public_disk()
        key = json.loads(data)["key"]
        assert disk is not None and kept_results.recall(key, PAIR) is not None
        for path, value in BREAKS:
            kept = json.loads(data)
            part = kept
            for name in path[:-1]:
                part = part[name]
            part[path[-1]] = value
            disk.put_record(place.parent.name, json.dumps(kept).encode())
            assert kept_results.recall(key, PAIR) is None, path
        for text in (b"[]", b"{", b"[" * 10**5, b"{" + b"," * 10**6, b"\xff"):
            disk.put_record(place.parent.name, text)
            assert kept_results.recall(key, PAIR) is None
        result = compare(*PAIR)
        assert not was_kept(result) and without_cost(result) == without_cost(first)
        assert was_kept(compare(*PAIR))

    def test_the_record_of_another_question(self, hub: HubEmulator, cache: Path) -> None:
        compare(*PAIR)
        (copy,) = records(cache)
        compare("o/stranger", "o/original")
        (stranger,) = set(records(cache)) - {copy}
        shutil.copy(copy, stranger)
        result = compare("o/stranger", "o/original")
        assert not was_kept(result) and result["answer"] == "independent"


class TestNotKept:
    def test_local_files(self, hub: HubEmulator, cache: Path) -> None:
        for names in ((str(EXHIBITS / "suspect"), "o/original"), (*PAIR, str(EXHIBITS / "base"))):
            assert not was_kept(compare(*names)) and not records(cache)

    @pytest.mark.parametrize("shown_to", ["private", "gated"])
    def test_what_a_hub_shows_only_to_some(self, start_hub: StartHub, cache: Path, shown_to: str) -> None:
        some = Repository(open_to=frozenset({TOKEN}), **{shown_to: True})
        some.commit(EXHIBITS / "suspect")
        start_hub({"o/some": some, "o/original": EXHIBITS / "original"})
        for _ in range(2):
            assert not was_kept(compare("o/some", "o/original", token=TOKEN))
        assert not records(cache)

    def test_a_run_with_a_token(self, hub: HubEmulator, cache: Path) -> None:
        assert not was_kept(compare(*PAIR, token=TOKEN)) and not records(cache)
        compare(*PAIR)
        assert not was_kept(compare(*PAIR, token=TOKEN)) and was_kept(compare(*PAIR))

    def test_what_became_private_is_not_shown(self, hub: HubEmulator) -> None:
        compare(*PAIR)
        hub.repositories["o/suspect"].private = True
        with pytest.raises(UserError) as caught:
            compare(*PAIR)
        assert caught.value.kind == "hub_not_found"

    def test_what_became_gated_is_not_shown(self, hub: HubEmulator) -> None:
        compare(*PAIR)
        suspect = hub.repositories["o/suspect"]
        suspect.gated, suspect.open_to = True, frozenset({TOKEN})
        with pytest.raises(UserError) as caught:
            compare(*PAIR)
        assert caught.value.kind == "hub_gated"

    def test_switched_off(self, hub: HubEmulator, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WHOSE_WEIGHTS_HUB_CACHE_GB", "0")
        assert not was_kept(compare(*PAIR)) and not was_kept(compare(*PAIR)) and not cache.exists()

    def test_a_stopped_comparison(self, hub: HubEmulator, cache: Path) -> None:
        asked = iter(range(10**9))
        with pytest.raises(Cancelled):
            compare(*PAIR, stop=lambda: next(asked) > 40)
        assert not records(cache)

    def test_a_full_disk_is_one_note(
        self, hub: HubEmulator, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def full(path: Path, *parts: bytes) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(range_cache, "_write_whole", full)
        with caplog.at_level(logging.WARNING):
            assert not was_kept(compare(*PAIR)) and not was_kept(compare(*PAIR))
        assert len(caplog.records) == 1 and not records(cache)

    def test_equal_digests(self, start_hub: StartHub, cache: Path) -> None:
        start_hub({"o/original": EXHIBITS / "original", "o/twin": EXHIBITS / "original"})
        assert compare("o/original", "o/twin")["answer"] == "identical" and not records(cache)


class TestCommand:
    def test_shown_and_cleared(self, hub: HubEmulator, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
        compare(*PAIR)
        compare("o/stranger", "o/original")
        assert main(["cache", "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["results"] == 2 and {name.partition("@")[0] for name in shown["models"]} == {
            "o/original", "o/stranger", "o/suspect",
        }  # fmt: skip
        for language, words in (("en", "results of comparisons: 2"), ("zh", "比较结果：2 个")):
            assert main(["cache", "--lang", language]) == 0
            assert words in capsys.readouterr().out
        assert main(["cache", "--clear"]) == 0
        assert cached_records(cache) == [] and not was_kept(compare(*PAIR))


def test_every_library_that_computes_is_part_of_the_key() -> None:
    """Whoever imports another library decides here whether results depend on it."""
    transport, behaviour = {"httpx2", "httpcore2", "huggingface_hub"}, {"transformers", "tokenizers"}
    threads = {"threadpoolctl"}
    found: set[str] = set()
    for path in (ROOT / "tools").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            found |= {name.partition(".")[0] for name in names}
    known = {*kept_results.LIBRARIES, *transport, *behaviour, *threads}
    assert found - set(sys.stdlib_module_names) - {"tools"} == known
    assert all(kept_results._version(name) for name in kept_results.LIBRARIES)


def test_the_digest_knows_all_that_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "tools"
    shutil.copytree(ROOT / "tools", tools)
    monkeypatch.setattr(kept_results, "__file__", str(tools / "kept_results.py"))
    assert kept_results._code() == kept_results._CODE
    seen = {kept_results._code()}
    for name in ("verdict.py", "probes/unit_order.py", "architectures/names.toml", "words/answers.py", "new.py"):
        (tools / name).open("a").write("\n")
        seen.add(kept_results._code())
    assert len(seen) == 6
    shutil.rmtree(tools)
    (tools / "probes").mkdir(parents=True)
    assert kept_results._code() not in seen
