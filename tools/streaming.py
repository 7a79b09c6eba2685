"""Every value of two large models, held against each other in one pass over both files with reused buffers.

For each pair of tensors the pass tells whether all bytes are equal, and if not, which rows differ most. Those rows then
take the place of the sample's, so that the probes describe what lies between the models where it is largest.
"""

from __future__ import annotations

import ctypes
import math
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import torch

from tools.checkpoint import Checkpoint, Stop
from tools.compiled import AT_ONCE, Farthest, can_compare
from tools.errors import Cancelled, UserError
from tools.tensor_pairs import TensorPair

# Values of each side read and subtracted at once: what is read is used while the processor's cache still holds it.
BLOCK_VALUES = 2**18
# Blocks of one worker's part: enough to open the files for, too few for the other worker to wait for at the end.
PART_BLOCKS = 128
# More would wait for memory, not for the processor.
MOST_WORKERS = 2


@dataclass(frozen=True)
class Held:
    """Two tensors held against each other: whether they are equal, and the row that differs most where they are not."""

    a: str
    b: str
    equal: bool
    row: int


@dataclass(eq=False)
class _Open:
    """What is known so far of a pair whose parts are still being read, and how many of them are left."""

    pair: TensorPair
    left: int
    most: float = -1.0
    rows: tuple[int, int] = (0, 0)
    # Whether the pair is more than likely, and whether its parts can be read.
    settled: bool = False
    failed: bool = False

    def add(self, energy: float, rows: tuple[int, int]) -> None:
        """The rows that differ most are the first of those that do, whichever worker is ahead."""
        self.most, self.rows = max((self.most, self.rows), (energy, rows), key=lambda found: (found[0], -found[1][0]))


# Rows of both tensors of a pair, from the first up to the last.
_Part = tuple[_Open, int, int]


class Stream:
    """The pass over both files, in a's order, by workers of its own; leave the context to end it early.

    One worker begins with pairs that are only `likely`, while it is being found out which tensors answer to which.
    """

    def __init__(self, a: Checkpoint, b: Checkpoint, likely: Sequence[TensorPair], stop: Stop | None) -> None:
        self._a, self._b, self._stop = a, b, stop
        self._place = {name: i for i, name in enumerate(a.shapes)}
        self._known: dict[tuple[str, str], _Open] = {}
        self._parts = self._in_order([part for pair in likely for part in self._begun(pair)])
        self._settled = False
        self._left = 0
        self._done: Callable[[Held], None] = lambda held: None
        self._changed = threading.Condition()
        # Not 0 once the pass was ended, also for who reads without Python.
        self._ended = ctypes.c_int32(0)
        self._found: queue.SimpleQueue[Held | BaseException] = queue.SimpleQueue()
        count = max(1, min(MOST_WORKERS, os.cpu_count() or 1))
        self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]

    def __enter__(self) -> Self:
        # The others would take the processor from whoever finds out.
        self._workers[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._ended.value = 1
            self._changed.notify_all()
        for worker in self._workers:
            if worker.ident is not None:
                worker.join()

    def settle(self, pairs: Sequence[TensorPair], done: Callable[[Held], None] = lambda held: None) -> None:
        """These pairs it is, each tensor of a in one of them at most, and no others. Call it once, before `results`.

        `done` is called with each pair by the worker that read the last of it, several of them side by side.
        """
        with self._changed:
            self._done, self._left, self._settled = done, len(pairs), True
            parts: list[_Part] = []
            for pair in pairs:
                known = self._known.get((pair.a, pair.b))
                if known is None or known.failed:
                    parts += self._begun(pair)
                elif not known.left:
                    # Nothing of it is left to read; a worker has to tell of it all the same.
                    known.left = 1
                    parts.append((known, 0, 0))
                self._known[pair.a, pair.b].settled = True
            self._parts = self._in_order([part for part in self._parts if part[0].settled] + parts)
            self._changed.notify_all()
        for worker in self._workers[1:]:
            worker.start()

    def results(self, check: Callable[[], None]) -> Iterator[Held]:
        """Each pair as it is done; `check` is called several times a second. Raises what reading raises, Cancelled."""
        while self._left:
            check()
            self._check()
            try:
                found = self._found.get(timeout=0.1)
            except queue.Empty:
                continue
            if isinstance(found, BaseException):
                raise found
            self._left -= 1
            yield found

    def _work(self) -> None:
        torch.set_num_threads(1)
        try:
            while (part := self._next()) is not None:
                self._read(*part)
        except BaseException as error:
            self._found.put(error)

    def _read(self, pair: _Open, start: int, stop: int) -> None:
        try:
            most, rows = self._most_different(pair.pair, start, stop)
        except UserError:
            with self._changed:
                pair.failed = True
                if pair.settled:
                    raise
            # Of tensors that do not belong together nobody needs to know why they cannot be compared.
            return
        with self._changed:
            pair.add(most, rows)
            pair.left -= 1
            done = pair.settled and not pair.left
        if done:
            equal = pair.most <= 0.0
            held = Held(pair.pair.a, pair.pair.b, equal, 0 if equal else self._worst_row(pair.pair, *pair.rows))
            self._done(held)
            self._found.put(held)

    def _next(self) -> _Part | None:
        with self._changed:
            while not (self._parts or self._settled or self._ended.value):
                self._changed.wait()
            return self._parts.pop() if self._parts and not self._ended.value else None

    def _in_order(self, parts: list[_Part]) -> list[_Part]:
        """The part that is read first comes last."""
        return sorted(parts, key=lambda part: (self._place[part[0].pair.a], part[1]), reverse=True)

    def _begun(self, pair: TensorPair) -> list[_Part]:
        parts = self._parts_of(pair)
        self._known[pair.a, pair.b] = parts[0][0]
        return parts

    def _parts_of(self, pair: TensorPair) -> list[_Part]:
        height, rows = self._a.shapes[pair.a][0], PART_BLOCKS * self._rows_of_a_block(pair)
        starts = range(0, max(1, height), rows)
        whole = _Open(pair, len(starts))
        return [(whole, start, min(height, start + rows)) for start in starts]

    def _row_values(self, pair: TensorPair) -> int:
        return max(1, torch.Size(self._a.shapes[pair.a][1:]).numel())

    def _rows_of_a_block(self, pair: TensorPair) -> int:
        return max(1, BLOCK_VALUES // self._row_values(pair))

    def _most_different(self, pair: TensorPair, start: int, stop: int) -> tuple[float, tuple[int, int]]:
        """The mean square of the difference of the block that differs most, and its rows; not above 0 where equal."""
        if start == stop:
            return -1.0, (start, stop)
        self._check()
        return self._beside(pair, start, stop, self._rows_of_a_block(pair)) or self._one_by_one(pair, start, stop)

    def _worst_row(self, pair: TensorPair, start: int, stop: int) -> int:
        """Which of a block's rows differs most."""
        found = self._beside(pair, start, stop, 1)
        if found is not None:
            return found[1][0]
        x, y = self._a.read_rows(pair.a, start, stop), self._b.read_rows(pair.b, start, stop)
        return start + int((x.float().sub_(y)).reshape(len(x), -1).norm(dim=1).argmax())

    def _beside(self, pair: TensorPair, start: int, stop: int, high: int) -> tuple[float, tuple[int, int]] | None:
        """The same of rows that are read where they lie, `high` of them at a time; None where they must be decoded."""
        sides = (self._a, pair.a), (self._b, pair.b)
        types = [getattr(torch, side.dtypes[name]) for side, name in sides]
        places = [place for side, name in sides if (place := side.place(name, start, stop)) is not None]
        values = self._row_values(pair)
        if len(places) < 2 or values % AT_ONCE or not can_compare(types[0], types[1]):
            return None
        farthest = Farthest(types[0], types[1], high * values, self._ended)
        with ExitStack() as files:
            one, other = ((files.enter_context(place.file.opened()), place.start) for place in places)
            found = farthest.block(one, other, (stop - start) * values)
        if found is None:
            # They take a closer look.
            return None
        for (side, name), dtype in zip(sides, types, strict=True):
            side.count(name, (stop - start) * values * dtype.itemsize)
        row = start + found[1] // values
        return found[0], (row, min(stop, row + high))

    def _one_by_one(self, pair: TensorPair, start: int, stop: int) -> tuple[float, tuple[int, int]]:
        """The same of rows that are read and decoded first."""
        most, worst, rows = -1.0, (start, stop), self._rows_of_a_block(pair)
        blocks = zip(
            self._a.read_blocks(pair.a, start, stop, rows), self._b.read_blocks(pair.b, start, stop, rows), strict=True
        )
        for first, (x, y) in zip(range(start, stop, rows), blocks, strict=True):
            self._check()
            apart = self._apart(pair.a, x.flatten(), y.flatten())
            if apart > most:
                most, worst = apart, (first, first + len(x))
        return most, worst

    def _check(self) -> None:
        if self._ended.value or (self._stop is not None and self._stop()):
            raise Cancelled

    def _apart(self, name: str, x: torch.Tensor, y: torch.Tensor) -> float:
        """The mean square of the difference of two blocks, (values,); negative where they are equal, NaN or not."""
        if x.dtype == y.dtype and torch.equal(_bits(x), _bits(y)):
            return -1.0
        apart = x.float() - y.float()
        found = float(apart @ apart)
        if not 0.0 < found < math.inf:
            # Squares of the smallest and the largest numbers are nothing or infinite in 32 bits.
            exact = x.double() - y.double()
            found = float(exact @ exact)
        if not math.isfinite(found):
            raise UserError("not_finite", tensor=name, name=self._a.ref.name)
        return found / len(x)


def _bits(values: torch.Tensor) -> torch.Tensor:
    """The values as bytes, by eights where they divide: numbers that are not equal to themselves are equal so."""
    flat = values.view(torch.uint8)
    return flat.view(torch.int64) if len(flat) % 8 == 0 and flat.storage_offset() % 8 == 0 else flat
