"""The embedded default: a chat model of fixed rules that plans real tool calls. No weights, no network, no key."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool

from agent import settings
from agent.cues import cue
from agent.evidence import closest
from agent.explain import explain
from agent.intent import Intent
from agent.shelf import Shelf
from agent.turns import Turn, recall
from agent.verdicts import Report, Spoken
from lessons.reading import choose

# The articles that help to read an answer, by what was changed and by the answer; the first that exist are shown.
TOPICS_OF_CHANGES: Mapping[str, str] = {
    "noise": "noise-histogram",
    "quantised": "quantisation",
    "recast": "quantisation",
    "units_permuted": "perturbation-test",
    "heads_permuted": "perturbation-test",
    "residual_permuted": "perturbation-test",
    "rotated": "perturbation-test",
    "rescaled": "perturbation-test",
    "fine_tuned": "fine-tuning",
    "low_rank": "lora",
    "pruned": "pruning",
    "layers_removed": "pruning",
    "layers_repeated": "depth-upscaling",
    "narrowed": "pruning",
    "merged": "merging",
    "vocabulary_extended": "tokenizer-reuse",
    "vocabulary_permuted": "tokenizer-reuse",
    "component_only": "component-reuse",
    "renamed": "config-and-names",
    "resharded": "config-and-names",
}
TOPICS_OF_ANSWERS: Mapping[str, tuple[str, ...]] = {
    "identical": ("copying-vs-wrongdoing", "verdict-words"),
    "disguised_copy": ("copying-vs-wrongdoing", "verdict-words"),
    "derived": ("fine-tuning", "verdict-words"),
    "shared_part": ("component-reuse", "verdict-words"),
    "common_origin": ("architecture-reuse", "verdict-words"),
    "independent": ("how-we-compare", "verdict-words"),
    "undecided": ("how-we-compare", "verdict-words"),
}
TOPICS_OF_KINDS: Mapping[str, tuple[str, ...]] = {
    "closed": ("closed-models", "what-this-assistant-does"),
    "people": ("fair-accusation", "due-process", "copying-vs-wrongdoing"),
    "lesson": ("lesson-plans", "class-formats", "discussion-questions"),
}
TOPICS_OF_WORDS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(TOPICS_OF_ANSWERS, ("verdict-words",)),
    **dict.fromkeys(("same_values", "unit_order", "unit_partners", "hidden_unit", "layer"), ("how-we-compare",)),
    **dict.fromkeys(
        ("value_order", "coordinate_order", "shared_additions", "shared_start", "weight"), ("how-we-compare",)
    ),
    **dict.fromkeys(("unit_relations", "turned_partners", "rank_correlation", "tensor", "spread"), ("how-we-compare",)),
    "common_base": ("fine-tuning", "architecture-reuse"),
    "network": ("what-this-assistant-does",),
    "privacy": ("what-this-assistant-does",),
    "trust": ("how-we-compare", "what-this-assistant-does"),
    "unit_places": ("how-we-compare", "merging"),
    "difference_shape": ("noise-histogram", "how-we-compare"),
    "same_tokenizer": ("tokenizer-reuse",),
    "same_configuration": ("config-and-names",),
    "tensor_names": ("config-and-names",),
    "log10": ("p-values",),
    "method": ("how-we-compare", "what-this-assistant-does"),
    "same_data": ("how-we-compare", "same-mistakes"),
    "same_seed": ("how-we-compare", "from-scratch"),
    "norm_gains": ("case-solar", "cosine-similarity"),
    "code_likeness": ("config-and-names", "architecture-reuse"),
    **dict.fromkeys(("spectra", "token_geometry", "head_space"), ("how-we-compare",)),
}


def plan(turn: Turn) -> list[tuple[str, dict[str, Any]]]:
    """Every tool call that the turn needs, in order; those that depend on a result appear once it is there."""
    intent, before = turn.intent, turn.before
    if any(done.stopped for done in turn.done):
        return []
    if intent.kind == "compare":
        suspect, others = intent.models[0], intent.models[1:]
        more: dict[str, Any] = {"base": intent.base} if intent.base else {}
        more |= {"parents": list(intent.parents)} if intent.parents else {}
        more |= {"full": True} if intent.full else {}
        more |= {"fresh": True} if intent.about == "again" else {}
        calls: list[tuple[str, dict[str, Any]]] = [("compare", {"a": suspect, "b": other} | more) for other in others]
        compared = [done for done in turn.done if done.tool == "compare"]
        best = closest([done.artifact for done in compared if done.error is None])
        if len(compared) >= len(calls) and best is not None:
            calls.append(_search(turn, _topics_of(best), limit=2))
        return calls
    if intent.kind == "behave" and len(intent.models) > 1:
        return [("behave", {"a": intent.models[0], "b": intent.models[1]})]
    if intent.kind in ("describe", "stress"):
        return [(intent.kind, {"name": name}) for name in intent.models]
    if intent.kind == "article":
        return [_search(turn, TOPICS_OF_WORDS.get(intent.about, ()), _without_wishes(intent))]
    if intent.kind == "lesson":
        return [("lesson", {"name": choose(intent.question)}), _search(turn, TOPICS_OF_KINDS["lesson"])]
    if intent.kind == "limits" and not before.focus:
        return [_search(turn, ("what-this-assistant-does", "how-we-compare"))]
    if intent.kind in TOPICS_OF_KINDS:
        return [_search(turn, TOPICS_OF_KINDS[intent.kind])]
    # Something that may yet be covered; what is plainly another subject is not looked up.
    if intent.kind == "off_topic" and intent.about != "sure":
        return [_search(turn, ())]
    if intent.kind == "language" and intent.about == "again" and not before.focus and before.topics:
        return [_search(turn, before.topics, before.last_question)]
    return []


def _without_wishes(intent: Intent) -> str:
    """The question without clauses that only say how it should be told: an article on plain words is not sought."""
    if intent.depth == "ordinary":
        return ""
    clauses = re.split(r"[,，;；.。!！?？()（）]+", intent.question)
    kept = [clause for clause in clauses if cue("domain").search(clause) or not cue(intent.depth).search(clause)]
    return "，".join(kept).strip("， ") if intent.language == "zh" else ", ".join(kept).strip(", ")


def _topics_of(result: Mapping[str, Any]) -> tuple[str, ...]:
    changed = [TOPICS_OF_CHANGES[change["kind"]] for change in result["changes"] if change["kind"] in TOPICS_OF_CHANGES]
    if result["answer"] in ("derived", "common_origin"):
        # What training leaves looks like noise in part; the training is the story.
        changed = [topic for topic in changed if topic != "noise-histogram"]
    # A new name is the least telling of all changes.
    changed.sort(key=lambda topic: topic == "config-and-names")
    return tuple(dict.fromkeys((*changed[:1], *TOPICS_OF_ANSWERS[result["answer"]])))[:4]


def _search(turn: Turn, topics: Sequence[str], question: str = "", limit: int = 3) -> tuple[str, dict[str, Any]]:
    arguments: dict[str, Any] = {"question": (question or turn.intent.question)[:400], "language": turn.intent.language}
    if topics:
        arguments["topics"] = list(topics)[:4]
    if limit != 3:
        arguments["limit"] = limit
    return "search_articles", arguments


class Guide(BaseChatModel):
    """A pure function of the conversation: the next call of the plan, or the reply once the plan is done."""

    report: Any = None
    shelf: Callable[[], Shelf] = settings.shelf
    bound: tuple[str, ...] = ()

    @property
    def _llm_type(self) -> str:
        return "guide"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[Any, AIMessage]:
        """Remember which tools there are."""
        names = tuple(tool.name for tool in tools if isinstance(tool, BaseTool))
        return self.model_copy(update={"bound": names})

    def next_message(self, messages: Sequence[BaseMessage]) -> AIMessage:
        """The next call of the plan, or the reply."""
        turn = recall(messages, self.shelf())
        done = len(turn.done)
        calls = plan(turn)
        if done < len(calls):
            name, arguments = calls[done]
            call_id = f"call_{sum(isinstance(message, BaseMessage) for message in messages)}_{done}"
            return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": call_id, "type": "tool_call"}])
        return AIMessage(self.spoken(turn).text)

    def spoken(self, turn: Turn) -> Spoken:
        """The reply to a turn whose tools have run."""
        report: Report | None = self.report
        return explain(turn, report)

    def report_text(self, turn: Turn) -> str:
        """What tools.report says of the turn's results, in the reader's language: every number in it is code's."""
        if not turn.results:
            return ""
        report = self.report or importlib.import_module("tools.report")
        parts = []
        for result in turn.results:
            summary = report.summary(dict(result), turn.intent.language)
            parts += [str(summary["headline"]), str(summary["strength"]), str(summary["next"])]
            parts += [*map(str, summary["reasons"]), *map(str, summary["not_meaning"])]
            if turn.intent.kind == "report":
                parts.append(report.markdown(dict(result), turn.intent.language))
        return "\n".join(parts)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self.next_message(messages))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        message = self.next_message(messages)
        calls = [
            tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=place)
            for place, call in enumerate(message.tool_calls)
        ]
        yield ChatGenerationChunk(message=AIMessageChunk(content=message.text, tool_call_chunks=calls))
