"""How one model was made from the other, and in which direction: read off the findings, as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tools.comparison import Comparison
from tools.evidence import Evidence, Finding
from tools.verdict import HOLDS_ADDITIONS, Answer, linked_share, links

# Standard errors beyond which a correlation of the difference with one side is no chance, and below which it is none.
ALONG, NOT_ALONG = 8.0, 4.0
# A kind of difference is reported when it covers this share of the compared numbers.
WORTH_TELLING = 0.02


def changes(comparison: Comparison, findings: Mapping[str, Finding], answer: Answer) -> list[dict[str, Any]]:
    """The contract's list of changes; empty where the models are not linked."""
    if answer in ("independent", "undecided"):
        return []
    found = [*_names_and_files(comparison, findings), *_order(comparison, findings), *_values(findings)]
    tables = comparison.layout_a.embedding, comparison.layout_b.embedding
    if tables[0] is not None and tables[1] is not None:
        heights = comparison.a.shapes[tables[0]][0], comparison.b.shapes[tables[1]][0]
        if heights[0] != heights[1]:
            found.append(_change("vocabulary_extended", abs(heights[0] - heights[1]), "tokens"))
    depths = len(comparison.layout_a.hidden_units), len(comparison.layout_b.hidden_units)
    if depths[0] != depths[1] and 0 not in depths:
        same = findings.get("same_values")
        repeated = isinstance(same, Evidence) and same.statistic == 1.0 and same.where["repeated"]
        kind = "layers_repeated" if repeated else "layers_removed"
        found.append(_change(kind, abs(depths[0] - depths[1]), "layers"))
    if answer == "shared_part":
        found.append(_change("component_only", linked_share(findings), "share of the numbers"))
    return found


def direction(findings: Mapping[str, Finding], answer: Answer) -> dict[str, Any]:
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
        noisy = [r for r in shape.where["tensors"] if r["kind"] == "noise"]
        if shape.where["shares"].get("noise", 0.0) > WORTH_TELLING:
            total = sum(r["n"] for r in noisy)
            along = {s: sum(r[f"along_{s}"] * r["n"] ** 0.5 for r in noisy) / total**0.5 for s in ("a", "b")}
            reason = "the difference is independent of the other's values and raises this one's variance"
            if abs(along["a"]) > ALONG and abs(along["b"]) < NOT_ALONG:
                votes["a_from_b"].append(reason)
            elif abs(along["b"]) > ALONG and abs(along["a"]) < NOT_ALONG:
                votes["b_from_a"].append(reason)
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
    units = [row["a"] for row in moved if row["a"] in in_units]
    heads = [row["a"] for row in moved if row["a"] not in in_units]
    if units:
        found.append(_change("units_permuted", len(units), "tensors", units[:64]))
    if heads:
        found.append(_change("heads_permuted", len(heads), "tensors", heads[:64]))
    coordinates = shape.where["coordinates"] if isinstance(shape, Evidence) else "own"
    partners = findings.get("unit_partners")
    if not isinstance(shape, Evidence) and isinstance(partners, Evidence) and links("unit_partners", partners):
        # Units answer to the same tokens although no tensor resembles its counterpart: other coordinates.
        coordinates = "rotated"
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
