"""What a user can mend: one sentence says what is wrong and one says the way out, in each language.

Others import from here alone; the files inside hold the sentences, sorted by what went wrong.
"""

from __future__ import annotations

import re
import string
import unicodedata

from tools.errors.asked import ASKED
from tools.errors.command import COMMAND
from tools.errors.contents import CONTENTS
from tools.errors.files import FILES
from tools.errors.hub import HUB
from tools.errors.named import NAMED
from tools.errors.reasons import REASONS, UNNAMED

__all__ = ["LANGUAGES", "REASONS", "TEXTS", "Cancelled", "UserError", "printable"]

LANGUAGES = ("en", "zh")

# Letters and marks that draw nothing; a name made of them would look empty, or like another name.
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
# Control, format (bidirectional, zero-width, tags), surrogate, private and unassigned characters.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})

TEXTS = NAMED | HUB | FILES | CONTENTS | ASKED | COMMAND


class Cancelled(Exception):
    """The user pressed Stop."""


class UserError(Exception):
    """Something that the user can mend; `say` words it. Raises KeyError for a kind that has no text."""

    def __init__(self, kind: str, **facts: object) -> None:
        """Keep the kind and its facts; facts may be hostile, they are made printable when worded."""
        if kind not in TEXTS:
            raise KeyError(kind)
        super().__init__(kind, facts)
        self.kind = kind
        self.facts = facts

    def say(self, language: str = "en") -> tuple[str, str]:
        """Return what is wrong and the way out, one sentence each; English unless the language is "zh"."""
        language = language if language in LANGUAGES else "en"
        message, remedy = TEXTS[self.kind][language]
        return self._word(message, language), self._word(remedy, language)

    def as_dict(self, language: str = "en") -> dict[str, str]:
        """Return the record that the command line and the page hand on."""
        message, remedy = self.say(language)
        return {"kind": self.kind, "message": message, "remedy": remedy}

    def __str__(self) -> str:
        return " ".join(self.say())

    def _word(self, template: str, language: str) -> str:
        words = {}
        for _, field, _, _ in string.Formatter().parse(template):
            if field is None:
                continue
            fact = self.facts.get(field)
            if fact is None:
                words[field] = UNNAMED[field][language]
            elif field == "why" and fact in REASONS:
                words[field] = REASONS[str(fact)][language]
            else:
                words[field] = printable(fact)
        return template.format(**words)


def printable(text: object, limit: int = 80) -> str:
    """Return the text on one line of at most `limit` characters, without what hides, moves or reorders text.

    Control, bidirectional, zero-width and unassigned characters go; any space becomes one plain space.
    A long text keeps its beginning and its end; an empty one becomes a question mark.
    """
    # The scan is bounded, so that a name of 100 MB costs no more than a long one.
    raw = str(text)
    raw = raw if len(raw) <= 8 * limit else raw[: 4 * limit] + "…" + raw[-4 * limit :]
    kept = []
    for character in raw:
        category = unicodedata.category(character)
        if category[0] == "Z" or character in "\t\n\r":
            kept.append(" ")
        elif category not in _UNPRINTABLE and not _INVISIBLE.match(character):
            kept.append(character)
    clean = " ".join("".join(kept).split())
    if len(clean) > limit:
        head = (limit - 1) // 2
        clean = clean[:head] + "…" + clean[len(clean) - (limit - 1 - head) :]
    return clean or "?"
