"""Do the units of paired layers stand in one order? Shared by the probes that ask it of different units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tools.comparison import Comparison, UnitPair
from tools.matching import order_agreement
from tools.significance import rank_agreement


def order_by_layer(comparison: Comparison, pairs: Sequence[UnitPair]) -> list[dict[str, Any]]:
    """For every pair of layers the rank correlation of its matching with the file's order, and its log10 p-value."""
    rows: list[dict[str, Any]] = []
    for pair in pairs:
        partners = comparison.unit_partners(pair)
        agreement = order_agreement(partners)
        rows.append(
            {
                "layer": pair.a.layer,
                "role": pair.a.kind,
                "a": pair.a.label,
                "b": pair.b.label,
                "statistic": agreement,
                "log10_pvalue": rank_agreement(agreement, len(partners)),
                "n": len(partners),
                "numbers": comparison.layout_a.numbers(pair.a),
                "main": comparison.layout_a.in_main_stream(pair.a),
                "tensors": pair.a.tensors,
            }
        )
    return rows


def mean_by_units(rows: Sequence[dict[str, Any]]) -> tuple[float, int]:
    """The mean statistic over all units, and how many there are."""
    units = sum(row["n"] for row in rows)
    return sum(row["statistic"] * row["n"] for row in rows) / max(units, 1), units
