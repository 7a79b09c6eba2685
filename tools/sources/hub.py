"""Models on a hub, read by ranges at one pinned commit; nothing is downloaded whole."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tools.checkpoint import ModelFiles, ModelRef, Stop, StoredFile
from tools.errors import UserError
from tools.sources.connection import Connection, Target, connection_to
from tools.sources.hub_names import HubName
from tools.sources.model_files import in_file, in_folder
from tools.sources.range_cache import MEMORY_BYTES, MemoryStore, RangeStore, StoredName, public_store
from tools.sources.ranges import Span, cut, joined, missing
from tools.sources.side_by_side import Work, side_by_side
from tools.sources.zip_folder import ARCHIVE_SUFFIX, ArchivedFolder

ENDPOINT = "https://huggingface.co"

# A request costs about as much as this many bytes; closer ranges are fetched as one.
GAP_BYTES = 64_000
# No request is longer, so that many go side by side and little is lost when one breaks off.
REQUEST_BYTES = 16_000_000
# What is expected is fetched ahead up to this; the rest when it is read.
AHEAD_BYTES = MEMORY_BYTES
# The headers of nearly all weight files are shorter.
HEAD_BYTES = 64_000
# A folder of more files is no model; each page lists up to 1,000.
MOST_PAGES = 20

_COMMIT_LENGTHS = (40, 64)
# What may stand in the header of a request.
_TOKEN = re.compile(r"[\x21-\x7e]{1,400}")


@dataclass(frozen=True)
class HubFile:
    """A file of a hub at one commit; its ranges are fetched side by side and kept."""

    name: str
    size: int
    stated_sha256: str | None
    reading: _Reading = field(repr=False, compare=False)
    target: Target = field(repr=False, compare=False)

    @property
    def path(self) -> Path | None:
        """None: it lies elsewhere."""
        return None

    @property
    def bytes_fetched(self) -> int:
        """How many of its bytes have come from the hub so far; those that were kept from before are none of them."""
        return self.target.fetched

    def read(self, start: int, stop: int) -> bytearray:
        """Return the bytes from start up to stop. Raises UserError, and Cancelled within half a second of a stop."""
        if not 0 <= start <= stop <= self.size:
            raise UserError("truncated", file=self.name)
        data = bytearray(stop - start)
        key = self.reading.key(self.target.file)
        lacking = missing([(start, stop)], self.reading.store.fill(key, start, data))
        if lacking and self.size <= REQUEST_BYTES:
            # What one request can bring is not asked for piece by piece.
            self.expect([(0, self.size)])
            lacking = missing([(start, stop)], self.reading.store.fill(key, start, data))

        def fetch(span: Span, abandoned: threading.Event) -> None:
            data[span[0] - start : span[1] - start] = self._fetched(span, abandoned)

        self.reading.run([partial(fetch, span) for span in cut(lacking, REQUEST_BYTES)])
        return data

    def expect(self, ranges: Sequence[Span]) -> None:
        """Fetch what is not held yet, close ranges as one, up to 256 MB ahead."""
        self.reading.run(self.expected(ranges))

    def expected(self, ranges: Iterable[Span]) -> list[Work]:
        """The requests that `expect` makes."""
        wanted = [(max(0, start), min(stop, self.size)) for start, stop in ranges]
        lacking = missing(wanted, self.reading.store.spans(self.reading.key(self.target.file)))
        pieces: list[Work] = []
        left = AHEAD_BYTES
        for span in cut(joined(lacking, GAP_BYTES), REQUEST_BYTES):
            left -= span[1] - span[0]
            if left >= 0:
                pieces.append(partial(self._fetch, span))
        return pieces

    def sha256(self) -> str | None:
        """Return the digest that the hub states for a large file, in hexadecimal; None for a small one."""
        return self.stated_sha256

    def _fetch(self, span: Span, abandoned: threading.Event) -> None:
        self._fetched(span, abandoned)

    def _fetched(self, span: Span, abandoned: threading.Event) -> bytearray:
        data = self.reading.line.range(self.target, *span, abandoned)
        self.reading.store.put(self.reading.key(self.target.file), span[0], data)
        return data


@dataclass(frozen=True)
class _Reading:
    """What all files of a model share: the line, the commit, where bytes are kept, who asks and when to stop."""

    line: Connection
    repository: str
    commit: str
    store: RangeStore
    token: str | None = field(repr=False)
    stop: Stop | None

    def key(self, file: str) -> StoredName:
        return StoredName(self.line.endpoint, self.repository, self.commit, file)

    def run(self, pieces: Sequence[Work]) -> None:
        if pieces:
            side_by_side(pieces, self.stop)

    def listing(self, folder: str) -> dict[str, dict[str, Any]]:
        """What lies in a folder of the repository, by its name. A commit never changes, so this is kept like bytes."""
        key = self.key(f"{folder}/")
        held = self.store.spans(key)
        if held:
            data = bytearray(held[0][1])
            if not missing([(0, len(data))], self.store.fill(key, 0, data)):
                return _entries(json.loads(data), folder)
        rows: list[Any] = []
        path: str | None = f"/api/models/{self.repository}/tree/{self.commit}" + (f"/{quote(folder)}" if folder else "")
        for _ in range(MOST_PAGES):
            if path is None:
                break
            page, path = ask(self.line, path, model=self.repository, token=self.token, stop=self.stop)
            if not isinstance(page, list):
                raise UserError("hub_bad_answer", name=self.line.host)
            rows += page
        found = _entries(rows, folder)
        self.store.put(key, 0, json.dumps(list(found.values())).encode())
        return found

    def file(self, path: str, name: str, entry: dict[str, Any]) -> HubFile:
        address = f"{self.line.endpoint}/{self.repository}/resolve/{self.commit}/{quote(path)}"
        size = entry["size"]
        target = Target(address, path, self.repository, size, self.commit, self.token)
        return HubFile(name, size, entry["sha256"], self, target)


class _HubFolder:
    """A folder of a repository, listed when it is first looked at."""

    def __init__(self, reading: _Reading, where: HubName, ref: ModelRef) -> None:
        self._reading, self._where, self._ref = reading, where, ref
        self._listed: dict[str, dict[str, dict[str, Any]]] = {}

    @property
    def names(self) -> list[str]:
        return sorted(name for name, entry in self._list("").items() if entry["type"] == "file")

    @property
    def address(self) -> str:
        return str(self._where)

    def holds(self, name: str) -> bool:
        folder, _, last = name.rpartition("/")
        try:
            return self._list(folder).get(last, {}).get("type") == "file"
        except UserError as error:
            if error.kind != "hub_no_file":
                raise
            return False

    def file(self, name: str) -> HubFile:
        folder, _, last = name.rpartition("/")
        if not self.holds(name):
            raise UserError("hub_no_file", name=self._ref.name, file=name)
        path = "/".join(part for part in (self._where.path, name) if part)
        return self._reading.file(path, name, self._list(folder)[last])

    def _list(self, folder: str) -> dict[str, dict[str, Any]]:
        if folder not in self._listed:
            path = "/".join(part for part in (self._where.path, folder) if part)
            self._listed[folder] = self._reading.listing(path)
        return self._listed[folder]


def look_at_hub(name: str, where: HubName, *, token: str | None, stop: Stop | None) -> ModelFiles:
    """Return the files of a model on the hub that HF_ENDPOINT names, pinned to a commit. Raises UserError, Cancelled.

    `token` is sent to that hub and to nobody else. What a hub shows only to some is kept in memory alone, for one run.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise UserError("hub_offline", name=name)
    if token and _TOKEN.fullmatch(token) is None:
        raise UserError("hub_token_refused", name=name)
    line = connection_to(endpoint())
    revision = quote(where.revision or "main", safe="")
    path = f"/api/models/{where.repository}/revision/{revision}"
    about, _ = ask(line, path, model=name, token=token or None, stop=stop)
    commit = about.get("sha") if isinstance(about, dict) else None
    if not isinstance(commit, str) or len(commit) not in _COMMIT_LENGTHS or not commit.isalnum():
        raise UserError("hub_bad_answer", name=line.host)
    for_everybody = about.get("private") is False and about.get("gated") is False
    store = public_store() if for_everybody else MemoryStore()
    reading = _Reading(line, where.repository, commit, store, token or None, stop)
    pinned = (line.endpoint, where.repository, commit, where.path) if for_everybody else ()
    model = _files(ModelRef(name, commit, pinned), reading, where)
    _fetch_heads(model.weight_files, reading)
    return model


def endpoint() -> str:
    """The address of the hub: HF_ENDPOINT, else the public one."""
    return (os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")


def ask(line: Connection, path: str, *, model: str, token: str | None, stop: Stop | None) -> tuple[Any, str | None]:
    """Ask a page of the hub's interface, stoppable; see Connection.json."""
    found: list[tuple[Any, str | None]] = []

    def work(abandoned: threading.Event) -> None:
        found.append(line.json(path, model=model, token=token, abandoned=abandoned))

    side_by_side([work], stop)
    return found[0]


def _files(ref: ModelRef, reading: _Reading, where: HubName) -> ModelFiles:
    above, _, last = where.path.rpartition("/")
    if not where.path:
        return in_folder(ref, _HubFolder(reading, where, ref))
    entry = reading.listing(above).get(last)
    if entry is None:
        raise UserError("hub_no_file", name=ref.name, file=where.path)
    if entry["type"] == "file" and last.lower().endswith(ARCHIVE_SUFFIX):
        return in_folder(ref, ArchivedFolder(reading.file(where.path, last, entry)))
    if entry["type"] == "file":
        return in_file(ref, _HubFolder(reading, replace(where, path=above), ref), last)
    return in_folder(ref, _HubFolder(reading, where, ref))


def _fetch_heads(files: Iterable[StoredFile], reading: _Reading) -> None:
    """Fetch the beginnings of all weight files side by side: their headers are read next, one after the other."""
    pieces: list[Work] = []
    for file in files:
        if isinstance(file, HubFile):
            pieces += file.expected([(0, HEAD_BYTES)])
    reading.run(pieces)


def _entries(rows: Any, folder: str) -> dict[str, dict[str, Any]]:
    """The rows of a listing that are sound, by name inside the folder: type, size and stated SHA-256."""
    found: dict[str, dict[str, Any]] = {}
    before = f"{folder}/" if folder else ""
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, dict):
            continue
        path, size, large = row.get("path"), row.get("size"), row.get("lfs")
        if not isinstance(path, str) or not path.startswith(before) or type(size) is not int or size < 0:
            continue
        name = path[len(before) :]
        if not name or "/" in name or name in (".", "..") or row.get("type") not in ("file", "directory"):
            continue
        digest = large.get("oid") if isinstance(large, dict) else row.get("sha256")
        sound = isinstance(digest, str) and len(digest) == 64 and all(sign in "0123456789abcdef" for sign in digest)
        found[name] = {"type": row["type"], "path": path, "size": size, "sha256": digest if sound else None}
    return found
