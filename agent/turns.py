"""A conversation read from its messages: each turn's question, what its tools brought, and what is remembered of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from agent.evidence import LINKED, Cited, closest, numbered, title_of_work
from agent.intent import FOLLOW_UPS, Intent
from agent.memory import Memory
from agent.reading import read
from agent.shelf import Shelf

# Tools whose records are cited as a whole.
MEASURED = ("describe", "stress", "behave")
# Whose results a follow-up question is still about stays in view for this many comparisons.
RESULTS_KEPT = 12
# A reply to these changes nothing in what is waiting or offered.
_PASSING = frozenset(
    {"language", "help", "examples", "small_talk", "off_topic", "empty", "unreadable", "too_long", "code", "pressure"}
)


@dataclass(frozen=True)
class Done:
    """One tool call that was answered."""

    id: str
    tool: str
    arguments: Mapping[str, Any]
    artifact: Mapping[str, Any]

    @property
    def error(self) -> Mapping[str, Any] | None:
        """What went wrong, as a record with a sentence; None when nothing did."""
        return self.artifact.get("error") if "error" in self.artifact else None

    @property
    def stopped(self) -> bool:
        """Whether the reader pressed Stop."""
        return bool(self.artifact.get("stopped"))


@dataclass(frozen=True)
class Turn:
    """The present question with everything needed to plan, to answer and to check it."""

    intent: Intent
    before: Memory
    done: tuple[Done, ...] = ()
    said: tuple[str, ...] = ()
    """Everything the user wrote so far, this message last."""

    @property
    def after(self) -> Memory:
        """What is remembered once this turn is over."""
        return remember(self.before, self.intent, self.done)

    @property
    def results(self) -> list[Mapping[str, Any]]:
        """Results of this turn's comparisons; for a question about earlier ones, those."""
        now = [done.artifact for done in self.done if done.tool == "compare" and "answer" in done.artifact]
        return now or (list(self.before.focus) if recalls(self.intent) else [])

    @property
    def cited(self) -> list[Cited]:
        """What the reply may cite as [E1], [E2], ...: the findings of its results, else each other measurement."""
        if self.results:
            return numbered(self.results)
        measured = [done for done in self.done if done.tool in MEASURED and done.error is None and not done.stopped]
        return [
            Cited(
                f"E{place}",
                done.tool,
                {"question": title_of_work(done.tool, done.arguments, self.intent.language)},
                {side: {"name": done.arguments.get(side, done.arguments.get("name", ""))} for side in ("a", "b")},
            )
            for place, done in enumerate(measured, 1)
        ]

    @property
    def passages(self) -> list[Mapping[str, Any]]:
        """Passages of this turn's searches, or those shown with the results that are recalled."""
        now = [p for done in self.done if done.tool == "search_articles" for p in done.artifact.get("passages") or []]
        return now or (list(self.before.passages) if recalls(self.intent) and self.before.focus else [])

    @property
    def named(self) -> frozenset[str]:
        """The models that may be opened: those the user named, in this turn or before."""
        return frozenset((*self.before.named, *self.intent.named, *self.intent.models))


def recalls(intent: Intent) -> bool:
    """Whether the reply speaks of what was measured before."""
    return intent.kind in FOLLOW_UPS or intent.kind in ("pressure", "language")


def recall(messages: Sequence[BaseMessage], shelf: Shelf | None = None) -> Turn:
    """The last turn of a conversation, with the memory of those before it."""
    turns = _turns(messages)
    if not turns:
        return Turn(Intent("empty"), Memory())
    said = tuple(str(question.text) for question, _ in turns)
    start, memory = _remembered(turns, shelf)
    turn = Turn(Intent("empty"), memory)
    for number in range(start, len(turns)):
        question, rest = turns[number]
        asked = question.additional_kwargs
        intent = read(
            said[number],
            memory,
            shelf=shelf,
            hint=asked.get("language"),
            learned=asked.get("learned", True),
        )
        turn = Turn(intent, memory, tuple(_done(rest)), said[: number + 1])
        if number + 1 < len(turns):
            memory = turn.after
            _keep(turns[: number + 1], shelf, memory)
    return turn


_Turns = list[tuple[HumanMessage, list[BaseMessage]]]
# The memory before a turn depends on nothing but the messages before it. It is kept by their ids, so that the
# fiftieth question is not read after reading forty-nine others once more.
_MEMORIES: OrderedDict[tuple[object, ...], Memory] = OrderedDict()
_MEMORIES_KEPT = 512


def _remembered(turns: _Turns, shelf: Shelf | None) -> tuple[int, Memory]:
    """How many turns are remembered already, the last one never among them, and what is remembered of them."""
    for number in range(len(turns) - 1, 0, -1):
        key = _key(turns[:number], shelf)
        if key is not None and (memory := _MEMORIES.get(key)) is not None:
            return number, memory
    return 0, Memory()


def _keep(turns: _Turns, shelf: Shelf | None, memory: Memory) -> None:
    if (key := _key(turns, shelf)) is not None:
        _MEMORIES[key] = memory
        while len(_MEMORIES) > _MEMORIES_KEPT:
            _MEMORIES.popitem(last=False)


def _key(turns: _Turns, shelf: Shelf | None) -> tuple[object, ...] | None:
    """The ids of the first and the last message and the count between them; None where a message has no id yet."""
    first, last = turns[0][0], (turns[-1][1] or [turns[-1][0]])[-1]
    count = sum(1 + len(rest) for _, rest in turns)
    shipped = None if shelf is None else tuple((name, *models) for name, models in shelf.exhibits.items())
    return (first.id, last.id, count, shipped) if first.id and last.id else None


def _turns(messages: Sequence[BaseMessage]) -> _Turns:
    turns: _Turns = []
    for message in messages:
        if isinstance(message, HumanMessage):
            turns.append((message, []))
        elif turns:
            turns[-1][1].append(message)
    return turns


def _done(messages: Sequence[BaseMessage]) -> list[Done]:
    calls = {call["id"]: call for m in messages if isinstance(m, AIMessage) for call in m.tool_calls}
    return [
        Done(m.tool_call_id, calls[m.tool_call_id]["name"], calls[m.tool_call_id]["args"], m.artifact or _failed())
        for m in messages
        if isinstance(m, ToolMessage) and m.tool_call_id in calls
    ]


def _failed() -> dict[str, Any]:
    """What stands for the artifact of a call that was refused before the tool ran."""
    return {"error": {"kind": "refused", "message": "", "remedy": ""}}


def offer_after(result: Mapping[str, Any]) -> str | None:
    """What to offer after a comparison: running both models adds to a link and to a doubt, not to equal numbers."""
    adds = result["answer"] in LINKED - {"identical"} or result["answer"] == "undecided"
    return "behave" if adds else None


def remember(memory: Memory, intent: Intent, done: Sequence[Done]) -> Memory:
    """The memory after a turn."""
    changes: dict[str, Any] = {
        "language": intent.language,
        "named": tuple(dict.fromkeys((*memory.named, *intent.named))),
        "exhibit": intent.exhibit or memory.exhibit,
    }
    if intent.kind == "language":
        if intent.about == "from_now_on":
            changes["wish"] = intent.wish
        return replace(memory, **changes)
    if intent.kind in _PASSING:
        return replace(memory, **changes)
    changes |= {"waiting": "", "awaiting": (), "choices": (), "offer": None, "offer_models": (), "trouble": None}
    changes |= {"last_kind": intent.kind, "last_question": intent.question, "last_about": intent.about}
    if intent.kind in FOLLOW_UPS:
        # A follow-up leaves the offer of the comparison standing, or makes one of its own.
        changes |= {"offer": memory.offer, "offer_models": memory.offer_models, "last_kind": memory.last_kind}
        if intent.kind == "what_if" and memory.models:
            changes |= {"offer": "stress", "offer_models": memory.models[-1:]}
    if intent.kind in ("compare", "describe", "stress", "behave", "ask_other") and intent.models:
        kept = memory.models[:2] if intent.kind in ("describe", "stress", "behave") else ()
        if intent.corrected:
            kept = tuple(name for name in kept if name != memory.looked_at)
        changes["models"] = tuple(dict.fromkeys((*intent.models, *kept))) if kept else intent.models
        if intent.kind in ("describe", "stress") and len(intent.models) == 1 and intent.models[0] in memory.models:
            # Looking closer at one of the two compared models does not change which was the suspect.
            changes["models"] = memory.models
        if intent.kind != "describe" and intent.kind != "stress":
            changes |= {"base": intent.base, "parents": intent.parents}
    if intent.kind == "ask_other":
        changes |= {"waiting": intent.about or "compare", "awaiting": intent.models, "choices": intent.choices}
    elif intent.kind == "ask_models":
        changes |= {"waiting": intent.about if intent.about in ("describe", "stress", "behave") else "compare"}
    elif intent.kind == "unclear" and intent.choices:
        changes |= {"waiting": "compare" if intent.about == "which" else intent.about, "choices": intent.choices}
    compared = [d.artifact for d in done if d.tool == "compare" and "answer" in d.artifact]
    if compared:
        changes |= {"results": (*memory.results, *compared)[-RESULTS_KEPT:], "latest": len(compared)}
        best = closest(compared)
        if best is not None and (offer := offer_after(best)):
            changes |= {"offer": offer, "offer_models": (best["a"]["name"], best["b"]["name"])}
        changes["passages"] = ()
    for item in done:
        if item.error is not None:
            changes["trouble"] = item.error
        elif item.stopped:
            continue
        elif item.tool == "describe":
            changes["described"] = (*memory.described, item.artifact)[-4:]
        elif item.tool == "stress":
            changes["stressed"] = item.artifact
        elif item.tool == "behave":
            changes["behaved"] = item.artifact
        elif item.tool == "search_articles":
            passages = tuple(item.artifact.get("passages") or ())
            changes["topics"] = tuple(str(passage["topic"]) for passage in passages)
            if compared:
                changes["passages"] = passages
    return replace(memory, **changes)
