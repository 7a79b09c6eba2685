"""Do the layers at one depth stretch space alike?

The singular values of a matrix, sorted and scaled to one total, say how unevenly it stretches what it is given. They do
not change when coordinates are rotated. Each layer is held against the one at its place and, as a control, against the
other layers of the other model: only being nearer than those says anything at all.

Blind to: who trained the model, since depth and recipe shape these curves in strangers too; units re-ordered in layers
that are only read in part; other widths, depths or orders of layers.
"""

from __future__ import annotations

import numpy as np
import torch

from tools.comparison import Comparison
from tools.evidence import Abstention, Evidence, Finding
from tools.matching import spread_indices
from tools.sides import SIDES, Side
from tools.units import HiddenUnits

UNIT = "how much nearer layers at one place are than others, 1 for equal curves, 0 for no nearer"
NULL = "none: depth and recipe alone make the curves of strangers alike"
ROLE = "context"
SEES_THROUGH = ("shuffle_units", "shuffle_heads", "rotate_residual")
REFERENCE = "after GhostSpec, AAAI 2026, on the tensors that feed hidden units, with other layers as the control"

# The smallest and largest values among so many pairs of strangers; see docs/decisions/0040.
STRANGERS = (-0.15, 0.88, 216)
LAYERS = 4
ROWS = 512
# Singular values below this share of the largest are rounding.
LEAST_VALUE = 1e-5


def measure(comparison: Comparison) -> Finding:
    layers = [comparison.layers(side) for side in SIDES]
    shapes = [[(units.width, units.features) for units in some] for some in layers]
    if not shapes[0] or shapes[0] != shapes[1]:
        return Abstention("The models do not have equally many layers of hidden units of equal shape.")
    places = [i for i in spread_indices(len(shapes[0]), LAYERS) if shapes[0][i] == shapes[0][0]]
    if len(places) < 2:
        return Abstention("A likeness of layers needs at least two of equal shape, one to hold the other against.")
    curves = [
        np.stack([_curve(comparison, side, some[i]) for i in places]) for side, some in zip(SIDES, layers, strict=True)
    ]
    apart = np.sqrt(np.square(curves[0][:, None] - curves[1][None]).mean(axis=2))
    same = np.diagonal(apart)
    control = float(apart[~np.eye(len(places), dtype=bool)].mean())
    if control == 0.0:
        return Abstention("All layers stretch space in one way, so they cannot be told apart.")
    where = {
        "distance": float(same.mean()),
        "control": control,
        "strangers": list(STRANGERS),
        "layers": [
            {"a": layers[0][i].label, "b": layers[1][i].label, "statistic": float(distance)}
            for i, distance in zip(places, same, strict=True)
        ],
    }
    return Evidence(max(-1.0, 1.0 - float(same.mean()) / control), None, len(places), where)


def _curve(comparison: Comparison, side: Side, units: HiddenUnits) -> np.ndarray:
    """Logarithms of the singular values of what the units read, largest first, their mean square one."""
    vectors = comparison.vectors(side, units.members[0])
    vectors = vectors[torch.from_numpy(spread_indices(len(vectors), ROWS))].double()
    gain = comparison.layout(side).gain_before(units)
    if gain is not None and units.members[0].part != "out":
        # A gain may stand in the norm or in the weights behind it.
        vectors = vectors * torch.nan_to_num(gain.double(), 0.0, 0.0, 0.0)
    if vectors.shape[0] > vectors.shape[1]:
        vectors = vectors.T
    vectors = vectors / vectors.norm().clamp_min(1e-30)
    values = torch.linalg.eigvalsh(vectors @ vectors.T).clamp_min(0.0).flip(0).sqrt()
    curve: np.ndarray = torch.log(values.clamp_min(LEAST_VALUE * float(values[0]) + 1e-30)).numpy()
    return curve
