"""The other tools are asked by their commands, read as they answer, and left out with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.peers import PEERS, ask_peer, installed, print_table, provenance_kit, weightscope


def answer(decision: str, label: str = "Weak Match") -> str:
    return "ready\n" + json.dumps({"scores": {"provenance_decision": decision}, "interpretation": {"label": label}})


@pytest.mark.parametrize(
    ("decision", "linked"),
    [("Confirmed Match", True), ("High-Confidence Match", True), ("Weak Match", False), ("Not Matched", False)],
)
def test_the_kit_s_decision_is_read(decision: str, linked: bool) -> None:
    assert provenance_kit(answer(decision)) == (decision, linked)


@pytest.mark.parametrize(
    ("verdict", "linked"),
    [
        ("derived_from_base", True),
        ("likely_descendant", True),
        ("independent", False),
        ("architecture_mismatch", False),
    ],
)
def test_the_ranking_of_one_candidate_is_read(verdict: str, linked: bool) -> None:
    assert weightscope(f"# Lineage\n| 1 | `x` | 0.02% | 1 / 2 (50.00%) | `{verdict}` |") == (verdict, linked)


def command(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text("#!/bin/sh\n" + text, encoding="utf-8")
    (folder / name).chmod(0o755)


def test_commands_are_asked_and_what_they_cannot_answer_is_no_answer(tmp_path: Path) -> None:
    command(tmp_path, "provenancekit", f"echo '{answer('Confirmed Match')}'")
    command(tmp_path, "weightscope", "echo 'Traceback' >&2; echo 'ValueError: odd names' >&2; exit 1")
    here = installed(tmp_path)
    assert set(here) == set(PEERS) and all(Path(found).parent == tmp_path for found in here.values())
    kit, scope = (ask_peer(peer, here[peer], tmp_path, tmp_path) for peer in PEERS)
    assert (kit["said"], kit["linked"]) == ("Confirmed Match", True)
    assert (scope["said"], scope["linked"]) == ("ValueError: odd names", None)
    command(tmp_path, "provenancekit", "echo no answer")
    assert ask_peer("cisco-ai-provenance-kit", here["cisco-ai-provenance-kit"], tmp_path, tmp_path)["linked"] is None


def test_who_is_absent_is_named_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    here = installed(tmp_path)
    assert here == {}
    print_table(
        [{"kind": "strangers", "tool": "whose-weights", "linked": False, "said": "independent", "seconds": 1}], here
    )
    said = capsys.readouterr().out
    assert "| strangers | 0 of 1 |" in said
    assert all(f"{peer}: left out, its command is not installed here" in said for peer in PEERS)
