"""The plot and the sentence beside it hold the same numbers."""

from __future__ import annotations

import json
import re

import pytest
from fake_assistant import behaviour, comparison, layers

from page import plots
from page.words import LANGUAGES, Language


def texts(figure: object) -> str:
    return json.dumps(json.loads(figure.to_json()), ensure_ascii=False)  # type: ignore[attr-defined]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sentence_holds_the_numbers_of_the_plot(language: Language) -> None:
    result = comparison()
    figure, words = plots.agreement(result, language), plots.agreement_words(result, language)
    assert figure is not None and len(figure.data) == 2
    for trace in figure.data:
        for value in trace.y:
            assert f"{value:.3f}" in words
    assert figure.layout.height == plots.HEIGHT and figure.layout.paper_bgcolor == "rgba(0,0,0,0)"


def test_series_differ_in_more_than_colour() -> None:
    few = plots.agreement(comparison(), "en")
    assert few is not None
    assert len({trace.marker.pattern.shape for trace in few.data}) == 2
    result = comparison()
    for probe in plots.AGREEMENTS:
        result["findings"][probe] = result["findings"]["unit_order"] | {"where": layers(probe, [0.9] * 40)}
    many = plots.agreement(result, "en")
    assert many is not None
    assert len({(trace.line.dash, trace.marker.symbol) for trace in many.data}) == len(plots.AGREEMENTS)
    assert re.search(r"between 0\.900 and 0\.900 over 40 layers", plots.agreement_words(result, "en"))


def test_entries_of_one_layer_are_averaged_and_unnumbered_ones_keep_their_place() -> None:
    result = comparison()
    where = layers("unit_order", [0.5, 1.0])
    where[1]["layer"] = 0
    result["findings"]["unit_order"]["where"] = where
    result["findings"]["unit_partners"]["where"] = [{**entry, "layer": None} for entry in layers("x", [0.1, 0.2])]
    assert plots.agreement_per_layer(result) == {
        "unit_order": [(0.0, 0.75)],
        "unit_partners": [(0.0, 0.1), (1.0, 0.2)],
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_behaviour_over_noise_for_pair_and_control(language: Language) -> None:
    result = behaviour()
    figure, words = plots.behaviour(result, language), plots.behaviour_words(result, language)
    assert [list(trace.y) for trace in figure.data] == [result[side]["agreement"] for side in ("pair", "control")]
    assert len({(trace.line.dash, trace.marker.symbol) for trace in figure.data}) == 2
    for share in ("95.8 %", "43.8 %", "10.4 %"):
        assert share in words
    assert "0.05" in words


def test_names_cannot_write_into_a_plot() -> None:
    evil = "<a href='https://evil.example'>x</a>"
    assert "<a" not in texts(plots.behaviour(behaviour(a=evil), "en"))


def test_nothing_measured_nothing_drawn() -> None:
    result = comparison()
    result["findings"]["unit_order"] = {"question": "?", "role": "decides", "abstained": "no layers"}
    result["findings"]["unit_partners"]["where"] = []
    assert plots.agreement(result, "en") is None and plots.agreement_words(result, "en") == ""
