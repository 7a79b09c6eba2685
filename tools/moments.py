"""What turns one model's residual coordinates into the other's, told by its layers alone: no tokens, no order of units.

The mean of a layer's units and the spread about it (first and second moments) stay what they are in any order of the
units, and turn with the coordinates. So do the means multiplied by spreads, again and again. Two models that are one
model in other coordinates have the same vectors of this kind, turned, and the best rotation between them is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from tools.gauge import nearest_rotation
from tools.matching import centred_unit_rows, live_units, one_to_one, spread_indices
from tools.progress import stoppable
from tools.units import FEWEST_UNITS, STREAM_KINDS, HiddenUnits

if TYPE_CHECKING:
    from tools.comparison import Comparison

# A rotation costs the cube of the width; more layers add cost, not certainty.
WIDEST, LAYERS = 1024, 16
# How often means are multiplied by spreads, and how many of the products are kept as they are, each a random mixture.
MULTIPLIED, VECTORS = 4, 256
# Steps by which the rotation is sharpened on the spreads themselves; a copy's is there after one or two.
SHARPENED = 4
# Layers at one place in both models are taken for a pair unless spectra say otherwise: those of one model differ more.
SAME_PLACE = 0.02


@dataclass(frozen=True)
class Moments:
    """The mean of a tensor's units at length one, (width,), their spread, (width, width), and its eigenvalues.

    The spread is that of the centred units, less what it has in all directions alike, at length one; so are they.
    """

    mean: torch.Tensor
    spread: torch.Tensor
    spectrum: np.ndarray


@dataclass(frozen=True)
class TurningLayer:
    """One layer's live units as each of its tensors describes them, centred and at length one, with their moments."""

    units: HiddenUnits
    views: list[torch.Tensor]
    moments: list[Moments]


@dataclass(frozen=True)
class LayerPair:
    """Two layers that may be one layer in other coordinates; places of the tensors that answer to each other."""

    a: TurningLayer
    b: TurningLayer
    members: list[tuple[int, int]]


def moments_of(vectors: torch.Tensor) -> Moments:
    """Of unit vectors, (units, width)."""
    rows = vectors.double()
    mean = (rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-300)).mean(dim=0)
    centred = centred_unit_rows(vectors).double()
    spread = centred.T @ centred
    spread = spread - spread.diagonal().mean() * torch.eye(len(spread), dtype=spread.dtype)
    spread = spread / spread.norm().clamp_min(1e-300)
    return Moments(mean, spread, torch.linalg.eigvalsh(spread).numpy())


def rotation_by_moments(a: Sequence[Moments], b: Sequence[Moments]) -> torch.Tensor:
    """The orthogonal (width, width) that turns a's tensors into those of b that answer to them, one by one.

    Exact where b is a in other coordinates and another order of units. Between strangers it is some rotation that
    brings their spreads nearer.
    """
    # Which side is turned is settled by content, so that the order of a and b does not matter.
    if float(sum(x.mean.square().sum() for x in a)) < float(sum(x.mean.square().sum() for x in b)):
        return rotation_by_moments(b, a).T
    spreads = torch.stack([x.spread for x in a]), torch.stack([x.spread for x in b])
    vectors = torch.stack([x.mean for x in a]), torch.stack([x.mean for x in b])
    products = vectors[0].T @ vectors[1]
    mixing = torch.Generator().manual_seed(len(a))
    for _ in range(MULTIPLIED):
        vectors = (vectors[0] @ spreads[0]).flatten(0, 1), (vectors[1] @ spreads[1]).flatten(0, 1)
        # A vector counts for as much as both models hold of it.
        sizes = (vectors[0].norm(dim=1) * vectors[1].norm(dim=1)).sqrt().clamp_min(1e-300)[:, None]
        vectors = vectors[0] / sizes, vectors[1] / sizes
        if len(sizes) > VECTORS:
            mixture = torch.randn(VECTORS, len(sizes), generator=mixing, dtype=torch.float64) / len(sizes) ** 0.5
            vectors = mixture @ vectors[0], mixture @ vectors[1]
        products = products + vectors[0].T @ vectors[1]
    rotation = nearest_rotation(products).double()
    for _ in range(SHARPENED):
        # Each step is the rotation nearest to what the spreads, turned by the last one, have in common.
        rotation = nearest_rotation((spreads[0] @ rotation @ spreads[1]).sum(dim=0)).double()
    return rotation.float()


def turning_layers(comparison: Comparison) -> dict[int, list[LayerPair]]:
    """Layers of both models whose units are known whole, paired, by the width of the stream that they read.

    Widths that only one model has, and those above WIDEST, are left out.
    """
    if not comparison.whole_tensors:
        # Of sampled units nobody knows the moments.
        return {}
    sides = [_layers(comparison, "a"), _layers(comparison, "b")]
    widths = [{layer.units.features for layer in side} for side in sides]
    return {
        width: pairs
        for width in sorted(widths[0] & widths[1])
        if (pairs := _paired(*([layer for layer in side if layer.units.features == width] for side in sides)))
    }


def rotation_of(pairs: Sequence[LayerPair], check: Callable[[], None]) -> torch.Tensor:
    """What turns a's residual coordinates into b's, (width, width), as these layers tell it."""
    of_a = [pair.a.moments[i] for pair in pairs for i, _ in pair.members]
    of_b = [pair.b.moments[j] for pair in pairs for _, j in pair.members]
    return stoppable(lambda: rotation_by_moments(of_a, of_b), check)


def spreads_alike(pairs: Sequence[LayerPair], rotation: torch.Tensor) -> float:
    """How alike the spreads of the paired tensors are once a's are turned so, 1 for equal ones; the mean cosine."""
    turn = rotation.double()
    return float(
        np.mean(
            [
                float((turn.T @ pair.a.moments[i].spread @ turn * pair.b.moments[j].spread).sum())
                for pair in pairs
                for i, j in pair.members
            ]
        )
    )


def _layers(comparison: Comparison, side: Literal["a", "b"]) -> list[TurningLayer]:
    found = []
    for units in comparison.layers(side):
        if units.kind not in STREAM_KINDS or units.features > WIDEST:
            continue
        comparison.check()
        if comparison.vectors(side, units.members[0]).shape[1] != units.features:
            # Of wide layers in large models only some features are kept.
            continue
        vectors = [
            _in_range(comparison.behind_gain(side, units, member, comparison.vectors(side, member)))
            for member in units.members
        ]
        live = live_units(vectors)
        if live.sum() >= FEWEST_UNITS:
            some = [each[torch.from_numpy(live)] for each in vectors]
            found.append(TurningLayer(units, [centred_unit_rows(each) for each in some], [moments_of(x) for x in some]))
    return found


def _in_range(vectors: torch.Tensor) -> torch.Tensor:
    """With one as the largest entry, since lengths of huge ones are infinite; no length says anything here."""
    finite = torch.nan_to_num(vectors, 0.0, 0.0, 0.0)
    return finite / finite.abs().max().clamp_min(1e-30)


def _paired(a: Sequence[TurningLayer], b: Sequence[TurningLayer]) -> list[LayerPair]:
    """Layers of equally many tensors, one to one, those together whose spreads have the most similar eigenvalues."""
    found: list[tuple[int, LayerPair]] = []
    for count in dict.fromkeys(len(layer.views) for layer in a):
        some_a, some_b = ([layer for layer in side if len(layer.views) == count] for side in (a, b))
        ways = [[_nearest(x, y) for y in some_b] for x in some_a]
        if not some_b:
            continue
        apart = np.array([[way[0] for way in row] for row in ways])
        for i, j in one_to_one(-apart, SAME_PLACE):
            found.append((i + j, LayerPair(some_a[i], some_b[j], ways[i][j][1])))
    # By depth in both models, so that the same pairs are looked at whichever model comes first.
    pairs = [pair for _, pair in sorted(found, key=lambda each: each[0])]
    return [pairs[i] for i in spread_indices(len(pairs), LAYERS)]


def _nearest(a: TurningLayer, b: TurningLayer) -> tuple[float, list[tuple[int, int]]]:
    """How far apart the eigenvalues of two layers are on average, and the tensors by which they are nearest."""
    table = np.array([[float(np.linalg.norm(x.spectrum - y.spectrum)) for y in b.moments] for x in a.moments])
    places = one_to_one(-table, SAME_PLACE)
    # In an order that is the same seen from either side.
    pairs = sorted(places, key=lambda p: (sum(p), float(table[p])))
    return float(np.mean([table[p] for p in places])), pairs
