"""Python code seen as what it does rather than how it is written: fingerprints of its normalised syntax trees.

Names that an author chooses, comments, strings, layout and type hints leave no trace; names of a framework reached
through an import do, under whatever alias. Each function is read by itself, so the order of functions does not matter.
Code comes from strangers: it is parsed under limits and never run.
"""

from __future__ import annotations

import ast
import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

# The longest modelling file in use has 400 kB.
LARGEST_FILE = 1_000_000
FRAMEWORK_CODE = Path(__file__).parent / "architectures" / "framework_code.npy"
# Nodes of one fingerprint, and consecutive ones of which one is kept: a match of 44 nodes, some six lines, is found.
NODES, WINDOW = 25, 20
# Names that only make code readable for people or checkers.
_SILENT = (ast.Load, ast.Store, ast.Del, ast.Pass)


class Unreadable(Exception):
    """This text is no Python code within the limits."""


@dataclass(frozen=True)
class Fingerprint:
    """A hash of NODES syntax nodes in a row, the function they stand in and their first and last line."""

    value: int
    function: int
    place: int
    first: int
    last: int


def fingerprints(text: bytes) -> list[Fingerprint]:
    """The winnowed fingerprints of every function and of the code between them (Schleimer, Wilkerson, Aiken, 2003).

    Raises Unreadable for text that is too long, too deep or no Python.
    """
    if len(text) > LARGEST_FILE:
        raise Unreadable
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise Unreadable from None
    names = _imported(tree)
    found: list[Fingerprint] = []
    for number, part in enumerate(_parts(tree)):
        nodes = list(_nodes(part, names))
        found += _winnowed(number, nodes)
    return found


@lru_cache(maxsize=1)
def framework() -> np.ndarray:
    """The sorted fingerprints of the framework's own code, (count,), uint32; made by benchmarks/boilerplate.py."""
    values: np.ndarray = np.load(FRAMEWORK_CODE, allow_pickle=False)
    return values


def in_framework(found: Sequence[Fingerprint]) -> np.ndarray:
    """Which of the fingerprints the framework's own code has too, (count,), bool."""
    known = framework()
    values = np.array([fingerprint.value for fingerprint in found], dtype=np.uint32)
    places = np.minimum(np.searchsorted(known, values), max(len(known) - 1, 0))
    same: np.ndarray = known[places] == values
    return same


def _imported(tree: ast.Module) -> dict[str, str]:
    """Alias -> full name of what is imported from elsewhere; the author's own modules are left out."""
    names: dict[str, str] = {}
    for node in _walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                full = alias.name if alias.asname else alias.name.partition(".")[0]
                names[alias.asname or full] = full
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _walk(tree: ast.AST) -> Iterator[ast.AST]:
    waiting = deque([tree])
    while waiting:
        node = waiting.popleft()
        waiting.extend(ast.iter_child_nodes(node))
        yield node


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _parts(tree: ast.Module) -> Iterator[Sequence[ast.AST]]:
    """What is fingerprinted by itself: every function, and what a module or class says outside of functions."""
    for node in _walk(tree):
        if isinstance(node, _FUNCTIONS):
            yield [node.args, *_statements(node.body)]
        elif isinstance(node, (ast.Module, ast.ClassDef)):
            yield [n for n in _statements(node.body) if not isinstance(n, (ast.Import, ast.ImportFrom))]


def _statements(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Statements that do something: no text that stands alone."""
    return [n for n in body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]


def _nodes(part: Sequence[ast.AST], names: dict[str, str]) -> Iterator[tuple[str, int]]:
    """(what a node is, its line) in the order of the source; functions and classes inside are left to themselves."""
    waiting: list[tuple[ast.AST, int]] = [(node, getattr(node, "lineno", 0)) for node in reversed(part)]
    while waiting:
        node, above = waiting.pop()
        line = getattr(node, "lineno", above)
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef, *_SILENT)):
            continue
        if isinstance(node, ast.AnnAssign):
            if node.value is None:
                continue
            node = ast.Assign(targets=[node.target], value=node.value, lineno=line)
        full = _full_name(node, names)
        if full is not None:
            yield full, line
            continue
        if isinstance(node, ast.Constant):
            yield "text" if isinstance(node.value, (str, bytes)) else repr(node.value)[:40], line
            continue
        yield type(node).__name__, line
        children = [child for name, child in _children(node) if name not in ("annotation", "returns", "decorator_list")]
        waiting += [(child, line) for child in reversed(children)]


def _children(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for name, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            yield name, value
        elif isinstance(value, list):
            yield from ((name, item) for item in value if isinstance(item, ast.AST))


def _full_name(node: ast.AST, names: dict[str, str]) -> str | None:
    """The full name of something imported (`nn.Linear` is torch.nn.Linear); None for what the author named."""
    ends: list[str] = []
    while isinstance(node, ast.Attribute):
        ends.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in names:
        return None
    return ".".join([names[node.id], *reversed(ends)])


def _winnowed(function: int, nodes: Sequence[tuple[str, int]]) -> Iterator[Fingerprint]:
    """Of every WINDOW hashes in a row the smallest, the last of equal ones; of a short function all there is."""
    if len(nodes) < NODES:
        return
    hashes = _rolled(np.array([_word(word) for word, _ in nodes], dtype=np.uint64))
    last = -1
    for start in range(max(1, len(hashes) - WINDOW + 1)):
        window = hashes[start : start + WINDOW]
        place = start + len(window) - 1 - int(np.argmin(window[::-1]))
        if place != last:
            last = place
            lines = [line for _, line in nodes[place : place + NODES] if line]
            yield Fingerprint(int(hashes[place]), function, place, min(lines, default=0), max(lines, default=0))


@lru_cache(maxsize=4096)
def _word(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest())


def _rolled(words: np.ndarray) -> np.ndarray:
    """A hash of every NODES words in a row, (count,), uint32."""
    total = np.zeros(len(words) - NODES + 1, dtype=np.uint64)
    for place in range(NODES):
        total = total * np.uint64(0x9E3779B97F4A7C15) + words[place : place + len(total)]
    total ^= total >> np.uint64(29)
    mixed: np.ndarray = (total * np.uint64(0xBF58476D1CE4E5B9)) >> np.uint64(32)
    return mixed.astype(np.uint32)
