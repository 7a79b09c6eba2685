"""What one visitor sees: steps as they happen, Stop within a second, never anything of another one."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_assistant import FakeAssistant, Step, comparison

from page import conversation as page_conversation
from page import visits as page_visits
from page.conversation import Conversation, Notice, Reply, Work
from page.visits import LONGEST_MESSAGE, Visit, Visits
from page.words import TEXTS
from tests.timing import least
from tools.words import PROBES


class Deaf:
    """An assistant whose tool does not hear Stop for `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.left = threading.Event()

    def converse(self, message: str, *, thread: str, **more: Any) -> Iterator[Step]:
        yield Step("started", "Comparing")
        self.left.wait(self.seconds)
        yield Step("reply", text="too late", artifact={})

    def forget(self, thread: str) -> None:
        pass


class Broken(Deaf):
    def converse(self, message: str, *, thread: str, **more: Any) -> Iterator[Step]:
        yield Step("started", "Comparing")
        raise RuntimeError("/secret/path broke")


def ask(visits: Visits, visit: Visit, text: str = "Is x a copy of y?") -> list[bool]:
    assert visits.ask(visit, text)
    return list(visits.answer(visit))


def said(visit: Visit) -> str:
    return "\n".join(str(message.content) for message in visit.conversation.shown(visit.language))


def notices(visit: Visit) -> list[str]:
    return [entry.key for entry in visit.conversation.entries if isinstance(entry, Notice)]


def test_a_step_is_shown_before_the_agent_has_said_anything() -> None:
    visits = Visits(FakeAssistant())
    visit = visits.of("one")
    visits.ask(visit, "Is x a copy of y?")
    shown = visit.conversation.shown("en")
    assert shown[0].role == "user" and "Is x a copy of y?" in str(shown[0].content)
    assert shown[1].metadata == {"title": TEXTS["en"]["thinking"], "status": "pending", "log": "0 s"}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_steps_card_plot_and_reply_come_in_order(language: Any) -> None:
    visits = Visits(FakeAssistant(pace=0.01))
    visit = visits.of("one")
    visit.language = language
    new_results = ask(visits, visit)
    assert new_results.count(True) == 1 and visit.result == comparison()
    shown = visit.conversation.shown(language)
    assert len(shown) == 5
    assert shown[1].metadata["status"] == "done" and shown[1].metadata["duration"] == 0.84
    assert str(shown[1].content).count("<li>") == 4
    assert 'class="card card-linked"' in str(shown[2].content)
    words, plot = shown[3].content
    assert 'class="twin"' in words and plot.get_block_name() == "plot"
    assert "K1" in str(shown[4].content) and "arxiv.org" in str(shown[4].content)
    assert PROBES["unit_order"]["question"][language] in str(shown[4].content)
    assert len(shown[4].options) == 2
    assert not visit.busy


def test_a_question_does_not_turn_back_the_language_of_the_page() -> None:
    visit = Visit("a tab")
    visit.assume("zh")
    assert visit.language == "zh"
    visit.speak("zh")
    # The tab still held the page's first language when the question was sent.
    visit.assume("en")
    assert visit.language == "zh"
    visit.speak("en")
    assert visit.language == "en"


def test_only_the_newest_reply_offers_questions() -> None:
    visits = Visits(FakeAssistant(pace=0.0))
    visit = visits.of("one")
    ask(visits, visit)
    ask(visits, visit, "Why?")
    offers = [bool(message.options) for message in visit.conversation.shown("en")]
    assert offers.count(True) == 1 and offers[-1]


def test_the_other_language_rewords_cards_that_are_shown_already() -> None:
    visits = Visits(FakeAssistant(pace=0.0))
    visit = visits.of("one")
    ask(visits, visit)
    assert TEXTS["en"]["card_reasons"] in said(visit)
    visit.language = "zh"
    assert TEXTS["zh"]["card_reasons"] in said(visit) and TEXTS["en"]["card_limits"] not in said(visit)


def test_stop_ends_a_deaf_tool_for_the_reader_within_a_second() -> None:
    def stopped() -> float:
        deaf = Deaf(60.0)
        visits, visit, running = under_way(deaf)
        pressed = time.monotonic()
        visits.end(visit)
        list(running)
        took = time.monotonic() - pressed
        deaf.left.set()
        assert notices(visit) == ["stopped"] and visit.result is None and not visit.busy
        assert [entry.status for entry in visit.conversation.entries if isinstance(entry, Work)] == ["stopped"]
        assert TEXTS["en"]["stopped"] in said(visit) and "too late" not in said(visit)
        return took

    assert least(stopped, 1.0) < 1.0


def test_stop_reaches_the_tool() -> None:
    assistant = FakeAssistant(pace=0.5, probes=5)
    visits, visit, running = under_way(assistant)
    visits.end(visit)
    list(running)
    assert assistant.stopped.wait(30) and notices(visit) == ["stopped"] and visit.result is None


def test_stop_before_its_turn_comes() -> None:
    visits = Visits(FakeAssistant())
    visit = visits.of("one")
    visits.ask(visit, "x and y?")
    assert visits.end(visit)
    assert notices(visit) == ["stopped"] and list(visits.answer(visit)) == []


def test_after_stop_the_next_question_waits_for_the_old_tool_and_is_answered() -> None:
    deaf = Deaf(60.0)
    visits, visit, running = under_way(deaf)
    visits.end(visit)
    list(running)
    visits.ask(visit, "again")
    threading.Timer(0.5, deaf.left.set).start()
    list(visits.answer(visit))
    assert said(visit).count("too late") == 1


def under_way(assistant: FakeAssistant | Deaf) -> tuple[Visits, Visit, Iterator[bool]]:
    """A visit whose question is being answered."""
    visits = Visits(assistant)
    visit = visits.of("one")
    visits.ask(visit, "x and y?")
    running = visits.answer(visit)
    next(running)
    return visits, visit, running


def test_a_closed_tab_ends_the_work_and_is_forgotten() -> None:
    assistant = FakeAssistant(pace=0.5, probes=5)
    visits, visit, running = under_way(assistant)
    visits.leave("one")
    running.close()
    assert assistant.stopped.wait(30)
    assert assistant.forgotten == ["one:0"] and visits.of("one") is not visit


def test_two_visitors_share_nothing() -> None:
    assistant = FakeAssistant(pace=0.0)
    visits = Visits(assistant)
    first, second = visits.of("one"), visits.of("two")
    ask(visits, first, "the first asks")
    assert second.result is None and second.conversation.entries == []
    ask(visits, second, "the second asks")
    assert "the second asks" not in said(first) and "the first asks" not in said(second)
    assert {thread for thread, _ in assistant.heard} == {"one:0", "two:0"}


def test_a_new_conversation_starts_from_nothing() -> None:
    assistant = FakeAssistant(pace=0.0)
    visits = Visits(assistant)
    visit = visits.of("one")
    ask(visits, visit)
    visits.renew(visit)
    assert visit.conversation.entries == [] and visit.result is None
    assert assistant.forgotten == ["one:0"]
    ask(visits, visit)
    assert assistant.heard[-1][0] == "one:1"


def test_a_new_conversation_while_one_runs() -> None:
    visits, visit, running = under_way(FakeAssistant(pace=0.1, probes=5))
    visits.renew(visit)
    list(running)
    assert visit.conversation.entries == [] and visit.result is None and not visit.busy


def test_too_long_is_refused_on_the_server() -> None:
    assistant = FakeAssistant()
    visits = Visits(assistant)
    visit = visits.of("one")
    assert not visits.ask(visit, "x" * (LONGEST_MESSAGE + 1))
    assert notices(visit) == ["too_long"] and "2001" in said(visit) and "xxx" not in said(visit)
    assert list(visits.answer(visit)) == [] and assistant.heard == []


def test_nothing_is_asked_twice_or_empty() -> None:
    visits = Visits(FakeAssistant())
    visit = visits.of("one")
    assert not visits.ask(visit, "  \n ")
    assert visits.ask(visit, "x and y?") and not visits.ask(visit, "and z?")


def test_a_broken_agent_is_one_calm_sentence(caplog: pytest.LogCaptureFixture) -> None:
    visits = Visits(Broken(0))
    visit = visits.of("one")
    ask(visits, visit)
    assert notices(visit) == ["failed"] and "secret" not in said(visit) and "RuntimeError" not in said(visit)
    assert "secret" in caplog.text


def test_a_failed_tool_is_told_from_a_finished_one() -> None:
    conversation = Conversation()
    conversation.ask("x and y?")
    conversation.take(Step("started", "Comparing x with y"))
    assert conversation.take(Step("finished", "Comparing x with y", artifact={"error": {"kind": "not_found"}})) is None
    conversation.take(Step("reply", text="There is no folder x.", artifact={}))
    work, reply = conversation.entries[1:]
    assert isinstance(work, Work) and work.status == "failed"
    assert isinstance(reply, Reply)
    assert TEXTS["en"]["step_failed"] in conversation.shown("en")[1].metadata["title"]


def test_a_long_conversation_loses_its_oldest_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_conversation, "MOST_ENTRIES", 6)
    visits = Visits(FakeAssistant(pace=0.0))
    visit = visits.of("one")
    for number in range(6):
        ask(visits, visit, f"question {number} of mine")
    assert "question 5" in said(visit) and "question 0" not in said(visit)
    assert len(visit.conversation.entries) <= 10


def test_forgotten_tabs_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_visits, "MOST_VISITS", 3)
    assistant = FakeAssistant()
    visits = Visits(assistant)
    for number in range(5):
        visits.of(f"tab{number}")
    assert assistant.forgotten == ["tab0:0", "tab1:0"]


def test_downloads_are_the_result_in_the_readers_language() -> None:
    visits = Visits(FakeAssistant(pace=0.0))
    visit = visits.of("one")
    assert visits.downloads(visit) is None
    ask(visits, visit)
    paths = visits.downloads(visit)
    assert paths is not None
    assert json.loads(Path(paths[1]).read_text(encoding="utf-8")) == comparison()
    english = Path(paths[0]).read_text(encoding="utf-8")
    visit.language = "zh"
    visits.downloads(visit)
    assert Path(paths[0]).read_text(encoding="utf-8") != english
    visits.leave("one")
    assert not Path(paths[0]).exists()


class Teacher(Deaf):
    """An assistant that runs a lesson."""

    def converse(self, message: str, *, thread: str, **more: Any) -> Iterator[Step]:
        from lessons.run import run

        yield Step("started", "Measuring")
        yield Step("finished", "Measuring", artifact=run("swap-sides"))
        yield Step("reply", text="a lesson", artifact={})


@pytest.mark.skipif(not (Path(__file__).parents[2] / "exhibits/solar/story.json").exists(), reason="no exhibits")
def test_a_lesson_is_kept_for_its_visitor_in_either_language() -> None:
    visits = Visits(Teacher(0))
    visit, other = visits.of("one"), visits.of("two")
    assert True in ask(visits, visit, "a lesson")
    assert visit.tab == "lessons" and visit.result is None and other.lesson is None
    assert visits.sheets(other) is None
    english = visits.sheets(visit)
    visit.language = "zh"
    chinese = visits.sheets(visit)
    assert english is not None and chinese is not None and set(english).isdisjoint(chinese)
    assert [Path(path).name for path in chinese] == [
        "swap-sides-zh.md", "swap-sides-zh-teacher.html", "swap-sides-zh-students.html"
    ]  # fmt: skip
    assert "教师页" in Path(chinese[1]).read_text(encoding="utf-8")
    assert "证据卡" in said(visit)
    visits.renew(visit)
    assert visit.lesson is None and visits.sheets(visit) is None and not Path(chinese[0]).exists()


def test_a_token_is_one_visitors_own_and_gone_with_the_tab() -> None:
    assistant = FakeAssistant(pace=0.0)
    visits = Visits(assistant)
    one, other = visits.of("one"), visits.of("other")
    one.token = "hf_of_one"
    ask(visits, one)
    ask(visits, other)
    assert assistant.tokens == ["hf_of_one", None]
    assert "hf_of_one" not in said(one) and "hf_of_one" not in str(one.result)
    for path in visits.downloads(one) or ():
        assert "hf_of_one" not in Path(path).read_text(encoding="utf-8")
    visits.leave("one")
    assert visits.of("one").token is None
