"""Layers of one model in another: which are shared, how much of all numbers that is, and that the others are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.layers import layer_number, stacked
from tests.small_models import Small, tensors_of, trained, tuned
from tools.audit import compare
from tools.names import has_role
from tools.perturbations import perturbation_named
from tools.report import summary
from tools.verdict import LINKED


def in_place(tables: Small, theirs: Small, taken: Sequence[int], depth: int) -> Small:
    """`tables` with these layers of `theirs` at their own places."""
    return stacked(tables, [(theirs if i in taken else tables, i) for i in range(depth)])


def part_of(result: dict[str, Any]) -> dict[str, Any]:
    (told,) = [change for change in result["changes"] if change["kind"] == "component_only"]
    found: dict[str, Any] = told
    return found


def equal_share(a: Small, b: Small) -> float:
    """The share of a's numbers that lie in matrices which b has as well, under any name."""
    both = sum(
        values.numel()
        for values in a.tensors.values()
        if values.dim() > 1 and any(values.shape == v.shape and torch.equal(values, v) for v in b.tensors.values())
    )
    return both / sum(values.numel() for values in a.tensors.values())


@pytest.fixture
def asked(tmp_path: Path) -> Callable[[Small, Small], dict[str, Any]]:
    def ask(a: Small, b: Small) -> dict[str, Any]:
        return compare(a.saved(tmp_path / "a"), b.saved(tmp_path / "b"))

    return ask


Ask = Callable[[Small, Small], dict[str, Any]]


@pytest.mark.parametrize(
    ("kind", "depth", "taken"),
    [("llama_deep", 4, [0, 1]), ("llama_deep", 4, [0, 2, 3]), ("gpt2", 2, [0]), ("bert", 2, [1])],
    ids=str,
)  # fmt: skip
def test_layers_in_a_model_of_its_own_are_named_with_their_share(
    kind: str, depth: int, taken: list[int], asked: Ask
) -> None:
    theirs = trained(kind, 1)
    model = in_place(trained(kind, 2), theirs, taken, depth)
    result = asked(model, theirs)
    told, share = part_of(result), equal_share(model, theirs)
    assert result["answer"] == ("shared_part" if share < 0.5 else "derived")
    assert told["amount"] == pytest.approx(share, abs=0.01)
    assert told["where"]["shared"] == taken
    assert told["where"]["apart"] == [i for i in range(depth) if i not in taken]
    assert told["where"]["tables_apart"] >= 1 and "tables_shared" not in told["where"]
    answers = {part["name"]: part["answer"] for part in result["components"]}
    assert answers["feed-forward layers"] == answers["attention"] == "shared_part"


def test_both_languages_name_the_layers(asked: Ask) -> None:
    theirs = trained("llama_deep", 1)
    result = asked(in_place(trained("llama_deep", 2), theirs, [0, 1, 2], 4), theirs)
    english, chinese = (summary(result, language)["changes"][-1] for language in ("en", "zh"))
    assert english.endswith(
        "of the numbers are related (shared: layers 0-2; no relation seen: layer 3; no relation seen: 2 token tables)"
    )
    assert chinese.endswith("的数字有关联（共用的层：0-2；看不出关联的层：3；看不出关联的词元表：2 个）")


def test_layers_that_stand_elsewhere_are_named_in_both_models(asked: Ask) -> None:
    own, theirs = trained("llama_deep", 2), trained("llama_deep", 1)
    result = asked(stacked(own, [(theirs, 2), (theirs, 3), (own, 2), (own, 3)]), theirs)
    where = part_of(result)["where"]
    assert (where["shared_of_a"], where["shared_of_b"]) == ([0, 1], [2, 3])
    assert (where["apart_of_a"], where["apart_of_b"]) == ([2, 3], [0, 1])
    (said,) = [phrase for phrase in summary(result)["changes"] if "related" in phrase]
    assert "shared: layers 0, 1 of the first model, as layers 2, 3 of the second" in said


@pytest.mark.parametrize("part", ["attention_only", "units_only"])
def test_the_attention_or_the_feed_forward_part_alone(part: str, asked: Ask) -> None:
    own, theirs = trained("llama_deep", 2), trained("llama_deep", 1)
    of_attention = {name for name in own.tensors if layer_number(name) is not None and has_role(name, "attention")}
    of_units = {name for name in own.tensors if ".mlp." in name}
    taken = of_attention if part == "attention_only" else of_units
    model = own.with_tensors({name: (theirs if name in taken else own).tensors[name] for name in own.tensors})
    result = asked(model, theirs)
    told = part_of(result)
    assert result["answer"] == "shared_part" and told["where"][part] == [0, 1, 2, 3]
    assert "shared" not in told["where"]
    assert told["amount"] == pytest.approx(equal_share(model, theirs), abs=0.01)


@pytest.mark.parametrize("change", [("add_noise", 0.5), ("shuffle_units", "all"), ("rotate_residual", "all"), None])
def test_of_a_whole_copy_no_part_is_named(change: tuple[str, Any] | None, asked: Ask) -> None:
    parent = trained("llama_deep", 1)
    made = tuned("llama_deep", 1, 7)
    if change is not None:
        made = made.with_tensors(tensors_of(perturbation_named(change[0]).apply(made.held(), change[1], 3)))
    result = asked(made, parent)
    assert result["answer"] in LINKED
    assert "component_only" not in {change["kind"] for change in result["changes"]}


def test_a_deeper_model_of_two_is_not_called_the_parent_of_either(asked: Ask) -> None:
    one, other = trained("llama_deep", 1), trained("llama_deep", 2)
    both = stacked(other, [(model, i) for model in (one, other) for i in range(4)])
    result = asked(both, other)
    assert result["answer"] == "derived" and result["direction"] == {"answer": "unknown", "because": []}
    (told,) = [change for change in result["changes"] if change["kind"] == "layers_removed"]
    assert told["where"]["only_in_a"] == [0, 1, 2, 3]


def test_a_deeper_model_with_tables_of_its_own_is_counted_in_the_smaller_one(asked: Ask) -> None:
    one, other = trained("llama_deep", 1), trained("llama_deep", 2)
    both = stacked(other, [(model, i) for model in (one, other) for i in range(4)])
    told = part_of(asked(both, one))
    assert told["where"]["shared"] == [0, 1, 2, 3]
    assert told["where"]["counted_in_b"] == pytest.approx(sum(v.numel() for v in one.tensors.values()), rel=0.01)
    assert told["amount"] == pytest.approx(equal_share(one, both), abs=0.01)


def test_a_model_with_layers_put_between_is_not_called_the_parent(asked: Ask) -> None:
    """Blocks put between the others, with new numbers: Wu et al., LLaMA Pro, 2024."""
    base, other = trained("llama_deep", 1), trained("llama_deep", 2)
    grown = stacked(base, [(base, 0), (base, 1), (other, 1), (base, 2), (base, 3), (other, 3)])
    result = asked(base, grown)
    assert result["direction"] == {"answer": "unknown", "because": []}


def test_a_model_with_more_units_is_not_called_the_parent(asked: Ask) -> None:
    """Each unit twice with half of its outgoing weights: Chen et al., Net2Net, 2016."""
    base = trained("llama_deep", 1)
    grown = {
        name: torch.cat([v, v] if "down_proj" not in name else [v / 2, v / 2], dim=1 if "down_proj" in name else 0)
        if ".mlp." in name
        else v
        for name, v in base.tensors.items()
    }
    units = {"intermediate_size": 2 * base.config["intermediate_size"]}
    result = asked(base, Small(grown, base.config | units, base.files))
    assert result["answer"] == "derived" and result["direction"] == {"answer": "unknown", "because": []}
    assert "one side has 50% of the other's hidden units" in summary(result)["changes"]


def test_a_wider_residual_stream_is_told(asked: Ask) -> None:
    base = trained("llama_deep", 1)
    width = base.config["hidden_size"]
    wide = {}
    for name, values in base.tensors.items():
        axes = [axis for axis, length in enumerate(values.shape) if length == width and "self_attn" not in name]
        axes = [0 if "o_proj" in name else 1] if "self_attn" in name else axes
        for axis in axes:
            values = torch.cat([values, torch.zeros_like(values.narrow(axis, 0, width // 4))], dim=axis)
        wide[name] = values
    result = asked(Small(wide, base.config | {"hidden_size": width + width // 4}, base.files), base)
    assert result["answer"] == "derived"
    assert "the residual stream of one side is 80% as wide as the other's" in summary(result)["changes"]
