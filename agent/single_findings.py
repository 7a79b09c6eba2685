"""What single findings say: the reasons, a number, a point of the answer, the layers, the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

from agent.evidence import SERIES, Cited, harmless, layer_rows, layers, model_name, question_of
from agent.measurements import Measurements
from agent.memory import numbers_in
from agent.phrases import knows
from agent.verdicts import Spoken
from agent.wording import foreign_as_code, is_about, number, odds, paragraphs
from tools.words import REASONS

# Layers that agree equally well to two digits need not be told apart.
EVEN_LAYERS = 0.01


class SingleFindings(Measurements):
    """Replies that speak of one finding after the other; nothing is run for them."""

    def about(self) -> str:
        """Which comparison a follow-up is about; said only where there were several."""
        if len(self.before.results) < 2 or not self.results:
            return ""
        result = self.main
        return self.say("about_pair", a=model_name(result["a"]["name"]), b=model_name(result["b"]["name"]))

    def follow_up(self, parts: Sequence[str], *chips: str) -> Spoken:
        """A reply from the findings."""
        text = paragraphs([self.preamble(), self.about(), *parts])
        return Spoken(text, False, self.chips(*chips), str(self.main["answer"]))

    def on_why(self) -> Spoken:
        if self.before.trouble:
            return self.on_trouble()
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
        if self.intent.about.startswith("R"):
            return self.reason(int(self.intent.about[1:]))
        if self.intent.about in self.main["findings"]:
            return self.check(self.intent.about)
        if self.intent.about.startswith("E"):
            items = [item for item in items if item.id == self.intent.about] or items
        elif self.intent.about:
            wanted = float(self.intent.about)
            log10 = self.main["strength"]["log10_pvalue"]
            if log10 is not None and (is_about(wanted, log10) or math.floor(-log10) == abs(wanted)):
                text = self.say(
                    "number_p", number=self.intent.about, odds=odds(log10, self.language), cite=self.ids_of(self.main)
                )
                return self.follow_up([text, self.say("not_percent")], "sure", "why", "engineer")
            for item in items:
                if is_about(wanted, item.finding["statistic"]):
                    text = self.say(
                        "number_found",
                        number=self.intent.about,
                        question=self.question(item),
                        unit=self.unit(item),
                        cite=f"[{item.id}]",
                    )
                    return self.follow_up([text], "sure", "why", "engineer")
                log10 = item.finding["log10_pvalue"]
                if log10 is not None and (is_about(wanted, log10) or math.floor(-log10) == abs(wanted)):
                    text = self.say(
                        "number_p", number=self.intent.about, odds=odds(log10, self.language), cite=f"[{item.id}]"
                    )
                    return self.follow_up([text, self.say("not_percent")], "sure", "why", "engineer")
        known = self.intent.about[:1].isdigit() and any(
            is_about(float(self.intent.about), held) for held in numbers_in(self.main)
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

    def reason(self, place: int) -> Spoken:
        """One of the numbered reasons of the answer, with what the check asks and how its number is read."""
        summary = self.report.summary(dict(self.main), self.language)
        lines = self.reasons(self.main, summary).splitlines()
        if not lines:
            return self.on_why()
        line = lines[min(place, len(lines)) - 1].split(". ", 1)[1]
        item = next((item for item in self.of(self.main) if f"[{item.id}]" in line), None)
        parts = [line]
        if item is not None and knows(f"word_{item.probe}"):
            parts.append(self.say(f"word_{item.probe}"))
        if item is not None and item.measured and item.finding["log10_pvalue"] is not None:
            parts.append(self.say("reason_chance", odds=odds(item.finding["log10_pvalue"], self.language)))
        return self.follow_up(parts, "why", "sure", "simple")

    def check(self, probe: str) -> Spoken:
        """What one check found that decides nothing, and that it decides nothing."""
        item = next(item for item in self.of(self.main) if item.probe == probe)
        told = self.reason_of(item) or self.joined([self.say("check_not_made"), f"[{item.id}]"])
        return self.follow_up([told, self.say("context")], "why", "sure", "limits")

    def reason_of(self, item: Cited) -> str:
        """What a check found, in a sentence; "" where it could not be made or has nothing to say."""
        told = REASONS[item.probe](item.finding, self.language, True) if item.measured else ""
        return self.joined([foreign_as_code(told, item.finding), f"[{item.id}]"]) if told else ""

    def on_layers(self) -> Spoken:
        """In which layers the two models agree, most and least."""
        if self.main["answer"] in ("independent", "undecided"):
            told = [self.reason_of(item) for item in self.of(self.main) if item.probe in ("unit_order", "unit_places")]
            return self.follow_up([*filter(None, told)] or [self.say("layers_none")], "why", "sure")
        lines: list[str] = []
        even = True
        for item in self.of(self.main):
            leaned = item.probe in SERIES and item.measured and item.probe in self.main["because"]
            rows = layer_rows(item.finding) if leaned else []
            if not rows:
                continue
            least, most = min(rows, key=lambda row: row[1]), max(rows, key=lambda row: row[1])
            facts = {"name": self.say(f"series_{item.probe}"), "count": len(rows), "cite": f"[{item.id}]"}
            if most[1] - least[1] < EVEN_LAYERS:
                lines.append(self.say("layers_even", value=number(most[1]), **facts))
            else:
                even = False
                ends = {"best": most[0], "high": number(most[1]), "worst": least[0], "low": number(least[1])}
                lines.append(self.say("layers_differ", **ends, **facts))
        if not lines:
            return self.follow_up([self.say("layers_none")], "why", "sure")
        # Where no check tells the layers apart, the first one says so.
        told = lines[:1] if even else lines
        return self.follow_up([self.say("layers"), "\n".join(f"- {line}" for line in told)], "why", "plot", "sure")

    def on_plot(self) -> Spoken:
        lines = []
        for item in self.of(self.main):
            series = layers(item.finding) if item.probe in SERIES else []
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
