"""Model, tools and guard put together by create_agent; a conversation per thread, and a Stop that is heard at once."""

from __future__ import annotations

import logging
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.memory import InMemorySaver

from agent import settings
from agent.guard import Guard
from agent.guide import Guide
from agent.intent import LONGEST_MESSAGE
from agent.phrases import say
from agent.reading import read
from agent.secrecy import without_tokens
from agent.shelf import Shelf
from agent.steps import Step, stream
from agent.toolbox import Toolbox
from agent.toolbox import Turn as Occasion
from agent.turns import recall
from agent.verdicts import Report

log = logging.getLogger(__name__)

INSTRUCTIONS = Path(__file__).parent / "instructions.md"
# Conversations kept at once; the one that was silent longest is forgotten first.
THREADS_KEPT = 200
# A tool looks for Stop between two tensors; the reader does not wait for that.
LOOK_FOR_STOP_SECONDS = 0.1
WAIT_FOR_LAST_TURN_SECONDS = 5.0


class LatestOnly(InMemorySaver):
    """A memory of the newest state of each thread: a long conversation must not keep a copy of itself per turn."""

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save, and let go of what this replaces."""
        saved = super().put(config, checkpoint, metadata, new_versions)
        thread = config["configurable"]["thread_id"]
        namespace = config["configurable"]["checkpoint_ns"]
        kept = self.storage[thread][namespace]
        for old in [key for key in kept if key != checkpoint["id"]]:
            del kept[old]
            self.writes.pop((thread, namespace, old), None)
        versions = checkpoint["channel_versions"]
        for key in [k for k in self.blobs if k[0] == thread and k[1] == namespace and versions.get(k[2]) != k[3]]:
            del self.blobs[key]
        return saved


class Assistant:
    """One who answers questions about models. Safe to share between visitors: every thread has its own memory."""

    def __init__(
        self,
        *,
        model: BaseChatModel | None = None,
        toolbox: Toolbox | None = None,
        report: Report | None = None,
        shelf: Callable[[], Shelf] | None = None,
        learned: Callable[[], bool] = lambda: True,
    ) -> None:
        """By default the model that AGENT_MODEL names, else the guide; the real tools; the shipped exhibits.

        `learned` says at the start of a turn whether its message is read with the learned examples, which takes a
        while the first time, or by the rules alone.
        """
        self._learned = learned
        self._guide = Guide(report=report, shelf=shelf or settings.shelf)
        self._saver = LatestOnly()
        self._agent = create_agent(
            model or settings.wording().model or self._guide,
            (toolbox or Toolbox()).tools(),
            system_prompt=INSTRUCTIONS.read_text(encoding="utf-8"),
            middleware=[Guard(self._guide)],
            context_schema=Occasion,
            checkpointer=self._saver,
        )
        self._threads: OrderedDict[str, threading.Lock] = OrderedDict()
        self._lock = threading.Lock()

    def converse(
        self,
        message: str,
        *,
        thread: str,
        language: str | None = None,
        stop: Callable[[], bool] | None = None,
        token: str | None = None,
    ) -> Iterator[Step]:
        """Answer one message step by step; the last step is a reply, "stopped" or "error".

        `language` is used where the message shows none. Once `stop` returns True, "stopped" follows within a second.
        `token` opens what a hub shows only to the asker; it is used for this message and kept nowhere. One that stands
        in the message itself is taken out unused.
        """
        message = without_tokens(message)
        turn_lock = self._thread(thread)
        if not turn_lock.acquire(timeout=WAIT_FOR_LAST_TURN_SECONDS):
            yield Step("error", "", say(language or "en", "busy"))
            return
        ended = threading.Event()
        asked = stop or (lambda: False)
        steps: queue.SimpleQueue[Step | None] = queue.SimpleQueue()
        spoken_in = "zh" if language == "zh" else "en"

        def work() -> None:
            nonlocal spoken_in
            try:
                learned = self._learned()
                spoken_in = self._language(message, thread, language, learned)
                occasion = Occasion(spoken_in, lambda: ended.is_set() or asked(), token)  # type: ignore[arg-type]
                reading = {"language": language, "learned": learned}
                question = HumanMessage(message[: LONGEST_MESSAGE + 1], additional_kwargs=reading)
                for step in stream(self._agent, self._guide, question, self._config(thread), occasion):  # type: ignore[arg-type]
                    steps.put(step)
            except Exception:
                log.exception("a turn broke")
                steps.put(Step("error", "", say(spoken_in, "broken")))
            finally:
                with self._lock:
                    forgotten = self._threads.get(thread) is not turn_lock
                if forgotten:
                    self._saver.delete_thread(thread)
                turn_lock.release()
                steps.put(None)

        threading.Thread(target=work, name="turn", daemon=True).start()
        try:
            while True:
                try:
                    step = steps.get(timeout=LOOK_FOR_STOP_SECONDS)
                except queue.Empty:
                    step = Step("progress")
                    if not asked():
                        continue
                if step is None:
                    return
                if asked() and step.kind != "reply":
                    yield Step("stopped", "", say(spoken_in, "stopped"), {"language": spoken_in})
                    return
                yield step
        finally:
            # The reader is gone or has stopped: whatever still runs ends at its next look.
            ended.set()

    def forget(self, thread: str) -> None:
        """Let go of everything said in a thread."""
        with self._lock:
            self._threads.pop(thread, None)
        self._saver.delete_thread(thread)

    def _thread(self, thread: str) -> threading.Lock:
        with self._lock:
            lock = self._threads.setdefault(thread, threading.Lock())
            self._threads.move_to_end(thread)
            silent = [name for name, held in self._threads.items() if not held.locked() and name != thread]
            too_many = silent[: max(0, len(self._threads) - THREADS_KEPT)]
            for name in too_many:
                del self._threads[name]
        for name in too_many:
            self._saver.delete_thread(name)
        return lock

    def _config(self, thread: str) -> RunnableConfig:
        return {"configurable": {"thread_id": thread}, "recursion_limit": 40}

    def _language(self, message: str, thread: str, hint: str | None, learned: bool) -> str:
        """The language of the reply, needed before the agent starts for the titles of its steps."""
        said: Sequence[Any] = self._agent.get_state(self._config(thread)).values.get("messages", ())
        memory = recall(said, self._guide.shelf()).after if said else None
        return read(message, memory, shelf=self._guide.shelf(), hint=hint, learned=learned).language
