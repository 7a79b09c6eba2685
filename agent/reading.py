"""What a message asks for: fixed rules first, and what was learned from labelled examples where it disagrees."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from agent import phrasings, rules
from agent.cues import PLACE
from agent.intent import FOLLOW_UPS, LONGEST_MESSAGE, Intent
from agent.language import Language, language_named, language_of, language_wish
from agent.memory import Memory
from agent.naming import visible
from agent.settings import shelf as shipped
from agent.shelf import Shelf

if TYPE_CHECKING:
    from agent.classifier import Classifier, Sample

log = logging.getLogger(__name__)

# Below this lead of the best kind over the second, the best was right in fewer than half of the cases that the
# classifier had not seen (decision 0050): then it is better to ask.
LEAST_LEAD = 0.02
# A best score below this was right in fewer than two of three cases: the message is unlike anything that was learned.
LEAST_SCORE = 0.35
# After a comparison, where rules and examples differ, a low best score was right in half of the cases, and the truth
# among the best three in most (decision 0096): these are offered.
DOUBTFUL_SCORE = 0.4
GUESSES = 3
# Kinds that mean the same at any stage of a conversation.
_AT_ANY_STAGE = frozenset(("off_topic", "article", "help", "examples", "lesson", "closed", "people", "small_talk"))
# Kinds that a message after a comparison may be taken for by mistake; other kinds need words of their own.
_ABOUT_RESULTS = frozenset((*FOLLOW_UPS, "compare", "describe", "stress", "behave", "article"))
# Kinds that set off minutes of work.
_MEASURING = frozenset(("compare", "describe", "stress", "behave"))
# Kinds that are seen from the form of a message, not from its words.
_BY_FORM = frozenset(("empty", "unreadable", "too_long", "code", "unclear"))
_WITH_NAMES = frozenset(("compare", "describe", "stress", "behave", "ask_other", "cancel", "closed"))
# What may be asked about models by their names, once they were compared.
_OF_COMPARED = frozenset((*FOLLOW_UPS, "article", "people"))
_NEEDS_MODELS = frozenset(("compare", "describe", "stress", "behave", "ask_other", "no_thanks"))


def read(
    message: str,
    memory: Memory | None = None,
    *,
    shelf: Shelf | None = None,
    hint: str | None = None,
    learned: bool = True,
) -> Intent:
    """What `message` asks for, given what was said before. `hint`: the page's language, used when a text shows none.

    `learned` False: by the rules alone, for as long as the examples are not learned yet.
    """
    memory, shelf = memory or Memory(), shelf or Shelf()
    # Of a message that is too long only the language matters, and its beginning shows that.
    read_to = LONGEST_MESSAGE if len(message) <= LONGEST_MESSAGE else 400
    ready = rules.ready(visible(message[:read_to]).strip(), memory, shelf)
    language, foreign = language_of(re.sub(PLACE, " ", ready.masked))
    wish = language_wish(ready.masked)
    if len(message) > LONGEST_MESSAGE:
        intent = Intent("too_long")
    else:
        intent = rules.decide(ready, memory, shelf, wish)
        if learned and not foreign and not _is_settled(intent, ready, memory):
            intent = _learned(intent, ready, memory, shelf, wish)
    if intent.kind == "language":
        wish = wish or language_named(ready.masked)
    settled = wish or memory.wish or language or memory.language or ("zh" if hint == "zh" else "en")
    meant = (*ready.names, *intent.models, *((intent.base,) if intent.base else ()), *intent.parents)
    return replace(
        intent,
        language=settled,
        foreign=foreign,
        wish=wish,
        named=tuple(dict.fromkeys(meant)),
        exhibit=ready.called.exhibit,
        full=intent.kind == "compare" and ready.wants_everything,
        question=ready.text[:400],
        # 'Can I say that they copied?' asks before it says so.
        pressed=intent.pressed or (intent.kind != "next" and ready.has("pressure")),
    )


def _is_settled(intent: Intent, message: rules.Message, memory: Memory) -> bool:
    """Whether the form of a message, or what was said before it, leaves no doubt about what the rules found."""
    if intent.kind == "article" and intent.about:
        # It asks for a word of ours.
        return True
    if (intent.kind == "number" and intent.about[:1].isalpha()) or (intent.kind, intent.about) == ("language", "other"):
        return True
    once_more = intent.kind == "compare" and intent.about == "again"
    if intent.kind == "token" or once_more or intent.about in ("ahead", "whole", "size") or message.wants_everything:
        return True
    if intent.kind in _BY_FORM:
        return intent.kind != "unclear" or intent.about == "yes" or (bool(intent.choices) and intent.about == "compare")
    answers = any(message.is_only(word, also="thanks") for word in ("yes", "no"))
    # A name alone after our question is the answer; a name alone is no request.
    if (intent.kind == "ask_models" and message.has("asks_to_compare")) or intent.about == "merge":
        return True
    if intent.kind == "direction" and message.names:
        return True
    bare = bool(message.names) and not re.sub(rf"{PLACE}|\W", "", message.masked)
    if intent.kind == "cancel" and message.has("not_everything"):
        return True
    # The examples know of comparisons that went well; what follows on other work is for the rules.
    looked_at = intent.models == (memory.looked_at,) or intent.kind == "what_if"
    other_work = memory.last_kind in ("describe", "stress") and (bool(message.names) or looked_at)
    return intent.corrected or answers or bare or other_work or message.has("negated") or memory.trouble is not None


def _learned(intent: Intent, message: rules.Message, memory: Memory, shelf: Shelf, wish: Language | None) -> Intent:
    """The rules' intent, or that of another kind which the examples speak for more."""
    sample = _sample(message, memory, intent.kind)
    compared = bool(memory.results) and {*message.names} <= {*memory.models[:2]}
    scores = {k: s for k, s in classifier().scores(sample).items() if _may_be(k, sample, compared)}
    ranked = sorted(scores, key=scores.__getitem__, reverse=True)
    best, second = ranked[:2]
    if best == intent.kind:
        return intent
    unlike = scores[best] < LEAST_SCORE
    if (intent.about == "report" or intent.choices) and scores[best] < DOUBTFUL_SCORE:
        # It sounds like a question about a result, and there is none yet; or it leaves open which model is meant.
        return intent
    unheard_of = sample.stage == "result" and not message.names and intent == Intent("off_topic")
    about_results = sample.stage == "result" and not message.names and intent.kind != "off_topic"
    if about_results and best in _ABOUT_RESULTS and scores[best] < DOUBTFUL_SCORE:
        return _guesses(ranked)
    if unlike and unheard_of and best != "off_topic":
        # Words that are not known here, after a comparison: most likely about it.
        return _guesses(ranked)
    if unlike and (intent.kind in ("off_topic", "unclear") or best in _MEASURING):
        return intent
    if scores[best] - scores[second] < LEAST_LEAD and not message.names:
        return Intent("unclear", about=f"{best}|{second}")
    other = rules.of_kind(best, message, memory, shelf, wish)
    return intent if other is None else other


def _guesses(ranked: Sequence[str]) -> Intent:
    """A question back with the likeliest follow-ups as choices."""
    return Intent("unclear", about="result:" + ",".join([kind for kind in ranked if kind in FOLLOW_UPS][:GUESSES]))


def _may_be(kind: str, sample: Sample, compared: bool = False) -> bool:
    """Whether a kind is possible at this stage with so many names; `compared`: of the models that were compared."""
    if sample.names:
        if compared and sample.stage == "result" and kind in _OF_COMPARED:
            return True
        one_alone = sample.names == 1 and sample.stage == "new" and kind == "compare"
        return kind in _WITH_NAMES and not one_alone and not (sample.names > 1 and kind == "ask_other")
    if sample.stage == "new":
        return kind not in _NEEDS_MODELS and (kind not in FOLLOW_UPS or kind in ("limits", "cost"))
    return kind != "ask_models" and not (kind == "ask_other" and sample.stage == "result")


def _sample(message: rules.Message, memory: Memory, rule: str) -> Sample:
    from agent.classifier import Sample

    stage = "asked" if memory.waiting else "result" if memory.results else "new"
    return Sample(re.sub(PLACE, " MODEL ", message.masked), stage, min(len(message.names), 2), rule)


# --- learning --------------------------------------------------------------------------------------------------------

_LOCK = threading.Lock()
_READY = threading.Event()


def is_ready() -> bool:
    """Whether the examples are learned; `warm_up` sees to that."""
    return _READY.is_set()


def warm_up(wait: bool = False) -> threading.Thread:
    """Learn the examples beside whatever else goes on."""
    thread = threading.Thread(target=classifier, name="phrasings", daemon=True)
    thread.start()
    if wait:
        thread.join()
    return thread


def classifier() -> Classifier:
    """The classifier, fitted on the first call: about three seconds."""
    with _LOCK:
        fitted = _fitted()
    _READY.set()
    return fitted


@cache
def _fitted() -> Classifier:
    from agent.classifier import Classifier

    shelf, stages = shipped(), contexts()
    taught = [p for p in (*phrasings.labelled(), *phrasings.patterns()) if p.kind not in _BY_FORM]
    taught += [replace(p, context="result") for p in taught if p.kind in _AT_ANY_STAGE and p.context == "new"]
    samples = []
    for example in taught:
        memory = stages[example.context]
        ready = rules.ready(visible(example.message).strip(), memory, shelf)
        found = "" if example.tuned else rules.decide(ready, memory, shelf, language_wish(ready.masked)).kind
        samples.append(_sample(ready, memory, found))
    return Classifier(samples, [example.kind for example in taught])


def contexts() -> Mapping[str, Memory]:
    """What was said before the examples, by the word that stands for it in their files."""
    suspect, original, stranger = (f"exhibits/llama3v/{role}" for role in ("suspect", "original", "stranger"))
    # Numbers as they stand in results; a question may repeat one.
    numbers = {"numbers": [0.998, 1.0, 1408, 4, 0.01, -2969.0]}
    compared = Memory(
        models=(suspect, original),
        exhibit="llama3v",
        last_kind="compare",
        offer="behave",
        offer_models=(suspect, original),
        results=(numbers,),
        latest=1,
    )
    return {
        "new": Memory(),
        "result": compared,
        "apart": replace(compared, models=(stranger, original), offer=None, offer_models=()),
        "asked": Memory(
            models=(suspect,),
            exhibit="llama3v",
            last_kind="ask_other",
            waiting="compare",
            awaiting=(suspect,),
            choices=(stranger, original),
        ),
    }
