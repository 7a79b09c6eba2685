"""Which language a text is written in, and which one it asks for."""

from __future__ import annotations

import re
from typing import Literal

from agent.cues import cue, plain_words

Language = Literal["en", "zh"]

_ZH_SIGNS = frozenset("是的吗么了什怎吧呢和有这那哪我你请为不能个在也都就")
# Words that people of every language type; alone they do not say which language is wanted.
_NEUTRAL = frozenset(("ok", "okay", "yes", "no", "y", "n", "hm", "hmm", "lol"))
_CONTRACTIONS = (
    "what's who's how's where's that's there's here's don't doesn't didn't isn't aren't wasn't weren't can't couldn't "
    "wouldn't shouldn't won't haven't hasn't hadn't i'm i've they're they've they'd you're you've you'd let's"
)
# What is typed in haste, with what the cues hold.
_SPELT_OUT = {
    **{word.replace("'", ""): word for word in _CONTRACTIONS.split()},
    **{"u": "you", "r": "are", "ur": "your", "pls": "please", "plz": "please", "abt": "about", "cuz": "because"},
    **{"dunno": "don't know", "wanna": "want to", "gonna": "going to", "gotta": "got to", "kinda": "kind of"},
    "dl": "download",
}
_IN_HASTE = re.compile(rf"(?<![\w/'.-])(?:{'|'.join(_SPELT_OUT)})(?![\w/'.-])", re.IGNORECASE | re.ASCII)
_HAN = "\u3400-\u9fff\uf900-\ufaff"


def language_of(text: str) -> tuple[Language | None, bool]:
    """The language of a text without its model names, None where it shows none; and whether it is a third language."""
    latin = re.findall(r"[^\W\d_]+", re.sub(rf"[\u2e80-\u2fff{_HAN}\uac00-\ud7af]", " ", text.lower()))
    han = re.findall(rf"[{_HAN}]", text)
    if re.search(r"[\u3040-\u30ff\uac00-\ud7af]", text):
        return None, True
    other = [word for word in latin if not re.match(r"[a-zà-ÿ]+$", word)]
    if len(other) > len(han) and len(other) * 2 >= len(latin):
        return None, True
    english = sum(word in plain_words("english") for word in latin)
    if not han and sum(word in plain_words("foreign") for word in latin) > english:
        return None, True
    if not han and all(word in _NEUTRAL for word in latin):
        return None, False
    signs = sum(character in _ZH_SIGNS for character in han)
    return ("zh" if len(han) + 2 * signs > len(latin) + 2 * english else "en"), False


def spelt_out(text: str) -> str:
    """The text with words that are typed in haste (whats, u, dont) as the cues hold them."""
    return _IN_HASTE.sub(lambda match: _SPELT_OUT[match[0].lower()], text)


def language_wish(text: str) -> Language | None:
    """The language that the reply is asked to be in; None where the text does not ask."""
    match = cue("language_wish").search(text)
    if match is None or cue("language_as_kind").search(text):
        return None
    word = next(group for group in match.groups() if group).lower()
    return "en" if word in ("english", "英文", "英语") else "zh"


def language_named(text: str) -> Language | None:
    """The language that a text names, however it asks for it."""
    english, chinese = (re.search(words, text, re.I) for words in (r"english|英文|英语", r"chinese|mandarin|中文|汉语"))
    return None if (english is None) == (chinese is None) else "en" if english else "zh"


def is_only_a_wish(text: str) -> bool:
    """Whether a text asks for a language and for little else."""
    rest = re.sub(r"\W", "", cue("language_wish").sub("", text))
    return len(rest) <= (8 if re.search(rf"[{_HAN}]", rest) else 24)
