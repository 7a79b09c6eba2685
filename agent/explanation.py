"""A language model's explanation as data: sentences, what they cite and whose side that is on; code writes the rest.

The model types no number and no citation mark. It names ids, and places like {E3.value} that code fills in, so that
neither can be misquoted; and it says of each sentence whether what it cites speaks for a link, which code knows too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.evidence import LINKED, Cited
from agent.wording import number

Stance = Literal["supports", "against", "neutral"]

LONGEST_ANSWER = 20_000
_FIELDS = {"value": "statistic", "log10_pvalue": "log10_pvalue", "n": "n"}
_FILLED = re.compile(r"\{(E\d{1,3})\.(\w{1,20})\}")


class Sentence(BaseModel):
    """One sentence, without numbers and citation marks; `stance`: whether what it cites speaks for a link."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: Annotated[str, Field(min_length=2, max_length=500)]
    cites: Annotated[list[Annotated[str, Field(pattern=r"^[EK]\d{1,3}$")]], Field(min_length=1, max_length=4)]
    stance: Stance


class Explanation(BaseModel):
    """What a language model has to say about a result or an article."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sentences: Annotated[list[Sentence], Field(min_length=1, max_length=8)]


def parsed(answer: str) -> Explanation:
    """The explanation in a model's answer, also where it stands in a code block; raises ValueError with the fault."""
    if len(answer) > LONGEST_ANSWER:
        raise ValueError("the answer is too long")
    # Models that think aloud do so before the answer.
    bare = re.sub(r"^.*</think>", "", answer, flags=re.S).strip()
    block = re.fullmatch(r"```(?:json)?\s*(.*?)\s*```", bare, re.S)
    try:
        return Explanation.model_validate_json(block[1] if block else bare)
    except ValidationError as faulty:
        first = faulty.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"not the wanted JSON{' at ' + place if place else ''}: {first['msg'][:120]}") from faulty


def stance_of(item: Cited) -> Stance:
    """Which side a finding is on: only what the rule leaned on takes one."""
    if item.finding.get("role") != "decides" or item.probe not in (item.result.get("because") or ()):
        return "neutral"
    answer = item.result.get("answer")
    return "supports" if answer in LINKED else "against" if answer == "independent" else "neutral"


def structure_faults(explanation: Explanation, cited: Sequence[Cited], passages: int) -> list[str]:
    """What is wrong with ids, places for numbers and stances, as sentences the model can act on."""
    found = {item.id: item for item in cited}
    known = {*found, *(f"K{place}" for place in range(1, passages + 1))}
    faults = []
    for sentence in explanation.sentences:
        shown = sentence.text[:80]
        faults += [f"unknown citation {mark}" for mark in sentence.cites if mark not in known]
        if re.search(r"[\[\]\n]", sentence.text):
            faults.append(f"no brackets and no line breaks in a sentence: {shown}")
        for mark, field in _FILLED.findall(sentence.text):
            held = found[mark].finding.get(_FIELDS.get(field, "")) if mark in found else None
            if mark not in sentence.cites:
                faults.append(f"{mark} is used but not cited in: {shown}")
            elif not isinstance(held, (int, float)):
                faults.append(f"{mark} has no {field}")
        if re.search(r"[{}]", _FILLED.sub("", sentence.text)):
            faults.append(f"no braces but those of numbers like {{E1.value}}: {shown}")
        sides = {stance_of(found[mark]) for mark in sentence.cites if mark in found} or {"neutral"}
        if sentence.stance not in sides:
            faults.append(f"what is cited is {' or '.join(sorted(sides))}, not {sentence.stance}: {shown}")
    return list(dict.fromkeys(faults))


def rendered(explanation: Explanation, cited: Sequence[Cited]) -> str:
    """The sentences with numbers and citation marks put in by code."""
    findings: Mapping[str, Mapping[str, object]] = {item.id: item.finding for item in cited}

    def value(match: re.Match[str]) -> str:
        held = findings.get(match[1], {}).get(_FIELDS.get(match[2], ""))
        return number(held) if isinstance(held, (int, float)) else match[0]

    return "\n\n".join(
        _FILLED.sub(value, sentence.text).strip() + " " + "".join(f"[{mark}]" for mark in dict.fromkeys(sentence.cites))
        for sentence in explanation.sentences
    )


def typed_number(sentence: Sentence) -> str | None:
    """A number that the model typed itself beside evidence; None where it left all of them to code."""
    if not any(mark.startswith("E") for mark in sentence.cites):
        return None
    typed = re.search(r"(?<![\w])\d[\d.,]*", _FILLED.sub("", sentence.text))
    return typed[0] if typed else None
