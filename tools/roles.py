"""Which tensors a model learned, which hold hidden units, and which hold its tokens: by name, shape and content.

Hidden units are the numbers between two matrices that nothing else in the network sees (an MLP's inner layer, the
channels of a convolution). Training treats them alike, so their order is an accident of the initialisation. That is
what makes the tests of `tools.probes` exact; widths that carry meaning (tokens, classes, positions, the residual stream
of networks with built-in positions) are left out for that reason.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from scipy import stats
from scipy.optimize import linear_sum_assignment

from tools.checkpoint import Checkpoint

# Fewer units than this cannot be rarer than chance once several layers are looked at (16! is about 2e13).
FEWEST_UNITS = 16
# Units that read or write a residual stream; what channels of convolutions read differs from layer to layer.
STREAM_KINDS = ("mlp", "lone")
# Parts of a model with a residual stream of their own.
TOWERS = ("vision", "audio")
# A stream with so many times fewer numbers in its layers than the others is not the main one.
LITTLE = 10
# A tensor whose values repeat this much (masks, constants, small integer tables) was not learned.
FEWEST_DISTINCT_VALUES = 32
# Where they are looked for before all values are.
FIRST_VALUES = 4096
# Of a row's values, each with those before it, looked at first.
FIRST_WINDOWS = 64
# With fewer levels than this a tensor is a mask or a constant, whatever rounding was done.
FEWEST_LEVELS = 4
# Learned weights are never this predictable from their neighbours; sines, ramps and windows are.
TABLE_RESIDUAL = 1e-4
# So many rows and columns that each repeat the one before, moved by one, are no accident.
FEWEST_ROWS_OF_DISTANCES = 4
# Shorter rows are followed by a recurrence of eight terms too often.
FEWEST_IN_A_ROW = 24
CONTENT_SAMPLE = 65_536
# Up to this size whole checkpoints are read; above it samples and some layers stand for the rest.
READ_ALL_BYTES = 256 * 2**20
# Root mean square below which a tensor has no effect (layers that were never trained); float16 cannot hold it.
SILENT = 1e-6
# Standard errors by which the unit lengths of two tensors must correlate to be taken for one layer's.
SAME_LAYER_Z = 5.0
# Standard errors by which neighbouring rows must be more alike than others for their order to mean something.
NEIGHBOURS_Z = 5.0
NEIGHBOURS_READ = 64

# Weights are also stored as small integers, with or without a scale beside them.
PACKED = frozenset({"int8", "uint8"})
# Layers of these names put out more than they take in, which tells whether rows are inputs.
WIDENING = ("mlp.c_fc.weight", "attn.c_attn.weight")
# Under these keys configurations say how many heads carry values, most specific first.
HEAD_COUNTS = ("num_key_value_heads", "num_attention_heads", "n_head")
# Families whose experts' gates and values lie by turns, column after column.
BY_TURNS = re.compile(r"gpt_oss")
# Families that store what a norm multiplies with less one (Gemma 3n and 4 do not).
GAIN_LESS_ONE = re.compile(r"(?:recurrent_|vault|t5|pali)?gemma[23]?(?:_text)?|qwen3_next|qwen3_5\w*|nemotron")
FLOATS = frozenset({"float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"})


@lru_cache(maxsize=1)
def name_patterns() -> dict[str, re.Pattern[str]]:
    """Role -> pattern over tensor names, from architectures/names.toml."""
    text = (Path(__file__).parent / "architectures" / "names.toml").read_text(encoding="utf-8")
    return {role: re.compile("|".join(parts)) for role, parts in tomllib.loads(text)["roles"].items()}


def has_role(name: str, role: str) -> bool:
    return name_patterns()[role].search(name) is not None


def lies_transposed(checkpoint: Checkpoint, name: str) -> bool:
    """Whether the matrix has its inputs as rows: by its name, which plain linear layers carry too, and its block."""
    block = block_of(name)
    if has_role(name, "expert"):
        beside = [n for n in (f"{block}.gate_up_proj", f"{block}.down_proj") if n in checkpoint.shapes]
        return len(beside) == 2 and _inputs_first(beside, checkpoint.shapes) is not None
    if not has_role(name, "transposed"):
        return False
    shapes = (checkpoint.shapes.get(f"{block}.{one}", ()) for one in WIDENING)
    told = [shape for shape in shapes if len(shape) == 2 and shape[0] != shape[1]]
    return all(rows < columns for rows, columns in told)


def in_tower(name: str) -> bool:
    """Whether a part that sees or hears holds the tensor: its residual stream is its own, even where it is as wide."""
    return any(has_role(name, part) for part in TOWERS)


@dataclass(frozen=True)
class Member:
    """A tensor seen as one vector per hidden unit: its axis of units, and the slice of it where tensors are fused."""

    name: str
    axis: int
    start: int
    stop: int
    part: str  # "gate", "up", "in", "out", "conv", "recurrent", "value"; "lone" where nothing tells its layer
    step: int = 1  # two where gates and values lie by turns

    @property
    def places(self) -> slice:
        """Where the units lie along the axis."""
        return slice(self.start, self.stop, self.step)

    @property
    def width(self) -> int:
        """How many units there are."""
        return len(range(self.start, self.stop, self.step))


@dataclass(frozen=True)
class HiddenUnits:
    """The hidden units of one layer: `width` units, each a vector of `features` numbers in every member tensor."""

    label: str
    layer: int | None
    width: int
    features: int
    members: tuple[Member, ...]

    @property
    def kind(self) -> str:
        part = self.members[0].part
        return part if part in ("conv", "recurrent", "value", "lone") else "mlp"

    @property
    def tensors(self) -> list[str]:
        """The names of the tensors that hold these units, each once."""
        return list(dict.fromkeys(member.name for member in self.members))


def unit_vectors(checkpoint: Checkpoint, member: Member) -> torch.Tensor:
    """The member's values, (units, features), float32."""
    values = checkpoint.read(member.name).float()
    if member.axis == 1:
        values = values.transpose(0, 1)
    values = values[member.places]
    return values.reshape(values.shape[0], -1)


def layer_of(name: str) -> int | None:
    """The first whole number in a dotted name: the layer, in every naming scheme in use."""
    numbers = re.findall(r"(?<![a-zA-Z0-9])(\d+)(?![a-zA-Z0-9])", name)
    return int(numbers[0]) if numbers else None


def block_of(name: str) -> str | None:
    """The name up to its last whole number: `layers.0`, `layers.0.experts.3`; None where there is no number.

    In `layers.0.wi_1.weight` the last number only tells two matrices of a layer apart.
    """
    found = list(re.finditer(r"(?<![a-zA-Z0-9])\d+(?![a-zA-Z0-9])", name))
    if len(found) > 1 and re.search(r"\b(?:wi|layer|linear|lin|fc|dense|conv)_\d+(?:\.(?:weight|bias))?$", name):
        found.pop()
    return name[: found[-1].end()] if found else None


def _outermost(name: str) -> str | None:
    """The name up to its first whole number, the outermost layer it lies in; None where there is no number."""
    found = re.search(r"(?<![a-zA-Z0-9])\d+(?![a-zA-Z0-9])", name)
    return None if found is None else name[: found.end()]


class Layout:
    """Roles of one checkpoint's tensors; computed once, on demand."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._fixed: dict[str, bool] = {}

    @cached_property
    def learned(self) -> tuple[str, ...]:
        """Names of the tensors that hold learned numbers, in file order."""
        return tuple(name for name in self.candidates if self._is_learned(name))

    @cached_property
    def broken(self) -> tuple[str, ...]:
        """Names of the floating tensors, not buffers by name, that hold NaN; or infinity although not a mask."""
        found = []
        whole = self.checkpoint.bytes_total <= READ_ALL_BYTES
        if whole:
            self.checkpoint.expect((name, None, None) for name in self.candidates)
        for name in self.candidates:
            values = self.checkpoint.read(name).float() if whole else self._sample(name)
            if _all_finite(values):
                continue
            infinite = values[~torch.isfinite(values)]
            if torch.isnan(values).any() or (len(infinite) and _distinct(values[torch.isfinite(values)]) > 2):
                found.append(name)
        return tuple(found)

    @cached_property
    def parameters(self) -> int:
        """Numbers in all learned tensors that act."""
        return sum(self.acting(name) for name in self.learned)

    def acting(self, name: str) -> int:
        """The tensor's numbers, or none where they are so small that rounding to 16 bit removes them."""
        return self.size(name) if self._loudness.get(name, 1.0) >= SILENT else 0

    @cached_property
    def _loudness(self) -> dict[str, float]:
        """Root mean square of each candidate's values, vectors left out."""
        return {
            name: float(self._sample(name).square().mean().sqrt())
            for name in self.learned
            if len(self.checkpoint.shapes[name]) > 1
        }

    def numbers(self, units: HiddenUnits) -> int:
        """How many numbers describe these units, in all their tensors."""
        shapes = self.checkpoint.shapes
        shares = [(m, m.width / max(shapes[m.name][m.axis], 1)) for m in units.members]
        return round(sum(self.size(member.name) * share for member, share in shares))

    def size(self, name: str) -> int:
        count = 1
        for length in self.checkpoint.shapes[name]:
            count *= length
        return count

    @cached_property
    def embedding(self) -> str | None:
        """The table with one row per token: by name, else the tallest matrix that nothing consumes."""
        tables = [name for name in self._matrices() if has_role(name, "embedding")]
        if tables:
            return max(tables, key=lambda name: self.checkpoint.shapes[name][0])
        counts = Counter(self.checkpoint.shapes[name] for name in self._matrices())
        widths = {shape[1] for shape in counts}
        tall = [
            name
            for name in self._matrices()
            if (shape := self.checkpoint.shapes[name])[0] > 2 * shape[1]
            and counts[shape] <= 2
            and shape[0] not in widths
            and (shape[1], shape[0] // 2) not in counts
            and not has_role(name, "head")
            and not has_role(name, "learned_positions")
            and not self._has_neighbours(name)
        ]
        return max(tall, key=lambda name: self.checkpoint.shapes[name][0], default=None)

    def _has_neighbours(self, name: str) -> bool:
        """Whether the matrix lies in a numbered layer with others; token tables do not."""
        layers = Counter(_outermost(other) for other in self._matrices())
        return _outermost(name) is not None and layers[_outermost(name)] > 1

    @cached_property
    def hidden_units(self) -> tuple[HiddenUnits, ...]:
        """Every layer of hidden units that could be told apart: by name, by shape and content, else in chains."""
        return self._layers(self._named_mlps())

    def _layers(self, named: tuple[HiddenUnits, ...]) -> tuple[HiddenUnits, ...]:
        """The layers found by name and without; where they are none, or less than the convolutions, chains too."""
        found = (*named, *self._shaped_mlps({units.features for units in named}))
        if not found:
            return (*self._recurrent(), *self._chain())
        # Networks of convolutions with attention in between (diffusion) are tested in both.
        many = sum(self.size(name) for name in self.candidates if len(self.checkpoint.shapes[name]) > 2)
        if many <= sum(self.numbers(units) for units in found):
            return found
        return (*found, *(units for units in self._chain() if units.kind == "conv"))

    @cached_property
    def main_layers(self) -> tuple[HiddenUnits, ...]:
        """The layers that read and write the main residual stream, not that of a tower; all where none does."""
        main = tuple(u for u in self.hidden_units if self.in_main_stream(u))
        rest = tuple(u for u in self.hidden_units if u not in main)
        # A table narrower than the stream is mapped into it and back, and nothing else has its width.
        others = sum(self.numbers(u) for u in rest if u.kind != "conv" and not in_tower(u.label))
        little = LITTLE * sum(map(self.numbers, main)) < others
        return rest if little or not main else main

    def is_table(self, name: str) -> bool:
        """Whether the tensor holds a vector for each token, or for each answer: the token table or a head."""
        return name == self.embedding or has_role(name, "head")

    def in_main_stream(self, units: HiddenUnits) -> bool:
        """Whether these units read and write a stream as wide as the token vectors, as those of a tower seldom do."""
        return units.features == self.residual_width and units.kind != "conv"

    @property
    def depth(self) -> int:
        """How many layers there are; where none could be told apart, as many as the tensors' names number."""
        layers = {units.layer if units.layer is not None else units.label for units in self.main_layers}
        return len(layers) or len({layer_of(name) for name in self.candidates} - {None})

    @property
    def units_per_layer(self) -> int:
        """Hidden units of the widest main layer, whatever the order of the files; 0 without layers."""
        return max((units.width for units in self.main_layers), default=0)

    def kind_of_units(self, name: str) -> str | None:
        """What kind of hidden units the tensor holds; None where it holds none."""
        return next((u.kind for u in self.hidden_units if any(m.name == name for m in u.members)), None)

    @cached_property
    def value_units(self) -> tuple[HiddenUnits, ...]:
        """What attention heads carry: for every head of every layer its values' rows, one vector each.

        The rows of one head may stand in any order, those of different heads may not be mixed. Where the configuration
        does not tell the size of a head, blocks of FEWEST_UNITS rows are taken, which lie within a head; in a tower of
        another width, whose heads have sizes of their own, none are.
        """
        found = []
        streams = {units.features for units in self.hidden_units}
        # Where each channel fades at a rate of its own by number, the rows of a head are not exchangeable.
        timed = any(has_role(name, "numbers_coordinates") for name in self.checkpoint.shapes)
        for name in self._matrices():
            shape, width = self.checkpoint.shapes[name], self.residual_width
            if width is not None and has_role(name, "fused_values_last") and shape == (width, 3 * width):
                axis, first, rows = 1, 2 * width, width
            elif has_role(name, "value") and not timed and shape[1] in {width, *streams}:
                axis, first, rows = 0, 0, shape[0]
            else:
                continue
            size = self._head_size(rows) if shape[1 - axis] == width else self._tower_head_size(rows, shape[1 - axis])
            if size is None:
                continue
            for start in range(first, first + rows - size + 1, size):
                member = Member(name, axis, start, start + size, "value")
                label = f"{name}[{start}:{start + size}]"
                found.append(HiddenUnits(label, layer_of(name), size, shape[1 - axis], (member,)))
        return tuple(found)

    def _head_size(self, rows: int) -> int:
        declared = self.checkpoint.config.get("head_dim")
        heads = next(
            (self.checkpoint.config[key] for key in HEAD_COUNTS if isinstance(self.checkpoint.config.get(key), int)),
            None,
        )
        if not isinstance(declared, int) and isinstance(heads, int) and heads > 0:
            declared = rows // heads if rows % heads == 0 else None
        fits = isinstance(declared, int) and declared >= FEWEST_UNITS and rows % declared == 0
        return declared if fits and isinstance(declared, int) else FEWEST_UNITS

    def _tower_head_size(self, rows: int, width: int) -> int | None:
        """The size of the heads of a tower, or of layers that narrower token vectors are mapped into; None if not told.

        From the part of the configuration that tells of their width.
        """
        config = self.checkpoint.config
        parts = [config, *(part for part in config.values() if isinstance(part, dict))]
        told = {part.get("num_attention_heads") for part in parts if part.get("hidden_size") == width}
        heads = told.pop() if len(told) == 1 else None
        if not isinstance(heads, int) or heads <= 0 or rows % heads or rows // heads < FEWEST_UNITS:
            return None
        return rows // heads

    @cached_property
    def residual_width(self) -> int | None:
        """Length of the vectors passed from layer to layer, by the token table where there is one."""
        if self.embedding is not None:
            return self.checkpoint.shapes[self.embedding][1]
        # Of equally frequent lengths the largest, so that the order of a file does not matter.
        return max(((count, length) for length, count in self._vectors_by_length.items()), default=(0, None))[1]

    @cached_property
    def _vectors_by_length(self) -> Counter[int]:
        return Counter(shape[0] for shape in self.checkpoint.shapes.values() if len(shape) == 1)

    def _is_stream(self, outer: int, inner: int) -> bool:
        """Whether `outer` can be the width of a residual stream and `inner` that of hidden units between two tensors.

        The main stream is known. A tower of another width (a part that sees, an encoder) has a stream of its own: each
        layer has norms and biases of the stream's width, and at most one vector of the hidden width.
        """
        if self.residual_width is None or outer == self.residual_width:
            return True
        return inner != self.residual_width and self._vectors_by_length[outer] > self._vectors_by_length[inner]

    def gain_before(self, units: HiddenUnits) -> torch.Tensor | None:
        """The norm's gain that scales what these units read, (features,); None where no single one is found."""
        block = block_of(units.label) or units.label
        names = [
            name
            for name, shape in self.checkpoint.shapes.items()
            if shape == (units.features,)
            and has_role(name, "mlp_norm")
            and block_of(name) is not None
            and block.startswith(block_of(name) or block)
        ]
        return self.gain(names[0]) if len(names) == 1 else None

    def gain(self, norm: str) -> torch.Tensor:
        """What a norm multiplies with; some families store it less one."""
        return self.checkpoint.read(norm).float() + self.stored_gain_offset

    @property
    def stored_gain_offset(self) -> float:
        """What is added to a stored gain before it multiplies."""
        return 1.0 if GAIN_LESS_ONE.fullmatch(str(self.checkpoint.config.get("model_type", ""))) else 0.0

    @cached_property
    def candidates(self) -> tuple[str, ...]:
        """Tensors that hold numbers and are no buffer by name: learned ones, and what rounding left of them."""
        return tuple(
            name
            for name, dtype in self.checkpoint.dtypes.items()
            if (dtype in FLOATS or (dtype in PACKED and len(self.checkpoint.shapes[name]) >= 2))
            and self.size(name) > 0
            and not has_role(name, "buffer")
        )

    def _matrices(self) -> list[str]:
        return [name for name in self.candidates if len(self.checkpoint.shapes[name]) == 2 and not self._is_fixed(name)]

    def _sample(self, name: str) -> torch.Tensor:
        """Up to CONTENT_SAMPLE values of whole rows at even places, as float32, (rows, columns)."""
        shape = self.checkpoint.shapes[name]
        if self.size(name) <= CONTENT_SAMPLE or len(shape) < 2:
            values = self.checkpoint.read(name).float()
            return values.reshape(shape[0] if shape else 1, -1)
        rows = max(8, CONTENT_SAMPLE * shape[0] // self.size(name))
        first = min(rows // 2, shape[0])
        last = max(first, shape[0] - rows // 2)
        parts = [self.checkpoint.read_rows(name, 0, first), self.checkpoint.read_rows(name, last, shape[0])]
        return torch.cat([part.float().flatten(1) for part in parts])

    def _is_fixed(self, name: str) -> bool:
        """True for masks, constants and computed tables."""
        if name not in self._fixed:
            values, shape = self._sample(name), self.checkpoint.shapes[name]
            self._fixed[name] = (
                not _all_finite(values)
                or not _holds_levels(values, min(FEWEST_LEVELS, values.numel()))
                or _is_table(values.reshape(-1, shape[-1]) if len(shape) > 2 and shape[0] == 1 else values)
                or self._tells_distances(name, values)
            )
        return self._fixed[name]

    def _tells_distances(self, name: str, values: torch.Tensor) -> bool:
        """Whether every value depends on how far its row is from its column alone: masks, fading over distance."""
        shape = self.checkpoint.shapes[name]
        square = values[: len(values) // 2] if len(shape) == 2 else values[0].reshape(-1, *shape[-2:])[0]
        return min(square.shape) >= FEWEST_ROWS_OF_DISTANCES and bool((square[1:, 1:] == square[:-1, :-1]).all())

    def _is_learned(self, name: str) -> bool:
        if len(self.checkpoint.shapes[name]) < 2:
            return True
        fewest = min(FEWEST_DISTINCT_VALUES, self.size(name))
        return not self._is_fixed(name) and _holds_levels(self._sample(name), fewest)

    def _named_mlps(self) -> tuple[HiddenUnits, ...]:
        blocks: dict[str, list[str]] = defaultdict(list)
        for name in self._matrices():
            block = block_of(name)
            if block is not None and not has_role(name, "attention") and not has_role(name, "adapter"):
                blocks[block].append(name)
        found = []
        sequences: dict[str, list[str]] = defaultdict(list)
        for block, names in blocks.items():
            units = self._mlp_of(block, names)
            if units is not None:
                found.append(units)
            else:
                # In a sequence of modules (`ff.0`, `ff.3`) every tensor has a number of its own.
                sequences[re.sub(r"[._]?\d+$", "", block)] += names
        for block, names in sequences.items():
            units = self._mlp_of(block, names)
            if units is not None and units.width > units.features and len(units.tensors) == 2:
                found.append(units)
        # A convolutional network may hold a few small matrices of many widths, but its units are its channels.
        main = self.embedding is not None or any(units.features == self.residual_width for units in found)
        return tuple(found) if main else ()

    def _mlp_of(self, block: str, names: list[str]) -> HiddenUnits | None:
        shapes = {name: self.checkpoint.shapes[name] for name in names}
        fitting: list[tuple[bool, int, int]] = []
        inputs_first = has_role(block, "expert") and _inputs_first(names, shapes)
        for rows, columns in shapes.values():
            for inner, outer in ((rows, columns), (columns, rows)):
                if inputs_first and inputs_first == (inner, outer) and self._is_stream(outer, inner):
                    fitting.append((True, inner, outer))
                if inner == outer or inner < FEWEST_UNITS or not self._is_stream(outer, inner):
                    continue
                back = any(shape == (outer, inner) for shape in shapes.values())
                forth = any(shape in ((inner, outer), (2 * inner, outer)) for shape in shapes.values())
                if back and forth:
                    fitting.append((outer == self.residual_width, inner, outer))
        if not fitting:
            return None
        _, inner, outer = max(fitting)
        members = []
        by_turns = BY_TURNS.fullmatch(str(self.checkpoint.config.get("model_type", ""))) is not None
        for name, shape in shapes.items():
            if inputs_first and shape == (outer, 2 * inner):
                halves = ((0, 2 * inner, 2), (1, 2 * inner, 2)) if by_turns else ((0, inner, 1), (inner, 2 * inner, 1))
                members += [
                    Member(name, 1, start, stop, part, step)
                    for part, (start, stop, step) in zip(("gate", "up"), halves, strict=True)
                ]
            elif shape == (2 * inner, outer) and not has_role(name, "transposed"):
                members += [Member(name, 0, 0, inner, "gate"), Member(name, 0, inner, 2 * inner, "up")]
            elif shape in ((inner, outer), (outer, inner)):
                axis = 0 if shape == (inner, outer) else 1
                members.append(Member(name, axis, 0, inner, _part(name, axis)))
        return HiddenUnits(block, layer_of(block), inner, outer, tuple(sorted(members, key=lambda m: m.part)))

    def _shaped_mlps(self, known: Collection[int] = ()) -> tuple[HiddenUnits, ...]:
        """Without names: for each stream of width d matrices (m, d) and their counterparts (d, m), m the widest.

        `known`: widths of streams whose layers were found by name.
        """
        others = ("attention", "adapter")
        names = [n for n in self._matrices() if n != self.embedding and not any(has_role(n, role) for role in others)]
        counts = Counter(self.checkpoint.shapes[name] for name in names)
        main = self.residual_width
        widest: dict[int, int] = {}
        for width, inner in counts:
            # Two tensors that read may lie fused in one, (2 m, d).
            back = (inner, width) in counts or (2 * inner, width) in counts
            # Nothing but its width tells which side of a tower's matrices is the hidden one.
            wide = inner > width or (width == main and inner != width)
            # What maps one stream into another and back holds numbers of that stream, as around narrow token tables.
            if wide and inner not in known and inner >= FEWEST_UNITS and back and self._is_stream(width, inner):
                widest[width] = max(widest.get(width, 0), inner)
        if main is None or (main not in widest and main not in known):
            return ()
        found: list[HiddenUnits] = []
        for width, inner in widest.items():
            if width not in known:
                found += self._shaped_stream(names, counts, width, inner)
        if self.embedding is not None:
            return tuple(found)
        # Without tokens the wide side may be what goes in and comes out: frequencies, pixels, points in time.
        return tuple(u for u in found if not any(_neighbours_alike(self._first_units(m)) for m in u.members))

    def _first_units(self, member: Member) -> torch.Tensor:
        if member.axis == 0:
            stop = min(member.stop, member.start + NEIGHBOURS_READ)
            return self.checkpoint.read_rows(member.name, member.start, stop).float().flatten(1)
        return unit_vectors(self.checkpoint, member)[:NEIGHBOURS_READ]

    def _shaped_stream(
        self, names: Sequence[str], counts: Counter[tuple[int, ...]], width: int, inner: int
    ) -> Iterator[HiddenUnits]:
        readers: list[Member] = []
        writers = [Member(n, 1, 0, inner, "out") for n in names if self.checkpoint.shapes[n] == (width, inner)]
        if counts[(inner, width)] in (len(writers), 2 * len(writers)):
            # Otherwise the token table has the shape of a layer, and rows may be tokens, which are never exchangeable.
            readers = [Member(n, 0, 0, inner, "in") for n in names if self.checkpoint.shapes[n] == (inner, width)]
        elif counts[(2 * inner, width)] == len(writers):
            fused = [n for n in names if self.checkpoint.shapes[n] == (2 * inner, width)]
            readers = [Member(n, 0, half * inner, (half + 1) * inner, "in") for n in fused for half in (0, 1)]
        if width != self.residual_width and not readers:
            return
        for members in self._same_layer(readers, writers, inner):
            yield HiddenUnits(members[0].name, None, inner, width, tuple(members))

    def _same_layer(self, readers: list[Member], writers: list[Member], inner: int) -> list[list[Member]]:
        """Tensors joined into layers by the lengths of their units' vectors, which training makes alike in a layer.

        A tensor that writes and finds no partner stays a layer of its own.
        """
        layers = [[member] for member in writers]
        if not readers:
            return layers
        lengths = {
            member: stats.rankdata(unit_vectors(self.checkpoint, member).norm(dim=1).double().numpy())
            for member in readers + writers
        }
        left = list(readers)
        for _ in range(len(left) // len(layers)):
            table = np.array([[np.corrcoef(lengths[layer[0]], lengths[m])[0, 1] for m in left] for layer in layers])
            taken = []
            for i, j in zip(*linear_sum_assignment(table, maximize=True), strict=True):
                if table[i, j] > SAME_LAYER_Z / inner**0.5:
                    layers[i].append(left[j])
                    taken.append(left[j])
            left = [member for member in left if member not in taken]
        return layers

    def _recurrent(self) -> tuple[HiddenUnits, ...]:
        """Recurrent layers by their names: every unit has a row in each gate of what reads the layer's input."""
        found = []
        for name in self._matrices():
            rows, features = self.checkpoint.shapes[name]
            state = self.checkpoint.shapes.get(name.replace("weight_ih_l", "weight_hh_l"), ())
            width = state[1] if has_role(name, "recurrent") and len(state) == 2 else 0
            if width >= FEWEST_UNITS and state[0] == rows and rows in (width, 3 * width, 4 * width):
                members = [Member(name, 0, start, start + width, "recurrent") for start in range(0, rows, width)]
                found.append(HiddenUnits(name, layer_of(name), width, features, tuple(members)))
        return tuple(found)

    def _chain(self) -> tuple[HiddenUnits, ...]:
        """Layers that read what the layer before them made: channels of convolutions, units of linear layers."""
        consumed = {self.checkpoint.shapes[name][1] for name in self.learned if len(self.checkpoint.shapes[name]) >= 2}
        found = []
        for order, name in enumerate(self.learned):
            shape = self.checkpoint.shapes[name]
            if len(shape) < 2 or shape[0] < FEWEST_UNITS or shape[0] not in consumed or has_role(name, "head"):
                continue
            features = self.size(name) // shape[0]
            if features < 4 or (len(shape) == 2 and not self._is_linear(name)):
                continue
            member = Member(name, 0, 0, shape[0], "conv" if len(shape) > 2 else "lone")
            if not _neighbours_alike(self._first_units(member)):
                found.append(HiddenUnits(name, order, shape[0], features, (member,)))
        return tuple(found)

    def _is_linear(self, name: str) -> bool:
        """Whether a matrix has a bias for each of its rows, as tables of tokens and positions never have.

        Without names any vector of that length is taken for it, if the model has no table.
        """
        known = ("attention", "embedding", "learned_positions", "recurrent")
        if name == self.embedding or any(has_role(name, role) for role in known):
            return False
        bias, rows = re.sub(r"weight$", "bias", name), self.checkpoint.shapes[name][0]
        if any(other.endswith("bias") for other in self.checkpoint.shapes):
            return bias != name and self.checkpoint.shapes.get(bias) == (rows,)
        return self.embedding is None and self._vectors_by_length[rows] > 0


def _distinct(values: torch.Tensor) -> int:
    return len(np.unique(values.numpy()))


def _holds_levels(values: torch.Tensor, fewest: int) -> bool:
    """Whether there are so many different values; nearly always the first few thousand tell."""
    return _distinct(values.flatten()[:FIRST_VALUES]) >= fewest or _distinct(values) >= fewest


def _inputs_first(names: Sequence[str], shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, int] | None:
    """(units, width) of an expert whose matrices have what goes in as rows, also the one that puts out; None of others.

    Then gates and values lie side by side in front of it, (width, 2 units), or no other matrix has its shape turned.
    """
    for name in names:
        inner, outer = shapes[name]
        if inner < FEWEST_UNITS or not has_role(name, "out"):
            continue
        reading = [shapes[other] for other in names if other != name]
        alone = inner != outer and (outer, inner) not in reading and (inner, outer) in reading
        if (outer, 2 * inner) in reading or (alone and (2 * inner, outer) not in reading):
            return inner, outer
    return None


def _part(name: str, axis: int) -> str:
    for part in ("gate", "up", "in", "out"):
        if has_role(name, part):
            return part
    return "in" if axis == 0 else "out"


def _neighbours_alike(rows: torch.Tensor) -> bool:
    """Whether rows resemble the next one more than one far away: then their order means something.

    What comes out may be frequencies, pixels or points in time, which lie in one order in strangers too. Hidden units
    lie in any.
    """
    rows = torch.nn.functional.normalize(rows.double() - rows.double().mean(dim=0), dim=1)
    beside, away = (rows * rows.roll(1, 0)).sum(1), (rows * rows.roll(len(rows) // 2, 0)).sum(1)
    error = ((beside.var() + away.var()) / len(rows)).sqrt()
    return bool(beside.mean() - away.mean() > NEIGHBOURS_Z * error)


def _all_finite(values: torch.Tensor) -> bool:
    # A sum that is finite has no part that is not, and to add takes a tenth of the time of asking each.
    return math.isfinite(float(values.sum())) or bool(torch.isfinite(values).all())


def _is_grid(values: torch.Tensor) -> bool:
    """Whether each column depends on the row alone, or on the place in it alone, of a square that the rows form."""
    side = math.isqrt(len(values))
    # A token of its own may stand before the square.
    if side < 4 or len(values) - side * side > 1:
        return False
    grid = values[len(values) - side * side :].reshape(side, side, -1)
    along = (grid == grid[:1]).all(dim=0).all(dim=0) | (grid == grid[:, :1]).all(dim=0).all(dim=0)
    return bool(along.all())


def _is_table(values: torch.Tensor) -> bool:
    """True where a short linear recurrence predicts the values along an axis: sines, ramps, windows, filter banks."""
    if int(torch.count_nonzero(values)) < 0.2 * values.numel() and bool((values >= 0).all()):
        return True
    return _is_grid(values) or any(_follows_recurrence(v) for v in (values, values.T) if v.shape[1] >= FEWEST_IN_A_ROW)


def _follows_recurrence(rows: torch.Tensor, order: int = 8) -> bool:
    """True where the best linear recurrence of `order` leaves next to nothing of the energy of most of some rows."""
    some = rows[:: max(1, rows.shape[0] // 8)][:8].double()
    some = some[some.any(dim=1)]
    unexplained = 0
    for row in some:
        unexplained += _leaves_much(row.unfold(0, order + 1, 1))
        if 2 * unexplained >= len(some):
            return False
    return len(some) > 0


def _leaves_much(windows: torch.Tensor) -> bool:
    """Whether the best linear recurrence leaves more than next to nothing of the last values of these windows."""
    energy = float(windows[:, -1].square().sum().clamp_min(1e-300))
    # The best one for the first windows leaves no more of them than any leaves of all, and nearly always enough.
    for count in (FIRST_WINDOWS, len(windows)):
        past, present = windows[:count, :-1], windows[:count, -1]
        solution = torch.linalg.lstsq(past, present.unsqueeze(1), driver="gelsd").solution
        left = present - (past @ solution).squeeze(1)
        if float(left.square().sum()) / energy >= TABLE_RESIDUAL:
            return True
    return False
