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

# Read at once of one tensor: large enough for the disk, small enough to stop at once.
PIECE_BYTES = 8 * 2**20
# Values subtracted at once: two buffers of this size stay in the processor's cache.
BLOCK_VALUES = 2**18
# More would wait for memory, not for the processor.
MOST_WORKERS = 2


@dataclass(frozen=True)
class Held:
    """Two tensors held against each other: whether they are equal, and the rows that differ most where they are not."""

    a: str
    b: str
    equal: bool
    rows: tuple[int, int]


class Stream:
    """The pass over both files, in a's order, by workers of its own; leave the context to end it early."""

    def __init__(self, a: Checkpoint, b: Checkpoint, pairs: Sequence[TensorPair], stop: Stop | None) -> None:
        self._a, self._b, self._stop = a, b, stop
        place = {name: i for i, name in enumerate(a.shapes)}
        self._open = sorted(pairs, key=lambda pair: place[pair.a])
        self._left = len(self._open)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._found: queue.SimpleQueue[Held | BaseException] = queue.SimpleQueue()
        count = max(1, min(MOST_WORKERS, os.cpu_count() or 1))
        self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]

    def __enter__(self) -> Self:
        self._open.reverse()
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
        buffers = [torch.empty(PIECE_BYTES, dtype=torch.uint8) for _ in range(2)]
        try:
            while (pair := self._next()) is not None:
                self._found.put(self._held(pair, buffers))
        except BaseException as error:
            self._found.put(error)

    def _next(self) -> TensorPair | None:
        with self._lock:
            return self._open.pop() if self._open else None

    def _held(self, pair: TensorPair, buffers: list[torch.Tensor]) -> Held:
        shape = self._a.shapes[pair.a]
        row_values = max(1, torch.Size(shape[1:]).numel())
        sizes = [torch.empty(0, dtype=getattr(torch, side.dtypes[name])).itemsize
                 for side, name in ((self._a, pair.a), (self._b, pair.b))]  # fmt: skip
        rows = max(1, PIECE_BYTES // (row_values * max(sizes)))
        difference = torch.empty(max(BLOCK_VALUES, row_values))
        equal, most, worst = True, -1.0, (0, shape[0])
        for start in range(0, shape[0], rows):
            if self._ended.is_set() or (self._stop is not None and self._stop()):
                raise Cancelled
            stop = min(shape[0], start + rows)
            x = self._a.read_into(pair.a, start, stop, buffers[0])
            y = self._b.read_into(pair.b, start, stop, buffers[1])
            if x.dtype == y.dtype and torch.equal(_bits(x), _bits(y)):
                continue
            step = max(1, BLOCK_VALUES // row_values)
            for first in range(0, stop - start, step):
                some = slice(first, min(first + step, stop - start))
                left, right = x[some].flatten(), y[some].flatten()
                block = difference[: len(left)]
                block.copy_(left)
                block.sub_(right)
                energy = float(torch.dot(block, block)) / len(left)
                if energy != energy or energy == float("inf"):
                    raise UserError("not_finite", tensor=pair.a, name=self._a.ref.name)
                equal = equal and energy == 0.0
                if energy > most:
                    most, worst = energy, (start + first, start + some.stop)
        return Held(pair.a, pair.b, equal, worst)


def _bits(values: torch.Tensor) -> torch.Tensor:
    """The values as bytes, by eights where they divide: numbers that are not equal to themselves are equal so."""
    flat = values.flatten().view(torch.uint8)
    return flat.view(torch.int64) if len(flat) % 8 == 0 and flat.storage_offset() % 8 == 0 else flat
