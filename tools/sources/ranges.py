"""Ranges of bytes, (start, stop) each: which are missing, which lie close together, where one is too long."""

from __future__ import annotations

from collections.abc import Iterable

Span = tuple[int, int]


def joined(spans: Iterable[Span], gap: int = 0) -> list[Span]:
    """The spans in order, those joined that touch, overlap, or have at most `gap` bytes between them."""
    found: list[Span] = []
    for start, stop in sorted(span for span in spans if span[0] < span[1]):
        if found and start <= found[-1][1] + gap:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found


def missing(wanted: Iterable[Span], held: Iterable[Span]) -> list[Span]:
    """What of the wanted spans lies in none of the held ones."""
    kept = joined(held)
    found: list[Span] = []
    for start, stop in joined(wanted):
        for first, last in kept:
            if last <= start or first >= stop:
                continue
            if first > start:
                found.append((start, first))
            start = last
            if start >= stop:
                break
        if start < stop:
            found.append((start, stop))
    return found


def cut(spans: Iterable[Span], longest: int) -> list[Span]:
    """The spans in pieces of at most `longest` bytes."""
    return [(begin, min(begin + longest, stop)) for start, stop in spans for begin in range(start, stop, longest)]
