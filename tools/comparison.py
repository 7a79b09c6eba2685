"""Two checkpoints laid side by side: which layers, tokens and tensors of one answer to which of the other.

Nothing here trusts a name. Layers are paired by a fingerprint that does not change when a layer's hidden units are
re-ordered, so the pairing cannot favour the unit order that the exact test judges afterwards.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from tools.checkpoint import Checkpoint
from tools.difference import Difference, compare_values
from tools.errors import Cancelled
from tools.gauge import NoGauge, common_coordinates, in_coordinates, in_order, is_permutation, rotation_between
from tools.matching import (
    best_partners,
    centred_unit_rows,
    cosines,
    live_units,
    one_to_one,
    order_agreement,
    spread_indices,
    stand_out,
)
from tools.moments import rotation_of, spreads_alike, turning_layers
from tools.names import has_role
from tools.progress import stoppable
from tools.roles import READ_ALL_BYTES, Layout
from tools.units import HiddenUnits, Member, unit_vectors
from tools.vocabulary import Vocabulary, read_vocabularies

Side = Literal["a", "b"]
SIDES: tuple[Side, Side] = ("a", "b")

# How units are described: in the models' own coordinates; in common ones, fitted on tokens of one text; or on rows of
# one number, if the files lie about the texts.
Basis = Literal["own", "tokens", "rows"]
BASES: tuple[Basis, ...] = ("own", "tokens", "rows")

LAYERS_READ = 8
# Fewer common tokens than this cannot tell a thousand units apart.
FEWEST_TOKENS = 128
# Tokens that anchor one model's coordinates to the other's: enough for a stable matching of a few thousand units.
TOKENS_READ = 2048
# Between models wider than this a map is fitted on as many tokens: its cost grows with their cube.
TOKENS_FITTED = 1024
FINGERPRINT_WIDTH = 24
# Weak preference for the same place in the file, so that ties between empty fingerprints keep the natural order.
SAME_PLACE_BONUS = 0.05
# Layers of strangers resemble others' by up to 0.15 more than those at their own place; moved layers of copies by 0.5.
CLEARLY_MOVED = 0.3
# A fixed choice of units keeps the exact test exact; more units than this add cost, not certainty.
UNITS_MATCHED = 512
# Below this agreement with the order in the file a layer counts as re-ordered, and its partners are followed.
IN_ORDER = 0.5
# Matching all units of a wider layer would take longer than everything else together.
LARGEST_REORDERED = 2048
# Values of a tensor that stand for all of it when looking for its counterpart, and the cosine that finds it.
SKETCH_VALUES = 8192
ALIKE = 0.25
# Best partners resemble each other by choice alone; moved rows must do so clearly more.
MOVED_ALIKE = 0.5
# Where units or rows stayed in place those are alike too, but less than partners.
STAYED = 1.2
# Above this cosine nobody moved rows or columns; below it a tensor is also looked at re-ordered.
CLEARLY_ALIKE = 0.8
FEWEST_VALUES = 256
# A rotation told by tokens is believed where it brings the layers at least so near as the best one that they tell.
FITS = 0.5


def opposite(side: Side) -> Side:
    """The side that is not this one."""
    return "b" if side == "a" else "a"


@dataclass(frozen=True)
class UnitPair:
    """Two layers of hidden units that may correspond, and which of their tensors do."""

    a: HiddenUnits
    b: HiddenUnits
    members: tuple[tuple[Member, Member], ...]


@dataclass(frozen=True)
class TensorPair:
    """Two tensors of one shape that may be versions of one tensor; `partners` puts b's units into a's order."""

    a: str
    b: str
    axis: int
    partners: np.ndarray | None


class Comparison:
    """What probes measure on. Symmetric: swapping a and b swaps every answer's sides and nothing else."""

    # Whether of the tensors that were read all rows were.
    whole_tensors = True

    def __init__(
        self,
        a: Checkpoint,
        b: Checkpoint,
        *,
        base: Checkpoint | None = None,
        layouts: tuple[Layout, Layout] | None = None,
        most_layers: int | None = None,
        seed: int = 0,
        full: bool = False,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        self.a, self.b, self.base = a, b, base
        self.layout_a, self.layout_b = layouts or (Layout(a), Layout(b))
        self.most_layers = most_layers
        self.seed, self.full, self.stop = seed, full, stop
        self._partners: dict[UnitPair, np.ndarray] = {}
        self._vectors: dict[tuple[Side, Member], torch.Tensor] = {}
        self._prints: dict[tuple[Side, Member], np.ndarray] = {}
        self._common: dict[Basis, tuple[torch.Tensor, torch.Tensor]] = {}

    def beside(self, a: Checkpoint, b: Checkpoint, layouts: tuple[Layout, Layout] | None, most: int) -> Comparison:
        """Two other models compared in the same way, in at most so many layers."""
        return Comparison(a, b, layouts=layouts, most_layers=most, seed=self.seed, stop=self.stop)

    def check(self) -> None:
        """Raises Cancelled once the user has pressed Stop; probes call it between tensors."""
        if self.stop is not None and self.stop():
            raise Cancelled

    def checkpoint(self, side: Side) -> Checkpoint:
        return self.a if side == "a" else self.b

    def layout(self, side: Side) -> Layout:
        return self.layout_a if side == "a" else self.layout_b

    def shapes_of(self, side: Side, name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The tensor's shape here, and in its file, of which only some rows may be here."""
        return self.checkpoint(side).shapes[name], self.shape_in_file(side, name)

    def shape_in_file(self, side: Side, name: str) -> tuple[int, ...]:
        return self.checkpoint(side).shapes[name]

    def vectors(self, side: Side, member: Member) -> torch.Tensor:
        """(units, features), float32; kept, since several probes look at the same tensors."""
        key = (side, member)
        if key not in self._vectors:
            self.check()
            # Values that are no numbers are refused before; here they must only do no harm.
            self._vectors[key] = torch.nan_to_num(unit_vectors(self.checkpoint(side), member), 0.0, 0.0, 0.0)
        return self._vectors[key]

    def has_basis(self, basis: Basis) -> bool:
        """Whether both models' units can be described so. Rows by number say something new where texts disagree."""
        tokens = self.shared_rows if basis == "rows" else self.shared_tokens
        if basis == "own" or tokens is None or len(tokens[0]) < FEWEST_TOKENS:
            return basis == "own"
        by_text = self.shared_tokens
        if basis == "tokens" or by_text is None:
            return basis == "tokens" or None not in self.vocabularies
        # Where all tokens have one number by their text too, rows by number are the same rows, in another order.
        same = len(tokens[0]) == len(by_text[0]) and np.array_equal(*by_text)
        return None not in self.vocabularies and not same

    def fits_basis(self, side: Side, layer: HiddenUnits, basis: Basis) -> bool:
        """Whether the layer's units read what the tokens' vectors hold."""
        return basis == "own" or layer.features == len(self._into_common(side, basis))

    def described(self, side: Side, layer: HiddenUnits, member: Member, basis: Basis) -> torch.Tensor:
        """The member's units in their own coordinates, (units, features), or in common ones, (units, k)."""
        vectors = self.vectors(side, member)
        return vectors if basis == "own" else self._in_common(side, layer, member, vectors, basis)

    def _in_common(
        self, side: Side, layer: HiddenUnits, member: Member, vectors: torch.Tensor, basis: Basis
    ) -> torch.Tensor:
        return self.behind_gain(side, layer, member, vectors) @ self._into_common(side, basis)

    def behind_gain(self, side: Side, layer: HiddenUnits, member: Member, vectors: torch.Tensor) -> torch.Tensor:
        """The member's vectors with the gain of the norm in front of them folded in."""
        # Only tensors that read are behind the norm; what "out" writes is not scaled by it.
        gain = self.layout(side).gain_before(layer) if member.part != "out" else None
        return vectors if gain is None else vectors * torch.nan_to_num(gain, 0.0, 0.0, 0.0)

    def _into_common(self, side: Side, basis: Basis) -> torch.Tensor:
        """What turns this side's vectors into coordinates fitted on the shared tokens, (residual width, k)."""
        if basis not in self._common:
            tokens = [self.token_vectors(each, by_row=basis == "rows") for each in SIDES]
            wide = max(each.shape[1] for each in tokens) > TOKENS_FITTED
            few = torch.from_numpy(spread_indices(len(tokens[0]), TOKENS_FITTED if wide else TOKENS_READ))
            some = tokens[0][few], tokens[1][few]
            self._common[basis] = stoppable(lambda: common_coordinates(*some), self.check)
        return self._common[basis][SIDES.index(side)]

    def layers(self, side: Side) -> tuple[HiddenUnits, ...]:
        """The layers of hidden units that are read: all of a small model, some at even places of a large one."""
        return self._some(self.layout(side).hidden_units)

    @cached_property
    def layout_base(self) -> Layout | None:
        """Roles of the base's tensors; None where no base was named."""
        return None if self.base is None else Layout(self.base)

    def _some(self, units: tuple[HiddenUnits, ...]) -> tuple[HiddenUnits, ...]:
        small = self.full or max(self.a.bytes_total, self.b.bytes_total) <= READ_ALL_BYTES
        most = self.most_layers or (len(units) if small else LAYERS_READ)
        return tuple(units[i] for i in spread_indices(len(units), most))

    @cached_property
    def unit_pairs(self) -> tuple[UnitPair, ...]:
        """Layers of equal shape, each paired with the one whose fingerprint is nearest."""
        return self._pair_up(self.layers("a"), self.layers("b"))

    @cached_property
    def unit_pairs_in_place(self) -> tuple[UnitPair, ...]:
        """Layers in the order of the files, and their tensors likewise; `unit_pairs` where that is clearly wrong.

        Fingerprints of strangers pair layers at random, and then miss what an average put into each at its own place.
        They do not change with the order of units, so a test of that order stays exact whichever pairing they choose.
        """
        if not self.have_equal_layers:
            return self.unit_pairs
        placed = tuple(
            UnitPair(mine, theirs, tuple(zip(mine.members, theirs.members, strict=True)))
            for mine, theirs in zip(self.layers("a"), self.layers("b"), strict=True)
        )
        gained = self._mean_likeness(self.unit_pairs) - self._mean_likeness(placed)
        return self.unit_pairs if gained >= CLEARLY_MOVED else placed

    @property
    def have_equal_layers(self) -> bool:
        """Whether both models' layers of hidden units have the same shapes, one after the other."""
        shapes = [
            [(units.width, units.features, [m.axis for m in units.members]) for units in self.layers(side)]
            for side in SIDES
        ]
        return bool(shapes[0]) and shapes[0] == shapes[1]

    @property
    def layers_beside_the_main_ones(self) -> tuple[int, int]:
        """How many layers of a and of b lie outside their main streams and have a shape that both have there."""
        counts = [
            Counter(_shape_of_units(units) for units in layout.hidden_units if units not in layout.main_layers)
            for layout in (self.layout_a, self.layout_b)
        ]
        both = counts[0].keys() & counts[1].keys()
        return sum(counts[0][shape] for shape in both), sum(counts[1][shape] for shape in both)

    def _mean_likeness(self, pairs: Sequence[UnitPair]) -> float:
        """How alike the fingerprints of the paired tensors are on average."""
        return float(
            np.mean(
                [
                    self.fingerprint("a", mine) @ self.fingerprint("b", theirs)
                    for pair in pairs
                    for mine, theirs in pair.members
                ]
            )
        )

    @cached_property
    def value_pairs(self) -> tuple[UnitPair, ...]:
        """Attention heads of equal shape, each paired with the one whose fingerprint is nearest."""
        return self._pair_up(self._some(self.layout_a.value_units), self._some(self.layout_b.value_units))

    def _pair_up(self, layers_a: Sequence[HiddenUnits], layers_b: Sequence[HiddenUnits]) -> tuple[UnitPair, ...]:
        pairs: list[UnitPair] = []
        # Without names some tensors of a layer may not be found, so layers with more of them come last.
        for shape in (_full_shape, _shape_of_units):
            some_a = [u for u in layers_a if u not in {pair.a for pair in pairs}]
            some_b = [u for u in layers_b if u not in {pair.b for pair in pairs}]
            for wanted in dict.fromkeys(shape(u) for u in some_a):
                pairs += self._nearest(
                    [u for u in some_a if shape(u) == wanted], [u for u in some_b if shape(u) == wanted]
                )
        return tuple(sorted(pairs, key=lambda p: (p.a.layer is None, p.a.layer or 0, p.a.label)))

    def _nearest(self, layers_a: Sequence[HiddenUnits], layers_b: Sequence[HiddenUnits]) -> list[UnitPair]:
        """Layers of one shape, each paired with the one whose fingerprints are nearest."""
        if not layers_b:
            return []
        prints_a = [self.fingerprints("a", u) for u in layers_a]
        prints_b = [self.fingerprints("b", u) for u in layers_b]
        likeness = np.array([[mean_likeness(x, y) for y in prints_b] for x in prints_a])
        pairs = []
        for i, j in one_to_one(likeness, SAME_PLACE_BONUS):
            places = member_likeness(prints_a[i], prints_b[j])
            members = tuple((layers_a[i].members[k], layers_b[j].members[m]) for _, k, m in places)
            pairs.append(UnitPair(layers_a[i], layers_b[j], members))
        return pairs

    def unit_partners(self, pair: UnitPair) -> np.ndarray:
        """For the units of a that are asked about (`units_asked`), the best partner among those of b, (units,)."""
        if pair not in self._partners:
            self._partners[pair] = best_partners(self.likeness(pair))
        return self._partners[pair]

    def likeness(self, pair: UnitPair) -> np.ndarray:
        """Cosines, summed over all tensors of the layer, between those units of a and of b, (units, units)."""
        return self._similarity(pair, self.units_asked(pair))

    def units_asked(self, pair: UnitPair) -> np.ndarray:
        """The chosen units (see `chosen_units`) that are empty in neither model, by number."""
        chosen = chosen_units(pair.a.width)
        live = [
            live_units([self.vectors(side, member)[chosen] for member in units.members])
            for side, units in zip(SIDES, (pair.a, pair.b), strict=True)
        ]
        asked: np.ndarray = chosen[live[0] & live[1]]
        return asked

    @cached_property
    def tensor_pairs(self) -> tuple[TensorPair, ...]:
        """Matrices of equal shape, each of a's with the nearest of b's, put into a's order where units were moved."""
        pairs: list[TensorPair] = []
        reordered = {pair.a: pair for units in self.unit_pairs for pair in self._put_in_order(units)}
        reordered |= {pair.a: pair for pair in self._renumbered_tables()}
        taken_b = {pair.b for pair in reordered.values()}
        apart: list[tuple[str, str]] = []
        related = False
        for shapes in dict.fromkeys(self.shapes_of("a", name) for name in self.layout_a.learned):
            if len(shapes[0]) < 2 or np.prod(shapes[0]) < FEWEST_VALUES:
                continue
            names_a = [n for n in self.layout_a.learned if self.shapes_of("a", n) == shapes and n not in reordered]
            names_b = [n for n in self.layout_b.learned if self.shapes_of("b", n) == shapes and n not in taken_b]
            if not names_a or not names_b:
                continue
            likeness = (
                np.stack([self._sketch("a", n) for n in names_a]) @ np.stack([self._sketch("b", n) for n in names_b]).T
            )
            for i, j in zip(*linear_sum_assignment(likeness, maximize=True), strict=True):
                if likeness[i, j] >= CLEARLY_ALIKE:
                    pairs.append(TensorPair(names_a[i], names_b[j], 0, None))
                else:
                    apart.append((names_a[i], names_b[j]))
                    related |= bool(likeness[i, j] >= ALIKE)
        related |= bool(pairs or reordered)
        pairs += reordered.values()
        pairs += self._rows_or_columns_moved(apart) if related else [TensorPair(x, y, 0, None) for x, y in apart]
        return tuple(pairs)

    def _rows_or_columns_moved(self, apart: list[tuple[str, str]]) -> list[TensorPair]:
        """Pairs among tensors that do not resemble each other as they lie, but do with rows or columns re-ordered."""
        found: list[TensorPair] = []
        left = list(apart)
        for axis in (0, 1):
            for shape in dict.fromkeys(self.a.shapes[x] for x, _ in left):
                # Tables of tokens resemble each other in strangers too, by how often tokens occur.
                if shape[axis] > LARGEST_REORDERED or shape in self._table_shapes:
                    continue
                some = [(x, y) for x, y in left if self.a.shapes[x] == shape]
                if axis == 0:
                    some = [(x, y) for x, y in some if self._has_all_rows("a", x) and self._has_all_rows("b", y)]
                if not some:
                    continue
                names_a, names_b = map(list, zip(*some, strict=True))
                prints_a = np.stack([fingerprint(_turned(self.a.read(n), axis)) for n in names_a])
                prints_b = np.stack([fingerprint(_turned(self.b.read(n), axis)) for n in names_b])
                for i, j in zip(*linear_sum_assignment(prints_a @ prints_b.T, maximize=True), strict=True):
                    self.check()
                    mine, theirs = _turned(self.a.read(names_a[i]), axis), _turned(self.b.read(names_b[j]), axis)
                    similarity = cosines(mine, theirs)
                    partners = best_partners(similarity)
                    moved = float(similarity[np.arange(len(partners)), partners].mean())
                    in_place = float(np.diagonal(similarity).mean())
                    if moved >= max(MOVED_ALIKE, STAYED * in_place) and stand_out(moved, [mine], [theirs]):
                        found.append(TensorPair(names_a[i], names_b[j], axis, partners))
            used_a, used_b = {pair.a for pair in found}, {pair.b for pair in found}
            rest_a = [x for x, _ in left if x not in used_a]
            rest_b = [y for _, y in left if y not in used_b]
            left = [(x, y) for x in rest_a for y in [self._first_of_shape(x, rest_b)] if y is not None]
        return found + [TensorPair(x, y, 0, None) for x, y in left]

    def _first_of_shape(self, name: str, rest: list[str]) -> str | None:
        """Takes the first tensor of b out of `rest` that has the shape of a's `name`."""
        for other in rest:
            if self.b.shapes[other] == self.a.shapes[name]:
                rest.remove(other)
                return other
        return None

    @cached_property
    def _table_shapes(self) -> set[tuple[int, ...]]:
        names = ((self.a, self.layout_a.embedding), (self.b, self.layout_b.embedding))
        return {checkpoint.shapes[name] for checkpoint, name in names if name is not None}

    def _renumbered_tables(self) -> list[TensorPair]:
        """Token tables and heads of equal height whose tokens, by their text, have other numbers on the other side."""
        if self.have_one_tokenizer:
            return []
        vocabulary_a, vocabulary_b = self.vocabularies
        names = self.layout_a.embedding, self.layout_b.embedding
        if vocabulary_a is None or vocabulary_b is None or names[0] is None or names[1] is None:
            return []
        height = self.a.shapes[names[0]][0]
        order = np.arange(height)
        for token, i in vocabulary_a.ids.items():
            j = vocabulary_b.ids.get(token, i)
            if i < height and j < height:
                order[i] = j
        moved = bool((order != np.arange(height)).any())
        if self.b.shapes[names[1]] != self.a.shapes[names[0]] or not moved or len(np.unique(order)) != height:
            return []
        heads = [
            [
                name
                for name in layout.learned
                # The bias of a head is as long, but has no rows to compare.
                if has_role(name, "head") and len(shape := layout.checkpoint.shapes[name]) == 2 and shape[0] == height
            ]
            for layout in (self.layout_a, self.layout_b)
        ]
        tables = [(names[0], names[1]), *zip(*heads, strict=False)]
        # The files may lie about their tokens, so the better of the two orders is taken. How often tokens occur makes
        # even strangers' tables a little alike, in either.
        return [
            TensorPair(x, y, 0, order)
            for x, y in tables
            if self.a.shapes[x] == self.b.shapes[y] and self._is_renumbered(x, y, order)
        ]

    def _is_renumbered(self, a: str, b: str, order: np.ndarray) -> bool:
        """Whether rows of two tables are more alike in b's other order than as they stand."""
        rows = torch.from_numpy(spread_indices(len(order), TOKENS_READ))
        mine, theirs = self.a.read(a)[rows].float(), self.b.read(b)
        as_they_stand, renumbered = theirs[rows].float(), theirs[torch.from_numpy(order)[rows]].float()
        cosine = torch.nn.functional.cosine_similarity
        return float(cosine(mine, renumbered).mean()) > float(cosine(mine, as_they_stand).mean())

    def _put_in_order(self, units: UnitPair) -> list[TensorPair]:
        """The tensors of a re-ordered layer with the order that undoes it; empty where the layer is in order."""
        layers = zip(SIDES, (units.a, units.b), strict=True)
        if not all(self._has_all_rows(side, member.name) for side, layer in layers for member in layer.members):
            return []
        if units.a.width > LARGEST_REORDERED or order_agreement(self.unit_partners(units)) >= IN_ORDER:
            return []
        similarity = self._similarity(units, np.arange(units.a.width))
        partners = best_partners(similarity)
        alike = float(similarity[np.arange(len(partners)), partners].mean()) / len(units.members)
        in_place = float(np.diagonal(similarity).mean()) / len(units.members)
        views = [[self.vectors(side, pair[k]) for pair in units.members] for k, side in enumerate(SIDES)]
        if alike < max(ALIKE, STAYED * in_place) or not stand_out(alike, *views):
            return []
        return list(self._whole_tensors(units, partners))

    def _has_all_rows(self, side: Side, name: str) -> bool:
        """Whether all rows of a tensor are here: among some rows a moved one finds a neighbour, not its partner."""
        here, there = self.shapes_of(side, name)
        return here[:1] == there[:1]

    def _whole_tensors(self, units: UnitPair, partners: np.ndarray) -> Iterator[TensorPair]:
        """The tensors of a layer all of whose rows or columns are units, with an order for all of them."""
        tensors: dict[tuple[str, str, int], list[tuple[Member, Member]]] = defaultdict(list)
        for mine, theirs in units.members:
            if mine.axis == theirs.axis:
                tensors[mine.name, theirs.name, mine.axis].append((mine, theirs))
        for (a, b, axis), members in tensors.items():
            length = self.a.shapes[a][axis]
            order = np.full(length, -1)
            for mine, theirs in members:
                order[mine.places] = np.arange(self.b.shapes[b][axis])[theirs.places][partners]
            # Gates and values may lie in one tensor; half of one would be held against the whole.
            if self.a.shapes[a] == self.b.shapes[b] and np.array_equal(np.sort(order), np.arange(length)):
                yield TensorPair(a, b, axis, order)

    def _similarity(self, pair: UnitPair, chosen: np.ndarray) -> np.ndarray:
        """Summed cosines of the chosen units over all tensors of a layer, which share one order of units."""
        self.check()
        parts = [cosines(self.vectors("a", a)[chosen], self.vectors("b", b)[chosen]) for a, b in pair.members]
        total: np.ndarray = np.sum(parts, axis=0)
        return total

    def pair_values(self, pair: TensorPair) -> tuple[torch.Tensor, torch.Tensor]:
        """Both tensors in a's order of units, in their own number formats."""
        self.check()
        a, b = self.a.read(pair.a), self.b.read(pair.b)
        if pair.partners is not None:
            b = b.index_select(pair.axis, torch.from_numpy(pair.partners))
        return a, b

    def difference(self, pair: TensorPair) -> Difference:
        """What lies between the two tensors of a pair."""
        return compare_values(*self.pair_values(pair))

    def stands_for(self, pair: TensorPair) -> int:
        """How many of a's numbers this pair tells of."""
        return self.layout_a.size(pair.a)

    def _sketch(self, side: Side, name: str) -> np.ndarray:
        """Values at fixed even places, centred and scaled to length one."""
        self.check()
        values = self.checkpoint(side).read(name).flatten()
        sample = np.nan_to_num(values[torch.from_numpy(spread_indices(len(values), SKETCH_VALUES))].double().numpy())
        sample = sample - sample.mean()
        sketch: np.ndarray = sample / max(float(np.linalg.norm(sample)), 1e-300)
        return sketch

    @property
    def have_one_tokenizer(self) -> bool:
        """Whether the same bytes tell both models' tokens; to find that out nothing has to be parsed."""
        text = self.a.side_file("tokenizer.json")
        return text is not None and text == self.b.side_file("tokenizer.json")

    @cached_property
    def vocabularies(self) -> tuple[Vocabulary | None, Vocabulary | None]:
        return read_vocabularies(self.a, self.b)

    @cached_property
    def shared_tokens(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Row numbers in a's and b's token tables that mean the same token, at most TOKENS_READ, at even places.

        By the tokens' text where both tokenizers are known, else by row number; None without two token tables.
        """
        names = self.layout_a.embedding, self.layout_b.embedding
        if names[0] is None or names[1] is None:
            return None
        heights = self.a.shapes[names[0]][0], self.b.shapes[names[1]][0]
        vocabulary_a, vocabulary_b = self.vocabularies
        if vocabulary_a is None or vocabulary_b is None:
            rows = np.arange(min(heights))[:, None].repeat(2, axis=1)
        else:
            both = [
                (token, i, j)
                for token, i in vocabulary_a.ids.items()
                if i < heights[0] and (j := vocabulary_b.ids.get(token, heights[1])) < heights[1]
            ]
            # By text, so that the same tokens are read whichever model comes first.
            rows = np.array([(i, j) for _, i, j in sorted(both)], dtype=np.int64).reshape(-1, 2)
        rows = rows[spread_indices(len(rows), TOKENS_READ)]
        return rows[:, 0], rows[:, 1]

    @cached_property
    def in_one_basis(self) -> tuple[Comparison, torch.Tensor] | None:
        """The same models with a turned into b's coordinates, and the rotation; None where nothing tells it.

        Networks with LayerNorm are only re-ordered. The rotation is fitted on the token tables or on the layers, and
        sharpened on the hidden units that it pairs. It serves to describe what lies between models that are linked; it
        links nothing.
        """
        rotation = self._rotation
        if rotation is None:
            return None
        try:
            still = in_coordinates(self.b, None)
            first = self._turned_by(rotation, still)
            # Noise on what told the rotation blurs it; the hidden units, paired by now, tell it more sharply.
            sharper = rotation @ rotation_between(*first._matched_units())
            return self._turned_by(sharper, still), sharper
        except NoGauge:
            return self._re_ordered(rotation)

    @cached_property
    def _rotation(self) -> torch.Tensor | None:
        """What turns a's coordinates into b's by common tokens, or by the layers where these fit them far better."""
        width = self.layout_a.residual_width
        if width is None or width != self.layout_b.residual_width:
            return None
        by_tokens = self._rotation_by_tokens(width)
        layers = turning_layers(self).get(width)
        if not layers:
            return by_tokens
        by_layers = rotation_of(layers, self.check)
        if by_tokens is None or spreads_alike(layers, by_tokens) < FITS * spreads_alike(layers, by_layers):
            return by_layers
        return by_tokens

    def _rotation_by_tokens(self, width: int) -> torch.Tensor | None:
        tokens = self.shared_tokens
        if tokens is None or len(tokens[0]) < 2 * width:
            return None
        tables = [
            self.checkpoint(side).read(str(self.layout(side).embedding))[torch.from_numpy(rows)].float()
            for side, rows in zip(SIDES, tokens, strict=True)
        ]
        return stoppable(lambda: rotation_between(*tables), self.check)

    def _re_ordered(self, rotation: torch.Tensor) -> tuple[Comparison, torch.Tensor] | None:
        """Networks with LayerNorm cannot be rotated, but their coordinates can stand in another order."""
        order = rotation.argmax(dim=0)
        if not is_permutation(rotation) or len(set(order.tolist())) < len(order):
            return None
        try:
            moved = in_order(self.a, order)
        except NoGauge:
            return None
        return Comparison(moved, self.b, seed=self.seed, full=self.full, stop=self.stop), rotation

    def _turned_by(self, rotation: torch.Tensor, other: Checkpoint) -> Comparison:
        turned = in_coordinates(self.a, rotation)
        return Comparison(turned, other, seed=self.seed, full=self.full, stop=self.stop)

    def _matched_units(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The chosen hidden units' vectors and their partners', (vectors, width) each. Raises NoGauge without pairs."""
        sides: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
        for pair in self.unit_pairs:
            if pair.a.features != self.layout_a.residual_width:
                continue
            chosen, partners = self.units_asked(pair), self.unit_partners(pair)
            for mine, theirs in pair.members:
                sides[0].append(self.vectors("a", mine)[chosen])
                sides[1].append(self.vectors("b", theirs)[chosen[partners]])
        if not sides[0]:
            raise NoGauge("there are no hidden units by which the rotation could be told")
        return torch.cat(sides[0]), torch.cat(sides[1])

    @cached_property
    def shared_rows(self) -> tuple[np.ndarray, np.ndarray] | None:
        """As `shared_tokens`, but by row number alone, since a copy may carry other tokenizer files."""
        names = self.layout_a.embedding, self.layout_b.embedding
        if names[0] is None or names[1] is None or self.a.shapes[names[0]][0] != self.b.shapes[names[1]][0]:
            return None
        rows = spread_indices(self.a.shapes[names[0]][0], TOKENS_READ)
        return rows, rows

    def token_vectors(self, side: Side, *, by_row: bool = False) -> torch.Tensor:
        """The shared tokens' vectors, centred, (tokens, residual width), float32."""
        tokens = self.shared_rows if by_row else self.shared_tokens
        name = self.layout(side).embedding
        assert tokens is not None and name is not None
        rows = self.checkpoint(side).read(name)[torch.from_numpy(tokens[0 if side == "a" else 1])].float()
        return rows - rows.mean(dim=0, keepdim=True)

    def fingerprints(self, side: Side, units: HiddenUnits) -> list[np.ndarray]:
        """One for each tensor of a layer; the same for any order of its units."""
        return [self.fingerprint(side, member) for member in units.members]

    def fingerprint(self, side: Side, member: Member) -> np.ndarray:
        """See `fingerprint`; kept, since layers are paired for several questions."""
        key = (side, member)
        if key not in self._prints:
            self._prints[key] = fingerprint(self.vectors(side, member))
        return self._prints[key]


def _shape_of_units(units: HiddenUnits) -> tuple[int, ...]:
    return units.width, units.features


def _full_shape(units: HiddenUnits) -> tuple[int, ...]:
    return units.width, units.features, len(units.members)


def _turned(values: torch.Tensor, axis: int) -> torch.Tensor:
    """One row of numbers for each place along the axis; convolutions have more than two axes."""
    return values.float().transpose(0, axis).flatten(1)


def chosen_units(width: int) -> np.ndarray:
    """Which units of a layer are matched: all, or UNITS_MATCHED at fixed even places."""
    return spread_indices(width, UNITS_MATCHED)


def fingerprint(vectors: torch.Tensor) -> np.ndarray:
    """A tensor's second moments in a fixed random basis; the same for any order of its units."""
    basis, expected = _fingerprint_basis(vectors.shape[1])
    reduced = centred_unit_rows(vectors) @ basis
    moments = (reduced.T @ reduced) / len(vectors) - expected
    flat: np.ndarray = moments.double().numpy().ravel()
    return flat / max(float(np.linalg.norm(flat)), 1e-30)


@lru_cache(maxsize=8)
def _fingerprint_basis(features: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random directions, (features, FINGERPRINT_WIDTH), and the second moments that random vectors have in them."""
    generator = torch.Generator().manual_seed(features)
    basis = torch.randn(features, FINGERPRINT_WIDTH, generator=generator) / features**0.5
    return basis, basis.T @ basis / features


def member_likeness(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> list[tuple[float, int, int]]:
    """The best pairing of two layers' tensors: (likeness, place in a, place in b), by place in a."""
    table = np.array([[float(x @ y) for y in b] for x in a])
    rows, columns = linear_sum_assignment(table, maximize=True)
    return [(float(table[i, j]), int(i), int(j)) for i, j in zip(rows, columns, strict=True)]


def mean_likeness(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> float:
    """How alike two layers' tensors are on average under their best pairing."""
    pairs = member_likeness(a, b)
    return sum(likeness for likeness, _, _ in pairs) / len(pairs)
