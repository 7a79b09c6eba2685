"""The safetensors format: a length, a JSON header, and the bytes of the tensors one after the other.

The header is read by our own parser, because it comes from strangers: every claim in it is checked against
the file before a byte of weights is read. Format: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from tools.checkpoint import GIT_LFS, MAX_NAME, MAX_TENSORS, ModelFiles, StoredFile, in_words, join_shards
from tools.errors import UserError
from tools.formats.json_text import NotAnObject, parse_object
from tools.formats.plain import Entry, PlainCheckpoint
from tools.formats.stacked import one_by_one

# The limit of the format's own library.
HEADER_BYTES = 100_000_000
# A header of 200,000 tensors needs about 1.6 million commas.
MAX_COMMAS = 2_500_000
# The most axes that PyTorch works with is 64; published weights have at most 6.
MAX_AXES = 32
# A tensor without elements takes no bytes; its other axes must be bounded all the same, for strides to hold.
MAX_ELEMENTS = 1 << 50
_LENGTH = 8
# Name in the format -> (name in PyTorch, or None where it has none; bits of one element).
_TYPES: dict[str, tuple[str | None, int]] = {
    "BOOL": ("bool", 8),
    "U8": ("uint8", 8),
    "I8": ("int8", 8),
    "U16": ("uint16", 16),
    "I16": ("int16", 16),
    "U32": ("uint32", 32),
    "I32": ("int32", 32),
    "U64": ("uint64", 64),
    "I64": ("int64", 64),
    "F16": ("float16", 16),
    "BF16": ("bfloat16", 16),
    "F32": ("float32", 32),
    "F64": ("float64", 64),
    "C64": ("complex64", 64),
    "F8_E4M3": ("float8_e4m3fn", 8),
    "F8_E5M2": ("float8_e5m2", 8),
    "F8_E8M0": ("float8_e8m0fnu", 8),
    "F8_E4M3FNUZ": ("float8_e4m3fnuz", 8),
    "F8_E5M2FNUZ": ("float8_e5m2fnuz", 8),
    "F6_E2M3": (None, 6),
    "F6_E3M2": (None, 6),
    "F4": (None, 4),
}


class SafetensorsCheckpoint(PlainCheckpoint):
    """A model in one or several safetensors files; only the bytes asked for are read."""

    def __init__(self, model: ModelFiles) -> None:
        """Read the headers; `weight_map` decides where several files hold the same name. Raises UserError."""
        super().__init__(model, one_by_one(join_shards(model, read_header), model.config, _expert))


def _expert(stack: Entry, number: int, shape: tuple[int, ...]) -> Entry:
    size = (stack.stop - stack.start) * math.prod(shape) // max(1, math.prod(stack.shape))
    return replace(stack, shape=shape, start=stack.start + number * size, stop=stack.start + (number + 1) * size)


def read_header(file: StoredFile) -> dict[str, Entry]:
    """Return the tensors of a file in the order of its header. Raises UserError where a claim is false."""
    if file.size < _LENGTH:
        raise UserError("truncated", file=file.name)
    start = bytes(file.read(0, min(file.size, len(GIT_LFS))))
    if start == GIT_LFS:
        raise UserError("pointer_file", file=file.name)
    length = int.from_bytes(start[:_LENGTH], "little")
    if length > HEADER_BYTES:
        raise UserError("header_too_large", file=file.name, size=length, limit=in_words(HEADER_BYTES))
    if _LENGTH + length > file.size:
        raise UserError("truncated", file=file.name)
    header = _parse(file, bytes(file.read(_LENGTH, _LENGTH + length)))
    entries = {name: _entry(file, name, claim, _LENGTH + length) for name, claim in header.items()}
    _check_layout(file, entries, _LENGTH + length)
    return entries


def _parse(file: StoredFile, data: bytes) -> dict[str, Any]:
    try:
        header = parse_object(data, max_commas=MAX_COMMAS, unique_names=True)
    except NotAnObject as error:
        raise UserError("bad_header", file=file.name, why=error.why) from None
    header.pop("__metadata__", None)
    if len(header) > MAX_TENSORS:
        raise UserError("too_many_tensors", file=file.name, limit=f"{MAX_TENSORS:,}")
    return header


def _entry(file: StoredFile, name: str, claim: Any, base: int) -> Entry:
    def refused(why: str) -> UserError:
        return UserError("bad_header", file=file.name, why=why)

    if len(name) > MAX_NAME:
        raise refused("name_too_long")
    if not isinstance(claim, dict):
        raise refused("bad_entry")
    dtype, shape, place = (claim.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or not 0 < len(dtype) <= 32:
        raise refused("bad_entry")
    if not isinstance(shape, list) or not all(map(_is_count, shape)):
        raise refused("absurd_shape")
    if len(shape) > MAX_AXES or math.prod(max(1, axis) for axis in shape) > MAX_ELEMENTS:
        raise refused("absurd_shape")
    if not isinstance(place, list) or len(place) != 2 or not all(map(_is_count, place)) or place[0] > place[1]:
        raise refused("bad_entry")
    start, stop = place
    if base + stop > file.size:
        raise UserError("truncated", file=file.name)
    torch_name, bits = _TYPES.get(dtype, (None, 0))
    if bits and 8 * (stop - start) != bits * math.prod(shape):
        raise refused("wrong_size")
    known = torch_name is not None
    return Entry(file, torch_name or dtype.lower(), known, tuple(shape), base + start, base + stop)


def _is_count(value: object) -> bool:
    # True and False are whole numbers to isinstance.
    return type(value) is int and value >= 0


def _check_layout(file: StoredFile, entries: dict[str, Entry], base: int) -> None:
    """Check that the tensors fill the file from the header to its end, each byte once."""
    end = base
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start < end:
            raise UserError("overlapping_tensors", file=file.name, tensor=name)
        if entry.start > end:
            raise UserError("bad_header", file=file.name, why="bytes_without_owner")
        end = entry.stop
    if end != file.size:
        raise UserError("bad_header", file=file.name, why="bytes_without_owner")
