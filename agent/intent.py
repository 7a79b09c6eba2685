"""What a message asks for, as a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agent.language import Language

Depth = Literal["ordinary", "one_sentence", "child", "engineer"]

KINDS = (
    # What is measured, and what keeps it from being measured yet.
    "compare", "describe", "stress", "behave", "ask_other", "ask_models", "unclear", "cancel", "no_thanks",
    # What was measured, said again from the thread's memory.
    "result", "sure", "why", "number", "plot", "changes", "layers", "direction", "merged", "limits", "next",
    "change_mind", "what_if", "sources", "report", "cost", "reproduce",
    # What is written in the articles.
    "article", "lesson", "closed", "people",
    # The conversation itself.
    "pressure", "language", "help", "examples", "small_talk", "off_topic",
    "token", "empty", "unreadable", "too_long", "code",
)  # fmt: skip

# Kinds that repeat or explain what was measured before, and need nothing run again; the first that fits is meant.
FOLLOW_UPS = (
    "cost",
    "reproduce",
    "report",
    "plot",
    "sources",
    "layers",
    "merged",
    "direction",
    "change_mind",
    "sure",
    "what_if",
    "changes",
    "limits",
    "next",
    "why",
    "result",
    "number",
)

LONGEST_MESSAGE = 4000


@dataclass(frozen=True)
class Intent:
    """What one message asks for. `models`: for compare the suspect first, then each model it is held against."""

    kind: str
    language: Language = "en"
    models: tuple[str, ...] = ()
    base: str | None = None
    parents: tuple[str, ...] = ()
    """For compare: with the second model, those of which the first may be a merge."""
    full: bool = False
    """For compare: every weight is to be read, not a sample of large models."""
    question: str = ""
    about: str = ""
    """What the kind is about: a number, a word of ours, a closed model, the work that was asked for; again."""
    depth: Depth = "ordinary"
    choices: tuple[str, ...] = ()
    pressed: bool = False
    corrected: bool = False
    foreign: bool = False
    wish: Language | None = None
    named: tuple[str, ...] = ()
    """Every model that the message names or plainly means; nothing else may be opened for it."""
    exhibit: str | None = None
