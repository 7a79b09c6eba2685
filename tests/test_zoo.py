"""The zoo and its attacks: deterministic, kept, and true to what they say of themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import accuracy, attacks, zoo
from tools.perturbations import NotApplicable, all_perturbations
from tools.sources import open_checkpoint
from tools.words import CHANGES

TEXTS = {
    f"article-{i}": f"A short text number {i}, with weights, copies and parents of models. " * 60 for i in range(9)
}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> zoo.Zoo:
    """A zoo whose models have taken three steps."""
    for name, recipe in zoo.RECIPES.items():
        monkeypatch.setitem(zoo.RECIPES, name, zoo.replace(recipe, steps=3, vocabulary=512))
    monkeypatch.setattr(zoo, "VOCABULARY", 512)
    return zoo.Zoo(tmp_path, TEXTS)


def subject(small: zoo.Zoo, recipe: str, room: Path) -> attacks.Subject:
    return attacks.Subject(small, zoo.RECIPES[recipe], 0, small.model(recipe, 0), room)


def logits(folder: Path) -> torch.Tensor:
    words = torch.arange(48).reshape(2, 24)
    with torch.no_grad():
        said: torch.Tensor = zoo.saved_model(folder).eval()(input_ids=words).logits
    return said


def test_a_model_is_trained_once_and_the_same_again(small: zoo.Zoo, tmp_path: Path) -> None:
    folder = small.model("llama", 0)
    written = (folder / "model.safetensors").read_bytes()
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert small.model("llama", 0) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    again = zoo.Zoo(tmp_path / "again", TEXTS).model("llama", 0)
    assert (again / "model.safetensors").read_bytes() == written
    assert (small.model("llama", 1) / "model.safetensors").read_bytes() != written


def test_the_parts_of_the_texts_do_not_overlap(small: zoo.Zoo) -> None:
    general, other = set(small.part("general")), set(small.part("other"))
    assert general and other and not general & other
    assert general | other == set(TEXTS.values())


@pytest.mark.parametrize("recipe", zoo.RECIPES)
def test_disguises_that_keep_the_function_keep_it(small: zoo.Zoo, recipe: str, tmp_path: Path) -> None:
    made = subject(small, recipe, tmp_path / "room")
    parts = attacks.read_parts(made.parent)
    parts.tensors = {name: values.float() for name, values in parts.tensors.items()}
    right = logits(attacks.write_parts(parts, tmp_path / "plain"))
    tried = 0
    for perturbation in all_perturbations():
        if not perturbation.keeps_function or perturbation.name == "rename_tensors":
            continue
        for amount in perturbation.amounts:
            try:
                changed = attacks.disguise(made, parts, perturbation.name, amount)
            except NotApplicable:
                continue
            said = logits(attacks.write_parts(changed, tmp_path / "changed"))
            assert torch.allclose(said, right, atol=1e-4), (perturbation.name, amount)
            tried += 1
    assert tried >= 3


@pytest.mark.parametrize(("name", "grid"), [("int8", 255), ("int4", 15), ("int3", 7)])
def test_quantised_rows_lie_on_a_grid(small: zoo.Zoo, name: str, grid: int, tmp_path: Path) -> None:
    made = subject(small, "llama", tmp_path / "room")
    parts = attacks.disguise(made, attacks.read_parts(made.parent), "quantise", name)
    row = parts.tensors["model.layers.0.mlp.up_proj.weight"][0, :32]
    assert len(row.unique()) <= grid
    assert not torch.equal(row, attacks.read_parts(made.parent).tensors["model.layers.0.mlp.up_proj.weight"][0, :32])


@pytest.mark.parametrize(("amount", "share"), [(0.3, 0.3), (0.5, 0.5), ("2:4", 0.5)])
def test_pruning_leaves_that_share_of_zeros(small: zoo.Zoo, amount: float | str, share: float, tmp_path: Path) -> None:
    made = subject(small, "gpt2", tmp_path / "room")
    parts = attacks.disguise(made, attacks.read_parts(made.parent), "prune", amount)
    matrix = parts.tensors["transformer.h.0.mlp.c_fc.weight"]
    assert float((matrix == 0).float().mean()) == pytest.approx(share, abs=0.01)
    if amount == "2:4":
        assert set((matrix.reshape(-1, 4) == 0).sum(1).tolist()) == {2}


def test_a_low_rank_change_has_that_rank(small: zoo.Zoo, tmp_path: Path) -> None:
    made = subject(small, "llama", tmp_path / "room")
    name = "model.layers.0.mlp.up_proj.weight"
    before = attacks.read_parts(made.parent)
    after = attacks.disguise(made, before, "low_rank", 4)
    values = torch.linalg.svdvals((after.tensors[name] - before.tensors[name]).double())
    assert float(values[4] / values[0]) < 1e-4 < float(values[3] / values[0])


@pytest.mark.parametrize(("name", "depth"), [("drop_layers", 3), ("repeat_layers", 5)])
def test_layers_are_renumbered(small: zoo.Zoo, name: str, depth: int, tmp_path: Path) -> None:
    made = subject(small, "qwen2", tmp_path / "room")
    parts = attacks.disguise(made, attacks.read_parts(made.parent), name, 0.25)
    assert parts.config["num_hidden_layers"] == depth
    layers = {n.split(".")[2] for n in parts.tensors if ".layers." in n}
    assert layers == {str(i) for i in range(depth)}
    assert torch.isfinite(logits(attacks.write_parts(parts, tmp_path / "changed"))).all()


@pytest.mark.parametrize("recipe", zoo.RECIPES)
def test_narrowed_models_run(small: zoo.Zoo, recipe: str, tmp_path: Path) -> None:
    made = subject(small, recipe, tmp_path)
    half = zoo.narrower(zoo.RECIPES[recipe], 0.5)
    model = attacks.as_model(attacks._selected(made, half), tmp_path)
    assert model.get_input_embeddings().weight.shape[1] == half.hidden
    assert torch.isfinite(model(input_ids=torch.arange(10)[None]).logits).all()


def test_renumbered_tokens_keep_their_vectors(small: zoo.Zoo, tmp_path: Path) -> None:
    made = subject(small, "llama", tmp_path)
    before = attacks.read_parts(made.parent)
    after = attacks.renumbered_tokens(made, before, kept=0.8, shuffled=True, added=7)
    old, new = (json.loads(p.tokenizer)["model"]["vocab"] for p in (before, after))
    tables = [p.tensors["model.embed_tokens.weight"] for p in (before, after)]
    assert len(tables[1]) == after.vocabulary < before.vocabulary
    kept = [token for token in new if token in old]
    assert all(torch.equal(tables[0][old[token]], tables[1][new[token]]) for token in kept)


def test_every_attack_expects_words_of_the_contract() -> None:
    answers = {"identical", "disguised_copy", "derived", "shared_part", "common_origin", "independent", "undecided"}
    names = [attack.name for attack in attacks.ATTACKS]
    assert len(set(names)) == len(names)
    for attack in attacks.ATTACKS:
        assert attack.answers <= answers
        assert attack.also.union(*attack.alternatives) <= set(CHANGES)
        assert set(attack.recipes) <= set(zoo.RECIPES)
    ids = {id_ for attack in attacks.ATTACKS for id_ in attack.ids}
    assert {f"A{i}" for i in range(1, 23)} | {"F1"} <= ids


def test_an_attack_is_judged_against_its_truth(small: zoo.Zoo, tmp_path: Path) -> None:
    made = subject(small, "llama", tmp_path)
    attack = next(a for a in attacks.ATTACKS if a.name == "renamed")
    case = attack.make(made)
    for swapped in (False, True):
        row = accuracy.judged(attack, case, swapped)
        assert row["linked"] and row["answer_right"] and row["kinds_right"] and not row["direction_claimed"]
    stranger = attacks.Case(small.model("llama", 1), made.parent)
    assert not accuracy.judged(attack, stranger, False)["link_right"]


def test_shards_hold_the_whole_model(small: zoo.Zoo, tmp_path: Path) -> None:
    parts = attacks.read_parts(small.model("gemma", 0))
    folder = attacks.write_parts(parts, tmp_path / "sharded", shards=3)
    with open_checkpoint(str(folder)) as checkpoint:
        assert {name: tuple(v.shape) for name, v in parts.tensors.items()} == checkpoint.shapes
