"""Fills the README's run, rule and table of probes from the program itself: `python -m benchmarks.readme [--check]`."""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from pathlib import Path

from benchmarks import accuracy, speed
from tools import verdict
from tools.audit import compare
from tools.probes import all_probes
from tools.report import markdown

OUTPUT = Path(__file__).resolve().parents[1] / "output"
SPEED, ACCURACY = OUTPUT / "speed.json", OUTPUT / "accuracy.json"
README = Path(__file__).resolve().parents[1] / "README.md"
RUN = ("exhibits/llama3v/suspect", "exhibits/llama3v/original", "exhibits/llama3v/base")


def filled(text: str) -> str:
    """The README with its generated parts made anew; tables of benchmarks only where their output lies here."""
    report = markdown(compare(*RUN)).partition("## All findings")[0].strip()
    command = "$ python -m tools compare {} {} --base {}\n\n".format(*RUN)
    text = _between(text, "<!-- run: [^\n]*-->\n```\n", "\n```", command + report)
    text = from_the_source(text)
    if SPEED.is_file():
        table = speed.table(speed.kept(SPEED))
        text = _between(text, "<!-- speed: [^\n]*-->\n", "\n\n## ", table)
    if ACCURACY.is_file():
        table = accuracy.table(json.loads(ACCURACY.read_text(encoding="utf-8")))
        text = _between(text, "<!-- accuracy: [^\n]*-->\n", "\n\n## ", table)
    return text


def from_the_source(text: str) -> str:
    """The README with the rule and the table of probes made anew; nothing is run for them."""
    rule = inspect.getsource(verdict.decide)
    text = _between(text, "turns findings into an answer:\n\n```[a-z]*\n", "\n```", rule.rstrip())
    rows = "\n".join(f"| `{p.name}` | {p.question} | {p.role} |" for p in all_probes())
    return _between(text, r"\| probe \| question \| role \|\n\|---\|---\|---\|\n", "\n\n", rows)


def _between(text: str, start: str, stop: str, new: str) -> str:
    found = re.search(start, text)
    if found is None:
        raise SystemExit(f"The README has no place that matches {start!r}.")
    end = text.index(stop, found.end())
    return text[: found.end()] + new + text[end:]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true", help="only say whether the README is up to date")
    now = README.read_text(encoding="utf-8")
    new = filled(now)
    if parser.parse_args().check:
        sys.exit("README.md is out of date: python -m benchmarks.readme" if new != now else 0)
    README.write_text(new, encoding="utf-8")
