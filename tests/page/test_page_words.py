"""The page says the same things in both languages, and nothing that it must not say."""

from __future__ import annotations

import ast
import re
import string
from pathlib import Path

import pytest

from page.words import CHINESE, LANGUAGES, TEXTS, choose_language, say, translated
from tools.components import NAMES

BANNED = re.compile(
    r"\b(?:stolen|theft|thief|thieves|guilty|proof|proves?|proven)\b|偷|盗窃|窃取|铁证|实锤", re.IGNORECASE
)


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_the_same_keys() -> None:
    assert set(TEXTS["en"]) == set(TEXTS["zh"])


@pytest.mark.parametrize("key", sorted(TEXTS["en"]))
def test_a_sentence_names_the_same_facts_in_both_languages(key: str) -> None:
    assert fields(TEXTS["en"][key]) == fields(TEXTS["zh"][key])


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_accuses(language: str) -> None:
    assert not [text for text in TEXTS[language].values() if BANNED.search(text)]


def test_chinese_sentences_are_chinese() -> None:
    latin_only = [
        key
        for key, text in TEXTS["zh"].items()
        if re.search("[A-Za-z]", re.sub(r"{\w+}", "", text)) and not re.search("[\u4e00-\u9fff]", text)
    ]
    assert latin_only == []


def test_facts_are_filled_in() -> None:
    assert say("en", "too_long", length=3000, limit=2000).count("000") == 2
    with pytest.raises(KeyError):
        say("en", "no such sentence")


def test_what_probes_say_of_themselves_has_its_chinese() -> None:
    """Every UNIT, and every reason to abstain that is written out in full."""
    probes = Path(__file__).resolve().parents[2] / "tools" / "probes"
    for path in sorted(probes.glob("[a-z]*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            said = None
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "UNIT":
                said = node.value
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Abstention" and node.args:
                said = node.args[0]
            if isinstance(said, ast.Constant) and isinstance(said.value, str):
                assert translated(said.value, "zh") != said.value, (
                    f"{path.name}: it has no Chinese in page.words or tools.words"
                )


def test_every_part_of_a_model_has_its_chinese() -> None:
    assert set(NAMES.values()) <= set(CHINESE)


@pytest.mark.parametrize(
    ("wanted", "accepted", "language"),
    [
        (None, None, "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "zh", "zh"),
        (None, "zh-TW", "zh"),
        (None, "fr;q=0.9,zh;q=0.5,en;q=0.7", "en"),
        (None, "de-DE,de", "en"),
        (None, "en;q=nonsense,zh;q=0.1", "zh"),
        ("zh", "en-US,en", "zh"),
        ("en", "zh-CN", "en"),
        ("<script>", "zh-CN", "zh"),
    ],
)
def test_first_language(wanted: str | None, accepted: str | None, language: str) -> None:
    assert choose_language(wanted, accepted) == language
