"""Arguments of the command line: what is wrong with them is said in the reader's language, by our own sentences."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

from tools.errors import LANGUAGES, UserError

EXIT_USER_ERROR = 2
# argparse hands its finding on as an English sentence and nothing else (Python 3.11 and 3.12).
_FINDINGS = {
    "missing_arguments": r"the following arguments are required: (?P<argument>.+)",
    "unknown_arguments": r"unrecognized arguments: (?P<argument>.+)",
    "ambiguous_argument": r"ambiguous option: (?P<argument>\S+) could match (?P<choices>.+)",
    "unknown_choice": r"argument (?P<argument>.+?): invalid choice: (?P<value>.+) \(choose from (?P<choices>.+)\)",
    "no_whole_number": r"argument (?P<argument>.+?): invalid int value: (?P<value>.+)",
    "argument_without_value": r"argument (?P<argument>.+?): expected (?:at least )?one argument",
    "argument_with_value": r"argument (?P<argument>.+?): ignored explicit argument (?P<value>.+)",
}
# What argparse itself puts around the help, and what stands there in Chinese.
_AROUND = {
    "usage: ": "用法：",
    "positional arguments:": "位置参数：",
    "options:": "选项：",
    "show this help message and exit": "显示这份说明后退出",
}


class Arguments(argparse.ArgumentParser):
    """A parser that words its errors from tools.errors; the exit status is 2, and the usage comes first.

    What it is given as help is in the reader's language already; what argparse puts around it is worded here.
    """

    def __init__(self, *args: Any, language: str = "en", **options: Any) -> None:
        """`language` is that of the reader, also in the commands inside."""
        super().__init__(*args, **options)
        self.language = language if language in LANGUAGES else "en"

    def add_subparsers(self, **options: Any) -> Any:
        """Return what makes the parsers of commands; they speak the same language."""
        return super().add_subparsers(**{"parser_class": partial(type(self), language=self.language)} | options)

    def format_usage(self) -> str:
        """Return how the command is written."""
        return self._worded(super().format_usage())

    def format_help(self) -> str:
        """Return how the command is written and what each part of it means."""
        return self._worded(super().format_help())

    def _worded(self, text: str) -> str:
        for english, chinese in _AROUND.items() if self.language == "zh" else ():
            text = text.replace(english, chinese, 1)
        return text

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and the way out, and leave."""
        self.print_usage(sys.stderr)
        self.exit(EXIT_USER_ERROR, " ".join(finding(message).say(self.language)) + "\n")


def finding(message: str) -> UserError:
    """The error that a sentence of argparse stands for."""
    for kind, pattern in _FINDINGS.items():
        if found := re.fullmatch(pattern, message, re.DOTALL):
            # Values and choices come as Python writes them, in quotes.
            return UserError(kind, **{fact: words.replace("'", "") for fact, words in found.groupdict().items()})
    return UserError("bad_arguments")


def language_asked_for(arguments: Sequence[str] | None) -> str:
    """What --lang says in arguments that may be wrong otherwise; English where it says nothing."""
    early = argparse.ArgumentParser(add_help=False)
    early.add_argument("--lang", nargs="?")
    return early.parse_known_args(arguments)[0].lang or "en"


def in_language(texts: Mapping[str, Mapping[str, str]], language: str) -> dict[str, str]:
    """Texts by their keys, each in a language, or in English where there is none of that name."""
    return {key: words.get(language, words["en"]) for key, words in texts.items()}
