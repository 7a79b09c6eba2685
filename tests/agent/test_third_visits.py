"""430 turns of visitors, four in five of them Chinese, most of them colloquial (decision 0099).

Set 1 was written before anything was looked at, set 2 when the mending seemed over, set 3 between its rounds. All of
them were looked at since; they keep what was mended and measure nothing.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from agent_doubles import SHELF, Visit
from test_intent import CONTEXTS, X, Y, Z

from agent.classifier import Sample
from agent.reading import classifier, read

with open(Path(__file__).parent / "third_visits.csv", encoding="utf-8", newline="") as _file:
    ROWS = list(csv.DictReader(_file))


@pytest.mark.parametrize(("language", "least", "most_missed"), [("en", 88, 8), ("zh", 340, 18)])
def test_third_visits_are_understood(language: str, least: int, most_missed: int) -> None:
    rows = [row for row in ROWS if row["language"] == language]
    heard = {row["message"]: read(row["message"], CONTEXTS[row["context"]], shelf=SHELF).kind for row in rows}
    missed = [row["message"] for row in rows if heard[row["message"]] not in row["kind"].split("|")]
    assert len(rows) >= least and len(missed) <= most_missed, missed


@pytest.mark.parametrize(
    ("plain", "typed"),
    [
        ("为什么说它们两个是一样的", "爲什麼說它俩是一樣的"),
        ("怎么看出来的", "咋瞅出来的"),
        ("这个结果靠谱吗", "這個結果靠譜麼"),
        ("你的东西是干什么的", "您的玩意儿是干嘛的"),
    ],
)
def test_however_it_is_typed_it_means_the_same(plain: str, typed: str) -> None:
    heard = [read(message, CONTEXTS["result"], shelf=SHELF) for message in (plain, typed)]
    assert (heard[0].kind, heard[0].about, heard[0].models) == (heard[1].kind, heard[1].about, heard[1].models)


def test_a_word_that_no_example_has_is_heard_by_what_it_means() -> None:
    scores = classifier().scores(Sample("抓得到破绽吗，佐证在何处", "result", 0, ""))
    assert max(scores, key=scores.__getitem__) == "why"


@pytest.mark.parametrize(
    ("message", "kind", "about", "models"),
    [
        ("could it be the other way around?", "direction", "", ()),
        ("会不会反过来，是original抄的suspect", "direction", "", ()),
        ("反过来比一下", "compare", "", (Y, X)),
        ("swap in the stranger for the original", "compare", "", (X, Z)),
        ("把original换成stranger", "compare", "", (X, Z)),
        ("他们说是从头训的", "change_mind", "", ()),
        ("从头再来一次", "compare", "again", (X, Y)),
        ("被告那个有多少层", "describe", "", (X,)),
        ("exhibits/llama3v/suspect改了什么", "changes", "", ()),
        ("可是余弦都0.95了", "number", "norm_gains", ()),
    ],
)
def test_what_follows_a_comparison(message: str, kind: str, about: str, models: tuple[str, ...]) -> None:
    intent = read(message, CONTEXTS["result"], shelf=SHELF)
    assert (intent.kind, intent.about, intent.models) == (kind, about, models)


@pytest.mark.parametrize(
    ("message", "about"),
    [
        ("How does this thing work?", "method"),
        ("would the same random seed fool you", "same_seed"),
        ("随机种子一样会不会误判", "same_seed"),
        ("你们收了谁的钱，中立吗", "trust"),
    ],
)
def test_questions_about_the_method_have_answers_of_their_own(message: str, about: str) -> None:
    intent = read(message, shelf=SHELF)
    assert (intent.kind, intent.about) == ("article", about)


@pytest.mark.parametrize(("message", "about"), [("is it free?", "ahead"), ("这个要钱吗", "ahead")])
def test_what_it_costs_is_told_before_anything_was_measured(message: str, about: str) -> None:
    assert (read(message, shelf=SHELF).kind, read(message, shelf=SHELF).about) == ("cost", about)


def test_words_that_nobody_knows_are_asked_back_after_a_comparison(visit: Visit) -> None:
    visit.ask(f"Is {X} a copy of {Y}?")
    step = visit.ask("剂量再往下压压呢那种")
    artifact: dict[str, Any] = step.artifact or {}
    assert artifact["asks"] and visit.tools == []
