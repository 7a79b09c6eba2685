"""Prose with citation marks in the form that is asked of a language model: for scripted models."""

from __future__ import annotations

import json
import re


def as_explanation(prose: str, stance: str = "supports") -> str:
    """Each piece of prose up to its marks like [E1][K2] as one sentence of an explanation."""
    pieces = re.findall(r"([^\[]+)((?:\[\w+\]\s*)*)", prose)
    sentences = [
        {"text": text.strip(), "cites": re.findall(r"\[(\w+)\]", marks), "stance": stance}
        for text, marks in pieces
        if text.strip()
    ]
    return json.dumps({"sentences": sentences}, ensure_ascii=False)
