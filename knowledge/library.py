"""The article search: a Chroma store of English passages by meaning, an index by words in either language.

Chinese never goes into the English model. A Chinese question is looked up by its characters among the Chinese
twins; a glossary turns the terms it knows into English, and these are looked up by meaning.
"""

from __future__ import annotations

import csv
import hashlib
import logging
import os
import re
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from knowledge.embedder import Kind, NoEmbedder, chosen
from knowledge.reading import ARTICLES, LANGUAGES, Article, Language, read_articles
from knowledge.words import WordIndex, language_of, plain

GLOSSARY = Path(__file__).parent / "glossary.csv"
CACHE_VARIABLE = "WHOSE_WEIGHTS_CACHE"
COLLECTION = "articles"
LAYOUT = "2"  # raise it when passages are cut or stored in another way, so that old indexes are left alone
KEPT_DAYS = 30  # an index not opened for so long belongs to articles that nobody has any more
NEAREST = 60  # passages asked of the store; enough that every topic that matters is among them

# How much a vote by words weighs beside a cosine. Chosen on 218 questions of our own (docs/decisions/0056), where the
# optimum is flat: meaning is the better judge, though in Chinese it sees the known terms only.
WORDS_WEIGHT: dict[Language, float] = {"en": 0.3, "zh": 0.4}

# Below its floor a question is not covered. Set between benchmarks/off_topic.csv (weather, recipes, football)
# and the paraphrases; a cosine alone would take a museum's opening hours for open weights.
MEANING_FLOOR = 0.46
WORDS_ADD = 0.2
PLENTY: dict[Language, float] = {"en": 20.0, "zh": 40.0}  # BM25 of a question that shares much with a passage
WORDS_FLOOR: dict[Language, float] = {"en": 0.25, "zh": 0.5}
SOME: dict[Language, float] = {"en": 12.0, "zh": 8.0}  # BM25 that one rare word alone does not reach
TERM_ADD = 0.3  # a Chinese question that names a term of the field is mostly on topic
SURE: dict[Language, float] = {"en": 30.0, "zh": 22.0}  # BM25 that covers a question whatever its meaning seems to be
KEEP = 0.5  # of the best topic's votes; what has less is about something else

_FINE_TUNING = re.compile(r"\bfine ?tun(?=[ei])", re.IGNORECASE)  # as the articles spell it

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Passage:
    """What an article says to a question: plain Markdown, the article's own answer first."""

    topic: str
    title: str
    language: Language
    text: str
    sources: list[str]
    relevance: float
    """0 to 1; comparable within one search only."""

    def as_dict(self) -> dict[str, object]:
        """Plain JSON, keys in the order of the result contract."""
        return asdict(self)


class Meaning(Protocol):
    """What the library needs of an embedder."""

    @property
    def identity(self) -> str:
        """Names the model and its revision; another identity means another index."""

    @property
    def languages(self) -> tuple[Language, ...]:
        """Those it reads; passages of these are kept."""

    @property
    def calibrated(self) -> bool:
        """Whether the floors of this module hold for its cosines."""

    def embed(self, sentences: Sequence[str], kind: Kind = "question") -> Any:
        """Unit vectors, shape (sentences, dimensions)."""


@dataclass
class Vote:
    """How well a topic fits a question by one way of looking, and which of its paragraphs fits best."""

    score: float
    paragraph: int


class Library:
    """The articles of one folder and the search over them. Safe to share between threads.

    Answers by words from the start; by meaning too once `warm_up` has returned True.
    """

    def __init__(self, folder: Path = ARTICLES, cache: Path | None = None) -> None:
        self.articles = read_articles(folder)
        self._cache = cache
        self._places: dict[Language, list[tuple[str, int]]] = {}
        self._words: dict[Language, WordIndex] = {}
        self._whole: dict[Language, WordIndex] = {}
        for language in LANGUAGES:
            articles = self.articles[language]
            units = [(topic, *unit) for topic, article in articles.items() for unit in _units(article)]
            self._places[language] = [(topic, paragraph) for topic, paragraph, _ in units]
            self._words[language] = WordIndex(f"{articles[at].title} {at} {text}" for at, _, text in units)
            self._whole[language] = WordIndex(
                " ".join([article.title, topic, *article.asks, article.title, article.body])
                for topic, article in articles.items()
            )
        self._glossary = _read_glossary()
        self._terms = re.compile("|".join(map(re.escape, sorted(self._glossary, key=len, reverse=True))))
        self._lock = threading.Lock()
        self._meaning: Meaning | None = None
        self._store: Any = None

    @property
    def knows_meaning(self) -> bool:
        """Whether the search goes by meaning yet, or by words alone."""
        return self._store is not None

    def warm_up(self, meaning: Meaning | None = None) -> bool:
        """Load the embedder, open or build the index; False where only the search by words is to be had."""
        with self._lock:
            if self._store is None:
                try:
                    self._meaning = meaning or chosen()
                    self._store = self._open_store(self._meaning)
                except (NoEmbedder, ImportError) as reason:
                    log.info("Articles are searched by words only: %s", reason)
                    return False
                except Exception:  # a fault of the store must not take the search by words away
                    log.exception("The index of articles could not be opened or built")
                    return False
        return True

    def search(self, question: str, language: Language | None = None, limit: int = 3) -> list[Passage]:
        """Passages of different topics, best first; [] when nothing covers the question.

        The language is that of the passages; without it, that of the question.
        """
        question = _FINE_TUNING.sub("fine-tun", question)
        asked_in = language_of(question)
        terms = self._terms_of(question) if asked_in == "zh" else []
        by_words = self._by_words(question, asked_in)
        by_whole = self._by_whole(question, asked_in)
        by_meaning = self._by_meaning(question, asked_in, terms)
        ranked = _fused(asked_in, by_words, by_whole, by_meaning)
        if not ranked:
            return []
        top, best = ranked[0]
        if by_meaning and self._meaning is not None and self._meaning.calibrated:
            relevance = _highest(by_meaning) + WORDS_ADD * min(1.0, _highest(by_words) / PLENTY[asked_in])
            if _highest(by_words) >= SURE[asked_in]:
                relevance = max(relevance, MEANING_FLOOR)
            floor = MEANING_FLOOR
        else:
            covered = self._words[asked_in].coverage(question, self._units_of(top, asked_in))
            relevance = covered * min(1.0, _highest(by_words) / SOME[asked_in])
            relevance += TERM_ADD * bool(self._terms.search(plain(question)))
            floor = WORDS_FLOOR[asked_in]
        if relevance < floor:
            return []
        passages = []
        for topic, score in ranked[: max(limit, 0)]:
            if score >= KEEP * best:
                leads_to = self._paragraph(topic, language or asked_in, asked_in, by_words, by_meaning)
                relative = min(relevance, 1.0) * score / best
                passages.append(self._passage(topic, language or asked_in, leads_to, relative))
        return passages

    def _by_words(self, question: str, language: Language) -> dict[str, Vote]:
        """BM25 of each topic that shares a word with the question: its best paragraph's."""
        places = self._places[language]
        return _best_of((places[n], score) for n, score in self._words[language].scores(question).items())

    def _by_whole(self, question: str, language: Language) -> dict[str, Vote]:
        """BM25 of each article as a whole."""
        names = list(self.articles[language])
        return _best_of(((names[n], 0), score) for n, score in self._whole[language].scores(question).items())

    def _by_meaning(self, question: str, asked_in: Language, terms: Sequence[str]) -> dict[str, Vote]:
        """Cosine of each topic with a question; {} before the warm-up, or for no words that the embedder reads."""
        if self._store is None or self._meaning is None:
            return {}
        reads = asked_in in self._meaning.languages
        asked, language = (question, asked_in) if reads else (" ".join(terms), "en")
        if not asked.strip():
            return {}
        vector = self._meaning.embed([asked])[0].tolist()
        found = self._store.query(
            [vector], n_results=NEAREST, where={"language": language}, include=["metadatas", "distances"]
        )
        near = zip(found["metadatas"][0], found["distances"][0], strict=True)
        return _best_of(((str(at["topic"]), int(at["paragraph"])), 1 - distance) for at, distance in near)

    def _units_of(self, topic: str, language: Language) -> list[int]:
        return [number for number, (holder, _) in enumerate(self._places[language]) if holder == topic]

    def _terms_of(self, question: str) -> list[str]:
        """The terms of a Chinese question that the glossary knows, in English, and the Latin words in it."""
        pattern = rf"{self._terms.pattern}|[a-z0-9][a-z0-9.\-]*"
        return [self._glossary.get(term, term) for term in re.findall(pattern, plain(question))]

    def _paragraph(
        self,
        topic: str,
        language: Language,
        asked_in: Language,
        by_words: dict[str, Vote],
        by_meaning: dict[str, Vote],
    ) -> int:
        """The paragraph that fits best, numbered in the language of the answer; 0 where that is not known."""
        reads = self._meaning is not None and asked_in in self._meaning.languages
        vote = by_meaning.get(topic) if language == (asked_in if reads else "en") else None
        if vote is None and language == asked_in:
            vote = by_words.get(topic)
        return vote.paragraph if vote else 0

    def _passage(self, topic: str, language: Language, paragraph: int, relevance: float) -> Passage:
        """The article's answer, then the paragraph that fits best where that is another one and no caveat."""
        article = self.articles[language][topic]
        shown = [0] if paragraph in article.caveats else sorted({0, paragraph})
        text = "\n\n".join(article.paragraphs[number] for number in shown)
        return Passage(topic, article.title, language, text, article.sources, round(relevance, 3))

    def _open_store(self, meaning: Meaning) -> Any:
        """The collection of passages that the embedder reads: from the cache where it is this one, else built."""
        texts, ids, places = [], [], []
        for language in meaning.languages:
            for topic, article in self.articles[language].items():
                for number, (paragraph, text) in enumerate(_units(article)):
                    texts.append(text if text in (article.title, *article.asks) else f"{article.title}\n{text}")
                    ids.append(f"{language}.{topic}.{number}")
                    places.append({"topic": topic, "paragraph": paragraph, "language": language})
        state = hashlib.sha256("\0".join([LAYOUT, meaning.identity, *ids, *texts]).encode()).hexdigest()

        def fill(client: Any) -> Any:
            collection = client.get_or_create_collection(
                COLLECTION + state[:16],
                embedding_function=None,
                configuration={"hnsw": {"space": "cosine"}},
                metadata={"state": state},
            )
            if collection.count() != len(ids):
                vectors = meaning.embed(texts, "passage")
                collection.upsert(ids=ids, embeddings=vectors, documents=texts, metadatas=places)
            return collection

        return _kept(self._cache, state, len(ids), fill)


def _units(article: Article) -> list[tuple[int, str]]:
    """What is looked up, with the paragraph it leads to: paragraphs, and questions the first one answers."""
    return [*enumerate(article.paragraphs), *((0, question) for question in (article.title, *article.asks))]


def _best_of(votes: Iterable[tuple[tuple[str, int], float]]) -> dict[str, Vote]:
    """The best paragraph of each topic."""
    best: dict[str, Vote] = {}
    for (topic, paragraph), score in votes:
        if topic not in best or score > best[topic].score:
            best[topic] = Vote(score, paragraph)
    return best


def _highest(votes: dict[str, Vote]) -> float:
    return max((vote.score for vote in votes.values()), default=0.0)


def _fused(
    language: Language, by_words: dict[str, Vote], by_whole: dict[str, Vote], by_meaning: dict[str, Vote]
) -> list[tuple[str, float]]:
    """Topics by the sum of their votes, best first: cosines as they are, BM25 by its share of the highest."""
    words = WORDS_WEIGHT[language] if by_meaning else 1.0
    total = {topic: vote.score for topic, vote in by_meaning.items()}
    for votes in (by_words, by_whole):
        highest = _highest(votes)
        for topic, vote in votes.items():
            total[topic] = total.get(topic, 0.0) + words * vote.score / highest
    return sorted(total.items(), key=lambda item: (-item[1], item[0]))


def _kept(cache: Path | None, state: str, size: int, fill: Callable[[Any], Any]) -> Any:
    """The collection in the cache; one that `fill` builds there; or one in memory where nothing can be kept.

    Built aside and moved into place at once, so that two processes never share half an index.
    """
    import chromadb
    from chromadb.config import Settings

    def quiet() -> Settings:  # chromadb writes into the one it is given
        return Settings(anonymized_telemetry=False)

    def open_client(folder: Path) -> Any:
        return chromadb.PersistentClient(str(folder), settings=quiet())

    def opened(folder: Path) -> Any:
        client = open_client(folder)
        try:
            collection = client.get_collection(COLLECTION + state[:16], embedding_function=None)
            if collection.metadata.get("state") != state or collection.count() != size:
                raise ValueError("another index")
            os.utime(folder)
        except Exception:
            client.close()
            raise
        return collection

    if cache is not None:
        folder = cache / f"articles-{state[:16]}"
        # chromadb and sqlite raise many kinds of errors; each means that this index is of no use.
        try:
            if folder.is_dir():
                _check(folder / "chroma.sqlite3")
                return opened(folder)
        except Exception as reason:
            log.info("The index of articles in the cache is built again: %s", reason)
            shutil.rmtree(folder, ignore_errors=True)
        try:
            _build(cache, folder, fill, open_client)
            return opened(folder)
        except Exception as reason:
            log.info("The index of articles is kept in memory: %s", reason)
    return fill(chromadb.EphemeralClient(settings=quiet()))


def _check(database: Path) -> None:
    """Raise for a damaged file before chromadb sees it, which would remember the failure for that path."""
    with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as connection:
        if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise ValueError("damaged")


def _build(cache: Path, folder: Path, fill: Callable[[Any], Any], open_client: Callable[[Path], Any]) -> None:
    """A new index at `folder`, unless another process was first with a sound one."""
    cache.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix="building-", dir=cache))
    try:
        client = open_client(aside)
        fill(client)
        client.close()
        try:
            aside.replace(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    for old in cache.glob("articles-*"):
        if old != folder and time.time() - old.stat().st_mtime > KEPT_DAYS * 86400:
            shutil.rmtree(old, ignore_errors=True)


def _read_glossary() -> dict[str, str]:
    with open(GLOSSARY, encoding="utf-8", newline="") as file:
        return {plain(row["zh"]): row["en"] for row in csv.DictReader(file)}


def cache_folder() -> Path | None:
    """Where the index is kept: $WHOSE_WEIGHTS_CACHE, else the platform's cache; None without a home."""
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named)
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "whose-weights"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "whose-weights"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "whose-weights"


@cache
def _library() -> Library:
    return Library(cache=cache_folder())


def warm_up(wait: bool = False) -> threading.Thread:
    """Load the embedder and the index in the background; searches go by words alone until it is done."""
    thread = threading.Thread(target=_library().warm_up, name="articles", daemon=True)
    thread.start()
    if wait:
        thread.join()
    return thread


def search(question: str, language: Language | None = None, limit: int = 3) -> list[Passage]:
    """Passages of different topics, best first; [] when nothing covers the question."""
    return _library().search(question, language, limit)


def knows_meaning() -> bool:
    """Whether the search goes by meaning yet, or by words alone."""
    return _library().knows_meaning


def article(topic: str, language: Language) -> Article:
    """The whole article; raises KeyError for a topic that does not exist."""
    return _library().articles[language][topic]


def topics() -> list[str]:
    """Every topic, in alphabetical order."""
    return list(_library().articles["en"])
