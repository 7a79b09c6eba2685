"""Does each hidden unit resemble the one that stands at its place in the other model?

Where a little of one model was mixed into a stranger, no unit finds its partner any more and `unit_order` sees
nothing. Yet every unit still resembles the one at its own place slightly more than it does others, and over all units
that adds up. Shifts within small blocks of units tell what such a sum is worth: among strangers any shift is as good.

Blind to: units put into another order, a rotated residual stream, other widths. See unit_partners for those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tools.comparison import Comparison, UnitPair
from tools.evidence import Abstention, Evidence, Finding
from tools.order import mean_by_units
from tools.roles import Layout
from tools.significance import bonferroni, fisher, shifts_within_blocks

UNIT = "mean likeness of units at one place above that of other units; strangers 0, copies about 1"
NULL = "strangers: the order of one model's hidden units is uniform among all orders, whatever the other model is"
ROLE = "decides"
SEES_THROUGH = ("add_noise", "rename_tensors", "cast", "shuffle_heads")
REFERENCE = "Lugannani and Rice, Advances in Applied Probability 1980; Chernoff 1952; see docs/decisions/0060"

# Units of a block; more lose rarity (one order among this many), fewer lose sharpness: a block is its own yardstick.
BLOCK = 8


def measure(comparison: Comparison) -> Finding:
    if not comparison.unit_pairs:
        return Abstention("The models have no layers of hidden units of equal shape.")
    return judged(comparison.layout_a, [(pair, comparison.likeness(pair)) for pair in comparison.unit_pairs_in_place])


def judged(layout: Layout, layers: Sequence[tuple[UnitPair, np.ndarray]]) -> Evidence:
    """What the likeness of all units of paired layers, as `Comparison.likeness` gives it, says; at least one layer.

    `layout` is that of the pairs' first model.
    """
    where: list[dict[str, Any]] = []
    for pair, summed in layers:
        likeness = summed / len(pair.members)
        units = len(likeness)
        if units < BLOCK:
            continue
        in_place = float(np.trace(likeness)) / units
        elsewhere = (float(likeness.sum()) - in_place * units) / (units * (units - 1))
        where.append(
            {
                "layer": pair.a.layer,
                "role": pair.a.kind,
                "a": pair.a.label,
                "b": pair.b.label,
                "statistic": in_place - elsewhere,
                "log10_pvalue": shifts_within_blocks(block_sums(likeness)),
                "n": units,
                "main": layout.in_main_stream(pair.a),
            }
        )
    logs = [row["log10_pvalue"] for row in where]
    # As in unit_order: units of an MLP are private to their layer, channels of convolutions are not.
    together = fisher(logs) if all(pair.a.kind == "mlp" for pair, _ in layers) else bonferroni(logs)
    mean, units = mean_by_units(where)
    return Evidence(mean, together, units, where)


def block_sums(likeness: np.ndarray) -> np.ndarray:
    """Likeness summed over each block when b's units are moved on by 0, 1, ... places within it, (blocks, BLOCK).

    A block takes its units from evenly spread places; up to BLOCK - 1 last units belong to none.
    """
    blocks = len(likeness) // BLOCK
    units = np.arange(blocks * BLOCK).reshape(BLOCK, blocks)
    return np.stack([likeness[units, np.roll(units, -shift, axis=0)].sum(axis=0) for shift in range(BLOCK)], axis=1)
