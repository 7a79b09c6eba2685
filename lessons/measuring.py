"""The pairs that lessons compare, and what a run on them found, as plain JSON."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lessons.reading import LANGUAGES

Stop = Callable[[], bool]
Listener = Callable[[dict[str, Any]], None]
Compare = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Pair:
    """Two exhibits that a lesson compares, and the base that is named with them."""

    a: str
    b: str
    base: str | None = None


PAIRS: Mapping[str, Pair] = {
    "suspect": Pair("exhibits/llama3v/suspect", "exhibits/llama3v/original"),
    "suspect_base": Pair("exhibits/llama3v/suspect", "exhibits/llama3v/original", "exhibits/llama3v/base"),
    "sibling": Pair("exhibits/llama3v/sibling", "exhibits/llama3v/original", "exhibits/llama3v/base"),
    "stranger": Pair("exhibits/llama3v/stranger", "exhibits/llama3v/original"),
    "solar": Pair("exhibits/solar/model_a", "exhibits/solar/model_b"),
}


@dataclass
class Runs:
    """Comparisons of the exhibits, each made once per process and kept. Safe to share between threads."""

    compare: Compare
    _kept: dict[str, dict[str, Any]] = field(default_factory=dict)
    _locks: dict[str, threading.Lock] = field(default_factory=lambda: {name: threading.Lock() for name in PAIRS})

    def measure(
        self, names: Iterable[str], *, stop: Stop | None = None, on_finding: Listener | None = None
    ) -> dict[str, dict[str, Any]]:
        """What each pair's comparison found, by the pair's name; see `found`. Raises UserError and Cancelled."""
        measured = {}
        for name in names:
            began = time.monotonic()
            with self._locks[name]:
                if name not in self._kept:
                    pair = PAIRS[name]
                    result = self.compare(pair.a, pair.b, pair.base, stop=stop)
                    self._kept[name] = found(result)
                measured[name] = self._kept[name]
            if on_finding is not None:
                seconds = time.monotonic() - began
                answer = {"answer": measured[name]["values"]["answer"]}
                on_finding({"step": f"lesson_{name}", "status": "done", "finding": answer, "seconds": seconds})
        return measured


def found(result: Mapping[str, Any]) -> dict[str, Any]:
    """What a lesson may say of a comparison: {"a", "b", "base", "values", "sentences": {language: {...}}}.

    A value is there only where it was measured; a sentence is the report's own.
    """
    from tools import report, words

    values: dict[str, Any] = {"answer": result["answer"]}
    spoken: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}
    for name, finding in result["findings"].items():
        if finding.get("statistic") is None:
            continue
        values[name] = finding["statistic"]
        if name == "norm_gains":
            # The figure of the Solar affair: no average is taken away first, so it is near one for any two models.
            values["norm_cosine"] = finding["where"]["cosine"]
        if name in words.REASONS:
            for language in LANGUAGES:
                spoken[language][name] = words.REASONS[name](finding, language, name in result["because"])
    for change in result["changes"]:
        if change["amount"] is not None:
            values[f"changed_{change['kind']}"] = change["amount"]
    values |= {key: value for key, value in (result["power"] or {}).items() if _is_number(value)}
    if result["strength"]["log10_pvalue"] is not None:
        values["log10_pvalue"] = result["strength"]["log10_pvalue"]
    for language in LANGUAGES:
        summary = report.summary(result, language)
        spoken[language] |= {key: summary[key] for key in ("word", "headline", "strength", "direction", "power")}
    return {
        "a": result["a"]["name"],
        "b": result["b"]["name"],
        "base": result["base"]["name"] if result["base"] else None,
        "values": {key: value for key, value in values.items() if isinstance(value, str) or _is_number(value)},
        "sentences": spoken,
    }


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
