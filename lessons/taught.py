"""A lesson ready for the class: every blank filled from one run, every right answer read off that run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lessons.filling import Measured, NotMeasured, filled, holds, pairs_in, value_of
from lessons.measuring import PAIRS
from lessons.reading import Language, lesson, texts


@dataclass(frozen=True)
class Step:
    """One part of the hour; `watch` is for the teacher."""

    minutes: int
    title: str
    text: str
    watch: str


@dataclass(frozen=True)
class Talk:
    """A question to discuss, and what a good answer contains."""

    question: str
    good: str


@dataclass(frozen=True)
class Clue:
    """An evidence card; `strength` (strong, weak, none) and `why` are for the teacher."""

    title: str
    found: str
    shows: str
    cannot: str
    strength: str
    why: str


@dataclass(frozen=True)
class Role:
    """A role card."""

    title: str
    you: str
    know: str
    unknown: str
    task: str


@dataclass(frozen=True)
class Question:
    """A quiz question; `right` is the place of the right option."""

    question: str
    options: tuple[str, ...]
    right: int
    why: str


@dataclass(frozen=True)
class Row:
    """One comparison of this run."""

    a: str
    b: str
    base: str | None
    word: str
    headline: str
    strength: str


@dataclass(frozen=True)
class Lesson:
    """A lesson with the numbers of one run."""

    name: str
    language: Language
    title: str
    summary: str
    ages: str
    groups: str
    materials: tuple[str, ...]
    goals: tuple[str, ...]
    rows: tuple[Row, ...]
    steps: tuple[Step, ...]
    clues: tuple[Clue, ...]
    roles: tuple[Role, ...]
    discussion: tuple[Talk, ...]
    quiz: tuple[Question, ...]
    limits: str
    sources: tuple[str, ...]
    left_out: tuple[str, ...]
    """Titles of cards and questions that rest on something this run did not find."""

    @property
    def minutes(self) -> int:
        """How long it takes."""
        return sum(step.minutes for step in self.steps)


def pairs_of(name: str, language: Language = "en") -> list[str]:
    """The comparisons that a lesson needs, by name."""
    return pairs_in(texts(lesson(name, language)))


def teach(name: str, language: Language, measured: Measured) -> Lesson:
    """The lesson with everything filled in. Raises KeyError for an unknown name, NotMeasured for a plan without a run.

    A card or a question whose blank or condition the run does not support is left out and named.
    """
    written = lesson(name, language)
    left_out: list[str] = []

    def fill(text: str) -> str:
        return filled(text, measured, language)

    def supported(cards: list[Mapping[str, Any]], title: str) -> list[dict[str, Any]]:
        kept = []
        for card in cards:
            try:
                if not all(holds(condition, measured) for condition in card.get("holds", [])):
                    raise NotMeasured(card["name"])
                ready = {key: fill(value) if isinstance(value, str) else value for key, value in card.items()}
                if "options" in card:
                    ready |= _options(card, measured, fill)
                kept.append(ready)
            except NotMeasured:
                left_out.append(str(card.get(title, card["name"])))
        return kept

    evidence = supported(written["evidence"], "title")
    quiz = supported(written["quiz"], "name")
    return Lesson(
        name=name,
        language=language,
        title=written["title"],
        summary=fill(written["summary"]),
        ages=written["ages"],
        groups=written["groups"],
        materials=tuple(written["materials"]),
        goals=tuple(written["goals"]),
        rows=tuple(_row(measured[pair], language) for pair in PAIRS if pair in measured),
        steps=tuple(
            Step(step["minutes"], step["title"], fill(step["text"]), fill(step["watch"])) for step in written["steps"]
        ),
        clues=tuple(
            Clue(*(card[key] for key in ("title", "found", "shows", "cannot", "strength", "why"))) for card in evidence
        ),
        roles=tuple(
            Role(*(fill(card[key]) for key in ("title", "you", "know", "unknown", "task"))) for card in written["roles"]
        ),
        discussion=tuple(Talk(talk["question"], fill(talk["good"])) for talk in written["discussion"]),
        quiz=tuple(Question(card["question"], card["shown"], card["place"], card["why"]) for card in quiz),
        limits=written["limits"],
        sources=tuple(written["sources"]),
        left_out=tuple(left_out),
    )


def _options(card: Mapping[str, Any], measured: Measured, fill: Any) -> dict[str, Any]:
    """The options as shown and the place of the right one, which a measured answer picks where there is one."""
    keys = list(card["options"])
    right = str(value_of(card["measured"], measured)) if "measured" in card else card["right"]
    if right not in keys:
        raise NotMeasured(card["name"])
    return {"shown": tuple(fill(card["options"][key]) for key in keys), "place": keys.index(right)}


def _row(found: Mapping[str, Any], language: Language) -> Row:
    said = found["sentences"][language]
    return Row(found["a"], found["b"], found["base"], said["word"], said["headline"], said["strength"])
