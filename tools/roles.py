"""Which tensors a model learned, which hold hidden units, and which hold its tokens: by name, shape and content.

Hidden units are the numbers between two matrices that nothing else in the network sees (an MLP's inner layer, the
channels of a convolution). Training treats them alike, so their order is an accident of the initialisation. That is
what makes the tests of `tools.probes` exact; widths that carry meaning (tokens, classes, positions, the residual stream
of networks with built-in positions) are left out for that reason.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from scipy import stats
from scipy.optimize import linear_sum_assignment

from tools.checkpoint import Checkpoint
from tools.content import all_finite, distinct, holds_levels, is_table, neighbours_alike
from tools.names import block_of, has_role, in_tower, layer_of, outermost
from tools.units import FEWEST_UNITS, HiddenUnits, Member, inputs_first, part_of, unit_vectors

# A stream with so many times fewer numbers in its layers than the others is not the main one.
LITTLE = 10
# A tensor whose values repeat this much (masks, constants, small integer tables) was not learned.
FEWEST_DISTINCT_VALUES = 32
# With fewer levels than this a tensor is a mask or a constant, whatever rounding was done.
FEWEST_LEVELS = 4
# So many rows and columns that each repeat the one before, moved by one, are no accident.
FEWEST_ROWS_OF_DISTANCES = 4
CONTENT_SAMPLE = 65_536
# Up to this size whole checkpoints are read; above it samples and some layers stand for the rest.
READ_ALL_BYTES = 256 * 2**20
# Root mean square below which a tensor has no effect (layers that were never trained); float16 cannot hold it.
SILENT = 1e-6
# Standard errors by which the unit lengths of two tensors must correlate to be taken for one layer's.
SAME_LAYER_Z = 5.0
NEIGHBOURS_READ = 64

# Weights are also stored as small integers, with or without a scale beside them.
PACKED = frozenset({"int8", "uint8"})
# Under these keys configurations say how many heads carry values, most specific first.
HEAD_COUNTS = ("num_key_value_heads", "num_attention_heads", "n_head")
# Families whose experts' gates and values lie by turns, column after column.
BY_TURNS = re.compile(r"gpt_oss")
# Families that store what a norm multiplies with less one (Gemma 3n and 4 do not).
GAIN_LESS_ONE = re.compile(r"(?:recurrent_|vault|t5|pali)?gemma[23]?(?:_text)?|qwen3_next|qwen3_5\w*|nemotron")
FLOATS = frozenset({"float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"})


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
            if all_finite(values):
                continue
            infinite = values[~torch.isfinite(values)]
            if torch.isnan(values).any() or (len(infinite) and distinct(values[torch.isfinite(values)]) > 2):
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
        layers = Counter(outermost(other) for other in self._matrices())
        return outermost(name) is not None and layers[outermost(name)] > 1

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
                not all_finite(values)
                or not holds_levels(values, min(FEWEST_LEVELS, values.numel()))
                or is_table(values.reshape(-1, shape[-1]) if len(shape) > 2 and shape[0] == 1 else values)
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
        return not self._is_fixed(name) and holds_levels(self._sample(name), fewest)

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
        flipped = has_role(block, "expert") and inputs_first(names, shapes)
        for rows, columns in shapes.values():
            for inner, outer in ((rows, columns), (columns, rows)):
                if flipped and flipped == (inner, outer) and self._is_stream(outer, inner):
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
            if flipped and shape == (outer, 2 * inner):
                halves = ((0, 2 * inner, 2), (1, 2 * inner, 2)) if by_turns else ((0, inner, 1), (inner, 2 * inner, 1))
                members += [
                    Member(name, 1, start, stop, part, step)
                    for part, (start, stop, step) in zip(("gate", "up"), halves, strict=True)
                ]
            elif shape == (2 * inner, outer) and not has_role(name, "transposed"):
                members += [Member(name, 0, 0, inner, "gate"), Member(name, 0, inner, 2 * inner, "up")]
            elif shape in ((inner, outer), (outer, inner)):
                axis = 0 if shape == (inner, outer) else 1
                members.append(Member(name, axis, 0, inner, part_of(name, axis)))
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
        return tuple(u for u in found if not any(neighbours_alike(self._first_units(m)) for m in u.members))

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
            table = np.array([[_correlation(lengths[layer[0]], lengths[m]) for m in left] for layer in layers])
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
            if not neighbours_alike(self._first_units(member)):
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


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    """0 where all values of one side are equal: they tell nothing."""
    return float(np.corrcoef(x, y)[0, 1]) if np.ptp(x) > 0 and np.ptp(y) > 0 else 0.0
