"""The agent's stream as plain records: what a tool is doing, what it found, and the reply once it has been checked."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph

from agent.evidence import citations, harmless, question_of, title_of_work
from agent.guard import checked
from agent.guide import Guide
from agent.phrases import knows, say
from agent.toolbox import Turn as Occasion
from agent.turns import recall
from agent.wording import number
from tools.words import ANSWERS, amount_word

log = logging.getLogger(__name__)

Kind = Literal["started", "progress", "finished", "reply", "stopped", "error"]


@dataclass(frozen=True)
class Step:
    """One thing that happened: a title and a text in the reader's language, plain JSON, and how long it took."""

    kind: Kind
    title: str = ""
    text: str = ""
    artifact: dict[str, Any] | None = None
    seconds: float | None = None


def stream(
    agent: CompiledStateGraph[Any, Any, Any, Any],
    guide: Guide,
    question: Mapping[str, Any],
    config: RunnableConfig,
    occasion: Occasion,
) -> Iterator[Step]:
    """Run one turn. No prose is shown before it is checked; the reply is always the last step."""
    language = occasion.language
    begun: dict[str, float] = {}
    titles: dict[str, str] = {}
    events: Iterator[Any] = agent.stream(
        {"messages": [question]}, config, context=occasion, stream_mode=["updates", "custom"], durability="exit"
    )
    for mode, chunk in events:
        if mode == "custom":
            if (step := _progress(chunk, language)) is not None:
                yield step
            continue
        for update in chunk.values():
            for message in (update or {}).get("messages", ()):
                if isinstance(message, AIMessage):
                    for call in message.tool_calls:
                        call_id = str(call["id"])
                        begun[call_id], titles[call_id] = (
                            time.monotonic(),
                            title_of_work(call["name"], call["args"], language),
                        )
                        yield Step("started", titles[call_id], "", {"tool": call["name"], "arguments": call["args"]})
                elif isinstance(message, ToolMessage):
                    artifact = message.artifact or {}
                    failed = "error" in artifact or "stopped" in artifact or not artifact
                    seconds = time.monotonic() - begun.get(message.tool_call_id, time.monotonic())
                    error = artifact.get("error") or {}
                    yield Step(
                        "finished",
                        titles.get(message.tool_call_id, ""),
                        harmless(error["message"]) if error.get("message") else "",
                        None if failed else artifact,
                        seconds,
                    )
    yield reply(agent, guide, config)


def reply(agent: CompiledStateGraph[Any, Any, Any, Any], guide: Guide, config: RunnableConfig) -> Step:
    """The last message of the thread, held once more against the evidence, with its citations and what to ask next."""
    messages = agent.get_state(config).values["messages"]
    turn = recall(messages, guide.shelf())
    spoken = guide.spoken(turn)
    text = checked(messages[-1].text, turn, guide)
    stopped = any(done.stopped for done in turn.done)
    if stopped:
        return Step("stopped", "", say(turn.intent.language, "stopped"), {"language": turn.intent.language})
    cited = turn.cited
    ids = [f"{kind}{n}" for kind, count in (("E", len(cited)), ("K", len(turn.passages))) for n in range(1, count + 1)]
    used = [mark for mark in ids if f"[{mark}]" in text]
    now = [done.artifact for done in turn.done if done.tool == "compare" and "answer" in done.artifact]
    return Step(
        "reply",
        "",
        text,
        {
            "result": now[-1] if now else None,
            "passages": list(turn.passages),
            "citations": citations(used, cited, turn.passages, turn.intent.language),
            "asks": spoken.asks,
            "options": list(spoken.options),
            "language": turn.intent.language,
            "answer": spoken.answer,
            "worded_by": messages[-1].additional_kwargs.get("worded_by", "guide"),
        },
    )


def _progress(record: object, language: str) -> Step | None:
    """A check that ended inside a tool; the beginnings are not shown, they are over in a moment."""
    if not isinstance(record, Mapping) or not isinstance(record.get("record"), Mapping):
        return None
    inner = record["record"]
    if inner.get("status") == "progress" and isinstance(inner.get("bytes_expected"), int):
        done, expected = (f"{inner[key] / 10**6:,.0f}" for key in ("bytes_done", "bytes_expected"))
        text = say(language, "step_read_so_far", done=done, expected=expected)
        return Step("progress", say(language, "step_read"), text, dict(record))
    if inner.get("status") != "done":
        return None
    name, finding = str(inner.get("step", "")), inner.get("finding") or {}
    key = f"step_{name}"
    title = say(language, key) if knows(key) else question_of(name, language) or _change_title(name, language)
    if "abstained" in finding:
        text = say(language, "step_abstained")
    elif finding.get("answer") in ANSWERS:
        text = str(ANSWERS[finding["answer"]]["word"]["zh" if language == "zh" else "en"])
    elif isinstance(finding.get("statistic"), (int, float)):
        text = number(finding["statistic"])
    else:
        text = say(language, "step_done")
    return Step("progress", title, text, dict(record), inner.get("seconds"))


def _change_title(name: str, language: str) -> str:
    change, _, amount = name.partition(" ")
    key = f"change_{change}"
    return (say(language, key) if knows(key) else harmless(change, 60)) + (
        say(language, "in_brackets", text=harmless(amount_word(amount, language), 20))
        if amount and amount != "all"
        else ""
    )
