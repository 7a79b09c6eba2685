"""Foreign text is shown as typed: it draws nothing, loads nothing, hides nothing."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from page import markup

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "![x](https://evil.example/a.png)",
    "[click](javascript:alert(1))",
    "<div style='position:fixed;inset:0'>identical</div>",
    "</div></div><h1>independent</h1>",
    "https://evil.example/",
    "$$\\href{javascript:alert(1)}{x}$$",
    "&lt;img src=x onerror=alert(1)&gt;",
    "a\u202egnp.exe",
    "zero\u200bwidth\u2066hidden",
    '" onmouseover="alert(1)',
    "`code` *bold* _em_ ~~gone~~ | table |",
    "line\n\n# heading\n\n    code",
    "\x00\x1b[31mred",
]

TAG = re.compile(r"<[^>]*>")


@pytest.mark.parametrize("text", HOSTILE)
def test_plain_leaves_no_sign_that_anything_could_read(text: str) -> None:
    shown = markup.plain(text)
    assert not set(shown) & set("<>\"'`*_![]()$|~\\\n\x00\x1b\u202e\u200b\u2066")
    assert not re.search(r"https?:", shown)


@given(st.text(max_size=200))
def test_plain_reads_as_typed(text: str) -> None:
    shown = markup.plain(text)
    assert html.unescape(shown) == markup.printable(text)
    assert "<" not in shown and "\n" not in shown


def test_printable_shortens_in_the_middle() -> None:
    shown = markup.printable("a" * 500 + "b" * 500, 81)
    assert len(shown) == 81 and shown.startswith("aaa") and shown.endswith("bbb") and "…" in shown


@pytest.mark.parametrize("text", HOSTILE)
def test_a_reply_holds_only_tags_of_ours(text: str) -> None:
    shown = markup.reply(
        f"The model {text} is **independent**.\n\n- {text}\n\n| a | b |\n|---|---|\n| {text} | 2 |"
    )
    allowed = {
        "p",
        "strong",
        "em",
        "ul",
        "ol",
        "li",
        "code",
        "pre",
        "br",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    for tag in TAG.findall(shown):
        name = tag.strip("</>").split()[0]
        assert name in allowed | {"span", "h1", "h2", "hr", "blockquote"}, tag
        assert tag in ('<span class="mark">', "</span>") or " " not in tag.strip("<>/ "), tag
    assert "\n" not in shown
    assert not {"\u202e", "\u200b", "\u2066"} & set(shown)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_title_is_one_line_of_text_and_code(text: str) -> None:
    shown = markup.inline(f"Comparing `{text}` with {text}")
    assert set(TAG.findall(shown)) <= {"<code>", "</code>", "<em>", "</em>", "<strong>", "</strong>"}
    assert "\n" not in shown


def test_a_reply_keeps_what_markdown_is_for() -> None:
    shown = markup.reply(
        "**Yes**, the `order` agrees [E1].\n\n1. one\n2. two\n\n```\nmake test\nmake run\n```"
    )
    assert "<strong>Yes</strong>" in shown and "<code>order</code>" in shown and "<ol>" in shown
    assert '<span class="mark">E1</span>' in shown
    assert "make test&#10;make run" in shown


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "https://a b",
        'https://x.example/"onclick="alert(1)',
        "https://user@host.example/",
        "//evil.example",
        "http://" + "a" * 500,
    ],
)
def test_only_plain_web_addresses_become_links(url: str) -> None:
    assert markup.address(url) is None


def test_a_link_tells_nobody_where_it_came_from() -> None:
    link = markup.address("https://arxiv.org/abs/2502.12292?a=1&b=2")
    assert link is not None
    assert 'rel="noopener noreferrer nofollow"' in link and "a=1&amp;b=2" in link and ">arxiv.org</a>" in link
