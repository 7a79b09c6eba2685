"""Weights of named parents are found; who is no parent is not named, and no stranger is linked by naming any."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch

from tests.small_models import Small, tensors_of, trained, tuned
from tools.audit import compare
from tools.comparison import Comparison
from tools.merging import Merge
from tools.parents import merge_of_parents
from tools.perturbations import perturbation_named
from tools.report import markdown

SCHEMA = Path(__file__).resolve().parents[2].parent / "shared" / "result.schema.json"


def mean(models: list[Small], weights: list[float]) -> Small:
    pairs = list(zip(models, weights, strict=True))
    return models[0].with_tensors({n: sum(w * m.tensors[n] for m, w in pairs) for n in models[0].tensors})  # type: ignore[misc]


def spherical(one: Small, other: Small, share: float) -> Small:
    tensors = {}
    for name, x in one.tensors.items():
        y = other.tensors[name]
        angle = torch.arccos((x.flatten() @ y.flatten() / (x.norm() * y.norm())).clamp(-1, 1))
        tensors[name] = (torch.sin((1 - share) * angle) * x + torch.sin(share * angle) * y) / torch.sin(angle)
    return one.with_tensors(tensors)


def explained(a: Small, b: Small, parents: list[Small], base: Small | None = None) -> Merge | None:
    both = Comparison(a.held("a"), b.held("b"), base=None if base is None else base.held("base"))
    return merge_of_parents(both, both, [parent.held() for parent in parents])


STRANGERS = [[0.7, 0.3], [0.5, 0.5], [0.1, 0.9], [0.5, 0.3, 0.2], [0.4, 0.3, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25]]


@pytest.mark.parametrize("weights", STRANGERS)
@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
@pytest.mark.parametrize("related", [False, True], ids=["strangers", "siblings"])
def test_weights_of_all_parents_are_found(kind: str, weights: list[float], related: bool) -> None:
    parents = [tuned(kind, 1, 3 + i) if related else trained(kind, 1 + i) for i in range(len(weights))]
    child = mean(parents, weights)
    found = explained(child, parents[0], parents[1:])
    assert found is not None and found.side == "a" and found.weight == found.weights[0]
    assert found.weights == pytest.approx(weights, abs=0.02)
    swapped = explained(parents[0], child, parents[1:])
    assert swapped is not None and swapped.side == "b" and swapped.weights == pytest.approx(weights, abs=0.02)


def test_rounded_to_16_bit_the_weights_stay() -> None:
    for kind in ("llama", "gpt2", "bert"):
        parents = [tuned(kind, 1, 3), tuned(kind, 1, 4)]
        child = mean(parents, [0.6, 0.4])
        rounded = child.with_tensors(tensors_of(perturbation_named("cast").apply(child.held(), "bfloat16", 0)))
        found = explained(rounded, parents[0], parents[1:])
        assert found is not None and found.weights == pytest.approx([0.6, 0.4], abs=0.02)


def near(base: Small, tuned_once: Small, share: float, dtype: torch.dtype) -> Small:
    """The base with its training scaled so that it lies so far from the base, in 16 bit."""
    matrices = [name for name, value in base.tensors.items() if value.dim() >= 2]
    apart = sum(float((tuned_once.tensors[n] - base.tensors[n]).square().sum()) for n in matrices)
    scale = share * (sum(float(base.tensors[n].square().sum()) for n in matrices) / apart) ** 0.5
    change = {n: (value + scale * (tuned_once.tensors[n] - value)).to(dtype) for n, value in base.tensors.items()}
    return base.with_tensors(change)


def rounded_mean(models: list[Small], weights: list[float], dtype: torch.dtype, parts: bool = False) -> Small:
    """The mean in 16 bit; with `parts`, every product in 16 bit before it, as programs that merge in 16 bit do."""
    if not parts:
        exact = mean([m.with_tensors({n: v.double() for n, v in m.tensors.items()}) for m in models], weights)
        return exact.with_tensors({name: value.float().to(dtype) for name, value in exact.tensors.items()})
    factors = torch.tensor(weights, dtype=dtype)
    tensors = {}
    for name in models[0].tensors:
        stacked = torch.stack([model.tensors[name] for model in models])
        tensors[name] = (factors.view(-1, *[1] * (stacked.dim() - 1)) * stacked).sum(dim=0)
    return models[0].with_tensors(tensors)


@pytest.mark.parametrize("weights", [[0.6, 0.4], [0.5, 0.5], [0.137, 0.863], [0.5, 0.3, 0.2], [0.4, 0.3, 0.2, 0.1]])
@pytest.mark.parametrize(
    ("kind", "dtype"), [("llama", torch.bfloat16), ("gpt2", torch.bfloat16), ("bert", torch.float16)]
)
@pytest.mark.parametrize("parts", [False, True], ids=["mean rounded", "parts rounded"])
def test_siblings_a_hundredth_apart_in_16_bit(kind: str, dtype: torch.dtype, weights: list[float], parts: bool) -> None:
    base = trained(kind, 1)
    parents = [near(base, tuned(kind, 1, 3 + i), 0.01, dtype) for i in range(len(weights))]
    child = rounded_mean(parents, weights, dtype, parts)
    for one, other, side in ((child, parents[0], "a"), (parents[0], child, "b")):
        found = explained(one, other, parents[1:])
        assert found is not None and found.side == side and found.weights == pytest.approx(weights, abs=0.02)
    stranger = trained(kind, 2).with_tensors({n: v.to(dtype) for n, v in trained(kind, 2).tensors.items()})
    more = explained(child, parents[0], [*parents[1:], stranger])
    assert more is not None and more.weights == pytest.approx([*weights, 0.0], abs=0.02) and more.weights[-1] == 0.0


def test_task_arithmetic_in_16_bit() -> None:
    base = trained("llama", 1)
    start = base.with_tensors({name: value.bfloat16() for name, value in base.tensors.items()})
    parents = [near(base, tuned("llama", 1, language), 0.01, torch.bfloat16) for language in (3, 4)]
    child = rounded_mean([start, *parents], [-0.5, 0.8, 0.7], torch.bfloat16)
    found = explained(child, parents[0], [parents[1]], start)
    assert found is not None and found.side == "a" and found.weights == pytest.approx([0.8, 0.7], abs=0.02)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert", "qwen2"])
def test_training_in_16_bit_is_no_merge_however_near(kind: str, dtype: torch.dtype) -> None:
    base = trained(kind, 1)
    steps = {count: tuned(kind, 1, 3, count) for count in (10, 23, 24, 25, 26, 27, 40)}
    siblings = [tuned(kind, 1, language) for language in (3, 4, 5)]

    def at(share: float, model: Small) -> Small:
        return base.with_tensors({n: (v + share * (model.tensors[n] - v)).to(dtype) for n, v in base.tensors.items()})

    for share in (1.0, 0.1, 0.01):
        here = {count: at(share, model) for count, model in steps.items()}
        brothers, start = [at(share, model) for model in siblings], at(0.0, base)
        assert explained(here[25], here[24], [here[26]]) is None
        assert explained(here[25], here[23], [here[27]]) is None
        assert explained(here[25], here[10], [here[40]]) is None
        assert explained(here[25], here[24], [here[26], here[27]]) is None
        assert explained(here[10], start, [here[25]]) is None
        assert explained(brothers[0], brothers[1], [brothers[2]]) is None
        assert explained(brothers[0], start, brothers[1:]) is None
        assert explained(brothers[0], brothers[1], [brothers[2]], start) is None


def test_a_spherical_mean_shows_its_effective_weights() -> None:
    one, other = trained("llama", 1), trained("llama", 2)
    found = explained(spherical(one, other, 0.5), one, [other])
    assert found is not None and found.weights == pytest.approx([0.7071, 0.7071], abs=0.04)
    assert found.weights[0] == pytest.approx(found.weights[1], abs=0.02)


def test_task_arithmetic_with_the_base() -> None:
    base, one, other = trained("llama", 1), tuned("llama", 1, 3), tuned("llama", 1, 4)
    child = mean([base, one, other], [-0.5, 0.8, 0.7])
    found = explained(child, one, [other], base)
    assert found is not None and found.side == "a" and found.weights == pytest.approx([0.8, 0.7], abs=0.02)


def test_who_is_no_parent_is_not_named() -> None:
    one, other, stranger = trained("llama", 1), trained("llama", 2), trained("llama", 3)
    found = explained(mean([one, other], [0.6, 0.4]), one, [stranger, other])
    assert found is not None and found.weights == pytest.approx([0.6, 0.0, 0.4], abs=0.02) and found.weights[1] == 0.0


def test_nothing_is_named_where_the_parents_do_not_explain() -> None:
    one, other, stranger = trained("llama", 1), trained("llama", 2), trained("llama", 3)
    assert explained(mean([one, stranger], [0.6, 0.4]), one, [other]) is None
    # The other of the pair is no parent, although the further models explain everything.
    assert explained(mean([other, stranger], [0.6, 0.4]), one, [other, stranger]) is None
    assert explained(one, one, [other]) is None
    assert explained(one, other, [one]) is None
    assert explained(mean([one, other], [0.6, 0.4]), one, [other, other]) is None
    assert explained(mean([one, other], [0.6, 0.4]), one, [trained("gpt2", 1)]) is None
    assert explained(mean([one, other], [0.6, 0.4]), one, [Small({})]) is None
    broken = other.with_tensors({name: value / 0.0 for name, value in other.tensors.items()})
    assert explained(mean([one, other], [0.6, 0.4]), one, [broken]) is None


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert", "qwen2"])
def test_training_and_siblings_are_no_merge(kind: str) -> None:
    base, ends = trained(kind, 1), [tuned(kind, 1, 3, steps) for steps in (10, 25, 40)]
    siblings = [tuned(kind, 1, language) for language in (3, 4, 5)]
    assert explained(ends[0], base, [ends[1]]) is None
    assert explained(ends[1], base, [ends[0], ends[2]]) is None
    # One step apart, a checkpoint lies nearly in the middle of its neighbours.
    assert explained(ends[1], tuned(kind, 1, 3, 24), [tuned(kind, 1, 3, 26)]) is None
    assert explained(siblings[0], siblings[1], [siblings[2]]) is None
    assert explained(siblings[0], base, siblings[1:]) is None
    assert explained(siblings[0], base, siblings[1:], base) is None


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("parents")
    one, other, third = (trained("llama", seed) for seed in (1, 2, 3))
    base, left, right = one, tuned("llama", 1, 3), tuned("llama", 1, 4)
    models = {
        "one": one, "other": other, "third": third, "merge": mean([one, other], [0.6, 0.4]),
        "left": left, "right": right, "base": base, "siblings": mean([left, right], [0.3, 0.7]),
    }  # fmt: skip
    return {name: model.saved(folder / name) for name, model in models.items()}


def valid(result: dict[str, Any]) -> dict[str, Any]:
    if SCHEMA.is_file():
        jsonschema.validate(result, json.loads(SCHEMA.read_text(encoding="utf-8")))
    return result


def test_a_merge_is_told_with_its_parents(saved: dict[str, str]) -> None:
    other = saved["other"]
    result = valid(compare(saved["merge"], saved["one"], parents=[other, saved["one"], saved["third"]]))
    assert result["answer"] == "derived" and result["direction"]["answer"] == "a_from_b"
    (merged,) = [change for change in result["changes"] if change["kind"] == "merged"]
    assert merged["amount"] == pytest.approx(0.6, abs=0.02)
    assert merged["where"]["weights"] == [
        [saved["one"], pytest.approx(0.6, abs=0.02)], [other, pytest.approx(0.4, abs=0.02)]
    ]  # fmt: skip
    # The other of the pair is always among the parents, so it is not repeated.
    assert f"--parents {other} {saved['third']} --seed" in result["reproduce"]["command"]
    assert not {"noise", "fine_tuned", "units_permuted"} & {change["kind"] for change in result["changes"]}
    assert not any("parent and child" in sentence for sentence in result["limits"])
    for language in ("en", "zh"):
        text = markdown(result, language)
        assert "60%" in text and "40%" in text and "TIES" in text and saved["third"] not in text.split("```")[0]


def test_swapped_arguments_give_the_mirrored_answer(saved: dict[str, str]) -> None:
    result = valid(compare(saved["one"], saved["merge"], parents=[saved["other"]]))
    assert result["answer"] == "derived" and result["direction"]["answer"] == "b_from_a"
    (merged,) = [change for change in result["changes"] if change["kind"] == "merged"]
    assert merged["where"]["side"] == "b" and merged["where"]["weights"][0][0] == saved["one"]
    assert merged["amount"] == pytest.approx(0.6, abs=0.02)


def test_a_merge_of_siblings_is_no_sibling(saved: dict[str, str]) -> None:
    pair = saved["siblings"], saved["left"], saved["base"]
    result = valid(compare(*pair, parents=[saved["right"]]))
    assert result["answer"] == "derived" and result["direction"]["answer"] == "a_from_b"
    (merged,) = [change for change in result["changes"] if change["kind"] == "merged"]
    assert [weight for _, weight in merged["where"]["weights"]] == pytest.approx([0.3, 0.7], abs=0.02)


def test_strangers_stay_independent_whoever_is_named(saved: dict[str, str]) -> None:
    result = valid(compare(saved["one"], saved["other"], parents=[saved["third"], saved["merge"]]))
    assert result["answer"] == "independent" and result["changes"] == []
    # An unrelated model and what is named beside it make a mean; the pair itself stays what it is.
    result = valid(compare(saved["merge"], saved["third"], parents=[saved["one"], saved["other"]]))
    assert result["answer"] == "independent" and result["changes"] == []


def test_siblings_stay_siblings_whoever_is_named(saved: dict[str, str]) -> None:
    result = valid(compare(saved["left"], saved["right"], saved["base"], parents=[saved["other"]]))
    assert result["answer"] == "common_origin" and "merged" not in {change["kind"] for change in result["changes"]}
    assert any("do not add up" in sentence for sentence in result["limits"])


def test_of_large_models_the_rows_that_were_read_are_enough(
    saved: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.reading.READ_ALL_BYTES", -1)
    monkeypatch.setattr("tools.sampling.READ_ALL_BYTES", 0)
    for full in (False, True):
        result = valid(compare(saved["merge"], saved["one"], parents=[saved["other"]], full=full))
        (merged,) = [change for change in result["changes"] if change["kind"] == "merged"]
        assert [weight for _, weight in merged["where"]["weights"]] == pytest.approx([0.6, 0.4], abs=0.02)
