"""A conversation as it is shown: the agent's steps as chat messages, in the reader's language."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import gradio as gr

from page import card, markup, numbers, plots
from page.words import LANGUAGES, Language, say
from tools.words import PROBES

if TYPE_CHECKING:
    from agent.steps import Step

log = logging.getLogger(__name__)

# Every change sends the whole chat through the server once more; about forty questions stay in view.
MOST_ENTRIES = 200

Status = Literal["pending", "done", "stopped", "failed"]


@dataclass
class Question:
    """What the person wrote."""

    text: str

    def shown(self, language: Language) -> list[gr.ChatMessage]:
        return [gr.ChatMessage(role="user", content=markup.block("said", [markup.lines(self.text)]))]


@dataclass
class Work:
    """One tool at work: one line per check and how long it took. `key` names a title of the page's own."""

    title: str = ""
    key: str = ""
    status: Status = "pending"
    lines: list[tuple[str, str, float | None]] = field(default_factory=list)
    seconds: float | None = None
    began: float = field(default_factory=time.monotonic)

    def note(self, name: str, text: str, seconds: float | None) -> None:
        """Add a line; what counts on has one line, the last."""
        self.lines = [line for line in self.lines if line[0] != name or line[2] is not None]
        self.lines.append((name, text, seconds))

    def end(self, status: Status, seconds: float | None = None) -> None:
        self.status = status
        self.seconds = time.monotonic() - self.began if seconds is None else seconds

    def shown(self, language: Language) -> list[gr.ChatMessage]:
        pending = self.status == "pending"
        title = markup.inline(say(language, self.key) if self.key else self.title)
        if self.status in ("stopped", "failed"):
            title += f" – {say(language, f'step_{self.status}')}"
        metadata: dict[str, Any] = {"title": title, "status": "pending" if pending else "done"}
        if pending:
            metadata["log"] = f"{time.monotonic() - self.began:.0f} s"
        elif self.seconds is not None:
            # The page rounds it; of a whole number it would show no decimals.
            metadata["duration"] = self.seconds
        rows = "".join(
            f"<li>{markup.inline(name)}"
            + (f": <b>{markup.inline(text)}</b>" if text else "")
            + (f' <span class="quiet">{numbers.seconds(seconds)}</span>' if seconds is not None else "")
            + "</li>"
            for name, text, seconds in self.lines
        )
        content = markup.block("steps", [f"<ul>{rows}</ul>"]) if rows else ""
        return [gr.ChatMessage(role="assistant", content=content, metadata=metadata)]  # type: ignore[arg-type]


@dataclass
class Comparison:
    """The result of a comparison: its card, then its plot with the sentence that holds the same numbers."""

    result: Mapping[str, Any]

    def shown(self, language: Language) -> list[gr.ChatMessage]:
        from tools.report import summary

        messages = [_said(card.verdict(self.result, summary(dict(self.result), language), language))]
        figure = plots.agreement(self.result, language)
        if figure is not None:
            messages.append(_said([plots.agreement_words(self.result, language), _plot(figure)]))
        return messages


@dataclass
class Behaviour:
    """How alike two models answer: the card, then the plot over noise with its sentence."""

    result: Mapping[str, Any]

    def shown(self, language: Language) -> list[gr.ChatMessage]:
        words, figure = plots.behaviour_words(self.result, language), plots.behaviour(self.result, language)
        return [_said(card.behaviour(self.result, language)), _said([words, _plot(figure)])]


@dataclass
class Disguises:
    """Which disguises of one model are seen through, as a card."""

    result: Mapping[str, Any]

    def shown(self, language: Language) -> list[gr.ChatMessage]:
        return [_said(card.stress(self.result, language))]


@dataclass
class Lesson:
    """The evidence cards of a lesson that was run on the exhibits."""

    record: Mapping[str, Any]

    def shown(self, language: Language) -> list[gr.ChatMessage]:
        from lessons import document, sheets
        from lessons.run import taught

        lesson = taught(dict(self.record), language)
        if not lesson.clues:
            return []
        summary = f"<summary>{sheets.word(language, 'cards')} ({len(lesson.clues)})</summary>"
        cards = document.as_html(sheets.evidence_cards(lesson), lambda text: markup.plain(text, 2000))
        return [_said(markup.block("lesson", [f"<details>{summary}{cards}</details>"]))]


@dataclass
class Reply:
    """What the agent says, checked, with its sources and the questions it offers next."""

    text: str
    citations: list[Mapping[str, Any]]
    options: list[str]
    beside: list[Mapping[str, Any]] = field(default_factory=list)
    """Results whose cards stand above: what these say already is not said twice."""

    def shown(self, language: Language) -> list[gr.ChatMessage]:
        text = markup.beyond(self.text, _sentences(self.beside)) if self.beside else self.text
        parts = [markup.reply(text)]
        cited = [one for one in self.citations if one.get("probe") is None or f"[{one.get('id')}]" in text]
        if cited:
            rows = "".join(f"<li>{_source(citation, language)}</li>" for citation in cited)
            parts.append(f'<div class="sources"><h4>{say(language, "reply_sources")}</h4><ul>{rows}</ul></div>')
        options = [{"value": option, "label": markup.printable(option, 120)} for option in self.options]
        content = markup.block("reply", parts)
        return [gr.ChatMessage(role="assistant", content=content, options=options)]  # type: ignore[arg-type]


@dataclass
class Notice:
    """A sentence of the page's own, such as that a check was stopped."""

    key: str
    facts: dict[str, object] = field(default_factory=dict)

    def shown(self, language: Language) -> list[gr.ChatMessage]:
        return [_said(markup.block("notice", [f"<p>{say(language, self.key, **self.facts)}</p>"]))]


Entry = Question | Work | Comparison | Behaviour | Disguises | Lesson | Reply | Notice


class Conversation:
    """Everything said in one visit, oldest first."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._shown: dict[tuple[int, Language], list[gr.ChatMessage]] = {}

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)

    def ask(self, text: str) -> None:
        """Show a question and, at once, that it is being read. The oldest entries make room."""
        del self.entries[:-MOST_ENTRIES]
        kept = {id(entry) for entry in self.entries}
        self._shown = {key: messages for key, messages in self._shown.items() if key[0] in kept}
        self.add(Question(text))
        self.add(Work(key="thinking"))

    def wait(self) -> None:
        """Show that the question waits for the end of a stopped one."""
        for entry in self.entries:
            if isinstance(entry, Work) and entry.key:
                entry.key = "waiting"

    def take(self, step: Step) -> Mapping[str, Any] | None:
        """Show one step of the agent; returns what the panel beside the chat shows too: a comparison or a lesson."""
        if step.kind == "started":
            self._drop_thinking()
            self.add(Work(title=step.title))
        elif step.kind == "progress":
            work = self._pending()
            if work is not None:
                work.note(step.title, step.text, step.seconds)
        elif step.kind == "finished":
            work = self._pending()
            if work is not None:
                work.title = step.title or work.title
                work.end(_outcome(step.artifact), step.seconds)
            return self._measured(step.artifact)
        elif step.kind == "reply":
            self.settle("done")
            artifact = step.artifact or {}
            options = [str(option) for option in artifact.get("options") or []]
            self.add(Reply(step.text, list(artifact.get("citations") or []), options, self._results()))
        elif step.kind == "stopped":
            self.settle("stopped")
            self.add(Notice("stopped"))
        elif step.kind == "error":
            self.settle("failed")
            self.add(Reply(step.text, [], []) if step.text else Notice("failed"))
        return None

    def settle(self, status: Status) -> None:
        """End every step that is still shown as running."""
        self._drop_thinking()
        for entry in self.entries:
            if isinstance(entry, Work) and entry.status == "pending":
                entry.end(status)

    def shown(self, language: Language) -> list[gr.ChatMessage]:
        """The messages of the chat. What cannot change any more is built once per language."""
        messages: list[gr.ChatMessage] = []
        last = self.entries[-1] if self.entries else None
        for entry in self.entries:
            if isinstance(entry, Work) and entry.status == "pending":
                messages += entry.shown(language)
                continue
            key = (id(entry), language)
            if key not in self._shown:
                self._shown[key] = _drawn(entry, language)
            for message in self._shown[key]:
                # Only the newest reply offers its next questions; older ones have been passed by.
                offers = message.options if entry is last else []
                messages.append(
                    gr.ChatMessage(
                        role=message.role, content=message.content, metadata=message.metadata, options=offers
                    )
                )
        return messages

    def _measured(self, artifact: object) -> Mapping[str, Any] | None:
        if not isinstance(artifact, Mapping):
            return None
        if {"answer", "findings"} <= artifact.keys():
            self.add(Comparison(artifact))
            return artifact
        if {"lesson", "measured"} <= artifact.keys():
            self.add(Lesson(artifact))
            return artifact
        if {"name", "rows"} <= artifact.keys():
            self.add(Disguises(artifact))
        elif {"pair", "control", "noise_levels"} <= artifact.keys():
            self.add(Behaviour(artifact))
        return None

    def _results(self) -> list[Mapping[str, Any]]:
        """What was compared since the last question."""
        results: list[Mapping[str, Any]] = []
        for entry in self.entries:
            if isinstance(entry, Question):
                results = []
            elif isinstance(entry, Comparison):
                results.append(entry.result)
        return results

    def _pending(self) -> Work | None:
        for entry in reversed(self.entries):
            if isinstance(entry, Work) and entry.status == "pending":
                return entry
        return None

    def _drop_thinking(self) -> None:
        self.entries = [entry for entry in self.entries if not (isinstance(entry, Work) and entry.key)]


def _drawn(entry: Entry, language: Language) -> list[gr.ChatMessage]:
    """The messages of an entry; one that cannot be drawn is a sentence, so that the rest of the chat goes on."""
    try:
        return entry.shown(language)
    except Exception:
        log.exception("cannot draw %s", type(entry).__name__)
        return Notice("failed").shown(language)


def _outcome(artifact: object) -> Status:
    if not isinstance(artifact, Mapping) or "error" in artifact:
        return "failed"
    return "stopped" if artifact.get("stopped") is True else "done"


def _said(content: Any) -> gr.ChatMessage:
    return gr.ChatMessage(role="assistant", content=content)


def _plot(figure: Any) -> gr.Plot:
    return gr.Plot(figure, show_label=False, container=False)


def _sentences(results: list[Mapping[str, Any]]) -> list[str]:
    """Everything that the cards of these results say, in both languages: a reply may be in the other one."""
    from tools.report import summary

    sentences: list[str] = []
    for result in results:
        for language in LANGUAGES:
            for value in summary(dict(result), language).values():
                sentences += [value] if isinstance(value, str) else value
    return sentences


def _source(citation: Mapping[str, Any], language: Language) -> str:
    """What a mark in a reply points to: a check with its numbers, or an article with where it comes from."""
    shown = f'<span class="mark">{markup.plain(citation.get("id", ""), 8)}</span> '
    probe = citation.get("probe")
    if probe in PROBES:
        shown += PROBES[str(probe)]["question"][language]
    else:
        shown += markup.plain(citation.get("title", ""), 200)
    if isinstance(citation.get("statistic"), (int, float)):
        shown += f" <b>{numbers.number(citation['statistic'])}</b>"
    if isinstance(citation.get("log10_pvalue"), (int, float)):
        shown += f' <span class="quiet">log10 p = {numbers.log10(float(citation["log10_pvalue"]))}</span>'
    sources = [markup.source(str(source)) for source in citation.get("sources") or []]
    if not sources:
        return shown
    told = say(language, "sources_count", count=len(sources))
    rows = "".join(f"<li>{source}</li>" for source in sources)
    return f"{shown}<details><summary>{told}</summary><ul>{rows}</ul></details>"
