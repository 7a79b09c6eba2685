"""How much is read: all of small models; of large ones a sample, then some whole layers, or all in a stream.

The probes are the same at every step; what they are given is a smaller or larger part of the two checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TypeVar

import torch

from tools.checkpoint import Checkpoint
from tools.comparison import Basis, Comparison
from tools.difference import Difference, compare_values
from tools.matching import spread_indices
from tools.progress import Progress
from tools.roles import READ_ALL_BYTES, Layout
from tools.sampling import DeclaredLayout, Sample, SampledLayout, aligned, declared_roles, sampled
from tools.sides import Side
from tools.streaming import Held
from tools.tensor_pairs import TensorPair
from tools.units import HiddenUnits, Member
from tools.vocabulary import Vocabulary

Kind = TypeVar("Kind", bound="PartialComparison")

# Features of a unit's own numbers that tell it from its neighbours, and units turned at once.
FEATURES_READ = 512
UNITS_AT_ONCE = 2048
# What is kept of whole layers' descriptions, however many layers are read; the others are made again when needed.
DESCRIPTIONS_KEPT_BYTES = 2**28


def is_large(checkpoints: Sequence[Checkpoint]) -> bool:
    """Whether samples are read before anything else."""
    return max(checkpoint.bytes_total for checkpoint in checkpoints) > READ_ALL_BYTES


class PartialComparison(Comparison):
    """Parts of two large models, laid side by side. `whole` is the comparison of the models they are parts of."""

    whole_tensors = False

    def __init__(
        self,
        whole: Comparison,
        a: Checkpoint,
        b: Checkpoint,
        *,
        base: Checkpoint | None = None,
        layouts: tuple[Layout, Layout] | None = None,
        vocabularies: tuple[Vocabulary | None, Vocabulary | None] | None = None,
        most_layers: int | None = None,
    ) -> None:
        super().__init__(a, b, base=base, layouts=layouts, most_layers=most_layers, seed=whole.seed, stop=whole.stop)
        self.whole = whole
        self.differences: Mapping[tuple[str, str], Difference] = {}
        self._rows_known = vocabularies

    @cached_property
    def vocabularies(self) -> tuple[Vocabulary | None, Vocabulary | None]:
        """The tokens whose rows were read, with their numbers among these rows."""
        if self._rows_known is not None:
            return self._rows_known
        assert isinstance(self.a, Sample) and isinstance(self.b, Sample)
        return _among_rows(self.whole.vocabularies, (self.a, self.b))

    @cached_property
    def layout_base(self) -> Layout | None:
        return SampledLayout(self.base) if isinstance(self.base, Sample) else None

    def forget(self, but: Checkpoint) -> None:
        for part in (self.a, self.b):
            if isinstance(part, Sample) and part is not but:
                part.forget()

    def shape_in_file(self, side: Side, name: str) -> tuple[int, ...]:
        return self.whole.checkpoint(side).shapes[name]

    @property
    def in_one_basis(self) -> tuple[Comparison, torch.Tensor] | None:
        """None: too few tokens were read to tell a rotation. See `tools.moving`."""
        return None

    def difference(self, pair: TensorPair) -> Difference:
        """As it was described while everything was read, else from the rows that are here."""
        known = self.differences.get((pair.a, pair.b))
        return super().difference(pair) if known is None else known

    def beside(
        self, a: Checkpoint, b: Checkpoint, layouts: tuple[Layout, Layout] | None, most: int
    ) -> PartialComparison:
        of_b = self.vocabularies[1]
        kind = type(self)
        return kind(self.whole, a, b, layouts=layouts, vocabularies=(of_b, of_b), most_layers=most)


class AlignedComparison(PartialComparison):
    """Whole layers of large models. What describes their units is kept of a tensor, while there is room for it."""

    whole_tensors = True

    @cached_property
    def _kept(self) -> dict[tuple[Side, Member, Basis], torch.Tensor]:
        return {}

    def forget(self, but: Checkpoint) -> None:
        super().forget(but)
        self._kept.clear()

    def vectors(self, side: Side, member: Member) -> torch.Tensor:
        """Some features of the member's units at even places, (units, features), float32."""
        layer = next(units for units in self.layout(side).hidden_units if member in units.members)
        return self.described(side, layer, member, "own")

    def descriptions(
        self, side: Side, layer: HiddenUnits, member: Member, bases: Sequence[Basis]
    ) -> dict[Basis, torch.Tensor]:
        """The tensor is read once for all bases."""
        found = {one: self._kept[side, member, one] for one in bases if (side, member, one) in self._kept}
        made = self._made(side, layer, member, [one for one in bases if one not in found])
        room = DESCRIPTIONS_KEPT_BYTES - sum(kept.nbytes for kept in self._kept.values())
        for one, values in made.items():
            if values.nbytes <= room:
                self._kept[side, member, one] = values
                room -= values.nbytes
        return found | made

    def _made(
        self, side: Side, layer: HiddenUnits, member: Member, bases: Sequence[Basis]
    ) -> dict[Basis, torch.Tensor]:
        if not bases:
            return {}
        found: dict[Basis, list[torch.Tensor]] = {one: [] for one in bases}
        values = self.checkpoint(side).read(member.name)
        self.check()
        values = values.T if member.axis == 1 else values
        columns = torch.from_numpy(spread_indices(values.shape[1], FEATURES_READ))
        values = values[member.places]
        for start in range(0, member.width, UNITS_AT_ONCE):
            self.check()
            part = values[start : start + UNITS_AT_ONCE]
            for one in bases:
                some = torch.nan_to_num((part[:, columns] if one == "own" else part).float(), 0.0, 0.0, 0.0)
                found[one].append(some if one == "own" else self._in_common(side, layer, member, some, one))
        return {one: torch.cat(parts) for one, parts in found.items()}


def declared_comparison(whole: Comparison) -> Comparison:
    """The same models with roles by name and shape alone: nothing is read for it."""
    parts = [whole.a, whole.b] + ([whole.base] if whole.base is not None else [])
    roles = declared_roles(parts)
    found = Comparison(whole.a, whole.b, base=whole.base, layouts=(roles[0], roles[1]), seed=whole.seed,
                       full=whole.full, stop=whole.stop)  # fmt: skip
    if whole.base is not None:
        found.__dict__["layout_base"] = roles[2]
    return found


def likely_pairs(declared: Comparison) -> list[TensorPair]:
    """Tensors at one place in both files, where all of these have the same shapes: what most copies come to."""
    names = declared.layout_a.candidates, declared.layout_b.candidates
    shapes = [[side.shapes[name] for name in some] for side, some in zip((declared.a, declared.b), names, strict=True)]
    if shapes[0] != shapes[1]:
        return []
    return [TensorPair(x, y, 0, None) for x, y in zip(*names, strict=True) if declared.a.shapes[x]]


def sampled_comparison(whole: Comparison, progress: Progress) -> PartialComparison:
    """A few rows of the tensors of some layers of both models, and of the base; of all layers in a full comparison."""
    samples = sampled(_roles(whole), all_layers=whole.full)
    _expect(samples, progress)
    return _parts(PartialComparison, whole, samples)


def aligned_comparison(whole: Comparison, progress: Progress) -> AlignedComparison:
    """Whole tensors of a few layers, in which units are found wherever they stand; of all in a full comparison."""
    samples = aligned(_roles(whole)[:2], all_layers=whole.full)
    _expect(samples, progress)
    return _parts(AlignedComparison, whole, samples)


def _expect(samples: Sequence[Sample], progress: Progress) -> None:
    progress.expect([sample.behind for sample in samples], sum(sample.bytes_total for sample in samples))


class MostDifferent:
    """Those rows of each pair of tensors that differ most, gathered while a pass over both models goes on."""

    def __init__(self, sample: PartialComparison) -> None:
        assert isinstance(sample.a, Sample) and isinstance(sample.b, Sample)
        self._sample, self._a, self._b = sample, sample.a, sample.b
        self._rows: tuple[dict[str, int], dict[str, int]] = ({}, {})
        self._read: tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]] = ({}, {})
        self._differences: dict[tuple[str, str], Difference] = {}
        # Where rows of the sample found partners, those of other rows are to be looked for anew.
        self._in_place = all(pair.partners is None for pair in sample.tensor_pairs)

    def add(self, held: Held) -> None:
        """Choose the pair's rows, and describe at once what lies between them; called by several threads."""
        if not held.equal:
            first = held.row - self._a.shapes[held.a][0] // 2
            self._rows[0][held.a] = self._rows[1][held.b] = first
        if self._in_place:
            sides = zip((self._a, self._b), (held.a, held.b), self._rows, strict=True)
            rows = [side.rows_from(name, first.get(name)) for side, name, first in sides]
            if not held.equal:
                self._read[0][held.a], self._read[1][held.b] = rows
            self._differences[held.a, held.b] = compare_values(*rows)

    def comparison(self) -> PartialComparison:
        """The sample with these rows in the place of its own; vectors stay whole, and so do equal tensors."""
        sample = self._sample
        base = [sample.base] if isinstance(sample.base, Sample) else []
        moved = [
            side.moved(rows, read) for side, rows, read in zip((self._a, self._b), self._rows, self._read, strict=True)
        ]
        found = _parts(PartialComparison, sample.whole, [*moved, *base])
        if self._in_place:
            found.__dict__["tensor_pairs"] = sample.tensor_pairs
            found.differences = self._differences
            for mine, known in zip((found.layout_a, found.layout_b), (sample.layout_a, sample.layout_b), strict=True):
                # What a tensor is does not depend on its rows; the worst may be zeros or a ramp.
                mine.__dict__["learned"] = known.learned
        return found


def _roles(whole: Comparison) -> list[DeclaredLayout]:
    layouts = (whole.layout_a, whole.layout_b, whole.layout_base)
    return [layout for layout in layouts if isinstance(layout, DeclaredLayout)]


def _parts(kind: type[Kind], whole: Comparison, samples: Sequence[Sample]) -> Kind:
    for sample in samples:
        sample.announce()
    return kind(
        whole,
        samples[0],
        samples[1],
        base=samples[2] if len(samples) > 2 else None,
        layouts=(SampledLayout(samples[0]), SampledLayout(samples[1])),
    )


def _among_rows(
    known: tuple[Vocabulary | None, Vocabulary | None], samples: tuple[Sample, Sample]
) -> tuple[Vocabulary | None, Vocabulary | None]:
    """The tokens whose rows were read, of a and of b; those of one vocabulary at the same rows are looked up once."""
    tables = [sample.roles.embedding for sample in samples]
    rows = [(0, 0) if table is None else sample.blocks[table][0] for table, sample in zip(tables, samples, strict=True)]
    mine = _at_rows(known[0], rows[0])
    return mine, mine if known[0] is known[1] and rows[0] == rows[1] else _at_rows(known[1], rows[1])


def _at_rows(vocabulary: Vocabulary | None, rows: tuple[int, int]) -> Vocabulary | None:
    if vocabulary is None:
        return None
    start, stop = rows
    return replace(vocabulary, ids={token: row - start for token, row in vocabulary.ids.items() if start <= row < stop})
