"""Verdict and passages in plain words: the answer, how sure, why, what it does not mean, what to do next."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agent import settings
from agent.evidence import STRENGTHS, Cited, closest, harmless, layers, model_name, question_of, title_of
from agent.fairness import heated_words
from agent.memory import numbers_in
from agent.phrases import knows, say
from agent.turns import Done, Turn, offer_after
from tools.errors import printable

MOST_OPTIONS = 5
# A passage is an answer, not an article: longer ones are cut at the end of a sentence.
LONGEST_PASSAGE = {"en": 1100, "zh": 420}


# What is told of a model: the sentence, its blank, and the entry that fills it.
_SIZES = (
    ("d_layers", "layers", "layers"),
    ("d_width", "width", "hidden_size"),
    ("d_units", "units", "hidden_units"),
    ("d_vocabulary", "count", "vocabulary"),
)


class Report(Protocol):
    """What is needed of tools.report."""

    def summary(self, result: dict[str, Any], language: str) -> dict[str, Any]:
        """Word, icon, headline, strength, reasons, not_meaning, next."""

    def markdown(self, result: dict[str, Any], language: str) -> str:
        """The whole report."""


@dataclass(frozen=True)
class Spoken:
    """A reply before it is checked. `asks`: it is a question back. `options`: what one may say next."""

    text: str
    asks: bool = False
    options: tuple[str, ...] = ()
    answer: str | None = None


def explain(turn: Turn, report: Report | None = None) -> Spoken:
    """The reply to a turn whose tools have run."""
    spoken = _Speaker(turn, report or _report()).reply()
    text = spoken.text
    if turn.intent.foreign:
        text = say(turn.intent.language, "foreign") + "\n\n" + text
    options = tuple(dict.fromkeys(spoken.options))[:MOST_OPTIONS]
    return Spoken(text.strip(), spoken.asks, options, spoken.answer)


def framed(turn: Turn, words: str, report: Report | None = None) -> str:
    """A language model's checked words between the verdict and its limits, which are always worded by code."""
    return _Speaker(turn, report or _report()).framed(words)


def _report() -> Report:
    from tools import report

    return report


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
    return [piece for piece in re.split(r"(?<=[.!?])(?=\s+[A-Z\"“'(\[*])|(?<=[。！？；])(?![”’」』）])", text) if piece]


def first_sentences(text: str, count: int) -> str:
    """The first sentences of a text, without Markdown's marks for lists."""
    flat = re.sub(r"\s*\n\s*(?:[-*] |\d+\. )?", " ", text.strip())
    return "".join(sentences(flat)[:count]).strip()


class _Speaker:
    """One reply in the making; every method gives text or a Spoken in the reader's language."""

    def __init__(self, turn: Turn, report: Report) -> None:
        self.turn, self.intent, self.before = turn, turn.intent, turn.before
        self.language, self.report = turn.intent.language, report
        self.results, self.passages = turn.results, turn.passages
        self.cited: list[Cited] = turn.cited

    def say(self, key: str, **facts: object) -> str:
        """One of our sentences."""
        return say(self.language, key, **facts)

    def chips(self, *keys: str, **facts: object) -> tuple[str, ...]:
        """What one may say next."""
        return tuple(self.say(f"chip_{key}", **facts) for key in keys)

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
        if kind in ("article", "lesson", "closed", "people") and not any(
            d.tool == "search_articles" for d in self.turn.done
        ):
            return self.not_covered()
        handler: Callable[[], Spoken] = getattr(self, f"on_{kind}", self.on_help)
        return handler()

    def framed(self, words: str) -> str:
        """The words of a model between the verdict and its limits."""
        if not self.results:
            return _paragraphs([self.preamble(), words, self.read_more()])
        summary = self.report.summary(dict(self.main), self.language)
        limits = self.joined(_ends(summary["not_meaning"]))
        return _paragraphs(
            [
                self.preamble(),
                self.verdict(self.main, "one_sentence"),
                words,
                self.say("not_meaning", text=limits) if limits else "",
                self.read_more(),
                self.say("offer_behave") if self.intent.kind == "compare" and offer_after(self.main) else "",
            ]
        )

    # --- verdicts ---

    def compared(self, failed: Done | None) -> Spoken:
        """The verdict of this turn's comparison, or of each of several with the closest one explained."""
        best = closest(self.results)
        assert best is not None
        parts = [self.preamble()]
        if self.intent.corrected:
            pair = self.say("comma").join(model_name(name) for name in self.intent.models)
            parts.append(self.say("instead", list=pair))
        if len(self.results) > 1:
            parts.append(self.say("several", a=model_name(self.intent.models[0]), count=len(self.results)))
            rows = []
            for result in self.results:
                summary = self.report.summary(dict(result), self.language)
                rows.append(
                    f"- {model_name(result['b']['name'])}: {summary['icon']} **{summary['word']}** "
                    f"{self.ids_of(result)}"
                )
            parts.append("\n".join(rows))
        parts.append(self.verdict(best, self.intent.depth))
        if failed is not None:
            parts.append(self.error_text(failed))
        offer = offer_after(best)
        if offer and self.intent.depth != "one_sentence":
            parts.append(self.say("offer_behave"))
        chips = self.chips("sure", "why", "limits") + (self.chips("behave") if offer else self.chips("what_if"))
        return Spoken(_paragraphs(parts), False, chips + self.chips("report"), str(best["answer"]))

    def verdict(self, result: Mapping[str, Any], depth: str) -> str:
        """A result in words, at one of four depths."""
        summary = self.report.summary(dict(result), self.language)
        word, sentence, ids = summary["word"], self.headline(result, summary), self.ids_of(result)
        headline = f"{summary['icon']} **{word}.** {sentence} {ids}"
        if self.language == "zh":
            headline = f"{summary['icon']} **{word}。**{sentence}{ids}"
        if depth == "one_sentence":
            return headline
        not_meaning = self.joined(_ends(summary["not_meaning"]))
        if depth == "child":
            parts = [
                headline,
                self.say("child_picture"),
                self.say(f"child_{result['answer']}") + f" {self.ids_of(result)}",
            ]
            return _paragraphs([*parts, self.say("not_meaning", text=not_meaning) if not_meaning else ""])
        parts = [
            headline,
            self.say("sure", text=summary["strength"]) if summary["strength"] else "",
            _paragraphs([self.say("why"), self.reasons(result, summary)], "\n") if summary["reasons"] else "",
            self.about_units(result),
            self.changes(result, summary),
            _paragraphs([self.say("engineer"), self.table(result)], "\n") if depth == "engineer" else "",
            self.say("not_meaning", text=not_meaning) if not_meaning else "",
            self.say("next", text=summary["next"]) if summary["next"] else "",
            self.read_more(),
        ]
        return _paragraphs(parts)

    def reasons(self, result: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
        """The reasons as a list, each with the finding it speaks of."""
        ids = self.by_probe(result)
        lines: list[str] = []
        for place, reason in enumerate(summary["reasons"]):
            probe = _probe_of(reason, place, result, self.language)
            # A reason may quote names that the suspect chose; quoted as code they are no words of ours.
            text = _foreign_as_code(str(reason), result["findings"].get(probe) or {})
            if not heated_words(text, quoted_is_fine=True):
                mark = f"[{ids[probe]}]" if probe in ids else self.ids_of(result)
                lines.append(f"{len(lines) + 1}. {text} {mark}".rstrip())
        return "\n".join(lines[:3])

    def changes(self, result: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
        """What was done to the one to make the other, as far as it was measured; and which came first, if that is known."""
        changed = [harmless(phrase, 200) for phrase in summary.get("changes") or ()]
        lines = [self.say("changed", list=self.say("semicolon").join(changed))] if changed else []
        if result["direction"]["answer"] != "unknown" and summary.get("direction"):
            lines.append(self.say("came_first", text=self.as_code(result, str(summary["direction"]))))
        return _paragraphs([f"{line} {self.ids_of(result)}" for line in lines])

    def about_units(self, result: Mapping[str, Any]) -> str:
        """What hidden units are, where the reasons speak of them."""
        if not {"unit_order", "unit_partners"} & set(result["because"]):
            return ""
        return self.say("units_apart" if result["answer"] == "independent" else "units_linked")

    def headline(self, result: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
        """The headline with the names of the models as code."""
        return self.as_code(result, str(summary["headline"]))

    def as_code(self, result: Mapping[str, Any], text: str) -> str:
        """A sentence with the names of the models as code."""
        for name in sorted({_name_of(result, side) for side in ("a", "b", "base")} - {""}, key=len, reverse=True):
            text = re.sub(rf"(?<!`){re.escape(printable(name))}(?!`)", lambda match: model_name(match[0]), text)
        return text

    def table(self, result: Mapping[str, Any]) -> str:
        """Every finding with its numbers, for engineers."""
        lines = []
        for item in self.of(result):
            role = self.say("decides" if item.finding["role"] == "decides" else "only_context")
            if not item.measured:
                lines.append("- " + self.say("engineer_abstained", id=f"[{item.id}]", probe=item.probe, role=role))
                continue
            log10 = item.finding["log10_pvalue"]
            chance = "" if log10 is None else self.say("engineer_chance", log10=f"{log10:,.1f}")
            line = self.say(
                "engineer_line",
                id=f"[{item.id}]",
                probe=item.probe,
                role=role,
                number=number(item.finding["statistic"]),
                chance=chance,
                n=f"{item.finding['n']:,}",
            )
            series = layers(item.finding)
            if item.probe in ("unit_order", "unit_partners") and 0 < len(series) <= 40:
                line += "; " + self.say(
                    "layer_series", values=self.say("comma").join(number(value) for value in series)
                )
            lines.append("- " + line)
        return "\n".join(lines)

    def of(self, result: Mapping[str, Any]) -> list[Cited]:
        """The findings of one of the results."""
        return [item for item in self.cited if item.result is result]

    def by_probe(self, result: Mapping[str, Any]) -> dict[str, str]:
        """The id of each check of a result."""
        return {item.probe: item.id for item in self.of(result)}

    def ids_of(self, result: Mapping[str, Any], most: int = 3) -> str:
        """The ids of the findings that the rule leaned on, else of those that were measured and may decide."""
        ids = self.by_probe(result)
        leaned = [ids[probe] for probe in result["because"] if probe in ids]
        measured = [item.id for item in self.of(result) if item.measured]
        return "".join(f"[{id}]" for id in (leaned or measured or list(ids.values()))[:most])

    def preamble(self) -> str:
        """What must be said before an answer to a loaded question."""
        heated = heated_words(self.turn.said[-1] if self.turn.said else "")
        parts = [self.say("quoted_word", word=heated[0])] if heated else []
        if self.intent.pressed:
            parts.append(self.say("pressed"))
        return self.joined(parts)

    def read_more(self) -> str:
        """The articles that belong to a result."""
        if not self.passages:
            return ""
        items = [
            f"[K{place}] {harmless(title_of(passage, self.language), 120)}"
            for place, passage in enumerate(self.passages, 1)
        ]
        return self.say("read_more", list=" · ".join(items))

    def failed(self, done: Done) -> Spoken:
        """Nothing could be measured, and what the reader can do about it."""
        options = self.chips("examples", "help")
        return Spoken(_paragraphs([self.preamble(), self.error_text(done)]), False, options)

    def error_text(self, done: Done) -> str:
        """What went wrong and the way out."""
        error = done.error or {}
        if error.get("kind") == "not_named":
            return self.say("not_named")
        if not error.get("message"):
            return self.say("broken")
        return self.joined([harmless(error["message"]), harmless(error["remedy"]) if error.get("remedy") else ""])

    # --- other measurements ---

    def describe(self, records: Sequence[Mapping[str, Any]]) -> Spoken:
        """What models consist of."""
        parts = [self.preamble()]
        for place, record in enumerate(records, 1):
            facts = []
            parameters, tensors = record.get("parameters"), record.get("tensors")
            count = len(tensors) if isinstance(tensors, (list, dict)) else tensors
            if parameters:
                facts.append(self.say("d_parameters", count=f"{parameters:,}", tensors=f"{count or 0:,}"))
            else:
                facts.append(self.say("d_no_weights"))
            for key, name, field in _SIZES:
                if isinstance(record.get(field), (int, float)) and record[field]:
                    facts.append(self.say(key, **{name: f"{record[field]:,}"}))
            if record.get("dtypes"):
                kinds = record["dtypes"]
                types = self.say("comma").join(f"`{harmless(kind, 20)}`" for kind in list(kinds)[:4])
                facts.append(self.say("d_types", types=types))
            if record.get("format"):
                facts.append(self.say("d_format", format=f"`{harmless(record['format'], 20)}`"))
            if record.get("bytes"):
                facts.append(self.say("d_size", size=size(record["bytes"])))
            architecture = str(record.get("architecture") or "")
            if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,59}", architecture) and not heated_words(architecture):
                facts.append(self.say("d_architecture", architecture=f"`{architecture}`"))
            parts.append(f"{self.say('described', name=model_name(record.get('name')))} [E{place}]")
            parts.append("\n".join(f"- {fact}" for fact in facts))
        parts.append(self.say("d_claims"))
        name = str(records[-1].get("name"))
        chips = self.chips("stress", name=name) if len(name) < 60 else ()
        return Spoken(_paragraphs(parts), False, chips + self.chips("examples", "help"))

    def stress(self, records: Sequence[Mapping[str, Any]]) -> Spoken:
        """Which changes are seen through."""
        parts = [self.preamble()]
        for place, record in enumerate(records, 1):
            rows = [row for row in record.get("rows") or [] if isinstance(row, Mapping)]
            tried = [row for row in rows if row.get("recognised") is not None]
            kept = sum(bool(row["recognised"]) for row in tried)
            told = self.say("stressed", name=model_name(record.get("name")), count=len(tried), kept=kept)
            parts.append(f"{told} [E{place}]")
            parts.append("\n".join(f"- {self.change(row)}: {self.seen(row)}" for row in rows))
        parts.append(self.say("stressed_note"))
        return Spoken(_paragraphs(parts), False, self.chips("help", "examples"))

    def change(self, row: Mapping[str, Any]) -> str:
        """A change by its name and amount."""
        key = f"change_{row.get('perturbation')}"
        name = self.say(key) if knows(key) else f"`{harmless(row.get('perturbation'), 40)}`"
        amount = row.get("amount")
        if isinstance(amount, str):
            return name if amount == "all" else f"{name} (`{harmless(amount, 20)}`)"
        if not isinstance(amount, (int, float)):
            return name
        return f"{name} ({share(amount) if str(row.get('unit') or '').startswith('share') else number(amount)})"

    def seen(self, row: Mapping[str, Any]) -> str:
        """Whether a changed model was recognised: a sign and a word."""
        if row.get("recognised") is None:
            return f"– {self.say('not_applicable')}"
        return f"✓ {self.say('recognised')}" if row["recognised"] else f"✗ {self.say('missed')}"

    def behave(self, records: Sequence[Mapping[str, Any]]) -> Spoken:
        """How two models behave, beside a control."""
        record = records[-1]
        a, b = (model_name(name) for name in self.intent.models[:2])
        pair, control, noise = record.get("pair") or {}, record.get("control") or {}, record.get("noise_levels") or [0]
        lines, closer = [], []
        for key, series, level in (
            ("behaved_same", "agreement", 0),
            ("behaved_wrong", "share_of_wrong_the_same", 0),
            ("behaved_noise", "agreement", len(noise) - 1),
            ("behaved_divergence", "divergence_bits", 0),
        ):
            two, third = _at(pair, series, level), _at(control, series, level)
            if two is None:
                continue
            apart = series == "divergence_bits"
            shown = [
                self.say("nothing_to_count") if value is None else number(value) if apart else share(value)
                for value in (two, third)
            ]
            if third is not None:
                closer.append(two < third if apart else two > third)
            lines.append("- " + self.say(key, pair=shown[0], control=shown[1], b=b, noise=share(noise[-1])) + " [E1]")
        parts = [self.preamble(), self.say("behaved", a=a, b=b, count=len(record.get("items") or ())), "\n".join(lines)]
        if closer:
            parts.append(self.say("behaved_closer" if all(closer) else "behaved_not_closer") + " [E1]")
        parts.append(self.say("behaved_note"))
        chips = self.chips("sure", "limits", "report") if self.before.results else self.chips("help")
        return Spoken(_paragraphs(parts), False, chips)

    # --- questions about what was measured ---

    def about(self) -> str:
        """Which comparison a follow-up is about; said only where there were several."""
        if len(self.before.results) < 2 or not self.results:
            return ""
        result = self.main
        return self.say("about_pair", a=model_name(result["a"]["name"]), b=model_name(result["b"]["name"]))

    @property
    def main(self) -> Mapping[str, Any]:
        """The result that a follow-up is about."""
        best = closest(self.results)
        assert best is not None
        return best

    def follow_up(self, parts: Sequence[str], *chips: str) -> Spoken:
        """A reply from the findings."""
        text = _paragraphs([self.preamble(), self.about(), *parts])
        return Spoken(text, False, self.chips(*chips), str(self.main["answer"]))

    def on_result(self) -> Spoken:
        if self.before.trouble and not self.results:
            return self.on_trouble()
        if not self.results:
            return self.on_ask_models()
        return self.follow_up([self.verdict(self.main, self.intent.depth)], "sure", "why", "limits", "report")

    def on_trouble(self) -> Spoken:
        error = self.before.trouble or {}
        text = self.joined([harmless(error[part]) for part in ("message", "remedy") if error.get(part)])
        return Spoken(self.say("trouble", text=text), False, self.chips("examples", "help"))

    def on_sure(self) -> Spoken:
        result, summary = self.main, self.report.summary(dict(self.main), self.language)
        strength = result["strength"]
        parts = [summary["strength"]] if strength["words"] not in STRENGTHS else []
        if strength["words"] in STRENGTHS:
            parts.append(self.say("scale", word=self.say(f"strength_{strength['words']}")))
        ids, log10 = self.ids_of(result), strength["log10_pvalue"]
        if result["answer"] == "independent":
            parts.append(self.say("chance_fits", cite=ids))
        elif log10 is not None:
            parts.append(
                self.joined([self.say("chance", odds=odds(log10, self.language), cite=ids), self.say("not_percent")])
            )
        else:
            parts.append(self.say("chance_none"))
        if summary["not_meaning"]:
            parts.append(self.say("sure_limits", text=summary["not_meaning"][0]))
        return self.follow_up(parts, "why", "change_mind", "limits", "simple")

    def power(self, result: Mapping[str, Any]) -> str:
        """What would have been caught."""
        items = []
        for key, phrase in (
            ("largest_noise_caught", "power_noise"),
            ("largest_noise_caught_reordered", "power_reordered"),
        ):
            value = (result.get("power") or {}).get(key)
            if isinstance(value, (int, float)):
                items.append(self.say(phrase, amount=share(value)))
        return self.say("power", list=self.say("comma").join(items)) if items else self.say("power_unknown")

    def on_why(self) -> Spoken:
        if self.before.trouble:
            return self.on_trouble()
        if not self.results:
            return self.on_ask_models()
        result, summary = self.main, self.report.summary(dict(self.main), self.language)
        left_out = sum(not item.measured for item in self.of(result))
        parts = [self.headline(result, summary), self.reasons(result, summary), self.say("context")]
        if self.intent.depth == "engineer":
            parts.append(self.table(result))
        if left_out:
            parts.append(self.say("abstained", count=left_out) if left_out > 1 else self.say("abstained_one"))
        return self.follow_up([*parts, self.read_more()], "sure", "engineer", "limits", "change_mind")

    def question(self, item: Cited) -> str:
        """The question of a check in the reader's language."""
        return question_of(item.probe, self.language) or harmless(item.finding.get("question", item.probe))

    def unit(self, item: Cited) -> str:
        """The unit of a check in the reader's language."""
        key = f"unit_{item.probe}"
        return self.say(key) if knows(key) else harmless(item.finding.get("unit", ""), 120)

    def on_number(self) -> Spoken:
        items = [item for item in self.of(self.main) if item.measured]
        if self.intent.about.startswith("E"):
            items = [item for item in items if item.id == self.intent.about] or items
        elif self.intent.about:
            wanted = float(self.intent.about)
            for item in items:
                if _close(wanted, item.finding["statistic"]):
                    text = self.say(
                        "number_found",
                        number=self.intent.about,
                        question=self.question(item),
                        unit=self.unit(item),
                        cite=f"[{item.id}]",
                    )
                    return self.follow_up([text], "sure", "why", "engineer")
                log10 = item.finding["log10_pvalue"]
                if log10 is not None and (_close(wanted, log10) or math.floor(-log10) == abs(wanted)):
                    text = self.say(
                        "number_p", number=self.intent.about, odds=odds(log10, self.language), cite=f"[{item.id}]"
                    )
                    return self.follow_up([text, self.say("not_percent")], "sure", "why", "engineer")
            log10 = self.main["strength"]["log10_pvalue"]
            if log10 is not None and (_close(wanted, log10) or math.floor(-log10) == abs(wanted)):
                text = self.say(
                    "number_p", number=self.intent.about, odds=odds(log10, self.language), cite=self.ids_of(self.main)
                )
                return self.follow_up([text, self.say("not_percent")], "sure", "why", "engineer")
        known = self.intent.about[:1].isdigit() and any(
            _close(float(self.intent.about), held) for held in numbers_in(self.main)
        )
        opening = self.say("number_other", number=self.intent.about) if known else self.say("numbers")
        leaned = [item for item in items if item.probe in self.main["because"]] or items
        lines = []
        for item in leaned[:3]:
            log10 = item.finding["log10_pvalue"]
            line = self.say(
                "number_line" if log10 is None else "number_line_p",
                question=self.question(item) + (" " if self.language == "en" else ""),
                number=number(item.finding["statistic"]),
                unit=self.unit(item),
                **({} if log10 is None else {"odds": odds(log10, self.language)}),
            )
            lines.append(f"- {line} [{item.id}]")
        return self.follow_up([opening, "\n".join(lines)], "sure", "why", "engineer")

    def on_plot(self) -> Spoken:
        lines = []
        for item in self.of(self.main):
            series = layers(item.finding) if item.probe in ("unit_order", "unit_partners") else []
            if not series:
                continue
            middle = sorted(series)[len(series) // 2]
            facts = {"name": self.say(f"series_{item.probe}"), "middle": number(middle), "cite": f"[{item.id}]"}
            lines.append(
                self.say("plot_one", **facts)
                if len(series) == 1
                else self.say(
                    "plot_series", count=len(series), low=number(min(series)), high=number(max(series)), **facts
                )
            )
        if not lines:
            return self.follow_up([self.say("plot_none")], "why", "sure")
        return self.follow_up([self.say("plot"), "\n".join(f"- {line}" for line in lines)], "why", "sure", "engineer")

    def on_direction(self) -> Spoken:
        result, summary = self.main, self.report.summary(dict(self.main), self.language)
        way = result["direction"]["answer"]
        if result["answer"] == "independent":
            text = self.say("direction_none")
        elif way == "unknown":
            text = self.say("direction_unknown")
        else:
            names = {side: model_name(result[side]["name"]) for side in ("a", "b")}
            said = str(summary.get("direction") or "")
            text = self.as_code(result, said) if said else self.say(f"direction_{way}", **names)
        return self.follow_up([f"{text} {self.ids_of(result)}"], "why", "sure", "limits")

    def on_limits(self) -> Spoken:
        summary = self.report.summary(dict(self.main), self.language)
        lines = "\n".join(f"- {sentence}" for sentence in summary["not_meaning"])
        return self.follow_up(
            [self.say("not_meaning", text="").strip(), lines, self.read_more()], "next", "sure", "change_mind"
        )

    def on_next(self) -> Spoken:
        summary = self.report.summary(dict(self.main), self.language)
        parts = [summary["next"]]
        if self.before.offer == "behave":
            parts.append(self.say("offer_behave"))
            return self.follow_up(parts, "behave", "limits", "report")
        return self.follow_up(parts, "limits", "report")

    def on_change_mind(self) -> Spoken:
        answer = self.main["answer"]
        key = answer if answer in ("independent", "undecided") else "linked"
        parts = [self.say(f"change_mind_{key}")]
        if answer == "independent":
            parts.append(self.power(self.main))
        return self.follow_up([*parts, self.read_more()], "sure", "limits", "what_if")

    def on_what_if(self) -> Spoken:
        result, parts = self.main, []
        tried = self.before.stressed
        names = (result["a"]["name"], result["b"]["name"])
        if tried is not None and tried.get("name") in names:
            rows = [r for r in tried.get("rows") or [] if isinstance(r, Mapping) and r.get("recognised") is not None]
            kept = sum(bool(row["recognised"]) for row in rows)
            parts.append(self.say("what_if_measured", name=model_name(tried["name"]), count=len(rows), kept=kept))
            parts.append("\n".join(f"- {self.change(row)}: {self.seen(row)}" for row in rows))
            return self.follow_up(parts, "sure", "limits")
        parts.append(self.say("what_if_independent" if result["answer"] == "independent" else "what_if_linked"))
        noise = (result.get("power") or {}).get("largest_noise_caught")
        if isinstance(noise, (int, float)):
            parts.append(self.say("what_if_noise", amount=share(noise)))
        target = self.before.models[-1] if self.before.models else names[1]
        parts.append(self.say("offer_stress", name=model_name(target)))
        return self.follow_up(parts, "sure", "change_mind")

    def on_report(self) -> Spoken:
        text = self.report.markdown(dict(self.main), self.language)
        for finding in self.main["findings"].values():
            text = _foreign_as_code(text, finding)
        parts = [self.say("report_intro"), text]
        return self.follow_up(parts, "sure", "limits")

    # --- what is written ---

    def on_article(self) -> Spoken:
        word = self.say(f"word_{self.intent.about}") if knows(f"word_{self.intent.about}") else ""
        if not self.passages:
            return Spoken(word, False, self.chips("help")) if word else self.not_covered()
        return Spoken(self.told(word), False, self.chips("wrapping", "case", "help"))

    def told(self, opening: str) -> str:
        """What the articles say: the best one's answer, what it does not mean, and where else to read."""
        first = self.passages[0]
        text = passage_text(first.get("text", ""), self.language)
        if self.intent.depth == "one_sentence":
            return _paragraphs([opening, f"{first_sentences(text, 1)} [K1]"])
        parts = [opening, _cited(text, "K1")]
        caveat = first_sentences(passage_text(first.get("caveat", ""), self.language), 2)
        if caveat:
            parts.append(self.say("not_meaning", text=caveat) + " [K1]")
        if len(self.passages) > 1:
            second = self.passages[1]
            lead = first_sentences(passage_text(second.get("text", ""), self.language), 2)
            parts.append(f"**{harmless(title_of(second, self.language), 120)}** {lead} [K2]")
        parts.append(self.read_more())
        return _paragraphs(parts)

    def on_lesson(self) -> Spoken:
        if not self.passages:
            return self.not_covered()
        body = passage_body(self.passages[0], self.language)
        parts = [_cited(body, "K1")] if body else [self.told("")]
        if body:
            for place, passage in enumerate(self.passages[1:3], 2):
                lead = first_sentences(passage_text(passage.get("text", ""), self.language), 2)
                parts.append(f"**{harmless(title_of(passage, self.language), 120)}** {lead} [K{place}]")
            parts.append(self.read_more())
        a, b = settings.main_pair()
        return Spoken(_paragraphs(parts), False, self.chips("compare", a=a, b=b) + self.chips("case"))

    def on_closed(self) -> Spoken:
        name = harmless(self.intent.about, 40)
        opening = self.say("closed", name=name)
        if not self.passages:
            return Spoken(_paragraphs([opening, self.say("closed_next")]), False, self.chips("help"))
        lead = first_sentences(passage_text(self.passages[0].get("text", ""), self.language), 3)
        parts = [opening, f"{lead} [K1]", self.say("closed_next"), self.read_more()]
        return Spoken(_paragraphs(parts), False, self.chips("examples", "help"))

    def on_people(self) -> Spoken:
        parts = [self.preamble(), self.say("people")]
        if self.passages:
            lead = first_sentences(passage_text(self.passages[0].get("text", ""), self.language), 2)
            parts.append(f"{lead} [K1]")
        parts += [self.say("people_next"), self.read_more()]
        return Spoken(_paragraphs(parts), False, self.chips("limits") if self.before.results else self.chips("help"))

    def not_covered(self) -> Spoken:
        """No article answers the question, and nothing is made up."""
        parts = [self.preamble() if self.intent.kind == "people" else ""]
        if self.intent.kind == "people":
            parts += [self.say("people"), self.say("people_next")]
        elif self.intent.kind == "closed":
            parts += [self.say("closed", name=harmless(self.intent.about, 40)), self.say("closed_next")]
        else:
            word = f"word_{self.intent.about}"
            parts.append(
                self.say(word) if knows(word) else self.say("no_article", a=model_name(settings.main_pair()[1]))
            )
        return Spoken(_paragraphs(parts), False, self.chips("help", "examples", "wrapping"))

    # --- questions back, and the conversation itself ---

    def example(self) -> dict[str, str]:
        """Two shipped models to ask about."""
        a, b = settings.main_pair()
        return {"a": model_name(a), "b": model_name(b)}

    def asks(self, text: str, options: Sequence[str] = ()) -> Spoken:
        """A question back."""
        return Spoken(_paragraphs([self.preamble(), text]), True, tuple(options))

    def on_ask_other(self) -> Spoken:
        name = self.intent.models[0]
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
        if self.intent.about == "report":
            return self.asks(self.say("nothing_measured"), self.chips("examples"))
        a, b = settings.main_pair()
        return self.asks(
            self.say("ask_models", **self.example()), self.chips("compare", a=a, b=b) + self.chips("examples")
        )

    def on_unclear(self) -> Spoken:
        if not self.intent.choices:
            return self.asks(self.say("ask_wish"), self.chips("examples", "help"))
        choices = self.say("or").join(model_name(choice) for choice in self.intent.choices)
        return self.asks(self.say("ask_which", choices=choices), self.intent.choices)

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
            return Spoken(_paragraphs([*parts, self.say("pressed_nothing")]), False, self.chips("examples", "help"))
        summary = self.report.summary(dict(self.main), self.language)
        parts.append(
            f"{self.say('pressed_result', headline=self.headline(self.main, summary))} {self.ids_of(self.main)}"
        )
        return Spoken(_paragraphs(parts), False, self.chips("sure", "why", "limits"), str(self.main["answer"]))

    def on_language(self) -> Spoken:
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
        text = self.say("help", who=settings.badge(self.language), **self.example())
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

    def joined(self, parts: Sequence[str]) -> str:
        """Sentences one after the other; Chinese needs no space between them."""
        return ("" if self.language == "zh" else " ").join(part for part in parts if part)


def _name_of(result: Mapping[str, Any], side: str) -> str:
    return str(result[side]["name"]) if result.get(side) else ""


def _probe_of(reason: str, place: int, result: Mapping[str, Any], language: str) -> str:
    """The check that a reason speaks of: the one whose sentence it is, else the one at its place in the rule."""
    from tools.words import REASONS

    for probe, finding in result["findings"].items():
        if probe in REASONS and "abstained" not in finding:
            try:
                said = {REASONS[probe](finding, language, leaned) for leaned in (True, False)}
            except (KeyError, TypeError):
                continue
            if reason in said:
                return str(probe)
    return str(result["because"][place]) if place < len(result["because"]) else ""


def _foreign_as_code(text: str, finding: Mapping[str, Any]) -> str:
    where = finding.get("where")
    renames = where.get("renames") if isinstance(where, Mapping) else None
    foreign = {printable(pair[side]) for pair in renames or () for side in ("a", "b") if side in pair} - {""}
    for name in sorted(foreign, key=len, reverse=True):
        text = re.sub(rf"(?<![\w`]){re.escape(name)}(?![\w`])", lambda match: _short_code(match[0]), text)
    return text


def _short_code(name: str) -> str:
    return "`" + printable(name, 40).replace("`", "'") + "`"


def passage_body(passage: Mapping[str, Any], language: str) -> str:
    """A whole article, its headings as bold lines, every line made plain."""
    body = str(passage.get("body") or "")
    limit = 6 * LONGEST_PASSAGE["zh" if language == "zh" else "en"]
    blocks = [re.sub(r"^#+\s*(.+)$", r"**\1**", block, flags=re.M) for block in body[:limit].split("\n\n")]
    return _paragraphs([passage_text(block, language) for block in blocks])


def _cited(text: str, mark: str) -> str:
    """The mark behind every paragraph."""
    return "\n\n".join(f"{block} [{mark}]" for block in text.split("\n\n") if block.strip())


def _at(table: Mapping[str, Any], key: str, level: int) -> float | None:
    """One number of a table of the behaviour test; None where there was nothing to count."""
    series = table.get(key)
    value = series[level] if isinstance(series, list) and 0 <= level < len(series) else None
    return float(value) if isinstance(value, (int, float)) else None


def share(value: float) -> str:
    """A share in percent."""
    return f"{100 * value:.0f}%" if 100 * value >= 10 or value == 0 else f"{100 * value:.1f}%"


def _ends(texts: Sequence[str]) -> list[str]:
    """The first and the last of the limits: the most important one, and that this is not about right and wrong."""
    return [texts[0], texts[-1]] if len(texts) > 1 else list(texts)


def _paragraphs(parts: Sequence[str], between: str = "\n\n") -> str:
    return between.join(part.strip() for part in parts if part and part.strip())


def _close(wanted: float, held: object) -> bool:
    """Whether a number as a person writes it is this one, up to rounding, sign, or percent."""
    if not isinstance(held, (int, float)):
        return False
    return any(abs(abs(wanted) - abs(scaled)) <= max(0.006 * abs(scaled), 1e-9) for scaled in (held, 100 * held))
