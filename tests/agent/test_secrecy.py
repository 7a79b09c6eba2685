"""Access tokens that people paste into a message: nothing sees them."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from agent_doubles import Audit, Visit

from agent.phrases import say
from agent.secrecy import TAKEN_OUT, without_tokens

TOKEN = "hf_" + "aB3dE5gH7" * 4


@pytest.mark.parametrize(
    "text", ["my token is {}", "我的令牌是{}", "令牌：{}，请用", "compare a/b with c/d, token={}", "({}).", "`{}`"]
)
def test_a_token_is_taken_out(text: str) -> None:
    assert without_tokens(text.format(TOKEN)) == text.format(TAKEN_OUT)


@pytest.mark.parametrize(
    "text",
    [
        "is owner/hf_some_long_model_name_7b a copy of c/d",
        "hf_internal_testing_models/tiny-random-llama",
        "./models/sk-learned-from-somebody-else",
        "what is a token",
        "hf_7b",
    ],
)
def test_names_stay(text: str) -> None:
    assert without_tokens(text) == text


@pytest.mark.parametrize(
    ("message", "language"), [(f"my token is {TOKEN}, use it", "en"), (f"我的令牌是{TOKEN}，请用", "zh")]
)
def test_a_pasted_token_is_in_no_reply_log_or_memory(
    make: Any, message: str, language: str, caplog: pytest.LogCaptureFixture
) -> None:
    assistant = make()
    visit = Visit(assistant)
    with caplog.at_level(logging.DEBUG):
        reply = visit.ask(message)
    assert say(language, "token_written") in reply.text and say(language, "token").split("\n\n")[0] in reply.text
    said = assistant._agent.get_state(assistant._config(visit.thread)).values["messages"]
    assert TAKEN_OUT in said[0].text
    assert TOKEN not in repr(said) + repr(visit.steps) + caplog.text


def test_a_token_beside_two_models_does_not_keep_them_from_being_compared(make: Any, audit: Audit) -> None:
    reply = Visit(make()).ask(f"Is exhibits/llama3v/suspect a copy of exhibits/llama3v/original? token {TOKEN}")
    assert [call[0] for call in audit.calls] == ["compare"]
    assert say("en", "token_written") in reply.text
