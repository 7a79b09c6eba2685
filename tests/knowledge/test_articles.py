"""What every article must be: twin, sourced, dated, plain, fair."""

from __future__ import annotations

import re
from pathlib import Path

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
PROBES = [
    "same_values",
    "unit_order",
    "unit_partners",
    "difference_shape",
    "shared_additions",
    "shared_start",
    "same_tokenizer",
    "same_configuration",
    "tensor_names",
    "norm_gains",
    "spectra",
    "token_geometry",
    "head_space",
    "code_likeness",
]
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


def syllables(word: str) -> int:
    word = word.lower()
    groups = len(re.findall(r"[aeiouy]+", word))
    silent = word.endswith("e") and not word.endswith("le") and groups > 1
    return max(1, groups - silent)


def reading_grade(text: str) -> float:
    """Flesch-Kincaid grade of an English text; a list item ends a sentence as a full stop does."""
    sentences = [s for s in re.split(r"(?<=[.!?])[\"')]*\s+|\n+", text) if re.search("[A-Za-z]", s)]
    words = re.findall(r"[A-Za-z][A-Za-z'-]*", text)
    return 0.39 * len(words) / len(sentences) + 11.8 * sum(map(syllables, words)) / len(words) - 15.59


def chinese_length(text: str) -> int:
    """Characters as a Chinese word processor counts them: each character and mark, a Latin word as one."""
    return len(re.findall(r"[A-Za-z0-9][A-Za-z0-9.\-]*|[^\sA-Za-z0-9]", text))


def test_reading_grade_knows_easy_from_hard() -> None:
    assert reading_grade("The cat sat on the mat. It was a big cat.") < 2
    hard = "Epistemological considerations notwithstanding, organisational heterogeneity necessitates deliberation."
    assert reading_grade(hard) > 20


def test_there_are_twins() -> None:
    assert len(SHELVES["en"]) >= 46
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
def test_english_is_short_and_easy(article: Article) -> None:
    text = prose(article)
    assert 200 <= len(text.split()) <= 450
    assert reading_grade(text) <= 9


@pytest.mark.parametrize("article", CHINESE, ids=named)
def test_chinese_is_short_and_easy(article: Article) -> None:
    text = prose(article)
    assert 350 <= chinese_length(text) <= 800
    sentences = [s for s in re.split(r"[。！？；\n]", text) if s]
    assert sum(map(chinese_length, sentences)) / len(sentences) <= 40
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
