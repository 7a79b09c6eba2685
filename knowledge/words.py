"""Search by words alone: BM25 over English stems, Chinese characters and pairs of them."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from knowledge.chinese import folded
from knowledge.reading import Language

# As in Robertson and Zaragoza, The Probabilistic Relevance Framework (2009); the usual values.
SATURATION = 1.2
LENGTH = 0.75

_WORD = re.compile(r"[a-z0-9][a-z0-9.\-]*")
_CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]+")
_EMPTY = frozenset(
    _WORD.findall(
        """a about all also an and any are as at be been but by can could did do does doesn don explain for
        from get had has have how i if in into is isn it its just me mean means more my no not of on one or
        other our out please really s say says should so some t tell than that the their them then there they
        this to us was we were what when which who whose why will with word words would you your"""
    )
)
_EMPTY_CHINESE = frozenset(
    "的了吗呢吧啊是在我你他她它们这那和与或也都就还要会能可有没不个么什怎样为到被把让给用对说请问一下几"
)
_QUESTION_WORDS = frozenset(_WORD.findall("what how why is are does do can the which who mean"))


def plain(text: str) -> str:
    """Lower case, full-width letters and digits made ordinary, Chinese folded."""
    return folded(unicodedata.normalize("NFKC", text).lower())


def language_of(question: str) -> Language:
    """zh where Chinese characters outweigh the English question words around them, else en."""
    text = plain(question)
    chinese = sum(len(run) for run in _CHINESE.findall(text))
    english = sum(word in _QUESTION_WORDS for word in _WORD.findall(text))
    return "zh" if chinese > 2 * english else "en"


def stem(word: str) -> str:
    """A crude stem, enough to join quantised, quantization and quantising; not for print."""
    word = word.replace("iz", "is").replace("license", "licence")
    for ending in ("isation", "ising", "ised", "ise", "ation", "ing", "ies", "ed", "es", "s", "y", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def tokens(text: str) -> list[str]:
    """Stems of English words and of their hyphenated parts; Chinese characters and neighbouring pairs."""
    text = plain(text)
    found: list[str] = []
    for word in _WORD.findall(text):
        word = word.strip(".-")
        for part in dict.fromkeys([word, *re.split(r"[.\-]", word)]):
            if part not in _EMPTY and (len(part) > 1 or part.isdigit()):
                found.append(stem(part))
    for run in _CHINESE.findall(text):
        found.extend(character for character in run if character not in _EMPTY_CHINESE)
        found.extend(a + b for a, b in pairwise(run) if not {a, b} & _EMPTY_CHINESE)
    return found


class WordIndex:
    """BM25 over texts in a fixed order."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._counts = [Counter(tokens(text)) for text in texts]
        self._lengths = [sum(counts.values()) for counts in self._counts]
        self._mean_length = sum(self._lengths) / max(len(self._lengths), 1) or 1.0
        holding = Counter(token for counts in self._counts for token in counts)
        size = len(self._counts)
        self._rarity = {token: math.log(1 + (size - n + 0.5) / (n + 0.5)) for token, n in holding.items()}
        self._unknown = math.log(1 + (size + 0.5) / 0.5)
        self._where: dict[str, list[int]] = {}
        for number, counts in enumerate(self._counts):
            for token in counts:
                self._where.setdefault(token, []).append(number)

    def scores(self, question: str) -> dict[int, float]:
        """BM25 of each text that shares a token with the question, by the text's number."""
        found: dict[int, float] = {}
        for token in dict.fromkeys(tokens(question)):
            for number in self._where.get(token, ()):
                count = self._counts[number][token]
                length = 1 - LENGTH + LENGTH * self._lengths[number] / self._mean_length
                gain = self._rarity[token] * count * (SATURATION + 1) / (count + SATURATION * length)
                found[number] = found.get(number, 0.0) + gain
        return found

    def coverage(self, question: str, numbers: Sequence[int]) -> float:
        """Share of the question, weighted by rarity, that the texts with these numbers hold between them.

        A single Chinese character says too little to count; pairs do.
        """
        asked = dict.fromkeys(token for token in tokens(question) if len(token) > 1)
        weight = {token: self._rarity.get(token, self._unknown) for token in asked}
        if not weight:
            return 0.0
        held = (token for token in asked if any(token in self._counts[number] for number in numbers))
        return sum(weight[token] for token in held) / sum(weight.values())
