"""Search by words: stems, Chinese pairs, the language of a question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.words import WordIndex, language_of, tokens


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("What is fine-tuning?", "en"),
        ("什么是微调？", "zh"),
        ("Llama3-V是不是抄的？", "zh"),
        ("GPT-4和Claude 3 Opus一样吗", "zh"),
        ("What does 套壳 mean?", "en"),
        ("", "en"),
    ],
)
def test_language_of_a_question(question: str, language: str) -> None:
    assert language_of(question) == language


def test_spellings_meet_in_one_stem() -> None:
    stems = {token for word in ("quantised", "quantization", "quantising") for token in tokens(word)}
    assert len(stems) == 1
    assert tokens("licenses") == tokens("licence")
    assert tokens("Ｌｌａｍａ") == tokens("llama")


def test_chinese_gives_characters_and_pairs() -> None:
    assert set(tokens("套壳")) == {"套", "壳", "套壳"}
    assert tokens("是不是") == []


def test_the_rarer_word_weighs_more() -> None:
    index = WordIndex(["model weights", "model tokenizer", "model config"])
    scores = index.scores("model tokenizer")
    assert max(scores, key=lambda number: scores[number]) == 1
    assert scores[0] < scores[1] / 2
    assert index.coverage("tokenizer", [1]) == 1.0
    assert index.coverage("tokenizer", [0]) == 0.0


def test_an_empty_index_and_an_empty_question() -> None:
    assert WordIndex([]).scores("anything") == {}
    assert WordIndex(["model"]).coverage("", [0]) == 0.0


@given(st.text(max_size=200))
def test_any_text_can_be_asked(text: str) -> None:
    index = WordIndex(["套壳 means wrapping", "什么是微调"])
    assert all(score > 0 for score in index.scores(text).values())
    assert 0 <= index.coverage(text, [0, 1]) <= 1
    assert language_of(text) in ("en", "zh")
