"""Stand-ins for tools, articles and reports, so that the agent is tested without weights or an index."""

from __future__ import annotations

import copy
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from agent.shelf import Shelf
from agent.steps import Step
from lessons.measuring import PAIRS
from lessons.reading import lesson
from tools.errors import printable

LLAMA3V = {role: f"exhibits/llama3v/{role}" for role in ("base", "original", "sibling", "stranger", "suspect")}
SOLAR = {role: f"exhibits/solar/{role}" for role in ("model_a", "model_b")}
SHELF = Shelf({"llama3v": LLAMA3V, "solar": SOLAR}, lambda name: name in (*LLAMA3V.values(), *SOLAR.values()))

_SIDE = {"revision": None, "format": "safetensors", "parameters": 1_180_000, "files": {"model.safetensors": None}}


def result(a: str, b: str, base: str | None = None, answer: str = "disguised_copy") -> dict[str, Any]:
    """A result as the contract has it."""
    linked = answer not in ("independent", "undecided")
    order = [0.998, 0.997, 0.999, 0.998] if linked else [0.01, -0.04, 0.03, 0.02]
    where = [
        {"layer": n, "role": "hidden units", "a": f"t{n}", "b": f"t{n}", "statistic": s, "log10_pvalue": None, "n": 352}
        for n, s in enumerate(order)
    ]
    return {
        "schema": 1,
        "a": {"name": a, **_SIDE},
        "b": {"name": b, **_SIDE},
        "base": None if base is None else {"name": base, **_SIDE},
        "answer": answer,
        "changes": [{"kind": "noise", "amount": 0.02, "unit": "share of the spread of the weights", "where": []}]
        if answer == "disguised_copy"
        else [],
        "direction": {"answer": "unknown", "because": []},
        "because": ["unit_order", "unit_partners"] if linked else [],
        "strength": {"log10_pvalue": -290.4, "words": "extremely strong"}
        if linked
        else {"log10_pvalue": None, "words": "none"},
        "power": {"largest_noise_caught": 0.5} if answer == "independent" else None,
        "components": [{"name": "language model", "answer": answer, "share_of_parameters": 1.0}],
        "findings": {
            "same_values": {
                "question": "Do the two files hold the same numbers?",
                "role": "decides",
                "statistic": 0.0,
                "unit": "share",
                "log10_pvalue": 0.0,
                "n": 1180000,
                "where": [],
            },
            "unit_order": {
                "question": "Do the hidden units stand in the same order?",
                "role": "decides",
                "statistic": 0.998 if linked else 0.005,
                "unit": "rank correlation",
                "log10_pvalue": -290.4 if linked else -0.3,
                "n": 1408,
                "where": where,
            },
            "unit_partners": {
                "question": "Does each hidden unit have one partner?",
                "role": "decides",
                "statistic": 0.96 if linked else 0.003,
                "unit": "share of units",
                "log10_pvalue": -250.0 if linked else -0.1,
                "n": 1408,
                "where": where,
            },
            "same_tokenizer": {
                "question": "Do they cut text into the same tokens?",
                "role": "context",
                "statistic": 1.0,
                "unit": "share",
                "log10_pvalue": None,
                "n": 2048,
                "where": {},
            },
            "shared_additions": {
                "question": "Did both change the base alike?",
                "role": "context",
                "abstained": "No base was named.",
            },
        },
        "behaviour": None,
        "attribution": None,
        "cost": {
            "bytes_read_a": 1000,
            "bytes_read_b": 1000,
            "bytes_total_a": 2360000,
            "bytes_total_b": 2360000,
            "seconds": 1.5,
            "peak_rss_bytes": 300000000,
        },
        "limits": ["This result does not say who was first."],
        "reproduce": {"command": f"python -m tools compare {a} {b} --seed 0"},
    }


class Audit:
    """tools.audit without weights: strangers are independent, everything else is a disguised copy."""

    def __init__(self, slow: float = 0.0, poison: str = "") -> None:
        self.calls: list[tuple[str, tuple[str | None, ...]]] = []
        self.slow, self.poison = slow, poison
        self.failure: Exception | None = None

    def compare(
        self,
        a: str,
        b: str,
        base: str | None = None,
        *,
        parents: Sequence[str] = (),
        full: bool = False,
        on_finding: Any = None,
        stop: Any = None,
    ) -> dict[str, Any]:
        self.calls.append(("compare in full" if full else "compare", (a, b, base, *parents)))
        self._work(on_finding, stop)
        apart = any(word in name for name in (a, b) for word in ("stranger", "solar"))
        made = result(a, b, base, "independent" if apart else "disguised_copy")
        if self.poison:
            poison(made, self.poison)
        return made

    def lesson(self, name: str, *, on_finding: Any = None, stop: Any = None) -> dict[str, Any]:
        """lessons.run without weights: every check of a pair scores as a copy or as a stranger does."""
        self.calls.append(("lesson", (name,)))
        self._work(on_finding, stop)
        measured = {pair: _found(pair) for pair in PAIRS}
        return {
            "lesson": name,
            "minutes": [45, *(step["minutes"] for step in lesson(name, "en")["steps"])],
            "measured": measured,
        }

    def describe(self, name: str, *, stop: Any = None) -> dict[str, Any]:
        self.calls.append(("describe", (name,)))
        self._work(None, stop)
        return {
            "name": name,
            "format": "safetensors",
            "parameters": 1180000,
            "tensors": 39,
            "bytes": 2360000,
            "dtypes": {"float16": 39},
            "architecture": self.poison or "LlamaForCausalLM",
            "hidden_size": 128,
            "layers": 4,
            "hidden_units": 352,
            "vocabulary": 2048,
            "tokenizer_class": self.poison or "PreTrainedTokenizerFast",
            "limits": [],
        }

    def stress(self, name: str, *, on_finding: Any = None, stop: Any = None) -> dict[str, Any]:
        self.calls.append(("stress", (name,)))
        self._work(on_finding, stop)
        rows = [
            {
                "perturbation": "add_noise",
                "about": "adds noise",
                "amount": 0.05,
                "unit": "share",
                "recognised": True,
                "answer": "disguised_copy",
                "probes": {"unit_order": -200.0},
            },
            {
                "perturbation": "shuffle_units",
                "about": "shuffles",
                "amount": None,
                "unit": None,
                "recognised": True,
                "answer": "disguised_copy",
                "probes": {"unit_partners": -200.0},
            },
            {
                "perturbation": "add_noise",
                "about": "adds noise",
                "amount": 5.0,
                "unit": "share",
                "recognised": False,
                "answer": "independent",
                "probes": {"unit_order": None},
            },
        ]
        return {"name": name, "rows": rows, "seconds": 0.5, "limits": []}

    def behave(
        self, a: str, b: str, control: str | None = None, *, on_finding: Any = None, stop: Any = None
    ) -> dict[str, Any]:
        self.calls.append(("behave", (a, b, control)))
        self._work(on_finding, stop)
        pair = {
            "agreement": [0.95, 0.9, 0.7],
            "share_of_wrong_the_same": [0.88, 0.8, 0.5],
            "divergence_bits": [0.01, 0.02, 0.1],
        }
        beside = {
            "agreement": [0.3, 0.3, 0.2],
            "share_of_wrong_the_same": [0.1, 0.1, 0.0],
            "divergence_bits": [0.6, 0.6, 0.7],
        }
        return {
            "items": [{"said": self.poison}] * 48,
            "noise_levels": [0.0, 0.02, 0.1],
            "pair": pair,
            "control": beside,
            "models": {"a": {"name": a}, "b": {"name": b}},
            "limits": [],
            "seconds": 1.0,
        }

    def _work(self, on_finding: Any, stop: Any) -> None:
        if on_finding is not None:
            on_finding({"step": "open", "status": "started", "seconds": None, "finding": None})
            on_finding({"step": "open", "status": "done", "seconds": 0.1, "finding": None})
        ends = time.monotonic() + self.slow
        while time.monotonic() < ends:
            if stop is not None and stop():
                from tools.errors import Cancelled

                raise Cancelled
            time.sleep(0.02)
        if self.failure is not None:
            raise self.failure
        if on_finding is not None:
            for step in ("same_values", "unit_order"):
                on_finding(
                    {"step": step, "status": "done", "seconds": 0.2, "finding": {"statistic": 0.5, "where": [1] * 500}}
                )


def poison(made: dict[str, Any], text: str) -> None:
    """Put hostile text wherever a suspect's files can bring it into a result."""
    for row in made["findings"]["unit_order"]["where"]:
        row["a"] = row["b"] = row["role"] = text
    made["findings"]["same_values"]["where"] = [
        {"layer": None, "role": text, "a": text, "b": text, "statistic": 0.0, "log10_pvalue": None, "n": 1}
    ]
    made["findings"]["shared_additions"]["abstained"] = text
    made["a"]["files"] = {text: None}
    made["a"]["revision"] = text
    made["components"][0]["name"] = text
    made["attribution"] = {"declared_base": text, "license_a": text, "license_b": text, "notes": [text]}
    for change in made["changes"]:
        change["where"] = [text]


ARTICLES = tomllib.loads((Path(__file__).parent / "articles.toml").read_text(encoding="utf-8"))


class Article:
    """An article with what the toolbox reads of it."""

    def __init__(self, topic: str, language: str, extra: str = "") -> None:
        self.topic, self.language = topic, language
        self.title, text = ARTICLES[topic][f"{language}_title"], ARTICLES[topic][language]
        caveat = "这不等于有人做错了。" if language == "zh" else "It does not say that anyone did wrong."
        self.paragraphs = [text + extra, caveat]
        self.caveats = {1}
        self.body = "\n\n".join(self.paragraphs)
        self.sources = ["Publisher, title, 2026, https://example.org/a"]


class Library:
    """knowledge.library without an index."""

    def __init__(self, extra: str = "") -> None:
        self.extra = extra
        self.asked: list[tuple[str, str]] = []

    def article(self, topic: str, language: str) -> Article:
        if topic not in ARTICLES:
            raise KeyError(topic)
        return Article(topic, language, self.extra)

    def search(self, question: str, language: str, limit: int = 3) -> list[dict[str, Any]]:
        self.asked.append((question, language))
        low = question.lower()
        found = [topic for topic, kept in ARTICLES.items() if any(word in low for word in kept["words"])]
        articles = [Article(topic, language, self.extra) for topic in found[:limit]]
        return [
            {
                "topic": a.topic,
                "title": a.title,
                "language": language,
                "text": a.paragraphs[0],
                "sources": a.sources,
                "relevance": 0.9,
            }
            for a in articles
        ]


class Report:
    """tools.report in few words."""

    WORDS: ClassVar = {
        "disguised_copy": ("Disguised copy", "改头换面的复制品"),
        "independent": ("Independent", "相互独立"),
        "undecided": ("Undecided", "无法判断"),
        "identical": ("Identical", "完全相同"),
        "derived": ("Derived", "衍生而来"),
        "common_origin": ("Common origin", "同出一源"),
        "shared_part": ("Shared part", "部分相同"),
    }

    def summary(self, made: dict[str, Any], language: str) -> dict[str, Any]:
        zh = language == "zh"
        a, b = printable(made["a"]["name"]), printable(made["b"]["name"])
        linked = made["answer"] not in ("independent", "undecided")
        apart = made["answer"] == "independent"
        headline = {
            True: f"{a} 和 {b} 是同一份权重，撤销一种不用训练的改动之后就看得出来。"
            if linked
            else f"没有发现 {a} 与 {b} 共用权重的迹象。",
            False: f"{a} holds the same weights as {b}, once a change that needs no training is undone."
            if linked
            else f"There is no sign that {a} and {b} share weights.",
        }[zh]
        reason = (
            (
                "两个模型的 352 个隐藏单元在 4 层中的 4 层里次序相同。"
                if zh
                else "Both models number their 352 hidden units in the same order in 4 of 4 layers."
            )
            if linked
            else (
                "隐藏单元的次序没有任何一致。" if zh else "The order of the hidden units agrees no better than chance."
            )
        )
        return {
            "word": self.WORDS[made["answer"]][zh],
            "icon": "=" if linked else "≠",
            "headline": headline,
            "strength": ("证据极强。" if zh else "The evidence is extremely strong.")
            if linked
            else ("没有支持有联系的证据。" if zh else "Nothing speaks for a link."),
            "reasons": [reason],
            "not_meaning": ["这不说明谁先谁后。" if zh else "It does not say who was first."],
            "next": ("请对方说明。" if zh else "Ask the other side.")
            if not apart
            else ("不必做什么。" if zh else "Nothing needs to be done."),
        }

    def markdown(self, made: dict[str, Any], language: str) -> str:
        return f"# {self.summary(made, language)['word']}\n\n{self.summary(made, language)['headline']}"


def _found(pair: str) -> dict[str, Any]:
    apart = pair in ("stranger", "solar")
    checks = ("unit_order", "unit_partners", "same_configuration", "same_tokenizer", "tensor_names", "shared_additions")
    values = dict.fromkeys((*checks, "norm_cosine", "norm_gains", "largest_noise_caught"), 0.0 if apart else 0.9)
    word = {"en": "No sign of copying" if apart else "Disguised copy", "zh": "没有复制的迹象" if apart else "改头换面"}
    keys = ("headline", "strength", "power", *checks)
    return {
        "a": PAIRS[pair].a,
        "b": PAIRS[pair].b,
        "base": PAIRS[pair].base,
        "values": {"answer": "independent" if apart else "disguised_copy", **values},
        "sentences": {said: {"word": word[said], **dict.fromkeys(keys, word[said])} for said in ("en", "zh")},
    }


def toolbox_parts(audit: Audit, library: Library) -> dict[str, Callable[..., Any]]:
    """What Toolbox takes."""
    return {
        "compare": audit.compare,
        "describe": audit.describe,
        "stress": audit.stress,
        "behave": audit.behave,
        "lesson": audit.lesson,
        "search": library.search,
        "article": library.article,
        "allowed": lambda name: True,
    }


def copied(made: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A result with some keys changed."""
    return copy.deepcopy(made) | changes


class Visit:
    """One visitor's conversation."""

    def __init__(self, assistant: Any, thread: str = "a") -> None:
        self.assistant, self.thread = assistant, thread
        self.steps: list[Step] = []

    def ask(self, message: str, **options: Any) -> Step:
        """Say something; the last step."""
        self.steps = list(self.assistant.converse(message, thread=self.thread, **options))
        return self.steps[-1]

    @property
    def tools(self) -> list[tuple[str, dict[str, Any]]]:
        """The tools called for the last message."""
        return [(s.artifact["tool"], s.artifact["arguments"]) for s in self.steps if s.kind == "started" and s.artifact]
