"""A visitor's own token: it opens a gated model for that visitor, and shows up nowhere."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.assistant import Assistant
from agent.steps import Step
from agent.toolbox import Turn
from tests.hub_emulator import HubEmulator, Repository

EXHIBITS = Path(__file__).resolve().parents[2] / "exhibits" / "llama3v"
TOKEN = "hf_of_one_visitor"


def test_a_token_opens_a_gated_model_for_its_owner_alone(
    start_hub: Callable[..., HubEmulator], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    gated = Repository(gated=True, open_to=frozenset({TOKEN}))
    gated.commit(EXHIBITS / "suspect")
    start_hub({"o/gated": gated, "o/original": EXHIBITS / "original"})
    # The server's own token is nobody's on the page.
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assistant = Assistant()

    def ask(thread: str, token: str | None) -> list[Step]:
        return list(assistant.converse("Is o/gated a copy of o/original?", thread=thread, token=token))

    with caplog.at_level(logging.DEBUG):
        before, opened, after = ask("a", None), ask("b", TOKEN), ask("c", None)
    assert (opened[-1].artifact or {}).get("answer") == "disguised_copy"
    for steps in (before, after):
        assert (steps[-1].artifact or {}).get("answer") is None and "accepted its terms" in steps[-1].text
    assert TOKEN not in repr([before, opened, after]) and TOKEN not in caplog.text
    assert TOKEN not in repr(Turn("en", token=TOKEN))
