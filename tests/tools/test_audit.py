"""What one can ask, end to end on tiny models whose history is known."""

from __future__ import annotations

import ast
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.small_models import (
    LAYERS,
    UNITS,
    VOCABULARY,
    WIDTH,
    WORDS,
    Small,
    fresh,
    tensors_of,
    tokenizer_json,
    trained,
    tuned,
)
from tools import kept_results
from tools.audit import compare, describe, stress
from tools.errors import Cancelled, UserError
from tools.limits import TEXTS
from tools.perturbations import Amount, perturbation_named
from tools.probes import all_probes
from tools.verdict import LEAST_EFFECT, LINKED

SCHEMA = Path(__file__).resolve().parents[2].parent / "shared" / "result.schema.json"
FINE_TUNED = ("derived",)


def disguise(model: Small, *changes: tuple[str, Amount]) -> Small:
    """The model after one change upon another."""
    for number, (name, amount) in enumerate(changes):
        model = model.with_tensors(tensors_of(perturbation_named(name).apply(model.held(), amount, 11 + number)))
    return model


def recipes() -> dict[str, Callable[[], Small]]:
    tuned_model = lambda: tuned("llama", 1, 3)  # noqa: E731
    return {
        "base": lambda: trained("llama", 1),
        "tuned": tuned_model,
        "sibling": lambda: tuned("llama", 1, 4),
        "stranger": lambda: trained("llama", 2),
        "stranger_tuned": lambda: tuned("llama", 2, 3),
        "untrained": lambda: fresh("llama", 9),
        "again": tuned_model,
        "renamed": lambda: disguise(tuned_model(), ("rename_tensors", "all")),
        "noisy": lambda: disguise(tuned_model(), ("add_noise", 0.1)),
        "very_noisy": lambda: disguise(tuned_model(), ("add_noise", 0.5)),
        "bfloat16": lambda: disguise(tuned_model(), ("cast", "bfloat16")),
        "float8": lambda: disguise(tuned_model(), ("cast", "float8_e4m3fn")),
        "shuffled": lambda: disguise(tuned_model(), ("shuffle_units", "all")),
        "heads": lambda: disguise(tuned_model(), ("shuffle_heads", "all")),
        "rotated": lambda: disguise(tuned_model(), ("rotate_residual", "all")),
        "everything": lambda: disguise(
            tuned_model(),
            ("shuffle_units", "all"),
            ("shuffle_heads", "all"),
            ("add_noise", 0.05),
            ("rename_tensors", "all"),
        ),
        "rotated_and_noisy": lambda: disguise(tuned_model(), ("rotate_residual", "all"), ("add_noise", 0.05)),
        "rescaled": lambda: disguise(tuned_model(), ("rescale", "layer")),
        "rescaled_by_unit": lambda: disguise(tuned_model(), ("rescale", "unit")),
        "noisy_and_rescaled": lambda: disguise(tuned_model(), ("add_noise", 0.3), ("rescale", "layer")),
        "permuted": lambda: disguise(tuned_model(), ("permute_residual", "all")),
        "int8": lambda: disguise(tuned_model(), ("quantise", "int8")),
        "int4": lambda: disguise(tuned_model(), ("quantise", "int4")),
        "pruned": lambda: disguise(tuned_model(), ("prune", 0.3)),
        "low_rank": lambda: disguise(tuned_model(), ("low_rank", 4)),
        "gpt2": lambda: trained("gpt2", 1),
        "gpt2_stranger": lambda: trained("gpt2", 2),
        "gpt2_everything": lambda: disguise(
            trained("gpt2", 1), ("shuffle_units", "all"), ("add_noise", 0.05), ("rename_tensors", "all")
        ),
        "bert": lambda: trained("bert", 1),
        "bert_stranger": lambda: trained("bert", 2),
        "bert_everything": lambda: disguise(
            trained("bert", 1), ("shuffle_units", "all"), ("add_noise", 0.05), ("rename_tensors", "all")
        ),
    }


class Zoo:
    """Models on disk, made when first asked for, and results, measured once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recipes = recipes()
        self.results: dict[tuple[str, str, str | None], dict[str, Any]] = {}

    def __call__(self, name: str) -> str:
        path = self.folder / name
        return str(path) if path.is_dir() else self.recipes[name]().saved(path)

    def compared(self, a: str, b: str, base: str | None = None) -> dict[str, Any]:
        key = (a, b, base)
        if key not in self.results:
            self.results[key] = compare(self(a), self(b), base and self(base))
        return self.results[key]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return Zoo(tmp_path_factory.mktemp("zoo"))


# a, b, base, the only right answer, and changes that must be among those told
HISTORIES: list[tuple[str, str, str | None, str, set[str]]] = [
    ("again", "tuned", None, "identical", set()),
    ("renamed", "tuned", None, "identical", {"renamed"}),
    ("noisy", "tuned", None, "disguised_copy", {"noise"}),
    ("very_noisy", "tuned", None, "disguised_copy", {"noise"}),
    ("bfloat16", "tuned", None, "disguised_copy", {"recast"}),
    ("float8", "tuned", None, "disguised_copy", {"recast"}),
    ("shuffled", "tuned", None, "disguised_copy", {"units_permuted"}),
    ("heads", "tuned", None, "disguised_copy", {"heads_permuted"}),
    ("rotated", "tuned", None, "disguised_copy", {"rotated"}),
    ("everything", "tuned", None, "disguised_copy", {"units_permuted", "noise", "renamed"}),
    ("rotated_and_noisy", "tuned", None, "disguised_copy", {"rotated"}),
    ("rescaled", "tuned", None, "disguised_copy", {"rescaled"}),
    ("rescaled_by_unit", "tuned", None, "disguised_copy", {"rescaled"}),
    ("noisy_and_rescaled", "tuned", None, "disguised_copy", {"noise"}),
    ("permuted", "tuned", None, "disguised_copy", {"residual_permuted"}),
    ("int8", "tuned", None, "disguised_copy", {"quantised"}),
    ("int4", "tuned", None, "disguised_copy", {"quantised"}),
    ("pruned", "tuned", None, "derived", {"pruned"}),
    ("low_rank", "tuned", None, "derived", {"low_rank"}),
    ("tuned", "base", None, "derived", {"fine_tuned"}),
    ("noisy", "base", None, "derived", set()),
    ("tuned", "sibling", None, "derived", {"fine_tuned"}),
    ("tuned", "sibling", "base", "common_origin", set()),
    ("noisy", "tuned", "base", "disguised_copy", {"noise"}),
    ("renamed", "tuned", "base", "identical", set()),
    ("noisy", "sibling", "base", "common_origin", set()),
    ("tuned", "base", "base", "derived", {"fine_tuned"}),
    ("stranger", "base", None, "independent", set()),
    ("stranger", "tuned", None, "independent", set()),
    ("stranger_tuned", "tuned", None, "independent", set()),
    ("stranger_tuned", "tuned", "base", "independent", set()),
    ("untrained", "tuned", None, "independent", set()),
    ("gpt2_stranger", "gpt2", None, "independent", set()),
    ("gpt2_everything", "gpt2", None, "disguised_copy", {"units_permuted", "noise", "renamed"}),
    ("bert_stranger", "bert", None, "independent", set()),
    ("bert_everything", "bert", None, "disguised_copy", {"units_permuted", "noise", "renamed"}),
]


@pytest.mark.parametrize(
    ("a", "b", "base", "answer", "told"), HISTORIES, ids=["-".join(filter(None, h[:3])) for h in HISTORIES]
)
def test_every_history_gets_its_answer(zoo: Zoo, a: str, b: str, base: str | None, answer: str, told: set[str]) -> None:
    result = zoo.compared(a, b, base)
    kinds = {change["kind"] for change in result["changes"]}
    assert result["answer"] == answer, kinds
    assert told <= kinds
    if answer == "identical":
        assert kinds <= {"renamed", "resharded"}
    # A factor hidden under noise can make one tensor of many look trained.
    if answer == "disguised_copy" and a != "noisy_and_rescaled":
        assert not kinds & {"fine_tuned", "low_rank", "pruned"}
    if answer in ("independent", "undecided"):
        assert not kinds and result["direction"]["answer"] == "unknown"


@pytest.mark.parametrize(
    ("a", "b", "base"),
    [
        h[:3]
        for h in HISTORIES
        if h[0] in ("noisy", "stranger", "tuned", "everything", "renamed", "int8", "pruned", "rescaled")
    ],
)
def test_the_order_of_the_question_changes_nothing_but_the_sides(zoo: Zoo, a: str, b: str, base: str | None) -> None:
    one, other = zoo.compared(a, b, base), zoo.compared(b, a, base)
    turned = {"a_from_b": "b_from_a", "b_from_a": "a_from_b", "unknown": "unknown"}
    assert one["answer"] == other["answer"]
    assert one["direction"]["answer"] == turned[other["direction"]["answer"]]
    assert {c["kind"] for c in one["changes"]} == {c["kind"] for c in other["changes"]}
    assert one["strength"]["words"] == other["strength"]["words"]


def test_noise_is_told_with_its_size(zoo: Zoo) -> None:
    for name, size in (("noisy", 0.1), ("very_noisy", 0.5)):
        amount = next(c["amount"] for c in zoo.compared(name, "tuned")["changes"] if c["kind"] == "noise")
        assert amount == pytest.approx(size, rel=0.15)


@pytest.mark.parametrize("child", ["noisy", "very_noisy", "bfloat16", "float8", "int8", "int4", "pruned"])
def test_direction_points_from_parent_to_child(zoo: Zoo, child: str) -> None:
    for a, b, way in ((child, "tuned", "a_from_b"), ("tuned", child, "b_from_a")):
        found = zoo.compared(a, b)["direction"]
        assert found["answer"] == way and found["because"]


def test_direction_is_unknown_where_nothing_tells(zoo: Zoo) -> None:
    for a, b in (
        ("again", "tuned"),
        ("renamed", "tuned"),
        ("shuffled", "tuned"),
        ("tuned", "sibling"),
        ("rescaled", "tuned"),
    ):
        assert zoo.compared(a, b)["direction"]["answer"] == "unknown"


@pytest.mark.parametrize("child", ["int8", "int4", "pruned", "noisy", "bfloat16"])
def test_no_direction_between_a_changed_model_and_a_sibling_of_its_parent(zoo: Zoo, child: str) -> None:
    assert zoo.compared(child, "sibling")["direction"]["answer"] == "unknown"


def test_a_direction_says_how_near_to_the_parent_its_parent_may_be(zoo: Zoo) -> None:
    near, siblings = (TEXTS[key]["en"] for key in ("nearly_the_parent", "siblings"))
    directed, open_ = zoo.compared("int8", "tuned")["limits"], zoo.compared("tuned", "sibling")["limits"]
    assert near in directed and siblings not in directed
    assert siblings in open_ and near not in open_


def test_a_rescaled_child_is_never_taken_for_the_parent(zoo: Zoo) -> None:
    assert zoo.compared("noisy_and_rescaled", "tuned")["direction"]["answer"] in ("unknown", "a_from_b")
    assert zoo.compared("tuned", "noisy_and_rescaled")["direction"]["answer"] in ("unknown", "b_from_a")


def test_a_name_for_the_direction_never_comes_from_names(zoo: Zoo, tmp_path: Path) -> None:
    original = zoo.recipes["tuned"]().saved(tmp_path / "copy")
    copy = zoo.recipes["noisy"]().saved(tmp_path / "original")
    assert compare(copy, original)["direction"]["answer"] == "a_from_b"


@pytest.mark.skipif(not SCHEMA.is_file(), reason="the contract's schema, ../shared/result.schema.json, is absent")
@pytest.mark.parametrize("history", HISTORIES[::3], ids=lambda h: "-".join(filter(None, h[:3])))
def test_every_result_keeps_the_contract(zoo: Zoo, history: tuple[Any, ...]) -> None:
    import jsonschema

    result = zoo.compared(*history[:3])
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(json.dumps(result, allow_nan=False)), schema)


@pytest.mark.parametrize("history", HISTORIES[::3], ids=lambda h: "-".join(filter(None, h[:3])))
def test_every_result_can_be_kept(zoo: Zoo, history: tuple[Any, ...]) -> None:
    """What is kept of it comes back as it was, to the type, and is recognised as a result."""
    result = zoo.compared(*history[:3])
    found = {name: result[name] for name in kept_results.FOUND}
    assert json.loads(json.dumps(found, allow_nan=False)) == found and kept_results._is_contract(found)


def test_what_a_result_says_beside_the_answer(zoo: Zoo) -> None:
    result = zoo.compared("noisy", "tuned", "base")
    asked = set(result["findings"])
    # A copy is no sibling, so nobody asks for a common start.
    assert asked == {probe.name for probe in all_probes()} - {"shared_start"}
    assert set(result["because"]) <= asked
    assert [result[side]["name"] for side in ("a", "b", "base")] == [zoo("noisy"), zoo("tuned"), zoo("base")]
    for side in ("a", "b", "base"):
        assert len(result[side]["files"]["model.safetensors"]) == 64
    cost = result["cost"]
    assert cost["bytes_read_a"] > 0 and 0 < cost["seconds"] < 60 and cost["peak_rss_bytes"] > 10**7
    assert cost["bytes_total_a"] == Path(zoo("noisy"), "model.safetensors").stat().st_size
    parts = result["components"]
    assert sum(part["share_of_parameters"] for part in parts) == pytest.approx(1.0)
    assert {part["answer"] for part in parts} <= {"disguised_copy", "undecided"}
    # Vectors are too short to be compared by themselves.
    assert sum(part["share_of_parameters"] for part in parts if part["answer"] == "undecided") < 0.02
    command = result["reproduce"]["command"]
    assert zoo("noisy") in command and "--base" in command and "--seed 0" in command
    for row in result["findings"]["unit_order"]["where"]:
        assert {"layer", "role", "a", "b", "statistic", "log10_pvalue", "n"} <= set(row)
        assert -1 <= row["statistic"] <= 1


def test_independent_says_what_would_have_been_caught(zoo: Zoo) -> None:
    result = zoo.compared("stranger", "tuned")
    assert result["power"]["largest_noise_caught"] >= 0.2
    assert result["power"]["largest_noise_caught_reordered"] >= 0.05
    assert result["power"]["smallest_merge_caught"] <= 0.1
    assert result["strength"]["words"] == "none" and result["limits"]
    assert zoo.compared("noisy", "tuned")["power"] is None


def test_same_question_same_answer(zoo: Zoo) -> None:
    one, other = (compare(zoo("everything"), zoo("tuned"), seed=3) for _ in range(2))
    for result in (one, other):
        result["cost"].pop("seconds"), result["cost"].pop("peak_rss_bytes")
    assert one == other


def test_a_seed_moves_no_answer(zoo: Zoo) -> None:
    for a, b, answer in (("everything", "tuned", "disguised_copy"), ("stranger", "tuned", "independent")):
        assert {compare(zoo(a), zoo(b), seed=seed)["answer"] for seed in (1, 2)} == {answer}


def test_equal_names_configuration_and_tokenizer_decide_nothing(zoo: Zoo) -> None:
    result = zoo.compared("stranger", "tuned")
    for name in ("tensor_names", "same_configuration", "same_tokenizer"):
        assert result["findings"][name]["statistic"] == 1.0
        assert name not in result["because"]
    assert result["answer"] == "independent"


def test_other_words_and_other_settings_hide_nothing(zoo: Zoo, tmp_path: Path) -> None:
    noisy = zoo.recipes["noisy"]()
    dressed = Small(
        noisy.tensors, {"model_type": "other", "hidden_size": 7}, {"tokenizer.json": tokenizer_json(WORDS[::-1])}
    )
    assert compare(dressed.saved(tmp_path / "dressed"), zoo("tuned"))["answer"] == "disguised_copy"
    bare = Small(noisy.tensors)
    assert compare(bare.saved(tmp_path / "bare"), zoo("tuned"))["answer"] == "disguised_copy"


def metadata_only(folder: Path, model: Small) -> str:
    folder.mkdir()
    weight_map = dict.fromkeys(model.tensors, "model-00001-of-00001.safetensors")
    index = {"metadata": {"total_size": 12345}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(model.config), encoding="utf-8")
    for name, data in model.files.items():
        (folder / name).write_bytes(data)
    return str(folder)


def test_metadata_alone_never_decides(zoo: Zoo, tmp_path: Path) -> None:
    a = metadata_only(tmp_path / "a", trained("llama", 1))
    b = metadata_only(tmp_path / "b", trained("llama", 1))
    for one, other in ((a, b), (a, zoo("base")), (zoo("base"), a)):
        result = compare(one, other)
        assert (result["answer"], result["because"], result["strength"]["words"]) == ("undecided", [], None)
        for name in ("tensor_names", "same_configuration", "same_tokenizer"):
            assert result["findings"][name]["statistic"] == 1.0
        for name in LEAST_EFFECT:
            assert "abstained" in result["findings"][name]
        assert "no weights" in result["limits"][0]


def test_a_borrowed_part_is_told_as_a_part(tmp_path: Path, zoo: Zoo) -> None:
    own, other = trained("llama_deep", 1), trained("llama_deep", 2)
    mixed = {name: (own if ".layers.0." in name else other).tensors[name] for name in own.tensors}
    result = compare(own.with_tensors(mixed).saved(tmp_path / "mixed"), own.saved(tmp_path / "own"))
    assert result["answer"] == "shared_part"
    (told,) = [change for change in result["changes"] if change["kind"] == "component_only"]
    # A quarter of the layers, and of the numbers less: the token tables are the other model's.
    borrowed = sum(value.numel() for name, value in mixed.items() if ".layers.0." in name)
    assert told["amount"] == pytest.approx(borrowed / sum(value.numel() for value in mixed.values()), rel=0.05)


def test_depth_pruned_copies_are_linked_from_both_sides(tmp_path: Path) -> None:
    whole = trained("llama_deep", 1)
    kept = {name: value for name, value in whole.tensors.items() if not any(f".layers.{i}." in name for i in (0, 1, 3))}
    short = disguise(whole.with_tensors(kept), ("shuffle_units", "all"))
    a, b = whole.saved(tmp_path / "whole"), short.saved(tmp_path / "short")
    answers = {compare(a, b)["answer"], compare(b, a)["answer"]}
    assert len(answers) == 1 and answers <= LINKED


def test_steps_are_told_in_order(zoo: Zoo) -> None:
    told: list[dict[str, Any]] = []
    result = compare(zoo("noisy"), zoo("tuned"), zoo("base"), on_finding=told.append)
    assert all(set(record) == {"step", "status", "seconds", "finding"} for record in told)
    steps = [record["step"] for record in told if record["status"] == "started"]
    assert steps[0] == "open" and len(steps) == len(set(steps))
    assert [(r["step"], r["status"]) for r in told] == [
        (step, status) for step in steps for status in ("started", "done")
    ]
    assert set(steps) - {"open"} == set(result["findings"])
    # What words a link is asked after what finds it.
    assert steps.index("difference_shape") > max(steps.index(name) for name in LEAST_EFFECT)
    for record in told:
        assert (record["seconds"] is None) == (record["status"] == "started")
        if record["status"] == "done" and record["step"] != "open":
            assert record["finding"] == result["findings"][record["step"]]
    json.dumps(told, allow_nan=False)


def test_strangers_are_told_of_the_search_for_planted_copies(zoo: Zoo) -> None:
    told: list[dict[str, Any]] = []
    result = compare(zoo("stranger"), zoo("tuned"), on_finding=told.append)
    steps = [record["step"] for record in told if record["status"] == "started"]
    assert steps[-1] == "power" and "difference_shape" not in result["findings"]


@pytest.mark.parametrize("after", [0, 1, 3, 10, 30])
@pytest.mark.parametrize("pair", [("noisy", "tuned", "base"), ("stranger", "tuned", None)], ids=["linked", "strangers"])
def test_stop_stops_at_once(zoo: Zoo, pair: tuple[str, str, str | None], after: int) -> None:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > after

    a, b, base = pair
    with pytest.raises(Cancelled):
        compare(zoo(a), zoo(b), base and zoo(base), stop=stop)
    assert asked == after + 1


def test_stop_is_asked_often(zoo: Zoo) -> None:
    moments = [time.thread_time()]

    def stop() -> bool:
        moments.append(time.thread_time())
        return False

    compare("exhibits/llama3v/suspect", "exhibits/llama3v/original", "exhibits/llama3v/base", stop=stop)
    compare("exhibits/llama3v/stranger", "exhibits/llama3v/original", stop=stop)
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert len(gaps) > 20 and max(gaps) < 1.0


def test_stop_stops_a_stress_test(zoo: Zoo) -> None:
    begun = time.thread_time()
    with pytest.raises(Cancelled):
        stress(zoo("base"), stop=lambda: time.thread_time() - begun > 0.3)
    assert time.thread_time() - begun < 2.0


def test_describe(zoo: Zoo) -> None:
    found = describe(zoo("base"))
    assert found["architecture"] in ("LlamaForCausalLM", None)
    assert (found["hidden_size"], found["layers"], found["hidden_units"], found["vocabulary"]) == (
        WIDTH,
        LAYERS,
        UNITS,
        VOCABULARY,
    )
    assert found["tensors"] == len(trained("llama", 1).tensors) == sum(found["dtypes"].values())
    assert found["parameters"] == sum(value.numel() for value in trained("llama", 1).tensors.values())
    json.dumps(found, allow_nan=False)


def test_describe_without_weights(tmp_path: Path) -> None:
    found = describe(metadata_only(tmp_path / "a", trained("llama", 1)))
    assert found["parameters"] is None and found["tensors"] == len(trained("llama", 1).tensors)
    assert found["bytes"] == 12345 and len(found["limits"]) == 2


def test_stress_knows_every_claimed_disguise_again(zoo: Zoo) -> None:
    told: list[dict[str, Any]] = []
    found = stress(zoo("base"), on_finding=told.append)
    rows = {(row["perturbation"], row["amount"]): row for row in found["rows"]}
    assert len(rows) == len(found["rows"]) == sum(record["status"] == "done" for record in told)
    claims = {name for probe in all_probes() if probe.name in LEAST_EFFECT for name in probe.sees_through}
    for (name, amount), row in rows.items():
        if row["recognised"] is None:
            assert row["not_applicable"]
        elif name in claims:
            assert row["recognised"], (name, amount)
            assert any(log is not None and log < -9 for log in row["probes"].values())
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("ask", [describe, stress])
def test_broken_values_are_refused(tmp_path: Path, ask: Callable[[str], Any]) -> None:
    model = trained("llama", 1)
    name = "model.layers.0.mlp.up_proj.weight"
    spoilt = model.tensors[name].clone()
    spoilt[1, 1] = torch.nan
    path = model.with_tensors(model.tensors | {name: spoilt}).saved(tmp_path / "broken")
    with pytest.raises(UserError) as caught:
        ask(path)
    assert caught.value.kind == "not_finite" and name in str(caught.value)


@pytest.mark.parametrize("row", [0, 600, 1023, 1024, 1500, 2047])
def test_broken_values_are_found_wherever_they_are(tmp_path: Path, row: int) -> None:
    values = torch.randn(2048, 64, generator=torch.Generator().manual_seed(0))
    values[row, 3] = torch.nan
    tensors = {
        "model.layers.0.mlp.up_proj.weight": values,
        "model.layers.0.mlp.down_proj.weight": torch.randn(64, 2048),
    }
    path = Small(tensors).saved(tmp_path / "broken")
    with pytest.raises(UserError) as caught:
        compare(path, path)
    assert caught.value.kind == "not_finite"


def test_a_mask_of_infinities_beside_the_weights_disturbs_nothing(tmp_path: Path, zoo: Zoo) -> None:
    for value in (float("-inf"), torch.finfo(torch.float32).min):
        mask = torch.triu(torch.full((64, 64), value), 1)
        model = tuned("llama", 1, 3)
        path = model.with_tensors(model.tensors | {"causal": mask}).saved(tmp_path / str(value))
        assert compare(path, zoo("tuned"))["answer"] == "identical"
        assert compare(path, zoo("stranger"))["answer"] == "independent"


def test_shared_masks_and_tables_link_no_strangers(tmp_path: Path) -> None:
    tables = {
        "mask": torch.tril(torch.ones(128, 128)),
        "rope": torch.outer(torch.arange(128.0), torch.logspace(0, -4, 64)).sin(),
    }
    paths = [
        trained("llama", seed).with_tensors(trained("llama", seed).tensors | tables).saved(tmp_path / str(seed))
        for seed in (1, 2)
    ]
    assert compare(*paths)["answer"] == "independent"


def test_shards_and_containers_do_not_matter(tmp_path: Path, zoo: Zoo) -> None:
    model = tuned("llama", 1, 3)
    torch.save(model.tensors, tmp_path / "model.bin")
    assert compare(str(tmp_path / "model.bin"), zoo("tuned"))["answer"] == "identical"
    folder = tmp_path / "sharded"
    names = list(model.tensors)
    halves = [names[: len(names) // 2], names[len(names) // 2 :]]
    weight_map = {}
    for number, half in enumerate(halves, start=1):
        file = f"model-0000{number}-of-00002.safetensors"
        Small({name: model.tensors[name] for name in half}).saved(folder)
        (folder / "model.safetensors").rename(folder / file)
        weight_map |= dict.fromkeys(half, file)
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": weight_map}), encoding="utf-8"
    )
    result = compare(str(folder), zoo("tuned"))
    assert result["answer"] == "identical"
    assert {change["kind"] for change in result["changes"]} == {"resharded"}


def test_numpys_products_run_in_one_thread_whatever_the_machine_has() -> None:
    """Idle threads of OpenBLAS spin; they took a tenth of a full comparison from those that worked."""
    asked = "import tools.audit; from threadpoolctl import threadpool_info; print(threadpool_info())"
    done = subprocess.run(
        [sys.executable, "-c", asked], env=os.environ | {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"},
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    )  # fmt: skip
    counts = [pool["num_threads"] for pool in ast.literal_eval(done.stdout) if pool["internal_api"] == "openblas"]
    assert counts and set(counts) == {1}
