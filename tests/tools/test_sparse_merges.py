"""Merges that keep parts of each change (DARE, TIES) are named with their amounts; nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.merges import dare, ties
from tests.small_models import Small, trained, tuned
from tests.tools.test_parents import explained, mean, valid
from tools.audit import compare
from tools.base_changes import changes_of, values_at_even_places
from tools.merging import Merge
from tools.report import markdown
from tools.sparse_merges import merge_of_parts

WEIGHTS = [[1.0], [0.6, 0.4], [0.4, 0.3, 0.3]]


def family(kind: str, count: int, dtype: torch.dtype = torch.float32) -> tuple[Small, list[Small]]:
    """A base and so many fine-tunes of it."""
    models = [trained(kind, 1), *(tuned(kind, 1, 3 + place) for place in range(count))]
    base, *parents = [m.with_tensors({n: v.to(dtype) for n, v in m.tensors.items()}) for m in models]
    return base, parents


def made(base: Small, parents: list[Small], weights: list[float], **how: float) -> Small:
    """A merge by TIES where a density is given, by DARE otherwise."""
    tensors = [parent.tensors for parent in parents]
    if "density" in how:
        return base.with_tensors(ties(base.tensors, tensors, weights, **how))
    return base.with_tensors(dare(base.tensors, tensors, weights, seed=1, **how))


def parts_of(child: Small, parents: list[Small], base: Small) -> Merge | None:
    """What merge of parts of the parents' changes the child is, matrix by matrix."""
    tensors = []
    for name in [name for name, start in base.tensors.items() if start.dim() >= 2]:
        models = (child, base, *parents)
        merge, start, *others = values_at_even_places([model.tensors[name].flatten() for model in models])
        tensors.append(changes_of(merge, others, start, base.tensors[name].numel()))
    return merge_of_parts(tensors, "a")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_dare_is_named_with_weights_and_what_was_kept(weights: list[float], dtype: torch.dtype) -> None:
    base, parents = family("llama", len(weights), dtype)
    for drop, elect in ((0.2, False), (0.5, True), (0.9, False)):
        child = made(base, parents, weights, drop=drop, elect=elect)
        found = parts_of(child, parents, base)
        assert found is not None and (found.side, found.method) == ("a", "DARE")
        assert found.weights == pytest.approx(weights, abs=0.02)
        assert found.kept == pytest.approx([1 - drop] * len(weights), abs=0.02)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_ties_is_named_with_density_and_scale(weights: list[float], dtype: torch.dtype) -> None:
    base, parents = family("llama", len(weights), dtype)
    for density, scale, everywhere in ((0.2, 1.0, False), (0.5, 0.7, False), (0.3, 1.0, True)):
        child = made(base, parents, weights, density=density, scale=scale, everywhere=everywhere)
        found = parts_of(child, parents, base)
        assert found is not None and (found.side, found.method) == ("a", "TIES")
        assert found.kept == pytest.approx([density] * len(weights), abs=0.02)
        if len(weights) == 1:
            # Of one parent a weight and a scale are the same.
            assert found.weights == pytest.approx([scale], abs=0.02) and found.scale is None
        else:
            assert found.weights == pytest.approx(weights, abs=0.02) and found.scale == pytest.approx(scale, abs=0.02)


@pytest.mark.parametrize("how", [{"drop": 0.5}, {"density": 0.3}])
def test_the_order_of_parents_and_of_sides_changes_nothing(how: dict[str, float]) -> None:
    base, parents = family("llama", 3)
    child = made(base, parents[:2], [0.6, 0.4], **how)
    for one, other, names in (
        (child, parents[0], [parents[1], parents[2]]),
        (parents[0], child, [parents[2], parents[1]]),
    ):
        found = explained(one, other, names, base)
        assert found is not None and found.side == ("a" if one is child else "b")
        second, stranger = (1, 2) if one is child else (2, 1)
        assert (found.weights[0], found.weights[second]) == pytest.approx((0.6, 0.4), abs=0.02)
        assert found.weights[stranger] == found.kept[stranger] == 0.0
    turned = explained(child, parents[1], [parents[0]], base)
    assert turned is not None and turned.weights == pytest.approx([0.4, 0.6], abs=0.02)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
def test_nothing_else_is_a_merge_of_parts(kind: str, dtype: torch.dtype) -> None:
    base, parents = family(kind, 3, dtype)
    one, two, three = parents
    plain = mean([one, two], [0.5, 0.5])
    scaled = mean([base, one], [0.5, 0.5])
    rows = one.with_tensors({n: torch.cat([base.tensors[n][:8], v[8:]]) for n, v in one.tensors.items()})
    frozen = one.with_tensors({n: base.tensors[n] if i % 2 else v for i, (n, v) in enumerate(one.tensors.items())})
    further = tuned(kind, 1, 3, 40)
    for other in (three, plain, scaled, rows, frozen, further, trained(kind, 2)):
        for named in ([one], [one, two]):
            assert parts_of(other, named, base) is None


def test_it_is_told_in_both_languages(tmp_path: Path) -> None:
    base, parents = family("llama", 2)
    names = {"base": base, "one": parents[0], "two": parents[1]}
    saved = {name: model.saved(tmp_path / name) for name, model in names.items()}
    for how, told in (({"drop": 0.5}, "DARE"), ({"density": 0.3, "scale": 0.8}, "TIES")):
        child = made(base, parents, [0.6, 0.4], **how).saved(tmp_path / told)
        result = valid(compare(child, saved["one"], saved["base"], parents=[saved["two"]]))
        assert result["answer"] == "derived" and result["direction"]["answer"] == "a_from_b"
        (merged,) = [change for change in result["changes"] if change["kind"] == "merged"]
        assert merged["where"]["method"] == told and merged["amount"] == pytest.approx(0.6, abs=0.02)
        for language in ("en", "zh"):
            text = markdown(result, language)
            assert told in text and "60%" in text and ("50%" if told == "DARE" else "30%") in text
            assert told == "DARE" or "0.80" in text
        without = compare(child, saved["one"], parents=[saved["two"]])
        assert not any(
            "method" in (change["where"] or {}) for change in without["changes"] if change["kind"] == "merged"
        )
