"""The words for answers, findings and changes, in English and Chinese. Both languages move together; a test holds it.

Others import from here alone; the files inside are sorted by what they word.
"""

from tools.words.abstentions import ABSTENTIONS
from tools.words.answers import ANSWERS, NEXT, NEXT_IF_UNDECIDED, NEXT_WITH_BASE, SCALE, STRENGTHS
from tools.words.background import BACKGROUND
from tools.words.changes import CHANGE_DETAILS, CHANGES, DIRECTIONS
from tools.words.findings import REASONS, TOKENIZERS
from tools.words.forms import code, correlation, percent
from tools.words.headings import TEXT
from tools.words.help import HELP
from tools.words.models import AMOUNTS, DESCRIBED, DISGUISES, amount_word
from tools.words.probes import PROBES

__all__ = [
    "ABSTENTIONS",
    "AMOUNTS",
    "ANSWERS",
    "BACKGROUND",
    "CHANGES",
    "CHANGE_DETAILS",
    "DESCRIBED",
    "DIRECTIONS",
    "DISGUISES",
    "HELP",
    "NEXT",
    "NEXT_IF_UNDECIDED",
    "NEXT_WITH_BASE",
    "PROBES",
    "REASONS",
    "SCALE",
    "STRENGTHS",
    "TEXT",
    "TOKENIZERS",
    "amount_word",
    "code",
    "correlation",
    "percent",
]
