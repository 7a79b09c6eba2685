"""Amounts that go with a change: which layers, which share of tokens and numbers, which groups. Truth is planted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from benchmarks.layers import stacked
from tests.small_models import VOCABULARY, WORDS, Small, tokenizer_json, trained, tuned
from tools.changes import changes
from tools.comparison import Comparison
from tools.evidence import Finding
from tools.probes import probe_named

DEPTH = 4


def told(a: Small, b: Small, kind: str) -> dict[str, Any]:
    """What is told of this kind of change between two linked models."""
    comparison = Comparison(a.held("a"), b.held("b"))
    asked = ("same_values", "unit_order", "unit_partners", "difference_shape")
    findings: dict[str, Finding] = {name: probe_named(name).measure(comparison) for name in asked}
    (entry,) = [entry for entry in changes(comparison, findings, "derived") if entry["kind"] == kind]
    return entry


def with_layers(model: Small, kept: Sequence[int]) -> Small:
    """The model with these of its layers in this order, numbered anew."""
    return stacked(model, [(model, layer) for layer in kept])


@pytest.mark.parametrize("removed", [(0,), (1,), (3,), (1, 2), (0, 3)])
@pytest.mark.parametrize("further", [False, True], ids=["only cut", "trained further"])
def test_the_map_names_the_layers_that_were_removed(removed: tuple[int, ...], further: bool) -> None:
    parent = trained("llama_deep", 1)
    kept = [layer for layer in range(DEPTH) if layer not in removed]
    child = with_layers(tuned("llama_deep", 1, 3) if further else parent, kept)
    found = told(child, parent, "layers_removed")
    assert found["amount"] == len(removed)
    assert found["where"] == {
        "larger": "b", "pairs": [list(pair) for pair in enumerate(kept)], "only_in_a": [], "only_in_b": list(removed),
    }  # fmt: skip
    mirrored = told(parent, child, "layers_removed")["where"]
    assert mirrored["pairs"] == [[old, new] for new, old in enumerate(kept)]
    assert (mirrored["larger"], mirrored["only_in_a"], mirrored["only_in_b"]) == ("a", list(removed), [])


@pytest.mark.parametrize("order", [(0, 1, 1, 2, 3), (0, 1, 2, 1, 2, 3)])
def test_the_map_names_the_layers_that_were_repeated(order: tuple[int, ...]) -> None:
    parent = trained("llama_deep", 1)
    found = told(with_layers(parent, order), parent, "layers_repeated")
    assert found["amount"] == len(order) - DEPTH and found["where"]["larger"] == "a"
    # Each layer is the copy of the one it is paired with, also where that one has another copy before it.
    assert found["where"]["pairs"] == [list(pair) for pair in enumerate(order)]
    assert found["where"]["again_in_a"] == [new for new, old in enumerate(order) if old in order[:new]]
    assert found["where"]["only_in_a"] == found["where"]["only_in_b"] == []


def with_words(model: Small, rows: torch.Tensor, extra: int, words: list[str] | None) -> Small:
    tables = {
        name: torch.cat([value[rows], 0.02 * torch.randn(extra, value.shape[1], generator=torch.Generator())])
        for name, value in model.tensors.items()
        if value.shape[:1] == (VOCABULARY,)
    }
    files = {} if words is None else {"tokenizer.json": tokenizer_json(words)}
    return Small({**model.tensors, **tables}, model.config, files)


@pytest.mark.parametrize(("kept", "extra"), [(VOCABULARY, 16), (144, 0), (160, 64), (100, 150)])
def test_the_share_of_the_vocabulary_that_was_kept(kept: int, extra: int) -> None:
    parent = trained("llama", 1)
    larger = max(VOCABULARY, kept + extra)
    words = [*WORDS[:kept], *(f"new{i}" for i in range(extra))]
    child = with_words(parent, torch.arange(kept), extra, words)
    for a, b in ((child, parent), (parent, child)):
        found = told(a, b, "vocabulary_extended")
        assert found["amount"] == abs(kept + extra - VOCABULARY)
        assert found["where"]["share_kept"] == pytest.approx(kept / larger)
    # Without tokenizer files only the heights of the tables are known.
    unknown = told(with_words(parent, torch.arange(kept), extra, None), parent, "vocabulary_extended")
    assert unknown["where"]["share_kept"] == pytest.approx(min(VOCABULARY, kept + extra) / larger)


@pytest.mark.parametrize("part", ["mlp", "self_attn", "layers.0.", "_proj"])
def test_the_share_of_the_numbers_that_training_moved(part: str) -> None:
    parent, further = trained("llama", 1), tuned("llama", 1, 3)
    child = parent.with_tensors(
        {name: further.tensors[name] if part in name else value for name, value in parent.tensors.items()}
    )
    matrices = {name: value.numel() for name, value in parent.tensors.items() if value.dim() > 1}
    moved = sum(size for name, size in matrices.items() if part in name) / sum(matrices.values())
    for a, b in ((child, parent), (parent, child)):
        assert told(a, b, "fine_tuned")["where"]["share_moved"] == pytest.approx(moved, abs=0.002)


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_the_share_of_single_numbers_that_training_moved(share: float) -> None:
    parent, further, draw = trained("llama", 1), tuned("llama", 1, 3), torch.Generator().manual_seed(3)
    tensors = {}
    for name, value in parent.tensors.items():
        chosen = torch.rand(value.shape, generator=draw) < share
        tensors[name] = torch.where(chosen, further.tensors[name], value)
    found = told(parent.with_tensors(tensors), parent, "fine_tuned")
    # A token that the texts lack keeps its row, but for weight decay.
    assert found["where"]["share_moved"] == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize(("bits", "group"), [(4, 32), (8, 32), (4, 16), (4, None), (8, None)])
def test_bits_and_group_of_a_quantisation(bits: int, group: int | None) -> None:
    parent = trained("llama_deep", 1)
    tensors = {}
    for name, value in parent.tensors.items():
        if value.dim() < 2:
            tensors[name] = value
            continue
        blocks = value.reshape(-1, group or value.shape[1])
        scale = blocks.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)
        tensors[name] = ((blocks / scale).round() * scale).reshape(value.shape)
    child = parent.with_tensors(tensors)
    for a, b in ((child, parent), (parent, child)):
        found = told(a, b, "quantised")
        assert (found["amount"], found["where"]["group"]) == (bits, group)
        assert found["where"]["tensors"] == found["where"]["tensors_compared"]
