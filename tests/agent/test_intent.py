"""What messages ask for: labelled phrasings of both languages, and laws that hold for every message."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from doubles import SHELF, result
from phrasings import CHINESE, ENGLISH, Row, X, Y, Z

from agent.intent import KINDS, Intent, read
from agent.memory import Memory
from agent.turns import Done, remember


def _after(a: str, b: str, answer: str) -> Memory:
    intent = Intent("compare", models=(a, b), named=(a, b), exhibit="llama3v")
    return remember(Memory(), intent, [Done("1", "compare", {"a": a, "b": b}, result(a, b, answer=answer))])


CONTEXTS: Mapping[str, Memory] = {
    "new": Memory(),
    "result": _after(X, Y, "disguised_copy"),
    "apart": _after(Z, Y, "independent"),
    "asked": remember(Memory(), Intent("ask_other", models=(X,), named=(X,), choices=(Z, Y), exhibit="llama3v"), []),
}


def _understood(row: Row) -> bool:
    context, message, kind, models, base = row
    intent = read(message, CONTEXTS[context], shelf=SHELF)
    return intent.kind == kind and (models is None or (intent.models == models and intent.base == base))


@pytest.mark.parametrize("rows", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_phrasings_are_understood(rows: list[Row]) -> None:
    missed = [(row, read(row[1], CONTEXTS[row[0]], shelf=SHELF)) for row in rows if not _understood(row)]
    told = "\n".join(
        f"{row[0]}: {row[1]!r} wants {row[2:]} got {got.kind} {got.models} {got.base}" for row, got in missed
    )
    assert 1 - len(missed) / len(rows) >= 0.97, told
