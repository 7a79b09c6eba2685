"""The people on the page: what each has asked and what runs for them, and nothing of it for anybody else."""

from __future__ import annotations

import json
import logging
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from agent.secrecy import without_tokens
from page.conversation import Conversation, Notice
from page.words import Language

if TYPE_CHECKING:
    from agent.steps import Step

log = logging.getLogger(__name__)

# A message longer than this is no question about two models; the browser's own limit can be passed by.
LONGEST_MESSAGE = 2000
LONGEST_TOKEN = 400

# How long a stopped agent may take to say so itself before the page says it.
GRACE_SECONDS = 0.4

# The running seconds beside a step are refreshed this often, and Stop is seen at least this often.
TICK_SECONDS = 0.1
CLOCK_SECONDS = 1.0

# Tabs that vanish without a word are forgotten, oldest first, beyond this number.
MOST_VISITS = 300


Tab = Literal["evidence", "lessons", "method"]


class Assistant(Protocol):
    """What the page needs of agent.assistant.Assistant."""

    def converse(
        self, message: str, *, thread: str, language: str | None = None, stop: Any = None, token: str | None = None
    ) -> Iterator[Step]: ...

    def forget(self, thread: str) -> None: ...


class Visit:
    """One open tab: its conversation, its newest result, and the question being answered in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.language: Language = "en"
        # Opens what a hub shows to this visitor; here only, and gone with the tab.
        self.token: str | None = None
        self.conversation = Conversation()
        self.result: Mapping[str, Any] | None = None
        self.lesson: Mapping[str, Any] | None = None
        self.tab: Tab = "method"
        self.question: str | None = None
        self.answering = False
        self.stop = threading.Event()
        self.worker: threading.Thread | None = None
        self.language_known = False
        self.talks = 0
        self.seen = time.monotonic()
        self.folder: Path | None = None

    def speak(self, language: Language) -> None:
        """The reader's language, as the page was opened in it or switched to it."""
        self.language, self.language_known = language, True

    def assume(self, language: Language) -> None:
        """The language that came with a question: a tab may send it before it has heard what the page settled on."""
        if not self.language_known:
            self.language = language

    @property
    def thread(self) -> str:
        """The agent's name for this conversation; a new conversation gets a new one."""
        return f"{self.name}:{self.talks}"

    @property
    def busy(self) -> bool:
        return self.question is not None or self.answering


class Visits:
    """All open tabs by their session hash."""

    def __init__(self, assistant: Assistant) -> None:
        self.assistant = assistant
        self._visits: dict[str, Visit] = {}
        self._lock = threading.Lock()

    def of(self, session: str | None) -> Visit:
        """The visit of a tab, made on first sight."""
        name = session or "nobody"
        with self._lock:
            visit = self._visits.get(name) or self._visits.setdefault(name, Visit(name))
            visit.seen = time.monotonic()
            idle = sorted((v for v in self._visits.values() if not v.busy and v is not visit), key=lambda v: v.seen)
            gone = idle[: max(0, len(self._visits) - MOST_VISITS)]
            for old in gone:
                del self._visits[old.name]
        for old in gone:
            self._forget(old)
        return visit

    def ask(self, visit: Visit, message: str) -> bool:
        """Note a question and show it; False when there is nothing to answer."""
        text = without_tokens(message.strip())
        if not text or visit.busy:
            return False
        if len(text) > LONGEST_MESSAGE:
            visit.conversation.add(Notice("too_long", {"length": len(text), "limit": LONGEST_MESSAGE}))
            return False
        visit.stop = threading.Event()
        visit.question = text
        visit.conversation.ask(text)
        return True

    def answer(self, visit: Visit) -> Iterator[bool]:
        """Answer the noted question; yields after every visible change, True when a result or a lesson is new.

        The agent runs in a thread of its own, so that Stop is seen while a tool is deep in its work.
        """
        message, visit.question = visit.question, None
        if message is None:
            return
        visit.answering = True
        stop = visit.stop
        try:
            yield from self._wait_for_last(visit)
            if stop.is_set():
                self._show_stopped(visit)
                yield False
                return
            steps: queue.SimpleQueue[Step | Exception | None] = queue.SimpleQueue()
            visit.worker = threading.Thread(
                target=self._work,
                args=(message, visit.thread, visit.language, visit.token, stop, steps),
                daemon=True,
            )
            visit.worker.start()
            yield from self._follow(visit, stop, steps)
        finally:
            # Also reached when the tab is closed in the middle: the tools then end themselves.
            stop.set()
            visit.answering = False

    def end(self, visit: Visit) -> bool:
        """Stop what runs. True when it had not begun yet, so that nobody else will say it was stopped."""
        visit.stop.set()
        if visit.question is None:
            return False
        visit.question = None
        self._show_stopped(visit)
        return True

    def renew(self, visit: Visit) -> None:
        """A new conversation: nothing of the last one stays, here or with the agent."""
        visit.stop.set()
        self._forget(visit)
        visit.talks += 1
        visit.question = None
        visit.conversation = Conversation()
        visit.result = visit.lesson = None
        visit.tab = "method"

    def leave(self, session: str | None) -> None:
        """Forget a closed tab."""
        with self._lock:
            visit = self._visits.pop(session or "nobody", None)
        if visit is not None:
            visit.stop.set()
            self._forget(visit)

    def downloads(self, visit: Visit) -> tuple[str, str] | None:
        """Paths of report.md and report.json of the newest result, in the reader's language."""
        if visit.result is None:
            return None
        from tools.report import markdown

        folder = self._folder(visit)
        report, data = folder / "report.md", folder / "report.json"
        report.write_text(markdown(dict(visit.result), visit.language), encoding="utf-8")
        data.write_text(json.dumps(visit.result, ensure_ascii=False, indent=1), encoding="utf-8")
        return str(report), str(data)

    def sheets(self, visit: Visit) -> tuple[str, str, str] | None:
        """Paths of the newest lesson in the reader's language: Markdown, teacher's and students' sheet to print."""
        if visit.lesson is None:
            return None
        from lessons import sheets
        from lessons.run import taught

        lesson = taught(dict(visit.lesson), visit.language)
        texts = {
            f"{lesson.name}-{visit.language}.md": sheets.markdown(lesson),
            **{
                f"{lesson.name}-{visit.language}-{sheet}.html": sheets.printable(lesson, sheet)
                for sheet in sheets.SHEETS
            },
        }
        paths = [self._folder(visit) / name for name in texts]
        for path, text in zip(paths, texts.values(), strict=True):
            path.write_text(text, encoding="utf-8")
        markdown, teacher, students = map(str, paths)
        return markdown, teacher, students

    @staticmethod
    def _folder(visit: Visit) -> Path:
        if visit.folder is None:
            visit.folder = Path(tempfile.mkdtemp(prefix="whose-weights-"))
        return visit.folder

    def _work(
        self,
        message: str,
        thread: str,
        language: Language,
        token: str | None,
        stop: threading.Event,
        steps: queue.SimpleQueue[Step | Exception | None],
    ) -> None:
        try:
            for step in self.assistant.converse(
                message, thread=thread, language=language, stop=stop.is_set, token=token
            ):
                steps.put(step)
        except Exception as error:
            log.exception("the agent broke")
            steps.put(error)
        steps.put(None)

    def _follow(
        self, visit: Visit, stop: threading.Event, steps: queue.SimpleQueue[Step | Exception | None]
    ) -> Iterator[bool]:
        conversation = visit.conversation
        stopped_at: float | None = None
        shown_at = time.monotonic()
        spoken = False
        while True:
            try:
                step = steps.get(timeout=TICK_SECONDS)
            except queue.Empty:
                now = time.monotonic()
                if stop.is_set():
                    stopped_at = stopped_at or now
                    if now - stopped_at > GRACE_SECONDS:
                        self._show_stopped(visit, conversation)
                        yield False
                        return
                elif now - shown_at >= CLOCK_SECONDS:
                    shown_at = now
                    yield False
                continue
            if visit.conversation is not conversation:
                return
            if step is None:
                if not spoken:
                    if stop.is_set():
                        self._show_stopped(visit, conversation)
                    else:
                        self._show_failed(visit)
                    yield False
                return
            if isinstance(step, Exception):
                self._show_failed(visit)
                yield False
                return
            news = conversation.take(step)
            spoken = spoken or step.kind in ("reply", "stopped", "error")
            if news is not None and "lesson" in news:
                visit.lesson, visit.tab = news, "lessons"
            elif news is not None:
                visit.result, visit.tab = news, "evidence"
            shown_at = time.monotonic()
            yield news is not None

    def _wait_for_last(self, visit: Visit) -> Iterator[bool]:
        """A stopped agent may still be in its last step; two must not speak in one conversation."""
        last = visit.worker
        if last is None or not last.is_alive():
            return
        visit.conversation.wait()
        while last.is_alive() and not visit.stop.is_set():
            yield False
            last.join(CLOCK_SECONDS)

    def _show_stopped(self, visit: Visit, conversation: Conversation | None = None) -> None:
        shown = conversation or visit.conversation
        shown.settle("stopped")
        shown.add(Notice("stopped"))

    def _show_failed(self, visit: Visit) -> None:
        visit.conversation.settle("failed")
        visit.conversation.add(Notice("failed"))

    def _forget(self, visit: Visit) -> None:
        try:
            self.assistant.forget(visit.thread)
        except Exception:
            log.exception("the agent could not forget a conversation")
        if visit.folder is not None:
            shutil.rmtree(visit.folder, ignore_errors=True)
            visit.folder = None


class LateAssistant:
    """The real assistant, imported and made when first needed, so that the page is up before torch is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: Assistant | None = None

    def converse(
        self, message: str, *, thread: str, language: str | None = None, stop: Any = None, token: str | None = None
    ) -> Iterator[Step]:
        return self._real().converse(message, thread=thread, language=language, stop=stop, token=token)

    def forget(self, thread: str) -> None:
        if self._made is not None:
            self._made.forget(thread)

    def warm_up(self) -> None:
        """Import what the first question would otherwise wait for, and let articles be found by meaning."""
        self._real()
        from agent import reading

        reading.warm_up(wait=True)
        import plotly.graph_objects  # noqa: F401

        import tools.audit  # noqa: F401
        from knowledge import library

        library.warm_up(wait=True)

    def _real(self) -> Assistant:
        with self._lock:
            if self._made is None:
                from agent.assistant import Assistant as RealAssistant
                from agent.reading import is_ready

                self._made = RealAssistant(learned=is_ready)
            return self._made
