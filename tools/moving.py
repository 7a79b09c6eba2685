"""What was moved in large models: units, heads, coordinates. Described where whole layers or single rows tell it.

A sample's rows are no counterparts once units or heads stand elsewhere or the residual stream is turned. Here the rows
that belong together are put side by side; tensors that cannot be followed so are left out, not called unlike. It links
nothing: it is asked once a probe has linked the two. Sizes: docs/decisions/0023-what-was-moved-in-large-models.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial

import torch

from tools.comparison import Comparison
from tools.followed import Change, Followed, Names, SeenSample
from tools.gauge import NoGauge, in_stream, is_permutation, reading_gains, residual_axes
from tools.grids import rounding_grid
from tools.matching import spread_indices
from tools.moved_heads import moved_heads
from tools.moved_units import PairedUnits, moved_units
from tools.names import in_tower
from tools.reading import PartialComparison
from tools.roles import Layout
from tools.sampling import Sample, SampledLayout, number_pattern
from tools.sides import SIDES, Side
from tools.tensor_pairs import TensorPair
from tools.turning import Turn, order_by_tokens, rotation_by_rows, same_tokens

Gains = dict[str, torch.Tensor]

# Tensors of a side that are looked at for a rounding grid.
LOOKED_AT = 5


class MovedComparison(PartialComparison):
    """A sample in which what was moved is shown where it belongs.

    `units` are those of layers that were read whole, None where no probe found their partners. `heads` are layers of a
    whose values do not stand in order. By `turn` the sample was turned already, with these
    `gains` folded into the rows that read the stream.
    """

    def __init__(
        self,
        sample: PartialComparison,
        *,
        units: PairedUnits | None,
        heads: Sequence[int],
        turn: Turn | None = None,
        gains: Mapping[Side, Gains] | None = None,
    ) -> None:
        super().__init__(
            sample.whole,
            sample.a,
            sample.b,
            base=sample.base,
            layouts=(sample.layout_a, sample.layout_b),
            vocabularies=sample.vocabularies,
        )
        self.units, self.heads, self.turn, self._folded = units, heads, turn, gains or {}

    @cached_property
    def in_one_basis(self) -> tuple[Comparison, torch.Tensor] | None:
        """The sample with the tensors of a that read the residual stream turned into b's coordinates, and the rotation.

        b is turned into a's where a lies on a rounding grid and b on none, for nothing turned lies on one any more.
        Tensors that write the stream are left out: one row of the turned tensor needs all rows of the other.
        """
        units = self.units
        if units is None or units.basis == "own" or self.turn is not None or not same_tokens(units.read, units.basis):
            return None
        try:
            rotation = order_by_tokens(units.read, units.basis)
            if rotation is None:
                width = units.read.token_vectors("a", by_row=units.basis == "rows").shape[1]
                rotation = rotation_by_rows(width, units.in_stream(), self.check)
            if rotation is None:
                return None
            gains = {side: _gains(self.layout(side), rotation) for side in SIDES}
            more = {side: gains[side] | _gains(units.read.layout(side), rotation) for side in SIDES}
        except NoGauge:
            return None
        rounded = [_on_a_grid(sample, list(some)) for sample, some in zip(self._samples, gains.values(), strict=True)]
        turn = Turn(rotation, "b" if rounded == [True, False] else "a")
        seen = [
            SeenSample(sample, _turned_by(gains[side], turn.of(side)))
            for side, sample in zip(SIDES, self._samples, strict=True)
        ]
        part = PartialComparison(
            self.whole,
            seen[0],
            seen[1],
            layouts=(SampledLayout(seen[0]), SampledLayout(seen[1])),
            vocabularies=self.vocabularies,
        )
        return MovedComparison(part, units=units, heads=self.heads, turn=turn, gains=more), rotation

    @property
    def _samples(self) -> tuple[Sample, Sample]:
        assert isinstance(self.a, Sample) and isinstance(self.b, Sample)
        return self.a, self.b

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
        roles = self._samples[0].roles
        patterns = Counter(number_pattern(one.pair.a) for one in followed)
        there = Counter(number_pattern(name) for name in roles.candidates)
        found = {}
        for one in followed:
            pattern, size = number_pattern(one.pair.a), roles.size(one.pair.a)
            found[one.pair.a, one.pair.b] = replace(one, stands_for=round(size * there[pattern] / patterns[pattern]))
        return found

    @cached_property
    def _moved(self) -> list[tuple[list[Followed], Names]]:
        """What was followed of units and of heads, with the names of all tensors in which they were moved."""
        as_they_lie = self.turn is None
        units = moved_units(self.units, self._samples, self._turned, as_they_lie=as_they_lie)
        heads = moved_heads(self._samples, self.heads, self._turned, as_they_lie=as_they_lie)
        return [some for some in (units, heads) if some[0]]

    def _turned(self, side: Side, name: str, values: torch.Tensor) -> torch.Tensor:
        """Rows of a tensor in the coordinates in which the models are compared."""
        if self.turn is None:
            return values
        return in_stream(values.float(), self._folded[side][name], self.turn.of(side)).to(values.dtype)


def _gains(layout: Layout, rotation: torch.Tensor) -> Gains:
    """What is multiplied into each matrix that reads the stream: its norm's gain, but where coordinates only moved.

    Nobody has to fold gains to re-order coordinates, and noise that was even would be uneven behind them.
    """
    if not is_permutation(rotation):
        return reading_gains(layout)
    try:
        names = list(reading_gains(layout))
    except NoGauge:
        # Networks with LayerNorm have no rotations, but orders.
        names = [name for name in layout.candidates if _runs_over_columns(layout, name, len(rotation))]
    return {name: torch.ones(len(rotation)) for name in names}


def _runs_over_columns(layout: Layout, name: str, width: int) -> bool:
    """Whether the columns of a matrix are coordinates of the residual stream."""
    try:
        return not in_tower(name) and residual_axes(layout.checkpoint, name, width) == (1,)
    except NoGauge:
        return False


def _turned_by(gains: Gains, rotation: torch.Tensor | None) -> dict[str, Change]:
    return {name: partial(in_stream, gain=gain, rotation=rotation) for name, gain in gains.items()}


def _on_a_grid(sample: Sample, names: Sequence[str]) -> bool:
    """Whether most of some tensors lie on a rounding grid as they are stored."""
    some = [names[i] for i in spread_indices(len(names), LOOKED_AT)]
    return sum(rounding_grid(sample.read(name).float()) is not None for name in some) > len(some) / 2
