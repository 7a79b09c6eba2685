"""Stop, trouble, limits on what may be opened, and who words the text."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from agent_doubles import Audit, Library, Visit
from test_intent import X, Y

from agent import settings
from tests.timing import least
from tools.errors import UserError

ASK = f"Is {X} a copy of {Y}?"


def stopped(assistant: Any, thread: str) -> float:
    """How long a stop takes that is pressed once a tool runs."""
    pressed = threading.Event()
    kinds, at = [], 0.0
    for step in assistant.converse(ASK, thread=thread, stop=pressed.is_set):
        kinds.append(step.kind)
        if step.kind == "started" and not pressed.is_set():
            pressed.set()
            at = time.monotonic()
    assert kinds[-1] == "stopped" and pressed.is_set()
    return time.monotonic() - at


def test_stop_is_heard_within_a_second_and_the_thread_stays_sound(make: Any) -> None:
    assistant = make(audit=Audit(slow=5))
    assert least(lambda: stopped(assistant, "a"), 1.0) < 1.0
    step = Visit(assistant).ask("How sure are you?")
    assert step.kind == "reply" and (step.artifact or {})["answer"] is None
    messages = assistant._agent.get_state(assistant._config("a")).values["messages"]
    called = {call["id"] for m in messages if m.type == "ai" for call in m.tool_calls}
    assert called == {m.tool_call_id for m in messages if m.type == "tool"}


def test_a_tool_that_does_not_listen_is_left_behind(make: Any, audit: Audit) -> None:
    over = threading.Event()

    def deaf(*names: str, **options: Any) -> dict[str, Any]:
        over.wait(60)
        return audit.compare(*names)

    assistant = make(parts={"compare": deaf})
    threads = iter("abcd")
    assert least(lambda: stopped(assistant, next(threads)), 1.0) < 1.0
    over.set()
    step = Visit(assistant).ask("hello")
    assert step.kind == "reply"


def test_a_reader_who_leaves_ends_the_work(make: Any) -> None:
    assistant = make(audit=Audit(slow=20))
    talk = assistant.converse(ASK, thread="a")
    assert next(talk).kind == "started"
    talk.close()
    begun = time.monotonic()
    assert Visit(assistant).ask("hello").kind == "reply"
    assert time.monotonic() - begun < 10


def test_a_second_question_in_the_same_thread_waits_or_says_so(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import agent.assistant

    monkeypatch.setattr(agent.assistant, "WAIT_FOR_LAST_TURN_SECONDS", 0.2)
    assistant = make(audit=Audit(slow=60))
    first = assistant.converse(ASK, thread="a")
    next(first)
    step = Visit(assistant).ask("hello")
    assert step.kind == "error" and "moment" in step.text
    first.close()


def test_the_reply_comes_after_every_step_and_once(visit: Visit) -> None:
    visit.ask(ASK)
    kinds = [step.kind for step in visit.steps]
    assert kinds.count("reply") == 1 and kinds[-1] == "reply"
    finished = [step for step in visit.steps if step.kind == "finished"]
    assert all(step.seconds is not None and step.artifact for step in finished)
    assert finished[0].artifact is not None and finished[0].artifact["answer"] == "disguised_copy"
    progress = [step for step in visit.steps if step.kind == "progress"]
    assert all("where" not in ((step.artifact or {})["record"]["finding"] or {}) for step in progress)
    assert all(step.title for step in progress)


@pytest.mark.parametrize(
    ("message", "wanted"),
    [(ASK, "Check the spelling"), (f"{X}是不是抄了{Y}？", "请检查拼写")],
)
def test_what_a_user_can_mend_is_said_with_the_way_out(make: Any, audit: Audit, message: str, wanted: str) -> None:
    audit.failure = UserError("not_found", name=X)
    visit = Visit(make())
    step = visit.ask(message)
    assert step.kind == "reply" and wanted in step.text and (step.artifact or {})["answer"] is None
    assert next(s for s in visit.steps if s.kind == "finished").artifact is None
    assert [name for name, _ in visit.tools] == ["compare"]
    why = visit.ask("为什么？" if "请" in wanted else "Why?")
    assert (why.artifact or {})["answer"] is None and wanted in why.text
    audit.failure = None
    assert (visit.ask(message).artifact or {})["answer"] == "disguised_copy"


def test_a_crash_becomes_one_calm_sentence(make: Any, audit: Audit, caplog: pytest.LogCaptureFixture) -> None:
    audit.failure = RuntimeError("secret detail")
    step = Visit(make()).ask(ASK)
    assert "secret" not in step.text and "Traceback" not in step.text and "my side" in step.text
    assert "secret detail" in caplog.text


def test_a_broken_library_does_not_take_the_verdict_away(make: Any) -> None:
    class Broken(Library):
        def article(self, topic: str, language: str) -> Any:
            raise OSError("disk")

    step = Visit(make(library=Broken())).ask(ASK)
    assert (step.artifact or {})["answer"] == "disguised_copy" and "[E1]" in step.text


def test_a_candidate_that_cannot_be_read_is_named_beside_the_others(make: Any, audit: Audit) -> None:
    def compare(a: str, b: str, base: str | None = None, **how: Any) -> dict[str, Any]:
        if "missing" in b:
            raise UserError("not_found", name=b)
        return audit.compare(a, b, base)

    step = Visit(make(parts={"compare": compare})).ask(f"Is {X} a copy of ./missing or {Y}?")
    assert (step.artifact or {})["answer"] == "disguised_copy" and "./missing" in step.text


def test_only_exhibits_are_opened_on_a_public_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "exhibits"
    (folder / "llama3v" / "suspect").mkdir(parents=True)
    (folder / "llama3v" / "link").symlink_to("/etc")
    monkeypatch.setattr(settings, "EXHIBITS", folder)
    monkeypatch.chdir(tmp_path)
    assert settings.allowed("/etc/passwd") and settings.allowed("../x")
    for name in ("SPACE_ID", "WHOSE_WEIGHTS_ONLY_EXHIBITS"):
        with monkeypatch.context() as only:
            only.setenv(name, "1")
            assert settings.allowed("exhibits/llama3v/suspect")
            assert settings.allowed("exhibits/llama3v/suspect+exhibits/llama3v/suspect")
            for refused in (
                "/etc/passwd",
                "exhibits/../exhibits/llama3v/suspect",
                "exhibits/llama3v/../../x",
                "owner/name",
                "exhibits",
                "exhibits/llama3v/link",
                "exhibits/none",
                "~",
                "\0",
                "x" * 5000,
                "exhibits/llama3v/suspect+/etc",
                "/etc+exhibits/llama3v/suspect",
                "exhibits/llama3v/suspect+",
                "+".join(["exhibits/llama3v/suspect"] * 6),
            ):
                assert not settings.allowed(refused), refused


def test_a_refused_model_is_explained(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Visit(make(parts={"allowed": lambda name: False})).ask("Is /etc/a a copy of /etc/b?")
    assert "compares only the exhibits" in step.text


def test_the_guide_is_the_default_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "guide"):
        monkeypatch.setenv("AGENT_MODEL", value)
        assert settings.wording().model is None
        assert "no language model" in settings.badge("en") and "没有使用语言模型" in settings.badge("zh")


@pytest.mark.parametrize("name", ["openai:gpt-without-a-key", "nonsense", "nobody:model", "openai:", "local:./nowhere"])
def test_a_model_that_cannot_be_had_leaves_the_guide_and_says_why(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("AGENT_MODEL", name)
    assert settings.wording().model is None
    assert "AGENT_MODEL" in settings.badge("en") and "AGENT_MODEL" in settings.badge("zh")


def test_silent_threads_are_let_go(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import agent.assistant

    monkeypatch.setattr(agent.assistant, "THREADS_KEPT", 3)
    assistant = make()
    for number in range(6):
        Visit(assistant, f"visitor {number}").ask("hello")
    assert len(assistant._saver.storage) <= 3


def test_ten_visitors_at_once(make: Any) -> None:
    assistant = make(audit=Audit(slow=0.2))
    wrong: list[str] = []

    def visitor(number: int) -> None:
        other = f"./stranger{number}" if number % 2 else f"./model{number}"
        visit = Visit(assistant, str(number))
        visit.ask(f"Is ./mine{number} a copy of {other}?")
        step = visit.ask("Why?")
        answer = "independent" if number % 2 else "disguised_copy"
        if (step.artifact or {}).get("answer") != answer or f"./mine{number}" not in step.text:
            wrong.append(step.text)

    threads = [threading.Thread(target=visitor, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
