"""What a message asks for, by fixed rules: a pure function of its text and of what was said before. No model name is
guessed."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from itertools import pairwise

from agent.cues import PLACE, beginning, cue, ending, filler, nothing_but, our_words, place
from agent.intent import FOLLOW_UPS, Depth, Intent
from agent.language import Language, is_only_a_wish, language_named, spelt_out
from agent.memory import Memory
from agent.naming import Named, find_names, parted, with_adapters
from agent.secrecy import TAKEN_OUT
from agent.shelf import Called, Shelf, find_shipped
from knowledge.chinese import folded
from tools.sources.hub_names import hub_name

# More candidates than this in one question would make the reader wait for minutes.
MOST_CANDIDATES = 4
# Words whose patterns are whole questions: about this program, or one that every visitor has.
WHOLE_QUESTIONS = frozenset(("network", "privacy", "same_data", "same_seed"))
# So many models may be named as what one model was merged from.
MOST_PARENTS = 8
# A longer message tells a story; whether it is about our last result must then be said in it.
SHORT_WORDS = 24

_CODE = re.compile(
    r"```|^\s*(?:def |class |import |from \w+ import |#include|function |const |let |var |public |SELECT "
    r"|<\?php|<html|<script)",
    re.MULTILINE,
)


# A result that somebody wrote down for us is no question and no result.
_PASTED = re.compile(r"^\s*(?:\[(?:tool|system)\]|</?(?:tool|system|function)\w*>|\{\s*[\"'])")


@dataclass(frozen=True)
class Message:
    """A message made ready: its models in order, and its text with a mark in the place of each name."""

    text: str
    masked: str
    names: tuple[str, ...]
    called: Called

    def has(self, *names: str) -> bool:
        """Whether one of these cues is in the message."""
        return any(cue(name).search(self.masked) for name in names)

    def is_only(self, name: str, also: str = "") -> bool:
        """Whether the message is made of these phrases alone."""
        return nothing_but(name, also).match(self.masked) is not None

    @property
    def wants_everything(self) -> bool:
        """Whether all weights are to be read, not a sample of them."""
        return self.has("read_everything") and not self.has("not_everything", "cost", "cost_ahead")

    @property
    def stands_alone(self) -> bool:
        """Whether it is a question about the world, which no result of ours answers."""
        ours = self.has("of_our_result") or (self.has("merged") and self.has("it"))
        return self.words > 5 and self.has("topic") and not ours

    @property
    def words(self) -> int:
        """How many words it has; a Chinese character counts as one."""
        return len(re.findall(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+", self.masked))


def ready(text: str, memory: Memory, shelf: Shelf) -> Message:
    names: list[str] = []
    pieces, at = [], 0
    for named in _separate(text, find_names(text, shelf)):
        if named.name not in names:
            names.append(named.name)
        pieces += [text[at : named.start], f" {place(names.index(named.name))} "]
        at = named.end
    masked = folded(unicodedata.normalize("NFKC", "".join(pieces) + text[at:]))
    masked = re.sub(r"[ \t]+", " ", spelt_out(masked.replace("’", "'").replace("‘", "'"))).strip()
    if not any(nothing_but(name).match(masked) for name in ("small_talk", "yes", "no")):
        masked = beginning("greeting").sub("", filler().sub("", masked))
    # An answer to a question of ours, or to a name that was not found, may be the bare name of a folder.
    bare = bool(memory.waiting or memory.not_found)
    called = find_shipped(masked, names, shelf, memory.exhibit if memory.models else None, bare)
    return Message(text, called.masked, called.names, called)


def _separate(text: str, found: list[Named]) -> list[Named]:
    """The names with every base and its adapter as one; in 'a merge of Y+Z' each of the two is a parent."""
    if not cue("merge").search(text) or cue("adapter").search(text):
        return with_adapters(text, found)
    return parted(found) if len(found) < 3 else found


def decide(message: Message, memory: Memory, shelf: Shelf, wish: Language | None) -> Intent:
    if not message.text:
        return Intent("empty")
    if TAKEN_OUT in message.text and not message.names:
        return Intent("token", about="written")
    if not re.search(r"[^\W_]", message.text):
        return Intent("help") if message.text in ("?", "？") else Intent("unreadable")
    if _PASTED.match(message.text):
        return Intent("code")
    if message.called.unclear and not message.names:
        return Intent("unclear", choices=message.called.unclear, about="compare")
    if message.names:
        intent = _with_names(message, memory, shelf)
        same_pair = intent.kind == "compare" and intent.base is None and set(intent.models) == set(memory.models[:2])
        if same_pair and memory.results and message.has("reversed"):
            intent = Intent("direction")
        return replace(intent, depth=_depth(message))
    if _CODE.search(message.text) and "?" not in message.text.splitlines()[0]:
        return Intent("code")
    intent = _about_the_thread(message, memory, wish) or _about_results(message, memory) or _without_models(message)
    if intent == Intent("off_topic") and memory.results and message.words <= SHORT_WORDS // 2:
        # So short a message is most likely about the result, but not in words that are known here.
        intent = Intent("unclear", about="result")
    return replace(intent, depth=_depth(message))


def _depth(message: Message) -> Depth:
    depths: tuple[Depth, ...] = ("child", "engineer", "one_sentence")
    for depth in depths:
        if message.has(depth):
            return depth
    return "ordinary"


# --- messages that name models ---------------------------------------------------------------------------------------


def _with_names(message: Message, memory: Memory, shelf: Shelf) -> Intent:
    """A message that names at least one model."""
    names, base = _base(message)
    if message.has("negated") and not message.wants_everything:
        return _what_instead(message, names, base, memory, shelf)
    if message.has("cost_ahead"):
        return Intent("cost", about="ahead", models=names[:2])
    short = message.words <= SHORT_WORDS // 4 and not message.has("describe", "stress", "behave", "copy")
    mended = message.has("correction", "replaced") or (short and bool(memory.not_found))
    if mended and memory.models and (corrected := _corrected(message, names, memory)):
        return replace(corrected, base=base or memory.base)
    if base is not None and not names:
        if len(memory.models) > 1:
            return Intent("compare", models=memory.models[:2], base=base, parents=memory.parents)
        return _one_model((base,), None, message, memory, shelf)
    if (merge := _merge(names, message, memory)) is not None:
        return replace(merge, base=base)
    if len(names) == 1:
        return _one_model(names, base, message, memory, shelf)
    if message.has("behave") and not message.has("behaves_as"):
        return Intent("behave", models=names[:2])
    if message.has("describe") and not message.has("copy"):
        return Intent("describe", models=names[:MOST_CANDIDATES])
    if message.has("bigger"):
        return Intent("describe", models=names[:2], about="size")
    if message.has("stress_by_name"):
        return Intent("stress", models=names[:2])
    return Intent("compare", models=_suspect_first(message, names), base=base)


def _what_instead(message: Message, names: tuple[str, ...], base: str | None, memory: Memory, shelf: Shelf) -> Intent:
    """'Don't compare X, just describe it': what is wanted stands behind what is not."""
    pieces = cue("only_then").split(message.masked, maxsplit=1)
    rest = pieces[-1] if len(pieces) > 1 else ""
    if not cue("negated").search(rest):
        for kind in ("describe", "stress", "behave", "compare"):
            if cue("copy" if kind == "compare" else kind).search(rest):
                if kind in ("compare", "behave") and len(names) < 2:
                    return _one_model(names, base, message, memory, shelf)
                return Intent(kind, models=names, base=base if kind == "compare" else None)
    return Intent("cancel", models=names)


def _base(message: Message) -> tuple[tuple[str, ...], str | None]:
    """Take the model that is named as the common base out of the others."""
    then = r"(?:\s|,|，|the|model|of)*"
    for match in reversed(list(re.finditer(PLACE, message.masked))):
        said = ending("base_before", then).search(message.masked[: match.start()])
        after = message.masked[match.end() :].lstrip(" )）")
        # 'Are both copies of Z' and 'is X based on Y' are questions, not the naming of a base.
        if said and len(message.names) < 3 and cue("base_of_both").search(said[0]):
            said = None
        behind = cue("base_after").match(after)
        if said or behind:
            chosen = message.names[int(match[0].strip("\x02"))]
            return tuple(name for name in message.names if name != chosen), chosen
    return message.names, None


def _merge(names: tuple[str, ...], message: Message, memory: Memory) -> Intent | None:
    """'Is X a merge of Y and Z?': the child, and all its parents; None where the message asks something else."""
    if memory.waiting == "merge" and len(names) > 1 and memory.awaiting[0] not in names:
        names = (*memory.awaiting, *names)
    elif not message.has("merge") or message.has("behave", "stress_by_name") or not names:
        return None
    before = memory.awaiting if memory.waiting == "merge" else memory.models[:2]
    pointed = bool(before) and message.has("it", "first") and before[0] not in names and _pronoun_first(message)
    if len(names) == 1 or (pointed and len(names) < MOST_PARENTS):
        if len(names) > 1:
            models = (before[0], *names)
        elif len(before) > 1 and names[0] not in before and not message.has("describe"):
            models = (*before, names[0])
        else:
            return None
    elif len(names) > 2:
        child = cue("merge_into").search(message.masked)
        number = int(re.findall(PLACE, child[0])[-1].strip("\x02")) if child else -1
        last = message.names[number] if child else ""
        models = (last, *(name for name in names if name != last)) if last in names else names
    else:
        return None
    return Intent("compare", models=models[:2], parents=models[2 : 1 + MOST_PARENTS])


def _suspect_first(message: Message, names: tuple[str, ...]) -> tuple[str, ...]:
    """Order the models: the one that is asked about, then those it is held against."""
    if len(names) == 2:
        return (names[1], names[0]) if message.has("passive", "source_first") else names
    marks = [place(message.names.index(name)) for name in names]
    places = [message.masked.find(mark) for mark in marks]
    between = [message.masked[a + len(mark) : b] for mark, (a, b) in zip(marks, pairwise(places), strict=False)]
    joined = [not piece.strip() or nothing_but("joined").match(piece.strip()) is not None for piece in between]
    if message.has("which_of") and joined[0] and not joined[-1]:
        names = (names[-1], *names[:-1])
    return names[: MOST_CANDIDATES + 1]


def _one_model(names: tuple[str, ...], base: str | None, message: Message, memory: Memory, shelf: Shelf) -> Intent:
    """A message that names exactly one model: is the other one plain from what was said, or must it be asked for?"""
    name, before, copying = names[0], memory.models, message.has("copy")
    choices = tuple(dict.fromkeys((*shelf.siblings(name), *(m for m in before if m != name))))[:MOST_CANDIDATES]
    ask = Intent("ask_other", models=names, choices=choices, base=base)
    if message.has("stress") and not (copying and before):
        return Intent("stress", models=names)
    closed = cue("closed").search(message.masked)
    if closed and (copying or message.has("check")):
        return Intent("closed", about=closed[0], models=names)
    if memory.waiting and not message.has("describe"):
        return _answered(name, memory, ask)
    other = _pointed_at(message, memory, name)
    if other is not None and (copying or message.has("and_this")):
        pair = (other, name) if _pronoun_first(message) else (name, other)
        return Intent("behave", models=pair) if message.has("behave") else Intent("compare", models=pair, base=base)
    if copying and len(before) > 1 and message.has("also") and name not in before:
        return Intent("compare", models=(name, before[1]), base=base)
    if before and message.has("and_this", "same_question") and not message.has("describe"):
        if memory.last_kind in ("describe", "stress") and not copying:
            return Intent(memory.last_kind, models=names)
        same = message.has("same_question") or _another_version(name, before[0])
        if same and len(before) > 1 and name != before[1]:
            return Intent("compare", models=(name, before[1]), base=base)
        if name != before[0]:
            return Intent("compare", models=(before[0], name), base=base)
    if message.has("describe") and not copying:
        return Intent("describe", models=names)
    if message.has("merge") and not before:
        return replace(ask, about="merge")
    if message.has("behave"):
        both = len(before) > 1 and name in before
        return Intent("behave", models=before[:2]) if both else replace(ask, about="behave")
    return ask


def _another_version(name: str, other: str) -> bool:
    """Whether two names are of one repository of a hub, at different revisions."""
    found = hub_name(name), hub_name(other)
    return name != other and None not in found and len({(w.repository, w.path) for w in found if w}) == 1


def _answered(name: str, memory: Memory, ask: Intent) -> Intent:
    """A name given in answer to our question."""
    if memory.waiting in ("describe", "stress"):
        return Intent(memory.waiting, models=(name,))
    if memory.awaiting and name not in memory.awaiting:
        kind = "behave" if memory.waiting == "behave" else "compare"
        return Intent(kind, models=(memory.awaiting[0], name), base=ask.base if kind == "compare" else None)
    return replace(ask, about=memory.waiting if memory.waiting == "behave" else "")


def _pointed_at(message: Message, memory: Memory, name: str) -> str | None:
    """The model that 'it', 'the first one', 'the other' stands for beside a named one."""
    if len(memory.models) > 1 and message.has("second") and memory.models[1] != name:
        return memory.models[1]
    if memory.models and message.has("first", "it") and memory.models[0] != name:
        return memory.models[0]
    return None


def _pronoun_first(message: Message) -> bool:
    """Whether the pronoun stands before the name, and so is the model that is asked about."""
    found = [match.start() for name in ("it", "first", "second") if (match := cue(name).search(message.masked))]
    return bool(found) and min(found) < message.masked.find("\x02")


def _corrected(message: Message, names: tuple[str, ...], memory: Memory) -> Intent | None:
    """'No, I meant Z': the model named last before is replaced, or the one that is now said to be wrong."""
    before = list(memory.models[:2])
    kind = memory.last_kind if memory.last_kind in ("describe", "stress", "behave", "compare") else "compare"
    denied = re.compile(rf"(?:\bnot|instead of|rather than|不是)\s*({PLACE})", re.IGNORECASE)
    marks = {match[1] for match in denied.finditer(message.masked)}
    wrong = [name for name in names if name in before and place(message.names.index(name)) in marks]
    wrong = wrong or [name for name in before if name in memory.not_found]
    if not wrong and len(names) == 2 and message.has("replaced"):
        # 'Swap in Z for Y': the one of the two that was compared goes.
        wrong = [name for name in names if name in before] if len({*names} & {*before}) == 1 else []
    new = [name for name in names if name not in wrong]
    if not new:
        return None
    if memory.parents and kind == "compare" and len(new) == 1 and new[0] not in (*before, *memory.parents):
        # Of a merge the one that was named last is replaced, and the others stay.
        group = [*before, *memory.parents]
        group[group.index(wrong[0]) if wrong else 0 if message.has("first") else -1] = new[0]
        return Intent(kind, models=tuple(group[:2]), parents=tuple(group[2:]), corrected=True)
    if len(new) > 1:
        return Intent(kind, models=tuple(new[:2]), corrected=True)
    if memory.waiting and memory.awaiting:
        # 'It should be Z' also answers our question; only a plain no takes back what was named first.
        return Intent("ask_other", models=(new[0],), corrected=True) if message.has("plainly_wrong") else None
    if kind in ("describe", "stress") or len(before) < 2:
        return Intent(kind if kind in ("describe", "stress") else "ask_other", models=(new[0],), corrected=True)
    if new[0] in before:
        return Intent("ask_other", models=(new[0],), corrected=True) if wrong else None
    before[before.index(wrong[0]) if wrong else 0 if message.has("first") else 1] = new[0]
    return Intent(kind, models=tuple(before), corrected=True)


# --- messages about the conversation so far --------------------------------------------------------------------------


def _about_the_thread(message: Message, memory: Memory, wish: Language | None) -> Intent | None:
    """Answers to what we offered or asked, and orders about the models named before."""
    models = memory.models
    if wish is None and message.has("other_language") and message.words <= SHORT_WORDS // 2:
        return Intent("language", about="other")
    if wish is not None and is_only_a_wish(message.masked):
        return Intent("language", about="again" if message.has("language_again") else "from_now_on")
    if message.is_only("yes", also="thanks"):
        if memory.offer is not None:
            return Intent(memory.offer, models=memory.offer_models)
        if memory.results and message.has("why"):
            return None
        return Intent("small_talk") if message.is_only("small_talk") else Intent("unclear", about="yes")
    if message.is_only("no", also="thanks"):
        return Intent("no_thanks")
    if (picked := _picked(message, memory)) is not None:
        return _answered(picked, memory, Intent("ask_other", models=(picked,), choices=memory.choices))
    negated = message.has("negated") and not message.wants_everything
    if (negated or message.has("not_everything")) and len(message.masked) < 80:
        return Intent("cancel")
    if len(message.masked) > 160 or message.has("cases", "lesson") or message.stands_alone:
        return None
    if message.wants_everything:
        return _read_everything(memory)
    if message.has("bigger"):
        pair = len(models) > 1
        return Intent("describe", models=models[:2], about="size") if pair else Intent("ask_models", about="size")
    pronoun = message.has("it", "them", "first", "second", "again")
    if message.has("swap") and len(models) > 1 and not (memory.results and message.has("reversed")):
        return Intent("compare", models=(models[1], models[0]), base=memory.base, parents=memory.parents)
    if message.has("behave") and not message.has("told") and (pronoun or message.has("test")):
        return Intent("behave", models=models[:2]) if len(models) > 1 else Intent("ask_models", about="behave")
    if memory.looked_at and memory.last_kind == "stress" and message.has("tried"):
        return Intent("what_if")
    if models and not memory.results and message.has("merged") and message.has("it"):
        return Intent("ask_other", models=(memory.looked_at or models[0],), about="merge")
    if message.has("stress") and not message.has("what_if", "asks_what") and (pronoun or message.has("stress_by_name")):
        return _on_one("stress", message, memory)
    asked_otherwise = message.has("told", "result", "plot", "sure", "cost", "sources", "changes")
    if message.has("describe") and pronoun and models and not asked_otherwise:
        return _on_one("describe", message, memory)
    # 'Again in English' is about words; 'could an expert do it again' is a question.
    told_again = wish is not None or language_named(message.masked) is not None
    again = message.has("again") and message.has("measure_again") and not message.has("reproduce") and not told_again
    if again and memory.trouble and models and memory.last_kind in ("describe", "stress"):
        return Intent(memory.last_kind, models=models[:1])
    if (again and len(models) > 1) or (message.has("compare_them") and not message.has("asks_how")):
        if len(models) < 2:
            return Intent("ask_models")
        about = "again" if again else ""
        return Intent("compare", models=models[:2], base=memory.base, parents=memory.parents, about=about)
    return None


def _read_everything(memory: Memory) -> Intent:
    """'Read all of it this time': the last comparison once more, unless all weights were read for it."""
    if memory.read_whole:
        return Intent("cost", about="whole")
    if len(memory.models) < 2:
        return Intent("ask_models")
    return Intent("compare", models=memory.models[:2], base=memory.base, parents=memory.parents)


def _picked(message: Message, memory: Memory) -> str | None:
    """The choice of ours that 'the first one' or the bare last part of a name stands for."""
    if not memory.waiting or not memory.choices:
        return None
    for name in memory.choices:
        last = re.escape(re.split(r"[\\/]", name)[-1])
        if re.fullmatch(rf"(?:the )?{last}(?: one| model)?[.!。]?", message.masked, re.IGNORECASE):
            return name
    order = [n for n, ordinal in enumerate(("first", "second", "third")) if message.has(ordinal)]
    short = len(message.masked) <= 40 and order and order[0] < len(memory.choices)
    return memory.choices[order[0]] if short else None


def _on_one(kind: str, message: Message, memory: Memory) -> Intent:
    """Describe or stress a model that is only pointed at."""
    models = memory.models
    if not models:
        return Intent("ask_models", about=kind)
    if message.has("them"):
        return Intent(kind, models=models[:2])
    if message.has("second") and len(models) > 1:
        return Intent(kind, models=(models[1],))
    if message.has("first") or len(models) == 1:
        return Intent(kind, models=(models[0],))
    if memory.looked_at:
        return Intent(kind, models=(memory.looked_at,))
    return Intent("unclear", about=kind, choices=models[:2])


def _about_results(message: Message, memory: Memory) -> Intent | None:
    """Questions about what was measured; they are answered from the findings, nothing is run again."""
    masked, of_ours = message.masked, message.has("of_ours")
    # A question about a public case is no question about our result, even if it begins with 'why'.
    if not memory.results or message.has("lesson", "off_topic") or (message.has("cases") and not of_ours):
        return None
    if (own := _our_word(message)) in WHOLE_QUESTIONS:
        return Intent("article", about=own)
    if message.has("pressure") and not message.has("sure", "next"):
        return Intent("pressure", pressed=True)
    if message.has("people"):
        return Intent("people")
    if message.has("token"):
        return Intent("token")
    if message.has("cost_ahead") and not message.has("cost"):
        return Intent("cost", about="ahead")
    if message.has("examples", "help") or (message.words > SHORT_WORDS and not of_ours):
        return None
    word = _our_word(message)
    if word and _asks_for_word(message):
        return Intent("article", about=word)
    if check := _checked_in(message):
        return Intent("number", about=check)
    if message.stands_alone and not message.has("what_if"):
        return None
    if message.has("what_it_means"):
        return Intent("result")
    depth = _depth(message)
    if depth == "engineer" and not message.has("asks_what"):
        return Intent("result" if message.has("show") or not message.has("why") else "why")
    if finding := re.search(r"\bE(\d{1,2})\b", masked):
        return Intent("number", about=finding[0])
    if reason := _reason_in(message):
        return Intent("number", about=reason)
    if message.has("reversed"):
        return Intent("direction")
    written = _number_in(masked)
    held = written is not None and memory.holds(written)
    bare = held and message.words <= SHORT_WORDS // 2 and not message.has(*FOLLOW_UPS)
    if bare or (message.has("number") and (written is None or held)):
        return Intent("number", about="" if written is None else f"{written:g}")
    for kind in FOLLOW_UPS[:-1]:
        if message.has(kind):
            return Intent(kind)
    if depth != "ordinary" and message.words <= SHORT_WORDS // 2 and not _general(message):
        return Intent("result")
    return None


def _reason_in(message: Message) -> str:
    """Which of our numbered reasons is pointed at, as "R2"; "" where none is."""
    if message.words > SHORT_WORDS // 2:
        return ""
    order = enumerate(("first", "second", "third"), 1)
    return next((f"R{number}" for number, word in order if message.has(f"reason.{word}")), "")


# What decides nothing, and is asked about all the same.
CHECKED = ("same_tokenizer", "same_configuration", "tensor_names", "norm_gains", "code_likeness")


def _checked_in(message: Message) -> str:
    """The check that tells whether something which decides nothing is alike in the two models; "" for none."""
    if message.words > SHORT_WORDS // 2 or not message.has("likeness") or message.has("asks_in_general"):
        return ""
    return next((name for name in CHECKED if message.has(f"checked.{name}")), "")


def _general(message: Message) -> bool:
    """Whether a wish for simple words comes with a question of its own."""
    rest = message.masked
    for depth in ("child", "engineer", "one_sentence"):
        rest = cue(depth).sub(" ", rest)
    return cue("domain").search(rest) is not None and cue("general_question").search(rest) is not None


def _asks_for_word(message: Message) -> bool:
    """Whether a word of ours is asked for: "what is a unit?", and hardly more than the word, "and hidden units?"."""
    return message.has("asks_what") or (message.words <= 6 and message.has("and_that"))


def _our_word(message: Message) -> str:
    return next((key for key, pattern in our_words() if pattern.search(message.masked)), "")


def _number_in(masked: str) -> float | None:
    if power := re.search(r"\b10 ?(?:\^|的负?) ?([-−]?\d+)", masked, re.ASCII):
        return float(power[1].replace("−", "-"))
    found = re.search(r"(?<![\w\x02])-?\d+(?:\.\d+)?(?![\w\x02])", masked, re.ASCII)
    return float(found[0]) if found else None


# --- messages that name no model and are not about what was measured -------------------------------------------------


def _without_models(message: Message) -> Intent:
    story = message.has("cases")
    if message.is_only("small_talk"):
        return Intent("small_talk")
    if not story and message.has("token"):
        return Intent("token")
    if not story and message.has("cost_ahead"):
        return Intent("cost", about="ahead")
    if not story and message.has("help") and not _our_word(message):
        return Intent("help")
    if not story and message.has("examples") and not message.has("lesson"):
        return Intent("examples")
    closed = cue("closed").search(message.masked)
    if closed and message.has("check") and not story and not message.has("closed_story"):
        return Intent("closed", about=closed[0])
    if message.has("lesson"):
        return Intent("lesson")
    if not story and message.has("pressure"):
        return Intent("pressure", pressed=True)
    if not story and message.has("people"):
        return Intent("people")
    if not story and message.has("off_topic") and not message.has("a_model"):
        return Intent("off_topic", about="sure")
    if not story and message.has("method"):
        return Intent("article", about="method")
    if not story and message.has("trust"):
        return Intent("article", about="trust")
    word = _our_word(message)
    if word in WHOLE_QUESTIONS:
        return Intent("article", about=word)
    if not story and message.has("report") and len(message.masked) < 40 and not message.has("a_model"):
        return Intent("ask_models", about="report")
    if message.has("asks_to_compare"):
        return Intent("ask_models")
    if message.has("asks_to_run") and message.has("behave") and not message.has("told"):
        return Intent("ask_models", about="behave")
    if message.has("check") and message.has("model_x_and_y") and not message.has("about_publishing"):
        return Intent("ask_models")
    if message.words <= SHORT_WORDS // 2 and message.has("limits") and not message.has("topic", "domain"):
        return Intent("limits")
    if message.words <= 6 and message.has(*FOLLOW_UPS) and not message.has("topic", "domain"):
        return Intent("ask_models", about="report")
    if story or word or message.has("domain") or (message.has("asks_what") and len(message.masked) < 60):
        return Intent("article", about=word if _asks_for_word(message) else "")
    return Intent("off_topic")


# --- a kind that was recognised otherwise ----------------------------------------------------------------------------


def of_kind(kind: str, message: Message, memory: Memory, shelf: Shelf, wish: Language | None) -> Intent | None:
    """The intent of this kind for a message, with the models it means; None where the message does not fit the kind."""
    names, base = _base(message) if message.names else ((), None)
    depth = _depth(message)
    if kind in FOLLOW_UPS:
        if kind == "number":
            written = _number_in(message.masked)
            if check := next((name for name in CHECKED if message.has(f"checked.{name}")), ""):
                return Intent(kind, about=check)
            return Intent(kind, about="" if written is None else f"{written:g}", depth=depth)
        if kind == "cost" and not memory.results:
            return Intent(kind, about="ahead")
        return Intent(kind, depth=depth) if memory.results or kind == "limits" else None
    if kind in ("compare", "behave", "ask_other"):
        return _pair_of_kind(kind, message, memory, shelf, names, base, depth)
    if kind in ("describe", "stress"):
        if names:
            return Intent(kind, models=names[:MOST_CANDIDATES])
        waits_for = memory.awaiting if memory.waiting else ()
        return Intent(kind, models=waits_for) if waits_for else _on_one(kind, message, memory)
    if kind == "closed":
        closed = cue("closed").search(message.masked)
        return Intent(kind, about=closed[0], models=names) if closed else None
    if kind == "language":
        about = "again" if message.has("language_again") else "from_now_on"
        return Intent(kind, about=about) if wish or language_named(message.masked) else None
    if kind == "article":
        return Intent(kind, about=_our_word(message) if _asks_for_word(message) else "", depth=depth)
    return Intent(kind, pressed=kind == "pressure", depth=depth)


def _pair_of_kind(
    kind: str,
    message: Message,
    memory: Memory,
    shelf: Shelf,
    names: tuple[str, ...],
    base: str | None,
    depth: Depth,
) -> Intent | None:
    """A comparison or a behaviour test, with as many of its two models as the message and the memory tell."""
    before = memory.models[:2]
    if kind == "compare" and (merge := _merge(names, message, memory)) is not None:
        return replace(merge, base=base, depth=depth)
    if len(names) > 1:
        if kind == "behave":
            return Intent(kind, models=names[:2])
        return Intent("compare", models=_suspect_first(message, names), base=base, depth=depth)
    if len(names) == 1 and kind != "ask_other":
        pair = _one_of_two(names[0], message, memory)
        if pair is not None:
            return Intent(kind, models=pair, base=base if kind == "compare" else None, depth=depth)
    if names:
        choices = tuple(dict.fromkeys((*shelf.siblings(names[0]), *(m for m in before if m != names[0]))))
        about = "behave" if kind == "behave" else ""
        return Intent("ask_other", models=names, choices=choices[:MOST_CANDIDATES], base=base, about=about)
    if kind == "ask_other":
        return None
    if memory.waiting and (picked := _picked(message, memory)) is not None:
        return _answered(picked, memory, Intent("ask_other", models=(picked,), choices=memory.choices))
    if kind == "behave" and not message.has("behave", "test"):
        # Heard as a yes: to what was offered, whatever that was.
        return Intent(memory.offer, models=memory.offer_models) if memory.offer else Intent("unclear", about="yes")
    if len(before) < 2:
        return Intent("ask_models", about="behave" if kind == "behave" else "")
    if kind == "behave":
        return Intent(kind, models=before, depth=depth)
    if message.has("swap"):
        before = (before[1], before[0])
    return Intent(kind, models=before, base=base or memory.base, parents=memory.parents, depth=depth)


def _one_of_two(name: str, message: Message, memory: Memory) -> tuple[str, str] | None:
    """The pair that one named model makes with what was spoken of; None where nothing was."""
    before = memory.models[:2]
    if memory.waiting and memory.awaiting and name not in memory.awaiting:
        return memory.awaiting[0], name
    other = _pointed_at(message, memory, name)
    if other is not None:
        return (other, name) if _pronoun_first(message) else (name, other)
    if not before:
        return None
    if name != before[0]:
        return before[0], name
    return (name, before[1]) if len(before) > 1 else None
