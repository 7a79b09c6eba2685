"""Large models are judged from samples: small ones stand in for them here, with the limits set low."""

from __future__ import annotations

import itertools
from functools import cache

import pytest
import torch
from scipy import stats

from tests.sampled_models import DEEP, Counted, answer, disguised, measured
from tests.small_models import (
    HEADS,
    LAYERS,
    fresh,
    read_unevenly,
    share_of_tables,
    tensors_of,
    trained,
    tuned,
    with_tables_of,
)
from tools.audit import compare
from tools.changes import changes
from tools.checkpoint import Checkpoint
from tools.comparison import Comparison
from tools.evidence import Evidence
from tools.limits import TEXTS
from tools.perturbations import perturbation_named
from tools.progress import Progress
from tools.reading import declared_comparison, sampled_comparison
from tools.sampling import Sample
from tools.verdict import LINKED, links

pytestmark = pytest.mark.usefixtures("everything_is_large")


@pytest.mark.parametrize(
    "changes",
    [
        [("add_noise", 0.01)],
        [("add_noise", 0.5)],
        [("rename_tensors", "all"), ("add_noise", 0.01)],
        [("cast", "bfloat16")],
        [("shuffle_units", "all")],
        [("shuffle_units", "all"), ("add_noise", 0.1)],
        [("rotate_residual", "all")],
        [("quantise", "int8")],
    ],
    ids=str,
)
def test_a_sample_knows_a_copy(changes: list[tuple[str, float | str]]) -> None:
    model = trained(DEEP, 1).held()
    assert answer(measured(disguised(model, *changes), model)) in LINKED


def test_a_noisy_copy_is_told_apart_from_training() -> None:
    model = trained(DEEP, 1).held()
    assert answer(measured(disguised(model, ("add_noise", 0.02)), model)) == "disguised_copy"
    assert answer(measured(tuned(DEEP, 1, 1).held(), model)) == "derived"


def test_a_stranger_is_independent_with_its_power() -> None:
    found = measured(trained(DEEP, 1).held(), trained(DEEP, 2).held())
    assert answer(found) == "independent"
    assert found.power is not None
    assert found.power["largest_noise_caught"] >= 0.5 and found.power["largest_noise_caught_reordered"] >= 0.2


def test_a_narrower_stranger_is_independent_with_its_power() -> None:
    wide, narrow = trained(DEEP, 1).held(), trained("llama", 2).held()
    found = measured(wide, narrow)
    assert answer(found) == "independent"
    assert found.power is not None and found.power["narrowed"]


def test_a_link_is_found_in_a_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    model, copy = Counted(trained(DEEP, 1)), Counted(trained(DEEP, 1))
    copy.tensors = {name: value + 1e-4 * torch.randn(value.shape) for name, value in copy.tensors.items()}
    held = {"model": model, "copy": copy}
    monkeypatch.setattr("tools.audit.open_checkpoint", lambda name, **_: held[name])
    assert compare("copy", "model")["answer"] in LINKED
    for checkpoint in (model, copy):
        matrices = [name for name, value in checkpoint.tensors.items() if value.numel() > 16 * 64]
        unread = [name for name in matrices if not checkpoint.values[name]]
        assert len({name.split(".")[2] for name in unread if "layers" in name}) == 1, "one layer is left out"
        for name in matrices:
            rows = 160 if "embed" in name else 16
            assert checkpoint.values[name] <= rows * checkpoint.shapes[name][1], f"{name} is read once, in part"


def test_more_is_read_only_where_the_order_of_units_links_nothing() -> None:
    a, b = Counted(trained(DEEP, 1)), Counted(trained(DEEP, 2))
    measured(a, b)
    whole = {name for name in a.shapes if "mlp" in name and a.values[name] >= a.tensors[name].numel()}
    assert {name.split(".")[2] for name in whole} == {"2"}, "one layer in the middle"
    assert not any("down" in name for name in whole), "two tensors describe its units"


def test_which_rows_are_read_does_not_depend_on_values() -> None:
    places = []
    for seed in (1, 2):
        model = Counted(trained(DEEP, seed))
        measured(model, Counted(fresh(DEEP, 9)))
        places.append(dict(model.values))
    assert places[0] == places[1]


def test_a_sample_with_other_rows_keeps_what_was_read_of_them() -> None:
    model = Counted(trained(DEEP, 1))
    whole = Comparison(model, Counted(trained(DEEP, 2)), full=True)
    sample = sampled_comparison(declared_comparison(whole), Progress(None, None)).a
    assert isinstance(sample, Sample)
    moved_name, still_name = "model.layers.1.mlp.up_proj.weight", "model.layers.2.mlp.up_proj.weight"
    still, rows = sample.read(still_name), sample.rows_from(moved_name, 5)
    fresh = sample.moved({moved_name: 5}, {}).read(moved_name)
    assert torch.equal(rows, fresh) and not torch.equal(rows, sample.read(moved_name))
    moved = sample.moved({moved_name: 5}, {moved_name: rows})
    before = dict(model.values)
    assert torch.equal(moved.read(moved_name), fresh) and torch.equal(moved.read(still_name), still)
    assert dict(model.values) == before


def test_a_copy_with_another_unread_layer_is_not_called_identical(monkeypatch: pytest.MonkeyPatch) -> None:
    # On this machine the rest would be read; over a network it is not.
    monkeypatch.setattr("tools.measuring._far_away", lambda _: True)
    model = trained(DEEP, 1)
    changed = dict(model.tensors)
    # Of four layers the first, the third and the last are read.
    name = "model.layers.1.mlp.up_proj.weight"
    changed[name] = torch.randn(changed[name].shape)
    found = measured(model.with_tensors(changed).held(), model.held())
    assert answer(found) == "disguised_copy" and not found.everything


def test_the_answer_says_that_a_sample_was_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("models")
    a, b = (trained(DEEP, seed).saved(folder / str(seed)) for seed in (1, 2))
    found = compare(a, b)
    assert found["answer"] == "independent"
    assert TEXTS["sampled"]["en"] in found["limits"]
    assert 0 < found["cost"]["bytes_read_a"] < found["cost"]["bytes_total_a"]


def test_parts_are_answered_and_shares_are_of_the_whole() -> None:
    from tools.components import components

    model = trained(DEEP, 1).held()
    found = measured(disguised(model, ("add_noise", 0.02)), model)
    parts = components(found.read, found.findings, "disguised_copy")
    assert sum(part["share_of_parameters"] for part in parts) == pytest.approx(1.0)
    assert {part["answer"] for part in parts if part["share_of_parameters"] > 0.05} == {"disguised_copy"}
    sizes = sum(value.numel() for name, value in model.tensors.items() if "mlp" in name)
    share = sizes / sum(value.numel() for value in model.tensors.values())
    assert next(p for p in parts if "feed" in p["name"])["share_of_parameters"] == pytest.approx(share, abs=1e-4)


def test_siblings_are_told_by_the_base_from_samples() -> None:
    base = trained(DEEP, 1).held()
    one, other = tuned(DEEP, 1, 1), tuned(DEEP, 1, 2)
    assert answer(measured(one.held(), other.held(), base)) in ("common_origin", "undecided")
    copy = disguised(one.held(), ("add_noise", 0.002))
    assert answer(measured(copy, one.held(), base)) in ("disguised_copy", "derived")


@cache
def strangers(kind: str) -> tuple[Checkpoint, ...]:
    return tuple(trained(kind, seed, steps=30).held() for seed in range(1, 7))


NULL_KINDS = ("llama", DEEP, "gpt2", "bert")
ORDERS = ("unit_order", "unit_relations", "value_order", "coordinate_order")


@pytest.fixture
def null(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[float]]:
    """log10 p-values by probe over all pairs of strangers of one recipe, samples and whole layers alike."""
    found: dict[str, list[float]] = {}
    monkeypatch.setattr("tools.measuring.measure_power", lambda *_: {})
    for kind in NULL_KINDS:
        for a, b in itertools.combinations(strangers(kind), 2):
            for name, finding in measured(a, b).findings.items():
                assert not links(name, finding), f"{kind}: {name} links strangers"
                if isinstance(finding, Evidence) and finding.log10_pvalue is not None:
                    found.setdefault(name, []).append(finding.log10_pvalue)
    return found


def test_samples_of_strangers_have_uniform_pvalues(null: dict[str, list[float]]) -> None:
    for name in ORDERS:
        assert len(null[name]) >= 30, name
        assert stats.kstest([10**log for log in null[name]], "uniform").pvalue > 0.01, name
        assert min(null[name]) > -4.0, name
    assert min(null["unit_partners"]) > -4.0


def test_turned_coordinates_and_new_tokens_are_seen_through_in_the_rows_that_are_read_anyway() -> None:
    model = trained(DEEP, 1)
    turned = tensors_of(perturbation_named("rotate_residual").apply(model.held(), "all", 7))
    for name, values in turned.items():
        if "embed_tokens" in name or "lm_head" in name:
            turned[name] = torch.randn(values.shape, generator=torch.Generator().manual_seed(11))
    copy, parent = Counted(model.with_tensors(turned)), Counted(model)
    found = measured(copy, parent)
    assert [name for name, finding in found.findings.items() if links(name, finding)] == ["unit_relations"]
    assert answer(found) == "derived"
    stranger = Counted(trained(DEEP, 2))
    measured(stranger, Counted(model))
    assert sum(copy.values.values()) <= sum(stranger.values.values())


@pytest.mark.parametrize(("rows", "reordered"), [(32, False), (512, True)])
def test_rows_are_put_in_order_only_where_all_are_there(
    rows: int, reordered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.sampling.TENSOR_VALUES", rows * 128)
    model = read_unevenly(1)
    copy = disguised(model, ("shuffle_units", "all"))
    sample = sampled_comparison(declared_comparison(Comparison(copy, model)), Progress(None, None))
    assert any(pair.partners is not None and pair.axis == 0 for pair in sample.tensor_pairs) == reordered
    found = measured(copy, model)
    told = changes(found.models, found.findings, answer(found), part=found.part)
    assert answer(found) == "disguised_copy" and [change["kind"] for change in told] == ["units_permuted"]


def test_layers_of_ones_own_behind_shared_tables_are_no_reordered_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.sampling.TENSOR_VALUES", 32 * 128)
    model = read_unevenly(1)
    found = measured(with_tables_of(model, read_unevenly(2)), model)
    told = changes(found.models, found.findings, answer(found), part=found.part)
    assert answer(found) == "shared_part" and [change["kind"] for change in told] == ["component_only"]
    assert told[0]["amount"] == pytest.approx(share_of_tables(model), abs=0.02)


def test_the_small_models_have_what_is_read_of_them() -> None:
    assert LAYERS == 2 and HEADS == 4, "the layers and rows counted above"


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_two_tables_of_one_shape_are_read_alike_whichever_is_the_head(seed: int) -> None:
    model = trained(DEEP, 1)
    table = model.tensors["model.embed_tokens.weight"]
    draw = torch.Generator().manual_seed(seed)
    tensors = model.tensors | {"lm_head.weight": table.std() * torch.randn(table.shape, generator=draw)}
    untied = model.with_tensors(tensors).held()
    nameless = perturbation_named("rename_tensors").apply(disguised(untied, ("add_noise", 0.02)), "all", seed)
    found = measured(nameless, untied)
    shape = found.findings["difference_shape"]
    assert isinstance(shape, Evidence)
    kinds = {row["b"]: row["kind"] for row in shape.where["tensors"]}
    assert kinds["model.embed_tokens.weight"] == kinds["lm_head.weight"] == "noise"
    assert kinds.keys() == {name for name in tensors if len(tensors[name].shape) == 2}
    assert answer(found) == "disguised_copy"
