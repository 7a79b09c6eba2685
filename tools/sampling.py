"""Parts of a large model that stand for all of it: a few rows at fixed places in the tensors of some layers.

Which rows are read depends on shapes and names alone, never on values. A block of hidden units at a fixed place is a
fixed subset of exchangeable units, so the exact tests of `tools.probes` stay exact on it.
Reasons for the sizes: docs/decisions/0020-what-is-read-of-large-models.md.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial

import torch

from tools.checkpoint import Checkpoint
from tools.matching import spread_indices
from tools.names import has_role
from tools.roles import READ_ALL_BYTES, Layout
from tools.units import FEWEST_UNITS, HiddenUnits, Member
from tools.view import SeenCheckpoint, SeenTensor

# Values read of a tensor: 32 rows of a network 4096 wide, 256 kB in 16 bit.
TENSOR_VALUES = 2**17
FEWEST_ROWS = 8
# Rows of token tables by number, since an extended vocabulary keeps the old ones; special tokens and bytes come first.
FIRST_TOKEN, TOKENS_SAMPLED = 2048, 160
# Token rows that anchor coordinates, and the share of a large model's bytes that whole layers may take.
TOKENS_ALIGNED = 512
ALIGNED_SHARE = 0.05
# What is kept in memory of one model, so that it is fetched once.
KEPT_BYTES = 2**28
# Layers read where both models have equally many, and parts of a layer (experts) likewise.
LAYERS_SAMPLED, PARTS_SAMPLED = 8, 4

Range = tuple[int, int]

_NUMBER = re.compile(r"(?<![a-zA-Z0-9])\d+(?![a-zA-Z0-9])")


class DeclaredLayout(Layout):
    """Roles by name and shape alone; nothing is read.

    `lone`: names count for nothing, so each tensor that reads is a layer of its own, and shapes alone tell tables.
    """

    def __init__(self, checkpoint: Checkpoint, *, lone: bool = False) -> None:
        super().__init__(checkpoint)
        self.lone = lone

    @cached_property
    def learned(self) -> tuple[str, ...]:
        return self.candidates

    @property
    def has_named_layers(self) -> bool:
        """Whether names tell which tensors share a layer of hidden units."""
        return bool(self._named_mlps())

    @cached_property
    def hidden_units(self) -> tuple[HiddenUnits, ...]:
        return self._layers(() if self.lone else self._named_mlps())

    @cached_property
    def heads(self) -> dict[str, Member]:
        """The tensors whose rows belong to heads, each with its first head; none where names count for nothing."""
        found: dict[str, Member] = {}
        for units in () if self.lone else self.value_units:
            found.setdefault(units.members[0].name, units.members[0])
        return found

    def counts_tokens(self, name: str, tables: Collection[tuple[int, ...]]) -> bool:
        """Whether its rows are read as those of tokens; `tables` are the shapes of token tables on either side."""
        return self.checkpoint.shapes[name] in tables if self.lone else name == self.embedding

    def is_output(self, name: str) -> bool:
        """Whether the model speaks through it; nothing does where names count for nothing."""
        return not self.lone and has_role(name, "head")

    def acting(self, name: str) -> int:
        return self.size(name)

    def _is_fixed(self, name: str) -> bool:
        return False

    def _same_layer(self, readers: list[Member], writers: list[Member], inner: int) -> list[list[Member]]:
        return [[replace(member, part="lone")] for member in readers]


class SampledLayout(Layout):
    """Roles of a sample: those of the whole model, narrowed to the rows that were read, and checked on their values.

    `size` counts what a tensor stands for in the whole model, so that shares are shares of the whole.
    """

    def __init__(self, sample: Sample) -> None:
        super().__init__(sample)
        self.sample = sample

    @cached_property
    def embedding(self) -> str | None:
        return self.sample.roles.embedding

    @cached_property
    def hidden_units(self) -> tuple[HiddenUnits, ...]:
        return self._narrowed(self.sample.roles.hidden_units)

    @cached_property
    def value_units(self) -> tuple[HiddenUnits, ...]:
        return self._narrowed(self.sample.roles.value_units)

    @property
    def units_per_layer(self) -> int:
        """As many as the whole model has, however few were read."""
        return self.sample.roles.units_per_layer

    def kind_of_units(self, name: str) -> str | None:
        return self.sample.roles.kind_of_units(name)

    def size(self, name: str) -> int:
        return round(self.sample.roles.size(name) * self.sample.stands_for[name])

    def _sample(self, name: str) -> torch.Tensor:
        if len(self.checkpoint.shapes[name]) < 2:
            return self.checkpoint.read(name).reshape(1, -1).float()
        return self.checkpoint.read_rows(name, 0, FEWEST_ROWS).flatten(1).float()

    def _narrowed(self, layers: Sequence[HiddenUnits]) -> tuple[HiddenUnits, ...]:
        """Layers with the units that were read whole: those of tensors whose rows are units."""
        learned = {*self.learned}
        found = []
        for units in layers:
            members = []
            for member in units.members:
                inside = self.sample.inside(member)
                if inside is not None and member.name in learned:
                    members.append(replace(member, start=inside[0], stop=inside[1]))
            widths = {member.width for member in members}
            if len(widths) == 1 and (width := widths.pop()) >= FEWEST_UNITS:
                found.append(replace(units, width=width, members=tuple(members)))
        return tuple(found)


class Sample(SeenCheckpoint):
    """Some tensors of a large checkpoint, each cut to some blocks of its rows. What was read is kept, up to KEPT_BYTES.

    `roles` are those of the whole checkpoint, `stands_for` says of how many tensors like it each is the sample: 1.5
    where eight of twelve layers were read.
    """

    def __init__(
        self, roles: DeclaredLayout, blocks: Mapping[str, Sequence[Range]], stands_for: Mapping[str, float]
    ) -> None:
        self.behind, self.roles = roles.checkpoint, roles
        self.blocks = {name: tuple(parts) for name, parts in blocks.items()}
        self.stands_for = dict(stands_for)
        self._kept: dict[str, torch.Tensor] = {}
        self._kept_bytes = 0
        tensors = {}
        for name, parts in self.blocks.items():
            shape = self.behind.shapes[name]
            cut = (sum(stop - start for start, stop in parts), *shape[1:]) if shape else ()
            tensors[name] = SeenTensor(cut, self.behind.dtypes[name], partial(self._copy, name))
        super().__init__(self.behind, tensors)
        self.bytes_total = sum(_bytes(self.dtypes[name], shape) for name, shape in self.shapes.items())

    def announce(self) -> None:
        """Tell the source what will be read, so that one far away fetches it at once."""
        self.behind.expect(
            (name, start, stop) if self.shapes[name] else (name, None, None)
            for name, parts in self.blocks.items()
            for start, stop in parts
        )

    def read_rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        if not self.shapes[name]:
            raise ValueError("a tensor without axes has no rows")
        return self._values(name)[start:stop].clone()

    def _copy(self, name: str) -> torch.Tensor:
        values = self._values(name)
        return values.clone() if name in self._kept else values

    def _values(self, name: str) -> torch.Tensor:
        if name in self._kept:
            return self._kept[name]
        parts = [
            self.behind.read_rows(name, start, stop) if self.shapes[name] else self.behind.read(name)
            for start, stop in self.blocks[name]
        ]
        values = parts[0] if len(parts) == 1 else torch.cat(parts)
        self._keep(name, values)
        return values

    def _keep(self, name: str, values: torch.Tensor) -> None:
        size = values.numel() * values.itemsize
        if self._kept_bytes + size <= KEPT_BYTES:
            self._kept[name] = values
            self._kept_bytes += size

    def moved(self, rows: Mapping[str, int], read: Mapping[str, torch.Tensor]) -> Sample:
        """The same sample with other rows of these tensors: as many, from the given one on.

        `read` has the values of some of these tensors as `rows_from` gave them.
        """
        blocks = self.blocks | {name: (self._block_from(name, first),) for name, first in rows.items()}
        found = Sample(self.roles, blocks, self.stands_for)
        kept = {name: values for name, values in self._kept.items() if name not in rows} | dict(read)
        for name, values in kept.items():
            found._keep(name, values)
        return found

    def rows_from(self, name: str, first: int | None) -> torch.Tensor:
        """What `moved` holds of a tensor whose rows begin there; the sample's own rows where that is None."""
        return self.read(name) if first is None else self.behind.read_rows(name, *self._block_from(name, first))

    def _block_from(self, name: str, first: int) -> Range:
        height, count = self.behind.shapes[name][0], self.shapes[name][0]
        first = max(0, min(first, height - count))
        return first, first + count

    def forget(self) -> None:
        """Let go of what was kept in memory; it is read again if it is asked for again."""
        self._kept, self._kept_bytes = {}, 0

    def inside(self, member: Member) -> Range | None:
        """Where the member's units lie in the sample's tensor; None where they were not read, or not whole."""
        blocks = self.blocks.get(member.name, ())
        if member.axis == 1:
            whole = bool(blocks) and self.shapes[member.name] == self.behind.shapes[member.name]
            return (member.start, member.stop) if whole else None
        place = 0
        for start, stop in blocks:
            first, last = max(start, member.start), min(stop, member.stop)
            if first < last:
                return place + first - start, place + last - start
            place += stop - start
        return None


def sampled(roles: Sequence[DeclaredLayout], *, all_layers: bool = False) -> tuple[Sample, ...]:
    """The same places of every checkpoint; layers are left out only where all have equally many."""
    found = []
    tables = {layout.checkpoint.shapes[layout.embedding] for layout in roles if layout.embedding is not None}
    for layout in roles:
        names = list(layout.candidates) if all_layers or not _alike(roles) else _some_layers(layout.candidates)
        found.append(Sample(layout, _blocks(layout, names, tables), _stands_for(layout, names)))
    return tuple(found)


def aligned(roles: Sequence[DeclaredLayout], *, all_layers: bool = False) -> tuple[Sample, ...]:
    """Whole tensors of a few layers at even places, two a layer, with a part of the token tables and all vectors."""
    number = min(_layers_within(layout, all_layers) for layout in roles)
    return tuple(_whole_layers(layout, number) for layout in roles)


def _layers_within(roles: DeclaredLayout, all_layers: bool) -> int:
    """How many layers may be read whole; at least one, however large."""
    layers, checkpoint = roles.hidden_units, roles.checkpoint
    if not layers or all_layers:
        return len(layers)
    names = {member.name for member in _describing(layers[len(layers) // 2])}
    cost = sum(_bytes(checkpoint.dtypes[name], checkpoint.shapes[name]) for name in names)
    most = max(READ_ALL_BYTES, int(ALIGNED_SHARE * checkpoint.bytes_total))
    return max(1, min(len(layers), LAYERS_SAMPLED, most // max(cost, 1)))


def _whole_layers(roles: DeclaredLayout, number: int) -> Sample:
    layers, shapes = roles.hidden_units, roles.checkpoint.shapes
    blocks: dict[str, list[Range]] = {}
    for i in range(min(number, len(layers))):
        for member in _describing(layers[(2 * i + 1) * len(layers) // (2 * number)]):
            blocks[member.name] = [(0, shapes[member.name][0])]
    if roles.embedding is not None:
        blocks[roles.embedding] = [token_range(shapes[roles.embedding][0], TOKENS_ALIGNED)]
    blocks |= {name: [(0, shapes[name][0])] for name in roles.candidates if len(shapes[name]) == 1}
    return Sample(roles, blocks, dict.fromkeys(blocks, 1))


def _bytes(dtype: str, shape: tuple[int, ...]) -> int:
    """Size of a tensor; formats that PyTorch does not know take at most a byte a value."""
    return math.prod(shape) * int(getattr(torch, dtype, torch.int8).itemsize)


def _describing(units: HiddenUnits) -> tuple[Member, ...]:
    """Two tensors that describe a layer's units: those whose rows are units where there are two, else all."""
    rows = tuple(member for member in units.members if member.axis == 0)
    return rows[:2] if len(rows) >= 2 else units.members


def declared_roles(checkpoints: Sequence[Checkpoint]) -> tuple[DeclaredLayout, ...]:
    """Roles by name and shape; without names on one side names are not used on any."""
    lone = not all(DeclaredLayout(checkpoint).has_named_layers for checkpoint in checkpoints)
    return tuple(DeclaredLayout(checkpoint, lone=lone) for checkpoint in checkpoints)


def _alike(roles: Sequence[DeclaredLayout]) -> bool:
    """Whether all have names that tell layers, and equally many of them."""
    return not any(layout.lone for layout in roles) and len({len(layout.hidden_units) for layout in roles}) == 1


def _some_layers(names: Sequence[str]) -> list[str]:
    """The names in some layers of every stack, and in some parts (experts) of each of these layers."""
    kept = list(names)
    indices: dict[str, set[int]] = defaultdict(set)
    members: Counter[str] = Counter()
    for name in names:
        for pattern, index in _numbers(name):
            indices[pattern].add(index)
            members[pattern] += 1
    for pattern, found in indices.items():
        # One tensor a number is no stack of layers.
        if members[pattern] < 2 * len(found):
            continue
        limit = LAYERS_SAMPLED if "#" not in pattern else PARTS_SAMPLED
        chosen = {sorted(found)[i] for i in spread_indices(len(found), limit)}
        kept = [name for name in kept if all(p != pattern or i in chosen for p, i in _numbers(name))]
    return kept


def _numbers(name: str) -> list[tuple[str, int]]:
    """Every whole number of a dotted name behind what stands before it: ("layers.", 3), ("layers.#.experts.", 7)."""
    return [(number_pattern(name[: found.start()]), int(found[0])) for found in _NUMBER.finditer(name)]


def _stands_for(roles: DeclaredLayout, names: Sequence[str]) -> dict[str, float]:
    there, read = (Counter(map(number_pattern, some)) for some in (roles.candidates, names))
    return {name: there[number_pattern(name)] / read[number_pattern(name)] for name in names}


def number_pattern(name: str) -> str:
    """The name with its whole numbers left out; the same for the same tensor of every layer."""
    return _NUMBER.sub("#", name)


def _blocks(roles: DeclaredLayout, names: Sequence[str], tables: Collection[tuple[int, ...]]) -> dict[str, list[Range]]:
    """The rows to read: of every part of a tensor that holds units, of one head, of the tokens, else the first.

    `tables` are the shapes of token tables on either side.
    """
    parts: dict[str, list[Range]] = defaultdict(list)
    for units in roles.hidden_units:
        for member in units.members:
            if member.axis == 0:
                parts[member.name].append((member.start, member.stop))
    found: dict[str, list[Range]] = {}
    for name in names:
        shape = roles.checkpoint.shapes[name]
        rows = row_count(shape)
        is_table = roles.counts_tokens(name, tables)
        if len(shape) < 2 or rows >= shape[0]:
            found[name] = [(0, shape[0] if shape else 1)]
        elif is_table or roles.is_output(name):
            found[name] = [token_range(shape[0], TOKENS_SAMPLED if is_table else rows)]
        elif (head := roles.heads.get(name)) is not None and head.axis == 0:
            # Rows of two heads are not exchangeable, so a block lies within one.
            found[name] = [(head.start, min(head.stop, head.start + rows))]
        else:
            # The first rows lie beside the small tensor before, and come in one request with it.
            found[name] = [(start, min(stop, start + rows)) for start, stop in parts.get(name) or [(0, shape[0])]]
    return found


def row_count(shape: tuple[int, ...]) -> int:
    """How many rows of a tensor of this shape are read."""
    if not shape:
        return 1
    rows = TENSOR_VALUES // max(1, math.prod(shape[1:]))
    return max(FEWEST_ROWS, rows // FEWEST_ROWS * FEWEST_ROWS)


def token_range(height: int, rows: int) -> Range:
    """The rows of a token table of this height that are read, at most `rows` of them."""
    first = FIRST_TOKEN if height >= FIRST_TOKEN + rows else 0
    return first, min(height, first + rows)
