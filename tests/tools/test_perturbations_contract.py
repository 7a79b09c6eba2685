"""One contract for every perturbation: what it keeps, what it leaves untouched, and that it has words."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import torch

from tests.small_models import (
    HEAD_SIZE,
    HEADS,
    LAYERS,
    UNITS,
    VOCABULARY,
    WIDTH,
    Held,
    Small,
    fresh,
    logits,
    new_model,
    tensors_of,
    trained,
)
from tools.checkpoint import Checkpoint
from tools.perturbations import (
    Amount,
    NotApplicable,
    add_noise,
    all_perturbations,
    generator,
    perturbation_named,
)
from tools.verdict import LINKED
from tools.words import CHANGES

FOLDER = Path(__file__).resolve().parents[2] / "tools" / "perturbations"
CONTRACT_KINDS = {
    "renamed", "resharded", "recast", "noise", "quantised", "units_permuted", "heads_permuted", "residual_permuted",
    "rotated", "rescaled", "fine_tuned", "low_rank", "pruned", "layers_removed", "layers_repeated", "narrowed",
    "merged", "vocabulary_extended", "vocabulary_permuted", "experts_from_dense", "component_only",
}  # fmt: skip
ALL = [(perturbation.name, amount) for perturbation in all_perturbations() for amount in perturbation.amounts]
FAMILIES = ["llama", "llama_tied", "qwen2", "qwen3", "gemma", "phi3", "neox", "opt", "gpt2", "bert"]
# A change that a family must allow; the others may decline, but never break the model.
MUST_APPLY = {
    "shuffle_units": set(FAMILIES),
    "shuffle_heads": {"llama", "llama_tied", "qwen2", "qwen3", "opt", "bert"},
    "rotate_residual": {"llama", "llama_tied", "qwen2", "qwen3", "phi3"},
}

every_change = pytest.mark.parametrize(("name", "amount"), ALL)


def after(name: str, model: Checkpoint, amount: Amount, seed: int = 3) -> Checkpoint:
    return perturbation_named(name).apply(model, amount, seed)


def fitting(name: str, amount: Amount) -> Small:
    """A tiny trained model that the change applies to; a change that fits none of them fails here."""
    try:
        after(name, trained("llama", 1).held(), amount)
    except NotApplicable:
        after(name, trained("llama_deep", 1).held(), amount)
        return trained("llama_deep", 1)
    return trained("llama", 1)


def test_the_folder_is_the_list() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    assert {perturbation.name for perturbation in all_perturbations()} == files
    assert {"add_noise", "shuffle_units", "shuffle_heads", "rename_tensors", "cast"} <= files


@pytest.mark.parametrize("name", sorted({name for name, _ in ALL}))
def test_what_a_perturbation_says_of_itself(name: str) -> None:
    perturbation = perturbation_named(name)
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    about = ast.get_docstring(tree)
    assert about and about.splitlines()[0].endswith(".") and perturbation.about == about
    assert perturbation.disguise in CONTRACT_KINDS
    assert perturbation.amounts
    for amount in perturbation.amounts:
        assert isinstance(amount, (int, float, str))
    words = CHANGES[perturbation.disguise]
    assert words["en"].strip() and re.search(r"[\u4e00-\u9fff]", words["zh"])


def test_every_kind_of_change_of_the_contract_has_words() -> None:
    assert set(CHANGES) == CONTRACT_KINDS and "derived" in LINKED


@every_change
def test_nothing_is_mutated(name: str, amount: Amount) -> None:
    model = fitting(name, amount)
    kept = {key: value.clone() for key, value in model.tensors.items()}
    held = model.held()
    seen = after(name, held, amount)
    for key in seen.shapes:
        seen.read(key).fill_(7)
    assert all(torch.equal(model.tensors[key], value) for key, value in kept.items())
    assert list(held.shapes) == list(kept) and held.config == model.config
    # What was read and overwritten by a reader comes back whole.
    again = after(name, held, amount)
    assert any(not torch.equal(again.read(key).float(), torch.full(shape, 7.0)) for key, shape in again.shapes.items())


@every_change
def test_what_the_view_declares_is_what_it_holds(name: str, amount: Amount) -> None:
    seen = after(name, fitting(name, amount).held(), amount)
    assert set(seen.dtypes) == set(seen.shapes) == set(seen.declared_names)
    for key, shape in seen.shapes.items():
        values = seen.read(key)
        assert tuple(values.shape) == shape
        assert str(values.dtype) == f"torch.{seen.dtypes[key]}"
        assert torch.isfinite(values.float()).all()
        if shape and shape[0] > 4:
            assert torch.equal(seen.read_rows(key, 1, 3), values[1:3])


@every_change
def test_same_seed_same_change_whatever_the_order_of_reading(name: str, amount: Amount) -> None:
    one, other = (after(name, fitting(name, amount).held(), amount, seed=5) for _ in range(2))
    backwards = {key: other.read(key) for key in reversed(list(other.shapes))}
    assert list(one.shapes) == list(other.shapes)
    assert all(torch.equal(one.read(key).float(), backwards[key].float()) for key in one.shapes)


# What rounds, prunes or leaves out has nothing to draw.
WITHOUT_CHANCE = {"cast", "prune", "quantise", "drop_layers", "repeat_layers"}


@pytest.mark.parametrize(("name", "amount"), [row for row in ALL if row[0] not in WITHOUT_CHANCE])
def test_another_seed_is_another_change(name: str, amount: Amount) -> None:
    one, other = (tensors_of(after(name, fitting(name, amount).held(), amount, seed=s)) for s in (1, 2))
    assert any(one[key].shape != other[key].shape or not torch.equal(one[key], other[key]) for key in one)


@every_change
def test_something_changes(name: str, amount: Amount) -> None:
    before = fitting(name, amount).tensors
    seen = after(name, fitting(name, amount).held(), amount)
    if set(seen.shapes) == set(before):
        moved = [key for key, value in before.items() if not torch.equal(seen.read(key).float(), value)]
        assert len(moved) >= LAYERS


def function_kept(kind: str, seen: Checkpoint) -> float:
    """The largest change of any logit, as a share of the logits' spread."""
    model = new_model(kind, 1)
    wanted = logits(model)
    values = tensors_of(seen)
    config = model.config
    if "lm_head.weight" in values and config.tie_word_embeddings:
        from transformers import AutoModelForCausalLM

        config.tie_word_embeddings = False
        model = AutoModelForCausalLM.from_config(config).eval()
    missing, unexpected = model.load_state_dict(values, strict=False)
    assert not unexpected and all("lm_head" in name or "decoder" in name or "embed_out" in name for name in missing)
    return float((logits(model) - wanted).abs().max() / wanted.std())


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize(
    "name", sorted(p.name for p in all_perturbations() if p.keeps_function and p.name != "rename_tensors")
)
def test_what_keeps_the_function_keeps_the_logits(name: str, kind: str) -> None:
    assert function_kept(kind, fresh(kind, 1).held()) < 1e-6
    try:
        seen = after(name, fresh(kind, 1).held(), perturbation_named(name).amounts[-1])
    except NotApplicable as reason:
        assert kind not in MUST_APPLY.get(name, {"llama"}), reason
        assert re.search(r"\w+ \w+", str(reason))
        return
    assert function_kept(kind, seen) < 1e-3


@pytest.mark.parametrize(("name", "amount"), [("add_noise", 0.5), ("cast", "float8_e4m3fn")])
def test_what_does_not_keep_it_changes_the_logits(name: str, amount: Amount) -> None:
    assert not perturbation_named(name).keeps_function
    seen = after(name, fresh("llama", 1).held(), amount)
    plain = {key: seen.read(key).float() for key in seen.shapes}
    assert function_kept("llama", Held(plain)) > 1e-3


def test_renaming_keeps_the_multiset_of_values() -> None:
    before, now = trained("llama", 1).tensors, tensors_of(after("rename_tensors", trained("llama", 1).held(), "all"))

    def fingerprints(tensors: dict[str, torch.Tensor]) -> list[tuple[object, ...]]:
        return sorted((tuple(v.shape), str(v.dtype), v.float().numpy().tobytes()) for v in tensors.values())

    assert fingerprints(before) == fingerprints(now)
    assert all(re.fullmatch(r"t\d{3,}", name) for name in now)


@pytest.mark.parametrize("amount", [0.01, 0.1, 0.5])
def test_noise_has_the_size_it_says(amount: float) -> None:
    before, seen = trained("llama", 1).tensors, after("add_noise", trained("llama", 1).held(), amount)
    for key, value in before.items():
        if value.numel() >= 2048:
            assert float((seen.read(key) - value).std() / value.std()) == pytest.approx(amount, rel=0.1)


@pytest.mark.parametrize("count", [2, 15, 64, 65, 79, 80, 81, 128, 1000])
def test_noise_drawn_in_parts_is_the_noise_drawn_at_once(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    values = torch.randn(count, generator=torch.Generator().manual_seed(1))
    at_once = add_noise.noisy(values, 0.2, 0, "x")
    monkeypatch.setattr(add_noise, "VALUES_AT_ONCE", 64)
    asked: list[None] = []
    assert torch.equal(add_noise.noisy(values, 0.2, 0, "x", lambda: asked.append(None)), at_once)
    assert len(asked) >= max(1, count // 64)
    expected = torch.randn(count, generator=generator(0, "x")) * (0.2 * values.std()) + values
    assert torch.allclose(at_once, expected, atol=1e-6)


def test_noise_of_two_tensors_is_not_the_same_noise() -> None:
    one, other = (torch.randn(100, generator=generator(1, name)) for name in ("a", "b"))
    assert abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) < 0.4


def test_whole_groups_of_heads_move_together() -> None:
    before, seen = fresh("qwen3", 1).tensors, after("shuffle_heads", fresh("qwen3", 1).held(), "all", seed=3)
    groups, size = HEADS // 2, HEAD_SIZE
    for i in range(LAYERS):
        name = f"model.layers.{i}.self_attn.{{}}_proj.weight"
        keys, queries = before[name.format("k")].reshape(groups, size, WIDTH), seen.read(name.format("q"))
        order = [
            next(g for g in range(groups) if torch.equal(keys[g], moved))
            for moved in seen.read(name.format("k")).reshape(groups, size, WIDTH)
        ]
        whole = before[name.format("q")].reshape(groups, -1, WIDTH)
        assert torch.equal(queries.reshape(groups, -1, WIDTH), whole[order])


def test_a_model_without_what_is_changed_declines_with_a_reason() -> None:
    bare = Held({"weight": torch.randn(VOCABULARY, UNITS)})
    for name in ("shuffle_units", "shuffle_heads", "rotate_residual"):
        with pytest.raises(NotApplicable, match=r"\w+ \w+"):
            after(name, bare, "all")
    halves = Held({"weight": torch.randn(VOCABULARY, UNITS).to(torch.float8_e4m3fn)})
    with pytest.raises(NotApplicable):
        after("cast", halves, "bfloat16")
