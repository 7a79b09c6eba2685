"""python -m lessons [NAME] [--lang en|zh] [--sheet teacher|students] [--out FILE]: a lesson with fresh numbers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from lessons.reading import NAMES, lesson
from tools.arguments import Arguments, in_language, language_asked_for

ENDINGS = (".md", ".html")
HELP = {
    "lessons": {
        "en": "Lessons for a class, with numbers measured on the exhibits now. Without a name: the list.",
        "zh": "课堂教案，其中的数字当场在展品上测得。不写名称则列出全部教案。",
    },
    "lang": {"en": "language of the lesson", "zh": "教案所用的语言"},
    "sheet": {"en": "for .html; .md holds both", "zh": "用于 .html；.md 两者都有"},
    "out": {
        "en": "FILE.md or FILE.html; else Markdown is printed",
        "zh": "FILE.md 或 FILE.html；不写则直接输出 Markdown",
    },
}
ERRORS = {
    "no_ending": {
        "en": "Cannot tell the format from {name!r}. Let the name end in .md or .html.",
        "zh": "从 {name!r} 看不出格式。请让文件名以 .md 或 .html 结尾。",
    },
    "not_written": {
        "en": "Could not write {name!r}: {why}. Choose another place.",
        "zh": "无法写入 {name!r}：{why}。请换一个位置。",
    },
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0 with a lesson or the list of them, 2 for what a user can mend."""
    language = language_asked_for(arguments)
    told = in_language(HELP, language)
    parser = Arguments(prog="python -m lessons", description=told["lessons"], language=language)
    parser.add_argument("name", nargs="?", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--lang", choices=("en", "zh"), default="en", help=told["lang"])
    parser.add_argument("--sheet", choices=("teacher", "students"), default="teacher", help=told["sheet"])
    parser.add_argument("--out", type=Path, metavar="FILE", help=told["out"])
    asked = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    if asked.name is None:
        for name in NAMES:
            written = lesson(name, asked.lang)
            print(f"{name:<18} {written['title']}\n{'':<18} {written['summary']}\n")
        return 0
    if asked.out is not None and asked.out.suffix not in ENDINGS:
        return _refuse("no_ending", asked.lang, name=str(asked.out))
    return _make(asked.name, asked.lang, asked.sheet, asked.out)


def _make(name: str, language: str, sheet: str, out: Path | None) -> int:
    from lessons import sheets
    from lessons.run import run, taught
    from tools.errors import UserError

    def tell(record: dict[str, object]) -> None:
        print(f"  … {record['step']} ({record['seconds']:.1f} s)", file=sys.stderr, flush=True)

    try:
        ready = taught(run(name, on_finding=tell), language)  # type: ignore[arg-type]
    except UserError as error:
        said = error.as_dict(language)
        print(f"{said['message']} {said['remedy']}", file=sys.stderr)
        return 2
    if out is None:
        print(sheets.markdown(ready))
        return 0
    text = sheets.printable(ready, sheet) if out.suffix == ".html" else sheets.markdown(ready)  # type: ignore[arg-type]
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        return _refuse("not_written", language, name=str(out), why=error.strerror or type(error).__name__)
    print(out, file=sys.stderr)
    return 0


def _refuse(key: str, language: str, **facts: object) -> int:
    print(ERRORS[key][language].format(**facts), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
