"""What a tokenizer's files say: its tokens, their numbers, merges and added tokens. Read as data, never run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from tools.checkpoint import Checkpoint

# Tokens that anchor one model's coordinates to the other's: enough for a stable matching of a few thousand units.
TOKENS_READ = 2048


@dataclass(frozen=True)
class Vocabulary:
    """Tokens and their row numbers; merges in order; tokens added by hand, and those of them that steer the model."""

    ids: dict[str, int]
    merges: tuple[str, ...]
    added: frozenset[str]
    special: frozenset[str] = frozenset()


def read_vocabularies(a: Checkpoint, b: Checkpoint) -> tuple[Vocabulary | None, Vocabulary | None]:
    """The vocabularies of two models; a tokenizer.json that both have is parsed once."""
    parsed: dict[bytes, Vocabulary | None] = {}
    return read_vocabulary(a, parsed), read_vocabulary(b, parsed)


def read_vocabulary(checkpoint: Checkpoint, parsed: dict[bytes, Vocabulary | None]) -> Vocabulary | None:
    """The vocabulary beside the weights (tokenizer.json, vocab.json with merges.txt, vocab.txt); None without.

    `parsed` holds what other models' tokenizer.json said, by their bytes.
    """
    if text := checkpoint.side_file("tokenizer.json"):
        if text not in parsed:
            parsed[text] = parse_tokenizer_json(text)
        return parsed[text]
    if text := checkpoint.side_file("vocab.json"):
        added = checkpoint.side_file("added_tokens.json") or b"{}"
        special = checkpoint.side_file("special_tokens_map.json") or b"{}"
        return parse_vocab_json(text, checkpoint.side_file("merges.txt"), added, special)
    if text := checkpoint.side_file("vocab.txt"):
        lines = text.decode("utf-8", "replace").splitlines()
        return Vocabulary({token: number for number, token in enumerate(lines)}, (), frozenset())
    return None


def parse_tokenizer_json(text: bytes) -> Vocabulary | None:
    """A `tokenizers` file: BPE and WordPiece hold a table token -> id, Unigram a list; None where it holds neither."""
    document = _json_object(text)
    model = document.get("model")
    if not isinstance(model, dict):
        return None
    table = model.get("vocab")
    ids: dict[str, int] = {}
    if isinstance(table, dict):
        ids = _ids(table)
    elif isinstance(table, list):
        ids = {str(row[0]): number for number, row in enumerate(table) if isinstance(row, list) and row}
    added = document.get("added_tokens")
    tokens = [
        token
        for token in (added if isinstance(added, list) else [])
        if isinstance(token, dict) and isinstance(token.get("id"), int) and token["id"] >= 0 and "content" in token
    ]
    extra = {str(token["content"]): token["id"] for token in tokens}
    special = frozenset(str(token["content"]) for token in tokens if token.get("special") is True)
    ids = {**ids, **extra}
    merges = model.get("merges")
    pairs = merges if isinstance(merges, list) else []
    joined = tuple(" ".join(map(str, m)) if isinstance(m, list) else str(m) for m in pairs)
    return Vocabulary(ids, joined, frozenset(extra), special) if ids else None


def parse_vocab_json(
    text: bytes, merges: bytes | None, added: bytes = b"{}", special: bytes = b"{}"
) -> Vocabulary | None:
    """GPT-2's files: a table token -> id, merges one per line under a version comment, added and special tokens."""
    extra = _ids(_json_object(added))
    ids = {**_ids(_json_object(text)), **extra}
    lines = merges.decode("utf-8", "replace").splitlines() if merges else []
    kept = tuple(line for line in lines if line and not line.startswith("#version"))
    return Vocabulary(ids, kept, frozenset(extra), _special(special) & ids.keys()) if ids else None


def _special(text: bytes) -> frozenset[str]:
    """The tokens of a special_tokens_map: each a text, an object with `content`, or a list of these."""
    found = []
    for value in _json_object(text).values():
        for entry in value if isinstance(value, list) else [value]:
            content = entry.get("content") if isinstance(entry, dict) else entry
            if isinstance(content, str):
                found.append(content)
    return frozenset(found)


def _ids(table: dict[str, Any]) -> dict[str, int]:
    if {*map(type, table.values())} == {int} and min(table.values()) >= 0:
        return table
    return {token: number for token, number in table.items() if isinstance(number, int) and number >= 0}


def _json_object(text: bytes) -> dict[str, object]:
    try:
        document = orjson.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
