"""Hidden units of large models beside their partners, wherever these stand: in layers that were read whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from tools.checkpoint import Checkpoint
from tools.comparison import BASES, Basis
from tools.evidence import Evidence
from tools.fingerprints import fingerprint, member_likeness
from tools.followed import Followed, Names, Turned
from tools.gauge import reading_gains
from tools.matching import (
    best_partners,
    cosines,
    nearest_partners,
    order_agreement,
    spread_indices,
    stand_out,
)
from tools.reading import AlignedComparison
from tools.roles import Layout
from tools.sampling import Sample, row_count
from tools.sides import SIDES
from tools.tensor_pairs import ALIKE, IN_ORDER, STAYED, TensorPair
from tools.turning import ROWS_PER_COORDINATE
from tools.units import HiddenUnits, Member

# Units of a layer that are followed, among all of the other model's.
UNITS_FOLLOWED = 512


@dataclass(frozen=True)
class Partners:
    """Units of a layer of a with their partners in b, and whether they stand in another order there, or in the same.

    Neither where partners do not resemble each other clearly.
    """

    layers: tuple[HiddenUnits, HiddenUnits]
    members: tuple[tuple[Member, Member], ...]
    chosen: np.ndarray
    partners: np.ndarray
    moved: bool
    in_order: bool


class PairedUnits:
    """Who is whose partner in the layers, read whole, in which `unit_partners` linked two models (`found`)."""

    def __init__(self, read: AlignedComparison, found: Evidence) -> None:
        self.read, self._rows = read, found.where

    @cached_property
    def basis(self) -> Basis:
        """The coordinates in which units found their partners."""
        role = str(self._rows[0]["role"])
        return next(basis for basis in (*BASES[1:], "own") if role.endswith(basis) or basis == "own")

    @cached_property
    def layers(self) -> tuple[Partners, ...]:
        return tuple(self._partners_in(row["a"], row["b"]) for row in self._rows)

    def in_stream(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Rows of a that read the residual stream and their partners in b, (rows, width) each, gains folded in.

        Raises NoGauge where norms are not known.
        """
        gains = [reading_gains(self.read.layout(side)) for side in SIDES]
        for found in self.layers:
            reading = [pair for pair in found.members if all(member.axis == 0 for member in pair)]
            if not reading or not (found.moved or found.in_order):
                continue
            enough = -(-ROWS_PER_COORDINATE * found.layers[0].features // len(reading))
            places = self._all_partners(found, spread_indices(found.layers[0].width, enough))
            for pair in reading:
                mine, theirs = (
                    rows_of(self.read.checkpoint(side), member.name, member.start + some).float() * gain[member.name]
                    for side, member, some, gain in zip(SIDES, pair, places, gains, strict=True)
                )
                yield mine, theirs

    def _all_partners(self, found: Partners, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if found.in_order and found.layers[0].width == found.layers[1].width:
            return chosen, chosen
        views = [
            [self.read.described(side, layer, pair[k], self.basis) for pair in found.members]
            for k, (side, layer) in enumerate(zip(SIDES, found.layers, strict=True))
        ]
        some = [view[chosen] for view in views[0]]
        return chosen, nearest_partners(some, views[1], self.read.check).numpy()

    def _partners_in(self, label_a: str, label_b: str) -> Partners:
        """Partners of some units of one layer among all of the other's, by what all tensors read of it say."""
        labels = label_a, label_b
        layers = [labelled(self.read.layout(side), label) for side, label in zip(SIDES, labels, strict=True)]
        views = [[self.read.described(side, layer, member, self.basis) for member in layer.members]
                 for side, layer in zip(SIDES, layers, strict=True)]  # fmt: skip
        places = member_likeness(*([fingerprint(view) for view in some] for some in views))
        chosen = spread_indices(layers[0].width, UNITS_FOLLOWED)
        likeness = np.mean([cosines(views[0][i][chosen], views[1][j]) for _, i, j in places], axis=0)
        self.read.check()
        partners = best_partners(likeness)
        there = partners >= 0
        chosen, partners, likeness = chosen[there], partners[there], likeness[there]
        alike = float(likeness[np.arange(len(chosen)), partners].mean())
        # Of a narrowed model the places beyond its end are no places.
        placed = chosen < layers[1].width
        in_place = float(likeness[placed, chosen[placed]].mean()) if placed.any() else 0.0
        compared = [views[0][i][chosen] for _, i, _ in places], [views[1][j] for _, _, j in places]
        clear = alike >= max(ALIKE, STAYED * in_place) and stand_out(alike, *compared)
        members = tuple((layers[0].members[i], layers[1].members[j]) for _, i, j in places)
        in_order = order_agreement(partners) >= IN_ORDER
        return Partners(
            (layers[0], layers[1]), members, chosen, partners, clear and not in_order, alike >= ALIKE and in_order
        )


def moved_units(
    paired: PairedUnits | None, samples: tuple[Sample, Sample], turned: Turned, *, as_they_lie: bool
) -> tuple[list[Followed], Names]:
    """Units of the layers that were read whole, beside their partners; none where they stand in order.

    With the names of all tensors that hold units. `as_they_lie`: the coordinates are the models' own, so that what
    units write can be compared too.
    """
    of_a, of_b = (
        frozenset(member.name for units in sample.roles.hidden_units for member in units.members) for sample in samples
    )
    followed: list[Followed] = []
    for found in paired.layers if paired is not None else ():
        if paired is not None and found.moved:
            followed += _one_layer(paired.read, found, samples, turned, as_they_lie)
    return followed, (of_a, of_b)


def _one_layer(
    read: AlignedComparison, found: Partners, samples: tuple[Sample, Sample], turned: Turned, as_they_lie: bool
) -> Iterator[Followed]:
    members = list(found.members)
    whole = [labelled(sample.roles, layer.label).members for sample, layer in zip(samples, found.layers, strict=True)]
    named = [{member.name for member in layer.members} for layer in found.layers]
    rest = [[member for member in some if member.name not in names] for some, names in zip(whole, named, strict=True)]
    if len(rest[0]) == len(rest[1]) == 1:
        members.append((rest[0][0], rest[1][0]))
    for pair in members:
        shapes = [sample.behind.shapes[member.name] for sample, member in zip(samples, pair, strict=True)]
        if shapes[0] != shapes[1] or pair[0].axis != pair[1].axis:
            continue
        rows = row_count(shapes[0])
        if pair[0].axis == 0:
            some = spread_indices(len(found.chosen), rows)
            order = (pair[0].start + found.chosen[some], pair[1].start + found.partners[some])
            values = [
                turned(side, member.name, rows_of(read.checkpoint(side), member.name, places))
                for side, member, places in zip(SIDES, pair, order, strict=True)
            ]
        elif as_they_lie:
            order = (found.chosen, found.partners)
            values = [
                sample.behind.read_rows(member.name, 0, rows)[:, torch.from_numpy(places)]
                for sample, member, places in zip(samples, pair, order, strict=True)
            ]
        else:
            continue
        yield Followed(TensorPair(pair[0].name, pair[1].name, pair[0].axis, order[1]), (values[0], values[1]))


def labelled(layout: Layout, label: str) -> HiddenUnits:
    return next(units for units in layout.hidden_units if units.label == label)


def rows_of(checkpoint: Checkpoint, name: str, places: Sequence[int] | np.ndarray) -> torch.Tensor:
    return checkpoint.read(name).index_select(0, torch.as_tensor(places))
