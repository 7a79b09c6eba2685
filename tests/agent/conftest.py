"""Fixtures: an assistant on stand-ins."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from agent_doubles import SHELF, Audit, Library, Report, Visit, toolbox_parts


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


@pytest.fixture(scope="session", autouse=True)
def _examples_are_learned() -> None:
    """Tests that look at the clock must not pay for the learning."""
    from agent.reading import warm_up

    warm_up(wait=True)
