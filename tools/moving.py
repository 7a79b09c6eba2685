"""What was moved in large models: units, heads, coordinates. Described where whole layers or single rows tell it.

A sample's rows are no counterparts once units or heads stand elsewhere or the residual stream is turned. Here the rows
that belong together are put side by side; tensors that cannot be followed so are left out, not called unlike. It links
nothing: it is asked once a probe has linked the two. Sizes: docs/decisions/0023-what-was-moved-in-large-models.md.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch

from tools.checkpoint import Checkpoint
from tools.comparison import (
    ALIKE,
    BASES,
    CHOSEN,
    IN_ORDER,
    MOVED_ALIKE,
    SIDES,
    STAYED,
    Basis,
    Comparison,
    Side,
    TensorPair,
    fingerprint,
    member_likeness,
)
from tools.evidence import Evidence
from tools.gauge import NoGauge, in_stream, is_permutation, nearest_rotation, reading_gains
from tools.matching import best_by_chance, best_partners, cosines, order_agreement, spread_indices
from tools.progress import stoppable
from tools.reading import AlignedComparison, PartialComparison
from tools.roles import HEAD_COUNTS, HiddenUnits, Layout, Member, has_role, layer_of
from tools.sampling import DeclaredLayout, Sample, SampledLayout, number_pattern, row_count
from tools.turning import TOKENS_PER_COORDINATE, rotation_by_tokens

# Units of a layer that are followed, among all of the other model's.
UNITS_FOLLOWED = 512
ATTENTION, WRITING = ("query", "key", "value"), "attention_output"
HEAD_KEYS = (HEAD_COUNTS[1:], HEAD_COUNTS)

Names = tuple[frozenset[str], frozenset[str]]
Change = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Followed:
    """Rows of two tensors side by side, in a's order, and how many numbers of a they stand for."""

    pair: TensorPair
    values: tuple[torch.Tensor, torch.Tensor]
    stands_for: int


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


class SeenSample(Sample):
    """A sample seen through changes of its values; tensors without one are left out."""

    def __init__(self, sample: Sample, changes: Mapping[str, Change]) -> None:
        blocks = {name: sample.blocks[name] for name in changes}
        super().__init__(sample.roles, blocks, {name: sample.stands_for[name] for name in changes})
        self._sample, self._changes = sample, dict(changes)

    def _values(self, name: str) -> torch.Tensor:
        if name not in self._kept:
            values = self._sample.read(name)
            self._kept[name] = self._changes[name](values.float()).to(values.dtype)
        return self._kept[name]


class MovedComparison(PartialComparison):
    """A sample in which what was moved is shown where it belongs.

    `units` are layers read whole, None where the units stand in order, `partners` is what `unit_partners` found in
    them. `heads` are layers of a whose values do not stand in order. By `rotation` the sample was turned already.
    """

    def __init__(
        self,
        sample: PartialComparison,
        *,
        units: AlignedComparison | None,
        partners: Evidence | None,
        heads: Sequence[int],
        rotation: torch.Tensor | None = None,
    ) -> None:
        super().__init__(
            sample.whole,
            sample.a,
            sample.b,
            base=sample.base,
            layouts=(sample.layout_a, sample.layout_b),
            vocabularies=sample.vocabularies,
        )
        self.units, self.partners, self.heads, self.rotation = units, partners, heads, rotation
        self._folded: dict[Layout, dict[str, torch.Tensor]] = {}

    @cached_property
    def basis(self) -> Basis:
        """The coordinates in which units found their partners."""
        role = str(self.partners.where[0]["role"]) if self.partners is not None else ""
        return next(basis for basis in (*BASES[1:], "own") if role.endswith(basis) or basis == "own")

    @cached_property
    def in_one_basis(self) -> tuple[Comparison, torch.Tensor] | None:
        """The sample with the tensors of a that read the residual stream turned into b's coordinates, and the rotation.

        Tensors that write it are left out: one row of the turned tensor needs all rows of the other.
        """
        if self.units is None or self.basis == "own" or self.rotation is not None:
            return None
        rotation = rotation_by_tokens(self, self.units, self.basis)
        if rotation is None:
            return None
        try:
            if not is_permutation(rotation):
                rotation = self._sharpened(rotation, self.units)
            changes = [self._into(side, rotation) for side in SIDES]
        except NoGauge:
            return None
        seen = [SeenSample(sample, some) for sample, some in zip(self._samples, changes, strict=True)]
        part = PartialComparison(
            self.whole,
            seen[0],
            seen[1],
            layouts=(SampledLayout(seen[0]), SampledLayout(seen[1])),
            vocabularies=self.vocabularies,
        )
        moved = MovedComparison(part, units=self.units, partners=self.partners, heads=self.heads, rotation=rotation)
        return moved, rotation

    def _sharpened(self, rotation: torch.Tensor, units: AlignedComparison) -> torch.Tensor:
        """The rotation fitted anew on hidden units, which are paired by now: noise on the token tables blurs it."""
        gains = [reading_gains(units.layout(side)) for side in SIDES]
        products, count = torch.zeros(len(rotation), len(rotation), dtype=torch.float64), 0
        for row in self.partners.where if self.partners is not None else ():
            found = self._partners_in(units, row["a"], row["b"])
            followed = (found.chosen, found.partners)
            if found.in_order and found.layers[0].width == found.layers[1].width:
                followed = (np.arange(found.layers[0].width),) * 2
            for pair in found.members:
                if any(member.axis == 1 for member in pair):
                    continue
                self.check()
                read = (
                    _rows(units.checkpoint(side), member.name, member.start + places).float() * gain[member.name]
                    for side, member, places, gain in zip(SIDES, pair, followed, gains, strict=True)
                )
                products += (next(read) @ rotation).T @ next(read)
                count += len(followed[0])
        enough = count >= TOKENS_PER_COORDINATE * len(rotation)
        return rotation @ stoppable(lambda: nearest_rotation(products), self.check) if enough else rotation

    def _into(self, side: Side, rotation: torch.Tensor) -> dict[str, Change]:
        gains = _gains(self.layout(side), rotation)
        turn = rotation if side == "a" else None
        return {name: partial(in_stream, gain=gain, rotation=turn) for name, gain in gains.items()}

    @property
    def _samples(self) -> tuple[Sample, Sample]:
        assert isinstance(self.a, Sample) and isinstance(self.b, Sample)
        return self.a, self.b

    @property
    def _roles(self) -> tuple[DeclaredLayout, DeclaredLayout]:
        return self._samples[0].roles, self._samples[1].roles

    @cached_property
    def tensor_pairs(self) -> tuple[TensorPair, ...]:
        """Those of the sample, with followed tensors in place of the moved ones."""
        left_out = [frozenset[str]().union(*(found[k] for _, found in self._moved)) for k in range(2)]
        as_they_lie = super().tensor_pairs
        stayed = [pair for pair in as_they_lie if pair.a not in left_out[0] and pair.b not in left_out[1]]
        return (*stayed, *(found.pair for found in self._followed.values()))

    def pair_values(self, pair: TensorPair) -> tuple[torch.Tensor, torch.Tensor]:
        found = self._followed.get((pair.a, pair.b))
        return super().pair_values(pair) if found is None else found.values

    def stands_for(self, pair: TensorPair) -> int:
        found = self._followed.get((pair.a, pair.b))
        return super().stands_for(pair) if found is None else found.stands_for

    @cached_property
    def _followed(self) -> dict[tuple[str, str], Followed]:
        followed = [one for some, _ in self._moved for one in some]
        patterns = Counter(number_pattern(one.pair.a) for one in followed)
        there = Counter(number_pattern(name) for name in self._roles[0].candidates)
        found = {}
        for one in followed:
            pattern, size = number_pattern(one.pair.a), self._roles[0].size(one.pair.a)
            weight = round(size * there[pattern] / patterns[pattern])
            found[one.pair.a, one.pair.b] = Followed(one.pair, one.values, weight)
        return found

    @cached_property
    def _moved(self) -> list[tuple[list[Followed], Names]]:
        """What was followed of units and of heads, with the names of all tensors in which they were moved."""
        return [some for some in (self._moved_units(), self._moved_heads()) if some[0]]

    def _moved_units(self) -> tuple[list[Followed], Names]:
        """Units of the layers that were read whole, beside their partners; none where they stand in order."""
        followed: list[Followed] = []
        for row in self.partners.where if self.partners is not None else ():
            if self.units is not None:
                followed += self._one_layer(self.units, row["a"], row["b"])
        return followed, _names([member.name for units in roles.hidden_units for member in units.members]
                                for roles in self._roles)  # fmt: skip

    def _one_layer(self, units: AlignedComparison, label_a: str, label_b: str) -> Iterator[Followed]:
        found = self._partners_in(units, label_a, label_b)
        if not found.moved:
            return
        read = list(found.members)
        whole = [_layer(roles, layer.label).members for roles, layer in zip(self._roles, found.layers, strict=True)]
        named = [{member.name for member in layer.members} for layer in found.layers]
        rest = [[member for member in some if member.name not in names]
                for some, names in zip(whole, named, strict=True)]  # fmt: skip
        if len(rest[0]) == len(rest[1]) == 1:
            read.append((rest[0][0], rest[1][0]))
        for mine, theirs in read:
            if self._shape(0, mine) == self._shape(1, theirs) and mine.axis == theirs.axis:
                yield from self._beside(units, mine, theirs, found)

    def _partners_in(self, units: AlignedComparison, label_a: str, label_b: str) -> Partners:
        """Partners of some units of one layer among all of the other's, by what all tensors read of it say."""
        layers = [_layer(units.layout(side), label) for side, label in zip(SIDES, (label_a, label_b), strict=True)]
        views = [[units.described(side, layer, member, self.basis) for member in layer.members]
                 for side, layer in zip(SIDES, layers, strict=True)]  # fmt: skip
        places = member_likeness(*([fingerprint(view) for view in some] for some in views))
        chosen = spread_indices(layers[0].width, UNITS_FOLLOWED)
        likeness = np.mean([cosines(views[0][i][chosen], views[1][j]) for _, i, j in places], axis=0)
        self.check()
        partners = best_partners(likeness)
        there = partners >= 0
        chosen, partners, likeness = chosen[there], partners[there], likeness[there]
        alike = float(likeness[np.arange(len(chosen)), partners].mean())
        # Of a narrowed model the places beyond its end are no places.
        placed = chosen < layers[1].width
        in_place = float(likeness[placed, chosen[placed]].mean()) if placed.any() else 0.0
        chance = best_by_chance(layers[1].width, views[0][0].shape[1] * len(places))
        clear = alike >= max(ALIKE, STAYED * in_place, CHOSEN * chance)
        members = tuple((layers[0].members[i], layers[1].members[j]) for _, i, j in places)
        in_order = order_agreement(partners) >= IN_ORDER
        return Partners(
            (layers[0], layers[1]), members, chosen, partners, clear and not in_order, alike >= ALIKE and in_order
        )

    def _beside(self, units: AlignedComparison, mine: Member, theirs: Member, found: Partners) -> Iterator[Followed]:
        rows = row_count(self._shape(0, mine))
        if mine.axis == 0:
            some = spread_indices(len(found.chosen), rows)
            order = (mine.start + found.chosen[some], theirs.start + found.partners[some])
            values = [
                self._turned(side, member.name, units.layout(side), _rows(units.checkpoint(side), member.name, places))
                for side, member, places in zip(SIDES, (mine, theirs), order, strict=True)
            ]
        elif self.rotation is None:
            order = (found.chosen, found.partners)
            values = [
                sample.behind.read_rows(member.name, 0, rows)[:, torch.from_numpy(places)]
                for sample, member, places in zip(self._samples, (mine, theirs), order, strict=True)
            ]
        else:
            return
        yield Followed(TensorPair(mine.name, theirs.name, mine.axis, order[1]), (values[0], values[1]), 0)

    def _moved_heads(self) -> tuple[list[Followed], Names]:
        """The heads of one layer beside those that they resemble, by one row of each; none where all stayed."""
        attention = [_attention(sample) for sample in self._samples]
        names = _names([name for roles in layers.values() for name in roles.values()] for layers in attention)
        shared = [layer for layer in self.heads if layer in attention[0] and layer in attention[1]]
        counts = [_head_counts(sample) for sample in self._samples]
        if not shared or counts[0] is None or counts[0] != counts[1]:
            return [], names
        layer = shared[len(shared) // 2]
        mine, theirs = attention[0][layer], attention[1][layer]
        if any(self._samples[0].behind.shapes[mine[r]] != self._samples[1].behind.shapes[theirs[r]] for r in ATTENTION):
            return [], names
        many, few = counts[0]
        rows = {
            role: [
                self._turned(side, part[role], self.layout(side), _head_rows(sample, part[role], count))
                for side, sample, part in zip(SIDES, self._samples, (mine, theirs), strict=True)
            ]
            for role, count in (("query", many), ("key", few), ("value", few))
        }
        asking, carrying = _order_of(rows["query"]), _order_of(rows["key"], rows["value"])
        if asking is None or carrying is None or np.array_equal(carrying, np.arange(few)):
            return [], names
        found = []
        for role, order in (("query", asking), ("key", carrying), ("value", carrying)):
            # One row of each head tells their order, but not how even a difference is: the first head stands for all.
            shape = self._samples[0].behind.shapes[mine[role]]
            size = shape[0] // len(order)
            height = min(size, row_count(shape))
            values = [
                self._turned(side, part[role], self.layout(side),
                             sample.behind.read_rows(part[role], head * size, head * size + height))
                for side, sample, part, head in zip(SIDES, self._samples, (mine, theirs), (0, order[0]), strict=True)
            ]  # fmt: skip
            found.append(Followed(TensorPair(mine[role], theirs[role], 0, order), (values[0], values[1]), 0))
        if self.rotation is None:
            written = [sample.read(part[WRITING]) for sample, part in zip(self._samples, (mine, theirs), strict=True)]
            columns = np.arange(written[1].shape[1]).reshape(many, -1)[asking].ravel()
            beside = written[0], written[1][:, torch.from_numpy(columns)]
            found.append(Followed(TensorPair(mine[WRITING], theirs[WRITING], 1, columns), beside, 0))
        return found, names

    def _shape(self, side: int, member: Member) -> tuple[int, ...]:
        return self._samples[side].behind.shapes[member.name]

    def _turned(self, side: Side, name: str, layout: Layout, values: torch.Tensor) -> torch.Tensor:
        """Rows of a tensor in the coordinates in which the models are compared."""
        if self.rotation is None:
            return values
        if layout not in self._folded:
            self._folded[layout] = _gains(layout, self.rotation)
        gain = self._folded[layout][name]
        return in_stream(values.float(), gain, self.rotation if side == "a" else None).to(values.dtype)


def _gains(layout: Layout, rotation: torch.Tensor) -> dict[str, torch.Tensor]:
    """What is multiplied into each matrix that reads the stream: its norm's gain, but where coordinates only moved.

    Nobody has to fold gains to re-order coordinates, and noise that was even would be uneven behind them.
    """
    gains = reading_gains(layout)
    return {name: torch.ones_like(gain) for name, gain in gains.items()} if is_permutation(rotation) else gains


def _names(sides: Iterable[Iterable[str]]) -> Names:
    of_a, of_b = (frozenset(some) for some in sides)
    return of_a, of_b


def _layer(layout: Layout, label: str) -> HiddenUnits:
    return next(units for units in layout.hidden_units if units.label == label)


def _rows(checkpoint: Checkpoint, name: str, places: np.ndarray) -> torch.Tensor:
    return checkpoint.read(name).index_select(0, torch.from_numpy(places))


def _attention(sample: Sample) -> dict[int, dict[str, str]]:
    """Layer -> role -> tensor, of the layers whose attention was read and has a tensor for each role."""
    layers: dict[int, dict[str, str]] = defaultdict(dict)
    for name, shape in sample.shapes.items():
        role = next((role for role in (WRITING, *ATTENTION) if has_role(name, role)), None)
        layer = layer_of(name)
        if role is not None and layer is not None and len(shape) == 2 and not has_role(name, "transposed"):
            layers[layer][role] = name
    return {layer: roles for layer, roles in layers.items() if len(roles) == len(ATTENTION) + 1}


def _head_counts(sample: Sample) -> tuple[int, int] | None:
    """How many heads ask and how many carry values, as the configuration says."""
    config = sample.config
    many, few = (next((n for key in keys if isinstance(n := config.get(key), int)), 0) for keys in HEAD_KEYS)
    return (many, few) if many >= few >= 2 and many % few == 0 else None


def _head_rows(sample: Sample, name: str, count: int) -> torch.Tensor:
    """The first row of each head."""
    behind, size = sample.behind, sample.behind.shapes[name][0] // count
    behind.expect((name, head * size, head * size + 1) for head in range(count))
    return torch.cat([behind.read_rows(name, head * size, head * size + 1) for head in range(count)])


def _order_of(*tables: Sequence[torch.Tensor]) -> np.ndarray | None:
    """b's head for each of a's, by the rows of one or more tensors; None where they do not resemble each other."""
    likeness = np.mean([cosines(mine.float(), theirs.float()) for mine, theirs in tables], axis=0)
    partners = best_partners(likeness)
    alike = float(likeness[np.arange(len(partners)), partners].mean())
    chance = best_by_chance(len(partners), tables[0][0].shape[1] * len(tables))
    return partners if alike >= max(MOVED_ALIKE, CHOSEN * chance) else None
