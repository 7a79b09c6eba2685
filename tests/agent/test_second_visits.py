"""240 turns of visitors, in three sets that were each written before what they misread was mended (decision 0096).

At first 89 of 120, 32 of 60 and 43 of 60 of them were understood; here they keep what was mended.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from agent_doubles import SHELF, Visit
from test_intent import CONTEXTS, X, Y, Z

from agent.phrases import say
from agent.reading import read

with open(Path(__file__).parent / "second_visits.csv", encoding="utf-8", newline="") as _file:
    ROWS = list(csv.DictReader(_file))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_second_visits_are_understood(language: str) -> None:
    rows = [row for row in ROWS if row["language"] == language]
    heard = {row["message"]: read(row["message"], CONTEXTS[row["context"]], shelf=SHELF).kind for row in rows}
    missed = [row["message"] for row in rows if heard[row["message"]] not in row["kind"].split("|")]
    assert len(rows) >= 115 and len(missed) <= 8, missed


@pytest.mark.parametrize(
    ("message", "models"),
    [
        ("can you check the llama3v suspect against the original for me pls", (X, Y)),
        ("umm so theres this model suspect and theres the original in llama3v, did they copy it", (X, Y)),
        ("what was the original llama3v story about", ()),
        ("exhibits/llama3v/suspect 和 exhibits/llama3v/original 是亲兄弟还是陌生人", (X, Y)),
        ("llama3v里的suspect是不是抄了original", (X, Y)),
    ],
)
def test_models_named_beside_their_exhibit(message: str, models: tuple[str, ...]) -> None:
    assert read(message, shelf=SHELF).models == models


@pytest.mark.parametrize(
    ("message", "about"),
    [
        ("i don't get the second point", "R2"),
        ("第一条没看懂", "R1"),
        ("does their tokenizer match too?", "same_tokenizer"),
        ("架构也一样吗", "same_configuration"),
        ("but the norms were nearly identical, weren't they", "norm_gains"),
    ],
)
def test_what_a_follow_up_points_at(message: str, about: str) -> None:
    intent = read(message, CONTEXTS["result"], shelf=SHELF)
    assert (intent.kind, intent.about) == ("number", about)


@pytest.mark.parametrize("message", ["does the same tokenizer mean copying?", "分词器一样能说明抄袭吗"])
def test_what_a_likeness_means_is_a_question_for_the_articles(message: str) -> None:
    assert read(message, CONTEXTS["result"], shelf=SHELF).kind == "article"


@pytest.mark.parametrize("message", ["in german please", "can you say that in French?", "用日语说一遍"])
def test_a_language_that_is_not_spoken_here_is_declined(visit: Visit, message: str) -> None:
    visit.ask(f"Is {X} a copy of {Y}?")
    step = visit.ask(message)
    assert step.text in {say(language, "other_language") for language in ("en", "zh")}
    assert visit.tools == []


def test_a_message_that_may_mean_several_things_gets_the_likeliest_as_choices(visit: Visit) -> None:
    visit.ask(f"Is {X} a copy of {Y}?")
    step = visit.ask("compare the first one to itself then")
    artifact: dict[str, Any] = step.artifact or {}
    assert artifact["asks"] and visit.tools == []
    assert len(set(artifact["options"]) - {say("en", "chip_help")}) >= 2


@pytest.mark.parametrize(("language", "question"), [("en", "Is {a} a copy of {b}?"), ("zh", "{a}是不是抄了{b}？")])
def test_follow_ups_about_changes_layers_points_and_reading(visit: Visit, language: str, question: str) -> None:
    visit.ask(question.format(a=X, b=Y))
    for chip in ("changes", "layers", "sources"):
        step = visit.ask(say(language, f"chip_{chip}"))
        assert visit.tools == [] and not (step.artifact or {})["asks"], chip
    second = visit.ask("explain the second point" if language == "en" else "第二条什么意思")
    assert (second.artifact or {})["citations"] and visit.tools == []
    visit.ask(question.format(a=Z, b=Y))
    told = visit.ask(say(language, "chip_changes")).text
    assert say(language, "changes_independent") in told


@pytest.mark.parametrize(
    ("message", "key"),
    [
        ("what if they trained it for another month?", "supposed_training"),
        ("would you notice if only half of it was copied?", "supposed_part"),
        ("如果他们是蒸馏出来的呢", "supposed_distilling"),
        ("要是量化过呢", "supposed_rounding"),
        ("what if they shuffled the neurons?", "supposed_order"),
    ],
)
def test_a_supposition_is_answered_in_words_of_its_own(visit: Visit, message: str, key: str) -> None:
    visit.ask(f"Is {X} a copy of {Y}?")
    language = "zh" if key in ("supposed_distilling", "supposed_rounding") else "en"
    assert say(language, key)[:24] in visit.ask(message).text
