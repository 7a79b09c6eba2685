"""Which kind of request a message is, learned from the labelled examples: a ridge regression on words and characters.

Words, pairs of words and runs of three or four letters for English; runs of one to three characters for Chinese; in
both languages the concepts of `concepts.txt` and each two of them, so that a word which no example has is heard like
those that mean the same; each also together with the stage of the conversation. What the rules found is one more
feature, learned only from examples that the rules were not written with. Reference: Rifkin, Yeo and Poggio,
Regularized least-squares classification, 2003.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# Chosen by four-fold cross-validation on the examples that the rules were not written with; see decision 0050.
RIDGE = 0.1
WITH_STAGE = 0.7
STAGE = 0.4
RULE = 0.4
# A concept beside a run of characters; two concepts together count once (decision 0099).
CONCEPT = 2.0
STEPS = 40


@dataclass(frozen=True)
class Sample:
    """What the classifier sees of a message: its text with MODEL for each name, the stage of the conversation, how many
    models are named (2 for more), and the kind that the rules found; "" where that is not to be learned from."""

    text: str
    stage: str
    names: int
    rule: str


class Classifier:
    """Scores of every kind for a sample; about 1 for the kind that is plainly meant, about 0 for others."""

    def __init__(self, samples: Sequence[Sample], kinds: Sequence[str]) -> None:
        """Fit to labelled samples: one second for four thousand, always with the same outcome."""
        import numpy as np

        self.kinds = tuple(sorted(set(kinds)))
        self._places: dict[str, int] = {}
        counts = [_features(sample) for sample in samples]
        for count in counts:
            for feature in count:
                self._places.setdefault(feature, len(self._places))
        seen = np.zeros(len(self._places))
        for count in counts:
            seen[[self._places[feature] for feature in count]] += 1
        self._rarity = np.log((1 + len(samples)) / (1 + seen)) + 1
        design = self._matrix(samples, counts)
        wanted = np.zeros((len(samples), len(self.kinds)))
        wanted[range(len(samples)), [self.kinds.index(kind) for kind in kinds]] = 1
        self._weights = _ridge(design, wanted, RIDGE, STEPS)

    def scores(self, sample: Sample) -> Mapping[str, float]:
        """How much each kind is meant."""
        row = self._matrix([sample], [_features(sample)])
        return dict(zip(self.kinds, (row @ self._weights)[0].tolist(), strict=True))

    def _matrix(self, samples: Sequence[Sample], counts: Sequence[Mapping[str, float]]) -> Any:
        """The features of each sample, its words as a vector of length one."""
        import numpy as np
        from scipy import sparse

        rows: list[int] = []
        columns: list[int] = []
        values: list[float] = []
        for number, (sample, count) in enumerate(zip(samples, counts, strict=True)):
            known = [(self._places[feature], weight) for feature, weight in count.items() if feature in self._places]
            told = [(place, weight * self._rarity[place]) for place, weight in known]
            length = float(np.sqrt(sum(value * value for _, value in told))) or 1.0
            told = [(place, value / length) for place, value in told]
            told += self._circumstances(sample)
            rows += [number] * len(told)
            columns += [place for place, _ in told]
            values += [value for _, value in told]
        width = len(self._places) + len(_STAGES) * 3 + len(self.kinds) + 1
        return sparse.csr_matrix((values, (rows, columns)), shape=(len(samples), width))

    def _circumstances(self, sample: Sample) -> list[tuple[int, float]]:
        """The stage with the number of names, and what the rules found."""
        start = len(self._places)
        places = [(start + _STAGES.index(sample.stage) * 3 + min(sample.names, 2), STAGE)]
        if sample.rule:
            kind = self.kinds.index(sample.rule) if sample.rule in self.kinds else len(self.kinds)
            places.append((start + len(_STAGES) * 3 + kind, RULE))
        return places


_STAGES = ("new", "result", "asked")
_CONCEPTS = Path(__file__).parent / "concepts.txt"


@cache
def _concepts() -> tuple[re.Pattern[str], Mapping[str, tuple[str, ...]]]:
    """A pattern that finds every word of the concepts, and what each word stands for."""
    stands: dict[str, list[str]] = {}
    chinese: list[str] = []
    latin: list[str] = []
    for line in _CONCEPTS.read_text(encoding="utf-8").splitlines():
        name, _, words = line.partition(": ")
        for word in words.replace("|", " ").split():
            stands.setdefault(word, []).append(name)
            (latin if word.isascii() else chinese).append(word)
    either = [f"(?<![a-z])(?:{_longest_first(latin)})", _longest_first(chinese)]
    return re.compile(f"(?=({'|'.join(either)}))"), {word: tuple(names) for word, names in stands.items()}


def _longest_first(words: Sequence[str]) -> str:
    return "|".join(map(re.escape, sorted(set(words), key=len, reverse=True)))


def _meant(text: str) -> list[str]:
    """The concepts of a text, and each two of them."""
    pattern, stands = _concepts()
    names = sorted({name for match in pattern.finditer(text) for name in stands[match[1]]})
    return [*(f"k{name}" for name in names), *(f"k{one}+{two}" for one, two in combinations(names, 2))]


def _features(sample: Sample) -> dict[str, float]:
    """The words and runs of a sample with the logarithm of how often they occur, each also with the stage."""
    text = sample.text.lower()
    found: list[str] = []
    for run in re.findall(r"[\u3400-\u9fff\x02]+", re.sub(r"\s", "", sample.text.replace("MODEL", "\x02"))):
        marked = f"^{run}$"
        found += [f"z{marked[at : at + n]}" for n in (1, 2, 3) for at in range(len(marked) - n + 1)]
    words = re.findall(r"[a-z0-9']+", text)
    found += [f"w{word}" for word in words]
    found += [f"b{one} {two}" for one, two in zip(["^", *words], [*words, "$"], strict=True)]
    for word in words:
        spaced = f" {word} "
        found += [f"c{spaced[at : at + n]}" for n in (3, 4) for at in range(len(spaced) - n + 1)]
    found += _meant(text)
    counted: dict[str, float] = {}
    for feature, count in Counter(found).items():
        weight = (1 + math.log(count)) * (CONCEPT if feature[0] == "k" and "+" not in feature else 1)
        counted[feature] = weight
        counted[f"{sample.stage}{sample.names}{feature}"] = WITH_STAGE * weight
    return counted


def _ridge(design: Any, wanted: Array, ridge: float, steps: int) -> Array:
    """Weights that minimise |design @ weights - wanted|^2 + ridge |weights|^2, by conjugate gradients."""
    import numpy as np

    weights = np.zeros((design.shape[1], wanted.shape[1]))
    residual = design.T @ wanted
    direction = residual.copy()
    size = (residual**2).sum(axis=0)
    for _ in range(steps):
        image = design.T @ (design @ direction) + ridge * direction
        step = size / np.maximum((direction * image).sum(axis=0), 1e-12)
        weights += step * direction
        residual -= step * image
        new = (residual**2).sum(axis=0)
        direction = residual + new / np.maximum(size, 1e-12) * direction
        size = new
    return weights
