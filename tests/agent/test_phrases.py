"""Sentences and cues are data: twins, blanks, no accusing words, and every chip is understood."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest
from agent_doubles import SHELF
from test_intent import CONTEXTS, X, Y

from agent.cues import _read, cue, our_words
from agent.evidence import CLOSENESS, LINKED
from agent.fairness import heated_words
from agent.phrases import __file__ as phrases_file
from agent.phrases import knows, say, sentences
from agent.reading import read
from tools.words import STRENGTHS

AGENT = Path(phrases_file).parent

CHIPS = {
    "chip_sure": "sure", "chip_why": "why", "chip_limits": "limits", "chip_simple": "result", "chip_engineer": "result",
    "chip_report": "report", "chip_behave": "behave", "chip_change_mind": "change_mind", "chip_what_if": "what_if",
    "chip_stress": "stress", "chip_describe": "describe", "chip_compare": "compare", "chip_help": "help",
    "chip_examples": "examples", "chip_next": "next", "chip_wrapping": "article", "chip_case": "article",
    "chip_plot": "plot", "chip_direction": "direction", "chip_merged": "merged", "chip_lesson": "lesson",
    "chip_changes": "changes", "chip_layers": "layers", "chip_sources": "sources", "chip_reproduce": "reproduce",
    "chip_token": "token", "chip_full": "cost",
}  # fmt: skip


def _blanks(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)


@pytest.mark.parametrize("key", sorted(sentences()))
def test_twins(key: str) -> None:
    twins = sentences()[key]
    assert set(twins) == {"en", "zh"}
    assert set(_blanks(twins["en"])) == set(_blanks(twins["zh"]))
    assert not heated_words(twins["en"] + twins["zh"])
    assert not re.search(r"[\u3400-\u9fff]", twins["en"])
    # A Chinese twin may hold nothing but its blanks, signs and our own names of things.
    assert re.search(r"[\u3400-\u9fff]", twins["zh"]) or not re.search(
        r"[a-z]{4}", re.sub(r"\{\w+\}|`.*?`|log10", "", twins["en"])
    )


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_chip_is_understood(language: str) -> None:
    chips = {key for key in sentences() if key.startswith("chip_")}
    assert chips == set(CHIPS)
    for key, kind in CHIPS.items():
        facts = {
            name: value
            for name, value in (("a", X), ("b", Y), ("name", X), ("title", "Two headlines"))
            if name in _blanks(sentences()[key]["en"])
        }
        assert read(say(language, key, **facts), CONTEXTS["result"], shelf=SHELF).kind == kind, key


def test_every_answer_and_strength_has_its_words() -> None:
    assert all(knows(f"word_{answer}") and knows(f"child_{answer}") for answer in CLOSENESS)
    assert all(knows(f"strength_{strength}") for strength in STRENGTHS)
    assert all(knows(f"word_{key}") for key, _ in our_words())


def test_the_agent_counts_the_same_answers_as_links_as_the_rule() -> None:
    from tools import verdict

    assert LINKED == verdict.LINKED


def test_every_check_and_every_disguise_has_its_words() -> None:
    tools = AGENT.parent / "tools"
    for kind, prefix in (("perturbations", "change_"), ("probes", "unit_")):
        names = [path.stem for path in (tools / kind).glob("[a-z]*.py")]
        assert names and all(knows(prefix + name) for name in names), (kind, names)


def test_every_cue_compiles_and_both_languages_have_some() -> None:
    flat = {name: lists for name, lists in _read().items() if "en" in lists or "zh" in lists}
    assert len(flat) > 60
    for name, lists in flat.items():
        assert cue(name)
        for pattern in (p for patterns in lists.values() for p in patterns):
            re.compile(pattern)
    alone = [name for name, lists in flat.items() if not lists.get("zh")]
    assert set(alone) <= {"how_are_you", "behaves_as", "language_as_kind", "source_first", "closed_story"}, alone


def test_every_sentence_that_is_said_exists_and_every_one_is_said() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in sorted(AGENT.glob("*.py")))
    asked = set(re.findall(r"\bsay\(\s*(?:[\w.]+,\s*)?\"(\w+)\"", code))
    asked |= {f"chip_{key}" for call in re.findall(r"(?:chips|follow_up)\(([^()]*(?:\([^()]*\)[^()]*)*)\)", code)
              for key in re.findall(r"(?<![\w\[(])\"([a-z_]+)\"", call) if f"chip_{key}" in CHIPS}  # fmt: skip
    assert asked <= set(sentences())
    quoted = set(re.findall(r"[\"']([a-z_0-9]+)[\"']", code))
    families = (
        "word_",
        "child_",
        "strength_",
        "unit_",
        "change_",
        "series_",
        "supposed_",
        "what_if_",
        "changes_",
        "direction_",
        "change_mind_",
        "chip_",
        "tool_",
        "step_",
    )
    unused = [key for key in sentences() if key not in quoted and not key.startswith(families)]
    assert unused == []
