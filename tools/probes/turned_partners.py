"""Does each hidden unit have one and the same partner in coordinates that the layers alone tell, without any tokens?

What a layer's units have in common, their mean and their spread, stays the same in any order of the units and turns
with the coordinates of the network. The rotation that brings these together for all layers of both models is found
without a look at any single unit and without tokens. In it each unit is then matched twice, as in unit_partners: by
one tensor of its layer alone, and by what another says beyond that. In strangers, whatever the rotation is, the two
matchings have nothing to do with each other.

Blind to: models of different widths, large models of which only a part is read, layers with a single tensor.
"""

from __future__ import annotations

from typing import Any

from tools.comparison import Comparison
from tools.evidence import Abstention, Evidence, Finding
from tools.moments import LayerPair, rotation_of, turning_layers
from tools.order import mean_by_units
from tools.partners import agreement, two_matchings
from tools.significance import fisher

UNIT = "share of hidden units whose two matchings agree, 0 to 1"
NULL = "strangers: what the second tensor says of a layer's units beyond the first matches them in an unrelated order"
ROLE = "decides"
SEES_THROUGH = (
    "add_noise", "rename_tensors", "cast", "shuffle_units", "shuffle_heads", "rotate_residual", "permute_residual",
)  # fmt: skip
REFERENCE = "double matching of unit_partners in coordinates told by moments; decision 0072"


def measure(comparison: Comparison) -> Finding:
    where: list[dict[str, Any]] = []
    for pairs in turning_layers(comparison).values():
        matched = [pair for pair in pairs if len(pair.members) > 1]
        if not matched:
            continue
        rotation = rotation_of(matched, comparison.check)
        for pair in matched:
            comparison.check()
            few = [pair.a.views[i] @ rotation for i, _ in pair.members[:2]]
            many = [pair.b.views[j] for _, j in pair.members[:2]]
            few, many = (many, few) if _is_wider(pair) else (few, many)
            first, second = two_matchings(few, many, comparison.check)
            where.append(
                {
                    "layer": pair.a.units.layer,
                    "role": f"{pair.a.units.kind}, by layers",
                    "a": pair.a.units.label,
                    "b": pair.b.units.label,
                    **agreement(first, second),
                    "tensors": pair.a.units.tensors,
                    "main": comparison.layout_a.in_main_stream(pair.a.units),
                    "numbers": min(
                        comparison.layout_a.numbers(pair.a.units), comparison.layout_b.numbers(pair.b.units)
                    ),
                }
            )
    if not where:
        return Abstention("The models have no layers of one width that two tensors describe and that were read whole.")
    mean, units = mean_by_units(where)
    return Evidence(mean, fisher([row["log10_pvalue"] for row in where]), units, where)


def _is_wider(pair: LayerPair) -> bool:
    """Whether a has more units than b; ties settled by content, so that the order of a and b does not matter."""
    sizes = [
        (len(side.views[0]), sum(float(side.moments[k].mean.square().sum()) for k in places))
        for side, places in ((pair.a, [i for i, _ in pair.members]), (pair.b, [j for _, j in pair.members]))
    ]
    return sizes[0] > sizes[1]
