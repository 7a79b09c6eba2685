"""The conversation benchmark itself: its script is whole, and its checks see what they are there to see."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import conversation as bench

RESULT = {
    "schema": 1,
    "a": {"name": "x"},
    "b": {"name": "y"},
    "answer": "independent",
    "findings": {"unit_order": {"statistic": 0.4213, "log10_pvalue": -290.4, "n": 1408, "where": [0.1, 0.2, 0.3]}},
}
CITATION = {"id": "E1", "kind": "evidence", "probe": "unit_order", "title": "Same order?", "statistic": 0.4213}
TURN = {"say": "?", "calls": ["compare suspect original"], "answer": "independent"}
GOOD = "The order agrees by 0.42 over 1,408 units in 3 layers, once in 10^290. [E1]"


def _faults(text: str, turn: dict[str, Any] = TURN, said: str = "is it stolen?", **changes: Any) -> list[str]:
    artifact = {"answer": "independent", "asks": False, "language": "en", "citations": [CITATION | RESULT_NAMES]}
    calls = (("compare", {"a": bench.ROLES["suspect"], "b": bench.ROLES["original"]}),)
    heard = bench.Heard("reply", text, artifact | changes, changes.pop("calls", calls))
    return bench.faults_of(turn, heard, bench.Evidence([RESULT], [said]), "en")


RESULT_NAMES = {"a": "x", "b": "y"}


def test_the_script_is_whole() -> None:
    script = bench.script()
    talks = script["conversation"]
    assert len({talk["id"] for talk in talks}) == len(talks)
    for language in ("en", "zh"):
        assert sum(talk["language"] == language for talk in talks) >= 30
        assert all(bench._lies(script["lies"], answer, language) for answer in bench._MODELS)
    assert all(len(talk["turns"]) > 1 for talk in talks)
    known = {"say", "calls", "answer", "asks", "language", "topic", "has", "lacks", "numbers", "times"}
    for turn in (turn for talk in (*talks, script["long"], *script["visitor"]) for turn in talk["turns"]):
        assert turn.keys() <= known, turn
        assert "{" not in bench.filled(turn["say"]).replace('{"answer"', "").replace("{}", ""), turn
        bench.wanted_calls(turn)


def test_a_right_reply_has_no_fault() -> None:
    assert _faults(GOOD) == []
    assert _faults(GOOD + " You wrote “stolen”.") == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("It agrees by 0.43. [E1]", "numbers not in the evidence"),
        ("It agrees in 97% of cases. [E1]", "numbers not in the evidence"),
        ("Once in 10^291. [E1]", "numbers not in the evidence"),
        (GOOD + " It was stolen.", "forbidden"),
        (GOOD + " The “thief” did it.", "forbidden"),
        (GOOD + " More. [E7]", "points nowhere"),
        ("No mark at all here.", "not in the text"),
        ("两个模型的隐藏单元次序不同。[E1]", "language"),
        ("**The same weights.** They agree. [E1]", "verdict"),
        ("", "0 characters"),
    ],
)
def test_each_fault_is_seen(text: str, fault: str) -> None:
    assert any(fault in found for found in _faults(text))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"answer": "derived"}, "answered derived"),
        ({"asks": True}, "asks back"),
        ({"language": "zh"}, "language zh"),
        ({"calls": ()}, "called []"),
        ({"citations": [CITATION | RESULT_NAMES | {"statistic": 0.9}]}, "was not measured"),
        ({"citations": [CITATION | {"a": "y", "b": "x"}]}, "was not measured"),
    ],
)
def test_each_wrong_record_is_seen(changes: dict[str, Any], fault: str) -> None:
    assert any(fault in found for found in _faults(GOOD, **changes))


def test_a_missing_topic_and_words_are_seen() -> None:
    faults = _faults(GOOD, TURN | {"topic": ["lora"], "has": ["weights"], "lacks": ["units"]})
    assert len(faults) == 3


def test_a_sentence_of_a_liar_is_new() -> None:
    known = bench.units("**Why:**\n1. They agree. [E1]\nIt is so.")
    assert bench.units("- They agree [E2]. It is so.") == known[1:]
    assert "it is not a copy" not in known
