"""What can be set from outside, by environment variables: who words the text, which models may be opened."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from agent.phrases import say
from agent.shelf import Shelf

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

log = logging.getLogger(__name__)

EXHIBITS = Path(__file__).resolve().parent.parent / "exhibits"

# Packages that hold the classes of a provider; "openai:NAME" with a base URL reaches any server of that protocol.
_PACKAGES = {
    "openai": "langchain-openai",
    "ollama": "langchain-ollama",
    "anthropic": "langchain-anthropic",
    "huggingface": "langchain-huggingface",
    "mistralai": "langchain-mistralai",
    "google_genai": "langchain-google-genai",
    "deepseek": "langchain-deepseek",
}
# A model that has not answered by then is replaced by the guide for this reply.
ANSWER_WITHIN_SECONDS = 60
MOST_TOKENS = 1200


@dataclass(frozen=True)
class Wording:
    """Who words the text: `model` None means the guide; `why` says in a word why a set model is not used."""

    name: str = "guide"
    model: BaseChatModel | None = None
    why: str = ""


def wording() -> Wording:
    """The model that AGENT_MODEL names ("openai:NAME", "ollama:NAME", ...), else the guide; never raises."""
    name = os.environ.get("AGENT_MODEL", "").strip()
    if name in ("", "guide"):
        return Wording()
    return _real_model(name, os.environ.get("AGENT_BASE_URL", ""), os.environ.get("AGENT_API_KEY", ""))


@lru_cache(maxsize=4)
def _real_model(name: str, base_url: str, api_key: str) -> Wording:
    provider = name.partition(":")[0]
    options: dict[str, object] = {"temperature": 0}
    if base_url:
        options["base_url"] = base_url
    if api_key:
        options["api_key"] = api_key
    if provider == "openai":
        options |= {"timeout": ANSWER_WITHIN_SECONDS, "max_retries": 1, "max_tokens": MOST_TOKENS}
    if provider == "huggingface":
        # Without this, LangChain would download the model's weights.
        options |= {"backend": "endpoint", "max_tokens": MOST_TOKENS}
    try:
        from langchain.chat_models import init_chat_model

        return Wording(name, init_chat_model(name, **options))  # type: ignore[call-overload]
    except ImportError:
        return Wording(name, None, f"package {_PACKAGES.get(provider, 'langchain-' + provider)}")
    except Exception:
        log.exception("the model %s could not be started", name)
        return Wording(name, None, "failed")


def badge(language: str) -> str:
    """One sentence: who words the text."""
    who = wording()
    if who.model is not None:
        return say(language, "badge_model", name=who.name)
    if not who.why:
        return say(language, "badge_guide")
    kind, _, package = who.why.partition(" ")
    why = say(language, "why_extra", package=package) if kind == "package" else say(language, "why_failed")
    return say(language, "badge_missing", why=why)


def only_exhibits() -> bool:
    """Whether only the shipped models may be opened: on a public page, or where it is asked for."""
    return bool(os.environ.get("SPACE_ID")) or os.environ.get("WHOSE_WEIGHTS_ONLY_EXHIBITS", "") == "1"


def allowed(name: str) -> bool:
    """Whether this model may be opened. Locally every path; on a public page only folders under exhibits/."""
    if not only_exhibits():
        return True
    if ".." in Path(name.replace("\\", "/")).parts:
        return False
    try:
        path = Path(name).resolve()
        return path.is_relative_to(EXHIBITS.resolve()) and path != EXHIBITS.resolve() and path.exists()
    except (OSError, ValueError, RuntimeError):
        return False


def shelf() -> Shelf:
    """The shipped models by exhibit and role, and whether a path exists where it may be opened."""
    return Shelf(_exhibits(), _exists)


def _exists(name: str) -> bool:
    try:
        return allowed(name) and Path(name).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


def _exhibits() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    if EXHIBITS.is_dir():
        for story in sorted(EXHIBITS.glob("*/story.json")):
            models = {
                folder.name: f"exhibits/{story.parent.name}/{folder.name}"
                for folder in sorted(story.parent.iterdir())
                if folder.is_dir() and any((folder / file).exists() for file in ("config.json", "model.safetensors"))
            }
            if models:
                found[story.parent.name] = models
    return found


def main_pair() -> tuple[str, str]:
    """The two models that every example of a question names: the first pair of the first story, else a placeholder."""
    for story in sorted(EXHIBITS.glob("*/story.json")) if EXHIBITS.is_dir() else ():
        try:
            pair = json.loads(story.read_text(encoding="utf-8"))["pairs"][0]
            return str(pair["a"]), str(pair["b"])
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            log.exception("cannot read the story in %s", story.parent.name)
    return "./model_x", "./model_y"
