"""The texts of errors: complete, alike in both languages, and safe to show whatever a file contains."""

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.errors import LANGUAGES, REASONS, TEXTS, UserError, printable

# What the other parts of the tool raise by name.
PROMISED = """
not_found empty_folder no_model_here truncated bad_header header_too_large overlapping_tensors unsafe_pickle
unreadable_archive missing_shard unsafe_path not_finite different_kinds too_large_file bad_config
unknown_address hub_not_found hub_gated hub_gated_token hub_token_refused hub_no_revision hub_no_file hub_unreachable
hub_other_page hub_offline hub_busy hub_no_ranges hub_bad_answer hub_refused_address
not_allowed not_a_language_model bad_pairs_file unknown_tensor_type
"""
ACCUSING = ("stolen", "theft", "thief", "guilty", "proof", "proves", "偷", "盗窃", "窃取", "铁证", "实锤")
CASES = [(kind, language) for kind in TEXTS for language in LANGUAGES]


def fields(template: str) -> set[str]:
    return {field for _, field, _, _ in string.Formatter().parse(template) if field}


def test_every_promised_kind_has_texts() -> None:
    assert set(PROMISED.split()) <= set(TEXTS)


@pytest.mark.parametrize(("kind", "language"), CASES)
def test_a_text_is_one_sentence_and_one_way_out(kind: str, language: str) -> None:
    end = "." if language == "en" else "。"
    for sentence in TEXTS[kind][language]:
        assert sentence.endswith(end)
        assert sentence.replace("e.g.", "").count(end + (" " if language == "en" else "")) == (language == "zh")
        assert not any(word in sentence.lower() for word in ACCUSING)
        chinese = any("\u4e00" <= character <= "\u9fff" for character in sentence)
        assert chinese == (language == "zh")


@pytest.mark.parametrize("kind", TEXTS)
def test_both_languages_tell_the_same_facts(kind: str) -> None:
    english, chinese = (fields("".join(TEXTS[kind][language])) for language in ("en", "zh"))
    assert english == chinese


@pytest.mark.parametrize(("kind", "language"), CASES)
def test_a_missing_fact_still_makes_a_sentence(kind: str, language: str) -> None:
    for sentence in UserError(kind).say(language):
        assert "{" not in sentence
        assert "None" not in sentence


@pytest.mark.parametrize("reason", REASONS)
def test_a_reason_is_worded_in_the_language_of_its_sentence(reason: str) -> None:
    error = UserError("bad_header", file="model.safetensors", why=reason)
    assert REASONS[reason]["en"] in error.say("en")[0]
    assert REASONS[reason]["zh"] in error.say("zh")[0]


def test_an_error_reads_as_message_and_remedy() -> None:
    error = UserError("truncated", file="model.safetensors")
    message, remedy = error.say()
    assert str(error) == f"{message} {remedy}"
    assert error.as_dict("zh") == {
        "kind": "truncated",
        "message": "文件“model.safetensors”不完整，末尾有缺失。",
        "remedy": error.say("zh")[1],
    }
    assert error.say("fr") == error.say("en")


def test_an_unknown_kind_is_our_own_mistake() -> None:
    with pytest.raises(KeyError):
        UserError("no_such_kind")


def test_facts_are_shown_as_text_and_never_formatted() -> None:
    message, _ = UserError("not_found", name="{name.__class__} %s").say()
    assert "{name.__class__} %s" in message


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("model\u202esrotsnetefas.bin", "modelsrotsnetefas.bin"),
        ("gpt\u200b2\ufeff", "gpt2"),
        ("a\x1b[31mred\x07", "a[31mred"),
        ("two\nlines\u2028and\tmore", "two lines and more"),
        ("\u3164\u2800\u00a0", "?"),
        ("", "?"),
        ("tag\U000e0041\U000e0100", "tag"),
        ("\ud800", "?"),
        ("权重", "权重"),
    ],
)
def test_what_hides_or_reorders_text_is_removed(hostile: str, shown: str) -> None:
    assert printable(hostile) == shown


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    shown = printable("/models/" + "x" * 10_000_000 + "/model.safetensors")
    assert len(shown) == 80
    assert shown.startswith("/models/")
    assert shown.endswith("/model.safetensors")


@given(st.text(st.characters(), max_size=300))
def test_printable_text_is_short_single_line_and_stable(text: str) -> None:
    shown = printable(text)
    assert 1 <= len(shown) <= 80
    assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in shown)
    assert shown == printable(shown)
    shown.encode("utf-8")
