"""How people say things: the patterns of cues.toml, both languages of a cue in one."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parent / "cues.toml"
# What stands in a message in the place of its n-th model name; a text never holds these signs by itself.
PLACE = r"\x02\d+\x02"
_BETWEEN = r"[\s,，。.!！?？~、:：)(]*"


def place(number: int) -> str:
    """What stands in a message for a model."""
    return f"\x02{number}\x02"


@cache
def cue(name: str) -> re.Pattern[str]:
    """The pattern of that name, searched for anywhere; raises KeyError for a name without patterns."""
    return re.compile(_joined(_lists(name)), re.IGNORECASE | re.ASCII)


@cache
def nothing_but(name: str, also: str = "") -> re.Pattern[str]:
    """Matches a message that is made of these phrases alone; `also` names others that may follow them."""
    ending = rf"(?:(?:{_joined(_lists(also))}){_BETWEEN})*" if also else ""
    return re.compile(rf"^(?:(?:{_joined(_lists(name))}){_BETWEEN})+{ending}$", re.IGNORECASE | re.ASCII)


@cache
def beginning(name: str) -> re.Pattern[str]:
    """Matches these phrases at the beginning of a message, with what divides them from the rest."""
    return re.compile(rf"^(?:(?:{_joined(_lists(name))})[\s,，。.!！~、:：]+)+", re.IGNORECASE | re.ASCII)


@cache
def filler() -> re.Pattern[str]:
    """Matches what people say while they think, at the beginning of a message that goes on."""
    return re.compile(rf"^(?:(?:{_joined(_lists('filler'))}){_BETWEEN})+(?=\S)", re.IGNORECASE | re.ASCII)


@cache
def ending(name: str, then: str = "") -> re.Pattern[str]:
    """Matches these phrases at the end of a text; `then`: what may stand behind them."""
    return re.compile(rf"(?:{_joined(_lists(name))}){then}$", re.IGNORECASE | re.ASCII)


@cache
def plain_words(name: str) -> frozenset[str]:
    """A list of plain words, in lower case."""
    return frozenset(_read()["words"][name])


@cache
def our_words() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Our own vocabulary, by the key of its sentence."""
    return tuple((key, cue(f"word.{key}")) for key in _read()["word"])


@cache
def role(name: str) -> re.Pattern[str]:
    """How people call the model of an exhibit that has this folder name."""
    known = name in _read()["role"]
    return cue(f"role.{name}") if known else re.compile(rf"\b(?:the |model ){re.escape(name)}\b", re.I | re.A)


def _lists(name: str) -> Mapping[str, Sequence[str]]:
    found: Any = _read()
    for part in name.split("."):
        found = found[part]
    return dict(found)


def _joined(lists: Mapping[str, Sequence[str]]) -> str:
    return "|".join(pattern for language in lists.values() for pattern in language).replace("MODEL", PLACE)


@cache
def _read() -> Mapping[str, Any]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))
