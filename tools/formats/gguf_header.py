"""The header of a GGUF file: its key-value pairs and where its tensors lie, read piece by piece and bounded.

It comes from strangers and may lie far away: every claim is checked against limits and the file's size, and only as
much is fetched as the header needs. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tools.checkpoint import GIT_LFS, MAX_NAME, MAX_TENSORS, StoredFile, in_words
from tools.errors import UserError

# A vocabulary of 256,000 tokens with its merges makes a header of about 15 MB.
HEADER_BYTES = 64_000_000
MAX_PAIRS = 10_000
MAX_STRING = 1_000_000
MAX_ITEMS = 2_000_000
# The first piece holds all of a header without vocabulary; each further piece is twice as long.
FIRST_PIECE = 1 << 20
# The format's own limit of axes, and what keeps a product of them a number that a file can have.
MAX_AXES = 4
MAX_ELEMENTS = 1 << 50
# Arrays of text that say something about a model; of the others only the length is kept.
KEPT_ARRAYS = frozenset({"tokenizer.ggml.tokens", "tokenizer.ggml.merges"})

_MAGIC = b"GGUF"
_STRING, _ARRAY = 8, 9
# Type of a value -> how struct reads it.
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_ALIGNMENT = "general.alignment"


@dataclass(frozen=True)
class TensorInfo:
    """What a header says of one tensor: its type's number in ggml, its shape with rows first, and where its bytes lie.

    `stop` is None where the type is not known, and with it the size.
    """

    type: int
    shape: tuple[int, ...]
    start: int
    stop: int | None


@dataclass(frozen=True)
class Header:
    """What one GGUF file says of itself. Text is kept as bytes in arrays, as str elsewhere."""

    pairs: Mapping[str, Any]
    tensors: Mapping[str, TensorInfo]


class _Cursor:
    """Reads a file from its beginning, fetching pieces as they are needed."""

    def __init__(self, file: StoredFile) -> None:
        self.file = file
        self.place = 0
        self.items = 0
        self._data = bytearray()

    def take(self, size: int) -> bytes:
        """The next bytes. Raises UserError where the file or the limit of a header ends before."""
        stop = self.place + size
        self._reach(stop)
        found = bytes(self._data[self.place : stop])
        self.place = stop
        return found

    def skip(self, size: int) -> None:
        self._reach(self.place + size)
        self.place += size

    def scalar(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def text(self, limit: int = MAX_STRING) -> bytes:
        size = self.scalar("<Q")
        if size > limit:
            raise self.refused("name_too_long")
        return self.take(size)

    def texts(self, count: int, keep: bool) -> list[bytes]:
        """The next strings; a loop of its own, since vocabularies have hundreds of thousands."""
        found: list[bytes] = []
        length = struct.Struct("<Q").unpack_from
        place = self.place
        for _ in range(count):
            if place + 8 > len(self._data):
                self._reach(place + 8)
            size = length(self._data, place)[0]
            if size > MAX_STRING:
                raise self.refused("name_too_long")
            stop = place + 8 + size
            if stop > len(self._data):
                self._reach(stop)
            if keep:
                found.append(bytes(self._data[place + 8 : stop]))
            place = stop
        self.place = place
        return found

    def refused(self, why: str) -> UserError:
        return UserError("bad_header", file=self.file.name, why=why)

    def _reach(self, stop: int) -> None:
        if stop > HEADER_BYTES:
            limit = in_words(HEADER_BYTES)
            raise UserError("header_too_large", file=self.file.name, size=f"{stop:,}", limit=limit)
        if stop > self.file.size:
            raise UserError("truncated", file=self.file.name)
        while stop > len(self._data):
            have = len(self._data)
            piece = max(FIRST_PIECE, have + FIRST_PIECE, stop - have)
            self._data += self.file.read(have, min(have + piece, self.file.size))


def read_header(file: StoredFile, sizes: Mapping[int, tuple[int, int]]) -> Header:
    """Return what a GGUF file says of itself; `sizes` gives for each type the values and bytes of one block.

    Raises UserError: truncated, pointer_file, bad_header, header_too_large, too_many_tensors, overlapping_tensors.
    """
    if file.size < len(GIT_LFS):
        raise UserError("truncated", file=file.name)
    cursor = _Cursor(file)
    magic = cursor.take(len(_MAGIC))
    if magic == GIT_LFS[: len(_MAGIC)]:
        raise UserError("pointer_file", file=file.name)
    # Version 1 was in use for a few weeks; big-endian files show as a huge version.
    if magic != _MAGIC or cursor.scalar("<I") not in (2, 3):
        raise cursor.refused("not_gguf")
    tensors, pairs = cursor.scalar("<Q"), cursor.scalar("<Q")
    if tensors > MAX_TENSORS:
        raise UserError("too_many_tensors", file=file.name, limit=f"{MAX_TENSORS:,}")
    if pairs > MAX_PAIRS:
        raise cursor.refused("too_many_entries")
    found: dict[str, Any] = {}
    for _ in range(pairs):
        key = cursor.text(MAX_NAME).decode("utf-8", "replace")
        if key in found:
            raise cursor.refused("duplicate_name")
        found[key] = _value(cursor, key)
    claims = [_claim(cursor) for _ in range(tensors)]
    alignment = found.get(_ALIGNMENT, 32)
    if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
        raise cursor.refused("bad_entry")
    begin = -(-cursor.place // alignment) * alignment
    return Header(found, _places(cursor, claims, begin, sizes))


def _value(cursor: _Cursor, key: str) -> Any:
    kind = cursor.scalar("<I")
    if kind == _STRING:
        return cursor.text().decode("utf-8", "replace")
    if kind == _ARRAY:
        return _array(cursor, key)
    if kind not in _SCALARS:
        raise cursor.refused("bad_entry")
    return cursor.scalar(_SCALARS[kind])


def _array(cursor: _Cursor, key: str) -> Any:
    """An array's texts where they are wanted, its numbers where they are few (one for each layer), else None."""
    kind, count = cursor.scalar("<I"), cursor.scalar("<Q")
    cursor.items += count
    if count > MAX_ITEMS or cursor.items > 2 * MAX_ITEMS:
        raise cursor.refused("too_many_entries")
    if kind == _STRING:
        keep = key in KEPT_ARRAYS
        texts = cursor.texts(count, keep)
        return texts if keep else None
    if kind not in _SCALARS:
        raise cursor.refused("nested_too_deep" if kind == _ARRAY else "bad_entry")
    size = struct.calcsize(_SCALARS[kind])
    if count > MAX_NAME or key in KEPT_ARRAYS:
        cursor.skip(count * size)
        return None
    data = cursor.take(count * size)
    return [row[0] for row in struct.iter_unpack(_SCALARS[kind], data)]


def _claim(cursor: _Cursor) -> tuple[str, tuple[int, ...], int, int]:
    try:
        name = cursor.text(MAX_NAME).decode("utf-8")
    except UnicodeDecodeError:
        raise cursor.refused("bad_entry") from None
    axes = cursor.scalar("<I")
    if axes > MAX_AXES:
        raise cursor.refused("absurd_shape")
    # The first axis of the file runs fastest; here it comes last.
    shape = tuple(cursor.scalar("<Q") for _ in range(axes))[::-1]
    if math.prod(max(1, axis) for axis in shape) > MAX_ELEMENTS:
        raise cursor.refused("absurd_shape")
    return name, shape, cursor.scalar("<I"), cursor.scalar("<Q")


def _places(
    cursor: _Cursor,
    claims: list[tuple[str, tuple[int, ...], int, int]],
    begin: int,
    sizes: Mapping[int, tuple[int, int]],
) -> dict[str, TensorInfo]:
    found: dict[str, TensorInfo] = {}
    for name, shape, kind, offset in claims:
        if name in found:
            raise cursor.refused("duplicate_name")
        values, size = sizes.get(kind, (1, 0))
        if (shape[-1] if shape else 1) % values:
            raise cursor.refused("wrong_size")
        start = begin + offset
        stop = start + math.prod(shape) // values * size if kind in sizes else None
        if (stop or start) > cursor.file.size:
            raise UserError("truncated", file=cursor.file.name)
        found[name] = TensorInfo(kind, shape, start, stop)
    end = begin
    for name, place in sorted(found.items(), key=lambda item: (item[1].start, item[1].stop or item[1].start)):
        if place.start < end:
            raise UserError("overlapping_tensors", file=cursor.file.name, tensor=name)
        end = place.stop or place.start
    return found
