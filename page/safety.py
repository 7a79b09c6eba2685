"""What the browser may load and which doors of the server stay closed."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Gradio starts from scripts and styles inside its page, so those stay allowed inline. Nothing comes
# from or goes elsewhere, and no foreign text can open a frame or a form. A Space frames the page itself.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "frame-src 'none'",
        "form-action 'none'",
        "base-uri 'self'",
        "frame-ancestors 'self' https://huggingface.co",
    )
)

HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)

# This page takes no uploads and lends nobody its line: Gradio's doors for those have no use here.
CLOSED = re.compile(
    r"(?:/gradio_api)?/(?:upload|upload_progress|proxy=|file=\s*https?:|file=//|process_recording|vibe-|undo-vibe-"
    r"|run-history|runs|deep_link|monitoring|stream/|component_server|custom_component)",
    re.IGNORECASE,
)

# No event of this page needs a larger request; the longest is a message in JSON.
LARGEST_REQUEST = 256 * 1024


class ClosedDoors:
    """ASGI middleware: headers on every answer, 403 for closed paths, 413 beyond LARGEST_REQUEST."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        if CLOSED.match(scope["path"]):
            await _refuse(send_with_headers, 403)
        elif _declared_length(scope) > LARGEST_REQUEST:
            await _refuse(send_with_headers, 413)
        else:
            await self.app(scope, _Counted(receive), send_with_headers)


class _Counted:
    """Ends a request that sends more than it may without saying so beforehand."""

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self.seen = 0

    async def __call__(self) -> Message:
        message = await self.receive()
        self.seen += len(message.get("body", b""))
        return {"type": "http.disconnect"} if self.seen > LARGEST_REQUEST else message


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else LARGEST_REQUEST + 1
    return 0


async def _refuse(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b""})
