"""Each trace of a change is planted on one side and must point to it, from either end, and nowhere else."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.small_models import VOCABULARY, WORDS, Small, tensors_of, tokenizer_json, trained, tuned
from tools.audit import compare
from tools.comparison import Comparison
from tools.direction import direction
from tools.evidence import Evidence, Finding
from tools.perturbations import Amount, perturbation_named
from tools.probes import probe_named
from tools.verdict import LINKED, Answer
from tools.words import DIRECTIONS

TURNED = {"a_from_b": "b_from_a", "b_from_a": "a_from_b", "unknown": "unknown"}


def disguised(model: Small, name: str, amount: Amount) -> Small:
    return model.with_tensors(tensors_of(perturbation_named(name).apply(model.held(), amount, 11)))


def found(
    child: Small, parent: Small, answer: Answer = "derived", more: Mapping[str, Finding] | None = None
) -> dict[str, Any]:
    """The direction for child and parent, after a check that swapping them swaps it, reasons included."""
    both = ways(child, parent, answer, more)
    assert both[0]["because"] == both[1]["because"]
    assert {None: None, "a": "b", "b": "a"}[both[0].get("changed")] == both[1].get("changed")
    return both[0]


def ways(
    child: Small, parent: Small, answer: Answer = "derived", more: Mapping[str, Finding] | None = None
) -> list[dict[str, Any]]:
    """The direction in both orders."""
    both = []
    for a, b in ((child, parent), (parent, child)):
        comparison = Comparison(a.held("a"), b.held("b"))
        findings: dict[str, Finding] = {
            name: probe_named(name).measure(comparison) for name in ("same_values", "unit_partners", "difference_shape")
        }
        both.append(direction(comparison, findings | dict(more or {}), answer))
    assert both[1]["answer"] == TURNED[both[0]["answer"]]
    assert set(both[0]["because"]) <= set(DIRECTIONS["because"])
    return both


def tokenizer(order: list[int], kept: list[int] | None = None) -> bytes:
    """A byte-pair tokenizer whose every token is merged from two; `order` numbers them."""
    names = [f"{chr(97 + i // 16)}{chr(65 + i % 16)}" for i in range(VOCABULARY)]
    keep = range(VOCABULARY) if kept is None else kept
    vocabulary = {names[i]: number for number, i in enumerate(order) if i in keep}
    merges = [f"{names[i][0]} {names[i][1]}" for i in keep]
    return json.dumps({"model": {"type": "BPE", "vocab": vocabulary, "merges": merges}}).encode()


def with_rows(model: Small, rows: torch.Tensor, words: bytes) -> Small:
    """The model with these rows of its token tables and this tokenizer."""
    tables = {name: value[rows] for name, value in model.tensors.items() if value.shape[:1] == (VOCABULARY,)}
    return Small({**model.tensors, **tables}, model.config, {"tokenizer.json": words})


ANY_NETWORK: list[tuple[str, Amount]] = [("add_noise", 0.05), ("quantise", "int8")]
WITHOUT_BIASES_IN_NORMS: list[tuple[str, Amount]] = [*ANY_NETWORK, ("rescale", "unit"), ("rotate_residual", "all")]


@pytest.mark.parametrize(
    ("kind", "name", "amount"),
    [(kind, *change) for kind in ("llama", "qwen2") for change in WITHOUT_BIASES_IN_NORMS]
    + [("gpt2", *change) for change in ANY_NETWORK],
)
def test_a_trace_points_to_the_side_that_was_changed(kind: str, name: str, amount: Amount) -> None:
    parent = trained(kind, 1)
    assert found(disguised(parent, name, amount), parent)["answer"] == "a_from_b"


@pytest.mark.parametrize("rank", [1, 4])
def test_added_directions_point_to_the_side_that_has_them(rank: int) -> None:
    parent, draw = trained("llama", 1), torch.Generator().manual_seed(4)
    tensors = dict(parent.tensors)
    for name, values in tensors.items():
        if values.dim() == 2 and "layers" in name:
            left, right = (torch.randn(side, rank, generator=draw) for side in values.shape)
            tensors[name] = values + 0.3 * values.norm() * left @ right.T / (left @ right.T).norm()
    assert found(parent.with_tensors(tensors), parent)["answer"] == "a_from_b"


def test_projected_out_directions_point_to_the_side_without_them() -> None:
    parent = trained("llama", 1)
    tensors = dict(parent.tensors)
    for name, values in tensors.items():
        if values.dim() == 2 and "layers" in name:
            direction_ = torch.linalg.svd(values)[0][:, :1]
            tensors[name] = values - direction_ @ (direction_.T @ values)
    assert found(parent.with_tensors(tensors), parent)["answer"] == "a_from_b"


@pytest.mark.parametrize("weight", [0.3, 0.5])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
def test_a_mean_with_a_stranger_is_of_this_model_or_of_its_sibling(kind: str, weight: float) -> None:
    parent, other = trained(kind, 1), trained(kind, 2)
    mean = {name: weight * value + (1 - weight) * other.tensors[name] for name, value in parent.tensors.items()}
    way = found(parent.with_tensors(mean), parent)
    assert (way["answer"], way["changed"]) == ("unknown", "a") and way["because"]


def test_renumbered_tokens_point_to_the_side_with_random_numbers() -> None:
    plain = list(range(VOCABULARY))
    order = torch.randperm(VOCABULARY, generator=torch.Generator().manual_seed(3))
    parent = with_rows(trained("llama", 1), torch.tensor(plain), tokenizer(plain))
    assert found(with_rows(parent, order, tokenizer(order.tolist())), parent, "disguised_copy")["answer"] == "a_from_b"


def test_left_out_and_appended_tokens() -> None:
    parent = trained("llama", 1)
    kept = torch.tensor([i for i in range(VOCABULARY) if i % 4])
    fewer = with_rows(parent, kept, tokenizer_json([WORDS[i] for i in kept]))
    assert found(fewer, parent)["answer"] == "a_from_b"
    more = {}
    for name, values in parent.tensors.items():
        if values.shape[:1] == (VOCABULARY,):
            extra = values.mean(0) + 0.02 * values.std() * torch.randn(16, values.shape[1])
            more[name] = torch.cat([values, extra])
    longer = Small(
        {**parent.tensors, **more}, parent.config, {"tokenizer.json": tokenizer_json([*WORDS, *map(str, range(16))])}
    )
    assert found(longer, parent)["answer"] == "a_from_b"
    # The last tokens cut off leave a table that could as well have been extended by trained rows.
    cut = with_rows(parent, torch.arange(VOCABULARY - 16), tokenizer_json(WORDS[:-16]))
    assert found(cut, parent)["answer"] == "unknown"


def test_rows_that_nobody_trained_shrink_in_whoever_trained() -> None:
    parent, child = trained("llama", 1), tuned("llama", 1, 3)
    table = "model.embed_tokens.weight"
    unused = child.tensors[table].clone()
    unused[:40] = parent.tensors[table][:40] * 0.99
    shrunk = child.with_tensors({**child.tensors, table: unused})
    # A sibling that was trained with less decay looks like the parent.
    way = found(shrunk, parent)
    assert (way["answer"], way["changed"]) == ("unknown", "a")
    unused[:40] = parent.tensors[table][:40]
    assert found(child.with_tensors({**child.tensors, table: unused}), parent) == {"answer": "unknown", "because": []}


def test_repeated_heads_point_to_the_side_that_repeats() -> None:
    parent = trained("qwen2", 1)
    heads = parent.config["num_key_value_heads"]
    tensors = {
        name: values.reshape(heads, -1, *values.shape[1:]).repeat_interleave(2, 0).flatten(0, 1)
        if "k_proj" in name or "v_proj" in name
        else values
        for name, values in parent.tensors.items()
    }
    child = replace(parent, tensors=tensors, config={**parent.config, "num_key_value_heads": 2 * heads})
    assert found(child, parent)["answer"] == "a_from_b"


def test_training_alone_gives_no_direction() -> None:
    for kind in ("llama", "gpt2", "bert"):
        assert found(tuned(kind, 1, 3), trained(kind, 1))["answer"] == "unknown"
        assert found(tuned(kind, 1, 3), tuned(kind, 1, 4))["answer"] == "unknown"


def adapted(model: Small, rank: int, seed: int, only: str = "layers", size: float = 0.3) -> Small:
    """An adapter of so many directions merged into the matrices whose names hold `only`."""
    draw, tensors = torch.Generator().manual_seed(seed), dict(model.tensors)
    for name, values in tensors.items():
        if values.dim() == 2 and only in name:
            left, right = (torch.randn(side, rank, generator=draw) for side in values.shape)
            tensors[name] = values + size * values.norm() * left @ right.T / (left @ right.T).norm()
    return model.with_tensors(tensors)


def nudged(model: Small, share: float = 0.004) -> Small:
    """A little training: every matrix moves by that share of itself, half of it along one direction."""
    draw, tensors = torch.Generator().manual_seed(8), dict(model.tensors)
    for name, values in tensors.items():
        if values.dim() == 2:
            left, right = (torch.randn(side, 1, generator=draw) for side in values.shape)
            step = left @ right.T + torch.randn(values.shape, generator=draw)
            tensors[name] = values + share * values.norm() * step / step.norm()
    return model.with_tensors(tensors)


def with_new_gains(model: Small) -> Small:
    """Only what the norms multiply by was trained."""
    gains = {name: 1.02 * values for name, values in model.tensors.items() if values.dim() == 1}
    return model.with_tensors({**model.tensors, **gains})


def with_more_rows(model: Small) -> Small:
    tables = {
        name: torch.cat([values, values.mean(0) + 0.02 * values.std() * torch.randn(16, values.shape[1])])
        for name, values in model.tensors.items()
        if values.shape[:1] == (VOCABULARY,)
    }
    words = {"tokenizer.json": tokenizer_json([*WORDS, *map(str, range(16))])}
    return Small({**model.tensors, **tables}, model.config, words)


CHILDREN: dict[str, Callable[[Small], Small]] = {
    "tuned": lambda model: tuned("llama", 1, 3),
    "nudged": nudged,
    "gains": with_new_gains,
    "adapted": lambda model: adapted(model, 2, 5),
    "adapted a little": lambda model: adapted(model, 1, 6, "q_proj", 0.2),
    "int8": lambda model: disguised(model, "quantise", "int8"),
    "int4": lambda model: disguised(model, "quantise", "int4"),
    "pruned": lambda model: disguised(model, "prune", 0.5),
    "noisy": lambda model: disguised(model, "add_noise", 0.05),
    "rescaled": lambda model: disguised(model, "rescale", "unit"),
    "rescaled by layer": lambda model: disguised(model, "rescale", "layer"),
    "rotated": lambda model: disguised(model, "rotate_residual", "all"),
    "re-ordered": lambda model: disguised(model, "shuffle_units", "all"),
    "with rows": with_more_rows,
}

WITHOUT_A_TRACE = {"tuned", "nudged", "gains", "re-ordered", "rescaled by layer"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pair
        for pair in itertools.combinations(CHILDREN, 2)
        # Where neither left a trace there is nothing to be silent about; noise hides what is far smaller.
        if not set(pair) <= WITHOUT_A_TRACE and set(pair) != {"nudged", "noisy"}
    ],
)
def test_of_two_siblings_neither_is_the_parent(one: str, other: str) -> None:
    base = trained("llama", 1)
    base = Small(base.tensors, base.config, {"tokenizer.json": tokenizer_json(WORDS)})
    children = CHILDREN[one](base), CHILDREN[other](base)
    assert ways(*children)[0]["answer"] == "unknown"
    # With their parent's own parent named, both hold all of what their parent had added to it.
    grandparent_named = {"shared_additions": Evidence(0.9, -3.0, 8, {"a_holds_of_b": 0.9, "b_holds_of_a": 0.9})}
    assert ways(*children, more=grandparent_named)[0]["answer"] == "unknown"


@pytest.mark.parametrize("child", ["adapted", "int8", "int4", "pruned", "noisy", "rescaled", "rotated", "with rows"])
def test_a_change_that_explains_everything_makes_a_child(child: str) -> None:
    base = trained("llama", 1)
    base = Small(base.tensors, base.config, {"tokenizer.json": tokenizer_json(WORDS)})
    assert found(CHILDREN[child](base), base)["answer"] == "a_from_b"


def test_contradicting_traces_give_no_direction() -> None:
    one, other = disguised(trained("llama", 1), "quantise", "int4"), trained("llama", 1)
    rotated = disguised(other, "rotate_residual", "all")
    # Each side was changed on its own way from a third model.
    assert found(one, rotated, "disguised_copy")["answer"] == "unknown"


@pytest.mark.parametrize("answer", ["identical", "common_origin", "independent", "undecided"])
def test_no_direction_without_a_parent_and_a_child(answer: Answer) -> None:
    noisy = disguised(trained("llama", 1), "add_noise", 0.1)
    assert found(noisy, trained("llama", 1), answer) == {"answer": "unknown", "because": []}
    assert answer not in LINKED or answer in ("identical", "common_origin")


def test_a_turned_and_a_renumbered_copy_of_a_tied_model(tmp_path: Path) -> None:
    plain = list(range(VOCABULARY))
    order = torch.randperm(VOCABULARY, generator=torch.Generator().manual_seed(3))
    base = with_rows(trained("llama_tied", 1), torch.tensor(plain), tokenizer(plain))
    renumbered = with_rows(base, order, tokenizer(order.tolist())).saved(tmp_path / "renumbered")
    turned = disguised(base, "rotate_residual", "all").saved(tmp_path / "turned")
    for a, b in ((renumbered, turned), (turned, renumbered)):
        result = compare(a, b)
        assert result["answer"] in LINKED and result["direction"]["answer"] == "unknown"
