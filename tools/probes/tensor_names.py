"""Do the tensors have the same names once a few prefixes are renamed?

Looks for the shortest list of name parts to replace that makes one list of names the other. Equal names come with equal
software and renaming takes a minute, so this opens a question and never closes it.

Blind to: weights. Strangers built with one library agree fully.
"""

from __future__ import annotations

from collections import Counter

from tools.comparison import Comparison
from tools.evidence import Abstention, Evidence, Finding

UNIT = "share of tensor names that agree after renaming, 0 to 1"
NULL = "none: strangers built with one library have equal names"
ROLE = "context"
SEES_THROUGH = ("add_noise", "cast", "shuffle_units", "shuffle_heads", "rotate_residual")
REFERENCE = "the renaming found in the Llama3-V case, issue 196 of OpenBMB/MiniCPM-V, June 2024"

MOST_RENAMES = 8


def measure(comparison: Comparison) -> Finding:
    a, b = comparison.a.declared_names, comparison.b.declared_names
    if not a or not b:
        return Abstention("At least one side declares no tensor names.")
    renames = find_renames(a, b)
    agreeing = len({_renamed(name, renames) for name in a} & set(b))
    where = {
        "agree": agreeing,
        "agree_before_renaming": len(set(a) & set(b)),
        "names_of_a": len(a),
        "names_of_b": len(b),
        "renames": [{"a": old, "b": new} for old, new in renames],
        "declared_bytes_of_a": comparison.a.declared_bytes,
        "declared_bytes_of_b": comparison.b.declared_bytes,
    }
    return Evidence(agreeing / max(len(a), len(b)), None, max(len(a), len(b)), where)


def find_renames(a: tuple[str, ...], b: tuple[str, ...]) -> list[tuple[str, str]]:
    """First parts of dotted names to replace, most useful first, so that names of a become names of b."""
    missing_a, missing_b = set(a) - set(b), set(b) - set(a)
    endings: dict[str, set[str]] = {}
    for name in missing_b:
        first, _, rest = name.partition(".")
        endings.setdefault(rest, set()).add(first)
    votes: Counter[tuple[str, str]] = Counter()
    for name in missing_a:
        first, _, rest = name.partition(".")
        for other in endings.get(rest, ()):
            votes[first, other] += 1
    renames: list[tuple[str, str]] = []
    used_a: set[str] = set()
    used_b: set[str] = set()
    for (old, new), _ in sorted(votes.items(), key=lambda item: (-item[1], item[0])):
        if old not in used_a and new not in used_b and len(renames) < MOST_RENAMES:
            renames.append((old, new))
            used_a.add(old)
            used_b.add(new)
    return renames


def _renamed(name: str, renames: list[tuple[str, str]]) -> str:
    first, dot, rest = name.partition(".")
    return dict(renames).get(first, first) + dot + rest
