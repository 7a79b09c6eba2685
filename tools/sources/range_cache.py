"""Bytes that were read over the network, kept: on disk for what everybody may see, else in memory for one run.

On disk a file of a hub is a folder, and each range of it that was read is a file START-STOP that ends in a digest of
its own. Ranges appear by renaming, so a killed run leaves whole ranges or none, and two runs can share one folder.
What was computed from such files is kept beside them as a folder with one file, under the same limit.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import re
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from tools.sources.ranges import Span

log = logging.getLogger(__name__)

# Two models of 8 billion parameters, sampled, take about 0.1 GB; one read in full takes 16 GB and is not worth keeping.
CACHE_GB = 5.0
# A model of this size is read whole.
MEMORY_BYTES = 256 * 2**20

_DIGEST_BYTES = 16
_RANGE = re.compile(r"(\d{1,15})-(\d{1,15})")
_ABOUT = "about.json"
_RECORD = "record"
_UNFINISHED = ".unfinished-"
_UNFINISHED_SECONDS = 3600.0
# What a run used so long ago may make room; a server runs for weeks and uses everything once.
IN_USE_SECONDS = 900.0
# Where no room could be made, it is not tried again for each range.
_FULL_SECONDS = 60.0
# Room is made down to this share of the limit, so that it is not made for every range.
_ROOM = 0.9


@dataclass(frozen=True)
class StoredName:
    """A file of a hub at one commit, as both stores know it."""

    endpoint: str
    repository: str
    commit: str
    file: str

    @property
    def digest(self) -> str:
        parts = "\0".join((self.endpoint, self.repository, self.commit, self.file))
        return hashlib.blake2b(parts.encode(), digest_size=20).hexdigest()


class RangeStore(Protocol):
    """Ranges of files. What was put may be gone when it is asked for; what is handed out is what was put."""

    def spans(self, name: StoredName) -> list[Span]:
        """The ranges of a file that are held."""

    def put(self, name: StoredName, start: int, data: bytes | bytearray) -> None:
        """Keep a range. Never raises."""

    def fill(self, name: StoredName, start: int, into: bytearray) -> list[Span]:
        """Copy what is held of the range that `into` stands for; returns the ranges that were copied."""


class MemoryStore:
    """Ranges in memory, the oldest forgotten beyond 256 MB."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[StoredName, int], bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def spans(self, name: StoredName) -> list[Span]:
        with self._lock:
            return [(start, start + len(data)) for (key, start), data in self._held.items() if key == name]

    def put(self, name: StoredName, start: int, data: bytes | bytearray) -> None:
        with self._lock:
            self._bytes += len(data) - len(self._held.pop((name, start), b""))
            self._held[name, start] = bytes(data)
            while self._bytes > MEMORY_BYTES:
                self._bytes -= len(self._held.popitem(last=False)[1])

    def fill(self, name: StoredName, start: int, into: bytearray) -> list[Span]:
        copied = []
        with self._lock:
            for (key, first), data in self._held.items():
                begin, end = max(start, first), min(start + len(into), first + len(data))
                if key == name and begin < end:
                    into[begin - start : end - start] = data[begin - first : end - first]
                    copied.append((begin, end))
        return copied


class DiskStore:
    """Ranges in a folder, up to a size; what was used longest ago makes room. Goes on in memory where disk fails."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._memory = MemoryStore()
        self._lock = threading.Lock()
        self._used: dict[Path, float] = {}
        self._whole: set[Path] = set()
        self._size: int | None = None
        self._pause = 0.0

    def spans(self, name: StoredName) -> list[Span]:
        return [span for span, _ in self._ranges(self._place(name.digest))] + self._memory.spans(name)

    def put(self, name: StoredName, start: int, data: bytes | bytearray) -> None:
        about = f"{name.repository}@{name.commit}"
        if not self._written(self._place(name.digest), f"{start}-{start + len(data)}", data, about):
            self._memory.put(name, start, data)

    def put_record(self, digest: str, data: bytes) -> None:
        """Keep what was computed, in the place of what was kept under this digest before. Never raises."""
        self._written(self._place(digest), _RECORD, data)

    def record(self, digest: str, limit: int) -> bytes | None:
        """What was kept under this digest of 40 digits; None where there is nothing, or nothing whole up to `limit`."""
        path = self._place(digest) / _RECORD
        with contextlib.suppress(OSError):
            if path.stat().st_size <= limit + _DIGEST_BYTES:
                return _checked(path)
        return None

    def fill(self, name: StoredName, start: int, into: bytearray) -> list[Span]:
        copied = []
        for (first, last), path in self._ranges(self._place(name.digest)):
            begin, end = max(start, first), min(start + len(into), last)
            if begin < end and self._is_whole(path, last - first):
                with contextlib.suppress(OSError), path.open("rb") as stream:
                    stream.seek(begin - first)
                    part = memoryview(into)[begin - start : end - start]
                    if stream.readinto(part) == end - begin:
                        copied.append((begin, end))
        return copied + self._memory.fill(name, start, into)

    def _place(self, digest: str) -> Path:
        place = self.folder / digest[:2] / digest
        with self._lock:
            now = time.monotonic()
            seen, self._used[place] = self._used.get(place, -math.inf), now
        if now - seen > IN_USE_SECONDS:
            # The folder's time says when it was last of use.
            with contextlib.suppress(OSError):
                os.utime(place)
        return place

    @staticmethod
    def _ranges(place: Path) -> Iterator[tuple[Span, Path]]:
        with contextlib.suppress(OSError):
            for entry in os.listdir(place):
                found = _RANGE.fullmatch(entry)
                if found is not None:
                    yield (int(found[1]), int(found[2])), place / entry

    def _is_whole(self, path: Path, length: int) -> bool:
        """Whether a range holds what was put."""
        if path in self._whole:
            return True
        data = _checked(path)
        if data is None or len(data) != length:
            return False
        with self._lock:
            self._whole.add(path)
        return True

    def _written(self, place: Path, file: str, data: bytes | bytearray, about: str | None = None) -> bool:
        """Whether a file could be written; once the disk refused one, no other is tried. `about` names a new folder."""
        if time.monotonic() < self._pause:
            return False
        if not self._make_room(len(data)):
            self._pause = time.monotonic() + _FULL_SECONDS
            return False
        try:
            if not place.is_dir():
                place.mkdir(parents=True, exist_ok=True, mode=0o700)
                if about is not None:
                    _write_whole(place / _ABOUT, json.dumps({"name": about}).encode())
            _write_whole(place / file, data, _digest(data))
        except OSError as error:
            self._pause = math.inf
            log.warning("The cache in %s cannot be written (%s); going on without it.", self.folder, error.strerror)
            return False
        return True

    def _make_room(self, more: int) -> bool:
        with self._lock:
            if self._size is None:
                self._size = sum(size for _, _, size in _folders(self.folder))
            if self._size + more > self.limit:
                self._size = self._evict(int(_ROOM * self.limit) - more)
            if self._size + more > self.limit:
                return False
            self._size += more
            return True

    def _evict(self, aim: int) -> int:
        """Remove what was used longest ago, and nothing that this run just used, until at most `aim` bytes are left."""
        folders = sorted(_folders(self.folder))
        left = sum(size for _, _, size in folders)
        for _, place, size in folders:
            idle = time.monotonic() - self._used.get(place, -math.inf)
            if left > aim and idle > IN_USE_SECONDS:
                shutil.rmtree(place, ignore_errors=True)
                left -= size
        return left


def cache_folder() -> Path:
    """WHOSE_WEIGHTS_HUB_CACHE, else a folder in the user's cache folder."""
    if chosen := os.environ.get("WHOSE_WEIGHTS_HUB_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whose-weights" / "hub"


def public_store() -> RangeStore:
    """Where bytes that everybody may see are kept: on disk, else in memory."""
    return public_disk() or MemoryStore()


def public_disk() -> DiskStore | None:
    """The store on disk, up to WHOSE_WEIGHTS_HUB_CACHE_GB; None for 0 and where there is no place for one."""
    try:
        limit = float(os.environ.get("WHOSE_WEIGHTS_HUB_CACHE_GB") or CACHE_GB)
        folder = cache_folder()
    except (ValueError, RuntimeError):
        # No number; no home folder.
        return None
    return _disk_store(folder, int(limit * 1e9)) if limit > 0 else None


@lru_cache(maxsize=4)
def _disk_store(folder: Path, limit: int) -> DiskStore:
    return DiskStore(folder, limit)


def cached_models(folder: Path) -> dict[str, int]:
    """Bytes on disk by "owner/name@commit", the largest first."""
    sizes: dict[str, int] = {}
    for _, place, size in _folders(folder):
        if (place / _RECORD).exists():
            continue
        try:
            name = str(json.loads((place / _ABOUT).read_bytes())["name"])
        except (OSError, ValueError, KeyError, TypeError):
            name = "?"
        sizes[name] = sizes.get(name, 0) + size
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def cached_records(folder: Path) -> list[int]:
    """Bytes on disk of each record."""
    return [size for _, place, size in _folders(folder) if (place / _RECORD).exists()]


def clear_cache(folder: Path) -> int:
    """Remove all that was kept, and nothing else that may lie in the folder; returns the bytes that were freed."""
    freed = 0
    for _, place, size in list(_folders(folder)):
        shutil.rmtree(place, ignore_errors=True)
        with contextlib.suppress(OSError):
            place.parent.rmdir()
        freed += size
    return freed


def _folders(folder: Path) -> Iterator[tuple[float, Path, int]]:
    """When it was last used, where it lies and how many bytes it has, for each file of a hub."""
    with contextlib.suppress(OSError):
        for place in folder.glob("[0-9a-f][0-9a-f]/" + "[0-9a-f]" * 40):
            with contextlib.suppress(OSError):
                size = 0
                for entry in os.scandir(place):
                    found = entry.stat()
                    if entry.name.startswith(_UNFINISHED) and time.time() - found.st_mtime > _UNFINISHED_SECONDS:
                        os.unlink(entry.path)
                    else:
                        size += found.st_size
                yield place.stat().st_mtime, place, size


def _write_whole(path: Path, *parts: bytes | bytearray) -> None:
    """Write a file, its parts one after the other, that is there whole or not at all."""
    handle, unfinished = tempfile.mkstemp(prefix=_UNFINISHED, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.writelines(parts)
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)
        raise


def _checked(path: Path) -> bytes | None:
    """What was written to a file before its digest; a damaged file is removed."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if len(data) >= _DIGEST_BYTES and _digest(memoryview(data)[:-_DIGEST_BYTES]) == data[-_DIGEST_BYTES:]:
        return data[:-_DIGEST_BYTES]
    with contextlib.suppress(OSError):
        path.unlink()
    return None


def _digest(data: bytes | bytearray | memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()
