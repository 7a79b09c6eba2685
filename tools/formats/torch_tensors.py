"""What the pickle of a PyTorch file says of its tensors: names, shapes, and which bytes of which storage they show.

The pickle comes as `tools.formats.pickled` followed it: calls that were never made. Their meaning is taken from
https://github.com/pytorch/pytorch torch/_utils.py
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tools.checkpoint import MAX_NAME, MAX_TENSORS, StoredFile
from tools.errors import UserError
from tools.formats.pickled import Call, Kept, Name, Table

# A view may show one stored value many times; beyond this it is an attack on memory and no buffer.
EXPANDED_BYTES = 256_000_000
# The most axes that PyTorch works with.
MAX_AXES = 64

# Under these keys training scripts keep the weights, beside epoch, optimizer and the like.
_WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "network",
    "params",
    "weights",
)
_NOT_WEIGHTS = frozenset(
    {
        "optimizer",
        "optimizer_state_dict",
        "optimizer_state",
        "optimizer_states",
        "optimizers",
        "optim",
        "optim_state_dict",
        "lr_scheduler",
        "lr_schedulers",
        "scheduler",
        "scheduler_state_dict",
        "scaler",
        "scaler_state_dict",
        "rng_state",
    }
)
_MAX_DEPTH = 8
# Modules lie deeper in each other than tables do.
_MAX_NESTING = 40
_PARTS_OF_MODULES = ("_parameters", "_buffers", "_modules")
# The name of every type in a TorchScript archive begins so; the attributes of one are its parameters and modules.
_SCRIPTED = "__torch__."

# Type of a storage -> (name of its values' type, bytes of one).
_STORAGES = {
    "Double": ("float64", 8),
    "Float": ("float32", 4),
    "Half": ("float16", 2),
    "BFloat16": ("bfloat16", 2),
    "Long": ("int64", 8),
    "Int": ("int32", 4),
    "Short": ("int16", 2),
    "Char": ("int8", 1),
    "Byte": ("uint8", 1),
    "Bool": ("bool", 1),
    "ComplexDouble": ("complex128", 16),
    "ComplexFloat": ("complex64", 8),
    "Untyped": ("", 1),
}
_OTHER_TYPES = {"uint16": 2, "uint32": 4, "uint64": 8} | {
    f"float8_{kind}": 1 for kind in ("e4m3fn", "e5m2", "e8m0fnu", "e4m3fnuz", "e5m2fnuz")
}
_SIZES = dict(_STORAGES.values()) | _OTHER_TYPES
_REBUILD = "torch._utils._rebuild_"
_ODD = {
    "sparse_tensor": "sparse",
    "sparse_csr_tensor": "sparse",
    "qtensor": "quantised by PyTorch",
    "meta_tensor_no_storage": "without values",
}

_ZIP_START = b"PK\x03\x04"
_ZIP_LOCAL_BYTES = 30
# PyTorch lets the numbers of a storage begin at a multiple of this.
_ALIGNMENT = 64


@dataclass(eq=False)
class Storage:
    """A row of numbers in a file. `start` is known once the archive's own note before it was read."""

    file: StoredFile
    size: int
    start: int | None
    header: int = 0
    name_length: int = 0

    def begin(self) -> int:
        """Where its bytes begin. Raises UserError where the archive's note is damaged or leads out of the file."""
        if self.start is None:
            self.start = after_local_header(self.file, self.header)
            if self.start + self.size > self.file.size:
                raise UserError("truncated", file=self.file.name)
        return self.start

    def ranges(self, first: int, last: int) -> Iterator[tuple[StoredFile, int, int]]:
        """What will be read for the bytes from first up to last: a guess, until the archive's note was read."""
        start = self.start
        if start is None:
            yield self.file, self.header, self.header + _ZIP_LOCAL_BYTES
            start = -(-(self.header + _ZIP_LOCAL_BYTES + self.name_length + 4) // _ALIGNMENT) * _ALIGNMENT
        yield self.file, start + first, min(start + last, self.file.size)


@dataclass(frozen=True)
class StoredTensor:
    """A view into a storage; `odd` says what it is where its values cannot be had."""

    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...] = ()
    offset: int = 0
    storage: Storage | None = None
    odd: str | None = None

    @property
    def size(self) -> int:
        """Bytes of its values, each counted as often as it is shown."""
        return 0 if self.odd else math.prod(self.shape) * _SIZES[self.dtype]

    def span(self) -> tuple[int, int]:
        """The bytes of its storage that it shows, from the first to one past the last."""
        if not math.prod(self.shape):
            return 0, 0
        last = self.offset + sum((length - 1) * step for length, step in zip(self.shape, self.stride, strict=True))
        return self.offset * _SIZES[self.dtype], (last + 1) * _SIZES[self.dtype]

    def rows(self, start: int | None, stop: int | None) -> StoredTensor:
        """Some rows of it."""
        if not self.shape or self.odd:
            return self
        first, last, _ = slice(start, stop).indices(self.shape[0])
        shape, offset = (max(0, last - first), *self.shape[1:]), self.offset + first * self.stride[0]
        return StoredTensor(self.dtype, shape, self.stride, offset, self.storage)


def after_local_header(file: StoredFile, header: int, method: int = 0) -> int:
    """Where the bytes of an archive's part begin: after a note of its own, whose length only the note tells.

    Raises UserError where there is no such note, or it names another method of compression.
    """
    note = file.read(header, header + _ZIP_LOCAL_BYTES)
    if not note.startswith(_ZIP_START) or note[8:10] != method.to_bytes(2, "little"):
        raise UserError("unreadable_archive", file=file.name, why="damaged")
    return header + _ZIP_LOCAL_BYTES + int.from_bytes(note[26:28], "little") + int.from_bytes(note[28:30], "little")


@dataclass(frozen=True)
class StoragePlace:
    """What a pickle says of a storage: its key, its type, how many values of how many bytes, where a view begins."""

    key: str
    dtype: str
    count: int
    item: int
    offset: int
    absent: bool


def stored_at(kept: Kept) -> StoragePlace:
    """Read the note of a storage. Raises ValueError, KeyError or TypeError for any other note."""
    _, kind, key, location, count, *view = kept.key
    if not isinstance(kind, Name) or not isinstance(key, str) or not _is_count(count):
        raise ValueError("no note of a storage")
    dtype, item = _STORAGES[kind.path.rpartition(".")[2].removesuffix("Storage")]
    offset = view[0][1] if view and view[0] is not None else 0
    if not _is_count(offset):
        raise ValueError("no place")
    return StoragePlace(key, dtype, count, item, offset, location == "meta")


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 60


def _tensor_of(value: Any, storage: Callable[[str], Storage]) -> StoredTensor | None:
    """The tensor that a call in the pickle stands for, or None for anything else. Raises ValueError for false ones."""
    for _ in range(_MAX_DEPTH):
        if not isinstance(value, Call) or value.path is None:
            return None
        given = value.arguments
        if value.path.startswith(f"{_REBUILD}parameter") and given:
            value = given[0]
        elif value.path == "torch._tensor._rebuild_from_type_v2" and len(given) > 2 and isinstance(given[0], Name):
            value = Call(given[0].path, given[2])
        else:
            break
    kind = value.path.removeprefix(_REBUILD)
    if kind in ("tensor", "tensor_v2", "tensor_v3"):
        return _view(given, storage, kind)
    if not value.path.startswith(_REBUILD):
        return None
    # The first tuple of whole numbers is the shape, also within the description of a sparse tensor.
    groups = [given, *(group for group in given if isinstance(group, tuple))]
    shapes = [part for group in groups for part in map(_size, group) if part is not None]
    return StoredTensor("", shapes[0] if shapes else (), odd=_ODD.get(kind, "of a kind that is not read here"))


def _size(value: Any) -> tuple[int, ...] | None:
    """A shape: a tuple of whole numbers, or a call of torch.Size."""
    if isinstance(value, Call) and value.path == "torch.Size" and value.arguments:
        value = value.arguments[0]
    value = tuple(value) if isinstance(value, list) else value
    fits = isinstance(value, tuple) and 0 < len(value) <= MAX_AXES and all(map(_is_count, value))
    return value if fits else None


def _view(given: tuple[Any, ...], storage: Callable[[str], Storage], kind: str) -> StoredTensor:
    kept, offset, shape, stride, *rest = given
    place = stored_at(kept)
    shape, stride = (_size(side) if side else () for side in (shape, stride))
    if not _is_count(offset) or shape is None or stride is None or len(shape) != len(stride):
        raise ValueError("no view of a storage")
    dtype = place.dtype
    if kind == "tensor_v3":
        dtype = rest[2].path.removeprefix("torch.")
    marks = rest[-1].items if rest and isinstance(rest[-1], Table) else {}
    if place.absent or any(marks.values()):
        return StoredTensor(dtype, shape, odd="without values" if place.absent else "seen through a change of sign")
    tensor = StoredTensor(dtype, shape, stride, offset + place.offset, storage(place.key))
    stored = tensor.storage.size if tensor.storage else 0
    if tensor.span()[1] > stored or tensor.size > max(stored, EXPANDED_BYTES):
        raise ValueError("a view larger than what is stored")
    return tensor


def named_tensors(loaded: Any, storage: Callable[[str], Storage]) -> dict[str, StoredTensor]:
    """Return the tensors of what a pickle holds by name: of the state dict if one is wrapped, else of all parts.

    Names of nested parts are joined by dots. Raises ValueError for what no model has.
    """
    if _is_tensor(loaded):
        table = Table()
        table.put("tensor", loaded)
        loaded = table
    for _ in range(_MAX_DEPTH):
        inner = _unwrapped(loaded)
        if inner is None:
            break
        loaded = inner
    named: dict[str, StoredTensor] = {}
    for name, value in _walk(loaded, "", 0, set()):
        name.encode("utf-8")
        tensor = _tensor_of(value, storage)
        if name in named or len(name) > MAX_NAME or len(named) >= MAX_TENSORS:
            raise ValueError("names that no model has")
        if tensor is not None:
            named[name] = tensor
    return named


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Call) and value.path is not None and "._rebuild_" in value.path


def _is_matrix(value: Any) -> bool:
    """Whether a tensor's call, or what it wraps, holds a shape of two axes or more."""
    if not _is_tensor(value):
        return False
    inner = [part for part in value.arguments if _is_tensor(part) or isinstance(part, tuple)]
    parts = [*value.arguments, *(part for group in inner if isinstance(group, tuple) for part in group)]
    return any(len(_size(part) or ()) > 1 for part in parts) or any(map(_is_matrix, inner))


def _unwrapped(loaded: Any) -> Any:
    """Return the weights inside what a training script saved, or None where they lie open."""
    if isinstance(loaded, Call):
        return None
    items = dict(_items(loaded))
    # A matrix beside the wrapper is a weight, so the wrapper is a part of the model.
    if any(_is_matrix(value) for value in items.values()):
        return None
    for key in _WRAPPERS:
        if key in items and next(_walk(items[key], "", 0, set()), None) is not None:
            return items[key]
    return None


def _walk(loaded: Any, prefix: str, depth: int, seen: set[int]) -> Iterator[tuple[str, Any]]:
    # A pickle can hold itself, and then has no end.
    if depth > _MAX_NESTING or id(loaded) in seen:
        return
    seen.add(id(loaded))
    for key, value in _items(loaded):
        if _is_tensor(value):
            yield f"{prefix}{key}", value
        elif key not in _NOT_WEIGHTS:
            yield from _walk(value, f"{prefix}{key}.", depth + 1, seen)


def _items_of_module(module: Call) -> list[tuple[str, Any]]:
    """What a module that was saved whole would list of itself; nothing of other objects."""
    if not isinstance(module.state, Table):
        return []
    state = module.state.items
    if (module.path or "").startswith(_SCRIPTED):
        return [(str(key), value) for key, value in state.items()]
    left_out = state.get("_non_persistent_buffers_set")
    if isinstance(left_out, Call) and left_out.arguments:
        left_out = left_out.arguments[0]
    named = {
        key: value
        for kind in _PARTS_OF_MODULES
        if isinstance(part := state.get(kind), Table)
        for key, value in part.items.items()
        if not (kind == "_buffers" and isinstance(left_out, list) and key in left_out)
    }
    return [(str(key), value) for key, value in named.items()]


def _items(loaded: Any) -> list[tuple[str, Any]]:
    """Return the named values of a table or list, of a module its parameters, buffers and the modules in it."""
    if isinstance(loaded, Call):
        return _items_of_module(loaded)
    if isinstance(loaded, Table):
        return [(str(key), value) for key, value in loaded.items.items()]
    if isinstance(loaded, list | tuple):
        return [(str(index), value) for index, value in enumerate(loaded)]
    return []
