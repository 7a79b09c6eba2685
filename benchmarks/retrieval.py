"""How often the article search brings the right article: python -m benchmarks.retrieval.

A question counts at k when any of its topics is among the first k; topics without an article are left out.
Four sets of our own come along: paraphrases (the search was tuned on them, so they flatter), held-out and fresh ones
(looked at once each, after everything was chosen), and off-topic ones, where the right answer is nothing.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from knowledge import library

HERE = Path(__file__).parent
OWN = (HERE / "paraphrases.csv", HERE / "held_out.csv", HERE / "fresh.csv", HERE / "off_topic.csv")


def measure(file: Path) -> list[dict[str, object]]:
    """One row per language: recall at 1 and at 3, share left unanswered, median milliseconds of a search."""
    with open(file, encoding="utf-8", newline="") as opened:
        questions = list(csv.DictReader(opened))
    known = set(library.topics())
    rows: list[dict[str, object]] = []
    for language in sorted({question["lang"] for question in questions}):
        first, third, nothing, milliseconds = [], [], [], []
        for question in questions:
            right = known & set((question.get("topics") or "").split(";"))
            if question["lang"] != language or ("topics" in question and not right):
                continue
            start = time.perf_counter()
            found = [passage.topic for passage in library.search(question["question"], limit=3)]
            milliseconds.append(1000 * (time.perf_counter() - start))
            first.append(bool(right & set(found[:1])))
            third.append(bool(right & set(found)))
            nothing.append(not found)
        off_topic = "topics" not in questions[0]
        rows.append(
            {
                "questions": file.name,
                "language": language,
                "count": len(first),
                "recall_at_1": None if off_topic else round(statistics.mean(first), 3),
                "recall_at_3": None if off_topic else round(statistics.mean(third), 3),
                "unanswered": round(statistics.mean(nothing), 3),
                "median_ms": round(statistics.median(milliseconds), 1),
            }
        )
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retrieval", description=__doc__)
    parser.add_argument("--questions", type=Path, action="append", default=[], help="lang,question,topics")
    parser.add_argument("--words-only", action="store_true", help="as before the embedder is loaded")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    asked = parser.parse_args(arguments)
    if not asked.words_only:
        library.warm_up(wait=True)
    rows = [row for file in (*asked.questions, *OWN) for row in measure(file)]
    way = "words and meaning" if library.knows_meaning() else "words only"
    print(f"{len(library.topics())} articles in two languages, searched by {way}")
    print(f"{'questions':<18} {'lang':<5} {'count':>5} {'R@1':>6} {'R@3':>6} {'none':>6} {'ms':>7}")
    for row in rows:
        r1, r3 = ("-" if row[key] is None else row[key] for key in ("recall_at_1", "recall_at_3"))
        print(
            f"{row['questions']:<18} {row['language']:<5} {row['count']:>5} "
            f"{r1:>6} {r3:>6} {row['unanswered']:>6} {row['median_ms']:>7}"
        )
    if asked.json:
        report = {"articles": len(library.topics()), "searched_by": way, "rows": rows}
        asked.json.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
