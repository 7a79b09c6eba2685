"""Two models brought into one basis: the rotation between their residual coordinates, and one of them turned by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tools.gauge import NoGauge, in_coordinates, in_order, is_permutation, rotation_between
from tools.moments import rotation_of, spreads_alike, turning_layers
from tools.progress import stoppable
from tools.sides import SIDES

if TYPE_CHECKING:
    from tools.checkpoint import Checkpoint
    from tools.comparison import Comparison

# A rotation told by tokens is believed where it brings the layers at least so near as the best one that they tell.
FITS = 0.5


def one_basis(comparison: Comparison) -> tuple[Comparison, torch.Tensor] | None:
    """The same models with a turned into b's coordinates, and the rotation; None where nothing tells it.

    Networks with LayerNorm are only re-ordered. The rotation is fitted on the token tables or on the layers, and
    sharpened on the hidden units that it pairs. It serves to describe what lies between models that are linked; it
    links nothing.
    """
    rotation = _rotation(comparison)
    if rotation is None:
        return None
    try:
        still = in_coordinates(comparison.b, None)
        first = _turned_by(comparison, rotation, still)
        # Noise on what told the rotation blurs it; the hidden units, paired by now, tell it more sharply.
        sharper = rotation @ rotation_between(*_matched_units(first))
        return _turned_by(comparison, sharper, still), sharper
    except NoGauge:
        return _re_ordered(comparison, rotation)


def _rotation(comparison: Comparison) -> torch.Tensor | None:
    """What turns a's coordinates into b's by common tokens, or by the layers where these fit them far better."""
    width = comparison.layout_a.residual_width
    if width is None or width != comparison.layout_b.residual_width:
        return None
    by_tokens = _rotation_by_tokens(comparison, width)
    layers = turning_layers(comparison).get(width)
    if not layers:
        return by_tokens
    by_layers = rotation_of(layers, comparison.check)
    if by_tokens is None or spreads_alike(layers, by_tokens) < FITS * spreads_alike(layers, by_layers):
        return by_layers
    return by_tokens


def _rotation_by_tokens(comparison: Comparison, width: int) -> torch.Tensor | None:
    tokens = comparison.shared_tokens
    if tokens is None or len(tokens[0]) < 2 * width:
        return None
    tables = [
        comparison.checkpoint(side).read(str(comparison.layout(side).embedding))[torch.from_numpy(rows)].float()
        for side, rows in zip(SIDES, tokens, strict=True)
    ]
    return stoppable(lambda: rotation_between(*tables), comparison.check)


def _re_ordered(comparison: Comparison, rotation: torch.Tensor) -> tuple[Comparison, torch.Tensor] | None:
    """Networks with LayerNorm cannot be rotated, but their coordinates can stand in another order."""
    order = rotation.argmax(dim=0)
    if not is_permutation(rotation) or len(set(order.tolist())) < len(order):
        return None
    try:
        moved = in_order(comparison.a, order)
    except NoGauge:
        return None
    return comparison.of(moved, comparison.b), rotation


def _turned_by(comparison: Comparison, rotation: torch.Tensor, other: Checkpoint) -> Comparison:
    turned = in_coordinates(comparison.a, rotation)
    return comparison.of(turned, other)


def _matched_units(comparison: Comparison) -> tuple[torch.Tensor, torch.Tensor]:
    """The chosen hidden units' vectors and their partners', (vectors, width) each. Raises NoGauge without pairs."""
    sides: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
    for pair in comparison.unit_pairs:
        if pair.a.features != comparison.layout_a.residual_width:
            continue
        chosen, partners = comparison.units_asked(pair), comparison.unit_partners(pair)
        for mine, theirs in pair.members:
            sides[0].append(comparison.vectors("a", mine)[chosen])
            sides[1].append(comparison.vectors("b", theirs)[chosen[partners]])
    if not sides[0]:
        raise NoGauge("there are no hidden units by which the rotation could be told")
    return torch.cat(sides[0]), torch.cat(sides[1])
