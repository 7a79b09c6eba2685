"""python -m knowledge search "QUESTION" [--lang en|zh] [--json]: what the articles say to a question."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import cast

from knowledge.reading import LANGUAGES, Language
from knowledge.words import language_of

EMPTY = {
    "en": ("The question is empty.", "Write a question, for example: What is fine-tuning?"),
    "zh": ("问题是空的。", "请写一个问题，例如：什么是微调？"),
}
NOTHING = {"en": "No article covers this.", "zh": "没有文章讲到这个问题。"}
SOURCES = {"en": "Sources:", "zh": "出处："}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0 with an answer, even an empty one, and 2 for no question."""
    parser = argparse.ArgumentParser(prog="python -m knowledge", description="Search the articles.")
    commands = parser.add_subparsers(dest="command", required=True)
    search = commands.add_parser("search", help="passages for a question, best first")
    search.add_argument("question")
    search.add_argument("--lang", choices=LANGUAGES, help="of the passages; else that of the question")
    search.add_argument("--limit", type=int, default=3, help="how many passages at most")
    search.add_argument("--json", action="store_true", help="one JSON list")
    asked = parser.parse_args(arguments)
    return _search(asked.question, cast("Language | None", asked.lang), asked.limit, asked.json)


def _search(question: str, language: Language | None, limit: int, as_json: bool) -> int:
    from knowledge import library

    said_in = language or language_of(question)
    if not question.strip():
        message, remedy = EMPTY[said_in]
        if as_json:
            error = {"kind": "empty_question", "message": message, "remedy": remedy}
            print(json.dumps({"error": error}, ensure_ascii=False))
        else:
            print(f"{message} {remedy}", file=sys.stderr)
        return 2
    library.warm_up(wait=True)
    passages = library.search(question, language, limit)
    if as_json:
        print(json.dumps([passage.as_dict() for passage in passages], ensure_ascii=False, indent=1))
        return 0
    if not passages:
        print(NOTHING[said_in])
    for passage in passages:
        sources = "\n".join(f"  - {source}" for source in passage.sources)
        print(f"# {passage.title}\n\n{passage.text}\n\n{SOURCES[passage.language]}\n{sources}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
