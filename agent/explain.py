"""The reply to a turn, in plain words: verdicts, follow-ups, articles, questions back, and the talk around them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from agent import settings
from agent.cues import cue
from agent.evidence import harmless, model_name, title_of
from agent.fairness import heated_words
from agent.follow_ups import FollowUps
from agent.phrases import knows, say
from agent.turns import Turn
from agent.verdicts import Report, Spoken
from agent.wording import (
    first_sentences,
    marked,
    paragraphs,
    passage_text,
    with_mark,
)
from lessons.reading import NAMES
from lessons.reading import lesson as read
from lessons.run import taught
from lessons.taught import Row
from tools.errors import UserError

MOST_OPTIONS = 5


def explain(turn: Turn, report: Report | None = None) -> Spoken:
    """The reply to a turn whose tools have run."""
    spoken = Speaker(turn, report or _report()).reply()
    text = spoken.text
    if turn.intent.foreign:
        text = say(turn.intent.language, "foreign") + "\n\n" + text
    options = tuple(dict.fromkeys(spoken.options))[:MOST_OPTIONS]
    return Spoken(text.strip(), spoken.asks, options, spoken.answer)


def framed(turn: Turn, words: str, report: Report | None = None) -> str:
    """A language model's checked words between the verdict and its limits, which are always worded by code."""
    return Speaker(turn, report or _report()).framed(words)


def _report() -> Report:
    from tools import report

    return report


class Speaker(FollowUps):
    """Whoever answers a turn; `on_KIND` answers the intent of that kind."""

    def reply(self) -> Spoken:
        """The reply to the turn."""
        kind = self.intent.kind
        if any(done.stopped for done in self.turn.done):
            return Spoken(self.say("stopped"))
        measured = [done for done in self.turn.done if done.tool != "search_articles"]
        failed = next((done for done in measured if done.error is not None), None)
        if failed is not None and not any(done.error is None for done in measured):
            return self.failed(failed)
        if kind == "compare" and self.results:
            return self.compared(failed)
        for tool, tell in (("behave", self.behave), ("stress", self.stress), ("describe", self.describe)):
            records = [done.artifact for done in measured if done.tool == tool and done.error is None]
            if records:
                return tell(records)
        if kind in ("article", "closed", "people") and not any(d.tool == "search_articles" for d in self.turn.done):
            return self.not_covered()
        handler: Callable[[], Spoken] = getattr(self, f"on_{kind}", self.on_help)
        return handler()

    # --- what is written ---

    def on_article(self) -> Spoken:
        word = self.say(f"word_{self.intent.about}") if knows(f"word_{self.intent.about}") else ""
        if not self.passages and not word and self.before.results:
            return self.asks(self.say("no_article_result"), self.chips("sure", "why", "limits", "report"))
        if not self.passages:
            return Spoken(word, False, self.chips("help")) if word else self.not_covered()
        return Spoken(self.told(word), False, self.chips("wrapping", "case", "help"))

    def told(self, opening: str) -> str:
        """What the articles say: the best one's answer, what it does not mean, and where else to read."""
        first = self.passages[0]
        text = passage_text(first.get("text", ""), self.language)
        if self.intent.depth == "one_sentence":
            return paragraphs([opening, with_mark(first_sentences(text, 1), "K1")])
        parts = [opening, marked(text, "K1")]
        caveat = first_sentences(passage_text(first.get("caveat", ""), self.language), 2)
        if caveat:
            parts.append(with_mark(self.say("not_meaning", text=caveat), "K1"))
        if len(self.passages) > 1:
            second = self.passages[1]
            lead = passage_text(second.get("text", ""), self.language)
            if not cue("difference").search(self.intent.question):
                lead = first_sentences(lead, 2)
            parts.append(with_mark(f"**{harmless(title_of(second, self.language), 120)}** {lead}", "K2"))
        parts.append(self.read_more())
        return paragraphs(parts)

    def on_lesson(self) -> Spoken:
        record = next((d.artifact for d in self.turn.done if d.tool == "lesson" and d.error is None), None)
        if record is None:
            return self.not_covered()
        lesson = taught(record, self.language)
        steps = [self.say("lesson_step", title=step.title, minutes=step.minutes) for step in lesson.steps]
        rows = [self._lesson_row(row) for row in lesson.rows]
        parts = [
            f"**{lesson.title}**",
            lesson.summary,
            self.say("lesson_plan", minutes=lesson.minutes),
            "\n".join(f"{place}. {step}" for place, step in enumerate(steps, 1)),
            self.say("lesson_measured"),
            "\n".join(f"- {row}" for row in rows),
            self.say("not_meaning", text=lesson.limits),
            self.say("lesson_sheets", name=lesson.name),
            self.read_more(),
        ]
        others = [read(name, self.language)["title"] for name in NAMES if name != lesson.name]
        return Spoken(paragraphs(parts), False, tuple(self.say("chip_lesson", title=title) for title in others))

    def _lesson_row(self, row: Row) -> str:
        facts = {"a": model_name(row.a), "b": model_name(row.b), "answer": row.word}
        return (
            self.say("lesson_row_base", base=model_name(row.base), **facts)
            if row.base
            else self.say("lesson_row", **facts)
        )

    def on_closed(self) -> Spoken:
        name = harmless(self.intent.about, 40)
        opening = self.say("closed", name=name)
        if not self.passages:
            return Spoken(paragraphs([opening, self.own_files()]), False, self.chips("help"))
        lead = first_sentences(passage_text(self.passages[0].get("text", ""), self.language), 3)
        parts = [opening, with_mark(lead, "K1"), self.own_files(), self.read_more()]
        return Spoken(paragraphs(parts), False, self.chips("examples", "help"))

    def on_people(self) -> Spoken:
        parts = [self.preamble(), self.say("people")]
        if self.passages:
            lead = first_sentences(passage_text(self.passages[0].get("text", ""), self.language), 2)
            parts.append(with_mark(lead, "K1"))
        parts += [self.say("people_next"), self.read_more()]
        return Spoken(paragraphs(parts), False, self.chips("limits") if self.before.results else self.chips("help"))

    def not_covered(self) -> Spoken:
        """No article answers the question, and nothing is made up."""
        parts = [self.preamble() if self.intent.kind == "people" else ""]
        if self.intent.kind == "people":
            parts += [self.say("people"), self.say("people_next")]
        elif self.intent.kind == "closed":
            parts += [self.say("closed", name=harmless(self.intent.about, 40)), self.own_files()]
        else:
            word = f"word_{self.intent.about}"
            parts += [self.say(word)] if knows(word) else [self.say("no_article"), self.own_files()]
        return Spoken(paragraphs(parts), False, self.chips("help", "examples", "wrapping"))

    def own_files(self) -> str:
        """What whoever has the files of two models can do here."""
        return self.say("only_exhibits") if settings.only_exhibits() else self.say("own_files", **self.example())

    # --- questions back, and the conversation itself ---

    def example(self) -> dict[str, str]:
        """Two shipped models to ask about."""
        a, b = settings.main_pair()
        return {"a": model_name(a), "b": model_name(b)}

    def asks(self, text: str, options: Sequence[str] = ()) -> Spoken:
        """A question back."""
        return Spoken(paragraphs([self.preamble(), text]), True, tuple(options))

    def on_ask_other(self) -> Spoken:
        name = self.intent.models[0]
        if not settings.allowed(name):
            # Which other model is meant need not be asked where this one will not be opened.
            refusal = UserError("not_allowed", name=name).say(self.language)
            return Spoken(paragraphs([self.preamble(), self.joined(refusal)]), False, self.chips("examples", "help"))
        if self.intent.about == "merge":
            return self.asks(self.say("ask_parents", name=model_name(name)))
        if self.intent.about == "behave":
            return self.asks(self.say("ask_other_behave", name=model_name(name)), self.intent.choices)
        chips = [self.say("chip_compare", a=name, b=choice) for choice in self.intent.choices]
        chips.append(self.say("chip_describe", name=name))
        if not self.intent.choices:
            return self.asks(self.say("ask_other", name=model_name(name)), chips)
        choices = self.say("or").join(model_name(choice) for choice in self.intent.choices[:3])
        return self.asks(self.say("ask_other_from", name=model_name(name), choices=choices), chips)

    def on_ask_models(self) -> Spoken:
        if self.intent.about in ("describe", "stress"):
            return self.asks(self.say("ask_model", a=self.example()["a"]))
        if self.intent.about == "report" and self.before.trouble:
            return self.on_trouble()
        if self.intent.about == "report":
            return self.asks(self.say("nothing_measured"), self.chips("examples"))
        a, b = settings.main_pair()
        text = self.say("ask_models_exhibits" if settings.only_exhibits() else "ask_models", **self.example())
        return self.asks(text, self.chips("compare", a=a, b=b) + self.chips("examples"))

    def on_unclear(self) -> Spoken:
        about, _, guesses = self.intent.about.partition(":")
        if about == "result" and guesses:
            return self.asks(self.say("ask_meant"), self.kinds_as_chips(guesses.split(",")))
        if about == "result":
            return self.asks(self.say("ask_about_result"), self.chips("sure", "why", "limits", "report"))
        if "|" in self.intent.about:
            return self.asks(self.say("ask_meant"), self.kinds_as_chips(self.intent.about.split("|")))
        if not self.intent.choices:
            return self.asks(self.say("ask_wish"), self.chips("examples", "help"))
        choices = self.say("or").join(model_name(choice) for choice in self.intent.choices)
        return self.asks(self.say("ask_which", choices=choices), self.intent.choices)

    def kinds_as_chips(self, kinds: Sequence[str]) -> tuple[str, ...]:
        """What one would say to ask for each of these kinds; what to ask instead where there are no such words."""
        a, b = settings.main_pair()
        asked = {"result": "simple", "number": "engineer", "article": "wrapping", "ask_models": "compare"}
        keys = [asked.get(kind, kind) for kind in kinds]
        # Which lesson is meant is asked of those who want one.
        known = [self.say(f"chip_{key}", a=a, b=b, name=a) for key in keys if knows(f"chip_{key}") and key != "lesson"]
        return (*known, *self.chips("help"))

    def on_token(self) -> Spoken:
        """How to show a model that not everybody may see; and that what was pasted here was taken out."""
        where = "token_exhibits" if settings.only_exhibits() else "token"
        parts = [self.preamble(), self.say(where)]
        return Spoken(paragraphs(parts), False, self.chips("help", "examples"))

    def on_cancel(self) -> Spoken:
        return Spoken(self.say("cancelled"), False, self.chips("help"))

    def on_no_thanks(self) -> Spoken:
        return Spoken(
            self.say("no_thanks"),
            False,
            self.chips("sure", "why", "limits") if self.results or self.before.results else (),
        )

    def on_pressure(self) -> Spoken:
        heated = heated_words(self.turn.said[-1] if self.turn.said else "")
        parts = [self.say("quoted_word", word=heated[0])] if heated else []
        parts.append(self.say("pressed"))
        if not self.results:
            return Spoken(paragraphs([*parts, self.say("pressed_nothing")]), False, self.chips("examples", "help"))
        summary = self.report.summary(dict(self.main), self.language)
        told = self.say("pressed_result", headline=self.headline(self.main, summary))
        parts.append(self.joined([told, self.ids_of(self.main)]))
        return Spoken(paragraphs(parts), False, self.chips("sure", "why", "limits"), str(self.main["answer"]))

    def on_language(self) -> Spoken:
        if self.intent.about == "other":
            chips = self.chips("sure", "why") if self.results else self.chips("help")
            return Spoken(self.say("other_language"), False, chips)
        if self.intent.about == "again" and self.results:
            return self.follow_up([self.verdict(self.main, self.intent.depth)], "sure", "why", "limits")
        if self.intent.about == "again" and self.passages:
            return Spoken(self.told(""), False, self.chips("help"))
        opening = self.say("language_now") if self.intent.about == "from_now_on" else ""
        if opening:
            return Spoken(
                opening, False, self.chips("sure", "why") if self.before.results else self.chips("help", "examples")
            )
        return self.on_help()

    def on_help(self) -> Spoken:
        own = self.say("only_exhibits" if settings.only_exhibits() else "help_own")
        text = self.say("help", own=own, who=settings.badge(self.language), **self.example())
        a, b = settings.main_pair()
        return Spoken(text, False, self.chips("compare", a=a, b=b) + self.chips("examples", "wrapping", "case"))

    def on_examples(self) -> Spoken:
        exhibits = settings.shelf().exhibits
        if not exhibits:
            return Spoken(self.say("no_examples"), False, self.chips("help"))
        lines = [
            f"- {harmless(exhibit, 40)}: " + self.say("comma").join(model_name(path) for path in models.values())
            for exhibit, models in exhibits.items()
        ]
        a, b = settings.main_pair()
        text = self.say("examples", list="\n".join(lines), **self.example())
        return Spoken(text, False, self.chips("compare", a=a, b=b) + self.chips("help"))

    def on_small_talk(self) -> Spoken:
        words = (self.turn.said[-1] if self.turn.said else "").lower()
        if re.search(r"\b(?:bye|goodbye|see you|good night)\b|再见|拜拜|晚安", words):
            return Spoken(self.say("bye"))
        if re.search(r"how are you|how'?s it going", words):
            return Spoken(self.say("fine"), False, self.chips("help", "examples"))
        if re.search(
            r"\b(?:hi+|hello+|hey+|hiya|greetings|morning|evening|afternoon)\b|你好|您好|嗨|哈喽|大家好|在吗|早安|早上|下午|晚上",
            words,
        ):
            a, b = settings.main_pair()
            return Spoken(
                self.say("hello", **self.example()), False, self.chips("compare", a=a, b=b) + self.chips("help")
            )
        return Spoken(
            self.say("thanks"), False, self.chips("sure", "why") if self.before.results else self.chips("help")
        )

    def on_off_topic(self) -> Spoken:
        if self.passages:
            return Spoken(self.told(""), False, self.chips("help"))
        chips = ("sure", "why", "limits", "help") if self.before.results else ("help", "examples", "wrapping")
        return Spoken(self.say("off_topic"), False, self.chips(*chips))

    def on_empty(self) -> Spoken:
        return self.asks(self.say("empty", **self.example()), self.chips("help", "examples"))

    def on_unreadable(self) -> Spoken:
        return self.asks(self.say("unreadable", **self.example()), self.chips("help", "examples"))

    def on_too_long(self) -> Spoken:
        from agent.intent import LONGEST_MESSAGE

        return Spoken(self.say("too_long", limit=f"{LONGEST_MESSAGE:,}"), False, self.chips("help"))

    def on_code(self) -> Spoken:
        return Spoken(self.say("code", **self.example()), False, self.chips("help", "examples"))
