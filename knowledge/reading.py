"""The article files: one idea each, a twin in either language, cut into paragraphs for the search."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, Language] = ("en", "zh")
ARTICLES = Path(__file__).parent / "articles"
CAVEAT = {"en": "What this does not mean", "zh": "这不意味着什么"}


class BadArticle(Exception):
    """A file under articles/ lacks its front matter, or a field of it; the text names file and field."""


@dataclass(frozen=True)
class Article:
    """One article in one language; topic is its file's name and the same for both twins."""

    topic: str
    title: str
    language: Language
    body: str
    """Markdown below the front matter."""
    sources: list[str]
    """"Publisher, title, date", with an address where there is one."""
    asks: list[str]
    """Other ways to put the question that the article answers; the search looks among them too."""
    checked: str
    """Day the facts were last checked, as YYYY-MM-DD."""
    explains: list[str]
    """Probes, answers and kinds of change that the article explains, by their names in a result."""

    def as_dict(self) -> dict[str, object]:
        """Plain JSON."""
        return asdict(self)

    @cached_property
    def paragraphs(self) -> list[str]:
        """Paragraphs in reading order, without headings; the first is the answer."""
        return [paragraph for paragraph, _ in self._sections]

    @cached_property
    def caveats(self) -> set[int]:
        """Numbers of the paragraphs under "What this does not mean", which are no answers by themselves."""
        heading = CAVEAT[self.language]
        return {number for number, (_, above) in enumerate(self._sections) if above == heading}

    @cached_property
    def _sections(self) -> list[tuple[str, str]]:
        heading, found = "", []
        for block in self.body.split("\n\n"):
            lines = block.strip().splitlines()
            if lines and lines[0].startswith("#"):
                heading = lines.pop(0).lstrip("# ").strip()
            if lines:
                found.append(("\n".join(lines), heading))
        return found


def read_article(path: Path, language: Language) -> Article:
    """The article in a file; raises BadArticle. Front matter is the part of YAML that the articles use."""
    text = path.read_text(encoding="utf-8")
    if not text.startswith("---\n") or "\n---\n" not in text[4:]:
        raise BadArticle(f"{path.name}: no front matter")
    head, body = text[4:].split("\n---\n", 1)
    fields: dict[str, str | list[str]] = {}
    name = ""
    for line in head.splitlines():
        if line.startswith("  - ") and isinstance(fields.get(name), list):
            fields[name] = [*fields[name], _unquoted(line[4:])]
        elif ":" in line and not line.startswith(" "):
            name, value = (part.strip() for part in line.split(":", 1))
            if not value:
                fields[name] = []
            elif value.startswith("["):
                fields[name] = [part.strip() for part in value.strip("[]").split(",") if part.strip()]
            else:
                fields[name] = _unquoted(value)
        else:
            raise BadArticle(f"{path.name}: cannot read the line {line[:60]!r}")
    for field in ("title", "sources", "asks", "checked", "explains"):
        if not isinstance(fields.get(field), str if field in ("title", "checked") else list):
            raise BadArticle(f"{path.name}: {field} is missing")
    return Article(
        topic=path.stem,
        title=str(fields["title"]),
        language=language,
        body=body.strip(),
        sources=list(fields["sources"]),
        asks=list(fields["asks"]),
        checked=str(fields["checked"]),
        explains=list(fields["explains"]),
    )


def _unquoted(value: str) -> str:
    return str(json.loads(value)) if value.startswith('"') else value.strip()


def read_articles(folder: Path = ARTICLES) -> dict[Language, dict[str, Article]]:
    """Every article by language and topic, topics in alphabetical order."""
    found: dict[Language, dict[str, Article]] = {}
    for language in LANGUAGES:
        files = sorted((folder / language).glob("*.md"), key=lambda file: file.stem)
        found[language] = {file.stem: read_article(file, language) for file in files}
    return found
