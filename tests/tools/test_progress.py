"""What is computed in one long call can be left at once."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from tools.errors import Cancelled
from tools.progress import stoppable


def test_the_result_and_the_error_of_the_work_come_through() -> None:
    assert stoppable(lambda: 6 * 7, lambda: None) == 42
    assert stoppable(torch.get_num_threads, lambda: None) == 1

    def fails() -> None:
        raise TimeoutError("of the work itself")

    with pytest.raises(TimeoutError, match="of the work itself"):
        stoppable(fails, lambda: None)


def test_a_stop_is_heard_while_the_work_goes_on() -> None:
    ended = threading.Event()
    begun = time.monotonic()

    def check() -> None:
        if time.monotonic() - begun > 0.2:
            raise Cancelled

    with pytest.raises(Cancelled):
        stoppable(lambda: ended.wait(20), check)
    assert time.monotonic() - begun < 5
    ended.set()
