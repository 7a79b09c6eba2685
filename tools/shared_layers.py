"""Which layers of two linked models are related and which are not: read off the findings, for the reader of a part.

A layer is its feed-forward units and, where names tell which tensors lie beside them, its attention.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from tools.comparison import Comparison
from tools.evidence import Evidence, Finding
from tools.names import layer_of
from tools.sides import SIDES, Side
from tools.verdict import WHOLE_MODEL, is_related, layers_apart, likeness_tells, linked_by_units

# A kind of layer by whether its units and its attention are related; attention None where none was compared.
KINDS = {
    (True, True): "shared",
    (True, None): "shared",
    (False, False): "apart",
    (False, None): "apart",
    (False, True): "attention_only",
    (True, False): "units_only",
}
# What says that a part of both models shows no relation.
UNRELATED = frozenset({"tables_apart"}).union(
    f"{kind}{side}" for kind in KINDS.values() if kind != "shared" for side in ("", "_of_a", "_of_b")
)


def shared_layers(comparison: Comparison, findings: Mapping[str, Finding]) -> dict[str, Any]:
    """The main layers by number: `shared`, `apart`, `attention_only` and `units_only`, as far as there are such.

    One list where both models number them alike, else `KIND_of_a` and `KIND_of_b`, each layer at the place of its
    counterpart; those `apart` have none. Also how many token tables, of those that were compared, are related
    (`tables_shared`) and are not (`tables_apart`). Empty where no difference was told, or likeness tells nothing.
    """
    shape = findings.get("difference_shape")
    if not isinstance(shape, Evidence) or not likeness_tells(findings):
        return {}
    places = {side: _places(comparison, side) for side in SIDES}
    apart = {row["a"] for row in layers_apart(findings)}
    # What the first probe says counts.
    units = {row["a"]: (row["b"], True) for row in reversed(linked_by_units(findings))}
    units |= {label: (other, False) for label, other in _asked(findings).items() if label in apart}
    attention = _beside_the_units(comparison, shape)
    by_layer: dict[tuple[int, int], set[bool]] = defaultdict(set)
    for label, (other, linked) in units.items():
        if label in places["a"] and other in places["b"]:
            by_layer[places["a"][label], places["b"][other]].add(linked)
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for pair, answers in sorted(by_layer.items()):
        # Some experts of a layer can be shared and others not.
        if len(answers) == 1:
            found[KINDS[answers == {True}, attention.get(pair[0])]].append(pair)
    said: dict[str, Any] = {}
    for kind, pairs in found.items():
        numbers = [[pair[side] for pair in pairs] for side in (0, 1)]
        if kind == "apart":
            # Which of these is held against which means nothing.
            numbers = [sorted(some) for some in numbers]
        same = numbers[0] == numbers[1]
        said |= {kind: numbers[0]} if same else {f"{kind}_of_{side}": n for side, n in zip(SIDES, numbers, strict=True)}
    tables = [row for row in shape.where["tensors"] if row["table"]]
    said["tables_shared"] = sum(is_related(row) for row in tables)
    said["tables_apart"] = sum(row["kind"] == "unrelated" for row in tables)
    return {name: value for name, value in said.items() if value}


def in_some_layers(part: str, layers: Mapping[str, Any]) -> bool:
    """Whether a part ("attention", "mlp") is shared in some of the `layers` of `shared_layers`, and not in all."""
    if part not in ("attention", "mlp"):
        return False
    alone, other = ("attention_only", "units_only") if part == "attention" else ("units_only", "attention_only")
    kinds = {re.sub(r"_of_[ab]$", "", key) for key in layers}
    return not kinds.isdisjoint({"shared", alone}) and not kinds.isdisjoint({"apart", other})


def _places(comparison: Comparison, side: Side) -> dict[str, int]:
    """The main layers' numbers: those of their names, or else their places in the file, from 0."""
    layers = comparison.layout(side).main_layers
    return {units.label: place if units.layer is None else units.layer for place, units in enumerate(layers)}


def _asked(findings: Mapping[str, Finding]) -> dict[str, str]:
    """Each layer of a that a probe asked about, with its counterpart in b."""
    probes = (findings.get(name) for name in ("unit_partners", "unit_order"))
    return {row["a"]: row["b"] for finding in probes if isinstance(finding, Evidence) for row in finding.where}


def _beside_the_units(comparison: Comparison, shape: Evidence) -> dict[int, bool]:
    """For each layer of a whether most numbers of its tensors that hold no hidden units, its attention, are related."""
    counts: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    layout = comparison.layout_a
    for row in shape.where["tensors"]:
        layer = layer_of(row["a"])
        if layer is not None and not row["table"] and layout.kind_of_units(row["a"]) is None:
            counts[layer][row["kind"] != "unrelated"] += row["n"]
    return {layer: related >= WHOLE_MODEL * (related + unlike) for layer, (unlike, related) in counts.items()}
