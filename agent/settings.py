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
from tools.sources import named_parts

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

log = logging.getLogger(__name__)

EXHIBITS = Path(__file__).resolve().parent.parent / "exhibits"


@dataclass(frozen=True)
class Wording:
    """Who words the text: `model` None means the guide; `why` says in a word why a set model is not used."""

    name: str = "guide"
    model: BaseChatModel | None = None
    why: str = ""


def wording() -> Wording:
    """The model that AGENT_MODEL names, else the guide; never raises.

    "openai:NAME" for any server of that protocol at AGENT_BASE_URL, "ollama:NAME", "huggingface:OWNER/NAME", or
    "local:FOLDER". AGENT_API_KEY is the key; for Hugging Face, HF_TOKEN is taken where it is not set.
    """
    name = os.environ.get("AGENT_MODEL", "").strip()
    if name in ("", "guide"):
        return Wording()
    key = os.environ.get("AGENT_API_KEY", "")
    if name.startswith("huggingface:"):
        key = key or os.environ.get("HF_TOKEN", "")
    return _real_model(name, os.environ.get("AGENT_BASE_URL", ""), key)


@lru_cache(maxsize=4)
def _real_model(name: str, base_url: str, key: str) -> Wording:
    from agent.language_models import PACKAGES, language_model

    provider, _, model = name.partition(":")
    try:
        return Wording(name, language_model(provider, model, base_url, key))
    except ImportError:
        return Wording(name, None, f"package {PACKAGES.get(provider, 'transformers')}")
    except Exception as broken:
        # The message of a library may quote the key.
        log.warning("the model %s could not be started: %s", name, type(broken).__name__)
        return Wording(name, None, "failed")


def badge(language: str) -> str:
    """One sentence: who words the text."""
    who = wording()
    if who.model is not None:
        shown = Path(who.name.partition(":")[2]).name if who.name.startswith("local:") else who.name
        return say(language, "badge_model", name=shown)
    if not who.why:
        return say(language, "badge_guide")
    kind, _, package = who.why.partition(" ")
    why = say(language, "why_extra", package=package) if kind == "package" else say(language, "why_failed")
    return say(language, "badge_missing", why=why)


def only_exhibits() -> bool:
    """Whether only the shipped models may be opened: on a public page, or where it is asked for."""
    return bool(os.environ.get("SPACE_ID")) or os.environ.get("WHOSE_WEIGHTS_ONLY_EXHIBITS", "") == "1"


def allowed(name: str) -> bool:
    """Whether this model may be opened. Locally every path; on a public page only folders under exhibits/.

    Of BASE+ADAPTER each must be allowed.
    """
    return not only_exhibits() or all(map(_is_exhibit, named_parts(name)))


def _is_exhibit(name: str) -> bool:
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
        return allowed(name) and all(Path(part).expanduser().exists() for part in named_parts(name))
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
