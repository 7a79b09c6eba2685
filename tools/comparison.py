"""Two checkpoints laid side by side: which layers, tokens and tensors of one answer to which of the other.

Nothing here trusts a name. Layers are paired by a fingerprint that does not change when a layer's hidden units are
re-ordered, so the pairing cannot favour the unit order that the exact test judges afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch

from tools.checkpoint import Checkpoint
from tools.difference import Difference, compare_values
from tools.errors import Cancelled
from tools.fingerprints import SAME_PLACE_BONUS, fingerprint, mean_likeness, member_likeness
from tools.gauge import common_coordinates
from tools.matching import best_partners, cosines, live_units, one_to_one, spread_indices
from tools.one_basis import one_basis
from tools.progress import stoppable
from tools.roles import READ_ALL_BYTES, Layout
from tools.sides import SIDES, Side
from tools.tensor_pairs import TensorPair, pair_tensors
from tools.units import HiddenUnits, Member, unit_vectors
from tools.vocabulary import TOKENS_READ, Vocabulary, read_vocabularies

# How units are described: in the models' own coordinates; in common ones, fitted on tokens of one text; or on rows of
# one number, if the files lie about the texts.
Basis = Literal["own", "tokens", "rows"]
BASES: tuple[Basis, ...] = ("own", "tokens", "rows")

LAYERS_READ = 8
# Fewer common tokens than this cannot tell a thousand units apart.
FEWEST_TOKENS = 128
# Between models wider than this a map is fitted on as many tokens: its cost grows with their cube.
TOKENS_FITTED = 1024
# Layers of strangers resemble others' by up to 0.15 more than those at their own place; moved layers of copies by 0.5.
CLEARLY_MOVED = 0.3
# A fixed choice of units keeps the exact test exact; more units than this add cost, not certainty.
UNITS_MATCHED = 512


@dataclass(frozen=True)
class UnitPair:
    """Two layers of hidden units that may correspond, and which of their tensors do."""

    a: HiddenUnits
    b: HiddenUnits
    members: tuple[tuple[Member, Member], ...]


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

    def of(self, a: Checkpoint, b: Checkpoint) -> Comparison:
        """Two other models compared in the same way."""
        return Comparison(a, b, seed=self.seed, full=self.full, stop=self.stop)

    def forget(self, but: Checkpoint) -> None:
        """Let go of what is kept in memory of large models, other than `but`; it is read again where it is needed."""

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
        return self.descriptions(side, layer, member, [basis])[basis]

    def descriptions(
        self, side: Side, layer: HiddenUnits, member: Member, bases: Sequence[Basis]
    ) -> dict[Basis, torch.Tensor]:
        """The same in each of these bases."""
        vectors = self.vectors(side, member)
        return {
            basis: vectors if basis == "own" else self._in_common(side, layer, member, vectors, basis)
            for basis in bases
        }

    def _in_common(
        self, side: Side, layer: HiddenUnits, member: Member, vectors: torch.Tensor, basis: Basis
    ) -> torch.Tensor:
        into, gain = self._into_common(side, basis), self._gain(side, layer, member)
        return vectors @ (into if gain is None else gain[:, None] * into)

    def behind_gain(self, side: Side, layer: HiddenUnits, member: Member, vectors: torch.Tensor) -> torch.Tensor:
        """The member's vectors with the gain of the norm in front of them folded in."""
        gain = self._gain(side, layer, member)
        return vectors if gain is None else vectors * gain

    def _gain(self, side: Side, layer: HiddenUnits, member: Member) -> torch.Tensor | None:
        # Only tensors that read are behind the norm; what "out" writes is not scaled by it.
        gain = self.layout(side).gain_before(layer) if member.part != "out" else None
        return None if gain is None else torch.nan_to_num(gain, 0.0, 0.0, 0.0)

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
        return self.similarity(pair, self.units_asked(pair))

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
        return pair_tensors(self)

    def similarity(self, pair: UnitPair, chosen: np.ndarray) -> np.ndarray:
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
        """See `one_basis`."""
        return one_basis(self)

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


def chosen_units(width: int) -> np.ndarray:
    """Which units of a layer are matched: all, or UNITS_MATCHED at fixed even places."""
    return spread_indices(width, UNITS_MATCHED)
