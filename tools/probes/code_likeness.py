"""Do the programs beside the weights do the same, beyond what the framework brings?

Python files beside the weights are compared as syntax trees. Other names, another layout, comments or another order of
functions hide nothing; what both sides have from the common framework is left out, in its versions since 2023.

Blind to: weights, other languages, code that was rewritten. Two makers may have begun from one public program, so this
opens a question and never closes it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tools.comparison import Comparison
from tools.errors import UserError
from tools.evidence import Abstention, Evidence, Finding
from tools.sides import SIDES, Side
from tools.source_code import LARGEST_FILE, NODES, Fingerprint, Unreadable, fingerprints, in_framework

UNIT = "share of the smaller code's fingerprints beyond the framework that the other has, 0 to 1"
NULL = "none: strangers may build on one public program"
ROLE = "context"
SEES_THROUGH = ()
REFERENCE = "winnowing: Schleimer, Wilkerson, Aiken, SIGMOD 2003 (MOSS), on nodes of syntax trees"

# All code beside one model together; more is left out, and that is said.
MOST_BYTES = 3_000_000
# What is left of a framework file whose version is not in the baseline: up to 27, see docs/decisions/0041.
FEWEST_OWN = 30
# One common fingerprint is an idiom.
FEWEST_IN_SPAN = 2
SPANS_SHOWN = 20

# A function of one file, and the fingerprints in it that the framework does not have.
Function = tuple[str, int]
Code = dict[Function, list[Fingerprint]]


def measure(comparison: Comparison) -> Finding:
    files = [[name for name in comparison.checkpoint(side).side_files if name.endswith(".py")] for side in SIDES]
    if not files[0] or not files[1]:
        return Abstention("At least one side has no Python code beside its weights.")
    read = [_own_code(comparison, side, some) for side, some in zip(SIDES, files, strict=True)]
    (a, total_a, left_a), (b, total_b, left_b) = read
    if not total_a or not total_b:
        return Abstention("The code beside at least one model is no Python that can be read within the limits.")
    values = [{f.value for some in code.values() for f in some} for code in (a, b)]
    fewest = min(len(some) for some in values)
    if fewest < FEWEST_OWN:
        return Abstention("The code beside at least one model has too little beyond common framework code.")
    spans = _spans(a, b)
    where = {
        "spans": spans[:SPANS_SHOWN],
        "spans_found": len(spans),
        "own_share_of_a": sum(map(len, a.values())) / total_a,
        "own_share_of_b": sum(map(len, b.values())) / total_b,
        "left_out": left_a + left_b,
    }
    return Evidence(len(values[0] & values[1]) / fewest, None, fewest, where)


def _own_code(comparison: Comparison, side: Side, files: list[str]) -> tuple[Code, int, int]:
    """What the framework does not have, how many fingerprints there are in all, and how many files were left out."""
    checkpoint = comparison.checkpoint(side)
    own: Code = defaultdict(list)
    total = left_out = read = 0
    for name in files:
        comparison.check()
        size = checkpoint.side_files[name].size
        try:
            if size > LARGEST_FILE or read + size > MOST_BYTES:
                raise Unreadable
            read += size
            found = fingerprints(checkpoint.side_file(name) or b"")
        except (Unreadable, UserError):
            left_out += 1
            continue
        total += len(found)
        for fingerprint, common in zip(found, in_framework(found), strict=True):
            if not common:
                own[name, fingerprint.function].append(fingerprint)
    return own, total, left_out


def _spans(a: Code, b: Code) -> list[dict[str, Any]]:
    """Each function of a beside the one of b with which it shares most, longest first."""
    places: dict[int, set[Function]] = defaultdict(set)
    for function, some in b.items():
        for fingerprint in some:
            places[fingerprint.value].add(function)
    found = []
    for function, some in a.items():
        shared: dict[Function, set[int]] = defaultdict(set)
        for fingerprint in some:
            for other in places.get(fingerprint.value, ()):
                shared[other].add(fingerprint.value)
        if not shared:
            continue
        other = max(shared, key=lambda place: (len(shared[place]), place))
        if len(shared[other]) < FEWEST_IN_SPAN:
            continue
        mine = [f for f in some if f.value in shared[other]]
        theirs = [f for f in b[other] if f.value in shared[other]]
        found.append(
            {
                "file_a": function[0],
                "lines_a": [min(f.first for f in mine), max(f.last for f in mine)],
                "file_b": other[0],
                "lines_b": [min(f.first for f in theirs), max(f.last for f in theirs)],
                "nodes": max(f.place for f in mine) - min(f.place for f in mine) + NODES,
            }
        )
    return sorted(found, key=lambda span: (-span["nodes"], span["file_a"], span["lines_a"]))
