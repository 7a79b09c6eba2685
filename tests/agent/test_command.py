"""The command line: its JSON, its human form, quick and without torch; and the real thing on the exhibits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_intent import X, Y

ROOT = Path(__file__).resolve().parents[2]
KEYS = ["reply", "language", "tools", "answer", "citations", "asks"]


def _run(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "agent", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


def test_one_object_per_turn(make: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import agent.assistant
    from agent.__main__ import main

    assistant = make()
    monkeypatch.setattr(agent.assistant, "Assistant", lambda **options: assistant)
    assert main(["ask", f"Is {X} a copy?", Y, "你确定吗？", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [list(record) for record in records] == [KEYS] * 3
    assert [record["asks"] for record in records] == [True, False, False]
    assert [record["answer"] for record in records] == [None, "disguised_copy", "disguised_copy"]
    assert [record["language"] for record in records] == ["en", "en", "zh"]
    assert records[1]["tools"][0] == {"name": "compare", "arguments": {"a": X, "b": Y}}
    assert records[2]["tools"] == []
    assert all({"id", "kind", "title", "sources"} <= set(citation) for citation in records[1]["citations"])
    assert {citation["id"][0] for citation in records[1]["citations"]} == {"E", "K"}


def test_the_human_form(make: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import agent.assistant
    from agent.__main__ import main

    assistant = make()
    monkeypatch.setattr(agent.assistant, "Assistant", lambda **options: assistant)
    assert main(["ask", f"Is {X} a copy of {Y}?"]) == 0
    out = capsys.readouterr()
    assert "Disguised copy" in out.out and "[E1]" in out.out and "Comparing" in out.err


def test_a_first_word_needs_neither_torch_nor_an_index() -> None:
    done = _run("ask", "help", "你好", "--json")
    assert done.returncode == 0, done.stderr
    records = json.loads(done.stdout)
    assert [record["language"] for record in records] == ["en", "zh"]
    heavy = "[name for name in ('torch', 'chromadb', 'gradio') if name in sys.modules]"
    probe = f"import sys, agent.assistant as a; a.Assistant(); print({heavy})"
    shown = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert shown.stdout.strip() == "[]"


def test_importing_the_package_costs_nothing() -> None:
    probe = "import sys, agent; print('langchain' in sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert shown.stdout.strip() == "False"


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / X / "model.safetensors").exists(), reason="the exhibits are not built")
def test_the_real_thing_in_both_languages() -> None:
    done = _run(
        "ask",
        f"Is {X} a copy of {Y}?",
        "exhibits/llama3v/stranger是不是抄了exhibits/llama3v/original？",
        "有多大把握？",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    records = json.loads(done.stdout)
    assert [record["answer"] for record in records] == ["disguised_copy", "independent", "independent"]
    assert [record["language"] for record in records] == ["en", "zh", "zh"]
    assert all(record["citations"] and "withheld" not in record["reply"] for record in records)
    assert "Traceback" not in done.stderr
