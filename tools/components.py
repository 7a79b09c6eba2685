"""The parts of a model answered one by one: a borrowed part in an otherwise own model is a finding of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from tools.comparison import Comparison
from tools.evidence import Evidence, Finding
from tools.names import TOWERS, has_role
from tools.roles import Layout
from tools.shared_layers import in_some_layers, shared_layers
from tools.verdict import LINKED, TRAINING_FREE, TRAINING_FREE_KINDS, WHOLE_MODEL, Answer, links

PARTS = ("vision", "audio", "projector", "embedding", "head", "attention", "expert")
UNIT_PROBES = ("unit_order", "unit_partners", "unit_relations", "turned_partners")
# The deciding probes that look at a part.
ASKED_BY = {
    "mlp": UNIT_PROBES,
    "lone": UNIT_PROBES,
    "conv": ("unit_order",),
    "recurrent": ("unit_order", "unit_partners"),
    "expert": UNIT_PROBES,
    "vision": UNIT_PROBES,
    "audio": UNIT_PROBES,
    "attention": ("value_order",),
    "embedding": ("coordinate_order",),
}
NAMES = {
    "vision": "vision part",
    "audio": "audio part",
    "projector": "projector",
    "embedding": "embeddings",
    "head": "output head",
    "attention": "attention",
    "expert": "experts",
    "mlp": "feed-forward layers",
    "lone": "feed-forward layers",
    "conv": "convolutions",
    "recurrent": "recurrent layers",
    "other": "other tensors",
}


def components(comparison: Comparison, findings: Mapping[str, Finding], answer: Answer) -> list[dict[str, Any]]:
    """For each part of a: its answer, and its share of a's learned numbers; largest first.

    A part is answered from the tensors that resemble a counterpart once the pair is linked. Where the pair is not
    linked, a part gets the pair's answer if a deciding probe looked at it; else "undecided". Of attention and
    feed-forward layers some can be shared, and some of a mixture's experts.
    """
    layout = comparison.layout_a
    sizes: dict[str, int] = defaultdict(int)
    for name in layout.learned:
        sizes[_part(layout, name)] += layout.size(name)
    total = max(sum(sizes.values()), 1)
    shape = findings.get("difference_shape")
    kinds: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    if isinstance(shape, Evidence):
        for row in shape.where["tensors"]:
            kinds[_part(layout, row["a"])][row["kind"]] += row["n"]
    layers = shared_layers(comparison, findings) if answer in ("derived", "shared_part") else {}
    found = []
    for part, size in sorted(sizes.items(), key=lambda item: -item[1]):
        said = (
            _unlinked(part, answer, findings)
            if answer not in LINKED
            else "shared_part"
            if in_some_layers(part, layers)
            else _answer(part, kinds.get(part), size, answer, findings)
        )
        found.append({"name": NAMES[part], "answer": said, "share_of_parameters": size / total})
    return found


def _part(layout: Layout, name: str) -> str:
    for part in PARTS:
        if part == "embedding" and name == layout.embedding:
            return part
        if part != "embedding" and has_role(name, part):
            return part
    return layout.kind_of_units(name) or "other"


def _unlinked(part: str, answer: Answer, findings: Mapping[str, Finding]) -> Answer:
    """The pair's answer for parts that a deciding probe looked at, "undecided" for the others."""
    probes = [f for name in ASKED_BY.get(part, ()) if isinstance(f := findings.get(name), Evidence)]
    if part in TOWERS:
        # Not every model's tower has layers that could be told apart.
        probes = [finding for finding in probes if any(has_role(row["a"], part) for row in finding.where)]
    return answer if probes else "undecided"


def _answer(
    part: str, kinds: Mapping[str, int] | None, size: int, answer: Answer, findings: Mapping[str, Finding]
) -> Answer:
    if answer in ("identical", "common_origin"):
        return answer
    if not kinds:
        same = findings.get("same_values")
        whole = isinstance(same, Evidence) and links("same_values", same) and same.statistic == 1.0
        return answer if whole else "undecided"
    related = sum(n for kind, n in kinds.items() if kind != "unrelated")
    if part == "expert" and answer == "shared_part" and 0 < related < TRAINING_FREE * size:
        # Some experts of a mixture can be another's and the rest its own.
        return "shared_part"
    if related < WHOLE_MODEL * size:
        # Unlike tensors of one part are no null of their own; the whole pair was what the tests judged.
        return "undecided"
    if kinds.get("equal", 0) >= TRAINING_FREE * size:
        return "identical"
    if sum(kinds.get(kind, 0) for kind in TRAINING_FREE_KINDS) >= TRAINING_FREE * related:
        return "disguised_copy"
    return "derived"
