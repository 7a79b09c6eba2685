"""What the names of tensors tell: their role, the layer and the part of a model that they lie in."""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from pathlib import Path

# Parts of a model with a residual stream of their own.
TOWERS = ("vision", "audio")


@lru_cache(maxsize=1)
def name_patterns() -> dict[str, re.Pattern[str]]:
    """Role -> pattern over tensor names, from architectures/names.toml."""
    text = (Path(__file__).parent / "architectures" / "names.toml").read_text(encoding="utf-8")
    return {role: re.compile("|".join(parts)) for role, parts in tomllib.loads(text)["roles"].items()}


def has_role(name: str, role: str) -> bool:
    return name_patterns()[role].search(name) is not None


def in_tower(name: str) -> bool:
    """Whether a part that sees or hears holds the tensor: its residual stream is its own, even where it is as wide."""
    return any(has_role(name, part) for part in TOWERS)


def layer_of(name: str) -> int | None:
    """The first whole number in a dotted name: the layer, in every naming scheme in use."""
    numbers = re.findall(r"(?<![a-zA-Z0-9])(\d+)(?![a-zA-Z0-9])", name)
    return int(numbers[0]) if numbers else None


def block_of(name: str) -> str | None:
    """The name up to its last whole number: `layers.0`, `layers.0.experts.3`; None where there is no number.

    In `layers.0.wi_1.weight` the last number only tells two matrices of a layer apart.
    """
    found = list(re.finditer(r"(?<![a-zA-Z0-9])\d+(?![a-zA-Z0-9])", name))
    if len(found) > 1 and re.search(r"\b(?:wi|layer|linear|lin|fc|dense|conv)_\d+(?:\.(?:weight|bias))?$", name):
        found.pop()
    return name[: found[-1].end()] if found else None


def outermost(name: str) -> str | None:
    """The name up to its first whole number, the outermost layer it lies in; None where there is no number."""
    found = re.search(r"(?<![a-zA-Z0-9])\d+(?![a-zA-Z0-9])", name)
    return None if found is None else name[: found.end()]
