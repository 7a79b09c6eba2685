"""A causal language model of the Transformers library in a folder of this computer, as a chat model without tools."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from pydantic import PrivateAttr

_ROLES = {"human": "user", "ai": "assistant", "system": "system"}


class LocalModel(BaseChatModel):
    """Loads on the first question. `folder` must hold a model its owner trusts; no code of it is run."""

    folder: Path
    most_tokens: int
    seconds: float
    _loaded: Any = PrivateAttr(default=None)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    def model_post_init(self, context: Any, /) -> None:
        """A name that is no folder would be looked up on the Hub; raises ValueError instead."""
        super().model_post_init(context)
        if not self.folder.expanduser().is_dir():
            raise ValueError("a local model must be a folder")

    @property
    def _llm_type(self) -> str:
        return "local"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[Any, AIMessage]:
        """It words what was found; it plans nothing, so it is shown no tools."""
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            tokenizer, model = self._loaded
            prompt = self._prompt(tokenizer, messages)
            limit = model.config.max_position_embeddings - self.most_tokens
            taken = tokenizer(prompt, return_tensors="pt", truncation=False)
            if taken["input_ids"].shape[1] > max(limit, 1):
                raise ValueError("the question is too long for this model")
            made = model.generate(
                **taken, max_new_tokens=self.most_tokens, max_time=self.seconds, do_sample=False, pad_token_id=0
            )
            text = tokenizer.decode(made[0, taken["input_ids"].shape[1] :], skip_special_tokens=True)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])

    def _load(self) -> tuple[Any, Any]:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        options = {"local_files_only": True, "trust_remote_code": False}
        folder = str(self.folder.expanduser())
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        return tokenizer, AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, **options).eval()

    @staticmethod
    def _prompt(tokenizer: Any, messages: Sequence[BaseMessage]) -> str:
        turns = [{"role": _ROLES.get(message.type, "user"), "content": message.text} for message in messages]
        if tokenizer.chat_template:
            return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        return "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in turns) + "\n\nassistant:"
