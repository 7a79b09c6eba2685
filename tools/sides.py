"""The two sides of a comparison."""

from __future__ import annotations

from typing import Literal

Side = Literal["a", "b"]
SIDES: tuple[Side, Side] = ("a", "b")


def opposite(side: Side) -> Side:
    """The side that is not this one."""
    return "b" if side == "a" else "a"
