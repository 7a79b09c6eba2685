"""Chinese brought to one form: what is folded, and what must stay as it is."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from knowledge.chinese import folded, simplified
from knowledge.reading import read_articles

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("為什麼會這樣", "为什么会这样"),
        ("咋看出来的", "怎么看出来的"),
        ("凭啥说它俩一样", "凭什么说它们两个一样"),
        ("是真的么？", "是真的吗？"),
        ("什么都没有", "什么都没有"),
        ("能看出来不", "能看出来吗"),
        ("不", "不"),
        ("还是别做了没", "还是别做了吗"),
        ("The same as before", "The same as before"),
    ],
)
def test_folding(typed: str, plain: str) -> None:
    assert folded(typed) == plain


def test_folding_twice_changes_nothing_more() -> None:
    with open(ROOT / "tests" / "agent" / "third_visits.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            assert folded(folded(row["message"])) == folded(row["message"])


def test_the_articles_are_simplified_already() -> None:
    for topic, article in read_articles()["zh"].items():
        assert simplified(article.body) == article.body, topic


def test_cues_and_concepts_hold_no_word_that_is_folded_away() -> None:
    for name in ("cues.toml", "concepts.txt"):
        text = (ROOT / "agent" / name).read_text(encoding="utf-8")
        for line in text.splitlines():
            if not line.startswith("#"):
                words = re.sub(r"[^\u3400-\u9fff]+", " ", line).split()
                # What asks at the end of a message is not at the end here.
                assert all(folded(f"{word}的") == f"{word}的" for word in words), line
