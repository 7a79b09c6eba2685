"""A lesson run live on the exhibits: what a chat, a page and the command line call."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from lessons.measuring import Listener, Runs, Stop
from lessons.reading import Language
from lessons.taught import Lesson, pairs_of, teach


@cache
def _runs() -> Runs:
    def compare(*names: str | None, **how: Any) -> dict[str, Any]:
        found: dict[str, Any] = importlib.import_module("tools.audit").compare(*names, **how)
        return found

    return Runs(compare)


def run(name: str, *, stop: Stop | None = None, on_finding: Listener | None = None) -> dict[str, Any]:
    """Compare the pairs that a lesson needs; plain JSON: {"lesson", "minutes", "measured"}.

    A pair is compared once per process. Raises KeyError for an unknown lesson, UserError, Cancelled.
    """
    pairs = pairs_of(name)
    measured = _runs().measure(pairs, stop=stop, on_finding=on_finding)
    taught = teach(name, "en", measured)
    return {"lesson": name, "minutes": [taught.minutes, *(step.minutes for step in taught.steps)], "measured": measured}


def taught(record: dict[str, Any], language: Language) -> Lesson:
    """The lesson of a record made by `run`, in a language."""
    return teach(record["lesson"], language, record["measured"])
