"""Models brought into one order and one set of coordinates, and the same whichever of them comes first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.small_models import WORDS, Held, Small, tensors_of, tokenizer_json, trained, tuned
from tools.audit import compare
from tools.changes import size_changes
from tools.comparison import Comparison
from tools.gauge import is_permutation
from tools.measuring import ask_all
from tools.perturbations import Amount, perturbation_named
from tools.probes import unit_order
from tools.verdict import LINKED, decide


def disguised(model: Small, *changes: tuple[str, Amount]) -> Small:
    for number, (name, amount) in enumerate(changes):
        model = model.with_tensors(tensors_of(perturbation_named(name).apply(model.held(), amount, 5 + number)))
    return model


COORDINATES: tuple[str, Amount] = ("permute_residual", "all")
UNITS: tuple[str, Amount] = ("shuffle_units", "all")


@pytest.mark.parametrize("kind", ["gpt2", "bert"])
def test_coordinates_in_another_order_are_undone_where_a_mean_is_subtracted(kind: str) -> None:
    model = trained(kind, 1)
    found = Comparison(disguised(model, COORDINATES).held("copy"), model.held()).in_one_basis
    assert found is not None and is_permutation(found[1])
    for name, values in model.tensors.items():
        assert torch.equal(found[0].a.read(name), values), name


@pytest.mark.parametrize("kind", ["gpt2", "bert"])
@pytest.mark.parametrize("more", [(), (("add_noise", 0.05),), (UNITS,)], ids=["alone", "noisy", "units too"])
def test_a_copy_in_another_order_of_coordinates_is_a_disguised_one(
    kind: str, more: tuple[tuple[str, Amount], ...], tmp_path: Path
) -> None:
    model = trained(kind, 1)
    a, b = disguised(model, COORDINATES, *more).saved(tmp_path / "copy"), model.saved(tmp_path / "model")
    result = compare(a, b)
    kinds = {change["kind"] for change in result["changes"]}
    assert result["answer"] == "disguised_copy"
    assert "residual_permuted" in kinds and not kinds & {"rotated", "fine_tuned", "merged", "heads_permuted"}
    assert ("units_permuted" in kinds) is (UNITS in more) and ("noise" in kinds) is (("add_noise", 0.05) in more)


@pytest.mark.parametrize(
    ("words", "says_more"),
    [(WORDS, False), (WORDS[::-1], True), ([*WORDS[:150], *(f"new{word}" for word in WORDS[150:])], True)],
    ids=["the same texts", "texts of other rows", "fewer texts in common"],
)
def test_rows_by_number_are_asked_only_where_they_say_more_than_texts(words: list[str], says_more: bool) -> None:
    model = trained("llama", 1)
    files = {"tokenizer.json": tokenizer_json(words)}
    for a, b in ((files, model.files), (model.files, files)):
        found = Comparison(Held(model.tensors, {}, a), Held(model.tensors, {}, b))
        assert found.has_basis("own") and found.has_basis("tokens") and found.has_basis("rows") == says_more


@pytest.mark.parametrize("weight", [0.1, 0.3])
def test_a_merge_is_in_no_other_coordinates(weight: float, tmp_path: Path) -> None:
    one, other = trained("gpt2", 1), trained("gpt2", 2)
    mean = {name: (1 - weight) * other.tensors[name] + weight * value for name, value in one.tensors.items()}
    result = compare(one.with_tensors(mean).saved(tmp_path / "mean"), one.saved(tmp_path / "one"))
    assert not {change["kind"] for change in result["changes"]} & {"rotated", "residual_permuted"}


def test_the_bias_of_a_head_has_no_rows_of_tokens() -> None:
    model = trained("bert", 1)
    order = torch.randperm(len(WORDS), generator=torch.Generator().manual_seed(3))
    tensors = {name: value[order] if value.shape[0] == len(WORDS) else value for name, value in model.tensors.items()}
    moved = Small(tensors, model.config, {"tokenizer.json": tokenizer_json([WORDS[i] for i in order])})
    assert any(len(value.shape) == 1 and value.shape[0] == len(WORDS) for value in tensors.values())
    tables = [pair for pair in Comparison(moved.held("moved"), model.held()).tensor_pairs if "word_emb" in pair.a]
    assert len(tables) == 1 and tables[0].partners is not None


STORIES = sorted((Path(__file__).resolve().parents[2] / "exhibits").glob("*/story.json"))
TURNED = {"a_from_b": "b_from_a", "b_from_a": "a_from_b", "unknown": "unknown"}
# What a pair of a kind says of one side says the same of the other once the sides are swapped.
TOLD = [(path, pair) for path in STORIES for pair in json.loads(path.read_text(encoding="utf-8"))["pairs"]]


def assert_mirrored(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one["answer"] == other["answer"]
    assert one["direction"]["answer"] == TURNED[other["direction"]["answer"]]
    assert one["strength"]["words"] == other["strength"]["words"]
    assert set(one["because"]) == set(other["because"])
    assert {c["kind"] for c in one["changes"]} == {c["kind"] for c in other["changes"]}
    for name, finding in one["findings"].items():
        turned = other["findings"][name]
        here, there = finding.get("log10_pvalue"), turned.get("log10_pvalue")
        assert (here is None) == (there is None), name
        assert here is None or here == pytest.approx(there, rel=1e-3, abs=0.05), name
    mine, theirs = ({part["name"]: part["answer"] for part in result["components"]} for result in (one, other))
    same_size = one["a"]["parameters"] == one["b"]["parameters"]
    for part in mine.keys() & theirs.keys():
        # A part of the larger model may be there only in part on the other side, where all of it is here.
        assert mine[part] == theirs[part] or (not same_size and {mine[part], theirs[part]} <= LINKED), part


@pytest.mark.parametrize(("story", "pair"), TOLD, ids=lambda v: v.parent.name if isinstance(v, Path) else None)
def test_exhibits_swapped_give_the_mirrored_answer(story: Path, pair: dict[str, Any]) -> None:
    a, b, base = (None if pair[side] is None else str(story.parents[2] / pair[side]) for side in ("a", "b", "base"))
    assert a is not None and b is not None
    assert_mirrored(compare(a, b, base), compare(b, a, base, seed=7))


def some_pairs() -> dict[str, tuple[Small, Small]]:
    deep, gpt2 = trained("llama_deep", 1), trained("gpt2", 1)
    table = {name for name in deep.tensors if "embed_tokens" in name}
    other = trained("llama_deep", 2)
    borrowed = {name: value if name in table else other.tensors[name] for name, value in deep.tensors.items()}
    return {
        "strangers": (trained("llama", 2), tuned("llama", 1, 3)),
        "siblings": (tuned("llama", 1, 4), tuned("llama", 1, 3)),
        "layers removed": (disguised(deep, ("drop_layers", 0.25)), deep),
        "layers repeated": (disguised(deep, ("repeat_layers", 0.25), UNITS, ("add_noise", 0.05)), deep),
        "a borrowed table": (other.with_tensors(borrowed), deep),
        "rotated": (disguised(deep, ("rotate_residual", "all")), deep),
        "coordinates": (disguised(gpt2, COORDINATES, UNITS), gpt2),
        "pruned": (disguised(deep, ("prune", 0.3)), deep),
        "another width": (trained("llama", 2), deep),
    }


PAIRS = some_pairs()


@pytest.mark.parametrize("name", PAIRS)
def test_models_swapped_give_the_mirrored_answer_with_any_seed(name: str, tmp_path: Path) -> None:
    a, b = (model.saved(tmp_path / side) for side, model in zip("ab", PAIRS[name], strict=True))
    first = compare(a, b)
    assert_mirrored(first, compare(b, a))
    for seed in (1, 2**31 - 1):
        again = compare(a, b, seed=seed)
        assert [again[key] for key in ("answer", "because", "direction", "changes")] == [
            first[key] for key in ("answer", "because", "direction", "changes")
        ]


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_channels_in_another_order_are_undone_in_what_reads_them_too() -> None:
    tensors = {f"conv{i}.weight": random(32, 32, 3, 3, seed=i) for i in range(4)}
    order = torch.randperm(32, generator=torch.Generator().manual_seed(9))
    first, second = tensors["conv1.weight"][order], tensors["conv2.weight"][:, order]
    moved = tensors | {"conv1.weight": first, "conv2.weight": second}
    comparison = Comparison(Held(moved), Held(tensors))
    pairs = {pair.a: pair for pair in comparison.tensor_pairs}
    assert {name for name, pair in pairs.items() if pair.partners is not None} == {"conv1.weight", "conv2.weight"}
    for pair in pairs.values():
        assert torch.equal(*comparison.pair_values(pair))


def test_the_order_of_units_is_undone_in_all_parts_of_a_fused_tensor() -> None:
    names = {"in": "layers.0.mlp.gate_up.weight", "out": "layers.0.mlp.down.weight"}
    tensors = {names["in"]: random(192, 64, seed=1), names["out"]: random(64, 96, seed=2)}
    tensors["embed_tokens.weight"] = random(300, 64, seed=3)
    order = torch.randperm(96, generator=torch.Generator().manual_seed(9))
    fused = torch.cat([order, order + 96])
    moved = tensors | {names["in"]: tensors[names["in"]][fused], names["out"]: tensors[names["out"]][:, order]}
    comparison = Comparison(Held(moved), Held(tensors))
    for pair in comparison.tensor_pairs:
        assert torch.equal(*comparison.pair_values(pair))


def test_layers_of_which_one_side_shows_less_are_still_held_against_each_other() -> None:
    tensors = {f"layers.{i}.{n}": random(*s, seed=i) for i in range(3) for n, s in (
        ("fc1.weight", (96, 64)), ("fc2.weight", (64, 96)), ("norm.weight", (64,)),
    )}  # fmt: skip
    nameless = {f"t{i:02d}": value for i, value in enumerate(tensors.values())}
    comparison = Comparison(Held(nameless), Held(tensors))
    assert {len(units.members) for units in comparison.layers("a")} == {1}
    assert len(comparison.unit_pairs) == 3 and unit_order.measure(comparison).log10_pvalue < -100.0


def test_a_layer_that_a_tower_has_lost_is_missed() -> None:
    def layers(prefix: str, width: int, count: int) -> dict[str, torch.Tensor]:
        parts = {"fc1.weight": (3 * width, width), "fc2.weight": (width, 3 * width), "n.weight": (width,)}
        return {f"{prefix}.{i}.{n}": random(*s, seed=i + width) for i in range(count) for n, s in parts.items()}

    language = {"embed_tokens.weight": random(300, 64, seed=3), **layers("model.layers", 64, 2)}
    whole, cut = (Held(language | layers("vision_tower.layers", 32, count)) for count in (3, 2))
    findings = ask_all(Comparison(cut, whole), None, context=False)
    assert decide(findings, None, True).answer == "derived"
    found = size_changes(Comparison(cut, whole), findings)
    assert [(change["kind"], change["amount"], change["where"]) for change in found] == [
        ("layers_removed", 1, {"larger": "b"})
    ]
