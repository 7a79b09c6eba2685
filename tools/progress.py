"""How much has been read and how much is to come, told to whoever listens while they may still press Stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from tools.checkpoint import Checkpoint, Stop

Listener = Callable[[dict[str, Any]], None]

# Often enough to see that something moves.
TELL_SECONDS = 0.3


class Progress:
    """Bytes done and to come. Whatever reads asks `stopped` often; that is when the listener is told.

    The listener is only called from the thread that made this: readers may work side by side.
    """

    def __init__(self, listener: Listener | None, stop: Stop | None) -> None:
        self._listener, self._stop = listener, stop
        self._thread = threading.get_ident()
        self._parts: Sequence[Checkpoint] = ()
        self._expected = 0
        self._told = time.monotonic()

    def expect(self, parts: Sequence[Checkpoint], count: int) -> None:
        """So many bytes more of these checkpoints will be read."""
        self._parts = parts
        self._expected += count

    def stopped(self) -> bool:
        """Whether the user has pressed Stop."""
        if self._listener is not None and self._parts and threading.get_ident() == self._thread:
            now = time.monotonic()
            if now - self._told >= TELL_SECONDS:
                self._told = now
                self._listener(self.record())
        return self._stop is not None and self._stop()

    def record(self) -> dict[str, Any]:
        """The state as a listener is told it."""
        done = sum(part.bytes_read for part in self._parts)
        return {
            "step": "read",
            "status": "progress",
            "seconds": None,
            "finding": None,
            "bytes_done": done,
            "bytes_expected": max(done, self._expected),
        }
