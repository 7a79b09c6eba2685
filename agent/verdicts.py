"""A verdict in words: the answer, how sure, why, what was changed, what it does not mean, what to do next."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Protocol

from agent import settings
from agent.cues import cue
from agent.evidence import SERIES, Cited, closest, harmless, layers, model_name, title_of
from agent.fairness import heated_words
from agent.memory import NOT_FOUND
from agent.merges import merge_words
from agent.phrases import knows, say
from agent.secrecy import TAKEN_OUT
from agent.turns import Done, Turn, offer_after
from agent.wording import (
    foreign_as_code,
    number,
    paragraphs,
)
from tools.errors import printable


class Report(Protocol):
    """What is needed of tools.report."""

    def summary(self, result: dict[str, Any], language: str) -> dict[str, Any]:
        """Word, icon, headline, strength, reasons, not_meaning, next."""

    def markdown(self, result: dict[str, Any], language: str) -> str:
        """The whole report."""


@dataclass(frozen=True)
class Spoken:
    """A reply before it is checked. `asks`: it is a question back. `options`: what one may say next."""

    text: str
    asks: bool = False
    options: tuple[str, ...] = ()
    answer: str | None = None


class Verdicts:
    """One reply in the making, so far as it words results; every method gives text in the reader's language."""

    def __init__(self, turn: Turn, report: Report) -> None:
        self.turn, self.intent, self.before = turn, turn.intent, turn.before
        self.language, self.report = turn.intent.language, report
        self.results, self.passages = turn.results, turn.passages
        self.cited: list[Cited] = turn.cited

    def say(self, key: str, **facts: object) -> str:
        """One of our sentences."""
        return say(self.language, key, **facts)

    def chips(self, *keys: str, **facts: object) -> tuple[str, ...]:
        """What one may say next."""
        return tuple(self.say(f"chip_{key}", **facts) for key in keys)

    @property
    def main(self) -> Mapping[str, Any]:
        """The result that a follow-up is about."""
        best = closest(self.results)
        assert best is not None
        return best

    def framed(self, words: str) -> str:
        """The words of a model between the verdict and its limits."""
        if not self.results:
            return paragraphs([self.preamble(), words, self.read_more()])
        summary = self.report.summary(dict(self.main), self.language)
        limits = self.joined(_ends(summary["not_meaning"]))
        return paragraphs(
            [
                self.preamble(),
                self.verdict(self.main, "one_sentence"),
                words,
                self.say("not_meaning", text=limits) if limits else "",
                self.measured_earlier() if self.intent.kind == "compare" else "",
                self.read_more(),
                self.say("offer_behave") if self.intent.kind == "compare" and offer_after(self.main) else "",
            ]
        )

    def compared(self, failed: Done | None) -> Spoken:
        """The verdict of this turn's comparison, or of each of several with the closest one explained."""
        best = closest(self.results)
        assert best is not None
        parts = [self.preamble()]
        if self.intent.corrected:
            pair = self.say("comma").join(model_name(name) for name in (*self.intent.models, *self.intent.parents))
            wrong = cue("plainly_wrong").search(self.turn.said[-1] if self.turn.said else "")
            parts.append(self.say("instead" if wrong else "another_now", list=pair))
        if len(self.results) > 1:
            parts.append(self.say("several", a=model_name(self.intent.models[0]), count=len(self.results)))
            rows = []
            for result in self.results:
                summary = self.report.summary(dict(result), self.language)
                rows.append(
                    f"- {model_name(result['b']['name'])}: {summary['icon']} **{summary['word']}** "
                    f"{self.ids_of(result)}"
                )
            parts.append("\n".join(rows))
        parts += [self.verdict(best, self.intent.depth), self.measured_earlier()]
        if failed is not None:
            parts.append(self.error_text(failed))
        offer = offer_after(best)
        if offer and self.intent.depth != "one_sentence":
            parts.append(self.say("offer_behave"))
        chips = self.chips("sure", "why", "limits") + (self.chips("behave") if offer else self.chips("what_if"))
        return Spoken(paragraphs(parts), False, chips + self.chips("report"), str(best["answer"]))

    def measured_earlier(self) -> str:
        """Which results were kept from an earlier question, and of which day; empty where all were measured now."""
        kept = [(result["b"]["name"], earlier["on"]) for result in self.results if (earlier := _earlier(result))]
        if not kept:
            return ""
        days = [f"`{day}`" if len(self.results) == 1 else f"{model_name(name)} `{day}`" for name, day in kept]
        return self.say("measured_earlier", list=self.say("comma").join(days))

    def verdict(self, result: Mapping[str, Any], depth: str) -> str:
        """A result in words, at one of four depths."""
        summary = self.report.summary(dict(result), self.language)
        word, sentence, ids = summary["word"], self.headline(result, summary), self.ids_of(result)
        headline = f"{summary['icon']} **{word}.** {sentence} {ids}"
        if self.language == "zh":
            headline = f"{summary['icon']} **{word}。**{sentence}{ids}"
        if depth == "one_sentence":
            return headline
        not_meaning = self.joined(_ends(summary["not_meaning"]))
        if depth == "child":
            parts = [
                headline,
                self.say("child_picture"),
                self.joined([self.say(f"child_{result['answer']}"), self.ids_of(result)]),
            ]
            return paragraphs([*parts, self.say("not_meaning", text=self.say("child_limits"))])
        parts = [
            headline,
            self.say("sure", text=summary["strength"]) if summary["strength"] else "",
            paragraphs([self.say("why"), self.reasons(result, summary)], "\n") if summary["reasons"] else "",
            self.about_units(result),
            self.changes(result, summary),
            paragraphs([self.say("engineer"), self.table(result)], "\n") if depth == "engineer" else "",
            self.say("not_meaning", text=not_meaning) if not_meaning else "",
            self.say("next", text=summary["next"]) if summary["next"] else "",
            self.read_more(),
        ]
        return paragraphs(parts)

    def reasons(self, result: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
        """The reasons as a list, each with the finding it speaks of."""
        ids = self.by_probe(result)
        lines: list[str] = []
        for place, reason in enumerate(summary["reasons"]):
            probe = _probe_of(reason, place, result, self.language)
            # A reason may quote names that the suspect chose; quoted as code they are no words of ours.
            text = foreign_as_code(str(reason), result["findings"].get(probe) or {})
            if not heated_words(text, quoted_is_fine=True):
                mark = f"[{ids[probe]}]" if probe in ids else self.ids_of(result)
                lines.append(f"{len(lines) + 1}. {self.joined([text, mark])}")
        return "\n".join(lines[:3])

    def changes(self, result: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
        """What was done to make one from the other, and which came first, as far as that was measured."""
        changed = [harmless(phrase, 200) for phrase in summary.get("changes") or ()]
        lines = [self.say("changed", list=self.say("semicolon").join(changed))] if changed else []
        if result["direction"]["answer"] != "unknown" and summary.get("direction"):
            lines.append(self.say("came_first", text=self.as_code(result, str(summary["direction"]))))
        if self.intent.parents and (merge := merge_words(self.say, result, told=bool(changed))):
            lines.append(self.joined(merge))
        return paragraphs([self.joined([line, self.ids_of(result)]) for line in lines])

    def about_units(self, result: Mapping[str, Any]) -> str:
        """What hidden units are, where the reasons speak of them."""
        if not {*SERIES} & set(result["because"]):
            return ""
        return self.say("units_apart" if result["answer"] == "independent" else "units_linked")

    def headline(self, result: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
        """The headline with the names of the models as code."""
        return self.as_code(result, str(summary["headline"]))

    def as_code(self, result: Mapping[str, Any], text: str) -> str:
        """A sentence with the names of the models as code."""
        for name in sorted({_name_of(result, side) for side in ("a", "b", "base")} - {""}, key=len, reverse=True):
            text = re.sub(rf"(?<!`){re.escape(printable(name))}(?!`)", lambda match: model_name(match[0]), text)
        return text

    def table(self, result: Mapping[str, Any]) -> str:
        """Every finding with its numbers, for engineers."""
        lines = []
        for item in self.of(result):
            role = self.say("decides" if item.finding["role"] == "decides" else "only_context")
            if not item.measured:
                lines.append("- " + self.say("engineer_abstained", id=f"[{item.id}]", probe=item.probe, role=role))
                continue
            log10 = item.finding["log10_pvalue"]
            chance = "" if log10 is None else self.say("engineer_chance", log10=f"{log10:z,.1f}")
            line = self.say(
                "engineer_line",
                id=f"[{item.id}]",
                probe=item.probe,
                role=role,
                number=number(item.finding["statistic"]),
                chance=chance,
                n=f"{item.finding['n']:,}",
            )
            series = layers(item.finding)
            if item.probe in SERIES and 0 < len(series) <= 40:
                line += ("；" if self.language == "zh" else "; ") + self.say(
                    "layer_series", values=self.say("comma").join(number(value) for value in series)
                )
            lines.append("- " + line)
        return "\n".join(lines)

    def of(self, result: Mapping[str, Any]) -> list[Cited]:
        """The findings of one of the results."""
        return [item for item in self.cited if item.result is result]

    def by_probe(self, result: Mapping[str, Any]) -> dict[str, str]:
        """The id of each check of a result."""
        return {item.probe: item.id for item in self.of(result)}

    def ids_of(self, result: Mapping[str, Any], most: int = 3) -> str:
        """The ids of the findings that the rule leaned on, else of those that were measured and may decide."""
        ids = self.by_probe(result)
        leaned = [ids[probe] for probe in result["because"] if probe in ids]
        measured = [item.id for item in self.of(result) if item.measured]
        return "".join(f"[{id}]" for id in (leaned or measured or list(ids.values()))[:most])

    def preamble(self) -> str:
        """What must be said before an answer to a loaded question."""
        heated = heated_words(self.turn.said[-1] if self.turn.said else "")
        parts = [self.say("quoted_word", word=heated[0])] if heated else []
        if self.intent.pressed:
            parts.append(self.say("pressed"))
        if self.turn.said and TAKEN_OUT in self.turn.said[-1]:
            parts.append(self.say("token_written"))
        return self.joined(parts)

    def read_more(self) -> str:
        """The articles that belong to a result."""
        if not self.passages:
            return ""
        items = [
            f"[K{place}] {harmless(title_of(passage, self.language), 120)}"
            for place, passage in enumerate(self.passages, 1)
        ]
        return self.say("read_more", list=" · ".join(items))

    def failed(self, done: Done) -> Spoken:
        """Nothing could be measured, and what the reader can do about it."""
        near = self.nearest(done)
        options = self.chips("examples", "help")
        if (done.error or {}).get("kind") in ("hub_not_found", "hub_gated", "hub_gated_token", "hub_token_refused"):
            options = (*self.chips("token"), *options)
        parts = [self.preamble(), self.error_text(done)]
        if near:
            parts.append(self.say("nearest", list=self.say("comma").join(map(model_name, near.values()))))
            meant = {key: near.get(value, value) for key, value in done.arguments.items() if isinstance(value, str)}
            options = (*self.chips(done.tool, **meant), *options) if knows(f"chip_{done.tool}") else options
        return Spoken(paragraphs(parts), False, options)

    def nearest(self, done: Done) -> dict[str, str]:
        """For every model of a call that was not found: the shipped one whose name is spelt nearly so."""
        error = done.error or {}
        shipped = [path for models in settings.shelf().exhibits.values() for path in models.values()]
        # A path that is missing here is sought on the hub, which may not answer.
        if error.get("kind") not in (*NOT_FOUND, "hub_unreachable"):
            return {}
        missing = [name for name in error.get("names") or () if name not in shipped]
        found = {name: get_close_matches(name, shipped, 1, 0.9) for name in missing}
        return {name: close[0] for name, close in found.items() if close}

    def error_text(self, done: Done) -> str:
        """What went wrong and the way out."""
        error = done.error or {}
        if error.get("kind") == "not_named":
            return self.say("not_named")
        if not error.get("message"):
            return self.say("broken")
        return self.joined([harmless(error["message"]), harmless(error["remedy"]) if error.get("remedy") else ""])

    def joined(self, parts: Sequence[str]) -> str:
        """Sentences one after the other; Chinese needs no space between them."""
        return ("" if self.language == "zh" else " ").join(part for part in parts if part)


def _name_of(result: Mapping[str, Any], side: str) -> str:
    return str(result[side]["name"]) if result.get(side) else ""


def _probe_of(reason: str, place: int, result: Mapping[str, Any], language: str) -> str:
    """The check that a reason speaks of: the one whose sentence it is, else the one at its place in the rule."""
    from tools.words import REASONS

    for probe, finding in result["findings"].items():
        if probe in REASONS and "abstained" not in finding:
            try:
                said = {REASONS[probe](finding, language, leaned) for leaned in (True, False)}
            except (KeyError, TypeError):
                continue
            if reason in said:
                return str(probe)
    return str(result["because"][place]) if place < len(result["because"]) else ""


def _ends(texts: Sequence[str]) -> list[str]:
    """The first and the last of the limits: the most important one, and that this is not about right and wrong."""
    return [texts[0], texts[-1]] if len(texts) > 1 else list(texts)


def _earlier(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """When a result was measured and what it took then, where it was kept from an earlier question."""
    earlier: Mapping[str, Any] | None = result["cost"].get("earlier")
    return earlier
