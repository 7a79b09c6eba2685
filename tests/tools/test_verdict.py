"""The rule, line by line of its docstring, on findings made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.evidence import Abstention, Evidence, Finding
from tools.limits import TEXTS
from tools.probes import all_probes
from tools.verdict import (
    COMMON_START,
    HOLDS_ADDITIONS,
    LEAST_EFFECT,
    LEAST_POWER,
    LINK_LOG10_PVALUE,
    LINKED,
    SIBLINGS_ADDITIONS,
    STRENGTH_WORDS,
    Verdict,
    decide,
    layers_apart,
    linked_share,
    links,
    strength_words,
)

Findings = dict[str, Finding]
POWER = {"largest_noise_caught": 1.0, "largest_noise_caught_reordered": 0.5, "largest_noise_caught_turned": 1.0}
POWER |= {"largest_noise_caught_turned_reordered": 0.5}
# Whatever they find, the answer must not move.
ONLY_CONTEXT = ("same_tokenizer", "same_configuration", "tensor_names")


def values(
    share_a: float, share_b: float | None = None, log10: float = -1000.0, rounded: tuple[str, ...] = ()
) -> Evidence:
    share_b = share_a if share_b is None else share_b
    where = {"share_of_a": share_a, "share_of_b": share_b, "rounded_to": list(rounded), "renamed": 0, "repeated": 0}
    return Evidence(min(share_a, share_b), log10 if max(share_a, share_b) else 0.0, 100, where)


def layers(statistic: float, log10: float, linked: int = 4, of: int = 4) -> Evidence:
    logs = [log10 if i < linked else -0.3 for i in range(of)]
    made: dict[str, Any] = {"n": 100, "numbers": 100, "statistic": statistic}
    rows = [made | {"log10_pvalue": log, "a": f"layer.{i}", "tensors": [f"layer.{i}"]} for i, log in enumerate(logs)]
    return Evidence(statistic, log10, 100 * of, rows)


def shape(share_a: float = 1.0, share_b: float = 1.0, depths: tuple[int, int] = (4, 4), **shares: float) -> Evidence:
    where: dict[str, Any] = {"shares": shares, "share_of_a": share_a, "share_of_b": share_b, "tensors": []}
    where |= {"coordinates": "own", "layers_of_a": depths[0], "layers_of_b": depths[1]}
    return Evidence(0.1, None, 100, where)


def additions(share: float) -> Evidence:
    where = {"a_holds_of_b": share, "b_holds_of_a": share, "cosine": share, "tensors": []}
    where |= {"log10_pvalue_of_copies": -9.0}
    return Evidence(share, -5.0, 20, where)


NO_VALUES, NO_ORDER, NO_PARTNERS = values(0.0), layers(0.01, -0.2, 0), layers(0.01, 0.0, 0)
STRANGERS: Findings = dict.fromkeys(LEAST_EFFECT, NO_ORDER) | {"same_values": NO_VALUES, "unit_partners": NO_PARTNERS}


def start(ratio: float, share: float = 1.0) -> Evidence:
    return Evidence(ratio, None, 20, {"of_a": ratio, "of_b": ratio, "share": share, "tensors": []})


COPY: Findings = {"same_values": NO_VALUES, "unit_order": layers(1.0, -300.0), "unit_partners": layers(1.0, -150.0)}
NOTHING = Abstention("Nothing fits.")


def test_line_1_without_weights_undecided() -> None:
    for findings in ({}, COPY, {"same_values": values(1.0)}):
        verdict = decide(findings, POWER, has_weights=False)
        assert (verdict.answer, verdict.because, verdict.words, verdict.reason) == ("undecided", (), None, "no_weights")


def test_line_2_all_numbers_equal_identical() -> None:
    verdict = decide(COPY | {"same_values": values(1.0)}, None, True)
    assert verdict.answer == "identical" and "same_values" in verdict.because
    # Also where nothing else could be measured.
    alone = {"same_values": values(1.0), "unit_order": NOTHING, "unit_partners": NOTHING}
    assert decide(alone, None, True).answer == "identical"


def test_line_2_equal_after_rounding_is_a_disguise() -> None:
    assert decide({"same_values": values(1.0, rounded=("bfloat16",))}, None, True).answer == "disguised_copy"


def test_line_2_equal_by_chance_is_not_identical() -> None:
    # A model of three numbers can be equal in all of them by accident.
    tiny = STRANGERS | {"same_values": values(1.0, log10=-3.0)}
    assert decide(tiny, POWER, True).answer not in LINKED


@pytest.mark.parametrize(
    "power",
    [
        POWER,
        {"largest_noise_caught": LEAST_POWER, "largest_noise_caught_reordered": None},
        {"largest_noise_caught": None, "largest_noise_caught_reordered": 0.2},
    ],
)
def test_line_3_no_link_and_power_independent(power: dict[str, Any]) -> None:
    verdict = decide(STRANGERS, power, True)
    assert (verdict.answer, verdict.words, verdict.reason) == ("independent", "none", None)
    assert set(verdict.because) == set(LEAST_EFFECT)


@pytest.mark.parametrize(
    "power",
    [None, {}, {"largest_noise_caught": None, "largest_noise_caught_reordered": None},
     {"largest_noise_caught": LEAST_POWER / 2, "largest_noise_caught_reordered": 0.0}],
)  # fmt: skip
def test_line_3_no_link_and_no_power_undecided(power: dict[str, Any] | None) -> None:
    verdict = decide(STRANGERS, power, True)
    assert (verdict.answer, verdict.reason) == ("undecided", "no_power")


def test_line_3_a_rare_but_small_likeness_is_undecided() -> None:
    verdict = decide(STRANGERS | {"unit_places": layers(0.03, -40.0)}, POWER, True)
    assert (verdict.answer, verdict.reason) == ("undecided", "suggestive")
    assert (verdict.because, verdict.words) == (("unit_places",), None)
    assert decide(STRANGERS | {"unit_places": layers(0.03, -4.0)}, POWER, True).answer == "independent"


def test_line_3_nothing_measured_undecided() -> None:
    silent: Findings = dict.fromkeys(LEAST_EFFECT, NOTHING)
    for findings in ({}, silent, silent | {"same_values": NO_VALUES}):
        verdict = decide(findings, POWER, True)
        assert (verdict.answer, verdict.reason) == ("undecided", "nothing_to_measure")


def test_line_3_one_probe_is_enough_for_independent() -> None:
    for name, finding in (("unit_order", NO_ORDER), ("unit_partners", NO_PARTNERS)):
        findings: Findings = {"same_values": NO_VALUES, "unit_order": NOTHING, "unit_partners": NOTHING} | {
            name: finding
        }
        assert decide(findings, POWER, True).answer == "independent"


@pytest.mark.parametrize(
    ("share", "answer"),
    [(-0.1, "common_origin"), (0.13, "common_origin"), (SIBLINGS_ADDITIONS, "common_origin"),
     (SIBLINGS_ADDITIONS + 0.01, "undecided"), (HOLDS_ADDITIONS - 0.01, "undecided")],
)  # fmt: skip
def test_line_4_siblings_of_a_named_base(share: float, answer: str) -> None:
    verdict = decide(COPY | {"shared_additions": additions(share), "difference_shape": shape(trained=1.0)}, None, True)
    assert verdict.answer == answer and "shared_additions" in verdict.because
    assert (verdict.reason == "between_sibling_and_copy") == (answer == "undecided")
    if answer == "undecided":
        assert verdict.words is None


def test_line_4_who_holds_all_is_no_sibling() -> None:
    held: Findings = COPY | {"shared_additions": additions(HOLDS_ADDITIONS)}
    assert decide(held | {"difference_shape": shape(noise=1.0)}, None, True).answer == "disguised_copy"
    assert decide(held | {"difference_shape": shape(trained=1.0)}, None, True).answer == "derived"


def test_line_4_a_little_more_than_half_within_luck_is_siblings() -> None:
    unclear = replace(additions(0.53), log10_pvalue=-0.9)
    assert decide(COPY | {"shared_additions": unclear}, None, True).answer == "common_origin"
    # Clearly more than half, or nothing known about a copy: nobody can say.
    clear = replace(unclear, log10_pvalue=-1.4)
    open_both_ways = replace(unclear, where=unclear.where | {"log10_pvalue_of_copies": -2.0})
    for finding in (clear, open_both_ways):
        assert decide(COPY | {"shared_additions": finding}, None, True).answer == "undecided"
    held = replace(additions(HOLDS_ADDITIONS), log10_pvalue=-0.9)
    assert decide(COPY | {"shared_additions": held}, None, True).answer == "derived"


def rows_with(*logs: float) -> Evidence:
    probe = layers(1.0, -300.0, of=len(logs))
    rows = [row | {"log10_pvalue": log} for row, log in zip(probe.where, logs, strict=True)]
    return replace(probe, where=rows)


def test_weak_signs_in_all_layers_count_together() -> None:
    # One layer clearly, the others at one in a hundred to one in a thousand: at least three of the four.
    assert linked_share({"unit_order": rows_with(-113.4, -2.7, -3.0, -3.0)}) == 0.75
    assert linked_share({"unit_order": rows_with(-113.4, -0.3, -1.1, -0.1)}) == 0.25
    channels = rows_with(-113.4, -2.7, -3.0, -3.0)
    channels.where[0]["role"] = "conv"
    assert linked_share({"unit_order": channels}) == 0.25


def test_a_part_is_what_no_other_layer_shares() -> None:
    """Feed-forward layers are linked, attention is not: only tensors that are alike or lie in linked layers count."""
    lies = shape(1.0, 1.0, trained=0.4, unrelated=0.6)
    kinds = ["trained"] * 4 + ["unrelated"] * 6
    tensors = [{"a": f"layer.{i - 3}", "n": 10, "kind": kind} for i, kind in enumerate(kinds)]
    lies = replace(lies, where=lies.where | {"tensors": tensors})
    asked: Findings = {"value_order": NO_ORDER, "difference_shape": lies}
    assert linked_share(asked | {"unit_order": rows_with(-113.4, -0.3, -1.1, -0.1)}) == pytest.approx(0.4)
    assert linked_share(asked | {"unit_order": rows_with(-113.4, -2.7, -3.0, -3.0)}) == pytest.approx(0.6)


def test_line_4_a_base_never_links_strangers() -> None:
    for share in (0.0, 0.6, 1.0):
        assert decide(STRANGERS | {"shared_additions": additions(share)}, POWER, True).answer == "independent"


def test_line_4_identical_goes_before_siblings() -> None:
    same = COPY | {"same_values": values(1.0), "shared_additions": additions(0.2)}
    assert decide(same, None, True).answer == "identical"


def test_line_5_less_than_half_linked_shared_part() -> None:
    part: Findings = {
        "same_values": values(0.3),
        "unit_order": layers(0.3, -30.0, linked=1),
        "unit_partners": NO_PARTNERS,
    }
    assert decide(part, None, True).answer == "shared_part"
    assert linked_share(part) == pytest.approx(0.3)
    most = part | {"difference_shape": shape(0.9, 0.9, trained=0.8, unrelated=0.2)}
    assert decide(most, None, True).answer == "derived"


@pytest.mark.parametrize(("log10", "answer"), [(-0.5, "shared_part"), (-3.0, "derived"), (-200.0, "derived")])
def test_line_5_no_layer_of_the_main_stream_linked_shared_part(log10: float, answer: str) -> None:
    """Nine tenths of the numbers are a borrowed tower; the two layers of the language part are what is asked about."""
    logs = (-300.0, -300.0, log10, log10)
    rows = rows_with(*logs)
    for row, numbers, main in zip(rows.where, (450, 450, 50, 50), (False, False, True, True), strict=True):
        row |= {"numbers": numbers, "main": main}
    findings: Findings = {"same_values": NO_VALUES, "unit_order": rows, "unit_partners": NO_PARTNERS}
    assert linked_share(findings) >= 0.9
    assert decide(findings, None, True).answer == answer


@pytest.mark.parametrize(
    ("related", "place_log10", "answer"),
    [(0.35, -0.5, "shared_part"), (0.6, -0.5, "derived"), (0.35, -5.0, "derived")],
)
def test_line_5_half_of_the_layers_and_less_than_half_of_the_numbers_shared_part(
    related: float, place_log10: float, answer: str
) -> None:
    """Two of four layers; where a probe sees something in the others too, they may only have been changed."""
    order = rows_with(-300.0, -300.0, -0.3, -0.3)
    for row in order.where:
        row |= {"main": True}
    lies = shape(equal=related, unrelated=1.0 - related)
    kinds = ("equal", "equal", "unrelated", "unrelated")
    tensors = [{"a": f"layer.{i}", "n": 10, "kind": kind} for i, kind in enumerate(kinds)]
    places = replace(order, where=[row | {"log10_pvalue": place_log10} for row in order.where])
    findings: Findings = {
        "same_values": NO_VALUES,
        "unit_order": order,
        "unit_partners": NO_PARTNERS,
        "unit_places": places,
        "difference_shape": replace(lies, where=lies.where | {"tensors": tensors}),
    }
    assert linked_share(findings) >= 0.5
    assert [row["a"] for row in layers_apart(findings)] == ["layer.2", "layer.3"][: 2 * (place_log10 > -4)]
    assert decide(findings, None, True).answer == answer


@pytest.mark.parametrize("kind", ["equal", "recast", "quantised", "noise"])
def test_line_6_nothing_but_rounding_noise_and_order_disguised_copy(kind: str) -> None:
    verdict = decide(COPY | {"difference_shape": shape(**{kind: 0.97, "trained": 0.03})}, None, True)
    assert verdict.answer == "disguised_copy" and "difference_shape" in verdict.because


@pytest.mark.parametrize("kind", ["trained", "low_rank", "pruned"])
def test_line_6_anything_else_derived(kind: str) -> None:
    assert decide(COPY | {"difference_shape": shape(**{kind: 0.5, "noise": 0.5})}, None, True).answer == "derived"
    assert decide(COPY, None, True).answer == "derived"


@pytest.mark.parametrize("name", sorted(LEAST_EFFECT))
def test_a_link_needs_rarity_and_size(name: str) -> None:
    effect = LEAST_EFFECT[name]

    def finding(size: float, log10: float) -> Evidence:
        return values(size, log10=log10) if name == "same_values" else layers(size, log10)

    assert links(name, finding(effect, LINK_LOG10_PVALUE))
    assert not links(name, finding(effect, LINK_LOG10_PVALUE + 0.01))
    assert not links(name, finding(effect * 0.99, -1000.0))
    assert not links(name, NOTHING)
    assert not links(name, replace(finding(1.0, -50.0), log10_pvalue=None))


def test_only_deciding_probes_link() -> None:
    roles = {probe.name: probe.role for probe in all_probes()}
    assert all(roles[name] == "decides" for name in LEAST_EFFECT)
    for name, role in roles.items():
        if role == "context":
            assert not links(name, Evidence(1.0, -1000.0, 10, {"share_of_a": 1.0, "share_of_b": 1.0}))


def test_every_reason_is_worded() -> None:
    reasons = {
        decide(STRANGERS, None, True).reason,
        decide({}, None, True).reason,
        decide({}, None, False).reason,
        decide(COPY | {"shared_additions": additions(0.6)}, None, True).reason,
    }
    assert None not in reasons and reasons <= set(TEXTS) and len(reasons) == 4


def test_strength_words_rise_and_stay_silent_without_a_number() -> None:
    assert strength_words(None) is None
    order = ["none", "weak", "moderate", "strong", "very strong", "extremely strong"]
    found = [strength_words(-x / 10) for x in range(0, 400)]
    assert list(dict.fromkeys(found)) == order
    assert strength_words(LINK_LOG10_PVALUE) == "very strong"
    assert [limit for limit, _ in STRENGTH_WORDS] == sorted(limit for limit, _ in STRENGTH_WORDS)


def test_strength_is_corrected_for_the_number_of_probes() -> None:
    one = decide({"unit_order": layers(1.0, -10.0)}, None, True)
    three = decide(COPY | {"unit_order": layers(1.0, -10.0), "unit_partners": layers(1.0, -10.0)}, None, True)
    assert one.log10_pvalue == pytest.approx(-10.0)
    assert three.log10_pvalue is not None and -10.0 < three.log10_pvalue < -9.5


logs = st.floats(-500.0, 0.0)
shares = st.floats(0.0, 1.0)
deciding = st.fixed_dictionaries(
    {},
    optional={
        "same_values": st.one_of(st.just(NOTHING), st.builds(values, shares, shares, logs)),
        "unit_order": st.one_of(st.just(NOTHING), st.builds(layers, st.floats(-1.0, 1.0), logs, st.integers(0, 4))),
        "unit_places": st.one_of(st.just(NOTHING), st.builds(layers, st.floats(-1.0, 1.0), logs, st.integers(0, 4))),
        "unit_partners": st.one_of(st.just(NOTHING), st.builds(layers, shares, logs, st.integers(0, 4))),
        "unit_relations": st.one_of(st.just(NOTHING), st.builds(layers, st.floats(-1.0, 1.0), logs, st.integers(0, 4))),
        "turned_partners": st.one_of(st.just(NOTHING), st.builds(layers, shares, logs, st.integers(0, 4))),
        "shared_additions": st.one_of(st.just(NOTHING), st.builds(additions, st.floats(-1.0, 2.0))),
    },
)
differences = st.one_of(
    st.just(NOTHING),
    st.builds(
        shape,
        shares,
        shares,
        equal=shares,
        recast=shares,
        noise=shares,
        trained=shares,
        low_rank=shares,
        unrelated=shares,
    ),
)
claims = st.builds(
    lambda statistic, log10, n: Evidence(statistic, log10, n, {}), shares, st.none() | logs, st.integers(0, 10**6)
)
context = st.fixed_dictionaries(
    {}, optional={name: st.one_of(st.just(NOTHING), claims) for name in (*ONLY_CONTEXT, "a_probe_of_tomorrow")}
)
powers = st.one_of(st.none(), st.just(POWER))


@given(deciding, differences, context, powers, st.booleans())
def test_context_never_moves_the_answer(
    findings: Findings, difference: Finding, more: Findings, power: dict[str, Any] | None, has_weights: bool
) -> None:
    findings = findings | {"difference_shape": difference}
    assert decide(findings | more, power, has_weights) == decide(findings, power, has_weights)


@given(deciding, differences, powers)
def test_the_shape_of_a_difference_never_links_nor_unlinks(
    findings: Findings, difference: Finding, power: dict[str, Any] | None
) -> None:
    without, with_shape = (
        decide(findings, power, True),
        decide(findings | {"difference_shape": difference}, power, True),
    )
    assert (without.answer in LINKED) == (with_shape.answer in LINKED)
    if without.answer not in ("derived", "shared_part"):
        assert with_shape.answer == without.answer


@given(deciding, differences, powers)
def test_every_answer_keeps_its_promises(findings: Findings, difference: Finding, power: dict[str, Any] | None) -> None:
    findings = findings | {"difference_shape": difference}
    verdict: Verdict = decide(findings, power, True)
    linking = {name for name, finding in findings.items() if links(name, finding)}
    assert (verdict.answer in LINKED) <= bool(linking)
    assert linking <= set(verdict.because) or verdict.answer not in LINKED
    assert all(isinstance(findings[name], Evidence) for name in verdict.because)
    assert verdict.log10_pvalue is None or verdict.log10_pvalue <= 0.0
    if verdict.answer == "independent":
        assert power is not None and not linking
    assert (verdict.reason is not None) == (verdict.answer == "undecided")
    assert decide(dict(reversed(list(findings.items()))), power, True) == verdict


def test_line_7_two_trainings_from_one_start_are_siblings() -> None:
    far: Findings = COPY | {"difference_shape": shape(trained=1.0)}
    verdict = decide(far | {"shared_start": start(COMMON_START)}, None, True)
    assert verdict.answer == "common_origin" and verdict.because[0] == "shared_start"
    # A child keeps strong directions and the rest alike; where few tensors could be judged, nothing changes.
    for kept in (start(COMMON_START + 0.01), start(1.0), start(0.3, share=0.4), NOTHING):
        assert decide(far | {"shared_start": kept}, None, True).answer == "derived"
    # It never links, and never turns a copy or strangers into siblings.
    for findings in (STRANGERS, COPY | {"difference_shape": shape(noise=1.0)}, COPY | {"same_values": values(1.0)}):
        answers = {decide(findings | extra, POWER, True).answer for extra in ({}, {"shared_start": start(0.1)})}
        assert len(answers) == 1
