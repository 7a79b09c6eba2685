"""What describe, stress and behave print: every fact, in the reader's language, and nothing foreign breaks out."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.small_models import trained
from tools.audit import describe, stress
from tools.errors import LANGUAGES
from tools.limits import TEXTS
from tools.perturbations import all_perturbations
from tools.tables import behaviour_table, description, stress_table
from tools.words import AMOUNTS, DESCRIBED, DISGUISES

both = pytest.mark.parametrize("language", LANGUAGES)
HAN = re.compile(r"[\u4e00-\u9fff]")
NAME = "a|`b"


def latin(text: str) -> list[str]:
    """The words in Latin letters outside inline code."""
    return re.findall(r"[A-Za-z]{2,}", re.sub(r"`[^`]*`|sha256 \w+", "", text))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return trained("llama", 1).saved(tmp_path_factory.mktemp("tables") / NAME)


@pytest.fixture(scope="module")
def stressed(model: str) -> dict[str, Any]:
    return stress(model)


@both
def test_a_description_names_every_fact(model: str, language: str) -> None:
    found = describe(model)
    assert list(found.keys() - {"name", "files", "limits"} - DESCRIBED.keys()) == []
    text = description(found, language)
    known = [key for key in DESCRIBED if found[key] not in (None, {})]
    assert len(known) >= 8 and all(DESCRIBED[key][language] in text for key in known)
    assert f"{found['parameters']:,}" in text and f"`float32` ({found['tensors']})" in text
    assert all(digest in text for digest in found["files"].values())
    assert (latin(text) == []) == (language == "zh")


@both
def test_a_description_keeps_foreign_text_in_code(model: str, language: str) -> None:
    found = describe(model) | {"name": "# x `y` **z**\n- w", "architecture": "`| <b>\n# x"}
    text = description(found, language)
    assert sum(line.startswith("#") for line in text.splitlines()) == 2
    assert "`# x 'y' **z** - w`" in text and "`'/ <b> # x`" in text


@both
def test_stress_table(stressed: dict[str, Any], language: str) -> None:
    table = stress_table(stressed, language)
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(stressed["rows"])
    assert len({line.count("|") for line in rows}) == 1
    if language == "zh":
        # What stays are the names of number formats.
        assert set(latin(table)) <= {"bfloat", "float", "fn", "int"}


def test_every_disguise_and_every_word_for_an_amount_is_known() -> None:
    assert DISGUISES.keys() == {perturbation.name for perturbation in all_perturbations()}
    words = {amount for each in all_perturbations() if each.unit for amount in each.amounts if isinstance(amount, str)}
    assert AMOUNTS.keys() == {word for word in words if word.isalpha()}


@both
def test_what_behaviour_does_not_mean_is_told_in_the_readers_language(language: str) -> None:
    series = {"agreement_where_b_is_right": [1.0], "same_wrong_answer": [1], "divergence_bits": [-0.0001]}
    table = series | {"both_wrong": [2]}
    keys = ("behaviour_decides_nothing", "few_prompts", "weak_control", "texts_only")
    limits = [TEXTS[key]["en"] for key in keys] + [TEXTS["other_code"]["en"].format(name="x/y")]
    found = {
        "models": {"a": {"name": "x/y"}, "b": {"name": "z"}}, "items": [0], "noise_levels": [0.0],
        "pair": table, "control": table, "ran_in_the_other_models_code": True, "limits": limits,
    }  # fmt: skip
    text = behaviour_table(found, language)
    assert "-0.000" not in text
    told = [line for line in text.splitlines() if line.startswith("- ")]
    assert len(told) == len(limits)
    assert all(bool(HAN.search(line)) == (language == "zh") for line in told)
