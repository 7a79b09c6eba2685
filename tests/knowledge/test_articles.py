"""What every article must be: twin, sourced, dated, plain, fair."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from knowledge.reading import ARTICLES, CAVEAT, LANGUAGES, Article, BadArticle, read_article, read_articles

SHELVES = read_articles()
EVERY = [article for language in LANGUAGES for article in SHELVES[language].values()]
ENGLISH = list(SHELVES["en"].values())
CHINESE = list(SHELVES["zh"].values())
CASES = [article for article in EVERY if article.topic.startswith("case-")]
BANNED = re.compile(
    r"\b(stolen|steal\w*|stole|theft|thie\w+|guilty|proofs?|proves?|proved|proven|proving)\b"
    r"|偷|盗|窃|贼|铁证|实锤",
    re.IGNORECASE,
)
PRIVATE = re.compile(r"Sharma|Garg\b|Aljadery", re.IGNORECASE)  # students, named by the press and not by us
DICTIONARY_ADDS = 0.8  # grades; see the fixture below
PROBES = [file.stem for file in (ARTICLES.parents[1] / "tools" / "probes").glob("[!_]*.py")]
ANSWERS = ["identical", "disguised_copy", "derived", "shared_part", "common_origin", "independent", "undecided"]
CHANGES = [
    "renamed",
    "resharded",
    "recast",
    "noise",
    "quantised",
    "units_permuted",
    "heads_permuted",
    "residual_permuted",
    "rotated",
    "rescaled",
    "fine_tuned",
    "low_rank",
    "pruned",
    "layers_removed",
    "layers_repeated",
    "narrowed",
    "merged",
    "vocabulary_extended",
    "vocabulary_permuted",
    "experts_from_dense",
    "component_only",
]


def named(article: Article) -> str:
    return f"{article.language}/{article.topic}"


def prose(article: Article) -> str:
    """The body as it is read aloud: no headings, no list marks, no code."""
    lines = [line for line in article.body.splitlines() if not line.startswith("#")]
    text = "\n".join(re.sub(r"^\s*(-|\d+\.)\s+", "", line) for line in lines)
    return re.sub(r"[*`]", "", text)


@pytest.fixture
def textstat(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """textstat without its dictionary, which it would load from the net; it then counts syllables by hyphenation.

    That finds fewer: see docs/decisions/0057.
    """
    monkeypatch.setattr("textstat.backend.counts._count_syllables.get_cmudict", lambda language: None)
    return importlib.import_module("textstat")


def chinese_length(text: str) -> int:
    """Characters as a Chinese word processor counts them: each character and mark, a Latin word as one."""
    return len(re.findall(r"[A-Za-z0-9][A-Za-z0-9.\-]*|[^\sA-Za-z0-9]", text))


def test_reading_grade_knows_easy_from_hard(textstat: ModuleType) -> None:
    assert textstat.flesch_kincaid_grade("The cat sat on the mat. It was a big cat.") < 2
    hard = "Epistemological considerations notwithstanding, organisational heterogeneity necessitates deliberation."
    assert textstat.flesch_kincaid_grade(hard) > 20
    assert textstat.automated_readability_index(hard) > 20


def test_there_are_twins() -> None:
    assert len(SHELVES["en"]) >= 70
    assert list(SHELVES["en"]) == list(SHELVES["zh"])


@pytest.mark.parametrize("topic", SHELVES["en"])
def test_twins_agree_on_sources_and_years(topic: str) -> None:
    english, chinese = SHELVES["en"][topic], SHELVES["zh"][topic]
    assert english.sources == chinese.sources
    assert english.explains == chinese.explains
    assert english.checked == chinese.checked
    years = [set(re.findall(r"(?<!\d)(?:19|20)\d\d(?!\d)", article.body)) for article in (english, chinese)]
    assert years[0] == years[1]


@pytest.mark.parametrize("article", EVERY, ids=named)
def test_front_matter(article: Article) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", article.topic)
    assert 3 < len(article.title) < 80
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", article.checked)
    assert article.sources
    for source in article.sources:
        assert len(source.split(", ")) >= 3, "publisher, title, date"
        assert re.search(r"\b(19|20)\d\d\b|undated", source), "a date, or the word undated"
    assert len(article.asks) >= 3
    assert set(article.explains) <= {*PROBES, *ANSWERS, *CHANGES}


@pytest.mark.parametrize("article", EVERY, ids=named)
def test_front_matter_is_yaml(article: Article) -> None:
    text = (ARTICLES / article.language / f"{article.topic}.md").read_text(encoding="utf-8")
    fields = yaml.safe_load(text.split("---\n")[1])
    assert list(fields) == ["title", "sources", "asks", "checked", "explains"]
    for name, value in fields.items():
        ours = getattr(article, name)
        assert (str(value) if name == "checked" else value) == ours


@pytest.mark.parametrize("article", EVERY, ids=named)
def test_it_ends_with_what_it_does_not_mean(article: Article) -> None:
    assert f"\n## {CAVEAT[article.language]}\n" in article.body
    assert max(article.caveats) == len(article.paragraphs) - 1
    assert 0 not in article.caveats


@pytest.mark.parametrize("article", EVERY, ids=named)
def test_no_banned_word_and_no_private_name(article: Article) -> None:
    for text in (article.title, article.body, *article.asks):
        assert not BANNED.search(text)
        assert not PRIVATE.search(text)


@pytest.mark.parametrize("article", ENGLISH, ids=named)
def test_english_is_short_and_easy(article: Article, textstat: ModuleType) -> None:
    text = prose(article)
    assert 200 <= len(text.split()) <= 450
    assert textstat.flesch_kincaid_grade(text) <= 9 - DICTIONARY_ADDS
    assert textstat.automated_readability_index(text) <= 9  # counts letters, so it needs no dictionary
    assert max(len(sentence.split()) for sentence in re.split(r"(?<=[.!?])[\"')]*\s+|\n+", text)) <= 36


@pytest.mark.parametrize("article", CHINESE, ids=named)
def test_chinese_is_short_and_easy(article: Article) -> None:
    text = prose(article)
    assert 350 <= chinese_length(text) <= 800
    sentences = [chinese_length(s) for s in re.split(r"[。！？；\n]", text) if s]
    assert sum(sentences) / len(sentences) <= 30
    assert max(sentences) <= 60
    assert max(map(chinese_length, re.split(r"[。！？；：，、\n]", text))) <= 30
    assert not re.search(r"[\u4e00-\u9fff] ?[,;:?!] ?[\u4e00-\u9fff]", article.body), "half-width marks"


@pytest.mark.parametrize("article", CASES, ids=named)
def test_a_case_opens_with_its_outcome_and_date(article: Article) -> None:
    opening = {
        "en": r"\*\*Outcome \([^)]*\b(January|February|March|April|May|June|July|August|September|October|November|"
        r"December) 20\d\d\):\*\* ",
        "zh": r"\*\*结果（[^）]*20\d\d年\d+月[^）]*）：\*\* ",
    }
    assert re.match(opening[article.language], article.paragraphs[0])


def test_every_probe_and_answer_is_explained() -> None:
    explained = {name for article in ENGLISH for name in article.explains}
    assert {*PROBES, *ANSWERS} <= explained


@pytest.mark.parametrize(
    "text",
    [
        "no front matter",
        "---\ntitle: A\n---\nbody",
        "---\ntitle: A\nsources:\n  - B\nasks:\n  - C\nchecked: 2026-11-22\n---\nbody",
        "---\n  stray line\n---\nbody",
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.md"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadArticle, match=r"broken\.md"):
        read_article(file, "en")
