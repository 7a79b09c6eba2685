"""python -m knowledge search "QUESTION" [--lang en|zh] [--json]: what the articles say to a question."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, cast

from knowledge.reading import LANGUAGES, Language
from knowledge.words import language_of

# The whole of --help, since argparse knows no Chinese.
HELP = {
    "en": """usage: python -m knowledge search "QUESTION" [--lang en|zh] [--limit N] [--json]

Search the articles: passages for a question, best first.

  --lang en|zh  language of the passages; else that of the question
  --limit N     how many passages at most (3)
  --json        print one JSON list
  -h, --help    show this and exit
""",
    "zh": """用法：python -m knowledge search "问题" [--lang en|zh] [--limit N] [--json]

在文章里查找：给出与问题有关的段落，最相关的在前。

  --lang en|zh  段落的语言；不写则与问题的语言相同
  --limit N     最多给出几段（默认 3 段）
  --json        输出一个 JSON 列表
  -h, --help    显示这份说明后退出
""",
}
WRONG = {
    "en": "These arguments are not understood. Write them as shown above, the question in quotation marks.",
    "zh": "看不懂这些参数。请照上面的样子写，问题要加引号。",
}
EMPTY = {
    "en": ("The question is empty.", "Write a question, for example: What is fine-tuning?"),
    "zh": ("问题是空的。", "请写一个问题，例如：什么是微调？"),
}
NOTHING = {"en": "No article covers this.", "zh": "没有文章讲到这个问题。"}
SOURCES = {"en": "Sources:", "zh": "出处："}


class _Arguments(argparse.ArgumentParser):
    """A parser that speaks the reader's language; the exit status is 2 where something is wrong."""

    def __init__(self, *args: Any, language: Language = "en", **options: Any) -> None:
        super().__init__(*args, **options)
        self.language = language

    def format_help(self) -> str:
        """Return what the command takes."""
        return HELP[self.language]

    def format_usage(self) -> str:
        """Return how the command is written."""
        return HELP[self.language].partition("\n")[0] + "\n"

    def error(self, message: str) -> NoReturn:
        """Show how the command is written, and leave."""
        self.print_usage(sys.stderr)
        self.exit(2, WRONG[self.language] + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0 with an answer, even an empty one, and 2 for no question."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = _Arguments(language="zh" if "zh" in given or "--lang=zh" in given else language_of(" ".join(given)))
    search = parser.add_subparsers(dest="command", required=True).add_parser("search", language=parser.language)
    search.add_argument("question")
    search.add_argument("--lang", choices=LANGUAGES)
    search.add_argument("--limit", type=int, default=3)
    search.add_argument("--json", action="store_true")
    asked = parser.parse_args(given)
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
