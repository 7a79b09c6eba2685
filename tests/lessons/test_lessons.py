"""Every lesson in both languages, filled from a run; its answers agree with what that run measured."""

from __future__ import annotations

import copy
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from lessons import document, sheets
from lessons.filling import BLANK, NotMeasured, filled, holds, value_of
from lessons.measuring import PAIRS, Runs
from lessons.reading import LANGUAGES, NAMES, choose, lesson, shared, texts
from lessons.taught import Lesson, pairs_of, teach

EVERY = [(name, language) for name in NAMES for language in LANGUAGES]
BANNED = re.compile(
    r"\b(stolen|steal\w*|stole|theft|thie\w+|guilty|proofs?|prov(?:es?|ed|en|ing))\b|偷|盗|窃|贼|铁证|实锤",
    re.IGNORECASE,
)
PRIVATE = re.compile(r"Sharma|Garg\b|Aljadery", re.IGNORECASE)
VOID = {"meta", "br"}

each = pytest.mark.parametrize(("name", "language"), EVERY, ids=[f"{n}-{lang}" for n, lang in EVERY])


@each
def test_the_minutes_add_up(name: str, language: Any) -> None:
    steps = lesson(name, language)["steps"]
    assert sum(step["minutes"] for step in steps) == 45
    assert all(2 <= step["minutes"] <= 15 for step in steps) and len(steps) >= 5


@each
def test_every_blank_is_filled_and_nothing_is_left_out(name: str, language: Any, measured: dict[str, Any]) -> None:
    found = {pair: measured[pair] for pair in pairs_of(name, language)}
    ready = teach(name, language, found)
    assert ready.left_out == ()
    for text in texts(written_out(ready)):
        assert "{" not in text and "}" not in text, text
    assert ready.goals and ready.materials and ready.discussion and ready.quiz and ready.limits and ready.sources


@each
def test_no_word_accuses_and_nobody_private_is_named(name: str, language: Any, measured: dict[str, Any]) -> None:
    ready = teach(name, language, measured)
    for text in [sheets.markdown(ready), *(sheets.printable(ready, sheet) for sheet in sheets.SHEETS)]:
        assert not BANNED.search(text) and not PRIVATE.search(text)
    if language == "en":
        assert not re.search(r"[\u4e00-\u9fff]", sheets.markdown(ready).replace("时代周报", ""))


@pytest.mark.parametrize("name", NAMES)
def test_twins_are_built_alike(name: str) -> None:
    english, chinese = lesson(name, "en"), lesson(name, "zh")
    assert set(english) == set(chinese)
    for key in ("steps", "discussion", "goals", "materials", "sources"):
        assert len(english[key]) == len(chinese[key]), key
    assert [step["minutes"] for step in english["steps"]] == [step["minutes"] for step in chinese["steps"]]
    for key in ("evidence", "roles", "quiz"):
        assert [card["name"] for card in english[key]] == [card["name"] for card in chinese[key]]
    assert sorted(blanks(english)) == sorted(blanks(chinese))
    assert pairs_of(name, "en") == pairs_of(name, "zh")


def test_twin_cards_agree() -> None:
    english, chinese = shared("en"), shared("zh")
    for kind in ("evidence", "roles", "quiz"):
        assert list(english[kind]) == list(chinese[kind])
        for name, card in english[kind].items():
            twin = chinese[kind][name]
            assert set(card) == set(twin), name
            for key in ("holds", "strength", "measured", "right"):
                assert card.get(key) == twin.get(key), name
            assert list(card.get("options", {})) == list(twin.get("options", {})), name
            assert sorted(blanks(card)) == sorted(blanks(twin)), name


def test_every_card_is_used_and_every_role_is_there() -> None:
    for kind in ("evidence", "roles", "quiz"):
        used = {card["name"] for name in NAMES for card in lesson(name, "en")[kind]}
        assert used == set(shared("en")[kind]), kind
    assert set(shared("en")["roles"]) == {"accused", "first-team", "engineer", "journalist", "ethics", "users"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_measured_card_says_so_and_any_other_says_that_too(language: Any) -> None:
    for name, card in shared(language)["evidence"].items():
        told = {"en": "not measured in this run", "zh": "本次没有测量"}[language] in card["found"]
        assert told != bool(BLANK.search(card["found"])), name
        assert bool(card.get("holds")) == bool(BLANK.search(card["found"])), name
        assert card["strength"] in ("strong", "weak", "none")


@each
def test_quiz_answers_agree_with_the_run(name: str, language: Any, measured: dict[str, Any]) -> None:
    ready = teach(name, language, measured)
    for written, question in zip(lesson(name, language)["quiz"], ready.quiz, strict=True):
        keys = list(written["options"])
        if "measured" in written:
            pair, _, key = written["measured"].partition(".")
            assert keys[question.right] == measured[pair]["values"][key]
        else:
            assert keys[question.right] == written["right"]
            assert all(holds(condition, measured) for condition in written.get("holds", []))
            if BLANK.search(written["question"]):
                assert written["holds"], "a question about a number needs the number to hold"


def test_the_key_follows_the_run(measured: dict[str, Any]) -> None:
    # Were the pair measured as something else, the key must change or the question must go.
    other = copy.deepcopy(measured)
    other["solar"]["values"]["answer"] = "derived"
    ready = teach("predict-and-check", "en", other)
    solar = next(question for question in ready.quiz if "follow one recipe" in question.question)
    assert solar.options[solar.right] == "Built on the same weights."
    assert "norms" in ready.left_out
    del other["sibling"]["values"]["shared_additions"]
    assert "additions" in teach("predict-and-check", "en", other).left_out
    del other["stranger"]["values"]["unit_order"]
    with pytest.raises(NotMeasured, match="unit_order"):
        teach("mirror-cases", "en", other)


def test_options_do_not_give_the_answer_away(measured: dict[str, Any]) -> None:
    ready = teach("predict-and-check", "en", measured)
    places = [question.right for question in ready.quiz]
    assert len(ready.quiz) == 10 and {places.count(place) for place in (0, 1, 2)} <= {2, 3, 4, 5}
    assert all(len(set(question.options)) == 3 for question in ready.quiz)


@each
def test_the_students_sheet_holds_no_answer(name: str, language: Any, measured: dict[str, Any]) -> None:
    ready = teach(name, language, measured)
    page = sheets.printable(ready, "students")
    for hidden in [talk.good for talk in ready.discussion] + [clue.why for clue in ready.clues]:
        assert hidden not in page and hidden not in document.markdown(sheets.students(ready))
    for question in ready.quiz:
        assert question.why not in page
    teacher = document.markdown(sheets.teacher(ready))
    assert all(document.letter(question.right) + ":" in teacher or "：" in teacher for question in ready.quiz)


class Nested(HTMLParser):
    """Fails where a tag is not closed in order; keeps the tags and what they carry."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, tag


def checked(page: str) -> Nested:
    nested = Nested()
    nested.feed(page)
    nested.close()
    assert nested.open == []
    return nested


@each
def test_the_page_is_whole_and_loads_nothing(name: str, language: Any, measured: dict[str, Any]) -> None:
    ready = teach(name, language, measured)
    for sheet in sheets.SHEETS:
        page = sheets.printable(ready, sheet)
        nested = checked(page)
        assert page.startswith("<!doctype html>") and "@page { size: A4" in page
        assert ("html", {"lang": "zh-CN" if language == "zh" else "en"}) in nested.seen
        assert [tag for tag, _ in nested.seen].count("h1") == 1
        for tag, attributes in nested.seen:
            assert tag not in ("script", "img", "link", "iframe", "form")
            assert not {"src", "href"} & set(attributes)
            assert [key for key in attributes if key.startswith("on")] == (["onclick"] if tag == "button" else [])


HOSTILE = '<script>alert(1)</script> "x" & ![a](http://e.x/i.png) | `code` <img src=x onerror=alert(1)>'


def test_hostile_text_stays_text(measured: dict[str, Any]) -> None:
    other = copy.deepcopy(measured)
    for record in other.values():
        record["a"] = record["b"] = HOSTILE
        for language in LANGUAGES:
            record["sentences"][language] = dict.fromkeys(record["sentences"][language], HOSTILE)
    for name in NAMES:
        ready = teach(name, "en", other)
        for sheet in sheets.SHEETS:
            tags = {tag for tag, _ in checked(sheets.printable(ready, sheet)).seen}
            assert not tags & {"script", "img"}
        prose = re.sub(r"```.*?```", "", sheets.markdown(ready), flags=re.S)
        assert "![a](" not in prose and not re.search(r"(?<!\\)<(?:script|img)", prose)
        assert sheets.markdown(ready).count("```") == 2 * bool(ready.rows)


def test_blanks_and_conditions() -> None:
    sentences = {language: {"word": "W", "headline": "H", "unit_order": "S."} for language in LANGUAGES}
    found = {"suspect": {"values": {"answer": "derived", "unit_order": -0.001}, "sentences": sentences}}
    assert filled("{suspect.unit_order} {suspect.word} {suspect.unit_order|sentence}", found, "en") == "0.00 W S."
    assert filled("{suspect.unit_order|percent} {suspect.unit_order|three}", found, "en") == "-0.1% -0.001"
    assert holds("suspect.answer == derived", found) and not holds("suspect.unit_order > suspect.unit_order", found)
    assert holds("suspect.unit_order <= 0", found) and not holds("suspect.unit_order >= 0.5", found)
    for missing in ("{solar.word}", "{suspect.norm_cosine}", "{suspect.power}"):
        with pytest.raises(NotMeasured):
            filled(missing, found, "en")
    with pytest.raises(NotMeasured):
        value_of("solar.answer", found)
    with pytest.raises(ValueError, match="condition"):
        holds("suspect.answer is derived", found)


def test_a_pair_is_compared_once_and_stop_goes_through() -> None:
    calls: list[tuple[Any, ...]] = []

    def compare(*names: Any, stop: Any = None) -> dict[str, Any]:
        calls.append(names)
        if stop is not None and stop():
            raise RuntimeError("stopped")
        side = {"name": "x"}
        return {
            "a": side, "b": side, "base": None, "answer": "undecided", "findings": {}, "changes": [], "power": None,
            "strength": {"log10_pvalue": None, "words": None}, "limits": [], "because": [],
            "direction": {"answer": "unknown", "because": []},
        }  # fmt: skip

    runs, told = Runs(compare), []
    with pytest.raises(RuntimeError):
        runs.measure(["solar"], stop=lambda: True)
    for _ in range(2):
        runs.measure(["solar", "stranger"], on_finding=told.append)
    assert calls[1:] == [(pair.a, pair.b, pair.base) for pair in (PAIRS["solar"], PAIRS["stranger"])]
    assert [record["step"] for record in told] == ["lesson_solar", "lesson_stranger"] * 2


def test_norm_layers_of_strangers_look_alike_until_centred(measured: dict[str, Any]) -> None:
    for pair in ("solar", "stranger"):
        assert measured[pair]["values"]["norm_cosine"] > 0.95
        assert abs(measured[pair]["values"]["norm_gains"]) < 0.3
    assert measured["suspect"]["values"]["norm_gains"] > 0.9


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("I need a quiz for my class", "predict-and-check"),
        ("给我出几道测验题", "predict-and-check"),
        ("create a role play for my pupils", "role-play"),
        ("有没有适合初中生的角色扮演?", "role-play"),
        ("Structured academic controversy for my class", "swap-sides"),
        ("辩论课怎么上", "swap-sides"),
        ("evidence cards to sort in class", "card-sort"),
        ("学生排证据卡的活动", "card-sort"),
        ("I need a lesson", "mirror-cases"),
        ("给我一份教案", "mirror-cases"),
    ],
)
def test_a_question_finds_its_lesson(question: str, name: str) -> None:
    assert choose(question) == name


@each
def test_a_title_finds_its_lesson(name: str, language: Any) -> None:
    assert choose(lesson(name, language)["title"]) == name


def test_an_unknown_lesson_is_refused() -> None:
    with pytest.raises(KeyError):
        lesson("../../x", "en")


def blanks(value: object) -> list[str]:
    return [match[0] for text in texts(value) for match in BLANK.finditer(text)]


def written_out(ready: Lesson) -> Any:
    from dataclasses import asdict

    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(ready).items()}
