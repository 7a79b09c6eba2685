"""No accusation without a null: among strangers of one recipe the p-values are uniform, and nothing ever links."""

from __future__ import annotations

import itertools
from functools import cache

import pytest
from scipy import stats

from tests.small_models import Held, fresh, trained
from tools.checkpoint import Checkpoint
from tools.comparison import Comparison
from tools.evidence import Evidence
from tools.probes import probe_named
from tools.roles import Layout
from tools.verdict import LEAST_EFFECT, SUGGESTIVE_LOG10_PVALUE, links

UNTRAINED, TRAINED = 13, 9
# What links is a thousand times rarer than the rarest of these pairs may be.
RAREST = -6.0


@cache
def strangers(kind: str, state: str) -> tuple[tuple[Checkpoint, Layout], ...]:
    """Models of one recipe that differ in the seed of their first numbers alone, with their layouts."""
    if state == "untrained":
        models = [fresh(kind, seed).held() for seed in range(100, 100 + UNTRAINED)]
    else:
        models = [trained(kind, seed, steps=30).held() for seed in range(1, 1 + TRAINED)]
    return tuple((model, Layout(model)) for model in models)


@cache
def findings(name: str, kind: str, state: str) -> tuple[Evidence, ...]:
    found = []
    for (a, layout_a), (b, layout_b) in itertools.combinations(strangers(kind, state), 2):
        finding = probe_named(name).measure(Comparison(a, b, layouts=(layout_a, layout_b)))
        assert isinstance(finding, Evidence)
        found.append(finding)
    return tuple(found)


KINDS, STATES = ("llama", "gpt2", "bert"), ("untrained", "trained")
# The probes whose null is an exact one: an order that is uniform among all orders.
ORDERS = ("unit_order", "unit_places", "unit_relations", "value_order", "coordinate_order")
# Fused attention has no rows of values to look at.
ABSTAINS = {("value_order", "gpt2")}
every_population = pytest.mark.parametrize(("kind", "state"), list(itertools.product(KINDS, STATES)))


def logs(name: str, kind: str, state: str) -> list[float]:
    return [finding.log10_pvalue or 0.0 for finding in findings(name, kind, state)]


def test_there_are_enough_pairs_to_tell() -> None:
    pairs = {state: sum(len(findings("unit_order", kind, state)) for kind in KINDS) for state in STATES}
    assert pairs["untrained"] >= 150 and pairs["trained"] >= 100


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", ORDERS)
def test_an_order_is_uniform_among_strangers(name: str, state: str) -> None:
    pvalues = [10**log for kind in KINDS if (name, kind) not in ABSTAINS for log in logs(name, kind, state)]
    assert len(pvalues) >= 70
    assert stats.kstest(pvalues, "uniform").pvalue > 0.01


@every_population
def test_partners_are_no_rarer_among_strangers_than_luck(kind: str, state: str) -> None:
    rows = [10 ** row["log10_pvalue"] for finding in findings("unit_partners", kind, state) for row in finding.where]
    assert stats.kstest(rows, "uniform", alternative="greater").pvalue > 0.001


@pytest.mark.parametrize(
    ("name", "kind", "state"),
    [
        (name, kind, state)
        for name, kind, state in itertools.product([*ORDERS, "unit_partners"], KINDS, STATES)
        if (name, kind) not in ABSTAINS
    ],
)
def test_no_probe_is_rarer_than_luck_allows(name: str, kind: str, state: str) -> None:
    found = logs(name, kind, state)
    for level in (-1.0, -2.0, -3.0):
        small = sum(log <= level for log in found)
        assert stats.binomtest(small, len(found), 10**level, alternative="greater").pvalue > 0.001, (level, small)


@pytest.mark.parametrize(
    ("name", "kind", "state"), list(itertools.product(("unit_order", "unit_places", "unit_relations"), KINDS, STATES))
)
def test_every_layer_is_uniform(name: str, kind: str, state: str) -> None:
    rows = [10 ** row["log10_pvalue"] for finding in findings(name, kind, state) for row in finding.where]
    assert stats.kstest(rows, "uniform").pvalue > 0.001


@pytest.mark.parametrize(
    ("name", "kind", "state"),
    [
        (name, kind, state)
        for name, kind, state in itertools.product(sorted(LEAST_EFFECT), KINDS, STATES)
        if (name, kind) not in ABSTAINS
    ],
)
def test_nothing_links_strangers(name: str, kind: str, state: str) -> None:
    for finding in findings(name, kind, state):
        assert not links(name, finding)
        assert (finding.log10_pvalue or 0.0) > RAREST
        # The size of an effect is a second line of defence; of a correlation chance alone makes more than that.
        assert finding.statistic < LEAST_EFFECT[name] or name in ORDERS


def test_a_twentieth_of_one_model_in_a_stranger_is_odd_and_no_link() -> None:
    (stranger, _), (model, _) = strangers("llama", "trained")[:2]
    tensors = {name: 0.95 * stranger.read(name).float() + 0.05 * model.read(name).float() for name in model.shapes}
    merged = Held(tensors, model.config)
    finding = probe_named("unit_places").measure(Comparison(merged, model))
    assert isinstance(finding, Evidence) and finding.log10_pvalue is not None
    assert finding.log10_pvalue < SUGGESTIVE_LOG10_PVALUE - 2 and not links("unit_places", finding)


def test_a_copy_among_them_stands_out() -> None:
    # The same machinery, so that a test that can never fire does not pass for a careful one.
    model, layout = strangers("llama", "trained")[0]
    for name in (*ORDERS, "unit_partners", "same_values"):
        finding = probe_named(name).measure(Comparison(model, model, layouts=(layout, layout)))
        assert links(name, finding)
