"""A model hub on this machine: the routes that readers of a hub use, a log of what they asked, and faults on demand.

    with HubEmulator({"owner/name": folder}) as hub:
        ...  # HF_ENDPOINT=hub.endpoint
        hub.served, hub.requests

Large files are sent by `sendfile` and connections are kept alive, so that it can serve benchmarks too.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".onnx", ".zip")
# Hashing is slow: a larger file gets a stand-in for its digest, so that no two of them are equal by digest.
HASHED_BYTES = 256_000_000
_PIECE = 1 << 20

Kind = Literal[
    "status", "no_range", "wrong_range", "changed", "truncated", "reset", "stalled", "slow", "redirect", "garbage"
]


@dataclass
class Repository:
    """A repository: folders by commit, commits by branch. `open_to` are the tokens that may read it."""

    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Path] = field(default_factory=dict)
    gated: bool = False
    private: bool = False
    open_to: frozenset[str] = frozenset()

    def commit(self, folder: Path, branch: str = "main") -> str:
        """Put a folder at the head of a branch; returns the commit."""
        sha = hashlib.sha1(f"{folder}{len(self.commits)}".encode()).hexdigest()
        self.commits[sha] = folder
        self.branches[branch] = sha
        return sha


@dataclass
class Fault:
    """Something that goes wrong with the next `times` requests whose path contains `match`."""

    kind: Kind
    match: str = "/resolve/"
    times: int = 1
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    location: str = ""


@dataclass
class Request:
    """One request as the server saw it; `served` counts the bytes of the body, from when they are on their way."""

    server: str
    method: str
    path: str
    range: str | None
    authorization: str | None
    status: int = 0
    served: int = 0


class HubEmulator:
    """A hub at `endpoint` and its storage at `storage`, another origin; LFS files are redirected there if asked."""

    def __init__(
        self, repositories: Mapping[str, Path | str | Repository], *, redirect: bool = False, pace: float = 0.0
    ) -> None:
        """`redirect` sends readers of weights to the storage; `pace` is a delay in seconds before each answer."""
        self.repositories: dict[str, Repository] = {}
        for name, what in repositories.items():
            repository = what if isinstance(what, Repository) else Repository()
            if not isinstance(what, Repository):
                repository.commit(Path(what))
            self.repositories[name] = repository
        self.redirect, self.pace = redirect, pace
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self._servers = [_Server(self, name) for name in ("hub", "storage")]

    @property
    def endpoint(self) -> str:
        return self._servers[0].address

    @property
    def storage(self) -> str:
        return self._servers[1].address

    @property
    def served(self) -> int:
        """Bytes of all bodies sent so far."""
        with self.lock:
            return sum(request.served for request in self.requests)

    def served_of(self, match: str) -> int:
        """Bytes of the bodies sent for paths that contain `match`."""
        with self.lock:
            return sum(request.served for request in self.requests if match in request.path)

    def clear(self) -> None:
        """Forget the requests so far."""
        with self.lock:
            self.requests.clear()

    def fault_for(self, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.match in path:
                    fault.times -= 1
                    return fault
        return None

    def __enter__(self) -> Self:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, hub: HubEmulator, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub, self.name = hub, name
        self.address = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Readers that hang up are no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self._answer(body)

    def do_GET(self) -> None:
        self._answer("")

    def _answer(self, body: str) -> None:
        hub = self.server.hub
        asked, token = self.headers.get("Range"), self.headers.get("Authorization")
        self.entry = Request(self.server.name, self.command, self.path, asked, token)
        with hub.lock:
            hub.requests.append(self.entry)
        if hub.pace:
            time.sleep(hub.pace)
        fault = hub.fault_for(self.path)
        if fault is None or not self._fail_early(fault):
            self._route(body, fault)

    def _fail_early(self, fault: Fault) -> bool:
        if fault.kind == "status":
            self._send(fault.status, b"", fault.headers)
        elif fault.kind == "redirect":
            self._send(302, b"", {"Location": fault.location})
        elif fault.kind == "garbage":
            self._send(200, b"<html>not what you asked for</html>", {"Content-Type": "text/html"})
        elif fault.kind == "reset":
            # Closing with no time to linger sends a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        else:
            return False
        return True

    def _route(self, body: str, fault: Fault | None) -> None:
        path = unquote(urlsplit(self.path).path)
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree|paths-info|refs)(?:/(.+))?)?", path)
        if found is not None:
            return self._api(found[1], found[2] or "revision", found[3] or "main", body)
        found = re.fullmatch(r"/([^/]+/[^/]+)/(?:resolve|stored)/([^/]+)/(.+)", path)
        if found is None:
            return self._refuse(404, "", "no such page")
        repository = self._open(found[1], files=self.server.name == "hub")
        if repository is None:
            return None
        commit = repository.branches.get(found[2], found[2])
        if commit not in repository.commits:
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {found[2]}")
        file = repository.commits[commit] / found[3]
        if not file.is_file():
            return self._refuse(404, "EntryNotFound", "Entry not found")
        if self.server.hub.redirect and self.server.name == "hub" and file.suffix in WEIGHT_SUFFIXES:
            address = f"{self.server.hub.storage}/{found[1]}/stored/{commit}/{quote(found[3])}"
            headers = {"Location": address, "X-Linked-Size": str(file.stat().st_size), "X-Repo-Commit": commit}
            return self._send(302, b"", headers)
        return self._file(file, commit, fault)

    def _open(self, name: str, *, files: bool) -> Repository | None:
        """The repository, or None once a refusal was sent: 401 where a token is wanted, as the hub does."""
        repository = self.server.hub.repositories.get(name)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        known = repository is not None and token in repository.open_to
        if repository is None or (repository.private and not known and self.server.name == "hub"):
            self._refuse(401 if not token else 404, "RepoNotFound", "Repository not found")
            return None
        if repository.gated and files and not known:
            self._refuse(403 if token else 401, "GatedRepo", f"Access to model {name} is restricted")
            return None
        return repository

    def _api(self, name: str, what: str, rest: str, body: str) -> None:
        repository = self._open(name, files=False)
        if repository is None:
            return
        if what == "refs":
            named = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": s} for n, s in repository.branches.items()]
            return self._json({"branches": named, "tags": [], "converts": []})
        revision, _, below = rest.partition("/")
        if revision == "refs":
            revision, below = rest, ""
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        folder = repository.commits[commit]
        if what == "tree":
            query = parse_qs(urlsplit(self.path).query)
            at = folder / below
            if not at.is_dir():
                return self._refuse(404, "EntryNotFound", f"{below} does not exist")
            deep = query.get("recursive", ["0"])[0].lower() in ("1", "true")
            return self._json([_entry(path, folder) for path in sorted(at.rglob("*") if deep else at.iterdir())])
        if what == "paths-info":
            wanted = parse_qs(body).get("paths", []) or json.loads(body or "{}").get("paths", [])
            return self._json([_entry(folder / path, folder) for path in wanted if (folder / path).exists()])
        return self._json(
            {
                "_id": "0", "id": name, "modelId": name, "sha": commit,
                "private": repository.private, "gated": "manual" if repository.gated else False,
                "disabled": False, "tags": [], "downloads": 0, "likes": 0,
                "lastModified": "2026-07-01T00:00:00.000Z", "createdAt": "2026-07-01T00:00:00.000Z",
                "siblings": [
                    {"rfilename": path.relative_to(folder).as_posix()} for path in sorted(folder.rglob("*"))
                    if path.is_file()
                ],
            }
        )  # fmt: skip

    def _file(self, file: Path, commit: str, fault: Fault | None) -> None:
        size, kind = file.stat().st_size, fault.kind if fault else None
        headers = {
            "ETag": f'"{commit[:8]}{size:x}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        }  # fmt: skip
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        start, stop, status = 0, size, 200
        if asked is not None and kind != "no_range":
            start, stop, status = int(asked[1]), min(size, int(asked[2]) + 1 if asked[2] else size), 206
            if start >= size:
                return self._send(416, b"", {"Content-Range": f"bytes */{size}"})
            shift = 1 if kind == "wrong_range" else 0
            total = size + 7 if kind == "changed" else size
            headers["Content-Range"] = f"bytes {start + shift}-{stop - 1 + shift}/{total}"
        if kind == "changed":
            headers["ETag"] = '"another"'
        self._head(status, stop - start, headers)
        if self.command == "HEAD":
            return None
        if kind in ("truncated", "stalled"):
            stop = start + (stop - start) // 2
        with file.open("rb") as stream:
            if kind == "slow" and fault is not None:
                for begin in range(start, stop, 1 << 14):
                    time.sleep(fault.seconds)
                    self._part(stream, begin, min(stop, begin + (1 << 14)))
            else:
                self._part(stream, start, stop)
        if kind == "stalled" and fault is not None:
            self.server.hub.closing.wait(fault.seconds)
        if kind in ("truncated", "stalled"):
            self.close_connection = True
        return None

    def _part(self, stream: object, start: int, stop: int) -> None:
        for begin in range(start, stop, _PIECE):
            count = min(_PIECE, stop - begin)
            # Counted before the reader can have it, so that nobody who has it sees it uncounted.
            self.entry.served += count
            self.connection.sendfile(stream, begin, count)  # type: ignore[arg-type]

    def _json(self, content: object) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, message: str) -> None:
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self._send(status, json.dumps({"error": message}).encode(), headers)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self._head(status, len(body), headers)
        if self.command != "HEAD":
            self.entry.served += len(body)
            self.wfile.write(body)

    def _head(self, status: int, length: int, headers: Mapping[str, str]) -> None:
        self.entry.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()


def _entry(path: Path, root: Path) -> dict[str, object]:
    name = path.relative_to(root).as_posix()
    if path.is_dir():
        return {"type": "directory", "path": name, "oid": hashlib.sha1(name.encode()).hexdigest(), "size": 0}
    found = path.stat()
    entry: dict[str, object] = {"type": "file", "path": name, "size": found.st_size}
    entry["oid"] = hashlib.sha1(f"{path}{found.st_mtime_ns}".encode()).hexdigest()
    if path.suffix in WEIGHT_SUFFIXES:
        digest = _digest(path, found.st_size, found.st_mtime_ns)
        entry["lfs"] = {"oid": digest, "size": found.st_size, "pointerSize": 134}
    return entry


@lru_cache
def _digest(path: Path, size: int, changed: int) -> str:
    if size > HASHED_BYTES:
        return hashlib.sha256(f"{path}{size}{changed}".encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()
