"""Every sentence of the assistant's own, by name and language, from phrases.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_FILE = Path(__file__).parent / "phrases.toml"


def say(language: str, key: str, **facts: object) -> str:
    """The sentence `key` with its facts filled in; raises KeyError for an unknown key. Other languages read English."""
    text = sentences()[key]["zh" if language == "zh" else "en"]
    return text.format(**facts) if facts else text


def knows(key: str) -> bool:
    """Whether there is a sentence of that name."""
    return key in sentences()


@cache
def sentences() -> Mapping[str, Mapping[str, str]]:
    """Every sentence, {name: {language: text}}."""
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))
