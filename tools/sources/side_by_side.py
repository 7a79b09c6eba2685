"""Work that waits for others, done side by side, so that whoever asked can stop at any moment."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence

from tools.checkpoint import Stop
from tools.errors import Cancelled

AT_ONCE = 8
# How often a stop is looked for.
_LOOK_SECONDS = 0.1

# A piece of work; it ends early, by Abandoned, once the event it is given is set.
Work = Callable[[threading.Event], None]


class Abandoned(Exception):
    """Nobody waits for this piece of work any more."""


def side_by_side(pieces: Sequence[Work], stop: Stop | None) -> None:
    """Do all pieces, some at a time. Raises what the first failing one raises, and Cancelled soon after a stop.

    Pieces that hang in a read when that happens are left to their time limit; nobody waits for them.
    """
    left, ended = deque(pieces), queue.SimpleQueue[BaseException | None]()
    abandoned = threading.Event()

    def work() -> None:
        while not abandoned.is_set():
            try:
                piece = left.popleft()
            except IndexError:
                return
            try:
                piece(abandoned)
            except BaseException as error:
                ended.put(error)
                return
            ended.put(None)

    def look() -> None:
        if stop is not None and stop():
            raise Cancelled

    try:
        look()
        for _ in range(min(AT_ONCE, len(pieces))):
            threading.Thread(target=work, daemon=True).start()
        waiting = len(pieces)
        while waiting:
            try:
                error = ended.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                look()
                continue
            if error is not None:
                raise error
            waiting -= 1
            look()
    finally:
        abandoned.set()
