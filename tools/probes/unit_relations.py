"""Do the hidden units stand to each other, in the order of the file, as those of the other model do?

Half of a model's units serve as landmarks: each of the other units is described by its likeness to all of them. Such a
description stays the same when the coordinates of the network are rotated, and it needs no tokens. The second halves
are then matched by these descriptions; if the matching says "first with first, second with second", the models share
the order of their units. The p-value is exact for any second model: whatever the landmarks are, among strangers the
order of the other units is as good as any.

Blind to: units put into another order (see unit_partners), layers with another number of units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tools.comparison import Comparison
from tools.evidence import Abstention, Evidence, Finding
from tools.fingerprints import SAME_PLACE_BONUS, mean_likeness, member_likeness
from tools.matching import best_partners, centred_unit_rows, live_units, one_to_one, order_agreement, spread_indices
from tools.order import mean_by_units
from tools.sides import SIDES, Side
from tools.significance import bonferroni, fisher, rank_agreement
from tools.units import FEWEST_UNITS, STREAM_KINDS, HiddenUnits

UNIT = "rank correlation of the matching with the order in the file, -1 to 1"
NULL = "strangers: the order of one model's hidden units is uniform among all orders, whatever the other model is"
ROLE = "decides"
SEES_THROUGH = ("add_noise", "rename_tensors", "cast", "shuffle_heads", "rotate_residual", "permute_residual")
REFERENCE = "order test of Zhu et al., ICML 2025; relative representations: Moschella et al., ICLR 2023; decision 0061"

# Pairs of layers, and units of a layer: more add cost, not certainty. Landmarks by which layers find each other.
LAYERS, UNITS, PAIRED_BY = 16, 1024, 64


@dataclass(frozen=True)
class Layer:
    """The chosen units of a layer, one (units, residual width) of centred rows for each tensor; which are not empty."""

    units: HiddenUnits
    views: list[torch.Tensor]
    prints: list[np.ndarray]
    live: np.ndarray


@dataclass(frozen=True)
class Pair:
    """Two layers, which of their tensors answer to each other, and the units that are empty in neither."""

    a: Layer
    b: Layer
    members: list[tuple[int, int]]
    live: np.ndarray

    @property
    def streams(self) -> tuple[int, int]:
        """The widths of the residual streams that the units read; a part that sees may have one of its own."""
        return self.a.units.features, self.b.units.features

    def rows(self, first: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Every second unit of all tensors: landmarks from 0 on, the units that are matched from 1 on."""
        some = torch.from_numpy(self.live[self.live % 2 == first])
        return [(self.a.views[i][some], self.b.views[j][some]) for i, j in self.members]


class Landmarks:
    """The landmarks of a and of b, (landmarks, residual width) each, in one order."""

    def __init__(self, a: torch.Tensor, b: torch.Tensor) -> None:
        self._a, self._b = a, b
        # Where there are many of them, what they make of the space together is the smaller table.
        self._between = a.T @ b if len(a) > min(a.shape[1], b.shape[1]) else None

    def likeness(self, mine: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
        """How alike units of a and of b stand to the landmarks, (units of a, units of b)."""
        if self._between is not None:
            return mine @ self._between @ theirs.T
        return (mine @ self._a.T) @ (theirs @ self._b.T).T


def measure(comparison: Comparison) -> Finding:
    a, b = ([_layer(comparison, side, u) for u in comparison.layers(side) if u.kind in STREAM_KINDS] for side in SIDES)
    pairs = _paired(a, b)
    if not pairs:
        return Abstention("The models have no feed-forward layers with equally many hidden units.")
    pairs = [pairs[i] for i in spread_indices(len(pairs), LAYERS)]
    landmarks: dict[tuple[int, int], Landmarks] = {}
    for streams in dict.fromkeys(pair.streams for pair in pairs):
        rows = [each for pair in pairs if pair.streams == streams for each in pair.rows(0)]
        landmarks[streams] = Landmarks(torch.cat([mine for mine, _ in rows]), torch.cat([theirs for _, theirs in rows]))
    where: list[dict[str, Any]] = []
    for pair in pairs:
        comparison.check()
        likeness = torch.stack([landmarks[pair.streams].likeness(*rows) for rows in pair.rows(1)]).sum(dim=0)
        partners = best_partners(likeness.double().numpy())
        agreement = order_agreement(partners)
        where.append(
            {
                "layer": pair.a.units.layer,
                "role": pair.a.units.kind,
                "a": pair.a.units.label,
                "b": pair.b.units.label,
                "statistic": agreement,
                "log10_pvalue": rank_agreement(agreement, len(partners)),
                "n": len(partners),
                "numbers": comparison.layout_a.numbers(pair.a.units),
                "main": comparison.layout_a.in_main_stream(pair.a.units),
                "tensors": pair.a.units.tensors,
            }
        )
    logs = [row["log10_pvalue"] for row in where]
    # Given all landmarks, the orders of units that are private to their layers are independent, as in unit_order.
    together = fisher(logs) if all(pair.a.units.kind == "mlp" for pair in pairs) else bonferroni(logs)
    mean, units = mean_by_units(where)
    return Evidence(mean, together, units, where)


def _layer(comparison: Comparison, side: Side, units: HiddenUnits) -> Layer:
    chosen = torch.from_numpy(spread_indices(units.width, UNITS))
    vectors = [
        comparison.behind_gain(side, units, member, comparison.vectors(side, member)[chosen])
        for member in units.members
    ]
    views = [centred_unit_rows(some) for some in vectors]
    return Layer(units, views, [_landmarks(view) for view in views], live_units(vectors))


def _landmarks(view: torch.Tensor) -> np.ndarray:
    """How some landmarks stand to each other, as one vector of length one; no order of the other units changes it."""
    some = view[::2]
    some = some[torch.from_numpy(spread_indices(len(some), PAIRED_BY))]
    found: np.ndarray = (some @ some.T).double().numpy()[np.triu_indices(len(some), 1)]
    return found / max(float(np.linalg.norm(found)), 1e-30)


def _paired(a: list[Layer], b: list[Layer]) -> list[Pair]:
    """Layers of equally many units and tensors, one to one, those together whose landmarks are most alike."""
    found: list[tuple[float, float, Pair]] = []
    for shape in dict.fromkeys((x.units.width, len(x.views)) for x in a):
        some_a, some_b = ([x for x in side if (x.units.width, len(x.views)) == shape] for side in (a, b))
        table = np.array([[mean_likeness(x.prints, y.prints) for y in some_b] for x in some_a]).reshape(
            len(some_a), len(some_b)
        )
        for i, j in one_to_one(table, SAME_PLACE_BONUS):
            one, other = some_a[i], some_b[j]
            members = [(k, m) for _, k, m in member_likeness(one.prints, other.prints)]
            live = np.flatnonzero(one.live & other.live)
            if len(live) >= FEWEST_UNITS:
                found.append((i + j, table[i, j] + SAME_PLACE_BONUS * (i == j), Pair(one, other, members, live)))
    # By depth in both models, so that the same pairs are looked at whichever model comes first.
    return [pair for *_, pair in sorted(found, key=lambda each: each[:2])]
