"""Audit and library as LangChain tools: numbers and our own words for the model, plain JSON for the page."""

from __future__ import annotations

import importlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from langchain.tools import ToolRuntime
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.config import get_stream_writer
from pydantic import BaseModel, ConfigDict, Field

from agent import evidence, settings
from agent.phrases import say
from agent.rules import MOST_PARENTS

log = logging.getLogger(__name__)

MEASURING = frozenset({"compare", "describe", "stress", "behave"})


@dataclass(frozen=True)
class Turn:
    """What holds for one question: the reader's language, whether Stop was pressed, and the asker's token for a hub."""

    language: Literal["en", "zh"] = "en"
    stop: Callable[[], bool] = field(default=lambda: False)
    # Never shown: not in a record, a log or the text that a model sees.
    token: str | None = field(default=None, repr=False)


ModelName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=400,
        description="A model name exactly as the user wrote it: a path, a hub id, or BASE+ADAPTER for a LoRA adapter.",
    ),
]


def models_of(arguments: Mapping[str, Any]) -> list[str]:
    """Every model that a call of a tool names."""
    parents = arguments.get("parents")
    named = [arguments.get(key) for key in ("a", "b", "base", "name")]
    return [name for name in (*named, *(parents if isinstance(parents, list) else [parents])) if isinstance(name, str)]


class _Arguments(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True)


class CompareArguments(_Arguments):
    """Two models, and what the user named besides: their common base, further models of which a may be a merge."""

    a: ModelName
    b: ModelName
    base: ModelName | None = None
    parents: Annotated[
        list[ModelName],
        Field(max_length=MOST_PARENTS, description="With b, the models of which a may be a merge."),
    ] = []
    full: Annotated[bool, Field(description="Read every weight, not a sample; it takes long.")] = False
    fresh: Annotated[bool, Field(description="Measure anew what was measured before.")] = False


class OneModel(_Arguments):
    """One model."""

    name: ModelName


class TwoModels(_Arguments):
    """Two models."""

    a: ModelName
    b: ModelName


class LessonName(_Arguments):
    """A lesson by its name."""

    name: Literal["mirror-cases", "card-sort", "swap-sides", "role-play", "predict-and-check"]


class Question(_Arguments):
    """What to look up."""

    question: Annotated[str, Field(min_length=1, max_length=400, description="The question in the user's words.")]
    language: Annotated[Literal["en", "zh"], Field(description="Language of the passages.")]
    topics: Annotated[
        list[Annotated[str, Field(pattern=r"^[a-z0-9-]{1,60}$")]],
        Field(max_length=4, description="Articles known by name, best first; they come before what is found."),
    ] = []
    limit: Annotated[int, Field(ge=1, le=5)] = 3


class Toolbox:
    """The six tools. Each function can be given, so that tests need neither weights nor articles."""

    def __init__(
        self,
        *,
        compare: Callable[..., dict[str, Any]] | None = None,
        describe: Callable[..., dict[str, Any]] | None = None,
        stress: Callable[..., dict[str, Any]] | None = None,
        behave: Callable[..., dict[str, Any]] | None = None,
        lesson: Callable[..., dict[str, Any]] | None = None,
        search: Callable[..., list[Any]] | None = None,
        article: Callable[[str, str], Any] | None = None,
        allowed: Callable[[str], bool] | None = None,
    ) -> None:
        self._compare = compare or _late("tools.audit", "compare")
        self._describe = describe or _late("tools.audit", "describe")
        self._stress = stress or _late("tools.audit", "stress")
        self._behave = behave or _late("tools.audit", "behave")
        self._lesson = lesson or _late("lessons.run", "run")
        self._search = search or _late("knowledge.library", "search")
        self._article = article or _late("knowledge.library", "article")
        self._allowed = allowed or settings.allowed

    def tools(self) -> list[BaseTool]:
        """The tools as LangChain wants them; their artifacts are plain JSON."""
        return [
            self._tool("compare", self.compare, CompareArguments, "Measure whether model a was made from model b."),
            self._tool("describe", self.describe, OneModel, "Read what one model consists of."),
            self._tool("stress", self.stress, OneModel, "Change one model in many ways; see which are seen through."),
            self._tool("behave", self.behave, TwoModels, "Run two language models on the same prompts."),
            self._tool("lesson", self.lesson, LessonName, "Fill a lesson for a class with a run on the exhibits."),
            self._tool("search_articles", self.search_articles, Question, "Look up words, cases, rules, lessons."),
        ]  # fmt: skip

    @staticmethod
    def _tool(name: str, function: Callable[..., Any], arguments: type[BaseModel], about: str) -> BaseTool:
        return StructuredTool.from_function(
            func=function,
            name=name,
            description=about,
            args_schema=arguments,
            response_format="content_and_artifact",
        )

    def compare(
        self,
        a: str,
        b: str,
        runtime: ToolRuntime[Turn, Any],
        base: str | None = None,
        parents: list[str] | None = None,
        full: bool = False,
        fresh: bool = False,
    ) -> tuple[str, dict[str, Any]]:
        """Measure two models."""
        names = (a, b, *([base] if base else []), *(parents or []))
        more: dict[str, Any] = {"parents": parents} if parents else {}
        more |= ({"full": True} if full else {}) | ({"fresh": True} if fresh else {})
        return self._measure("compare", names, runtime, lambda **how: self._compare(a, b, base, **more, **how))

    def describe(self, name: str, runtime: ToolRuntime[Turn, Any]) -> tuple[str, dict[str, Any]]:
        """Read one model."""

        def work(*, on_finding: object, **how: Any) -> dict[str, Any]:
            return self._describe(name, **how)

        return self._measure("describe", (name,), runtime, work)

    def stress(self, name: str, runtime: ToolRuntime[Turn, Any]) -> tuple[str, dict[str, Any]]:
        """Change one model in many ways."""
        return self._measure("stress", (name,), runtime, lambda **how: self._stress(name, **how))

    def behave(self, a: str, b: str, runtime: ToolRuntime[Turn, Any]) -> tuple[str, dict[str, Any]]:
        """Run two models, and a control that the behaviour test chooses."""
        return self._measure("behave", (a, b), runtime, lambda **how: self._behave(a, b, **how))

    def lesson(self, name: str, runtime: ToolRuntime[Turn, Any]) -> tuple[str, dict[str, Any]]:
        """Compare the exhibits of a lesson."""
        return self._measure("lesson", (), runtime, lambda **how: self._lesson(name, **how))

    def search_articles(
        self,
        question: str,
        language: Literal["en", "zh"],
        runtime: ToolRuntime[Turn, Any],
        topics: list[str] | None = None,
        limit: int = 3,
    ) -> tuple[str, dict[str, Any]]:
        """Look up the articles."""
        turn = runtime.context or Turn()
        try:
            passages = self._passages(question, language, topics or [], limit)
        except Exception:
            log.exception("search_articles failed")
            return _refusal({"kind": "broken", "message": say(turn.language, "broken"), "remedy": ""})
        artifact = {"question": question, "language": language, "passages": passages}
        return json.dumps(evidence.passages_for_model(passages), ensure_ascii=False), artifact

    def _passages(self, question: str, language: str, topics: list[str], limit: int) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for topic in topics:
            try:
                article = self._article(topic, language)
            except KeyError:
                continue
            found[topic] = {
                "topic": topic,
                "title": article.title,
                "language": language,
                "text": article.paragraphs[0] if article.paragraphs else "",
                "sources": list(article.sources),
                "relevance": 1.0,
            }
        if len(found) < limit and not (topics and found):
            for passage in self._search(question, language, limit):
                record = passage if isinstance(passage, dict) else passage.as_dict()
                found.setdefault(str(record["topic"]), dict(record))
        for topic, record in found.items():
            record |= self._rest(topic, language)
        return list(found.values())[:limit]

    def _rest(self, topic: str, language: str) -> dict[str, Any]:
        """What the article has besides the passage: the titles of both twins, what it does not mean, its body."""
        try:
            twins = {each: self._article(topic, each) for each in ("en", "zh")}
        except KeyError:
            return {}
        article = twins[language]
        caveats = [article.paragraphs[number] for number in sorted(article.caveats)]
        return {
            "titles": {each: str(twin.title) for each, twin in twins.items()},
            "caveat": caveats[0] if caveats else "",
            "body": str(article.body)[:6000],
        }

    def _measure(
        self, tool: str, names: tuple[str, ...], runtime: ToolRuntime[Turn, Any], work: Callable[..., dict[str, Any]]
    ) -> tuple[str, dict[str, Any]]:
        """Run one measurement; whatever happens comes back as a result or as a sentence in the reader's language."""
        from tools.errors import Cancelled, UserError

        turn = runtime.context or Turn()
        started = time.monotonic()
        writer = get_stream_writer()

        def on_finding(record: Mapping[str, Any]) -> None:
            writer({"tool": tool, "call": runtime.tool_call_id, "record": evidence.progress(record)})

        try:
            for name in names:
                if not self._allowed(name):
                    raise UserError("not_allowed", name=name)
            if turn.stop():
                raise Cancelled
            with_token = {"token": turn.token} if turn.token else {}
            artifact = work(stop=turn.stop, on_finding=on_finding, **with_token)
            if turn.stop():
                raise Cancelled
        except Cancelled:
            return json.dumps({"stopped": True}), {"stopped": True}
        except UserError as error:
            return _refusal(error.as_dict(turn.language) | {"names": list(names)})
        except Exception:
            log.exception("%s failed after %.1f s", tool, time.monotonic() - started)
            return _refusal({"kind": "broken", "message": say(turn.language, "broken"), "remedy": ""})
        return json.dumps(evidence.for_model(tool, artifact)), artifact


def _refusal(error: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    # The sentence may quote a file of the suspect, so the model is told only the kind.
    return json.dumps({"error": error["kind"]}), {"error": error}


def _late(module: str, name: str) -> Callable[..., Any]:
    """A function that is imported when it is first called: torch and Chroma take seconds."""

    def call(*arguments: Any, **options: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*arguments, **options)

    return call
