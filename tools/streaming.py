"""Every value of two large models, held against each other in one pass over both files with reused buffers.

For each pair of tensors the pass tells whether all bytes are equal, and if not, which rows differ most. Those rows then
take the place of the sample's, so that the probes describe what lies between the models where it is largest.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import torch

from tools.checkpoint import Checkpoint, Stop
from tools.comparison import TensorPair
from tools.errors import Cancelled, UserError

# Values of each side read and subtracted at once: what is read is used while the processor's cache still holds it.
BLOCK_VALUES = 2**18
# Blocks of one worker's turn: enough to open the files for, too few for the other worker to wait for at the end.
PART_BLOCKS = 128
# More would wait for memory, not for the processor.
MOST_WORKERS = 2
# Of the widest number that tensors hold.
_VALUE_BYTES = 8


@dataclass(frozen=True)
class Held:
    """Two tensors held against each other: whether they are equal, and the rows that differ most where they are not."""

    a: str
    b: str
    equal: bool
    rows: tuple[int, int]


@dataclass
class _Open:
    """What is known so far of a pair whose parts are still being read, and how many of them are left."""

    pair: TensorPair
    left: int
    most: float = -1.0
    rows: tuple[int, int] = (0, 0)

    def add(self, energy: float, rows: tuple[int, int]) -> None:
        """The rows that differ most are the first of those that do, whichever worker is ahead."""
        self.most, self.rows = max((self.most, self.rows), (energy, rows), key=lambda found: (found[0], -found[1][0]))


class Stream:
    """The pass over both files, in a's order, by workers of its own; leave the context to end it early."""

    def __init__(self, a: Checkpoint, b: Checkpoint, pairs: Sequence[TensorPair], stop: Stop | None) -> None:
        self._a, self._b, self._stop = a, b, stop
        place = {name: i for i, name in enumerate(a.shapes)}
        pairs = sorted(pairs, key=lambda pair: place[pair.a])
        self._parts = [part for pair in pairs for part in self._parts_of(pair)]
        self._left = len(pairs)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._found: queue.SimpleQueue[Held | BaseException] = queue.SimpleQueue()
        count = max(1, min(MOST_WORKERS, os.cpu_count() or 1))
        self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]

    def __enter__(self) -> Self:
        self._parts.reverse()
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for worker in self._workers:
            worker.join()

    def results(self, check: Callable[[], None]) -> Iterator[Held]:
        """Each pair as it is done; `check` is called several times a second. Raises what reading raises, Cancelled."""
        while self._left:
            check()
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
        buffers = [torch.empty(BLOCK_VALUES * _VALUE_BYTES, dtype=torch.uint8) for _ in range(2)]
        try:
            while (part := self._next()) is not None:
                pair, start, stop = part
                most, rows = self._most_different(pair.pair, start, stop, buffers)
                with self._lock:
                    pair.add(most, rows)
                    pair.left -= 1
                    done = not pair.left
                if done:
                    self._found.put(Held(pair.pair.a, pair.pair.b, pair.most <= 0.0, pair.rows))
        except BaseException as error:
            self._found.put(error)

    def _next(self) -> tuple[_Open, int, int] | None:
        with self._lock:
            return self._parts.pop() if self._parts else None

    def _parts_of(self, pair: TensorPair) -> list[tuple[_Open, int, int]]:
        height, rows = self._a.shapes[pair.a][0], PART_BLOCKS * self._rows_of_a_block(pair)
        starts = range(0, max(1, height), rows)
        whole = _Open(pair, len(starts))
        return [(whole, start, min(height, start + rows)) for start in starts]

    def _row_values(self, pair: TensorPair) -> int:
        return max(1, torch.Size(self._a.shapes[pair.a][1:]).numel())

    def _rows_of_a_block(self, pair: TensorPair) -> int:
        return max(1, BLOCK_VALUES // self._row_values(pair))

    def _most_different(
        self, pair: TensorPair, start: int, stop: int, buffers: list[torch.Tensor]
    ) -> tuple[float, tuple[int, int]]:
        """The block of rows that differs most, and the mean square of its difference; 0 where all are equal."""
        rows = self._rows_of_a_block(pair)
        difference = torch.empty(rows * self._row_values(pair))
        most, worst = -1.0, (start, stop)
        blocks = zip(
            self._a.read_blocks(pair.a, start, stop, rows, buffers[0]),
            self._b.read_blocks(pair.b, start, stop, rows, buffers[1]),
            strict=True,
        )
        for first, (x, y) in zip(range(start, stop, rows), blocks, strict=True):
            if self._ended.is_set() or (self._stop is not None and self._stop()):
                raise Cancelled
            if x.dtype == y.dtype and torch.equal(_bits(x), _bits(y)):
                continue
            left, right = x.flatten(), y.flatten()
            block = difference[: len(left)]
            block.copy_(left)
            block.sub_(right)
            energy = float(torch.dot(block, block)) / len(left)
            if energy != energy or energy == float("inf"):
                raise UserError("not_finite", tensor=pair.a, name=self._a.ref.name)
            if energy > most:
                most, worst = energy, (first, first + len(x))
        return most, worst


def _bits(values: torch.Tensor) -> torch.Tensor:
    """The values as bytes, by eights where they divide: numbers that are not equal to themselves are equal so."""
    flat = values.flatten().view(torch.uint8)
    return flat.view(torch.int64) if len(flat) % 8 == 0 and flat.storage_offset() % 8 == 0 else flat
