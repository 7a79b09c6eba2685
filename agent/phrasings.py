"""How people ask, as labelled examples: what the classifier of messages learns from.

`phrasings.csv` has one example a line, with the models that are meant. `phrasings.txt` has patterns under headings
`# language context kind`: a group (a|b|c) stands for each of its alternatives, the groups of a line are gone through
together, so that every alternative occurs and a line gives as many examples as its longest group.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd
from pathlib import Path

_HERE = Path(__file__).parent
# The models that stand for the single letters of the patterns.
_MODELS = {
    "X": "exhibits/llama3v/suspect",
    "Y": "exhibits/llama3v/original",
    "Z": "exhibits/llama3v/stranger",
    "S": "exhibits/llama3v/sibling",
    "B": "exhibits/llama3v/base",
}


@dataclass(frozen=True)
class Phrasing:
    """A message, what was said before it, and what it asks for; `models` and `base` are empty where it does not matter.

    `context`: "new", nothing was said; "result", two models were compared and found to be copies; "apart", they were
    found independent; "asked", one model was named and the other asked for. `tuned`: the rules were written with this
    example at hand, so how well they do on it says nothing.
    """

    language: str
    context: str
    message: str
    kind: str
    models: tuple[str, ...] = ()
    base: str = ""
    tuned: bool = False


def labelled(path: Path = _HERE / "phrasings.csv", tuned: bool = True) -> list[Phrasing]:
    """The examples of a table with the columns of `phrasings.csv`."""
    with open(path, encoding="utf-8", newline="") as file:
        return [
            Phrasing(
                row["language"],
                row["context"],
                row["message"],
                row["kind"],
                tuple(row["models"].split(";")) if row["models"] else (),
                row["base"],
                tuned,
            )
            for row in csv.DictReader(file)
        ]


def patterns(path: Path = _HERE / "phrasings.txt") -> list[Phrasing]:
    """The examples that the patterns stand for, each once in its context."""
    found: dict[tuple[str, str], Phrasing] = {}
    language = context = kind = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            language, context, kind = line[2:].split()
        elif line.strip():
            for message in _expanded(line):
                found.setdefault((context, message), Phrasing(language, context, message, kind))
    return list(found.values())


def _expanded(line: str) -> Iterator[str]:
    groups = [part[1:-1].split("|") if part.startswith("(") else [part] for part in re.split(r"(\([^()]*\))", line)]
    longest = max(map(len, groups))
    # Shorter groups are gone through in other steps, so that the same alternatives do not always meet.
    steps = [next(step for step in (3, 1) if gcd(step, len(group)) == 1) for group in groups]
    for number in range(longest):
        chosen = [
            group[number] if len(group) == longest else group[(number * step + place // 2) % len(group)]
            for place, (group, step) in enumerate(zip(groups, steps, strict=True))
        ]
        message = re.sub(r"\{([XYZSB])\}", lambda match: _MODELS[match[1]], "".join(chosen))
        yield re.sub(r" +", " ", message).strip().replace(" ?", "?")
