"""Does each hidden unit of one model have one and the same partner in the other, wherever it stands?

Every hidden unit is described twice, by two tensors of its layer (what switches it on and what it reads; or what it
reads and what it writes). The units of both models are matched by the first description alone, then by the second
alone. In strangers the two matchings have nothing to do with each other; in a copy they agree for most units, even if
the units were re-ordered. What the first description already tells of a unit is taken out of the second: units of
strangers that answer to the same words would else find the same partner twice. Descriptions are taken in the models'
own coordinates, or in coordinates fitted on the tokens both models know, whatever the widths.

Blind to: models without two tensors a layer, rotated models that share no tokens, small merge weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tools.comparison import BASES, Basis, Comparison
from tools.evidence import Abstention, Evidence, Finding
from tools.fingerprints import SAME_PLACE_BONUS, fingerprint, mean_likeness, member_likeness
from tools.matching import centred_unit_rows, live_units, one_to_one
from tools.order import mean_by_units
from tools.partners import agreement, two_matchings
from tools.sides import SIDES, Side
from tools.significance import fisher
from tools.units import FEWEST_UNITS, HiddenUnits

UNIT = "share of hidden units whose two matchings agree, 0 to 1"
NULL = "strangers: what the second tensor says of a layer's units beyond the first matches them in an unrelated order"
ROLE = "decides"
SEES_THROUGH = ("add_noise", "rename_tensors", "cast", "shuffle_units", "shuffle_heads", "rotate_residual")
REFERENCE = "after MATCH in Zhu et al., ICML 2025, as a weight-only double matching (method K4)"


@dataclass(frozen=True)
class Description:
    """One layer in one basis: its live units, (units,) of bool, and its tensors' fingerprints in it.

    The described units themselves are asked for again, two layers at a time: those of all layers fill the memory.
    """

    side: Side
    layer: HiddenUnits
    basis: Basis
    live: np.ndarray
    features: int
    prints: list[np.ndarray]


def measure(comparison: Comparison) -> Finding:
    described = {side: list(_described(comparison, side)) for side in SIDES}
    best: tuple[float, list[tuple[Description, Description]]] | None = None
    for basis in BASES:
        pairs = _layers_paired(*([layer[basis] for layer in described[side] if basis in layer] for side in SIDES))
        likeness = sum(mean_likeness(one.prints, other.prints) for one, other in pairs) / max(len(pairs), 1)
        # The basis, like the pairing, is chosen by what no order of units changes, before any unit is matched.
        if pairs and (best is None or likeness > best[0]):
            best = likeness, pairs
    if best is None:
        return Abstention(
            "The models have no layers whose units two tensors describe in coordinates or tokens that both share."
        )
    where: list[dict[str, Any]] = []
    for one, other in best[1]:
        comparison.check()
        first, second = _two_matchings(comparison, one, other)
        where.append(
            {
                "layer": one.layer.layer,
                "role": f"{one.layer.kind}, by {one.basis}",
                "a": one.layer.label,
                "b": other.layer.label,
                **agreement(first, second),
                "tensors": one.layer.tensors,
                "main": comparison.layout_a.in_main_stream(one.layer),
                "numbers": min(comparison.layout_a.numbers(one.layer), comparison.layout_b.numbers(other.layer)),
            }
        )
    mean, units = mean_by_units(where)
    return Evidence(mean, fisher([row["log10_pvalue"] for row in where]), units, where)


def _described(comparison: Comparison, side: Side) -> Iterator[dict[Basis, Description]]:
    """The layers of two tensors and more, in every basis; those of a tower, which reads no tokens, in their own."""
    bases = [basis for basis in BASES if comparison.has_basis(basis)]
    for layer in comparison.layers(side):
        if len(layer.members) < 2:
            continue
        by: dict[Basis, Basis] = {
            basis: basis if comparison.fits_basis(side, layer, basis) else "own" for basis in bases
        }
        views = [
            comparison.descriptions(side, layer, member, list(dict.fromkeys(by.values()))) for member in layer.members
        ]
        found: dict[Basis, Description] = {}
        for basis, way in by.items():
            described = [view[way] for view in views]
            live = live_units(described)
            if live.sum() < FEWEST_UNITS:
                continue
            prints = []
            for view in described:
                comparison.check()
                prints.append(fingerprint(_only(view, live)))
            found[basis] = Description(side, layer, way, live, described[0].shape[1], prints)
        yield found


def _only(view: torch.Tensor, live: np.ndarray) -> torch.Tensor:
    return view if live.all() else view[live]


def _layers_paired(a: list[Description], b: list[Description]) -> list[tuple[Description, Description]]:
    """Layers that can be held against each other, each with its likeliest counterpart, one to one."""
    fits = np.array([[x.basis == y.basis and x.features == y.features for y in b] for x in a])
    fits = fits.reshape(len(a), len(b))
    if not fits.any():
        return []
    likeness = np.array([[mean_likeness(x.prints, y.prints) for y in b] for x in a])
    return [(a[i], b[j]) for i, j in one_to_one(likeness, SAME_PLACE_BONUS, fits)]


def _two_matchings(comparison: Comparison, one: Description, other: Description) -> tuple[np.ndarray, np.ndarray]:
    """The partners of the narrower layer's chosen units by one tensor alone, and by another alone, (units,) each."""
    # Which tensor of one layer answers to which of the other is not told by names; the two likeliest pairs are taken.
    pairs = sorted(member_likeness(one.prints, other.prints), reverse=True)[:2]
    few, many = (
        [_units(comparison, layer, place) for place in places]
        for layer, places in ((one, [i for _, i, _ in pairs]), (other, [j for _, _, j in pairs]))
    )
    few, many = (many, few) if _rank(one) > _rank(other) else (few, many)
    return two_matchings(few, many, comparison.check)


def _units(comparison: Comparison, described: Description, place: int) -> torch.Tensor:
    """The layer's live units as one of its tensors describes them: centred rows of length one."""
    layer = described.layer
    comparison.check()
    view = comparison.described(described.side, layer, layer.members[place], described.basis)
    return centred_unit_rows(_only(view, described.live))


def _rank(description: Description) -> tuple[int, float]:
    """Narrower layers first, ties settled by content, so that the order of a and b does not matter."""
    return int(description.live.sum()), float(np.sum(description.prints[0]))
