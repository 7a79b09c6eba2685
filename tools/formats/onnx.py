"""ONNX: the initialisers of a graph, and files of values beside it.

The graph is a protocol buffer; its fields are walked by hand and whatever is no initialiser is stepped over, so that
neither the library nor the values are loaded. Exporters fold a layer's transposed matrix into a constant of no name
(`onnx::MatMul_335`, `val_108`); the operation that uses it tells its layer, and it is turned back and named after that.
A table that is also the head is kept once, under either name; it is named after the layer that looks its rows up.
Some exporters write every weight as an operation without inputs (`Constant`): these are read where no initialiser is a
matrix, and otherwise left out, since they are then what the program counts with. Branches and loops hold graphs of
their own.
Format: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from tools.checkpoint import GIT_LFS, MAX_NAME, MAX_TENSORS, ModelFiles, ModelRef, Place, StoredFile, Wanted
from tools.errors import UserError
from tools.formats.onnx_recurrent import GATES, WEIGHTS, Part, Use, parts_of
from tools.formats.plain import Entry, PlainCheckpoint

if TYPE_CHECKING:
    import torch

# A graph of 200,000 tensors and as many operations has fewer fields.
MAX_FIELDS = 1_000_000
MAX_AXES = 32
MAX_ELEMENTS = 1 << 50
# Text about where values lie is short; a document string is stepped over.
MAX_TEXT = 4_096
# Numbers written one by one are a few constants; published weights are raw bytes.
CODED_BYTES = 1_000_000
# What is fetched at a time while fields follow each other, and after a step over values.
_PIECE, _STEP = 1 << 16, 1 << 12

# Number in the format -> (name in PyTorch, bits of one value).
_TYPES = {
    1: ("float32", 32), 2: ("uint8", 8), 3: ("int8", 8), 4: ("uint16", 16), 5: ("int16", 16), 6: ("int32", 32),
    7: ("int64", 64), 9: ("bool", 8), 10: ("float16", 16), 11: ("float64", 64), 12: ("uint32", 32),
    13: ("uint64", 64), 14: ("complex64", 64), 15: ("complex128", 128), 16: ("bfloat16", 16),
    17: ("float8_e4m3fn", 8), 18: ("float8_e4m3fnuz", 8), 19: ("float8_e5m2", 8), 20: ("float8_e5m2fnuz", 8),
    24: ("float8_e8m0fnu", 8),
}  # fmt: skip
_GRAPH, _INITIALISER = 7, 5
_DIMS, _TYPE, _NAME, _RAW, _EXTERNAL, _LOCATION = 1, 2, 8, 9, 13, 14
# Fields whose values lie as they are, and those written as numbers of varying length.
_FLOATS, _DOUBLES, _CODED = 4, 10, frozenset({5, 7, 11})

# Of an operation: what it takes and gives, its name and kind, its attributes, and notes in which PyTorch's newer
# exporter says where it stands.
_NODE, _INPUT, _OUTPUT, _NODE_NAME, _OPERATION, _ATTRIBUTE, _NOTES = 1, 1, 2, 3, 4, 5, 9
# Of an attribute: a tensor, a graph.
_TENSOR, _SUBGRAPH = 5, 6
_CONSTANT = "Constant"
_BRANCHES = frozenset({"If", "Loop", "Scan"})
MAX_DEPTH = 8
_PRODUCTS = frozenset({"MatMul", "MatMulInteger", "MatMulNBits"})
_LOOK_UP = "Gather"
_READ = frozenset({*_PRODUCTS, *_BRANCHES, *GATES, _LOOK_UP, _CONSTANT})
_SCOPES = "pkg.torch.onnx.name_scopes"
# What exporters call a folded constant, and what ONNX Runtime's quantisers put behind the name.
_NAMELESS = re.compile(r"(?P<root>onnx::[A-Za-z]+_\d+|val_\d+)(?P<rest>_\w+)?")
_TURNED = frozenset({None, "_quantized"})

Field = tuple[int, int, int, int]


class OnnxCheckpoint(PlainCheckpoint):
    """A model in one ONNX file, with the files of values that its name begins."""

    def __init__(self, model: ModelFiles) -> None:
        """Find the initialisers of the first file; the others hold what it keeps outside. Raises UserError."""
        first, *beside = model.weight_files
        graph = Graph(model.ref, first, {file.name: file for file in beside})
        if not graph.entries:
            raise UserError("no_tensors", file=first.name)
        entries, self._turned = graph.named()
        self._coded, self._recurrent = graph.coded, graph.recurrent
        super().__init__(model, entries)
        self.shapes |= {name: self.shapes[name][::-1] for name in self._turned}

    def read(self, name: str) -> torch.Tensor:
        """Return a tensor in its own type, on the CPU, as a copy that may be written to."""
        if name in self._turned:
            return super().read(name).T.contiguous()
        if name in self._recurrent:
            return self._recurrent[name].in_order(super().read(name))
        return self._numbers(name) if name in self._coded else super().read(name)

    def read_rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return the rows from start up to stop of the first axis; all of a tensor is read that lies transposed."""
        if self._is_read_whole(name) or (name in self._coded and self.shapes[name]):
            return self.read(name)[start:stop].clone()
        return super().read_rows(name, start, stop)

    def read_blocks(self, name: str, start: int, stop: int, rows: int) -> Iterator[torch.Tensor]:
        """The rows from start up to stop in order, so many at a time."""
        if not self._is_read_whole(name):
            yield from super().read_blocks(name, start, stop, rows)
            return
        values = self.read_rows(name, start, stop)
        yield from (values[first : first + rows] for first in range(0, len(values), rows))

    def place(self, name: str, start: int, stop: int) -> Place | None:
        """Where the rows from start up to stop lie as they are read."""
        return None if self._is_read_whole(name) or name in self._coded else super().place(name, start, stop)

    def expect(self, wanted: Iterable[Wanted]) -> None:
        """These tensors, or rows of them, will be read soon; over a network they then come in few requests."""
        super().expect((one[0], None, None) if self._is_read_whole(one[0]) else one for one in wanted)

    def _is_read_whole(self, name: str) -> bool:
        """Whether the rows asked for do not lie together."""
        return name in self._turned or name in self._recurrent

    def _numbers(self, name: str) -> torch.Tensor:
        """A constant whose numbers were written one by one; those of 16-bit floats stand for their bits."""
        import torch

        entry = self._entries[name]
        data = bytes(entry.file.read(entry.start, entry.stop))
        numbers, place = [], 0
        while place < len(data):
            number, place = _varint(data, place)
            numbers.append(number - (1 << 64) if number >= 1 << 63 else number)
        if len(numbers) != math.prod(entry.shape):
            raise UserError("bad_header", file=entry.file.name, why="wrong_size")
        self._count(name, len(data), len(data))
        dtype: torch.dtype = getattr(torch, entry.dtype)
        values = torch.tensor(numbers, dtype=torch.int64).reshape(entry.shape)
        if dtype.is_floating_point or dtype.is_complex:
            bits = {1: torch.uint8, 2: torch.int16}.get(dtype.itemsize)
            if bits is None:
                raise UserError("unknown_tensor_type", tensor=name, dtype=entry.dtype)
            return values.to(bits).view(dtype)
        return values.to(dtype)


class Graph:
    """Where the initialisers of one file lie."""

    def __init__(self, ref: ModelRef, file: StoredFile, beside: Mapping[str, StoredFile]) -> None:
        self._ref, self._file, self._beside = ref, file, beside
        self._start, self._data = 0, bytearray()
        self._fields_left = MAX_FIELDS
        self.entries: dict[str, Entry] = {}
        self.coded: set[str] = set()
        self._layers: dict[str, str] = {}
        self._looked_up: dict[str, str] = {}
        self._constants: list[tuple[str, int, int]] = []
        self._uses: dict[str, Use] = {}
        self._recurrent_layers: Counter[str] = Counter()
        self.recurrent: dict[str, Part] = {}
        if file.size < len(GIT_LFS):
            raise UserError("truncated", file=file.name)
        if bytes(file.read(0, len(GIT_LFS))) == GIT_LFS:
            raise UserError("pointer_file", file=file.name)
        for number, wire, start, stop in self._walk(0, file.size):
            if number == _GRAPH and wire == 2:
                self._read_graph(start, stop, 0)
        if not any(_may_be_learned(entry) and len(entry.shape) > 1 for entry in self.entries.values()):
            self._read_constants()

    def _read_graph(self, start: int, stop: int, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise self._refused("not_onnx")
        for number, wire, begin, end in self._walk(start, stop):
            if number == _NODE and wire == 2:
                self._read_operation(begin, end, depth)
            elif number == _INITIALISER and wire == 2:
                self._read_tensor(begin, end, inner=depth > 0)
                if len(self.entries) > MAX_TENSORS:
                    raise UserError("too_many_tensors", file=self._file.name, limit=f"{MAX_TENSORS:,}")

    def named(self) -> tuple[dict[str, Entry], set[str]]:
        """The tensors, those of no name called after their layers, and which of them lie transposed."""
        found: dict[str, Entry] = {}
        turned: set[str] = set()
        for name, entry in self.entries.items():
            parts = _NAMELESS.fullmatch(name)
            use = self._uses.get(name) if name not in self.coded else None
            split = parts_of(use, entry, None if parts else name) if use else []
            if split and not any(part.name in found or part.name in self.entries.keys() - {name} for part in split):
                found |= {part.name: part.entry for part in split}
                self.recurrent |= {part.name: part for part in split}
                continue
            layer = self._layers.get(parts["root"]) if parts else None
            if parts and not (layer or parts["rest"] or entry.shape):
                # A single number, such as the root of a head's size, was folded by the exporter and never learned.
                continue
            called = f"{layer}.weight{parts['rest'] or ''}" if parts and layer else self._looked_up.get(name, name)
            lies_turned = parts is not None and parts["rest"] in _TURNED and len(entry.shape) == 2
            if called in self.entries or called in found or (lies_turned and name in self.coded):
                found[name] = entry
                continue
            found[called] = entry
            if lies_turned and layer:
                turned.add(called)
            if name in self.coded:
                self.coded.add(called)
        return found, turned

    def _read_constants(self) -> None:
        """Take the numbers that operations give as if they were initialisers; single ones were never learned."""
        before, coded = self.entries, self.coded
        self.entries, self.coded = {}, set()
        for name, start, stop in self._constants:
            self._read_tensor(start, stop, given=name, inner=True)
        found = {name: entry for name, entry in self.entries.items() if _may_be_learned(entry)}
        self.entries, self.coded = before | found, coded | (self.coded & set(found))
        if len(self.entries) > MAX_TENSORS:
            raise UserError("too_many_tensors", file=self._file.name, limit=f"{MAX_TENSORS:,}")

    def _read_attributes(self, kind: str, given: str, attributes: list[tuple[int, int]], depth: int) -> None:
        """Note the tensor that a constant is; read the graphs of branches and loops."""
        for start, stop in attributes:
            for number, wire, begin, end in self._walk(start, stop):
                if wire == 2 and number == _TENSOR and kind == _CONSTANT and len(self._constants) <= MAX_FIELDS:
                    self._constants.append((given, begin, end))
                elif wire == 2 and number == _SUBGRAPH and kind in _BRANCHES:
                    self._read_graph(begin, end, depth + 1)

    def _read_operation(self, start: int, stop: int, depth: int) -> None:
        """Note which layer a product with a constant of no name is, and which one looks rows of another up."""
        inputs: list[tuple[int, int]] = []
        attributes: list[tuple[int, int]] = []
        given: tuple[int, int] | None = None
        name = kind = layer = ""
        for number, wire, begin, end in self._walk(start, stop):
            if number == _ATTRIBUTE and wire == 2:
                attributes.append((begin, end))
            if wire != 2 or end - begin > MAX_TEXT:
                continue
            if number == _INPUT:
                inputs.append((begin, end))
            elif number == _OUTPUT:
                given = given or (begin, end)
            elif number == _NODE_NAME:
                name = self._text(begin, end)
            elif number == _OPERATION:
                kind = self._text(begin, end)
                if kind not in _READ:
                    return
            elif number == _NOTES and not layer:
                key, value = self._pair(begin, end)
                scopes = re.findall(r"'([^']*)'", value) if key == _SCOPES else []
                layer = scopes[-2] if len(scopes) > 1 else ""
        if kind == _CONSTANT or kind in _BRANCHES:
            self._read_attributes(kind, self._text(*given, MAX_NAME) if given else "", attributes, depth)
            return
        # The older exporter writes the layer as a path, with the operation last.
        layer = layer or name.strip("/").rpartition("/")[0].replace("/", ".")
        if not kind or len(layer) >= MAX_NAME - 100:
            return
        if kind in GATES:
            self._note_recurrent(kind, layer, inputs)
        elif len(inputs) < 2 or not layer:
            return
        elif kind == _LOOK_UP:
            table = self._text(*inputs[0])
            if table.endswith(".weight") and not table.startswith(f"{layer}."):
                self._looked_up.setdefault(table, f"{layer}.weight")
        elif constant := _NAMELESS.match(self._text(*inputs[1])):
            self._layers.setdefault(constant["root"], layer)

    def _note_recurrent(self, kind: str, layer: str, inputs: list[tuple[int, int]]) -> None:
        """Note what a recurrent operation reads; several in one place are the layers of one module, from below."""
        number = self._recurrent_layers[layer]
        self._recurrent_layers[layer] += 1
        for place in WEIGHTS:
            if place < len(inputs) and (name := self._text(*inputs[place])):
                self._uses.setdefault(name, Use(kind, place, layer, number))

    def _read_tensor(self, start: int, stop: int, *, given: str = "", inner: bool = False) -> None:
        """Note where a tensor lies, by its own name or one that is given; of inner graphs two may use one name."""
        shape: list[int] = []
        kind, name, outside = 0, "", False
        places: list[tuple[int, int, int]] = []
        notes: dict[str, str] = {}
        for number, wire, begin, end in self._walk(start, stop):
            if number == _DIMS:
                shape += [begin] if wire == 0 else self._varints(begin, end)
            elif number == _TYPE and wire == 0:
                kind = begin
            elif number == _NAME and wire == 2:
                name = self._text(begin, end, MAX_NAME)
            elif number == _LOCATION and wire == 0:
                outside = begin == 1
            elif number == _EXTERNAL and wire == 2:
                key, value = self._pair(begin, end)
                notes[key] = value
            elif number in (_RAW, _FLOATS, _DOUBLES) or number in _CODED:
                places.append((number, begin, end) if wire == 2 else (0, 0, 0))
        name = given or name or f"initializer.{len(self.entries)}"
        if name in self.entries and inner:
            name = f"{name}.{len(self.entries)}"
        if name in self.entries:
            raise self._refused("duplicate_name")
        if len(shape) > MAX_AXES or math.prod(max(1, axis) for axis in shape) > MAX_ELEMENTS:
            raise self._refused("absurd_shape")
        self.entries[name] = self._entry(name, kind, tuple(shape), places, notes if outside else None)

    def _entry(
        self,
        name: str,
        kind: int,
        shape: tuple[int, ...],
        places: list[tuple[int, int, int]],
        notes: Mapping[str, str] | None,
    ) -> Entry:
        dtype, bits = _TYPES.get(kind, (f"type {kind}", 0))
        size = math.prod(shape) * bits // 8
        if notes is not None and bits:
            return self._outside(dtype, shape, size, notes)
        if not places and not size:
            return Entry(self._file, dtype, bits > 0, shape, 0, 0)
        number, start, stop = places[0] if len(places) == 1 else (0, 0, 0)
        if number in _CODED and bits and stop - start <= CODED_BYTES:
            self.coded.add(name)
            return Entry(self._file, dtype, True, shape, start, stop)
        if not bits or number not in (_RAW, _FLOATS, _DOUBLES):
            # Values in several pieces, numbers of four bits: other tensors are used.
            return Entry(self._file, dtype if not bits else f"scattered {dtype}", False, shape, start, stop)
        if stop - start != size:
            raise self._refused("wrong_size")
        return Entry(self._file, dtype, True, shape, start, stop)

    def _outside(self, dtype: str, shape: tuple[int, ...], size: int, notes: Mapping[str, str]) -> Entry:
        """Values in a file beside this one: only one whose name begins with this one's, never a path."""
        location = notes.get("location", "").removeprefix("./")
        if not location or location in (".", "..") or any(mark in location for mark in "/\\:\0"):
            raise UserError("unsafe_path", file=location)
        file = self._beside.get(location)
        if file is None:
            raise UserError("missing_shard", name=self._ref.name, file=location, count=1, total=2)
        numbers = [notes.get("offset", "0"), notes.get("length", str(size))]
        if not all(text.isascii() and text.isdecimal() and len(text) < 19 for text in numbers):
            raise self._refused("bad_entry")
        offset, length = map(int, numbers)
        if length != size:
            raise self._refused("wrong_size")
        if offset + length > file.size:
            raise UserError("truncated", file=file.name)
        return Entry(file, dtype, True, shape, offset, offset + length)

    def _walk(self, start: int, stop: int) -> Iterator[Field]:
        """The fields between two places: number, wire type, and the value or where it begins and ends."""
        place = start
        while place < stop:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise self._refused("too_many_entries")
            key, place = self._number(place, stop)
            number, wire = key >> 3, key & 7
            if wire not in (0, 1, 2, 5) or not number:
                raise self._refused("not_onnx")
            if wire == 0:
                value, place = self._number(place, stop)
                yield number, wire, value, 0
                continue
            size = {1: 8, 5: 4}.get(wire, 0)
            if wire == 2:
                size, place = self._number(place, stop)
            if place + size > stop:
                raise UserError("truncated", file=self._file.name)
            yield number, wire, place, place + size
            place += size

    def _number(self, place: int, stop: int) -> tuple[int, int]:
        """The number at a place, and the place after it."""
        inside, have = place - self._start, len(self._data)
        if inside < 0 or (inside + 10 > have and self._start + have < self._file.size):
            piece = _PIECE if 0 <= inside <= have + _STEP else _STEP
            self._start, self._data = place, self._file.read(place, min(self._file.size, place + piece))
            inside = 0
        try:
            number, after = _varint(self._data, inside)
        except ValueError:
            raise self._refused("not_onnx") from None
        if self._start + after > stop:
            raise UserError("truncated", file=self._file.name)
        return number, self._start + after

    def _varints(self, start: int, stop: int) -> list[int]:
        if stop - start > 10 * MAX_AXES:
            raise self._refused("absurd_shape")
        found = []
        while start < stop:
            number, start = self._number(start, stop)
            found.append(number)
        return found

    def _text(self, start: int, stop: int, limit: int = MAX_TEXT) -> str:
        if stop - start > limit:
            raise self._refused("name_too_long")
        return bytes(self._file.read(start, stop)).decode("utf-8", "replace")

    def _pair(self, start: int, stop: int) -> tuple[str, str]:
        found = {number: self._text(begin, end) for number, wire, begin, end in self._walk(start, stop) if wire == 2}
        return found.get(1, ""), found.get(2, "")

    def _refused(self, why: str) -> UserError:
        return UserError("bad_header", file=self._file.name, why=why)


def _may_be_learned(entry: Entry) -> bool:
    return "float" in entry.dtype and math.prod(entry.shape) > 1


def _varint(data: bytes | bytearray, place: int) -> tuple[int, int]:
    """The number at a place of a protocol buffer and the place after it. Raises ValueError where it does not end."""
    number = shift = 0
    for byte in data[place : place + 10]:
        number |= (byte & 127) << shift
        place += 1
        if byte < 128:
            return number & ((1 << 64) - 1), place
        shift += 7
    raise ValueError("a number without end")
