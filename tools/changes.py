"""How one model was made from the other, and in which direction: read off the findings, as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tools.comparison import Comparison
from tools.evidence import Evidence, Finding
from tools.roles import Layout, has_role
from tools.verdict import HOLDS_ADDITIONS, Answer, linked_share, links

# Standard errors beyond which a correlation of the difference with one side is no chance, and below which it is none.
ALONG, NOT_ALONG = 8.0, 4.0
# Noise this loud gives no direction: a model averaged with a stranger looks like the quieter parent of its own parent.
LOUD_NOISE = 0.5
# A kind of difference is reported when it covers this share of the compared numbers.
WORTH_TELLING = 0.02
NEED_TRAINING_OR_SIZE = frozenset(
    {"fine_tuned", "low_rank", "pruned", "layers_removed", "layers_repeated", "narrowed", "experts_from_dense"}
)


def changes(comparison: Comparison, findings: Mapping[str, Finding], answer: Answer) -> list[dict[str, Any]]:
    """The contract's list of changes; empty where the models are not linked."""
    if answer in ("independent", "undecided"):
        return []
    if answer == "identical":
        return _names_and_files(comparison, findings)
    found = [
        *_names_and_files(comparison, findings),
        *_order(comparison, findings),
        *_values(findings),
        *_shapes(comparison, findings),
    ]
    if answer == "disguised_copy":
        # What little of this was seen lies within what the rule calls unclear.
        found = [entry for entry in found if entry["kind"] not in NEED_TRAINING_OR_SIZE]
    if answer == "shared_part":
        found.append(_change("component_only", linked_share(findings), "share of the numbers"))
    return found


def direction(comparison: Comparison, findings: Mapping[str, Finding], answer: Answer) -> dict[str, Any]:
    """Which model came from which, with reasons; unknown where the evidence does not say or contradicts itself."""
    if answer not in ("disguised_copy", "derived", "shared_part"):
        return {"answer": "unknown", "because": []}
    votes: dict[str, list[str]] = {"a_from_b": [], "b_from_a": []}
    shape = findings.get("difference_shape")
    if isinstance(shape, Evidence):
        for kind, reason in (
            ("recast", "its values are the other's, rounded"),
            ("quantised", "its values lie on a coarser grid"),
            ("pruned", "its values are the other's, some set to zero"),
        ):
            weights = {side: sum(r["n"] for r in shape.where["tensors"] if r["kind"] == kind and r["coarser"] == side)
                       for side in ("a", "b")}  # fmt: skip
            if max(weights.values()) > 10 * min(weights.values()):
                votes["a_from_b" if weights["a"] > weights["b"] else "b_from_a"].append(reason)
        noisy = [r for r in shape.where["tensors"] if r["kind"] == "noise" and r["amount"] < LOUD_NOISE]
        if noisy and shape.where["shares"].get("noise", 0.0) > WORTH_TELLING:
            total = sum(r["n"] for r in noisy)
            along = {s: sum(r[f"along_{s}"] * r["n"] ** 0.5 for r in noisy) / total**0.5 for s in ("a", "b")}
            reason = "the difference is independent of the other's values and raises this one's variance"
            if abs(along["a"]) > ALONG and abs(along["b"]) < NOT_ALONG:
                votes["a_from_b"].append(reason)
            elif abs(along["b"]) > ALONG and abs(along["a"]) < NOT_ALONG:
                votes["b_from_a"].append(reason)
    for reason, child in _smaller_or_grown(comparison, findings):
        votes["a_from_b" if child == "a" else "b_from_a"].append(reason)
    added = findings.get("shared_additions")
    if isinstance(added, Evidence):
        held = {side: added.where[key] for side, key in (("a_from_b", "a_holds_of_b"), ("b_from_a", "b_holds_of_a"))}
        high, low = sorted(held, key=lambda side: -held[side])
        if held[high] >= HOLDS_ADDITIONS > held[low]:
            votes[high].append("it holds what the other added to the base, and more")
    said = [answer_ for answer_, reasons in votes.items() if reasons]
    if len(said) != 1:
        return {"answer": "unknown", "because": []}
    return {"answer": said[0], "because": votes[said[0]]}


def _smaller_or_grown(comparison: Comparison, findings: Mapping[str, Finding]) -> list[tuple[str, str]]:
    """Reasons from a change of size, and the side that it makes the child."""
    a, b = _sizes(comparison.layout_a), _sizes(comparison.layout_b)
    found = []
    for change in _shapes(comparison, findings):
        if change["kind"] == "layers_removed":
            found.append(("it has some of the other's layers", "a" if a.layers < b.layers else "b"))
        elif change["kind"] == "layers_repeated":
            found.append(("it has some of the other's layers twice", "a" if a.layers > b.layers else "b"))
        elif change["kind"] == "narrowed":
            found.append(("it has some of the other's hidden units", "a" if a.width < b.width else "b"))
        elif change["kind"] == "experts_from_dense":
            found.append(("its experts come from the other's layers", "a" if a.experts else "b"))
    return found


@dataclass(frozen=True)
class Sizes:
    """What a change of size can change: tokens, layers, hidden units of a layer and experts; 0 where not known."""

    tokens: int
    layers: int
    width: int
    experts: bool


def _sizes(layout: Layout) -> Sizes:
    table, units = layout.embedding, layout.hidden_units
    layers = {unit.layer if unit.layer is not None else unit.label for unit in units}
    return Sizes(
        layout.checkpoint.shapes[table][0] if table is not None else 0,
        len(layers),
        units[0].width if units else 0,
        any(has_role(name, "expert") for name in layout.learned),
    )


def _shapes(comparison: Comparison, findings: Mapping[str, Finding]) -> list[dict[str, Any]]:
    """Changes of size: tokens, layers, widths, experts."""
    a, b = _sizes(comparison.layout_a), _sizes(comparison.layout_b)
    found = []
    if a.tokens != b.tokens and a.tokens and b.tokens:
        found.append(_change("vocabulary_extended", abs(a.tokens - b.tokens), "tokens"))
    if a.layers != b.layers and a.layers and b.layers:
        same = findings.get("same_values")
        repeated = isinstance(same, Evidence) and same.statistic == 1.0 and same.where["repeated"]
        found.append(_change("layers_repeated" if repeated else "layers_removed", abs(a.layers - b.layers), "layers"))
    if a.experts != b.experts:
        found.append(_change("experts_from_dense"))
    elif a.width != b.width and a.width and b.width:
        found.append(_change("narrowed", min(a.width, b.width) / max(a.width, b.width), "share of the hidden units"))
    return found


def _change(kind: str, amount: float | None = None, unit: str | None = None, where: Any = None) -> dict[str, Any]:
    return {"kind": kind, "amount": amount, "unit": unit, "where": where}


def _names_and_files(comparison: Comparison, findings: Mapping[str, Finding]) -> list[dict[str, Any]]:
    found = []
    shape = findings.get("difference_shape")
    if isinstance(shape, Evidence):
        related = [row for row in shape.where["tensors"] if row["kind"] != "unrelated"]
        renamed = sum(row["a"] != row["b"] for row in related)
        if renamed:
            # Vectors are not paired one by one, but take part in a renaming.
            renamed = max(renamed, len(comparison.a.shapes.keys() - comparison.b.shapes.keys()))
    else:
        same = findings.get("same_values")
        renamed = same.where["renamed"] if isinstance(same, Evidence) else 0
    if renamed:
        found.append(_change("renamed", renamed, "tensors"))
    files = len(comparison.a.weight_files), len(comparison.b.weight_files)
    if files[0] != files[1]:
        found.append(_change("resharded", abs(files[0] - files[1]), "files"))
    return found


def _order(comparison: Comparison, findings: Mapping[str, Finding]) -> list[dict[str, Any]]:
    found = []
    shape = findings.get("difference_shape")
    moved = [row for row in shape.where["tensors"] if row["reordered"]] if isinstance(shape, Evidence) else []
    in_units = {member.name for units in comparison.layout_a.hidden_units for member in units.members}
    tables = {
        name for name in comparison.layout_a.learned if name == comparison.layout_a.embedding or has_role(name, "head")
    }
    units = [row["a"] for row in moved if row["a"] in in_units]
    tokens = [row["a"] for row in moved if row["a"] in tables]
    heads = [row["a"] for row in moved if row["a"] not in in_units and row["a"] not in tables]
    if tokens:
        found.append(_change("vocabulary_permuted", len(tokens), "tensors"))
    if units:
        found.append(_change("units_permuted", len(units), "tensors", units[:64]))
    if heads:
        found.append(_change("heads_permuted", len(heads), "tensors", heads[:64]))
    coordinates = shape.where["coordinates"] if isinstance(shape, Evidence) else "own"
    partners = findings.get("unit_partners")
    if not isinstance(shape, Evidence) and isinstance(partners, Evidence) and links("unit_partners", partners):
        # Units answer to the same tokens although no tensor resembles its counterpart: other coordinates.
        same_width = comparison.layout_a.residual_width == comparison.layout_b.residual_width
        coordinates = "rotated" if same_width else "own"
    if coordinates != "own":
        found.append(_change("rotated" if coordinates == "rotated" else "residual_permuted"))
    return found


def _values(findings: Mapping[str, Finding]) -> list[dict[str, Any]]:
    shape = findings.get("difference_shape")
    if not isinstance(shape, Evidence):
        return []
    found = []
    shares = shape.where["shares"]
    for kind, change, unit in (
        ("recast", "recast", "share of the numbers"),
        ("rescaled", "rescaled", "share of the numbers"),
        ("quantised", "quantised", "bits"),
        ("noise", "noise", "share of each tensor's standard deviation"),
        ("pruned", "pruned", "share of the values set to zero"),
        ("low_rank", "low_rank", "rank"),
        ("trained", "fine_tuned", "size of the change relative to the weights"),
    ):
        if shares.get(kind, 0.0) <= WORTH_TELLING:
            continue
        rows = [row for row in shape.where["tensors"] if row["kind"] == kind]
        amounts = [(row["amount"], row["n"]) for row in rows if row["amount"] is not None]
        amount = sum(value * n for value, n in amounts) / sum(n for _, n in amounts) if amounts else shares[kind]
        if kind == "quantised" and amounts:
            amount = float(sorted(value for value, _ in amounts)[len(amounts) // 2])
        if kind == "low_rank":
            amount = max(value for value, _ in amounts)
        found.append(_change(change, float(amount), unit, {"share_of_numbers": shares[kind], "tensors": len(rows)}))
    return found
