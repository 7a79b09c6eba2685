"""python -m lessons: the list, Markdown, the sheets, and one sentence for what a user can mend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lessons.run
from lessons.__main__ import main
from lessons.reading import NAMES, lesson
from lessons.taught import pairs_of
from tools.errors import UserError


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, measured: dict[str, Any]) -> None:
    def run(name: str, **how: Any) -> dict[str, Any]:
        return {"lesson": name, "measured": {pair: measured[pair] for pair in pairs_of(name)}}

    monkeypatch.setattr(lessons.run, "run", run)


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0 and main(["--lang", "zh"]) == 0
    out = capsys.readouterr().out
    assert all(name in out and str(lesson(name, "zh")["title"]) in out for name in NAMES)


def test_markdown_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["role-play", "--lang", "zh"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("# 听证会") and "学生页" in out and "10^" in out


@pytest.mark.parametrize("sheet", ["teacher", "students"])
def test_sheets_are_written(tmp_path: Path, sheet: str) -> None:
    out = tmp_path / "l.html"
    assert main(["card-sort", "--sheet", sheet, "--out", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and ("Key to the cards" in text) == (sheet == "teacher")


def test_what_a_user_can_mend(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["card-sort", "--out", "lesson.docx"]) == 2
    assert ".md or .html" in capsys.readouterr().err
    assert main(["card-sort", "--lang", "zh", "--out", str(tmp_path / "no" / "l.md")]) == 2
    assert "无法写入" in capsys.readouterr().err

    def absent(name: str, **how: Any) -> dict[str, Any]:
        raise UserError("not_found", name="exhibits/llama3v/suspect")

    monkeypatch.setattr(lessons.run, "run", absent)
    assert main(["card-sort"]) == 2
    assert "exhibits/llama3v/suspect" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["unknown"])
