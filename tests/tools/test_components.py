"""The parts of a model answered one by one: what was borrowed, what is its own, and how much of it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from scipy import stats

from tests.sampled_models import answer, disguised, measured
from tests.small_models import (
    Held,
    Small,
    read_unevenly,
    share_of_tables,
    tensors_of,
    trained,
    tuned,
    with_tables_of,
)
from tools.audit import compare
from tools.changes import changes
from tools.comparison import Comparison
from tools.evidence import Evidence
from tools.limits import TEXTS
from tools.names import has_role
from tools.perturbations import Amount, perturbation_named
from tools.probes import probe_named
from tools.roles import Layout
from tools.verdict import links

Change = tuple[str, Amount]

# Towers of another width than the language models they are built into.
PREFIXES = ("model.visual.", "vision_tower.")


def tower(model: Small, prefix: str, *changes: Change) -> dict[str, torch.Tensor]:
    """An encoder without its tokens, as a part of a larger model."""
    for name, amount in changes:
        model = model.with_tensors(tensors_of(perturbation_named(name).apply(model.held(), amount, 3)))
    return {prefix + name: value for name, value in model.tensors.items() if ".encoder." in name}


def seeing(seed: int, part: dict[str, torch.Tensor]) -> Small:
    """A language model of its own with a part that sees."""
    own = trained("llama_deep", seed)
    return Small(own.tensors | part, own.config, own.files)


def share_of(part: dict[str, torch.Tensor], model: Small) -> float:
    return sum(value.numel() for value in part.values()) / sum(value.numel() for value in model.tensors.values())


SHUFFLED: Change = ("shuffle_units", "all")
COPIED = {"disguised_copy"}
DISGUISES: dict[str, tuple[tuple[Change, ...], set[str]]] = {
    "renamed": ((), {"identical"}),
    "re-ordered": ((SHUFFLED,), {"identical", "disguised_copy"}),
    "2 % noise": ((("add_noise", 0.02),), COPIED),
    "10 % noise": ((("add_noise", 0.1),), COPIED),
    "50 % noise": ((("add_noise", 0.5),), COPIED),
    "re-ordered with 10 % noise": ((SHUFFLED, ("add_noise", 0.1)), COPIED),
    "rounded": ((("quantise", "int8"),), COPIED),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_borrowed_tower_in_a_model_of_its_own_is_a_shared_part(disguise: str, tmp_path: Path) -> None:
    changes, right = DISGUISES[disguise]
    borrowed = tower(trained("bert", 1), PREFIXES[0], *changes)
    renamed = {name.replace("bert.encoder.layer", "blocks"): value for name, value in borrowed.items()}
    a, b = seeing(3, renamed), seeing(4, tower(trained("bert", 1), PREFIXES[1]))
    result = compare(a.saved(tmp_path / "a"), b.saved(tmp_path / "b"))
    assert result["answer"] == "shared_part"
    share = share_of(renamed, a)
    parts = {part["name"]: part for part in result["components"]}
    assert parts["vision part"]["answer"] in right
    assert parts["vision part"]["share_of_parameters"] == pytest.approx(share, rel=0.02)
    assert {part["answer"] for name, part in parts.items() if name != "vision part"} == {"undecided"}
    (told,) = [change for change in result["changes"] if change["kind"] == "component_only"]
    assert told["amount"] == pytest.approx(share, rel=0.1)
    # A tower that many models share is no sign against any of them.
    assert TEXTS["public_part"]["en"] in result["limits"]


def test_a_tower_that_was_trained_on_is_a_shared_part(tmp_path: Path) -> None:
    a, b = seeing(3, tower(tuned("bert", 1, 7), PREFIXES[0])), seeing(4, tower(trained("bert", 1), PREFIXES[1]))
    result = compare(a.saved(tmp_path / "a"), b.saved(tmp_path / "b"))
    assert result["answer"] == "shared_part"
    assert {p["name"]: p["answer"] for p in result["components"]}["vision part"] == "derived"


def test_a_borrowed_tower_is_found_without_any_names(tmp_path: Path) -> None:
    noisy = tower(trained("bert", 1), PREFIXES[0], SHUFFLED, ("add_noise", 0.1))
    a, b = seeing(3, noisy), seeing(4, tower(trained("bert", 1), PREFIXES[1]))
    nameless = a.with_tensors(tensors_of(perturbation_named("rename_tensors").apply(a.held(), "all", 0)))
    result = compare(nameless.saved(tmp_path / "a"), b.saved(tmp_path / "b"))
    assert result["answer"] == "shared_part"
    (told,) = [change for change in result["changes"] if change["kind"] == "component_only"]
    # Without names only the share among feed-forward layers is known.
    assert told["amount"] == pytest.approx(share_of(noisy, a), rel=0.5)


def test_a_tower_that_was_added_to_a_copy_is_no_change_of_its_layers(tmp_path: Path) -> None:
    own = trained("llama_deep", 3)
    noisy = own.with_tensors(tensors_of(perturbation_named("add_noise").apply(own.held(), 0.05, 3)))
    a = Small(noisy.tensors | tower(trained("bert", 1), PREFIXES[0]), own.config, own.files)
    result = compare(a.saved(tmp_path / "a"), own.saved(tmp_path / "b"))
    assert result["answer"] in ("disguised_copy", "derived")
    assert not {c["kind"] for c in result["changes"]} & {"layers_removed", "layers_repeated", "narrowed"}


def wide_tower(prefix: str) -> dict[str, torch.Tensor]:
    """A tower that is wider, and holds more numbers, than the language models it is built into."""
    return {
        f"{prefix}encoder.{name}": value
        for name, value in trained("llama_deep", 1).tensors.items()
        if ".layers." in name
    }


def test_a_borrowed_tower_is_a_part_even_where_it_is_most_of_the_model(tmp_path: Path) -> None:
    own = trained("llama", 3)
    borrowed = wide_tower(PREFIXES[0])
    a = Small(own.tensors | borrowed, own.config, own.files)
    assert share_of(borrowed, a) > 0.5
    other = trained("llama", 4)
    b = Small(other.tensors | wide_tower(PREFIXES[1]), other.config, other.files)
    noisy = a.with_tensors(tensors_of(perturbation_named("add_noise").apply(a.held(), 0.05, 3)))
    for suspect in (a, noisy):
        result = compare(suspect.saved(tmp_path / "a"), b.saved(tmp_path / "b"))
        assert result["answer"] == "shared_part"
        assert {p["name"]: p["answer"] for p in result["components"]}["feed-forward layers"] == "undecided"
    # The same tower beside the same language model is no part but the whole.
    further = Small(tuned("llama", 4, 7).tensors | borrowed, other.config, other.files)
    assert compare(further.saved(tmp_path / "c"), b.saved(tmp_path / "b"))["answer"] == "derived"


def rotated(model: Small) -> Small:
    return model.with_tensors(tensors_of(perturbation_named("rotate_residual").apply(model.held(), "all", 3)))


def test_a_rotated_model_with_a_tower_is_a_disguised_copy(tmp_path: Path) -> None:
    parent = seeing(3, tower(trained("bert", 1), PREFIXES[0]))
    result = compare(rotated(parent).saved(tmp_path / "a"), parent.saved(tmp_path / "b"))
    assert result["answer"] == "disguised_copy"
    assert [change["kind"] for change in result["changes"]] == ["rotated"]
    answers = {part["name"]: part["answer"] for part in result["components"]}
    assert answers["vision part"] == answers["feed-forward layers"] == "identical"


@pytest.mark.parametrize("language", [True, False], ids=["language part", "tower"])
def test_where_one_part_was_trained_on_a_rotated_model_is_no_disguised_copy(language: bool, tmp_path: Path) -> None:
    parent = seeing(3, tower(trained("bert", 1), PREFIXES[0]))
    own = tuned("llama_deep", 3, 7).tensors if language else trained("llama_deep", 3).tensors
    part = tower(trained("bert", 1) if language else tuned("bert", 1, 7), PREFIXES[0])
    further = rotated(Small(own | part, parent.config, parent.files))
    result = compare(further.saved(tmp_path / "a"), parent.saved(tmp_path / "b"))
    assert result["answer"] == "derived"
    assert "rotated" in [change["kind"] for change in result["changes"]]


def seeing_strangers(seed: int) -> Held:
    """Language part and tower of one recipe each, all of them made apart."""
    return seeing(seed, tower(trained("bert", seed, steps=30), PREFIXES[seed % 2])).held()


def test_towers_of_strangers_link_nothing() -> None:
    models = [seeing_strangers(seed) for seed in range(1, 8)]
    layouts = [Layout(model) for model in models]
    for name in ("unit_order", "unit_places", "unit_partners", "value_order"):
        logs: list[float] = []
        for (a, of_a), (b, of_b) in itertools.combinations(zip(models, layouts, strict=True), 2):
            finding = probe_named(name).measure(Comparison(a, b, layouts=(of_a, of_b)))
            assert isinstance(finding, Evidence) and not links(name, finding)
            logs += [row["log10_pvalue"] for row in finding.where if has_role(row["a"], "vision")]
        if name == "value_order":
            continue
        assert len(logs) == 2 * 21
        assert stats.kstest([10**log for log in logs], "uniform", alternative="greater").pvalue > 0.01
        assert min(logs) > -5


def test_towers_of_their_own_link_nothing(tmp_path: Path) -> None:
    a, b = seeing(3, tower(trained("bert", 2), PREFIXES[0])), seeing(4, tower(trained("bert", 1), PREFIXES[1]))
    result = compare(a.saved(tmp_path / "a"), b.saved(tmp_path / "b"))
    assert result["answer"] == "independent" and not result["changes"]
    assert {p["name"]: p["answer"] for p in result["components"]}["vision part"] == "independent"
    # Where only one of two models can see, nobody looked at that part.
    alone = compare(a.saved(tmp_path / "c"), trained("llama_deep", 4).saved(tmp_path / "d"))
    assert alone["answer"] == "independent"
    assert {p["name"]: p["answer"] for p in alone["components"]}["vision part"] == "undecided"


def upcycled(model: Small, experts: int, noise: float) -> Small:
    """Every feed-forward layer placed several times as experts, a fresh router in front (Komatsuzaki et al., 2023)."""
    luck = torch.Generator().manual_seed(4)
    tensors: dict[str, torch.Tensor] = {}
    for name, value in model.tensors.items():
        if ".mlp." not in name:
            tensors[name] = value
            continue
        before, after = name.split(".mlp.")
        tensors[f"{before}.mlp.gate.weight"] = torch.randn(experts, 64, generator=luck) * 0.02
        for expert in range(experts):
            grown = noise * value.std() * torch.randn(value.shape, generator=luck)
            tensors[f"{before}.mlp.experts.{expert}.{after}"] = value + grown
    return Small(tensors, model.config, model.files)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_experts_made_from_a_dense_model_are_linked_to_it(noise: float, tmp_path: Path) -> None:
    dense = trained("llama_deep", 1)
    a, b = upcycled(dense, 4, noise).saved(tmp_path / "experts"), dense.saved(tmp_path / "dense")
    stranger = trained("llama_deep", 2).saved(tmp_path / "stranger")
    for result in (compare(a, b), compare(b, a)):
        assert result["answer"] == "derived"
        assert "experts_from_dense" in {change["kind"] for change in result["changes"]}
        assert not {c["kind"] for c in result["changes"]} & {"layers_removed", "layers_repeated"}
    assert compare(a, stranger)["answer"] == "independent"


def mixture(own: int, experts: Sequence[int]) -> Small:
    """A model of its own whose experts are the feed-forward layers of models made apart, by their seeds."""
    luck = torch.Generator().manual_seed(own)
    of = [trained("llama_deep", seed).tensors for seed in experts]
    tensors: dict[str, torch.Tensor] = {}
    for name, value in trained("llama_deep", own).tensors.items():
        if ".mlp." not in name:
            tensors[name] = value
            continue
        before, after = name.split(".mlp.")
        tensors[f"{before}.mlp.gate.weight"] = torch.randn(len(experts), 64, generator=luck) * 0.02
        for expert, its in enumerate(of):
            tensors[f"{before}.mlp.experts.{expert}.{after}"] = its[name].clone()
    return Small(tensors, trained("llama_deep", own).config, trained("llama_deep", own).files)


@pytest.mark.parametrize(
    "changes", [(), (SHUFFLED,), (SHUFFLED, ("add_noise", 0.1))], ids=["exact", "re-ordered", "re-ordered, 10 % noise"]
)
def test_some_experts_of_another_mixture_are_a_shared_part(changes: tuple[Change, ...], tmp_path: Path) -> None:
    a, b = mixture(3, (3, 1, 2)), mixture(4, (1, 2, 4))
    for name, amount in changes:
        a = a.with_tensors(tensors_of(perturbation_named(name).apply(a.held(), amount, 3)))
    result = compare(a.saved(tmp_path / "a"), b.saved(tmp_path / "b"))
    assert result["answer"] == "shared_part"
    (told,) = [change for change in result["changes"] if change["kind"] == "component_only"]
    taken = {name: v for name, v in a.tensors.items() if ".experts.1." in name or ".experts.2." in name}
    assert told["amount"] == pytest.approx(share_of(taken, a), rel=0.1)
    # Two of three experts of every layer; none of the attention, the tokens or the head.
    parts = {part["name"]: part["answer"] for part in result["components"]}
    assert parts["experts"] == "shared_part" and {parts["attention"], parts["embeddings"]} == {"undecided"}


def test_mixtures_of_their_own_are_independent(tmp_path: Path) -> None:
    a, b = mixture(3, (3, 5)).saved(tmp_path / "a"), mixture(4, (4, 1)).saved(tmp_path / "b")
    assert compare(a, b)["answer"] == "independent"


READ_ALIKE = [(1.2, 0.0), (1.5, 0.0), (0.8, 1.0)]


@pytest.mark.parametrize(
    "disguise", [(), (("shuffle_heads", "all"), ("shuffle_units", "all"))], ids=["plain", "shuffled"]
)
@pytest.mark.parametrize(("spread", "along"), READ_ALIKE)
def test_layers_that_read_the_same_channels_strongly_are_not_related(
    spread: float, along: float, disguise: Sequence[Change]
) -> None:
    model, other = (read_unevenly(seed, spread, along) for seed in (1, 2))
    found = measured(disguised(with_tables_of(model, other), *disguise), model)
    told = changes(found.models, found.findings, answer(found))
    assert answer(found) == "shared_part" and [change["kind"] for change in told] == ["component_only"]
    assert told[0]["amount"] == pytest.approx(share_of_tables(model), abs=0.01)


@pytest.mark.parametrize(("spread", "along"), READ_ALIKE)
def test_reordered_copies_that_read_a_few_channels_strongly_are_told(spread: float, along: float) -> None:
    model = read_unevenly(1, spread, along)
    disguise = ("shuffle_heads", "all"), ("shuffle_units", "all"), ("add_noise", 0.5)
    found = measured(disguised(model, *disguise), model)
    told = {change["kind"]: change["amount"] for change in changes(found.models, found.findings, answer(found))}
    assert answer(found) == "disguised_copy" and told.keys() == {"units_permuted", "heads_permuted", "noise"}
    assert told["noise"] == pytest.approx(0.5, abs=0.02)
