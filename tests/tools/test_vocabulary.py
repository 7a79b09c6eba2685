"""Tokenizer files read as data, and how two of them relate."""

from __future__ import annotations

import json
import random

import pytest

from tests.small_models import Held, fresh
from tools.comparison import Comparison
from tools.evidence import Evidence
from tools.probes.same_tokenizer import measure, vocabulary_likeness
from tools.vocabulary import Vocabulary, parse_tokenizer_json, parse_vocab_json, read_vocabularies, read_vocabulary
from tools.words import REASONS, TOKENIZERS

WORDS = [f"word{i}" for i in range(400)]
MERGES = tuple(f"w {i}" for i in range(300))


def numbered(words: list[str], first: int = 0, merges: tuple[str, ...] = MERGES) -> Vocabulary:
    return Vocabulary({word: first + i for i, word in enumerate(words)}, merges, frozenset())


SHUFFLED = random.Random(1).sample(WORDS, len(WORDS))
RELATIONS = {
    "same": (numbered(WORDS), 0, 0),
    "contained": (numbered([*WORDS, *(f"new{i}" for i in range(38))]), 0, 38),
    "inserted": (numbered([*WORDS[:350], "new", "newer", *WORDS[350:]]), 2, 2),
    "shifted": (numbered(WORDS, first=5), 5, 0),
    "renumbered": (numbered(SHUFFLED), 0, 0),
    "partly": (numbered([*WORDS[:300], *(f"other{i}" for i in range(200))]), 0, 100),
}


@pytest.mark.parametrize("relation", RELATIONS)
def test_the_relation_is_named_and_turns_with_the_sides(relation: str) -> None:
    other, moved, more = RELATIONS[relation]
    there, back = vocabulary_likeness(numbered(WORDS), other), vocabulary_likeness(other, numbered(WORDS))
    assert (there["relation"], there["moved_by"], there["more_tokens"]) == (relation, moved, more)
    assert (back["relation"], back["moved_by"], back["more_tokens"]) == (relation, -moved, more)
    assert there["same_order"] == pytest.approx(0.5, abs=0.1) if relation == "renumbered" else there["same_order"] == 1
    for language in ("en", "zh"):
        said = REASONS["same_tokenizer"]({"where": there}, language, False)
        assert said == REASONS["same_tokenizer"]({"where": back}, language, False)
        assert "{" not in said and "100%" in said
        assert str(max(moved, more)) in said or relation in ("same", "renumbered", "partly")


def test_every_relation_has_its_words() -> None:
    assert set(RELATIONS) == TOKENIZERS.keys() - {"merges", "nearly_same"}


def test_equal_vocabularies_are_told_like_nearly_equal_ones() -> None:
    # Equal ones are not looked at token by token; one token more must change nothing but its own share.
    same = vocabulary_likeness(numbered(WORDS), numbered(WORDS))
    nearly = vocabulary_likeness(numbered(WORDS), numbered([*WORDS, "one more"]))
    for key in ("same_number", "same_order", "most_common_shift", "share_of_a"):
        assert same[key] == nearly[key]
    assert same["same_order"] == same["tokens_shared"] == 1.0


def test_a_few_special_tokens_lost_on_the_way_change_no_relation() -> None:
    other = numbered([*WORDS[:-2], "<pad>", "<mask>"])
    assert vocabulary_likeness(numbered(WORDS), other)["relation"] == "contained"


def test_a_small_core_inside_a_large_vocabulary_is_no_containment() -> None:
    letters = numbered(WORDS[:100])
    assert vocabulary_likeness(letters, numbered(WORDS))["relation"] == "partly"


def test_merges_are_compared_as_a_set_and_from_the_beginning() -> None:
    likeness = vocabulary_likeness(numbered(WORDS), numbered(WORDS, merges=(*MERGES[:100], *MERGES[:99:-1])))
    assert likeness["merges_shared"] == 1.0 and likeness["first_merges_equal"] == 100
    assert vocabulary_likeness(numbered(WORDS, merges=()), numbered(WORDS, merges=()))["merges_shared"] is None


def test_nothing_in_common_and_nothing_at_all() -> None:
    nothing = Vocabulary({}, (), frozenset())
    for other in (nothing, numbered([f"other{i}" for i in range(9)])):
        assert vocabulary_likeness(nothing, other)["tokens_shared"] == 0.0
    assert vocabulary_likeness(numbered(WORDS), numbered(["x"]))["relation"] == "partly"


def test_added_and_special_tokens_are_told_apart() -> None:
    tokens = [{"id": 3, "content": "<s>", "special": True}, {"id": 4, "content": "  ", "special": False}]
    document = {"model": {"vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}, "added_tokens": tokens}
    read = parse_tokenizer_json(json.dumps(document).encode())
    assert read == Vocabulary(
        {"a": 0, "b": 1, "ab": 2, "<s>": 3, "  ": 4}, ("a b",), frozenset({"<s>", "  "}), frozenset({"<s>"})
    )


def test_the_older_files_say_the_same() -> None:
    special = {
        "bos_token": "<s>",
        "pad_token": {"content": "<p>"},
        "additional_special_tokens": ["<x>", {"content": 1}, 7],
    }
    files = {
        "vocab.json": b'{"a": 0, "b": 1}',
        "merges.txt": b"#version: 0.2\na b\n",
        "added_tokens.json": b'{"<s>": 2, "<p>": -1, "<x>": "no"}',
        "special_tokens_map.json": json.dumps(special).encode(),
    }
    expected = Vocabulary({"a": 0, "b": 1, "<s>": 2}, ("a b",), frozenset({"<s>"}), frozenset({"<s>"}))
    assert read_vocabulary(Held({}, None, files), {}) == expected
    assert parse_vocab_json(files["vocab.json"], files["merges.txt"]) == Vocabulary(
        {"a": 0, "b": 1}, ("a b",), frozenset()
    )


# A lone half of a character is no text to the library that uses tokenizers either.
BROKEN = [b"", b"[]", b'{"a": ', b"[" * 100_000, b'{"a": [[[1]]]}', b"\xff\xfe", rb'{"\ud800": 3}']


@pytest.mark.parametrize("bad", BROKEN)
def test_broken_files_beside_a_good_vocabulary_are_no_tokens(bad: bytes) -> None:
    files = {"vocab.json": b'{"a": 0}', "merges.txt": bad, "added_tokens.json": bad, "special_tokens_map.json": bad}
    read = read_vocabulary(Held({}, None, files), {})
    assert read is not None and read.ids == {"a": 0} and not read.special


def test_sharing_a_tokenizer_never_decides() -> None:
    model = fresh("llama", 1)
    finding = measure(Comparison(model.held(), fresh("llama", 2).held()))
    assert isinstance(finding, Evidence) and finding.statistic == 1.0 and finding.log10_pvalue is None


def test_a_file_that_both_have_is_parsed_once() -> None:
    document = json.dumps({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}}).encode()
    other = json.dumps({"model": {"type": "BPE", "vocab": {"a": 1, "b": 0}, "merges": []}}).encode()
    one, same, apart = (Held({}, None, {"tokenizer.json": text}) for text in (document, document, other))
    a, b = read_vocabularies(one, same)
    assert a is b and a is not None and a.ids == {"a": 0, "b": 1}
    a, c = read_vocabularies(one, apart)
    assert a is not None and c is not None and c.ids == {"a": 1, "b": 0} != a.ids
