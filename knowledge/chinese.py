"""Chinese as people type it, brought to one form: simplified characters, and plain words for colloquial ones.

What looks for words calls `folded` on both sides, so that an example, a cue or an article needs to say a thing once.
The pairs of characters are those of OpenCC (github.com/BYVoid/OpenCC, Apache-2.0) whose simplified one is among the
3,755 commonest of GB 2312 and whose traditional one is in frequent use (Big5, level 1).
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_TRADITIONAL = Path(__file__).parent / "traditional.txt"

# Colloquial words and slips of the keyboard, each with the plain word; the longest first.
_PLAIN = {
    "咋整": "怎么办",
    "干嘛": "干什么",
    "干吗": "干什么",
    "咋": "怎么",
    "肿么": "怎么",
    "怎样": "怎么样",
    "啥": "什么",
    "神马": "什么",
    "甚么": "什么",
    "为何": "为什么",
    "是否": "是不是",
    "能否": "能不能",
    "可否": "能不能",
    "有无": "有没有",
    "木有": "没有",
    "冇": "没有",
    "它俩": "它们两个",
    "他俩": "他们两个",
    "俩个": "两个",
    "俩": "两个",
    "瞅瞅": "看看",
    "瞧瞧": "看看",
    "瞅": "看",
    "瞧": "看",
    "玩意儿": "东西",
    "玩意": "东西",
    "这儿": "这里",
    "那儿": "那里",
    "哪儿": "哪里",
    "一块儿": "一起",
    "点儿": "点",
    "事儿": "事",
    "会儿": "会",
    "模形": "模型",
    "摸型": "模型",
    "全重": "权重",
    "您": "你",
}
_COLLOQUIAL = re.compile("|".join(sorted(_PLAIN, key=len, reverse=True)))
# 么 that ends a question is 吗; in 什么, 怎么, 这么 it is part of the word. So is 不 or 没 behind what is asked.
_ASKING = re.compile(r"(?<=[\u3400-\u9fff])(?<![什怎这那多要])么(?=\W*$|[\s,，。?？!！])")
_OR_NOT = re.compile(r"(?<=[\u3400-\u9fff]{3})(?<![是好要会能可对行有还也都就又])[不没](?=[?？!！。\s]*$)")


@cache
def _simple() -> dict[int, int]:
    pairs = _TRADITIONAL.read_text(encoding="utf-8").split()
    return {ord(pair[0]): ord(pair[1]) for pair in pairs}


def simplified(text: str) -> str:
    """The text in simplified characters."""
    return text.translate(_simple())


def folded(text: str) -> str:
    """The text in simplified characters, with plain words for colloquial ones; everything else as it was."""
    text = _COLLOQUIAL.sub(lambda match: _PLAIN[match[0]], simplified(text))
    return _OR_NOT.sub("吗", _ASKING.sub("吗", text))
