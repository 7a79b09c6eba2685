"""The teacher's sheet and the students' sheet of a lesson. Answers and keys stand on the teacher's alone."""

from __future__ import annotations

import shlex
import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

from lessons import document
from lessons.document import Block, Bullets, Card, Cards, Choice, Commands, Heading, Paragraph, Table, letter
from lessons.taught import Lesson, Row

Sheet = Literal["teacher", "students"]
SHEETS: tuple[Sheet, Sheet] = ("teacher", "students")


@cache
def _words() -> dict[str, dict[str, str]]:
    return tomllib.loads((Path(__file__).parent / "words.toml").read_text(encoding="utf-8"))


def word(language: str, key: str, **facts: object) -> str:
    """A label of the sheets."""
    return _words()[language][key].format(**facts)


def markdown(lesson: Lesson) -> str:
    """Both sheets as one Markdown text, the teacher's first."""
    return document.markdown([*teacher(lesson), *students(lesson)])


def printable(lesson: Lesson, sheet: Sheet) -> str:
    """One sheet as an HTML page to print."""
    blocks = teacher(lesson) if sheet == "teacher" else students(lesson)
    title = f"{lesson.title} – {word(lesson.language, sheet)}"
    return document.page(title, lesson.language, word(lesson.language, "print"), blocks)


def teacher(lesson: Lesson) -> list[Block]:
    """Goals, what this run measured, the plan, the talk, the keys and the limits."""

    def say(key: str, **facts: object) -> str:
        return word(lesson.language, key, **facts)

    blocks: list[Block] = [
        Heading(lesson.title, 1),
        Paragraph(f"{say('teacher')} · {say('minutes', count=lesson.minutes)}"),
        Paragraph(lesson.summary),
        Bullets([(say("ages"), lesson.ages), (say("groups"), lesson.groups)]),
        Heading(say("goals")),
        Bullets([("", goal) for goal in lesson.goals]),
        Heading(say("materials")),
        Bullets([("", thing) for thing in lesson.materials]),
    ]
    if lesson.rows:
        blocks += [
            Heading(say("results")),
            Table((say("pair"), say("answer"), say("sure")), [_cells(row, lesson.language) for row in lesson.rows]),
            Paragraph(say("again")),
            Commands([_command(row, lesson.language) for row in lesson.rows]),
        ]
    blocks.append(Heading(say("plan")))
    for number, step in enumerate(lesson.steps, 1):
        title = f"{number}. {step.title} ({say('minutes', count=step.minutes)})"
        blocks += [Heading(title, 3), Paragraph(step.text), Paragraph(step.watch, say("watch"))]
    blocks.append(Heading(say("discussion")))
    for talk in lesson.discussion:
        blocks += [Heading(talk.question, 3), Paragraph(talk.good, say("good"))]
    if lesson.clues:
        blocks.append(Heading(say("key")))
        rows = [(clue.title, say(clue.strength), clue.why) for clue in lesson.clues]
        blocks.append(Table((say("cards"), say("answer"), say("why")), rows))
    if lesson.quiz:
        blocks.append(Heading(say("quiz_key")))
        answers = [
            (letter(question.right), f"{question.options[question.right]} {question.why}") for question in lesson.quiz
        ]
        blocks.append(Bullets(answers, numbered=True))
    blocks += [Heading(say("limits")), Paragraph(lesson.limits)]
    if lesson.left_out:
        blocks += [Paragraph("; ".join(lesson.left_out), say("left_out"))]
    blocks += [Heading(say("sources")), Bullets([("", source) for source in lesson.sources])]
    return blocks


def students(lesson: Lesson) -> list[Block]:
    """Questions, cards and quiz, without any answer."""

    def say(key: str, **facts: object) -> str:
        return word(lesson.language, key, **facts)

    blocks: list[Block] = [
        Heading(lesson.title, 1),
        Paragraph(f"{say('students')} · {say('name')} ______________________"),
        Heading(say("discussion")),
        Bullets([("", talk.question) for talk in lesson.discussion]),
    ]
    if lesson.quiz:
        blocks.append(Heading(say("quiz")))
        blocks += [Choice(n, question.question, question.options) for n, question in enumerate(lesson.quiz, 1)]
    if lesson.roles:
        blocks.append(Heading(say("roles"), breaks=True))
        lines = [(say("know"), "know"), (say("unknown"), "unknown"), (say("task"), "task")]
        blocks.append(
            Cards(
                [
                    Card(role.title, [("", role.you), *((label, getattr(role, key)) for label, key in lines)])
                    for role in lesson.roles
                ]
            )
        )
    if lesson.clues:
        blocks += [Heading(say("cards"), breaks=True), Paragraph(say("cards_about")), *evidence_cards(lesson)]
    return blocks


def evidence_cards(lesson: Lesson) -> list[Block]:
    """The cards to sort, without their key."""
    if not lesson.clues:
        return []
    labels = [(word(lesson.language, key), key) for key in ("found", "shows", "cannot")]
    return [Cards([Card(clue.title, [(label, getattr(clue, key)) for label, key in labels]) for clue in lesson.clues])]


def named(row: Row, language: str) -> str:
    """The pair of a row in words."""
    if row.base:
        return word(language, "with_base", a=row.a, b=row.b, base=row.base)
    return word(language, "without_base", a=row.a, b=row.b)


def _cells(row: Row, language: str) -> tuple[str, str, str]:
    return named(row, language), row.word, row.strength


def _command(row: Row, language: str) -> str:
    base = ["--base", row.base] if row.base else []
    chinese = ["--lang", "zh"] if language == "zh" else []
    return shlex.join(["python", "-m", "tools", "compare", row.a, row.b, *base, *chinese])
