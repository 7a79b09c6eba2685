"""What models consist of, which disguises are seen through, and how two models behave, in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from agent.evidence import harmless, model_name
from agent.fairness import heated_words
from agent.phrases import knows
from agent.verdicts import Spoken, Verdicts
from agent.wording import (
    number,
    paragraphs,
    share,
    size,
    with_mark,
)
from tools.words import amount_word

_SIZES = (
    ("d_layers", "layers", "layers"),
    ("d_width", "width", "hidden_size"),
    ("d_units", "units", "hidden_units"),
    ("d_vocabulary", "count", "vocabulary"),
)


class Measurements(Verdicts):
    """Replies to measurements other than comparisons."""

    def describe(self, records: Sequence[Mapping[str, Any]]) -> Spoken:
        """What models consist of."""
        parts = [self.preamble(), self.larger(records) if self.intent.about == "size" else ""]
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
        return Spoken(paragraphs(parts), False, chips + self.chips("examples", "help"))

    def larger(self, records: Sequence[Mapping[str, Any]]) -> str:
        """Which of two models holds more numbers; empty where that was not read of both."""
        if len(records) != 2 or not all(record.get("parameters") for record in records):
            return ""
        by_size = sorted(enumerate(records, 1), key=lambda item: -item[1]["parameters"])
        (first, large), (second, small) = by_size
        facts = {"larger": model_name(large.get("name")), "smaller": model_name(small.get("name"))}
        facts |= {"count": f"{large['parameters']:,}", "fewer": f"{small['parameters']:,}"}
        key = "d_same_size" if large["parameters"] == small["parameters"] else "d_larger"
        return self.joined([self.say(key, **facts), f"[E{first}][E{second}]"])

    def stress(self, records: Sequence[Mapping[str, Any]]) -> Spoken:
        """Which changes are seen through."""
        parts = [self.preamble()]
        for place, record in enumerate(records, 1):
            rows = [row for row in record.get("rows") or [] if isinstance(row, Mapping)]
            tried = [row for row in rows if row.get("recognised") is not None]
            kept = sum(bool(row["recognised"]) for row in tried)
            told = self.say("stressed", name=model_name(record.get("name")), count=len(tried), kept=kept)
            parts.append(with_mark(told, f"E{place}"))
            parts.append("\n".join(f"- {self.tried_change(row)}" for row in rows))
        parts.append(self.say("stressed_note"))
        return Spoken(paragraphs(parts), False, self.chips("help", "examples"))

    def tried_change(self, row: Mapping[str, Any]) -> str:
        """A change and whether the model was recognised after it."""
        return self.joined([self.change(row) + self.say("colon"), self.seen(row)])

    def change(self, row: Mapping[str, Any]) -> str:
        """A change by its name and amount."""
        key = f"change_{row.get('perturbation')}"
        name = self.say(key) if knows(key) else f"`{harmless(row.get('perturbation'), 40)}`"
        amount = row.get("amount")
        if isinstance(amount, str):
            told = f"`{harmless(amount_word(amount, self.language), 20)}`"
            return name if amount == "all" else name + self.say("in_brackets", text=told)
        if not isinstance(amount, (int, float)):
            return name
        told = share(amount) if str(row.get("unit") or "").startswith("share") else number(amount)
        return name + self.say("in_brackets", text=told)

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
            told = self.say(key, pair=shown[0], control=shown[1], b=b, noise=share(noise[-1]))
            lines.append(with_mark(f"- {told}", "E1"))
        parts = [self.preamble(), self.say("behaved", a=a, b=b, count=len(record.get("items") or ())), "\n".join(lines)]
        if closer:
            parts.append(with_mark(self.say("behaved_closer" if all(closer) else "behaved_not_closer"), "E1"))
        parts.append(self.say("behaved_note"))
        chips = self.chips("sure", "limits", "report") if self.before.results else self.chips("help")
        return Spoken(paragraphs(parts), False, chips)


def _at(table: Mapping[str, Any], key: str, level: int) -> float | None:
    """One number of a table of the behaviour test; None where there was nothing to count."""
    series = table.get(key)
    value = series[level] if isinstance(series, list) and 0 <= level < len(series) else None
    return float(value) if isinstance(value, (int, float)) else None
