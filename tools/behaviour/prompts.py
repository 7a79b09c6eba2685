"""The prompts shipped with the tool, and how a tokenizer cuts them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

PROMPTS = Path(__file__).parent / "prompts.json"
#: Characters of the continuation that count as the answer: about a word.
WINDOW = {"en": 6, "zh": 2}
#: Pieces a model may add to a prompt: enough for these windows in every tokenizer in use.
MOST_PIECES = 8


@dataclass(frozen=True)
class Item:
    """A prompt, the text that goes on with it, and how many characters of a continuation are compared."""

    language: str
    kind: str
    prompt: str
    answer: str

    @property
    def window(self) -> int:
        return max(len(self.answer), WINDOW[self.language])


@lru_cache(maxsize=1)
def items() -> tuple[Item, ...]:
    """The prompts shipped with the tool."""
    rows = json.loads(PROMPTS.read_text(encoding="utf-8"))
    return tuple(Item(**row) for row in rows)


def pieces_of(tokenizer: Any, text: str) -> list[int]:
    """The prompt as the model expects it, without an end mark that would stop it from going on."""
    encoded = tokenizer.encode(text)
    ids = list(encoded.ids)
    while len(ids) > 1 and encoded.special_tokens_mask[len(ids) - 1]:
        ids.pop()
    return ids or [0]  # a prompt that leaves nothing over still needs a place to go on from


def same_pieces(a: Any, b: Any) -> bool:
    """True where both tokenizers number pieces alike (added marks aside) and cut every prompt alike."""
    if a.get_vocab_size(with_added_tokens=True) != b.get_vocab_size(with_added_tokens=True):
        return False
    marks = set(a.get_added_tokens_decoder()) | set(b.get_added_tokens_decoder())
    vocabulary_a, vocabulary_b = (
        {index: piece for piece, index in tokenizer.get_vocab(with_added_tokens=True).items() if index not in marks}
        for tokenizer in (a, b)
    )
    return vocabulary_a == vocabulary_b and all(
        pieces_of(a, item.prompt) == pieces_of(b, item.prompt) for item in items()
    )
