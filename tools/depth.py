"""Which layer of the deeper model is which of the other: removed ones have no counterpart, repeated ones share one.

Layers are compared by fingerprints that no order of hidden units changes. A path through all layers is found by dynamic
programming: going on is free, staying or going back costs a little, for depth up-scaling places earlier layers again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from tools.comparison import Comparison
from tools.fingerprints import mean_likeness
from tools.sides import SIDES, Side, opposite
from tools.tensor_pairs import ALIKE
from tools.units import HiddenUnits

# What staying or going back costs, in likeness: decides between layers that are alike to within noise.
BACKWARDS = 0.05
# Layers of one model resemble each other too, in wide ones at 0.93; a repeated layer resembles its source about as much
# as its twin does, and more than other layers of that model do.
AS_ALIKE = 0.9


@dataclass(frozen=True)
class LayerMap:
    """Layers by number from 0: (of a, of b) that answer to each other, and those with no counterpart."""

    pairs: list[list[int]]
    only_in_a: list[int]
    only_in_b: list[int]

    @property
    def repeated(self) -> bool:
        """Whether some layer of one model has two counterparts."""
        return any(self.again(side) for side in SIDES)

    def again(self, side: Side) -> list[int]:
        """The layers of this side whose counterpart is that of an earlier layer too."""
        own, other = (0, 1) if side == "a" else (1, 0)
        first: dict[int, int] = {}
        return [pair[own] for pair in self.pairs if first.setdefault(pair[other], pair[own]) != pair[own]]


def layer_map(comparison: Comparison) -> LayerMap | None:
    """The map between the stacks of equal layers; None where not all layers were read, or none resembles another."""
    main = {side: set(comparison.layout(side).main_layers) for side in SIDES}
    layers = {side: [units for units in comparison.layers(side) if units in main[side]] for side in SIDES}
    shapes = Counter(_shape(units) for side in SIDES for units in layers[side] if units.kind == "mlp")
    stacks = {side: [u for u in layers[side] if _shape(u) == _usual(shapes)] for side in SIDES}
    if not all(stacks.values()) or any(
        len(comparison.layers(s)) < len(comparison.layout(s).hidden_units) for s in SIDES
    ):
        return None
    deep: Side = "a" if len(stacks["a"]) >= len(stacks["b"]) else "b"
    other = opposite(deep)
    prints = {side: [comparison.fingerprints(side, units) for units in stacks[side]] for side in SIDES}
    likeness, among = (
        np.array([[mean_likeness(x, y) for y in prints[other]] for x in prints[side]]) for side in (deep, other)
    )
    places = {side: [u.layer if u.layer is not None else i for i, u in enumerate(stacks[side])] for side in SIDES}
    found = [(places[deep][i], places[other][j]) for i, j in enumerate(counterparts(likeness, among)) if j is not None]
    if not found:
        return None
    pairs = sorted([i, j] if deep == "a" else [j, i] for i, j in found)
    left = [sorted(set(places[side]) - {pair[k] for pair in pairs}) for k, side in enumerate(SIDES)]
    return LayerMap(pairs, *left)


def counterparts(likeness: np.ndarray, among: np.ndarray) -> list[int | None]:
    """For each layer of the deeper model (row) the layer of the other (column) on the best path; None for none.

    `among`: the other model's layers among themselves. Less likeness than ALIKE, than AS_ALIKE times what a column has
    with another row, or than halfway from there to what its layer has with its like, makes no counterpart.
    """
    columns = likeness.shape[1]
    best = likeness.max(axis=0)
    usual = np.where(np.eye(columns, dtype=bool), -1.0, among).max(axis=0)
    least = np.maximum(np.maximum(ALIKE, AS_ALIKE * best), np.minimum(best, (best + usual) / 2))
    likeness = np.where(likeness >= least, likeness, -np.inf)
    # State: the last column taken, or none yet in the last place.
    score, steps = np.full(columns + 1, -np.inf), []
    score[columns] = 0.0
    cost = np.where(np.arange(columns)[None] > np.arange(columns + 1)[:, None], 0.0, BACKWARDS)
    cost[columns] = 0.0
    for row in likeness:
        reached = score[:, None] - cost
        came = reached.argmax(axis=0)
        taken = reached[came, np.arange(columns)] + row
        better = taken > score[:columns]
        steps.append([(int(came[j]), j) if better[j] else None for j in range(columns)])
        score = np.append(np.where(better, taken, score[:columns]), score[columns])
    state, path = int(score.argmax()), []
    for step in reversed(steps):
        taken_here = step[state] if state < columns else None
        path.append(None if taken_here is None else taken_here[1])
        state = state if taken_here is None else taken_here[0]
    return path[::-1]


def _shape(units: HiddenUnits) -> tuple[int, int, int]:
    return units.width, units.features, len(units.members)


def _usual(shapes: Counter[tuple[int, int, int]]) -> tuple[int, int, int] | None:
    return shapes.most_common(1)[0][0] if shapes else None
