"""A second visitor is given what the first one's question measured, is told so, and can have it measured again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.assistant import Assistant
from agent.phrases import say
from page.programs import compare
from tests.hub_emulator import HubEmulator

EXHIBITS = Path(__file__).resolve().parents[2] / "exhibits" / "llama3v"


@pytest.mark.parametrize(
    ("language", "question", "again"),
    [
        ("en", "Is o/suspect a copy of o/original?", "Measure again."),
        ("zh", "o/suspect 是不是抄了 o/original？", "重新测一次"),
    ],
)
def test_a_second_visitor(start_hub: Callable[..., HubEmulator], language: str, question: str, again: str) -> None:
    hub = start_hub({f"o/{name}": EXHIBITS / name for name in ("suspect", "original")})
    assistant = Assistant()

    def ask(thread: str, text: str) -> tuple[dict[str, Any], str]:
        steps = list(assistant.converse(text, thread=thread))
        return (steps[-1].artifact or {})["result"], "\n".join([*(step.title for step in steps), steps[-1].text])

    first, told = ask("one", question)
    kept = say(language, "step_kept")
    assert first["answer"] == "disguised_copy" and first["cost"]["earlier"] is None and kept not in told
    day = datetime.now(UTC).date().isoformat()
    assert day not in told
    hub.clear()
    second, told = ask("another", question)
    assert (
        second["answer"] == "disguised_copy" and second["cost"]["earlier"] is not None and kept in told and day in told
    )
    assert hub.served_of("/resolve/") == 0
    assert compare("o/suspect", "o/original")["cost"]["earlier"] is not None
    anew, told = ask("another", again)
    assert (
        anew["cost"]["earlier"] is None
        and anew["findings"] == first["findings"]
        and kept not in told
        and day not in told
    )
