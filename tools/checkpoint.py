"""A checkpoint: the weights of one model, pinned, read one tensor (or some rows of one) at a time."""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeVar, runtime_checkable

from tools.errors import UserError

if TYPE_CHECKING:
    import torch

# A side file is a page of settings or a vocabulary; the largest tokenizer seen in public is about 35 MB.
SIDE_FILE_BYTES = 64_000_000
# The largest mixture-of-experts models published have about 90,000 tensors over all their shards.
MAX_TENSORS = 200_000
# Read at once of values that have to be decoded: a disk does it in far less than the half second of a stop.
READ_AT_ONCE = 8 * 2**20
# How a file begins that only says where the weights lie, as a clone without Git LFS leaves it.
GIT_LFS = b"version https://git-lfs"
# The longest tensor names published have about 150 characters.
MAX_NAME = 1_000

Found = TypeVar("Found")
# True once the user has pressed Stop; asked often, so it must be cheap.
Stop = Callable[[], bool]
# A tensor that will be read soon, and which of its rows: first and one past the last, or None for all of it.
Wanted = tuple[str, int | None, int | None]


@dataclass(frozen=True)
class ModelRef:
    """The name a user gave to a model, and the commit it is pinned to where one is known.

    `pinned` fixes every byte of a model that everybody may see: a hub's address, repository, commit and path. It is
    empty where bytes can change, or not everybody may see them.
    """

    name: str
    revision: str | None
    pinned: tuple[str, ...] = ()


class StoredFile(Protocol):
    """One regular file of a model, wherever it lies. Raises UserError once it is not what was found."""

    @property
    def name(self) -> str:
        """The name inside the model, with forward slashes."""

    @property
    def path(self) -> Path | None:
        """Where it lies on this machine; None for a file elsewhere, which only `read` reaches."""

    @property
    def size(self) -> int:
        """Its size in bytes."""

    def read(self, start: int, stop: int) -> bytearray:
        """Return the bytes from start up to stop, as a copy.

        Raises UserError where the file has no such bytes, Cancelled within half a second of a stop.
        """

    def expect(self, ranges: Sequence[tuple[int, int]]) -> None:
        """These bytes will be read soon, each (start, stop): a file elsewhere fetches them together, at once.

        What was expected is not read twice from afar; it may be forgotten once it has been read. Raises as `read`.
        """

    @property
    def stated_sha256(self) -> str | None:
        """The digest that whoever stores the file states, in hexadecimal; None where it has to be computed."""

    def sha256(self) -> str | None:
        """Return the digest in hexadecimal, or None for a file too large to hash."""


@runtime_checkable
class OpenableFile(StoredFile, Protocol):
    """A file of this machine, which the system can read by itself."""

    def opened(self) -> AbstractContextManager[int]:
        """The number under which the file is open; raises as `read` where it is not what was found."""


@dataclass(frozen=True)
class Place:
    """Where numbers lie one after the other, as they are: `file` from byte `start` up to `stop`."""

    file: OpenableFile
    start: int
    stop: int


@runtime_checkable
class FetchedFile(StoredFile, Protocol):
    """A file that comes from elsewhere, ahead of being read."""

    @property
    def bytes_fetched(self) -> int:
        """How many of its bytes have come so far."""


@dataclass(frozen=True)
class ModelFiles:
    """The files of one model; nothing of the weights is read yet. `format` is None without weights.

    `adapter_files`: how many of the weight files only hold a change to what the others hold.
    """

    ref: ModelRef
    format: str | None
    config: Mapping[str, object] = field(default_factory=dict)
    weight_files: Sequence[StoredFile] = ()
    weight_map: Mapping[str, str] = field(default_factory=dict)
    declared_bytes: int | None = None
    side_files: Mapping[str, StoredFile] = field(default_factory=dict)
    adapter_files: int = 0


class Checkpoint(ABC):
    """The weights of one model and what lies beside them. Nothing in it is ever executed.

    `shapes` and `dtypes` are in file order and empty without weights. `declared_names` and `declared_bytes`
    are what the model says of itself, even where its weights are absent. `undecoded` names the tensors whose
    values cannot be decoded here, each with what it is stored as; no number format has that name. `stored_as` has what
    the file holds of each tensor, where `dtypes` has what reading gives. `names_code`: beside its numbers a file names
    code of other libraries, which others may run to open it. `bytes_read` counts the bytes of tensors read
    so far (neither headers nor hashing), `bytes_total` is the size of the weight files.
    """

    def __init__(
        self,
        model: ModelFiles,
        *,
        shapes: Mapping[str, tuple[int, ...]],
        dtypes: Mapping[str, str],
        tensor_bytes: int | None = None,
        declared_names: Sequence[str] | None = None,
    ) -> None:
        """Keep what is known of the model; no tensor is read yet.

        `tensor_bytes` is declared where no index says another sum; without `declared_names` those of `shapes` are.
        """
        if model.declared_bytes is None:
            model = replace(model, declared_bytes=tensor_bytes)
        self.model = model
        self.ref = model.ref
        self.format = model.format
        self.config = dict(model.config)
        self.shapes = dict(shapes)
        self.dtypes = dict(dtypes)
        self.declared_names = tuple(shapes if declared_names is None else declared_names)
        self.declared_bytes = model.declared_bytes
        self.weight_files = tuple(model.weight_files)
        self.side_files = dict(model.side_files)
        self.undecoded: dict[str, str] = {}
        self.names_code = False
        self.stored_as = dict(self.dtypes)
        self._seen: dict[str, int] = {}
        self._counting = threading.Lock()
        self.bytes_total = sum(file.size for file in self.weight_files)

    @property
    def bytes_read(self) -> int:
        """Bytes of tensors looked at so far; what is read again, for another question, is not new."""
        return sum(tuple(self._seen.values()))

    @property
    def bytes_fetched(self) -> int:
        """Bytes of the weight files that have come from elsewhere, with headers and gaps between what was wanted."""
        return sum(file.bytes_fetched for file in self.weight_files if isinstance(file, FetchedFile))

    def _count(self, name: str, read: int, whole: int) -> None:
        """Note that `read` of a tensor's `whole` bytes were read."""
        with self._counting:
            self._seen[name] = min(whole, self._seen.get(name, 0) + read)

    @property
    def has_weights(self) -> bool:
        """Whether there are tensors to read."""
        return bool(self.shapes)

    @property
    def parameters(self) -> int | None:
        """The number of elements over all tensors; None without weights."""
        return sum(math.prod(shape) for shape in self.shapes.values()) if self.has_weights else None

    @cached_property
    def files(self) -> dict[str, str | None]:
        """The SHA-256 of each weight file and each JSON file beside them; None for one too large to hash."""
        beside = [file for name, file in self.side_files.items() if name.endswith(".json")]
        return {file.name: file.sha256() for file in (*self.weight_files, *beside)}

    @abstractmethod
    def read(self, name: str) -> torch.Tensor:
        """Return a tensor in its own type, on the CPU, as a copy that may be written to.

        Raises KeyError for a name that is not in `shapes`, UserError for values that cannot be read.
        """

    def read_rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return the rows from start up to stop of the first axis, as a slice of `read` would be.

        Raises ValueError for a tensor without axes.
        """
        if not self.shapes[name]:
            raise ValueError("a tensor without axes has no rows")
        return self.read(name)[start:stop].clone()

    def read_blocks(self, name: str, start: int, stop: int, rows: int) -> Iterator[torch.Tensor]:
        """The rows from start up to stop in order, so many at a time; raises as `read`."""
        row_bytes = max(1, _row_bytes(self.shapes[name], self.dtypes[name]))
        many = max(1, READ_AT_ONCE // (row_bytes * rows)) * rows
        for first in range(start, stop, many):
            values = self.read_rows(name, first, min(stop, first + many))
            yield from (values[i : i + rows] for i in range(0, len(values), rows))

    def place(self, name: str, start: int, stop: int) -> Place | None:
        """Where the rows from start up to stop lie as they are read; None where they are decoded, or far away.

        Who reads them there says so by `count`.
        """
        return None

    def count(self, name: str, read: int) -> None:
        """Note that so many bytes of a tensor were read at its place."""
        self._count(name, read, _row_bytes(self.shapes[name], self.dtypes[name]) * self.shapes[name][0])

    def expect(self, wanted: Iterable[Wanted]) -> None:  # noqa: B027 - where reading is cheap there is nothing to do
        """These tensors, or rows of them, will be read soon; over a network they then come in few requests."""

    def side_file(self, name: str) -> bytes | None:
        """Return the file of this name beside the weights, or None. Raises UserError above 64 MB."""
        file = self.side_files.get(name)
        return None if file is None else read_whole(file, SIDE_FILE_BYTES)

    def close(self) -> None:  # noqa: B027 - most formats hold nothing open
        """Let go of the files; no tensor can be read afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MetadataCheckpoint(Checkpoint):
    """What a model says of itself where its weights are absent: configuration, tokenizer, tensor names."""

    def __init__(self, model: ModelFiles) -> None:
        """Keep what the model declares."""
        super().__init__(model, shapes={}, dtypes={}, declared_names=tuple(model.weight_map))

    def read(self, name: str) -> torch.Tensor:
        """Raise UserError: there are no weights."""
        raise UserError("no_weights", name=self.ref.name)

    def read_rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Raise UserError: there are no weights."""
        raise UserError("no_weights", name=self.ref.name)


def _row_bytes(shape: Sequence[int], dtype: str) -> int:
    import torch

    return math.prod(shape[1:]) * int(getattr(torch, dtype).itemsize)


def join_shards(model: ModelFiles, find: Callable[[StoredFile], Mapping[str, Found]]) -> dict[str, Found]:
    """Return what `find` sees in each weight file of a model as one mapping, in file order.

    A name that several files hold is taken from the one that `weight_map` says. Raises UserError where it
    says nothing (they are not parts of one model), where there are too many tensors, and where there are none.
    """
    joined: dict[str, Found] = {}
    owner: dict[str, str] = {}
    last = ""
    for file in model.weight_files:
        last = file.name
        for name, found in find(file).items():
            if name not in joined or model.weight_map.get(name) == file.name:
                joined[name], owner[name] = found, file.name
            elif model.weight_map.get(name) != owner[name]:
                raise UserError("tensor_twice", tensor=name, file=file.name, other=owner[name])
        if len(joined) > MAX_TENSORS:
            raise UserError("too_many_tensors", file=file.name, limit=f"{MAX_TENSORS:,}")
    if not joined:
        raise UserError("no_tensors", file=last)
    return joined


def expect_ranges(wanted: Iterable[tuple[StoredFile, int, int]]) -> None:
    """Tell each file which of its bytes, (start, stop), will be read soon."""
    ranges: dict[str, list[tuple[int, int]]] = {}
    files: dict[str, StoredFile] = {}
    for file, start, stop in wanted:
        if start < stop:
            files[file.name] = file
            ranges.setdefault(file.name, []).append((start, stop))
    for name, some in ranges.items():
        files[name].expect(some)


def read_whole(file: StoredFile, limit: int) -> bytes:
    """Return all bytes of a file. Raises UserError where it has more than `limit`."""
    if file.size > limit:
        raise UserError("too_large_file", file=file.name, limit=in_words(limit))
    return bytes(file.read(0, file.size))


def in_words(size: int) -> str:
    """Return a number of bytes as a person would say it: 100 MB, 2 GB."""
    return f"{size / 10**9:g} GB" if size >= 10**9 else f"{size / 10**6:g} MB"
