"""The lesson files: one TOML file per lesson and language, and one per language with the cards they share."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, Language] = ("en", "zh")

HERE = Path(__file__).parent
SHARED = "cards"
DEFAULT = "mirror-cases"
# The order in which lessons are offered: the whole story first, then single formats.
NAMES = ("mirror-cases", "card-sort", "swap-sides", "role-play", "predict-and-check")


@cache
def shared(language: Language) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """Evidence cards, roles and quiz questions by name: {"evidence": {...}, "roles": {...}, "quiz": {...}}."""
    return _read(HERE / language / f"{SHARED}.toml")


@cache
def lesson(name: str, language: Language) -> Mapping[str, Any]:
    """One lesson as it is written, its cards, roles and questions put in; raises KeyError for an unknown name.

    title, asks, summary, ages, groups, materials, goals, steps (minutes, title, text, watch), discussion (question,
    good), evidence, roles, quiz, limits, sources.
    """
    if name not in NAMES:
        raise KeyError(name)
    written = dict(_read(HERE / language / f"{name}.toml"))
    for kind, cards in shared(language).items():
        written[kind] = [{"name": card, **cards[card]} for card in written.get(kind, [])]
    return written


def choose(question: str) -> str:
    """The lesson that a question asks for; the one on the two cases where it names no format."""
    asked = question.lower()
    hits = {
        name: sum(len(word) for language in LANGUAGES for word in lesson(name, language)["asks"] if word in asked)
        for name in NAMES
    }
    best = max(NAMES, key=lambda name: hits[name])
    return best if hits[best] else DEFAULT


def texts(value: object) -> Iterator[str]:
    """Every string in a lesson."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def _read(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"))
