"""How much has been read and how much is to come, told to whoever listens while they may still press Stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

import torch

from tools.checkpoint import Checkpoint, Stop

Listener = Callable[[dict[str, Any]], None]

Made = TypeVar("Made")

# Often enough to see that something moves.
TELL_SECONDS = 0.3
# So often is asked for Stop while something is computed that cannot be taken apart.
ASK_SECONDS = 0.1


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
        # What is read of a hub is fetched long before; what came along with it was not expected.
        fetched = min(self._expected, sum(part.bytes_fetched for part in self._parts))
        done = max(fetched, sum(part.bytes_read for part in self._parts))
        return {
            "step": "read",
            "status": "progress",
            "seconds": None,
            "finding": None,
            "bytes_done": done,
            "bytes_expected": max(done, self._expected),
        }


def stoppable(work: Callable[[], Made], check: Callable[[], None]) -> Made:
    """What `work` returns or raises; `check` is called meanwhile and may raise Cancelled.

    For computations of seconds in one call of a library. After a stop the call runs to its end, and nobody hears of it,
    but the program waits for it before it ends: `work` must only compute.
    """
    result: Future[Made] = Future()

    def run() -> None:
        # A new thread would use every core, and sums in another order.
        torch.set_num_threads(1)
        try:
            result.set_result(work())
        except BaseException as error:
            result.set_exception(error)

    # No daemon: one that is still computing when the program ends would abort it.
    threading.Thread(target=run).start()
    while True:
        check()
        try:
            return result.result(timeout=ASK_SECONDS)
        except TimeoutError:
            if result.done():
                raise
