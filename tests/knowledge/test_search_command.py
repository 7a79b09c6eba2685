"""python -m knowledge search."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from knowledge import library
from knowledge.__main__ import main
from knowledge.library import Library

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def words_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole index takes seconds to build; the command is the same without it."""
    shelf = Library()
    monkeypatch.setattr(shelf, "warm_up", lambda: False)
    monkeypatch.setattr(library, "_library", lambda: shelf)


def test_json_is_a_list_of_passages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "What is fine-tuning?", "--json"]) == 0
    passages = json.loads(capsys.readouterr().out)
    assert passages[0]["topic"] == "fine-tuning" and 1 <= len(passages) <= 3
    assert {"topic", "title", "language", "text", "sources", "relevance"} == set(passages[0])
    assert passages[0]["language"] == "en" and isinstance(passages[0]["sources"], list)


def test_the_language_is_that_of_the_question_or_the_one_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    main(["search", "什么是微调？", "--json"])
    assert json.loads(capsys.readouterr().out)[0]["language"] == "zh"
    main(["search", "什么是微调？", "--lang", "en", "--json"])
    assert json.loads(capsys.readouterr().out)[0]["language"] == "en"


def test_off_topic_is_an_empty_list_and_a_plain_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "Write a poem about autumn leaves", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["search", "写一首关于秋天的诗"]) == 0
    assert capsys.readouterr().out == "没有文章讲到这个问题。\n"


def test_people_get_markdown_with_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "什么是LoRA？", "--limit", "1"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("# 什么是LoRA") and "出处：\n  - Hugging Face" in shown


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_empty_question_is_an_error_to_mend(capsys: pytest.CaptureFixture[str], language: str) -> None:
    assert main(["search", "  ", "--lang", language, "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["kind"] == "empty_question" and error["message"] and error["remedy"]
    assert main(["search", "", "--lang", language]) == 2
    assert capsys.readouterr().err.startswith(error["message"])


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["search", "--lang", "zh", "-h"], "最多给出几段", 0),
        (["--help"], "how many passages", 0),
        (["search", "--lang", "zh"], "看不懂这些参数", 2),
        (["search", "什么是微调", "--limit", "x"], "看不懂这些参数", 2),
        (["search", "what", "--bad"], "not understood", 2),
    ],
)
def test_help_and_errors_are_in_the_readers_language(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str, code: int
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    told = "".join(capsys.readouterr())
    assert left.value.code == code and said in told
    assert ("usage" in told) != ("用法" in told)


def test_the_command_runs_as_a_module() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "knowledge", "search", "", "--json"], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 2 and json.loads(run.stdout)["error"]["kind"] == "empty_question"


def test_the_benchmark_reads_a_csv(tmp_path: Path) -> None:
    from benchmarks.retrieval import measure

    questions = tmp_path / "questions.csv"
    questions.write_text(
        "lang,question,topics\nen,What is LoRA?,lora;no-such-topic\nen,What is LoRA?,p-values\n"
        "en,Nobody wrote on it,no-such-topic\nzh,什么是微调？,fine-tuning\n",
        encoding="utf-8",
    )
    english, chinese = measure(questions)
    assert (english["count"], english["recall_at_1"]) == (2, 0.5)
    assert (chinese["count"], chinese["recall_at_3"]) == (1, 1)
