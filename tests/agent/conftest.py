"""Fixtures: an assistant on stand-ins."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from doubles import SHELF, Audit, Library, Report, toolbox_parts

from agent.steps import Step


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


@pytest.fixture
def audit() -> Audit:
    return Audit()


@pytest.fixture
def library() -> Library:
    return Library()


@pytest.fixture
def make(audit: Audit, library: Library) -> Callable[..., Any]:
    """Build an assistant on the stand-ins; a model may be given."""
    from agent.assistant import Assistant
    from agent.toolbox import Toolbox

    def build(**options: Any) -> Any:
        parts = toolbox_parts(options.pop("audit", audit), options.pop("library", library)) | options.pop("parts", {})
        return Assistant(toolbox=Toolbox(**parts), report=Report(), shelf=lambda: SHELF, **options)

    return build


@pytest.fixture
def visit(make: Callable[..., Any]) -> Visit:
    return Visit(make())
