"""The models that are shipped, and how people call them: 'the suspect', where one model alone can be meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.cues import PLACE, cue, place, role


@dataclass(frozen=True)
class Shelf:
    """The exhibits that are shipped, {exhibit: {role: path}}, and whether a path exists on this computer."""

    exhibits: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    exists: Callable[[str], bool] = lambda name: False

    def home_of(self, path: str) -> str | None:
        """The exhibit that a path belongs to."""
        return next((name for name, models in self.exhibits.items() if path in models.values()), None)

    def siblings(self, path: str) -> tuple[str, ...]:
        """The other models of the exhibit that a path belongs to."""
        home = self.home_of(path)
        return () if home is None else tuple(model for model in self.exhibits[home].values() if model != path)


@dataclass(frozen=True)
class Called:
    """A text with shipped models in the place of what they were called; `unclear`: models that one word could mean."""

    masked: str
    names: tuple[str, ...]
    exhibit: str | None = None
    unclear: tuple[str, ...] = ()


# Such words mean the shipped model only where the talk is of the exhibits anyway.
_ORDINARY_WORDS = frozenset(("original", "base"))


def find_shipped(masked: str, named: Sequence[str], shelf: Shelf, recent: str | None, bare: bool = False) -> Called:
    """Replace 'the suspect' and its like. `recent`: the exhibit that the conversation was about.

    `bare`: a folder of that exhibit may also be called by its name alone.
    """
    names = list(named)
    beside = next((name for name, models in shelf.exhibits.items() if _mentions_beside(name, [*models], masked)), None)
    mentioned = beside or next((name for name in shelf.exhibits if _mentions(name, masked)), None)
    bare = bare or beside is not None
    context = mentioned or next((home for home in map(shelf.home_of, names) if home), None) or recent
    exhibit, unclear = mentioned, tuple[str, ...]()
    suspected = _named_so("suspect", masked, bare) is not None
    for word in sorted({word for models in shelf.exhibits.values() for word in models}, key=lambda w: (-len(w), w)):
        match = _named_so(word, masked, bare)
        homes = [name for name, models in shelf.exhibits.items() if word in models]
        if match is None or (word in _ORDINARY_WORDS and not context and not suspected):
            continue
        home = context if context in homes else homes[0] if len(homes) == 1 else None
        if home is None:
            unclear = tuple(shelf.exhibits[name][word] for name in homes)
            continue
        path, exhibit = shelf.exhibits[home][word], exhibit or home
        if path not in names:
            names.append(path)
        masked = f"{masked[: match.start()]} {place(names.index(path))} {masked[match.end() :]}"
    masked, names = _in_order(re.sub(r"[ \t]+", " ", masked).strip(), names)
    return Called(masked, tuple(names), exhibit or (context if names else None), unclear)


def _mentions(exhibit: str, masked: str) -> bool:
    """Whether an exhibit is named as one: 'the llama3v example', '展品 llama3v'."""
    for match in re.finditer(rf"(?<![\w/-]){re.escape(exhibit)}(?![\w/-])", masked, re.I | re.A):
        around = masked[max(0, match.start() - 10) : match.start()], masked[match.end() : match.end() + 10]
        if any(cue("an_exhibit").search(text) for text in around):
            return True
    return False


def _mentions_beside(exhibit: str, words: Sequence[str], masked: str) -> bool:
    """Whether one of its models is named beside an exhibit: 'the llama3v suspect', 'llama3v的suspect'."""
    of_it = rf"(?<![\w/-]){re.escape(exhibit)}"
    model = rf"(?:{'|'.join(map(re.escape, words))})(?![\w/-])"
    ahead = rf"{of_it}(?:'s)?[ /:：]*(?:(?:里|中)(?:面)?)?(?:的|那个|这个)*[ ]?{model}"
    behind = rf"(?<![\w/-]){model}(?: models?)? (?:in|of|from|under|inside) (?:the )?{of_it}(?![\w/-])"
    if re.search(rf"{ahead}|{behind}", masked, re.I | re.A) is None:
        return False
    called = {word for word in words if re.search(rf"(?<![\w/-]){re.escape(word)}(?![\w/-])", masked, re.I | re.A)}
    return len(called) > 1 or not called <= _ORDINARY_WORDS


def _named_so(word: str, masked: str, bare: bool) -> re.Match[str] | None:
    """Where the shipped model of this folder name is spoken of."""
    spoken = next((m for m in role(word).finditer(masked) if _stands_alone(m, masked)), None)
    if spoken is None and bare:
        return re.search(rf"(?<![\w/.-]){re.escape(word)}(?![\w/-])", masked, re.IGNORECASE | re.ASCII)
    return spoken


def _stands_alone(match: re.Match[str], masked: str) -> bool:
    before, after = masked[: match.start()], masked[match.end() :]
    return not cue("not_a_role_before").search(before) and not cue("not_a_role_after").search(after)


def _in_order(masked: str, names: list[str]) -> tuple[str, list[str]]:
    """Number the names by where they stand in the sentence."""
    order = list(dict.fromkeys(int(found.strip("\x02")) for found in re.findall(PLACE, masked)))
    order += [number for number in range(len(names)) if number not in order]
    renumbered = re.sub(PLACE, lambda match: place(order.index(int(match[0].strip("\x02")))), masked)
    return renumbered, [names[number] for number in order]
