"""What was measured, made ready to be cited: [E] and [K] ids, and the numbers a language model may see."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.phrases import knows, say
from tools.errors import printable
from tools.words import PROBES

LINKED = frozenset({"identical", "disguised_copy", "derived", "shared_part", "common_origin"})
# Checks that ask every layer how far the order of its units agrees.
SERIES = ("unit_order", "unit_partners", "unit_relations", "turned_partners")
# From the closest relation to the farthest; of several candidates the closest is the answer.
CLOSENESS = (
    "identical",
    "disguised_copy",
    "derived",
    "shared_part",
    "common_origin",
    "undecided",
    "independent",
)


@dataclass(frozen=True)
class Cited:
    """One finding of one result under its [E] id."""

    id: str
    probe: str
    finding: Mapping[str, Any]
    result: Mapping[str, Any]

    @property
    def measured(self) -> bool:
        """Whether the check could be made."""
        return "abstained" not in self.finding


def numbered(results: Sequence[Mapping[str, Any]]) -> list[Cited]:
    """Every finding of the results under its id: within a result those the rule leaned on first."""
    cited: list[Cited] = []
    for result in results:
        findings = result.get("findings") or {}
        leaned = [probe for probe in result.get("because") or [] if probe in findings]
        for probe in (*leaned, *(probe for probe in findings if probe not in leaned)):
            cited.append(Cited(f"E{len(cited) + 1}", probe, findings[probe], result))
    return cited


def closest(results: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The result with the closest relation; None without results."""
    return min(results, key=lambda result: CLOSENESS.index(result["answer"]), default=None)


def layers(finding: Mapping[str, Any]) -> list[float]:
    """The agreement of each layer that a finding tells apart; [] where it does not."""
    where = finding.get("where")
    rows = where if isinstance(where, list) else []
    values = [row.get("statistic") for row in rows if isinstance(row, Mapping)]
    return [float(value) for value in values if isinstance(value, (int, float)) and math.isfinite(value)]


def layer_rows(finding: Mapping[str, Any]) -> list[tuple[int, float]]:
    """The number of each layer as its file counts, and its agreement; of several parts of one layer the weakest."""
    where = finding.get("where")
    found: dict[int, float] = {}
    for row in where if isinstance(where, list) else []:
        layer, value = row.get("layer"), row.get("statistic")
        if isinstance(layer, int) and isinstance(value, (int, float)) and math.isfinite(value):
            found[layer] = min(found.get(layer, math.inf), float(value))
    return sorted(found.items())


def for_model(tool: str, artifact: Mapping[str, Any]) -> dict[str, Any]:
    """What a language model may see of a result: numbers, our own ids and words, counts. Nothing the suspect wrote."""
    if tool == "compare":
        return _comparison(artifact)
    if tool == "describe":
        numbers = ("parameters", "bytes", "hidden_size", "layers", "hidden_units", "vocabulary")
        tensors = artifact.get("tensors")
        return {key: _number(artifact.get(key)) for key in numbers} | {"tensors": _count(tensors)}
    if tool == "stress":
        rows = [row for row in artifact.get("rows") or [] if isinstance(row, Mapping)]
        return {
            "rows": [
                {
                    "perturbation": row.get("perturbation"),
                    "amount": _number(row.get("amount")),
                    "recognised": bool(row.get("recognised")),
                }
                for row in rows
            ]
        }
    return {"numbers": _leaves(artifact)}


def _comparison(result: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "answer": result["answer"],
        "strength": result["strength"],
        "direction": result["direction"]["answer"],
        "changes": [{"kind": change["kind"], "amount": _number(change["amount"])} for change in result["changes"]],
        "components": [
            {"id": f"part {number}", "answer": part["answer"], "share": part["share_of_parameters"]}
            for number, part in enumerate(result["components"], 1)
        ],
        "power": _leaves(result["power"] or {}),
        "evidence": [
            {"id": cited.id, "check": cited.probe, "role": cited.finding["role"]}
            | (
                {
                    "statistic": _number(cited.finding["statistic"]),
                    "log10_pvalue": _number(cited.finding["log10_pvalue"]),
                    "n": cited.finding["n"],
                }
                if cited.measured
                else {"could_not_be_made": True}
            )
            for cited in numbered([result])
        ],
    }


def passages_for_model(passages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The passages of our own articles, under their [K] ids."""
    return {
        "passages": [
            {
                "id": f"K{number}",
                "topic": passage["topic"],
                "title": passage["title"],
                "text": str(passage["text"])[:2000],
            }
            for number, passage in enumerate(passages, 1)
        ]
    }


_SHOWN_WHILE_RUNNING = ("answer", "question", "role", "statistic", "unit", "log10_pvalue", "n", "abstained")


def progress(record: Mapping[str, Any]) -> dict[str, Any]:
    """A step of a tool as plain JSON without the long tables of its finding."""
    finding = record.get("finding")
    small = (
        {key: finding[key] for key in _SHOWN_WHILE_RUNNING if key in finding} if isinstance(finding, Mapping) else None
    )
    shown = {
        "step": str(record.get("step", "")),
        "status": str(record.get("status", "")),
        "seconds": _number(record.get("seconds")),
        "finding": small,
    }
    return shown | {key: record[key] for key in ("bytes_done", "bytes_expected") if isinstance(record.get(key), int)}


def harmless(text: object, limit: int = 400) -> str:
    """Foreign text as plain Markdown text: nothing in it is a tag, a link, an image, code or a table."""
    return printable(text, limit).translate(_INERT)


# Signs that Markdown or HTML would act on, and what stands for them.
_INERT = str.maketrans({"`": "'", "<": "‹", ">": "›", "[": "(", "]": ")", "|": "¦", "*": "∗"})


def model_name(name: object) -> str:
    """A model's name as inline code: nothing in it can be read as Markdown."""
    return "`" + printable(name, 120).replace("`", "'") + "`"


def title_of_work(tool: str, arguments: Mapping[str, Any], language: str) -> str:
    """What a tool is doing, in one plain sentence."""
    names = {key: model_name(arguments[key]) for key in ("a", "b", "base", "name") if arguments.get(key)}
    if tool == "compare" and arguments.get("parents"):
        comma = say(language, "comma")
        return say(language, "tool_compare_parents", list=comma.join(map(model_name, arguments["parents"])), **names)
    if tool == "compare" and "base" in names:
        tool = "compare_base"
    return say(language, f"tool_{tool}" if knows(f"tool_{tool}") else "tool_search", **names)


def title_of(passage: Mapping[str, Any], language: str) -> str:
    """The title of a passage's article in the reader's language, whichever language it was found in."""
    titles = passage.get("titles") or {}
    return str(titles.get(language) or passage["title"])


def question_of(probe: str, language: str) -> str:
    """The question that a check asks, in the reader's language; "" for a check without one."""
    return str(PROBES[probe]["question"][language]) if probe in PROBES else ""


def citations(
    ids: Sequence[str], cited: Sequence[Cited], passages: Sequence[Mapping[str, Any]], language: str
) -> list[dict[str, Any]]:
    """What the ids in a reply point to, in the order of the evidence; titles in the reader's language."""
    found: list[dict[str, Any]] = []
    for item in cited:
        if item.id in ids:
            found.append(
                {
                    "id": item.id,
                    "kind": "evidence",
                    "probe": item.probe,
                    "question": item.finding.get("question", ""),
                    "title": question_of(item.probe, language) or item.finding.get("question", ""),
                    "statistic": item.finding.get("statistic"),
                    "log10_pvalue": item.finding.get("log10_pvalue"),
                    "a": item.result["a"]["name"],
                    "b": item.result["b"]["name"],
                    "sources": [],
                }
            )
    for number, passage in enumerate(passages, 1):
        if f"K{number}" in ids:
            found.append(
                {
                    "id": f"K{number}",
                    "kind": "passage",
                    "topic": passage["topic"],
                    "title": title_of(passage, language),
                    "sources": list(passage.get("sources") or []),
                }
            )
    return found


def _leaves(value: object, path: str = "") -> dict[str, float]:
    """The numbers of a nested record under numbered paths, without any of its words; at most two hundred."""
    return dict(list(_numbered_leaves(value))[:200])


def _numbered_leaves(value: object) -> Iterator[tuple[str, float]]:
    stack, count = [value], 0
    while stack:
        item = stack.pop()
        if isinstance(item, Mapping):
            stack.extend(reversed(list(item.values())))
        elif isinstance(item, (list, tuple)):
            stack.extend(reversed(item))
        elif (number := _number(item)) is not None:
            count += 1
            yield f"n{count}", number


def _number(value: object) -> float | int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return value


def _count(value: object) -> int | None:
    if isinstance(value, (list, tuple, Mapping)):
        return len(value)
    number = _number(value)
    return None if number is None else int(number)
