"""A sheet of paper as blocks, and the same blocks as Markdown or as a page to print."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

STYLE = Path(__file__).parent / "print.css"


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title of the sheet. `breaks`: it begins a new page."""

    text: str
    level: int = 2
    breaks: bool = False


@dataclass(frozen=True)
class Paragraph:
    """Text, with a label in front where there is one."""

    text: str
    label: str = ""


@dataclass(frozen=True)
class Bullets:
    """A list; each item is a label, or "", and its text."""

    items: Sequence[tuple[str, str]]
    numbered: bool = False


@dataclass(frozen=True)
class Table:
    """A table with a header."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Commands:
    """Lines to type."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Card:
    """A card to cut out: a title and labelled lines."""

    title: str
    lines: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Cards:
    """Cards, two in a row."""

    cards: Sequence[Card]


@dataclass(frozen=True)
class Choice:
    """A question with options to tick."""

    number: int
    question: str
    options: Sequence[str]


Block = Heading | Paragraph | Bullets | Table | Commands | Cards | Choice


def letter(place: int) -> str:
    """A for the first option, B for the second."""
    return "ABCDEFGH"[place]


def markdown(blocks: Sequence[Block]) -> str:
    """The sheet as Markdown; signs that Markdown would act on are escaped, as all that stands on a sheet is text."""
    return "\n\n".join(_as_markdown(block) for block in blocks) + "\n"


def _as_markdown(block: Block) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {_plain(block.text)}"
        case Paragraph():
            return _labelled(block.label, block.text)
        case Bullets():
            marks = [f"{n}." if block.numbered else "-" for n in range(1, len(block.items) + 1)]
            return "\n".join(f"{mark} {_labelled(*item)}" for mark, item in zip(marks, block.items, strict=True))
        case Table():
            rows = [[_plain(cell).replace("|", "\\|") for cell in row] for row in (block.header, *block.rows)]
            lines = ["| " + " | ".join(row) + " |" for row in rows]
            return "\n".join([lines[0], "|" + "---|" * len(block.header), *lines[1:]])
        case Commands():
            return "\n".join(["```", *(line.replace("`", "'") for line in block.lines), "```"])
        case Cards():
            return "\n\n".join(
                f"### {_plain(card.title)}\n\n" + "\n".join(f"- {_labelled(*line)}" for line in card.lines)
                for card in block.cards
            )
        case Choice():
            options = "\n".join(f"   - {letter(n)}. {_plain(text)}" for n, text in enumerate(block.options))
            return f"{block.number}. {_plain(block.question)}\n{options}"


def _labelled(label: str, text: str) -> str:
    return (f"**{_plain(label)}{_colon(label)[0]}**{_colon(label)[1:]}" if label else "") + _plain(text)


def _colon(label: str) -> str:
    return "：" if re.search(r"[\u4e00-\u9fff]", label) else ": "


def _plain(text: str) -> str:
    words, address = text, ""
    if found := re.search(r"https?://[\w./?=&%-]+$", text):
        # The address that ends a source stays one; elsewhere these signs would be markup.
        words, address = text[: found.start()], found[0]
    return re.sub(r"([\\`*_\[\]<>])", r"\\\1", words) + address


def page(title: str, language: str, print_label: str, blocks: Sequence[Block]) -> str:
    """The sheet as one HTML page for A4: no script but the button's, nothing loaded, every text escaped."""
    body = as_html(blocks)
    return (
        f'<!doctype html>\n<html lang="{"zh-CN" if language == "zh" else "en"}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_safe(title)}</title>\n<style>\n{STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n"
        f'<button type="button" onclick="window.print()">{_safe(print_label)}</button>\n<main>\n{body}\n</main>\n'
        "</body>\n</html>\n"
    )


def _safe(text: str) -> str:
    return re.sub(r"\b10\^(\d{1,9})\b", r"10<sup>\1</sup>", html.escape(text, quote=True))


def as_html(blocks: Sequence[Block], safe: Callable[[str], str] = _safe) -> str:
    """The sheet as HTML without a page around it; `safe` makes a text harmless where it will stand."""

    def labelled(label: str, text: str) -> str:
        return (f"<b>{safe(label)}{_colon(label)[0]}</b>{_colon(label)[1:]}" if label else "") + safe(text)

    return "\n".join(_as_html(block, safe, labelled) for block in blocks)


def _as_html(block: Block, safe: Callable[[str], str], labelled: Callable[[str, str], str]) -> str:
    match block:
        case Heading():
            breaks = ' class="breaks"' if block.breaks else ""
            return f"<h{block.level}{breaks}>{safe(block.text)}</h{block.level}>"
        case Paragraph():
            return f"<p>{labelled(block.label, block.text)}</p>"
        case Bullets():
            tag = "ol" if block.numbered else "ul"
            return f"<{tag}>" + "".join(f"<li>{labelled(*item)}</li>" for item in block.items) + f"</{tag}>"
        case Table():
            head = "".join(f'<th scope="col">{safe(cell)}</th>' for cell in block.header)
            rows = "".join("<tr>" + "".join(f"<td>{safe(c)}</td>" for c in row) + "</tr>" for row in block.rows)
            return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        case Commands():
            return "<pre>" + "\n".join(safe(line) for line in block.lines) + "</pre>"
        case Cards():
            cards = "".join(
                f'<section class="slip"><h3>{safe(card.title)}</h3>'
                + "".join(f"<p>{labelled(*line)}</p>" for line in card.lines)
                + "</section>"
                for card in block.cards
            )
            return f'<div class="slips">{cards}</div>'
        case Choice():
            options = "".join(f"<li>{safe(text)}</li>" for text in block.options)
            question = f"<p><b>{block.number}.</b> {safe(block.question)}</p>"
            return f'<div class="choice">{question}<ol class="letters">{options}</ol></div>'
