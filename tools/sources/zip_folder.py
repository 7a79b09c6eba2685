"""A model's folder in a zip archive, on this machine or on a hub: stored files are read in place, by ranges.

What an archive says of itself comes from strangers. Names that lead out of it, links, files listed twice or lying in
one another, and what expands too far are refused before anything is expanded.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO

from tools.checkpoint import MAX_NAME, StoredFile
from tools.errors import UserError
from tools.formats.torch_tensors import after_local_header
from tools.formats.zip_directory import read_directory

ARCHIVE_SUFFIX = ".zip"
# No model has so many files.
MOST_FILES = 10_000
# Compressed files are expanded to disk; what is larger is better unpacked once.
EXPANDED_BYTES = 4_000_000_000
# Trained weights shrink by a tenth or two, JSON twentyfold; small files of zeros may shrink further.
MOST_EXPANSION = 100
SMALL_BYTES = 1_000_000
HASHED_BYTES = 8_000_000_000

_PIECE = 1 << 22
_ENCRYPTED = 1
_MAC_FOLDER = "__MACOSX/"


@dataclass(frozen=True)
class _Member:
    """A file that lies in an archive."""

    name: str
    size: int
    archive: StoredFile
    header: int

    @property
    def path(self) -> Path | None:
        """None: it lies inside another file."""
        return None

    @property
    def stated_sha256(self) -> str | None:
        """None: an archive states no digests."""
        return None

    def _check(self, start: int, stop: int) -> None:
        """Raises UserError for bytes that it does not have."""
        if not 0 <= start <= stop <= self.size:
            raise UserError("truncated", file=self.name)


@dataclass(frozen=True)
class StoredMember(_Member):
    """A file that lies in an archive as it is."""

    @cached_property
    def _start(self) -> int:
        return after_local_header(self.archive, self.header)

    def read(self, start: int, stop: int) -> bytearray:
        """Return the bytes from start up to stop. Raises UserError, Cancelled."""
        self._check(start, stop)
        return self.archive.read(self._start + start, self._start + stop)

    def expect(self, ranges: Sequence[tuple[int, int]]) -> None:
        """These bytes will be read soon."""
        self.archive.expect([(self._start + start, self._start + min(stop, self.size)) for start, stop in ranges])

    def sha256(self) -> str | None:
        """Return the digest in hexadecimal, or None for what would have to be read from afar."""
        return _sha256(self, self.archive)


@dataclass(frozen=True)
class DeflatedMember(_Member):
    """A file that lies in an archive compressed; it is expanded to a nameless file on disk when it is first read."""

    compressed: int
    checksum: int
    _kept: list[IO[bytes]] = field(default_factory=list, repr=False, compare=False)

    def read(self, start: int, stop: int) -> bytearray:
        """Return the bytes from start up to stop. Raises UserError, Cancelled."""
        self._check(start, stop)
        if not self._kept:
            self._kept.append(self._expanded())
        self._kept[0].seek(start)
        data = bytearray(self._kept[0].read(stop - start))
        if len(data) != stop - start:
            raise UserError("changed_file", file=self.name)
        return data

    def expect(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Whatever is read, all of it is expanded."""

    def sha256(self) -> str | None:
        """Return the digest in hexadecimal, or None for what would have to be read from afar."""
        return _sha256(self, self.archive)

    def _expanded(self) -> IO[bytes]:
        start = after_local_header(self.archive, self.header, zipfile.ZIP_DEFLATED)
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        checksum, size = 0, 0
        kept: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - kept open, and gone with the member
        try:
            for begin in range(start, start + self.compressed, _PIECE):
                packed = bytes(self.archive.read(begin, min(begin + _PIECE, start + self.compressed)))
                while packed:
                    # Never more at once than a piece, and never more than was said.
                    plain = stream.decompress(packed, min(_PIECE, self.size - size + 1))
                    packed = stream.unconsumed_tail if plain else b""
                    checksum, size = zlib.crc32(plain, checksum), size + len(plain)
                    if size > self.size:
                        raise _refused(self.archive, "expands_too_far")
                    kept.write(plain)
            if size != self.size or checksum != self.checksum or not stream.eof:
                raise _refused(self.archive, "damaged")
        except zlib.error:
            raise _refused(self.archive, "damaged") from None
        except OSError:
            raise UserError("no_room", file=self.archive.name) from None
        finally:
            if size != self.size or checksum != self.checksum:
                kept.close()
        return kept


class ArchivedFolder:
    """The files in an archive as a folder; one folder that holds everything else is stepped into."""

    def __init__(self, archive: StoredFile) -> None:
        """Read what the archive lists. Raises UserError."""
        parts = _sound(archive, _listed(archive))
        top = {name.partition("/")[0] for name in parts}
        inside = f"{top.pop()}/" if len(top) == 1 and all("/" in name for name in parts) else ""
        self._archive = archive
        self._parts = {name.removeprefix(inside): part for name, part in parts.items()}

    @property
    def names(self) -> list[str]:
        return sorted(name for name in self._parts if "/" not in name)

    @property
    def address(self) -> None:
        """None: a file in an archive has no name that a user could give."""

    def holds(self, name: str) -> bool:
        return name in self._parts

    def file(self, name: str) -> StoredFile:
        part = self._parts.get(name)
        if part is None:
            raise UserError("missing_shard", name=self._archive.name, file=name, count=1, total=1)
        if part.compress_type == zipfile.ZIP_STORED:
            return StoredMember(name, part.file_size, self._archive, part.header_offset)
        return DeflatedMember(name, part.file_size, self._archive, part.header_offset, part.compress_size, part.CRC)


def _listed(archive: StoredFile) -> list[zipfile.ZipInfo]:
    try:
        return [part for part in read_directory(archive) if not part.is_dir()]
    except UserError as error:
        raise _refused(archive, str(error.facts.get("why") or "damaged")) from None
    except (zipfile.BadZipFile, ValueError, EOFError, struct.error, NotImplementedError, OverflowError):
        raise _refused(archive, "damaged") from None


def _sound(archive: StoredFile, parts: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """The parts by name, once nothing about them is hostile. Raises UserError."""
    if len(parts) > MOST_FILES:
        raise _refused(archive, "too_many_entries")
    found: dict[str, zipfile.ZipInfo] = {}
    expanded = 0
    for part in parts:
        name = part.filename
        if name.startswith(_MAC_FOLDER):
            continue
        # The name as it was written; zipfile itself ends one at a null byte and turns other systems' slashes.
        written = part.orig_filename
        if "\0" in written or "\\" in written or ":" in name or len(name) > MAX_NAME:
            raise UserError("unsafe_path", file=name)
        if any(piece in ("", ".", "..") for piece in name.split("/")) or stat.S_ISLNK(part.external_attr >> 16):
            raise UserError("unsafe_path", file=name)
        if name in found:
            raise _refused(archive, "duplicate_name")
        if part.flag_bits & _ENCRYPTED:
            raise _refused(archive, "encrypted")
        if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _refused(archive, "unknown_compression")
        if part.compress_type == zipfile.ZIP_STORED and part.file_size != part.compress_size:
            raise _refused(archive, "damaged")
        if part.compress_type == zipfile.ZIP_DEFLATED:
            expanded += part.file_size
            far = part.file_size > max(SMALL_BYTES, MOST_EXPANSION * part.compress_size)
            if far or expanded > EXPANDED_BYTES:
                raise _refused(archive, "expands_too_far")
        found[name] = part
    end = 0
    for part in sorted(found.values(), key=lambda part: part.header_offset):
        if part.header_offset < end:
            raise _refused(archive, "damaged")
        end = part.header_offset + part.compress_size
    if end > archive.size:
        raise UserError("truncated", file=archive.name)
    return found


def _sha256(member: StoredFile, archive: StoredFile) -> str | None:
    if archive.path is None or member.size > HASHED_BYTES:
        return None
    digest = hashlib.sha256()
    for begin in range(0, member.size, _PIECE):
        digest.update(member.read(begin, min(begin + _PIECE, member.size)))
    return digest.hexdigest()


def _refused(archive: StoredFile, why: str) -> UserError:
    return UserError("bad_archive", file=os.path.basename(archive.name), why=why)
