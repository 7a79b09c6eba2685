"""Tensors that lie in files as they are, value after value: what safetensors and ONNX have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.checkpoint import Checkpoint, ModelFiles, OpenableFile, Place, StoredFile, Wanted, expect_ranges
from tools.errors import UserError

if TYPE_CHECKING:
    import torch

# The largest tensor of a published model is about 10 GB; a sparse file on disk may claim any size.
READ_BYTES = 32_000_000_000


@dataclass(frozen=True)
class Entry:
    """Where one tensor lies: bytes `start` to `stop` of its file. `dtype` is PyTorch's name if `readable`."""

    file: StoredFile
    dtype: str
    readable: bool
    shape: tuple[int, ...]
    start: int
    stop: int


class PlainCheckpoint(Checkpoint):
    """A model of which it is known where each tensor lies; only the bytes asked for are read."""

    def __init__(self, model: ModelFiles, entries: Mapping[str, Entry]) -> None:
        """Keep where the tensors lie."""
        super().__init__(
            model,
            shapes={name: entry.shape for name, entry in entries.items()},
            dtypes={name: entry.dtype for name, entry in entries.items()},
            tensor_bytes=sum(entry.stop - entry.start for entry in entries.values()),
        )
        self._entries = dict(entries)
        self.undecoded = {name: entry.dtype for name, entry in entries.items() if not entry.readable}

    def read(self, name: str) -> torch.Tensor:
        """Return a tensor in its own type, on the CPU, as a copy that may be written to."""
        entry = self._entries[name]
        return self._tensor(name, entry, entry.start, entry.stop, entry.shape)

    def read_rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return the rows from start up to stop of the first axis; reads only their bytes."""
        entry = self._entries[name]
        if not entry.shape:
            raise ValueError("a tensor without axes has no rows")
        begin, end, rows = _rows(entry, start, stop)
        return self._tensor(name, entry, begin, end, (rows, *entry.shape[1:]))

    def place(self, name: str, start: int, stop: int) -> Place | None:
        """Where the rows from start up to stop lie as they are read; None for bytes that are no numbers yet."""
        entry = self._entries[name]
        if not entry.readable or entry.dtype == "bool" or not isinstance(entry.file, OpenableFile):
            return None
        begin, end, _ = _rows(entry, start, stop)
        return Place(entry.file, begin, end)

    def expect(self, wanted: Iterable[Wanted]) -> None:
        """These tensors, or rows of them, will be read soon; over a network they then come in few requests."""
        expect_ranges(self._range(*one) for one in wanted if self._entries[one[0]].readable)

    def _range(self, name: str, first: int | None, last: int | None) -> tuple[StoredFile, int, int]:
        entry = self._entries[name]
        whole = not entry.shape or (first is None and last is None)
        start, stop = (entry.start, entry.stop) if whole else _rows(entry, first, last)[:2]
        return entry.file, start, stop

    def _tensor(self, name: str, entry: Entry, start: int, stop: int, shape: tuple[int, ...]) -> torch.Tensor:
        import torch

        if not entry.readable:
            raise UserError("unknown_tensor_type", tensor=name, dtype=entry.dtype)
        if stop - start > READ_BYTES:
            raise UserError("too_large_tensor", tensor=name)
        dtype: torch.dtype = getattr(torch, entry.dtype)
        if start == stop:
            return torch.empty(shape, dtype=dtype)
        try:
            data = entry.file.read(start, stop)
        except MemoryError:
            raise UserError("too_large_tensor", tensor=name) from None
        self._count(name, stop - start, entry.stop - entry.start)
        if dtype is torch.bool:
            # A byte other than 0 and 1 is no bool; to PyTorch its value is undefined.
            return (torch.frombuffer(data, dtype=torch.uint8) != 0).reshape(shape)
        return torch.frombuffer(data, dtype=dtype).reshape(shape)


def _rows(entry: Entry, first: int | None, last: int | None) -> tuple[int, int, int]:
    """Where the rows from first up to last lie in the file, and how many they are."""
    first, last, _ = slice(first, last).indices(entry.shape[0])
    rows = max(0, last - first)
    row_bytes = (entry.stop - entry.start) // max(1, entry.shape[0])
    begin = entry.start + first * row_bytes
    return begin, begin + rows * row_bytes, rows
