"""Times that the program is held to, on machines that may do other things too."""

from __future__ import annotations

from collections.abc import Callable


def least(attempt: Callable[[], float], enough: float, tries: int = 4) -> float:
    """The least of what up to so many attempts took, in seconds; none is made after one that took less than `enough`.

    Other work on the machine lengthens some of them, a program that is too slow all.
    """
    took = attempt()
    for _ in range(tries - 1):
        if took < enough:
            break
        took = min(took, attempt())
    return took
