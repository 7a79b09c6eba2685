"""What README.md quotes from the program: the rule, the probes and the map, as far as nothing has to be run for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.readme import from_the_source

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_rule_and_the_probes_are_those_of_the_program() -> None:
    assert from_the_source(README) == README, "README.md is out of date: python -m benchmarks.readme"


@pytest.mark.parametrize(
    ("old", "new"), [("3. No deciding probe links", "3. No probe links"), ("| `unit_order` |", "| `unit_odour` |")]
)
def test_a_change_in_either_is_noticed(old: str, new: str) -> None:
    assert old in README
    assert from_the_source(README.replace(old, new)) == README


def _entries() -> list[Path]:
    """What the map lists: files and folders at its left edge, and those of tools/ indented below it."""
    (drawn,) = re.findall(r"## The map\n\n```\n(.*?)\n```", README, re.S)
    found, folder = [], ROOT
    for line in drawn.splitlines():
        names = re.split(r"\s{2,}", line.strip())[0].split()
        folder = folder if line.startswith("  ") else ROOT
        found += [folder / name for name in names if name.endswith(("/", ".py")) or name == "checkpoint.py"]
        if not line.startswith("  "):
            folder = ROOT / names[0]
    return found


def test_the_map_shows_what_is_there() -> None:
    entries = _entries()
    assert len(entries) > 20
    missing = [str(path.relative_to(ROOT)) for path in entries if not path.exists()]
    assert not missing


def test_the_map_leaves_out_no_package() -> None:
    packages = {path.parent for path in ROOT.glob("*/__init__.py")} - {ROOT / "tests", ROOT / "page"}
    packages |= {path.parent for path in (ROOT / "tools").glob("*/__init__.py")}
    assert packages <= set(_entries())


def test_the_map_counts_the_articles() -> None:
    said = re.search(r"(\d+) articles in two languages", README)
    assert said and int(said[1]) == len(list((ROOT / "knowledge" / "articles" / "en").glob("*.md")))
