"""Do the two models cut text into the same tokens?

Compares the tokens, their numbers and order, the merges, and the added and special tokens apart, and says how one list
could be made from the other. Reusing a tokenizer is ordinary and often recommended, so this opens a question and never
closes it.

Blind to: weights. Strangers share tokenizers, and a copy may carry a new one.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tools.comparison import Comparison
from tools.evidence import Abstention, Evidence, Finding
from tools.vocabulary import Vocabulary

UNIT = "share of the tokens of both vocabularies that both have, 0 to 1"
NULL = "none: strangers of one family share a tokenizer"
ROLE = "context"
SEES_THROUGH = ("add_noise", "rename_tensors", "cast", "shuffle_units", "shuffle_heads", "rotate_residual")
REFERENCE = "Jaccard index of the token sets; ordered equality after the model-provenance-kit's vocabulary signals"

# A vocabulary may lose or rename a few special tokens on its way and is still that vocabulary.
NEARLY_ALL = 0.99
# A small vocabulary inside one of twice its size is a common core, such as single letters.
FEWEST_SHARED = 0.5


def measure(comparison: Comparison) -> Finding:
    configuration = _configuration_likeness(comparison)
    a, b = comparison.vocabularies
    if a is None or b is None:
        if configuration is None:
            return Abstention("At least one side has no tokenizer file.")
        return Evidence(configuration["share_equal"], None, configuration["keys"], {"configuration": configuration})
    where = vocabulary_likeness(a, b)
    if configuration is not None:
        where["configuration"] = configuration
    either = len(a.ids) if where["relation"] == "same" else len(a.ids.keys() | b.ids.keys())
    return Evidence(where["tokens_shared"], None, either, where)


def vocabulary_likeness(a: Vocabulary, b: Vocabulary) -> dict[str, Any]:
    """How two vocabularies relate; every share between 0 and 1."""
    # Most often equal, and then nobody has to look at 100,000 tokens one by one.
    equal = a.ids is b.ids or a.ids == b.ids
    both, either = (a.ids.keys(),) * 2 if equal else (a.ids.keys() & b.ids.keys(), a.ids.keys() | b.ids.keys())
    if equal:
        shifts, rising = Counter({0: len(both)}), max(0, len({*a.ids.values()}) - 1)
    else:
        shifts = Counter(b.ids[token] - a.ids[token] for token in both)
        in_order = sorted(both, key=a.ids.__getitem__)
        rising = sum(b.ids[one] < b.ids[other] for one, other in itertools.pairwise(in_order))
    relation, moved = ("same", 0) if equal else _relation(a, b, shifts)
    return {
        "relation": relation,
        "moved_by": moved,
        "more_tokens": abs(len(a.ids) - len(b.ids)),
        "tokens_shared": len(both) / max(len(either), 1),
        "share_of_a": len(both) / max(len(a.ids), 1),
        "share_of_b": len(both) / max(len(b.ids), 1),
        "same_number": shifts[0] / max(len(both), 1),
        "same_order": rising / max(len(both) - 1, 1),
        "most_common_shift": max(shifts, key=lambda shift: shifts[shift], default=0),
        "merges_shared": _shared(a.merges, b.merges) if a.merges or b.merges else None,
        "first_merges_equal": _beginning(a.merges, b.merges),
        "added_shared": len(a.added & b.added),
        "added_of_a": len(a.added),
        "added_of_b": len(b.added),
        "special_shared": len(a.special & b.special),
        "special_of_a": len(a.special),
        "special_of_b": len(b.special),
    }


def _shared(a: Sequence[str], b: Sequence[str]) -> float:
    if a == b:
        return 1.0
    return len(set(a) & set(b)) / len(set(a) | set(b))


def _beginning(a: Sequence[str], b: Sequence[str]) -> int:
    """How many merges both lists begin with; training adds them one by one, so order is part of the making."""
    if a == b:
        return len(a)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))


def _relation(a: Vocabulary, b: Vocabulary, shifts: Counter[int]) -> tuple[str, int]:
    """What was done to one vocabulary to get another one, and by how much numbers moved, from a to b.

    "contained": one has more tokens and both the same numbers; "inserted": as contained, but what stands behind
    the new tokens moved up; "shifted": all numbers moved by one step; "renumbered": the same tokens in another order;
    "partly": anything else.
    """
    shared = sum(shifts.values())
    if shared < NEARLY_ALL * min(len(a.ids), len(b.ids)) or shared < FEWEST_SHARED * max(len(a.ids), len(b.ids)):
        return "partly", 0
    if shifts[0] >= NEARLY_ALL * shared:
        return "contained", 0
    moved = max((shift for shift in shifts if shift), key=lambda shift: (shifts[shift], -abs(shift)))
    if shifts[moved] >= NEARLY_ALL * shared:
        return "shifted", moved
    if shifts[0] + shifts[moved] >= NEARLY_ALL * shared and shifts[0] >= shifts[moved]:
        return "inserted", moved
    return "renumbered", 0


def _configuration_likeness(comparison: Comparison) -> dict[str, Any] | None:
    """Share of equal entries of tokenizer_config.json, and whether both name one class or one author's code."""
    documents = []
    for checkpoint in (comparison.a, comparison.b):
        try:
            document = json.loads(checkpoint.side_file("tokenizer_config.json") or b"null")
        except (ValueError, RecursionError):
            return None
        if not isinstance(document, dict):
            return None
        documents.append(document)
    a, b = documents
    keys = a.keys() | b.keys()
    equal = [key for key in keys if key in a and key in b and a[key] == b[key]]
    return {
        "share_equal": len(equal) / max(len(keys), 1),
        "keys": len(keys),
        "equal": a == b,
        "same_class": a.get("tokenizer_class") == b.get("tokenizer_class") and "tokenizer_class" in a,
        "same_code": a.get("auto_map") == b.get("auto_map") and bool(a.get("auto_map")),
        "code_named": _code_names(a) if a.get("auto_map") == b.get("auto_map") else [],
    }


def _code_names(document: dict[str, Any]) -> list[str]:
    """The module names of `auto_map`: text of the file, shown as data and never imported."""
    table = document.get("auto_map")
    names: list[str] = []
    for value in table.values() if isinstance(table, dict) else []:
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, str):
                names.append(entry)
    return sorted(set(names))
