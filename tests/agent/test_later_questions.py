"""Merges, adapters, bets and Chinese paths: held-out questions, and what follows from them."""

from __future__ import annotations

import csv
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from agent_doubles import SHELF, Audit, Visit, result
from test_intent import CONTEXTS, X, Y, Z

from agent.intent import Intent
from agent.memory import Memory
from agent.merges import merge_words
from agent.naming import find_names
from agent.phrases import say
from agent.phrasings import patterns
from agent.reading import read
from agent.turns import Done, remember
from tools.limits import TEXTS

MODELS = {"X": X, "Y": Y, "Z": Z, "S": "exhibits/llama3v/sibling", "B": "exhibits/llama3v/base"}
# Written before the cues and examples that they test; none of them is an example.
FILE = Path(__file__).parent / "held_out_later.csv"


def _filled(text: str) -> str:
    return re.sub(r"\{([XYZSB])\}", lambda match: MODELS[match[1]], text)


with open(FILE, encoding="utf-8", newline="") as _file:
    ROWS = [{key: _filled(value) for key, value in row.items()} for row in csv.DictReader(_file)]


def _understood(row: dict[str, str]) -> bool:
    intent = read(row["message"], CONTEXTS[row["context"]], shelf=SHELF)
    meant = (row["models"], row["parents"])
    heard = (";".join(intent.models), ";".join(intent.parents))
    return intent.kind == row["kind"] and (not row["models"] or heard == meant)


def test_none_of_them_is_an_example() -> None:
    assert not {row["message"].casefold() for row in ROWS} & {phrasing.message.casefold() for phrasing in patterns()}


@pytest.mark.parametrize("subject", sorted({row["subject"] for row in ROWS}))
def test_later_questions_are_understood(subject: str) -> None:
    rows = [row for row in ROWS if row["subject"] == subject]
    missed = [row["message"] for row in rows if not _understood(row)]
    assert len(missed) <= len(rows) // 10, missed


def test_a_merge_keeps_its_parents_for_what_follows() -> None:
    asked = read(f"Is {X} a merge of {Y} and {Z}?", shelf=SHELF)
    assert (asked.kind, asked.models, asked.parents) == ("compare", (X, Y), (Z,))
    memory = remember(Memory(), asked, [Done("1", "compare", {"a": X, "b": Y, "parents": [Z]}, result(X, Y))])
    again = read(f"What if I tell you the base is {MODELS['B']}?", memory, shelf=SHELF)
    assert (again.models, again.base, again.parents) == ((X, Y), MODELS["B"], (Z,))
    assert remember(memory, Intent("compare", models=(X, Y)), []).parents == ()


@pytest.mark.parametrize(
    "message",
    [
        f"Is {X} closer to {Y} or to {Z}?",
        f"which one does {X} come from, {Y} or {Z}",
        f"{X}更像{Y}还是{Z}？",
    ],
)
def test_several_candidates_are_no_parents(message: str) -> None:
    intent = read(message, shelf=SHELF)
    assert (intent.kind, intent.models, intent.parents) == ("compare", (X, Y, Z), ())


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("比较/数据/和平模型和/数据/微调模型", ["/数据/和平模型", "/数据/微调模型"]),
        ("/数据/我的模型是不是/数据/别人的模型改名", ["/数据/我的模型", "/数据/别人"]),
        ("“/数据/别人的模型”里有什么", ["/数据/别人的模型"]),
        (r"D:\模型\甲和D:\模型\乙", [r"D:\模型\甲", r"D:\模型\乙"]),
        ("这是原创/抄袭/套壳的问题", []),
        ("是/否，行/不行", []),
        ("一/二/三", []),
    ],
)
def test_chinese_paths_without_quotation_marks(text: str, names: list[str]) -> None:
    assert [named.name for named in find_names(text)] == names


@pytest.mark.parametrize(
    ("question", "follow_up"),
    [(f"Is {X} a merge of {Y} and {Z}?", "How was it merged?"), (f"{X}是不是{Y}和{Z}合并出来的？", "怎么合并的？")],
)
def test_parents_reach_the_measurement_and_the_reply(make: Any, audit: Audit, question: str, follow_up: str) -> None:
    visit = Visit(make())
    visit.ask(question)
    assert audit.calls == [("compare", (X, Y, None, Z))]
    assert any(f"`{Z}`" in step.title for step in visit.steps)
    language = "zh" if "？" in question else "en"
    told = visit.ask(follow_up).text
    assert say(language, "merged_no_sign") in told and say(language, "merged_ask") in told
    assert audit.calls == [("compare", (X, Y, None, Z))]


def _merged(where: dict[str, Any] | None, answer: str = "derived", not_these: bool = False) -> dict[str, Any]:
    made = result(X, Y, answer=answer)
    made["changes"] = [{"kind": "merged", "amount": 0.6, "unit": "share", "where": where}] if where else []
    made["limits"] = [TEXTS["parents_do_not_explain"]["en"]] if not_these else []
    return made


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_is_said_of_a_merge_was_measured(language: str) -> None:
    words = partial(merge_words, partial(say, language))
    weighed = _merged({"side": "a", "weights": [[Y, 0.6], [Z, 0.4]]})
    (told,) = words(weighed)
    assert all(part in told for part in (f"`{X}`", f"`{Y}`", "60%", f"`{Z}`", "40%"))
    assert words(weighed, told=True) == []
    half, ask = words(_merged({"side": "b", "tensors": 9}))
    assert f"`{Y}`" in half and "60%" in half and ask == say(language, "merged_ask")
    assert words(_merged({"side": "b", "tensors": 9}, not_these=True))[1] == say(language, "merged_not_the_rest")
    assert words(_merged(None, not_these=True)) == [say(language, "merged_not_these")]
    assert words(_merged(None, answer="independent")) == [say(language, "merged_no_link")]
    assert words(_merged(None, answer="undecided")) == [say(language, "merged_unknown")]


@pytest.mark.parametrize(
    ("message", "kind", "about"),
    [
        ("whats a weight", "article", "weight"),
        ("啥叫权重", "article", "weight"),
        ("证明它抄袭", "pressure", ""),
        ("how do i use my own model", "help", ""),
        ("怎么用我自己的模型", "help", ""),
        ("i downloaded a model from huggingface, is it original?", "ask_models", ""),
        ("我在网上下了个模型，是原创的吗", "ask_models", ""),
    ],
)
def test_first_questions_of_a_visitor(message: str, kind: str, about: str) -> None:
    intent = read(message, shelf=SHELF)
    assert (intent.kind, intent.about) == (kind, about)
