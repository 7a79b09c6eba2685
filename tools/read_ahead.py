"""The disk reads what a pass over two files will need, while the sample is looked at and the first questions are asked.

Nothing is read into the program here: a local file only tells the system what will be wanted. What lies elsewhere is
fetched when it is read.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self

import torch

from tools.checkpoint import Checkpoint
from tools.errors import Cancelled, UserError

# Of each file before it is known which tensors belong together: what a disk of 2 GB/s reads in that time.
FIRST_BYTES = 2**30
# Parts of a pass that are asked for before they are read: 1 GB of both files together.
PARTS_AHEAD = 8
# Asked for at once, from one side and then from the other.
STEP_BYTES = 2**26

# Rows of a tensor of the first model and of one of the second: names, first row and one past the last.
Part = tuple[str, str, int, int]


class ReadAhead:
    """Asks for both files in the order in which they will be read; leave the context to end it."""

    def __init__(self, a: Checkpoint, b: Checkpoint) -> None:
        self._sides = a, b
        self._ended = threading.Event()
        self._room = threading.Semaphore(0)
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def begin(self) -> None:
        """Ask for the beginnings of both files."""
        steps = itertools.zip_longest(*(_beginning(side) for side in self._sides))
        self._start((side, rows) for step in steps for side, rows in zip(self._sides, step, strict=True) if rows)

    def follow(self, parts: Sequence[Part]) -> None:
        """Ask for these parts in order from now on, at most PARTS_AHEAD more than were taken."""
        self._end()
        self._room = threading.Semaphore(PARTS_AHEAD)
        self._start(self._in_turn(parts))

    def taken(self) -> None:
        """The next of the parts is being read."""
        self._room.release()

    def _in_turn(self, parts: Sequence[Part]) -> Iterator[tuple[Checkpoint, tuple[str, int, int]]]:
        for a, b, start, stop in parts:
            self._room.acquire()
            yield self._sides[0], (a, start, stop)
            yield self._sides[1], (b, start, stop)

    def _start(self, wanted: Iterable[tuple[Checkpoint, tuple[str, int, int]]]) -> None:
        near = [side for side in self._sides if all(file.path is not None for file in side.weight_files)]

        def work() -> None:
            for side, rows in wanted:
                if self._ended.is_set():
                    return
                if side in near:
                    try:
                        side.expect([rows])
                    except (Cancelled, UserError):
                        # Whoever reads the file says what is wrong with it.
                        return

        self._ended.clear()
        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()

    def _end(self) -> None:
        self._ended.set()
        self._room.release()
        if self._thread is not None:
            self._thread.join()


def _beginning(checkpoint: Checkpoint) -> Iterator[tuple[str, int, int]]:
    """The first tensors in file order, in steps of rows; a tensor without axes is too small to ask for."""
    left = FIRST_BYTES
    for name, shape in checkpoint.shapes.items():
        if not shape or 0 in shape:
            continue
        row_bytes = math.prod(shape[1:]) * int(getattr(torch, checkpoint.dtypes[name], torch.int8).itemsize)
        step = max(1, STEP_BYTES // row_bytes)
        for start in range(0, shape[0], step):
            if left <= 0:
                return
            stop = min(shape[0], start + step)
            left -= (stop - start) * row_bytes
            yield name, start, stop
