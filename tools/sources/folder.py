"""Models that lie in a local folder or file.

Links come from strangers. Nothing outside the model's folder is opened, apart from the blobs that the Hugging Face
cache links to, and nothing but regular files.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tools.checkpoint import ModelFiles, ModelRef, Stop
from tools.errors import Cancelled, UserError
from tools.sources.model_files import in_file, in_folder
from tools.sources.zip_folder import ARCHIVE_SUFFIX, ArchivedFolder

# Hashing reads all of a file; of large models only samples are read. See docs/decisions/0020.
HASH_BYTES = 256 * 2**20

# A slow disk reads this much in well under the half second in which a stop must be seen.
_BLOCK = 1 << 24
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CACHED_MODEL = "models--"


@dataclass(frozen=True)
class LocalFile:
    """A regular file on this machine, as it was when it was first looked at."""

    name: str
    path: Path
    size: int
    identity: tuple[int, ...]
    stop: Stop | None = field(default=None, compare=False)

    def read(self, start: int, stop: int) -> bytearray:
        """Return the bytes from start up to stop. Raises UserError if the file ends before or has changed."""
        if not 0 <= start <= stop <= self.size:
            raise UserError("truncated", file=self.name)
        data = bytearray(stop - start)
        view = memoryview(data)
        with self._opened() as stream:
            stream.seek(start)
            for begin in range(0, len(data), _BLOCK):
                self._fill(stream, view[begin : begin + _BLOCK])
        return data

    @contextmanager
    def opened(self) -> Iterator[int]:
        """The number under which the file is open. Raises UserError if it has changed."""
        with self._opened() as stream:
            yield stream.fileno()

    def _fill(self, stream: io.BufferedReader, part: memoryview) -> None:
        self._check()
        if stream.readinto(part) != len(part):
            raise UserError("changed_file", file=self.name)

    def expect(self, ranges: Sequence[tuple[int, int]]) -> None:
        """The disk begins to read them, where the system can be told so. Raises as `read`."""
        if not hasattr(os, "posix_fadvise"):
            return
        with self._opened() as stream:
            for start, stop in ranges:
                # A disk that has enough to do lets the next request wait.
                for begin in range(start, stop, _BLOCK):
                    self._check()
                    os.posix_fadvise(stream.fileno(), begin, min(_BLOCK, stop - begin), os.POSIX_FADV_WILLNEED)

    @property
    def stated_sha256(self) -> str | None:
        """None: a disk states no digests."""
        return None

    def sha256(self) -> str | None:
        """Return the digest in hexadecimal, or None for a large file; it is hashed once."""
        return self._digest

    @cached_property
    def _digest(self) -> str | None:
        if self.size > HASH_BYTES:
            return None
        digest = hashlib.sha256()
        with self._opened() as stream:
            while block := stream.read(_BLOCK):
                self._check()
                digest.update(block)
        return digest.hexdigest()

    def _check(self) -> None:
        if self.stop is not None and self.stop():
            raise Cancelled

    @contextmanager
    def _opened(self) -> Iterator[io.BufferedReader]:
        # Without O_NONBLOCK a pipe put in the file's place would wait for ever.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            with os.fdopen(os.open(self.path, flags), "rb") as stream:
                if _identity(os.fstat(stream.fileno())) != self.identity:
                    raise UserError("changed_file", file=self.name)
                yield stream
        except OSError:
            raise UserError("not_readable", file=self.name) from None


def look_at(name: str, path: Path, stop: Stop | None = None) -> ModelFiles:
    """Return what lies at an existing path that the user named. Raises UserError."""
    ref = ModelRef(name, _revision(path))
    try:
        if path.is_dir():
            return in_folder(ref, _Folder(path, stop))
        if path.suffix.lower() == ARCHIVE_SUFFIX:
            return in_folder(ref, ArchivedFolder(regular_file(path, path.name, stop)))
        return in_file(ref, _Folder(path.parent, stop, named=path.name), path.name)
    except OSError:
        raise UserError("not_readable", file=name) from None


def regular_file(path: Path, name: str, stop: Stop | None = None) -> LocalFile:
    """Return the file at a path, following links. Raises UserError unless it is a regular file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise UserError("not_found", name=name) from None
    except OSError:
        raise UserError("not_readable", file=name) from None
    if not stat.S_ISREG(found.st_mode):
        raise UserError("not_a_file", file=name)
    return LocalFile(name, path, found.st_size, _identity(found), stop)


@dataclass(frozen=True)
class _Folder:
    """A folder on this machine. The file that the user named may be a link to anywhere; nothing else may."""

    path: Path
    stop: Stop | None
    named: str | None = None

    @cached_property
    def names(self) -> list[str]:
        return sorted(os.listdir(self.path))

    @property
    def address(self) -> str:
        return str(self.path)

    def holds(self, name: str) -> bool:
        return (self.path / name).exists()

    def file(self, name: str) -> LocalFile:
        """Return a file of the folder. Raises UserError where a link leads out of it or to nothing."""
        if name == self.named:
            return regular_file(self.path / name, name, self.stop)
        root = self.path.resolve()
        try:
            real = (self.path / name).resolve(strict=True)
        except FileNotFoundError:
            raise UserError("missing_shard", name=self.path.name, file=name, count=1, total=1) from None
        except (OSError, RuntimeError):
            # A link that leads to itself: OSError from Python 3.13 on, RuntimeError before.
            raise UserError("not_a_file", file=name) from None
        if not real.is_relative_to(root) and not _is_cached_blob(root, real):
            raise UserError("unsafe_path", file=name)
        return regular_file(real, name, self.stop)


def _is_cached_blob(root: Path, real: Path) -> bool:
    """Whether a snapshot in the Hugging Face cache links to a blob of the same model."""
    for above in root.parents:
        if above.name.startswith(_CACHED_MODEL):
            return root.is_relative_to(above / "snapshots") and real.parent == above / "blobs"
    return False


def _revision(path: Path) -> str | None:
    """Return the commit that the Hugging Face cache names its folder after."""
    parts = path.absolute().parts
    for place in range(len(parts) - 2):
        if parts[place].startswith(_CACHED_MODEL) and parts[place + 1] == "snapshots":
            return parts[place + 2] if _COMMIT.fullmatch(parts[place + 2]) else None
    return None


def _identity(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
