"""Foreign text made harmless: names, paths and replies become HTML that holds no markup of theirs."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable

from markdown_it import MarkdownIt

from page.numbers import SUPERSCRIPTS
from tools import errors

# Characters that Markdown, LaTeX or a URL could give a meaning to. As numeric entities they are only letters.
INERT = str.maketrans({sign: f"&#{ord(sign)};" for sign in "!$()*:@[\\]_`{|}~"})

# Reference marks of the agent's replies: [E1] is a finding, [K2] a passage.
MARK = re.compile(r"\[([EK]\d{1,3})\]")

# An address with a name before the host, or with quotes or spaces in it, is none that an article would give.
WEB_ADDRESS = re.compile(r"https?://[\w.-]+(?::\d+)?(?:/[^\s<>\"'`\\]*)?")

# Private signs: what people and models write has been rid of them before they get their meaning here.
OPEN_STRONG, CLOSE_STRONG = "\ue000", "\ue001"
CODE_OR_STARS = re.compile(r"(`[^`]*`|\*\*)")

# Links and images stay text: the only addresses shown are those of our own articles, in the list of sources.
REPLY = (
    MarkdownIt("commonmark", {"html": False, "breaks": True})
    .enable("table")
    .disable(["image", "link", "autolink", "html_block", "html_inline", "entity", "reference"])
)


def printable(text: object, limit: int = 400) -> str:
    """`text` on one line of at most `limit` characters, without what hides, moves or reorders text."""
    return errors.printable(text, limit) if str(text).strip() else ""


def plain(text: object, limit: int = 400) -> str:
    """`text` as HTML that reads as typed: no tag, entity, Markdown, formula or address of its own is left."""
    return html.escape(printable(text, limit), quote=True).translate(INERT)


def powers(markup: str) -> str:
    """Powers of ten as they are written: 10^40 becomes 10⁴⁰."""
    return re.sub(r"\b10\^(\d{1,9})\b", lambda found: "10" + found[1].translate(SUPERSCRIPTS), markup)


def lines(text: str, limit: int = 4000) -> str:
    """Like `plain`, but keeps the line breaks of what a person typed."""
    return "<br>".join(plain(line, limit) for line in text[:limit].splitlines())


def one_line(markup: str) -> str:
    """HTML without line ends: a blank line inside would hand the rest of a block back to Markdown."""
    pieces = re.split(r"(<pre>.*?</pre>)", markup, flags=re.DOTALL)
    return "".join(
        piece.replace("\n", "&#10;") if piece.startswith("<pre>") else piece.replace("\n", " ") for piece in pieces
    )


def reply(text: str) -> str:
    """A reply in Markdown as HTML of ours: headings, lists, tables, emphasis, code; no links or images."""
    clean = "\n".join(
        "".join(sign for sign in line if unicodedata.category(sign) not in ("Cc", "Cf", "Cs", "Co"))
        for line in text.splitlines()
    )
    return _settled(one_line(REPLY.render("\n".join(map(_with_strong, clean.split("\n"))))))


def beyond(text: str, known: Iterable[str]) -> str:
    """The paragraphs of a reply that say more than `known` sentences, which stand beside it already."""
    sentences = sorted({_bare(sentence) for sentence in known} - {""}, key=len, reverse=True)
    return "\n\n".join(paragraph for paragraph in re.split(r"\n\s*\n", text) if not _all_known(paragraph, sentences))


def _all_known(paragraph: str, sentences: list[str]) -> bool:
    rest = _bare(re.sub(r"^\s*\*\*[^*\n]{1,40}[:：]\*\*", "", paragraph))
    found = False
    for sentence in sentences:
        if sentence in rest:
            rest, found = rest.replace(sentence, ""), True
    return found and not re.sub(r"\d+\.|[;；]", "", rest).strip(".。")


def _bare(text: str) -> str:
    """Letters and figures as read: without marks, emphasis, code signs or spaces."""
    return re.sub(r"[\s`*]", "", MARK.sub("", text))


def inline(text: str, limit: int = 300) -> str:
    """One line of the agent's Markdown, such as a title with names as code, as HTML of ours."""
    return _settled(REPLY.renderInline(_with_strong(printable(text, limit))))


def _with_strong(line: str) -> str:
    """The line with its pairs of ** as private signs: CommonMark leaves **结论：**没有 as it stands."""
    parts = CODE_OR_STARS.split(line)
    places = [place for place, part in enumerate(parts) if part == "**"]
    for number, place in enumerate(places[: len(places) // 2 * 2]):
        parts[place] = CLOSE_STRONG if number % 2 else OPEN_STRONG
    return "".join(parts)


def _settled(body: str) -> str:
    """Between tags, signs that are left are text, and stay text when the chat reads Markdown again."""
    body = body.replace(OPEN_STRONG, "<strong>").replace(CLOSE_STRONG, "</strong>")
    parts = re.split(r"(<[^>]+>)", body)
    for place, part in enumerate(parts):
        if not part.startswith("<"):
            marked = MARK.split(part)
            parts[place] = "".join(
                f'<span class="mark">{piece}</span>' if number % 2 else piece.translate(INERT)
                for number, piece in enumerate(marked)
            )
    return powers("".join(parts))


def source(text: str) -> str:
    """Where an article's facts are from: its words, as a link where it ends in a plain web address."""
    words, _, url = text.strip().rpartition(" ")
    if not WEB_ADDRESS.fullmatch(url) or len(url) > 400:
        return plain(text)
    shown = plain(words.rstrip(" ,")) or plain(url.split("/")[2], 80)
    safe = html.escape(url, quote=True)
    return f'<a href="{safe}" target="_blank" rel="noopener noreferrer nofollow">{shown}</a>'


def block(name: str, parts: Iterable[str]) -> str:
    """A div of class `name` on one line, as the chat keeps it whole."""
    return one_line(f'<div class="{name}">{"".join(parts)}</div>')
