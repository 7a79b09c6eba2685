"""Units matched in coordinates that the layers alone tell: rotation, re-ordering, new tables and new words at once."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from tests.small_models import Small, fresh, tensors_of, trained, tuned, with_new_tables
from tools.changes import changes
from tools.checkpoint import Checkpoint
from tools.comparison import Comparison
from tools.evidence import Abstention, Evidence, Finding
from tools.limits import TEXTS, limits
from tools.measuring import measure
from tools.moments import moments_of, rotation_by_moments
from tools.perturbations import perturbation_named
from tools.power import measure_power
from tools.probes import probe_named
from tools.report import power
from tools.verdict import LEAST_EFFECT, decide, linked_share, links

TURNED = ["llama", "qwen2", "gemma", "phi3"]


def matched(a: Checkpoint, b: Checkpoint) -> Finding:
    return probe_named("turned_partners").measure(Comparison(a, b))


def changed(model: Small, *names: str) -> Small:
    for name in names:
        model = model.with_tensors(tensors_of(perturbation_named(name).apply(model.held(), "all", 7)))
    return model


@cache
def laundered(kind: str) -> Small:
    """A further trained copy, rotated, its units and heads re-ordered, with token tables and a tokenizer of its own."""
    # Heads in one tensor with others cannot be re-ordered by our own perturbation.
    heads = () if kind == "phi3" else ("shuffle_heads",)
    return with_new_tables(changed(tuned(kind, 1, 3), "rotate_residual", "shuffle_units", *heads))


@pytest.mark.parametrize("kind", TURNED)
def test_all_disguises_at_once_are_seen_through(kind: str) -> None:
    copy, parent = laundered(kind).held(), trained(kind, 1).held()
    for a, b in ((copy, parent), (parent, copy)):
        comparison = Comparison(a, b)
        measured = measure(comparison, None)
        assert "turned_partners" in [name for name in LEAST_EFFECT if links(name, measured.findings[name])]
        assert not links("unit_order", measured.findings["unit_order"])
        verdict = decide(measured.findings, None, True)
        assert verdict.answer == "derived"
        assert linked_share(measured.findings) == 1.0
        told = {change["kind"] for change in changes(comparison, measured.findings, "derived")}
        # Which units of a tensor that holds two kinds of them were moved is not told.
        assert told >= ({"rotated"} if kind == "phi3" else {"rotated", "units_permuted"})


@pytest.mark.parametrize("kind", ["gpt2", "bert"])
def test_networks_that_can_only_be_re_ordered_are_known_again(kind: str) -> None:
    copy = changed(tuned(kind, 1, 3), "permute_residual", "shuffle_units")
    assert links("turned_partners", matched(copy.held(), trained(kind, 1).held()))


def test_the_rotation_is_found_whatever_the_order_of_the_units() -> None:
    draw = torch.Generator().manual_seed(5)
    turn = torch.linalg.qr(torch.randn(24, 24, generator=draw, dtype=torch.float64))[0].float()
    uneven = torch.linspace(0.3, 3.0, 24)
    tensors = [torch.randn(90, 24, generator=draw) * uneven.roll(k) + uneven.roll(3 * k) / 4 for k in range(4)]
    others = [(values @ turn)[torch.randperm(90, generator=draw)] for values in tensors]
    a, b = [moments_of(values) for values in tensors], [moments_of(values) for values in others]
    found = rotation_by_moments(a, b)
    assert torch.allclose(found, turn, atol=1e-3)
    assert torch.equal(rotation_by_moments(b, a), found.T)


def test_what_is_measured_is_the_same_in_any_coordinates_and_order() -> None:
    # Also of strangers, so that a planted copy need not be turned to know what would have been caught.
    model, stranger = trained("llama", 1), trained("llama", 2).held()
    one = matched(model.held(), stranger)
    other = matched(changed(model, "rotate_residual", "shuffle_units").held(), stranger)
    assert isinstance(one, Evidence) and isinstance(other, Evidence)
    assert one.statistic == pytest.approx(other.statistic, abs=0.03)
    assert not links("turned_partners", one) and not links("turned_partners", other)


def test_a_layer_left_out_is_no_hindrance() -> None:
    model = changed(trained("llama_deep", 1), "rotate_residual", "shuffle_units")
    short = model.with_tensors({name: v for name, v in model.tensors.items() if ".layers.1." not in name})
    assert links("turned_partners", matched(short.held(), trained("llama_deep", 1).held()))
    assert not links("turned_partners", matched(short.held(), trained("llama_deep", 2).held()))


def test_other_widths_are_not_asked_about() -> None:
    wide = {name: values.repeat_interleave(2, -1) for name, values in trained("llama", 1).tensors.items()}
    assert isinstance(matched(Small(wide, {}).held(), trained("llama", 1).held()), Abstention)


def test_a_link_without_a_described_difference_says_so() -> None:
    words = TEXTS["not_described"]["en"]
    assert words in limits("derived", described=False) and words not in limits("derived")


def test_independent_says_whether_all_disguises_at_once_would_have_been_seen_through() -> None:
    a, b = fresh("llama", 1).held(), fresh("llama", 2).held()
    found = measure_power(Comparison(a, b), links, links)
    without = TEXTS["no_turned_reordered_power"]["en"]
    for caught in (0.5, None):
        said = found | {"largest_noise_caught_turned_reordered": caught}
        assert (without in limits("independent", power=said)) is (caught is None)
        for language, words in (("en", "all of that at once"), ("zh", "以上全都做了")):
            assert (words in power({"power": said}, language)) is (caught is not None)
