"""Cards and tables hold what the result holds, in both languages, and nothing that a name smuggles in."""

from __future__ import annotations

import copy
import html
import re
from typing import Any

import pytest
from fake_assistant import behaviour, comparison

from page import card, numbers
from page.markup import powers
from page.words import LANGUAGES, TEXTS, Language, say
from tools.limits import TEXTS as LIMITS
from tools.report import summary
from tools.words import AMOUNTS, DISGUISES, SCALE

EVIL = "<img src=x onerror=alert(1)>![x](https://evil.example/p.png)\u202e$$x$$\n\n# big"

SUMMARY: dict[str, Any] = {
    "word": "disguised copy",
    "icon": "≈",
    "headline": "Both hold the same weights.",
    "strength": "By chance less than once in 10^1312.",
    "reasons": ["The same order in 4 of 4 layers.", "Partners agree.", "Noise."],
    "changes": ["noise of 5.0% added"],
    "direction": "",
    "power": "",
    "not_meaning": ["It does not say who was first."],
    "next": "Name the base.",
}


def poisoned(value: Any) -> Any:
    """The same result with every foreign string made hostile; kinds and answers stay, as code sets them."""
    kept = {"answer", "kind", "role", "words", "schema"}
    if isinstance(value, dict):
        return {key: part if key in kept else poisoned(part) for key, part in value.items()}
    if isinstance(value, list):
        return [poisoned(part) for part in value]
    return EVIL if isinstance(value, str) else value


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_foreign_string_is_escaped(language: Language) -> None:
    result = poisoned(comparison()) | {"direction": {"answer": "a_from_b", "because": []}}
    summary = {key: [EVIL] if isinstance(value, list) else EVIL for key, value in SUMMARY.items()}
    stress = {
        "name": EVIL,
        "rows": [
            {
                **dict.fromkeys(("perturbation", "about", "amount", "unit", "answer"), EVIL),
                "recognised": True,
                "probes": {EVIL: -3.0},
            },
        ],
        "seconds": 1.0,
        "limits": [EVIL],
    }
    for shown in (
        card.verdict(result, summary, language),
        card.findings(result, language),
        card.stress(stress, language),
        card.behaviour(poisoned(behaviour()), language),
        card.story(EVIL, EVIL),
    ):
        assert "<img" not in shown and "![" not in shown and "https:" not in shown
        assert "\u202e" not in shown and "$" not in shown and "\n" not in shown
        assert shown.count("<div") == shown.count("</div>")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_card_says_all_that_was_found(language: Language) -> None:
    result = comparison()
    shown = card.verdict(result, SUMMARY, language)
    assert SUMMARY["icon"] in shown and SUMMARY["word"] in shown and SUMMARY["headline"] in shown
    assert all(reason in shown for reason in [*SUMMARY["reasons"], *SUMMARY["not_meaning"]])
    assert "●●●●●" in shown and SCALE["extremely strong"][language] in shown
    assert "\u22121312.4" in shown and "10¹³¹²" in shown
    assert "noise of 5.0%" in shown
    assert "3.2 MB" in shown and "4.8 MB" in shown and "0.8 s" in shown
    assert "62 %" in shown


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_card_words_what_the_report_words(language: Language) -> None:
    result = comparison()
    words = summary(result, language)
    shown = html.unescape(card.verdict(result, words, language))
    words["strength"] = powers(words["strength"])
    for sentence in [
        words["headline"],
        *words["reasons"],
        *words["changes"],
        *words["not_meaning"],
        words["next"],
    ]:
        assert sentence in shown, sentence


def test_the_answer_is_never_colour_alone() -> None:
    shown = card.verdict(comparison(), SUMMARY, "en")
    assert re.search(r'class="card-icon">≈<', shown) and re.search(r'class="card-word">disguised copy<', shown)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_table_tells_what_decides_from_context_and_why_a_probe_abstained(language: Language) -> None:
    shown = card.findings(comparison(), language)
    rows = dict(re.findall(r'<tr[^>]*><th scope="row">.*?>([\w&#;]+)</span></th>(.*?)</tr>', shown))
    rows = {name.replace("&#95;", "_"): row for name, row in rows.items()}
    assert say(language, "leaned_on") in rows["unit_order"] and say(language, "decides") in rows["unit_order"]
    assert say(language, "context") in rows["difference_shape"]
    assert say(language, "leaned_on") not in rows["difference_shape"]
    assert say(language, "abstained") in rows["same_tokenizer"]
    assert "\u2212880.2" in rows["unit_partners"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_card_of_behaviour_holds_pair_control_and_a_shared_mistake(language: Language) -> None:
    shown = card.behaviour(behaviour(), language)
    for text in ("95.8 %", "10.4 %", "98 %", "0.0123", "0.457", "Lyon", "Paris"):
        assert text in shown, text
    assert say(language, "behave_of", part=19, whole=21) in shown
    said = html.unescape(shown)
    assert LIMITS["behaviour_decides_nothing"][language] in said
    assert LIMITS["other_code"][language].format(name="exhibits/llama3v/suspect") in said
    own = behaviour()
    own["models"]["control"]["name"] = "x (untrained)"
    assert ("untrained" in card.behaviour(own, language)) == (language == "en")
    assert shown.count("<code") == 0 and shown.count("</tr>") == 6


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_card_of_disguises_tells_seen_missed_and_not_applicable(language: Language) -> None:
    def row(name: str, recognised: bool | None) -> dict[str, object]:
        return {"perturbation": name, "amount": 0.1, "unit": None, "recognised": recognised, "answer": None}

    rows = [row("add_noise", True), row("shuffle_units", False), row("rotate_residual", None)]
    shown = card.stress({"name": "x", "rows": rows, "seconds": 1.0}, language)
    assert say(language, "stress_count", seen=1, all=2) in shown
    assert all(say(language, key) in shown for key in ("yes", "no", "stress_not_applicable"))
    assert DISGUISES["shuffle_units"][language] in shown
    by_unit = {"perturbation": "rescale", "amount": "unit", "unit": "x", "recognised": True, "answer": None}
    shown = card.stress({"name": "x", "rows": [by_unit], "seconds": 1.0}, language)
    assert f"<b>{AMOUNTS['unit'][language]}</b>" in shown


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_result_no_table(language: Language) -> None:
    shown = card.findings(None, language)
    assert say(language, "evidence_empty") in shown and "<table" not in shown


def test_a_card_without_changes_direction_or_strength() -> None:
    result = copy.deepcopy(comparison())
    result |= {
        "answer": "undecided",
        "changes": [],
        "components": [],
        "strength": {"log10_pvalue": None, "words": None},
    }
    result["cost"] |= {"bytes_read_a": 0, "bytes_read_b": 0}
    shown = card.verdict(result, SUMMARY | {"next": None, "changes": []}, "en")
    assert TEXTS["en"]["card_changes"] not in shown and TEXTS["en"]["card_direction"] not in shown
    assert "●" not in shown and "card-open" in shown and "No weights were read" in shown


@pytest.mark.parametrize(
    ("log10_pvalue", "text"),
    [(0.0, "1"), (-1.0, "0.1"), (-1312.4, "10⁻¹³¹²"), (-4.0, "10⁻⁴"), (None, "–"), (float("-inf"), "0")],
)
def test_chances_are_never_made_smaller_by_rounding(log10_pvalue: float | None, text: str) -> None:
    assert numbers.chance(log10_pvalue) == text


def test_numbers_as_read() -> None:
    assert numbers.agreement(0.99996) == "0.999" and numbers.agreement(0.9999999999999999) == "1.000"
    assert numbers.agreement(-0.0421) == "\u22120.042"
    assert numbers.size(999) == "999 B" and numbers.size(4_813_824) == "4.8 MB" and numbers.size(None) == "–"
    assert numbers.seconds(0.031) == "0.03 s" and numbers.seconds(125.0) == "2 min 5 s"
    assert numbers.agreement(-0.0004) == "0.000" and numbers.number(-0.0) == "0" and numbers.share(-0.0001) == "0 %"
    assert numbers.log10(-0.03) == "0.0" and numbers.log10(-744.24) == "\u2212744.2"
    assert numbers.number(-0.0384) == "\u22120.0384"
    assert numbers.number(0.05017) == "0.0502" and numbers.number(float("nan")) == "–"
