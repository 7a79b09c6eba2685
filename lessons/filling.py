"""Blanks and conditions of a lesson: {suspect.unit_order|percent} is a number of this run, or nothing is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

Measured = Mapping[str, Mapping[str, Any]]
"""What lessons.measuring found, by the name of the pair."""

BLANK = re.compile(r"\{([a-z_]+)\.([a-z0-9_]+)(?:\|([a-z]+))?\}")
CONDITION = re.compile(r"(\S+) (==|>=|<=|>|<) (\S+)")


class NotMeasured(Exception):
    """A blank or a condition asks for what this run did not measure; the text names it."""


def filled(text: str, measured: Measured, language: str) -> str:
    """The text with every blank replaced by what was measured. Raises NotMeasured.

    {pair.key} is a sentence of the report or a number with two decimals, {pair.key|three} one with three,
    {pair.key|percent} a share in percent, {pair.key|sentence} the report's sentence about a probe.
    """
    return BLANK.sub(lambda blank: _shown(blank, measured, language), text)


def _shown(blank: re.Match[str], measured: Measured, language: str) -> str:
    from tools import words

    pair, key, form = blank.groups()
    if pair not in measured:
        raise NotMeasured(blank[0])
    sentences = measured[pair]["sentences"][language]
    if form == "sentence" or (form is None and key in ("word", "headline", "strength", "direction", "power")):
        if not sentences.get(key):
            raise NotMeasured(blank[0])
        return str(sentences[key])
    if key == "answer":
        return str(sentences["word"])
    value = value_of(f"{pair}.{key}", measured)
    if form == "percent":
        return words.percent(float(value))
    return f"{float(value):z.3f}" if form == "three" else f"{float(value):z.2f}"


def value_of(key: str, measured: Measured) -> Any:
    """The value behind `pair.key`; raises NotMeasured."""
    pair, _, name = key.partition(".")
    try:
        return measured[pair]["values"][name]
    except KeyError:
        raise NotMeasured(key) from None


def holds(condition: str, measured: Measured) -> bool:
    """Whether `pair.key OP value` is true of this run; the value is a number, an answer, or another `pair.key`."""
    match = CONDITION.fullmatch(condition)
    if match is None:
        raise ValueError(f"not a condition: {condition}")
    left, sign, right = value_of(match[1], measured), match[2], match[3]
    if sign == "==":
        return str(left) == right
    limit = value_of(right, measured) if re.match(r"[a-z]", right) else right
    one, other = float(left), float(limit)
    return {">": one > other, "<": one < other, ">=": one >= other, "<=": one <= other}[sign]


def pairs_in(texts: Iterable[str]) -> list[str]:
    """The pairs that blanks and conditions name, in the order of `PAIRS`."""
    from lessons.measuring import PAIRS

    named = set()
    for text in texts:
        named |= {blank[1] for blank in BLANK.finditer(text)}
        for key in re.findall(r"(?<![\w/.])([a-z_]+)\.[a-z0-9_]+ (?:==|>=|<=|>|<) ", f"{text} "):
            named.add(key)
        named |= set(re.findall(r"(?:>=|<=|>|<) ([a-z_]+)\.", text))
    return [name for name in PAIRS if name in named]
