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
    shown = markup.reply(f"The model {text} is **independent**.\n\n- {text}\n\n| a | b |\n|---|---|\n| {text} | 2 |")
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
    shown = markup.reply("**Yes**, the `order` agrees [E1].\n\n1. one\n2. two\n\n```\nmake test\nmake run\n```")
    assert "<strong>Yes</strong>" in shown and "<code>order</code>" in shown and "<ol>" in shown
    assert '<span class="mark">E1</span>' in shown
    assert "make test&#10;make run" in shown


def test_bold_works_beside_chinese_signs() -> None:
    shown = markup.reply("**结论：**没有关联。是**“独立”**的。\n\n- **`a` 和 `b`：**相同 `x**y` ** z")
    assert shown.count("<strong>") == shown.count("</strong>") == 3
    assert "<strong>结论：</strong>没有关联。" in shown and "**" not in shown.replace("&#42;", "*")[:40]
    assert markup.reply("a \ue000b\ue001 c").count("strong") == 0


def test_what_the_card_says_is_not_said_again() -> None:
    known = [
        "≈",
        "Same weights",
        "`a` and b are one.",
        "This is strong evidence.",
        "Units agree.",
        "Noise of 5%.",
    ]
    more = "**Read more:** [K1] On noise\n\nUnits agree. But look."
    text = (
        "≈ **Same weights.** `a` and `b` are one. [E1][E2]\n\n**How sure:** This is strong evidence.\n\n"
        f"**Why:**\n1. Units agree. [E1]\n2. Noise of 5%. [E2]\n\n{more}"
    )
    assert markup.beyond(text, known) == more
    assert markup.beyond("**说明：**单元一致。[E1]", ["单元一致。"]) == ""
    assert markup.beyond("Hello.", [""]) == "Hello."


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        'https://x.example/"onclick="alert(1)',
        "https://user@host.example/",
        "//evil.example",
        "http://" + "a" * 500,
    ],
)
def test_only_plain_web_addresses_become_links(url: str) -> None:
    shown = markup.source(f"A. Author, Title, 2026, {url}")
    assert "<a" not in shown and "A. Author" in shown


def test_a_source_is_a_link_that_tells_nobody_where_it_came_from() -> None:
    shown = markup.source("A. Author, <b>Title</b>, 2026, https://arxiv.org/abs/2502.12292?a=1&b=2")
    assert 'rel="noopener noreferrer nofollow"' in shown and "a=1&amp;b=2" in shown
    assert ">A. Author, &lt;b&gt;Title" in shown and "2026</a>" in shown
    assert markup.source("https://arxiv.org/abs/1").endswith(">arxiv.org</a>")
    assert markup.source("Our own reasoning, 2026") == "Our own reasoning, 2026"
