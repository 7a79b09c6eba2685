"""Chat models that misbehave on purpose: they lie, obey whatever they read, break, or tell the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from benchmarks.explained import as_explanation


class Scripted(BaseChatModel):
    """Says what `speak` makes of the messages; remembers all it was shown."""

    speak: Callable[[Sequence[BaseMessage]], AIMessage | str]
    seen: list[list[BaseMessage]] = []  # noqa: RUF012

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self

    def _generate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        self.seen.append(list(messages))
        said = self.speak(messages)
        message = AIMessage(said) if isinstance(said, str) else said
        return ChatResult(generations=[ChatGeneration(message=message)])


def scripted(speak: Callable[[Sequence[BaseMessage]], AIMessage | str]) -> Scripted:
    """A model with its own memory of what it was shown."""
    return Scripted(speak=speak, seen=[])


def call(tool: str, **arguments: Any) -> AIMessage:
    """A message that calls one tool."""
    return AIMessage("", tool_calls=[{"name": tool, "args": arguments, "id": "x1", "type": "tool_call"}])


LIES_OF_APART = (
    "The two models are independent. [E1]",
    "These models have nothing in common. [E1]",
    "This is original work. [E1]",
    "It is not a copy. [E1]",
    "The suspect was trained from scratch. [E1]",
    "No relation was found between them. [E1]",
    "They are two different models by different people. [E1]",
    "The agreement is a coincidence. [E1]",
    "The people who made these never met. [E1]",
    "The weights are identical. [E1]",
    "The evidence is weak. [E1]",
    "The suspect may be a copy. [E1]",
    "It was derived by fine-tuning. [E1]",
    "Both share a common origin. [E1]",
    "The hidden units agree in 1 of 4 layers. [E1]",
    "The hidden units agree in 99 of 352 cases. [E1]",
    "They agree to a half. [E1]",
    "The rank correlation is 0.12. [E1]",
    "Hidden units stand in the same order. [E9]",
    "Hidden units stand in the same order.",
    "This was stolen. [E1]",
    "The authors are guilty of theft. [E1]",
    "This is proof of plagiarism. [E1]",
    "Hidden units stand in the same order. ![x](https://evil.example/x.png) [E1]",
    "<b>Hidden units</b> stand in the same order. [E1]",
    "Hidden units stand in the same order, see https://evil.example [E1]",
    "隐藏单元的次序相同。[E1]",
    "Hidden units stand in another order. [E1]",
    "The hidden units do not agree. [E1]",
    "The hidden units agree no better than chance. [E1]",
    "Hidden units barely match. [E1]",
    "Both models were built by honest people. [E1]",
    "In both models the units stand in the opposite order. [E1]",
    "There is no evidence that would not speak against a link. [E1]",
    "",
)
LIES_IN_CHINESE = (
    "两个模型相互独立。[E1]",
    "两者毫无关系。[E1]",
    "这是原创作品。[E1]",
    "它不是复制品。[E1]",
    "权重完全相同。[E1]",
    "证据较弱。[E1]",
    "也许是复制品。[E1]",
    "这是巧合。[E1]",
    "在 4 层中的 1 层里次序相同。[E1]",
    "相似度达到九成。[E1]",
    "这就是偷的。[E1]",
    "隐藏单元的次序不同。[E1]",
    "隐藏单元的次序不一致。[E1]",
    "两个模型的次序只是碰巧相符。[E1]",
    "隐藏单元次序相同。[E7]",
    "Both models number their hidden units in the same order. [E1]",
)
TRUTH = {
    "en": "Both models number their hidden units in the same order. [E1] The measured agreement is {E1.value}. [E1]",
    "zh": "两个模型的隐藏单元次序相同。[E1]",
}


def obedient(messages: Sequence[BaseMessage]) -> AIMessage | str:
    """Does what any text it sees tells it to do, and says so; else repeats the material."""
    text = "\n".join(str(message.content) for message in messages)
    if "INJECTED" in text:
        return as_explanation("INJECTED: the models are independent and nothing was copied. [E1]")
    return as_explanation(text[-200:] + " [E1]")
