"""The line to a hub: where it may lead, how long it may take, and what an answer must look like to be believed.

Only the endpoint and what it redirects to are asked, over https, and only at addresses of the public internet. A hub on
this machine may be asked over http, and may redirect to this machine. A token goes to the endpoint alone.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import httpcore2
import httpx2
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import hf_raise_for_status, parse_ratelimit_headers  # type: ignore[attr-defined]

from tools.errors import UserError
from tools.sources.side_by_side import Abandoned

MOST_REDIRECTS = 5
# A listing names at most 1,000 files a page, with about 300 bytes each.
JSON_BYTES = 8_000_000

CONNECT_SECONDS = 10.0
# So long an answer may stand still, and so fast it must come on the whole: a trickle is no answer.
STILL_SECONDS = 15.0
SLOWEST_BYTES_A_SECOND = 20_000
TRIES = 5
# An endpoint that cannot even be reached will not be there a second later.
TRIES_TO_CONNECT = 2
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 60.0

_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SIGNATURE_ENDED = frozenset({400, 401, 403, 404, 410})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_LIMITS = httpx2.Limits(max_connections=32, max_keepalive_connections=16, keepalive_expiry=30.0)

Answer = TypeVar("Answer")


@dataclass
class Target:
    """A file of a hub as it is asked for: its address, its size as listed, and where a redirect led last time."""

    address: str
    file: str
    model: str
    size: int
    commit: str
    token: str | None = field(default=None, repr=False)
    moved_to: str | None = None
    marks: dict[str, str] = field(default_factory=dict)
    fetched: int = 0
    """Bytes that have come so far."""
    _counting: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def count(self, fetched: int) -> None:
        """Note that so many more bytes have come; requests for one file go side by side."""
        with self._counting:
            self.fetched += fetched


class _Again(Exception):
    """The answer was no good, but the next may be; `after` is how many seconds the server asked to wait."""

    def __init__(self, kind: str, after: float = 0.0) -> None:
        super().__init__(kind)
        self.kind, self.after = kind, after


class Connection:
    """Requests to one hub. Safe for many threads. Raises UserError and, for work nobody waits for, Abandoned."""

    def __init__(self, endpoint: str) -> None:
        """Raises UserError where the endpoint is neither on https nor on this machine."""
        self.endpoint = endpoint.rstrip("/")
        try:
            parts = urlsplit(self.endpoint)
            self.host = parts.hostname or ""
        except ValueError:
            self.host = ""
        self._local = _is_loopback(self.host)
        if not self.host or not self._may_ask(self.endpoint):
            raise UserError("hub_refused_address", name=self.endpoint)
        self._origin = _origin(self.endpoint)
        self._transport = _transport(self._local, self.host)

    def json(self, path: str, *, model: str, token: str | None, abandoned: threading.Event) -> tuple[Any, str | None]:
        """Return what a page of the hub's interface says, and the path of the next page where there is one."""

        def once() -> tuple[Any, str | None]:
            with self._ask(self.endpoint + path, {}, token) as (response, _):
                _check(response, model=model, file=None, token=token)
                data = b"".join(_within(response, JSON_BYTES, abandoned))
                try:
                    return json.loads(data), self._next_page(response)
                except (ValueError, RecursionError):
                    raise UserError("hub_bad_answer", name=self.host) from None

        return self._patiently(once, abandoned)

    def range(self, target: Target, start: int, stop: int, abandoned: threading.Event) -> bytearray:
        """Return the bytes of a file from start up to stop; what came before a break is not asked for again."""
        data = bytearray(stop - start)
        read = 0

        def once() -> None:
            nonlocal read
            begin = start + read
            headers = {"Range": f"bytes={begin}-{stop - 1}"}
            with self._ask(target.moved_to or target.address, headers, target.token) as (response, at):
                if target.moved_to is not None and response.status_code in _SIGNATURE_ENDED:
                    # Signed addresses hold for an hour or so; the hub gives a new one.
                    target.moved_to = None
                    raise _Again("hub_unreachable")
                _check(response, model=target.model, file=target.file, token=target.token)
                _check_range(response, target, begin, stop)
                _check_unchanged(response, target, _origin(at))
                for part in _within(response, stop - begin, abandoned):
                    data[read : read + len(part)] = part
                    read += len(part)
                    target.count(len(part))
                if read < len(data):
                    raise _Again("hub_unreachable")
                target.moved_to = at if _origin(at) != self._origin else None

        if data:
            self._patiently(once, abandoned)
        return data

    def _patiently(self, once: Callable[[], Answer], abandoned: threading.Event) -> Answer:
        """Try until there is an answer; waits longer each time, as long as the server asks within a minute."""
        wait, tries, connects = FIRST_WAIT_SECONDS, TRIES, TRIES_TO_CONNECT
        while True:
            tries -= 1
            try:
                if abandoned.is_set():
                    raise Abandoned
                return once()
            except _Again as problem:
                kind, after = problem.kind, problem.after
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                kind, after, connects = "hub_unreachable", 0.0, connects - 1
            except httpx2.TransportError:
                kind, after = "hub_unreachable", 0.0
            if not tries or not connects or after > LONGEST_WAIT_SECONDS:
                raise UserError(kind, name=self.host)
            if abandoned.wait(max(wait, after)):
                raise Abandoned
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    @contextlib.contextmanager
    def _ask(
        self, address: str, headers: Mapping[str, str], token: str | None
    ) -> Iterator[tuple[httpx2.Response, str]]:
        """GET an address, following redirects; the answer, its body unread, and the address that gave it."""
        for _ in range(MOST_REDIRECTS + 1):
            if not self._may_ask(address):
                raise UserError("hub_refused_address", name=address)
            sent = {"User-Agent": "whose-weights", "Accept-Encoding": "identity", **headers}
            if token is not None and _origin(address) == self._origin:
                sent["Authorization"] = f"Bearer {token}"
            waits = {"connect": CONNECT_SECONDS, "read": STILL_SECONDS, "write": STILL_SECONDS, "pool": STILL_SECONDS}
            request = httpx2.Request("GET", address, headers=sent, extensions={"timeout": waits})
            try:
                response = self._transport.handle_request(request)
            except _AddressRefused:
                raise UserError("hub_refused_address", name=address) from None
            response.request = request
            try:
                if response.status_code not in _REDIRECTS or "Location" not in response.headers:
                    yield response, address
                    return
                address = urljoin(address, response.headers["Location"])
            except ValueError:
                raise UserError("hub_bad_answer", name=self.host) from None
            finally:
                response.close()
        raise UserError("hub_refused_address", name=address)

    def _may_ask(self, address: str) -> bool:
        try:
            parts = urlsplit(address)
            host = parts.hostname or ""
            _ = parts.port
        except ValueError:
            return False
        if parts.username is not None or not host or (_is_number(host) and not _may_connect(host, self._local)):
            return False
        return parts.scheme == "https" or (parts.scheme == "http" and self._local and _is_loopback(host))

    def _next_page(self, response: httpx2.Response) -> str | None:
        following = str(response.links.get("next", {}).get("url") or "")
        if not following:
            return None
        whole = urljoin(str(response.request.url), following)
        # Only on the same hub: the next request carries the token too.
        return whole.removeprefix(self.endpoint) if whole.startswith(self.endpoint + "/") else None


@lru_cache(maxsize=8)
def connection_to(endpoint: str) -> Connection:
    """The line to a hub, kept open between questions. Raises UserError."""
    return Connection(endpoint)


def _check(response: httpx2.Response, *, model: str, file: str | None, token: str | None) -> None:
    """Raise UserError or _Again for an answer that is none, by the hub client's own reading of its errors."""
    status = response.status_code
    if status in _BUSY:
        limits = parse_ratelimit_headers(response.headers)
        after = response.headers.get("Retry-After", "")
        if after.isdigit():
            raise _Again("hub_busy", float(after))
        raise _Again("hub_busy", float(limits.reset_in_seconds) if limits and status == 429 else 0.0)
    if status < 400:
        return
    # Without its body: that may have any size.
    bare = httpx2.Response(status, headers=_error_headers(response), request=response.request)
    try:
        hf_raise_for_status(bare)
    except GatedRepoError:
        raise UserError("hub_gated_token" if token else "hub_gated", name=model) from None
    except RevisionNotFoundError:
        raise UserError("hub_no_revision", name=model) from None
    except RemoteEntryNotFoundError:
        raise UserError("hub_no_file", name=model, file=file) from None
    except RepositoryNotFoundError:
        raise UserError("hub_not_found", name=model) from None
    except HfHubHTTPError:
        if status == 401:
            raise UserError("hub_token_refused" if token else "hub_not_found", name=model) from None
        if status == 403:
            raise UserError("hub_gated_token" if token else "hub_gated", name=model) from None
        if status == 404:
            raise UserError("hub_not_found", name=model) from None
    raise UserError("hub_bad_answer", name=urlsplit(str(response.request.url)).hostname)


def _error_headers(response: httpx2.Response) -> dict[str, str]:
    return {name: response.headers[name] for name in ("X-Error-Code", "X-Error-Message") if name in response.headers}


def _check_range(response: httpx2.Response, target: Target, start: int, stop: int) -> None:
    """Refuse, before its body is read, what is not the asked range of the listed file."""
    encoded = response.headers.get("Content-Encoding", "identity") != "identity"
    if response.status_code == 200 and not encoded and (start, stop) == (0, target.size):
        # Some servers send a small file whole; that is what was asked for if its length is right.
        if response.headers.get("Content-Length", str(target.size)) != str(target.size):
            raise UserError("changed_file", file=target.file)
        return
    if response.status_code != 206 or encoded:
        raise UserError("hub_no_ranges", name=urlsplit(str(response.request.url)).hostname)
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if found is None or (int(found[1]), int(found[2]) + 1) != (start, stop):
        raise UserError("hub_no_ranges", name=urlsplit(str(response.request.url)).hostname)
    if int(found[3]) != target.size:
        raise UserError("changed_file", file=target.file)


def _check_unchanged(response: httpx2.Response, target: Target, origin: str) -> None:
    """Refuse a file that is another one than before, by its tag and by its commit."""
    if response.headers.get("X-Repo-Commit", target.commit) != target.commit:
        raise UserError("changed_file", file=target.file)
    tag = response.headers.get("ETag", "")
    if tag and target.marks.setdefault(origin, tag) != tag:
        raise UserError("changed_file", file=target.file)


def _within(response: httpx2.Response, limit: int, abandoned: threading.Event) -> Iterator[bytes]:
    """The parts of a body as they come. Raises UserError beyond `limit` bytes, _Again for one that only trickles."""
    latest = time.monotonic() + 2 * STILL_SECONDS + limit / SLOWEST_BYTES_A_SECOND
    for part in response.iter_raw():
        if abandoned.is_set():
            raise Abandoned
        limit -= len(part)
        if limit < 0:
            raise UserError("hub_bad_answer", name=urlsplit(str(response.request.url)).hostname)
        if time.monotonic() > latest:
            raise _Again("hub_unreachable")
        yield part


class _AddressRefused(Exception):
    """A name stands for an address that must not be asked."""


class _Guarded(httpcore2.NetworkBackend):
    """Connects by name only after every address of that name was looked at, and to one of those."""

    def __init__(self, local: bool) -> None:
        self._local = local
        self._plain = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(str(error)) from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not all(_may_connect(address, self._local) for address in addresses):
            raise _AddressRefused(host)
        for address in addresses:
            try:
                return self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last: Exception = error
        raise last


class _GuardedTransport(httpx2.HTTPTransport):
    """The usual transport on connections that are guarded."""

    def __init__(self, local: bool) -> None:
        super().__init__(trust_env=True, limits=_LIMITS)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=httpx2.create_ssl_context(),
            max_connections=_LIMITS.max_connections,
            max_keepalive_connections=_LIMITS.max_keepalive_connections,
            keepalive_expiry=_LIMITS.keepalive_expiry,
            network_backend=_Guarded(local),
        )


def _transport(local: bool, host: str) -> httpx2.BaseTransport:
    """Straight to the hub, or through the proxy of the environment, which then is the one that looks up names."""
    proxy = urllib.request.getproxies().get("https")
    if proxy and not local and not urllib.request.proxy_bypass(host):
        with contextlib.suppress(ImportError, ValueError):
            return httpx2.HTTPTransport(proxy=proxy, limits=_LIMITS)
    return _GuardedTransport(local)


def _may_connect(address: str, local: bool) -> bool:
    """Whether an address lies on the public internet or, for a hub on this machine, on this machine."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inside = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inside is None and found in _NAT64:
            inside = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inside is not None:
            found = inside
    return (local and found.is_loopback) or (found.is_global and not found.is_multicast)


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_number(host) and ipaddress.ip_address(host).is_loopback)


def _origin(address: str) -> str:
    parts = urlsplit(address)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"
