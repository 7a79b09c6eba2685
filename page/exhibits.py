"""The stories of the exhibits, read from exhibits/*/story.json, and the lessons on them.

The true answer in a story is never read.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

from page.words import LANGUAGES, Language

EXHIBITS = Path(__file__).resolve().parent.parent / "exhibits"
STARTERS = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exhibit:
    """One story and the questions one can ask about its models."""

    title: dict[Language, str]
    story: dict[Language, str]
    questions: tuple[dict[Language, str], ...]


def read_exhibits(folder: Path = EXHIBITS) -> list[Exhibit]:
    """Every readable story, in the order of the folder names; the others are logged and left out."""
    exhibits = []
    for path in sorted(folder.glob("*/story.json")):
        try:
            story = json.loads(path.read_text(encoding="utf-8"))
            exhibits.append(
                Exhibit(
                    title={language: str(story["title"][language]) for language in LANGUAGES},
                    story={language: str(story["story"][language]) for language in LANGUAGES},
                    questions=tuple(
                        {language: str(pair["question"][language]) for language in LANGUAGES} for pair in story["pairs"]
                    ),
                )
            )
        except (OSError, ValueError, KeyError, TypeError):
            log.exception("cannot read the story %s", path.name)
    return exhibits


def lessons_offered() -> list[dict[Language, str]]:
    """What one says to get each lesson."""
    from agent.phrases import say
    from lessons.reading import NAMES, lesson

    return [
        {language: say(language, "chip_lesson", title=lesson(name, language)["title"]) for language in LANGUAGES}
        for name in NAMES
    ]


def starters(exhibits: list[Exhibit], language: Language, count: int = STARTERS) -> list[str]:
    """The first questions of a visit: taken in turn from every exhibit."""
    longest = max((len(exhibit.questions) for exhibit in exhibits), default=0)
    in_turn = [
        exhibit.questions[place][language]
        for place in range(longest)
        for exhibit in exhibits
        if place < len(exhibit.questions)
    ]
    return in_turn[:count]
