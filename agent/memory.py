"""What a conversation remembers: the models it named, what was measured, what was offered and asked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tools.errors import printable
from tools.limits import TEXTS

# The kinds of errors that say that a name stands for no model, or for several.
NOT_FOUND = (
    "not_found", "hub_not_found", "empty_folder", "no_model_here", "several_models", "several_in_archive",
)  # fmt: skip


@dataclass(frozen=True)
class Memory:
    """What was said and measured before the present message; everything in it is plain JSON or a tuple of names."""

    language: Literal["en", "zh"] | None = None
    wish: Literal["en", "zh"] | None = None
    models: tuple[str, ...] = ()
    base: str | None = None
    parents: tuple[str, ...] = ()
    exhibit: str | None = None
    named: tuple[str, ...] = ()
    last_kind: str = ""
    last_question: str = ""
    last_about: str = ""
    # What the last reply asked for: the kind of work that waits, for which models, and the choices given.
    waiting: str = ""
    awaiting: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    # What the last reply offered to run.
    offer: str | None = None
    offer_models: tuple[str, ...] = ()
    # Results of comparisons, oldest first; those of the last question that compared are `latest`.
    results: tuple[Mapping[str, Any], ...] = ()
    latest: int = 0
    described: tuple[Mapping[str, Any], ...] = ()
    stressed: Mapping[str, Any] | None = None
    behaved: Mapping[str, Any] | None = None
    # The passages shown with the last comparison, and the topics of the last search of any kind.
    passages: tuple[Mapping[str, Any], ...] = ()
    topics: tuple[str, ...] = ()
    trouble: Mapping[str, Any] | None = None

    @property
    def looked_at(self) -> str | None:
        """The model that was just described or stressed; None where other work came after."""
        if self.last_kind == "describe" and self.described:
            return str(self.described[-1].get("name"))
        return str(self.stressed.get("name")) if self.last_kind == "stress" and self.stressed else None

    @property
    def not_found(self) -> tuple[str, ...]:
        """The models of the last question whose names led to none; its other models were not at fault."""
        trouble = self.trouble or {}
        if trouble.get("kind") not in NOT_FOUND:
            return ()
        return tuple(name for name in self.models if f"“{printable(name)}”" in str(trouble.get("message")))

    @property
    def focus(self) -> tuple[Mapping[str, Any], ...]:
        """The results that follow-up questions are about."""
        return self.results[-self.latest :] if self.latest else ()

    @property
    def read_whole(self) -> bool:
        """Whether all weights were read for the results that follow-up questions are about."""
        return bool(self.focus) and not any(map(is_sampled, self.focus))

    def holds(self, number: float) -> bool:
        """Whether a number, up to rounding, is among what was last measured."""
        return any(_same(number, held) for result in self.focus for held in numbers_in(result))


def is_sampled(result: Mapping[str, Any]) -> bool:
    """Whether a result rests on a sample of the weights."""
    return TEXTS["sampled"]["en"] in (result.get("limits") or ())


def numbers_in(value: object) -> Iterator[float]:
    """Every number in a JSON value."""
    if isinstance(value, bool):
        return
    if isinstance(value, (int, float)):
        if math.isfinite(value):
            yield float(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from numbers_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from numbers_in(item)


def _same(number: float, held: float) -> bool:
    """Whether `number` is `held`, its size, or its share in percent, as a person would round it."""
    return any(
        abs(abs(number) - abs(scaled)) <= max(0.006 * abs(scaled), 1e-12)
        or (abs(number) >= 1 and round(abs(scaled)) == abs(number))
        for scaled in (held, 100 * held)
    )
