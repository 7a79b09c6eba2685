"""Questions about what was measured, answered from the findings: how sure, what was changed, who was first, what if."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.cues import cue
from agent.evidence import harmless, model_name, title_of
from agent.fairness import heated_words
from agent.memory import is_sampled
from agent.merges import merge_words
from agent.single_findings import SingleFindings
from agent.verdicts import Spoken
from agent.wording import (
    first_sentences,
    foreign_as_code,
    odds,
    paragraphs,
    passage_text,
    share,
    size,
    with_mark,
)
from tools.limits import TEXTS
from tools.words import ANSWERS, STRENGTHS

# Changes that one may suppose, the first that a question names; of all others a new order and new names are told.
SUPPOSED = ("distilling", "part", "rounding", "training")


class FollowUps(SingleFindings):
    """Replies that run nothing again; `on_KIND` answers the intent of that kind."""

    def on_result(self) -> Spoken:
        return self.follow_up([self.verdict(self.main, self.intent.depth)], "sure", "why", "limits", "report")

    def on_trouble(self) -> Spoken:
        error = self.before.trouble or {}
        text = self.joined([harmless(error[part]) for part in ("message", "remedy") if error.get(part)])
        return Spoken(self.say("trouble", text=text), False, self.chips("examples", "help"))

    def on_sure(self) -> Spoken:
        result, summary = self.main, self.report.summary(dict(self.main), self.language)
        strength = result["strength"]
        settled = strength["words"] in STRENGTHS
        scale = self.say("scale", word=self.say(f"strength_{strength['words']}")) if settled else summary["strength"]
        parts = [scale]
        ids, log10 = self.ids_of(result), strength["log10_pvalue"]
        if result["answer"] == "independent":
            parts.append(self.say("chance_fits", cite=ids))
        elif log10 is not None and not settled:
            # How rare it is was said already, with what that does not settle.
            parts = [self.joined([scale, self.say("not_percent"), ids])]
        elif log10 is not None:
            parts.append(
                self.joined([self.say("chance", odds=odds(log10, self.language), cite=ids), self.say("not_percent")])
            )
        else:
            parts.append(self.say("chance_none"))
        if doubts := summary["not_meaning"]:
            # The last of the limits is about right and wrong; it makes no measurement less certain.
            parts.append(self.say("sure_limits" if len(doubts) > 1 else "not_meaning", text=doubts[0]))
        return self.follow_up(parts, "why", "change_mind", "limits", "simple")

    def power(self, result: Mapping[str, Any]) -> str:
        """What would have been caught."""
        items = []
        for key, phrase in (
            ("largest_noise_caught", "power_noise"),
            ("largest_noise_caught_reordered", "power_reordered"),
            ("largest_noise_caught_turned", "power_turned"),
            ("largest_noise_caught_turned_reordered", "power_turned_reordered"),
            ("smallest_merge_caught", "power_merge"),
        ):
            value = (result.get("power") or {}).get(key)
            if isinstance(value, (int, float)):
                items.append(self.say(phrase, amount=share(value)))
        return self.say("power", list=self.say("semicolon").join(items)) if items else self.say("power_unknown")

    def on_changes(self) -> Spoken:
        """What lies between the two models, by kind and amount."""
        result, summary = self.main, self.report.summary(dict(self.main), self.language)
        if result["answer"] in ("independent", "undecided"):
            return self.follow_up([self.say(f"changes_{result['answer']}")], "why", "limits")
        told = self.changes(result, summary)
        if not told:
            told = self.say("changes_none" if result["answer"] == "identical" else "changes_unnamed")
        return self.follow_up([told, self.read_more()], "direction", "sure", "limits")

    def on_sources(self) -> Spoken:
        """The articles that go with a result, each with how it begins."""
        lines = []
        for place, passage in enumerate(self.passages, 1):
            lead = first_sentences(passage_text(passage.get("text", ""), self.language), 2)
            lines.append(with_mark(f"- **{harmless(title_of(passage, self.language), 120)}** {lead}", f"K{place}"))
        if not lines:
            return self.on_why()
        return self.follow_up([self.say("sources"), "\n".join(lines)], "why", "limits", "report")

    def on_direction(self) -> Spoken:
        result, summary = self.main, self.report.summary(dict(self.main), self.language)
        way = result["direction"]["answer"]
        if result["answer"] in ("independent", "common_origin"):
            text = self.say("direction_none" if result["answer"] == "independent" else "direction_siblings")
        elif way == "unknown":
            told = str(summary.get("direction") or "") if result["direction"].get("changed") else ""
            text = self.as_code(result, told) if told else self.say("direction_unknown")
        else:
            names = {side: model_name(result[side]["name"]) for side in ("a", "b")}
            said = str(summary.get("direction") or "")
            text = self.as_code(result, said) if said else self.say(f"direction_{way}", **names)
        # Whoever asks who came first is told at once whom this may leave out.
        limit = TEXTS["nearly_the_parent"][self.language]
        beside = [limit] if limit in summary["not_meaning"] else []
        return self.follow_up([self.joined([text, self.ids_of(result)]), *beside], "why", "sure", "limits")

    def on_merged(self) -> Spoken:
        text = self.joined([*merge_words(self.say, self.main), self.ids_of(self.main)])
        return self.follow_up([text, self.read_more()], "sure", "why", "direction")

    def on_limits(self) -> Spoken:
        if not self.results:
            return Spoken(self.told("") if self.passages else self.say("help_limits"), False, self.chips("help"))
        summary = self.report.summary(dict(self.main), self.language)
        lines = "\n".join(f"- {sentence}" for sentence in summary["not_meaning"])
        # Whoever asks in accusing words, or concludes something, is told first what was measured.
        asked = self.turn.said[-1] if self.turn.said else ""
        concluded = heated_words(asked) or cue("concludes").search(asked)
        measured = self.joined([self.headline(self.main, summary), self.ids_of(self.main)]) if concluded else ""
        caught = self.power(self.main) if self.main["answer"] == "independent" else ""
        parts = [measured, caught, self.say("not_meaning", text="").strip(), lines, self.read_more()]
        return self.follow_up(parts, "next", "sure", "change_mind")

    def on_next(self) -> Spoken:
        summary = self.report.summary(dict(self.main), self.language)
        parts = [summary["next"]]
        if self.before.offer == "behave":
            parts.append(self.say("offer_behave"))
            return self.follow_up(parts, "behave", "limits", "report")
        return self.follow_up(parts, "limits", "report")

    def on_change_mind(self) -> Spoken:
        answer = self.main["answer"]
        key = answer if answer in ("identical", "independent", "undecided") else "linked"
        parts = [self.say(f"change_mind_{key}")]
        if answer == "independent":
            parts.append(self.power(self.main))
        return self.follow_up([*parts, self.read_more()], "sure", "limits", "what_if")

    def on_what_if(self) -> Spoken:
        tried, asked_of_it = self.before.stressed, self.before.last_kind == "stress"
        if tried is not None and (asked_of_it or not self.results):
            return Spoken(paragraphs([self.preamble(), *self.tried(tried)]), False, self.chips("help", "examples"))
        result, supposed = self.main, self.supposed()
        names = (result["a"]["name"], result["b"]["name"])
        if tried is not None and tried.get("name") in names and not supposed:
            return self.follow_up(self.tried(tried), "sure", "limits")
        if result["answer"] in ("independent", "undecided"):
            parts = [self.say(f"what_if_{result['answer']}"), supposed, self.power(result)]
        else:
            parts = [self.joined([self.say("what_if_linked"), supposed or self.say("supposed_order")])]
        target = self.before.models[-1] if self.before.models else names[1]
        parts.append(self.say("offer_stress", name=model_name(target)))
        return self.follow_up(parts, "sure", "change_mind")

    def supposed(self) -> str:
        """What is known of a change that the question supposes; "" where it names none that has words of its own."""
        said = self.intent.question
        about = next((about for about in SUPPOSED if cue(f"supposed.{about}").search(said)), "")
        words = {answer: ANSWERS[answer]["word"][self.language] for answer in ("derived", "shared_part")}
        return self.say(f"supposed_{about}", **words) if about else ""

    def tried(self, stressed: Mapping[str, Any]) -> list[str]:
        """What was tried on a model: how often it was recognised, and the changes that hid it, else all of them."""
        rows = [r for r in stressed.get("rows") or [] if isinstance(r, Mapping) and r.get("recognised") is not None]
        hidden = [row for row in rows if not row["recognised"]]
        told = self.say(
            "what_if_measured", name=model_name(stressed["name"]), count=len(rows), kept=len(rows) - len(hidden)
        )
        lines = [f"- {self.tried_change(row)}" for row in hidden or rows]
        return [told, self.say("what_if_hidden") if hidden else "", "\n".join(lines)]

    def on_cost(self) -> Spoken:
        if self.intent.about == "ahead":
            models = self.intent.models
            chips = self.chips("compare", a=models[0], b=models[1]) if len(models) > 1 else self.chips("examples")
            return Spoken(paragraphs([self.preamble(), self.say("cost_ahead")]), False, chips)
        cost = self.main["cost"]
        spent = cost.get("earlier") or cost
        lines = [
            "- "
            + self.say(
                "cost_line",
                name=model_name(self.main[side]["name"]),
                read=size(spent[f"bytes_read_{side}"]),
                total=size(cost[f"bytes_total_{side}"]),
            )
            for side in ("a", "b")
        ]
        parts = [self.say("cost", seconds=f"{spent['seconds']:.1f}"), "\n".join(lines), self.measured_earlier()]
        if is_sampled(self.main):
            return self.follow_up([*parts, self.say("cost_sampled")], "full", "reproduce", "sure")
        if self.intent.about == "whole":
            parts.insert(0, self.say("cost_whole"))
        return self.follow_up(parts, "reproduce", "sure", "limits")

    def on_reproduce(self) -> Spoken:
        command = str(self.main["reproduce"]["command"])
        return self.follow_up([self.say("reproduce"), f"```\n{harmless(command, 1000)}\n```"], "report", "sure")

    def on_report(self) -> Spoken:
        text = self.report.markdown(dict(self.main), self.language)
        for finding in self.main["findings"].values():
            text = foreign_as_code(text, finding)
        parts = [self.say("report_intro"), text]
        return self.follow_up(parts, "sure", "limits")
