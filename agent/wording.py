"""Numbers, odds, sentences and passages as a reader sees them; foreign text made harmless on the way."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from agent.fairness import heated_words
from agent.phrases import say
from tools.errors import printable

# A passage is an answer, not an article: longer ones are cut at the end of a sentence.
LONGEST_PASSAGE = {"en": 1100, "zh": 420}


def odds(log10_pvalue: float, language: str) -> str:
    """How often chance alone would do as well, in words of everyday life."""
    if log10_pvalue > -1:
        return say(language, "odds_often")
    if log10_pvalue > -4:
        exact = 10**-log10_pvalue
        scale = 10 ** (len(str(int(exact))) - 1)
        return say(language, "odds_plain", times=f"{int(exact // scale * scale):,}")
    return say(language, "odds_power", power=math.floor(-log10_pvalue))


def number(value: float) -> str:
    """A number as a reader writes it: three digits, no exponent unless it must be."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 0.001:
        # Three digits could turn "nearly all" into "all".
        short = f"{value:.3g}"
        return f"{value:.6g}" if abs(value) < 1 and float(short) == 1 else short
    power = math.floor(math.log10(abs(value)))
    return f"{value / 10**power:.2g} × 10^{power}"


def size(count: float) -> str:
    """Bytes as kB, MB or GB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count:.0f} B"


def share(value: float) -> str:
    """A share in percent, without a zero behind the point."""
    return f"{100 * value:.0f}%" if 100 * value >= 10 else f"{100 * value:z.1f}".removesuffix(".0") + "%"


def passage_text(text: object, language: str) -> str:
    """A passage of our articles as plain Markdown without tags, images, links or heated words; cut after a sentence."""
    clean = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", str(text))
    clean = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", clean)
    clean = re.sub(r"<[^<>]{0,400}>", "", clean)
    lines = []
    for line in clean.splitlines():
        kept = [sentence for sentence in sentences(line) if not heated_words(sentence, quoted_is_fine=True)]
        lines.append(_join(kept, line))
    clean = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    limit = LONGEST_PASSAGE["zh" if language == "zh" else "en"]
    if len(clean) <= limit:
        return clean
    cut = clean[:limit]
    end = max(cut.rfind(mark) for mark in (". ", ".\n", "? ", "! ", "。", "？", "！"))
    return cut[: end + 1].strip() if end > limit // 3 else cut.rsplit(" ", 1)[0] + " …"


def _join(kept: Sequence[str], line: str) -> str:
    return line if "".join(kept) == line else "".join(kept).strip()


def sentences(text: str) -> list[str]:
    """The sentences of a line, each with the space that follows it."""
    return [
        piece
        for piece in re.split(r"(?<=[.!?])(?=\s+[A-Z\"“'(\[*])|(?<=[。！？；])(?![”’」』）])(?![^（）]*）)", text)
        if piece
    ]


def first_sentences(text: str, count: int) -> str:
    """The first sentences of a text, without Markdown's marks for lists."""
    flat = re.sub(r"\s*\n\s*(?:[-*] |\d+\. )?", " ", text.strip())
    # What Chinese divides by a semicolon may be told alone, but then it ends the sentence.
    return re.sub("；$", "。", "".join(sentences(flat)[:count]).strip())


def with_mark(text: str, mark: str) -> str:
    """A text with what it cites behind it; Chinese needs no space there."""
    return f"{text}[{mark}]" if text.rstrip()[-1:] in "。！？；：”）" else f"{text} [{mark}]"


def marked(text: str, mark: str) -> str:
    """The mark behind every paragraph."""
    return "\n\n".join(with_mark(block.rstrip(), mark) for block in text.split("\n\n") if block.strip())


def paragraphs(parts: Sequence[str], between: str = "\n\n") -> str:
    return between.join(part.strip() for part in parts if part and part.strip())


def is_about(wanted: float, held: object) -> bool:
    """Whether a number as a person writes it is this one, up to rounding, sign, or percent."""
    if not isinstance(held, (int, float)):
        return False
    return any(abs(abs(wanted) - abs(scaled)) <= max(0.006 * abs(scaled), 1e-9) for scaled in (held, 100 * held))


def foreign_as_code(text: str, finding: Mapping[str, Any]) -> str:
    where = finding.get("where")
    renames = where.get("renames") if isinstance(where, Mapping) else None
    foreign = {printable(pair[side]) for pair in renames or () for side in ("a", "b") if side in pair} - {""}
    for name in sorted(foreign, key=len, reverse=True):
        text = re.sub(rf"(?<![\w`]){re.escape(name)}(?![\w`])", lambda match: _short_code(match[0]), text)
    return text


def _short_code(name: str) -> str:
    return "`" + printable(name, 40).replace("`", "'") + "`"
