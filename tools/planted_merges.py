"""The smallest share of one model in the other that would have been noticed: weighted means planted and looked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tools.comparison import Comparison, UnitPair
from tools.evidence import Finding
from tools.matching import cosines
from tools.probes import unit_places
from tools.sides import SIDES, Side

# Shares of one model mixed into the other, smallest first.
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)

Notices = Callable[[str, Finding], bool]


def merge_power(comparison: Comparison, notices: Notices) -> dict[str, Any]:
    """The smallest share at which a planted merge is noticed, and the largest below it that is not.

    `notices(probe name, finding)` says whether the rule would no longer answer `independent` with that finding. A share
    of either model is mixed into the other, tensor by tensor, and held against the first; both have to be noticed. None
    for both where the models' layers cannot be averaged; the smallest is None where even half is missed.
    """
    found: dict[str, Any] = {"smallest_merge_caught": None, "largest_merge_missed": None}
    if not comparison.have_equal_layers or not comparison.unit_pairs:
        return found
    for share in SHARES:
        if all(notices("unit_places", _finding(comparison, share, child)) for child in SIDES):
            found["smallest_merge_caught"] = share
            break
        found["largest_merge_missed"] = share
    return found


def _finding(comparison: Comparison, share: float, child: Side) -> Finding:
    """What the sharpest probe says of a child with that share of the other model, beside that model."""
    pairs = comparison.unit_pairs_in_place
    return unit_places.judged(
        comparison.layout_a, [(pair, _likeness(comparison, pair, share, child)) for pair in pairs]
    )


def _likeness(comparison: Comparison, pair: UnitPair, share: float, child: Side) -> np.ndarray:
    comparison.check()
    chosen = comparison.units_asked(pair)
    parts = []
    for members in pair.members:
        mine, theirs = (comparison.vectors(side, member)[chosen] for side, member in zip(SIDES, members, strict=True))
        own, parent = (mine, theirs) if child == "a" else (theirs, mine)
        merged = cosines((1.0 - share) * own + share * parent, parent)
        parts.append(merged if child == "a" else merged.T)
    total: np.ndarray = np.sum(parts, axis=0)
    return total
