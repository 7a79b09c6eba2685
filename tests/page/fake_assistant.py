"""An assistant that measures nothing: scripted steps shaped like the real ones, for tests of the page "
"alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tools.limits import TEXTS


@dataclass(frozen=True)
class Step:
    """The fields of agent.steps.Step."""

    kind: str
    title: str = ""
    text: str = ""
    artifact: dict[str, Any] | None = None
    seconds: float | None = None


def model(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "revision": None,
        "format": "safetensors",
        "parameters": 1_203_456,
        "files": {"model.safetensors": "ab" * 32},
    }


def layers(probe: str, values: list[float]) -> list[dict[str, Any]]:
    return [
        {
            "layer": layer,
            "role": "mlp",
            "a": f"{probe}.{layer}",
            "b": f"{probe}.{layer}",
            "statistic": value,
            "log10_pvalue": -40.0,
            "n": 352,
        }
        for layer, value in enumerate(values)
    ]


def comparison(a: str = "exhibits/llama3v/suspect", b: str = "exhibits/llama3v/original") -> dict[str, Any]:
    """A result in the contract's shape: the original renamed and with noise."""
    return {
        "schema": 1,
        "a": model(a),
        "b": model(b),
        "base": None,
        "answer": "disguised_copy",
        "changes": [
            {"kind": "renamed", "amount": 38, "unit": "tensors", "where": None},
            {
                "kind": "noise",
                "amount": 0.0502,
                "unit": "share of each tensor's standard deviation",
                "where": {},
            },
        ],
        "direction": {"answer": "unknown", "because": []},
        "because": ["unit_order", "unit_partners"],
        "strength": {"log10_pvalue": -1312.4, "words": "extremely strong"},
        "power": None,
        "components": [
            {"name": "language model", "answer": "disguised_copy", "share_of_parameters": 0.62},
            {"name": "embeddings", "answer": "disguised_copy", "share_of_parameters": 0.38},
        ],
        "findings": {
            "same_values": {
                "question": "Do both hold the same values under any names?",
                "role": "decides",
                "statistic": 0.0,
                "unit": "share of the learned numbers found on the other side, 0 to 1",
                "log10_pvalue": None,
                "n": 1203456,
                "where": {"share_of_a": 0.0, "share_of_b": 0.0, "rounded_to": [], "tensors_equal": 0},
            },
            "unit_order": {
                "question": "Do both number their hidden units in the same order?",
                "role": "decides",
                "statistic": 1.0,
                "unit": "rank correlation of the matching with the order in the file, -1 to 1",
                "log10_pvalue": -1312.4,
                "n": 4,
                "where": layers("unit_order", [0.9987, 0.9981, 0.9979, 0.9985]),
            },
            "unit_partners": {
                "question": "Does every hidden unit have its partner in the other model?",
                "role": "decides",
                "statistic": 0.998,
                "unit": "share of hidden units whose two matchings agree, 0 to 1",
                "log10_pvalue": -880.2,
                "n": 4,
                "where": layers("unit_partners", [0.9991, 0.9974, 0.998, 0.9972]),
            },
            "difference_shape": {
                "question": "What does the difference look like?",
                "role": "context",
                "statistic": 0.0502,
                "unit": "size of the difference relative to the weights, 0 for none",
                "log10_pvalue": None,
                "n": 38,
                "where": {"shares": {"noise": 1.0}},
            },
            "same_tokenizer": {
                "question": "Do both split text with the same vocabulary?",
                "role": "context",
                "abstained": "At least one side has no tokenizer file.",
            },
        },
        "behaviour": None,
        "attribution": None,
        "cost": {
            "bytes_read_a": 3_200_000,
            "bytes_read_b": 3_100_000,
            "bytes_total_a": 4_813_824,
            "bytes_total_b": 4_813_824,
            "seconds": 0.84,
            "peak_rss_bytes": 310_000_000,
        },
        "limits": ["The weights do not say which of the two was first."],
        "reproduce": {"command": f"python -m tools compare {a} {b} --seed 0 --json"},
    }


def behaviour(a: str = "exhibits/llama3v/suspect", b: str = "exhibits/llama3v/original") -> dict[str, Any]:
    """A result of tools.audit.behave in its shape: a pair that errs alike, a control that does not."""

    def table(first: str, agreement: list[float]) -> dict[str, list[Any]]:
        return {"agreement": agreement, f"flipped_{first}": [0, 2, 9]}

    def named(name: str) -> dict[str, Any]:
        return {"name": name, "ran_in_the_other_models_code": name == a, "right": [0.5, 0.4, 0.2]}

    return {
        "items": [
            {
                "language": "en",
                "kind": "fact",
                "prompt": "The capital of France is",
                "answer": " Paris",
                "said": {"a": " Lyon", "b": " Lyon", "control": " the"},
            }
        ],
        "noise_levels": [0.0, 0.05, 0.2],
        "models": {"a": named(a), "b": named(b), "control": named("exhibits/llama3v/stranger")},
        "pair": table("a", [0.9583, 0.9167, 0.4375]),
        "control": table("control", [0.1042, 0.0833, 0.0625]),
        "findings": {
            "agreement": {"pair": 0.9583, "control": 0.1042},
            "agreement_where_b_is_right": {"pair": 0.98, "control": 0.2},
            "both_wrong": {"pair": 21, "control": 30},
            "same_wrong_answer": {"pair": 19, "control": 1},
            "flip_overlap": {"pair": 0.71, "control": 0.05},
            "divergence_bits": {"pair": 0.0123, "control": 0.4567},
        },
        "shared_mistakes": [0],
        "limits": [
            TEXTS["behaviour_decides_nothing"]["en"],
            TEXTS["other_code"]["en"].format(name=a),
        ],
        "seconds": 4.2,
        "ran_in_the_other_models_code": True,
    }


class FakeAssistant:
    """Answers every message with one comparison of `probes` checks that take `pace` seconds each."""

    def __init__(self, result: dict[str, Any] | None = None, pace: float = 0.2, probes: int = 4) -> None:
        self.result = result or comparison()
        self.pace = pace
        self.probes = probes
        self.heard: list[tuple[str, str]] = []
        self.tokens: list[str | None] = []
        self.forgotten: list[str] = []
        self.stopped = threading.Event()

    def converse(
        self,
        message: str,
        *,
        thread: str,
        language: str | None = None,
        stop: Callable[[], bool] | None = None,
        token: str | None = None,
    ) -> Iterator[Step]:
        self.tokens.append(token)
        self.heard.append((thread, message))
        zh = language == "zh"
        a, b = self.result["a"]["name"], self.result["b"]["name"]
        yield Step("started", f"正在比较 `{a}` 与 `{b}`" if zh else f"Comparing `{a}` with `{b}`")
        for finding in list(self.result["findings"].values())[: self.probes]:
            time.sleep(self.pace)
            if stop is not None and stop():
                self.stopped.set()
                yield Step("stopped")
                return
            yield Step("progress", finding["question"], "", None, self.pace)
        yield Step("finished", f"比较了 {a} 与 {b}" if zh else f"Compared {a} with {b}", "", self.result, 0.84)
        text = (
            "**suspect** 是 **original** 改头换面的复制品 [E1]。\n\n加入噪声不会改变单元的排列顺序 [K1]。"
            if zh
            else "**suspect** is a disguised copy of **original** [E1].\n\nNoise does not change the order "
            "in which a model numbers its units [K1]."
        )
        yield Step(
            "reply",
            text=text,
            artifact={
                "result": self.result,
                "passages": [],
                "citations": [
                    {"id": "E1", "probe": "unit_order", "statistic": 1.0, "log10_pvalue": -1312.4},
                    {
                        "id": "K1",
                        "title": "How we compare",
                        "sources": ["Zhu et al., Independence Tests, 2025, https://arxiv.org/abs/2502.12292"],
                    },
                ],
                "asks": False,
                "options": ["有多大把握？", "为什么？"] if zh else ["How sure are you?", "Why?"],
                "language": language,
            },
        )

    def forget(self, thread: str) -> None:
        self.forgotten.append(thread)
