"""A small shelf of real articles, and a stand-in for the embedder that needs no weights."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from knowledge.reading import ARTICLES, LANGUAGES
from knowledge.words import tokens

SHELF = ("case-solar", "cosine-similarity", "fine-tuning", "lora", "p-values", "quantisation")


class HashedWords:
    """Vectors from hashed word stems: the same words, the same direction."""

    languages = ("en",)
    calibrated = True

    def __init__(self, identity: str = "hashed words") -> None:
        self.identity = identity
        self.sentences = 0

    def embed(self, sentences: Sequence[str], kind: str = "question") -> np.ndarray:
        self.sentences += len(sentences)
        vectors = np.full((len(sentences), 64), 1e-3, np.float32)
        for vector, sentence in zip(vectors, sentences, strict=True):
            for token in tokens(sentence):
                vector[int(hashlib.sha256(token.encode()).hexdigest(), 16) % 64] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def hashed_words() -> HashedWords:
    return HashedWords()


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder with six of our articles in both languages."""
    for language in LANGUAGES:
        (tmp_path / "shelf" / language).mkdir(parents=True)
        for topic in SHELF:
            name = f"{language}/{topic}.md"
            shutil.copy(ARTICLES / name, tmp_path / "shelf" / name)
    return tmp_path / "shelf"
