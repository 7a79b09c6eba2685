"""Units told by how they stand to each other: what turning, new tables and new words leave of a copy; strangers."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from tests.small_models import UNITS, Small, fresh, tensors_of, trained, tuned, with_new_tables
from tools.changes import changes
from tools.checkpoint import Checkpoint
from tools.comparison import Comparison
from tools.evidence import Abstention, Evidence, Finding
from tools.limits import TEXTS, limits
from tools.matching import best_partners
from tools.measuring import measure
from tools.perturbations import perturbation_named
from tools.power import measure_power
from tools.probes import probe_named
from tools.report import power
from tools.verdict import LEAST_EFFECT, decide, linked_share, links

FOUND_BY = ["unit_relations", "turned_partners"]
TURNED = ["llama", "qwen2", "gemma", "phi3"]


def related(a: Checkpoint, b: Checkpoint) -> Finding:
    return probe_named("unit_relations").measure(Comparison(a, b))


@cache
def laundered(kind: str) -> Small:
    """A further trained copy in turned coordinates, with token tables and a tokenizer of its own."""
    model = tuned(kind, 1, 3)
    rotated = tensors_of(perturbation_named("rotate_residual").apply(model.held(), "all", 7))
    return with_new_tables(Small(rotated, model.config))


@pytest.mark.parametrize("kind", TURNED)
def test_a_laundered_copy_is_derived_and_told_to_be_turned(kind: str) -> None:
    copy, parent = laundered(kind).held(), trained(kind, 1).held()
    for a, b in ((copy, parent), (parent, copy)):
        comparison = Comparison(a, b)
        measured = measure(comparison, None)
        assert [name for name in LEAST_EFFECT if links(name, measured.findings[name])] == FOUND_BY
        verdict = decide(measured.findings, None, True)
        assert (verdict.answer, verdict.because) == ("derived", tuple(FOUND_BY))
        assert linked_share(measured.findings) == 1.0
        assert "rotated" in [change["kind"] for change in changes(comparison, measured.findings, "derived")]


def test_what_is_measured_is_the_same_in_any_coordinates() -> None:
    # Also of strangers, so that a planted copy need not be turned to know what would have been caught.
    model, stranger = trained("llama", 1), trained("llama", 2).held()
    turned = model.with_tensors(tensors_of(perturbation_named("rotate_residual").apply(model.held(), "all", 3)))
    one, other = related(model.held(), stranger), related(turned.held(), stranger)
    assert isinstance(one, Evidence) and isinstance(other, Evidence)
    assert one.statistic == pytest.approx(other.statistic, abs=1e-6)
    assert not links("unit_relations", one)


def only_layer(model: Small) -> Small:
    return model.with_tensors({name: value for name, value in model.tensors.items() if ".layers.1." not in name})


def test_one_layer_is_enough() -> None:
    copy, parent = only_layer(laundered("llama")).held(), only_layer(trained("llama", 1)).held()
    assert links("unit_relations", related(copy, parent))
    assert not links("unit_relations", related(copy, only_layer(trained("llama", 2)).held()))


def test_layers_find_each_other_wherever_they_stand() -> None:
    model = trained("llama_deep", 1)
    turned = tensors_of(perturbation_named("rotate_residual").apply(model.held(), "all", 3))
    kept = {0: 2, 1: 0, 2: 3}
    moved = {name: value for name, value in turned.items() if ".layers." not in name}
    for new, old in kept.items():
        moved |= {
            name.replace(f".layers.{old}.", f".layers.{new}."): value
            for name, value in turned.items()
            if f".layers.{old}." in name
        }
    finding = related(model.with_tensors(moved).held(), model.held())
    assert isinstance(finding, Evidence) and finding.statistic == pytest.approx(1.0)
    assert {(row["a"], row["b"]) for row in finding.where} == {
        (f"model.layers.{new}", f"model.layers.{old}") for new, old in kept.items()
    }


def test_another_width_of_the_stream_is_no_obstacle() -> None:
    # Rotated and cut, as SliceGPT does: the weakest directions are gone, the units are the same.
    model = trained("llama", 1)
    turned = tensors_of(perturbation_named("rotate_residual").apply(model.held(), "all", 3))
    width = turned["model.norm.weight"].shape[0]
    kept = 3 * width // 4
    cut = {
        name: value[:kept] if value.dim() == 1 or value.shape[0] == width else value[:, :kept]
        for name, value in turned.items()
        if "self_attn" not in name
    }
    assert links("unit_relations", related(Small(cut, model.config).held(), model.held()))


def test_other_numbers_of_units_abstain() -> None:
    finding = related(trained("llama", 1).held(), Small({"w.weight": torch.randn(8, 8)}).held())
    assert isinstance(finding, Abstention)
    assert isinstance(related(trained("llama", 1).held(), trained("gpt2", 1).held()), Abstention)


def emptied(model: Small, seed: int | None) -> Checkpoint:
    """The model with 60 of its 96 hidden units empty in every layer: the first ones, or some at random."""
    some = (
        torch.arange(60) if seed is None else torch.randperm(UNITS, generator=torch.Generator().manual_seed(seed))[:60]
    )
    tensors = {name: value.clone() for name, value in model.tensors.items()}
    for name, value in tensors.items():
        if ".mlp." in name:
            value[(slice(None), some) if "down_proj" in name else some] = 0.0
    return model.with_tensors(tensors).held()


@pytest.mark.parametrize("seeds", [(None, None), (5, 5), (5, 6)], ids=["padded", "pruned alike", "pruned apart"])
@pytest.mark.parametrize("name", sorted(LEAST_EFFECT))
def test_empty_units_link_no_strangers(name: str, seeds: tuple[int | None, int | None]) -> None:
    # What is empty in both is alike in both, and a matching takes equals as they come.
    a, b = emptied(trained("llama", 1), seeds[0]), emptied(trained("llama", 2), seeds[1])
    finding = probe_named(name).measure(Comparison(a, b))
    assert not isinstance(finding, Evidence) or (finding.log10_pvalue or 0.0) > -3.0


def test_empty_units_hide_no_copy() -> None:
    model, copy = emptied(trained("llama", 1), 5), emptied(tuned("llama", 1, 3), 5)
    for name in ("unit_order", "unit_relations", "unit_partners"):
        assert links(name, probe_named(name).measure(Comparison(model, copy))), name


def test_equally_good_partners_are_not_taken_in_order() -> None:
    partners = best_partners(np.zeros((64, 64)))
    assert sorted(partners) == list(range(64))
    assert abs(float(np.corrcoef(partners, np.arange(64))[0, 1])) < 0.4


def test_independent_says_whether_a_turned_copy_would_have_been_caught() -> None:
    a, b = fresh("llama", 1).held(), fresh("llama", 2).held()
    found = measure_power(Comparison(a, b), links, links)
    assert found["largest_noise_caught_turned"] >= 0.5
    without = TEXTS["no_turned_power"]["en"]
    assert without not in limits("independent", power=found)
    assert without in limits("independent", power=found | {"largest_noise_caught_turned": None})
    for language, words in (("en", "turned coordinates"), ("zh", "转动坐标")):
        assert words in power({"power": found}, language)
        assert words not in power({"power": found | {"largest_noise_caught_turned": None}}, language)
