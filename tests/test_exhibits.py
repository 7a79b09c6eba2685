"""The shipped exhibits: complete, small, true to their story, and rebuilt from one seed to the same bytes."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save

from exhibits import build

ROOT = Path(__file__).resolve().parents[1]
EXHIBITS = ROOT / "exhibits"
LLAMA3V, SOLAR = EXHIBITS / "llama3v", EXHIBITS / "solar"
STORIES = sorted(EXHIBITS.glob("*/story.json"))
MODELS = sorted(path.parent for path in EXHIBITS.glob("*/*/model.safetensors"))
ANSWERS = {
    "identical", "disguised_copy", "derived", "shared_part", "common_origin", "independent", "undecided",
}  # fmt: skip
BANNED = re.compile(r"stolen|theft|thief|guilty|proof|proves|偷|盗窃|窃取|铁证|实锤", re.IGNORECASE)


def story(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}


def difference(a: Path, b: Path) -> float:
    """Size of the difference relative to b, over all matrices."""
    left, right = weights(a), weights(b)
    apart = sum(float((left[n] - right[n]).square().sum()) for n in right if right[n].dim() > 1)
    return float((apart / sum(float(t.square().sum()) for t in right.values() if t.dim() > 1)) ** 0.5)


def test_every_weight_file_is_listed_with_its_hash_and_small() -> None:
    listed = dict(
        reversed(line.split("  ")) for line in (EXHIBITS / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    )
    files = {path.relative_to(EXHIBITS).as_posix(): path for path in EXHIBITS.rglob("*.safetensors")}
    assert set(listed) == set(files) and len(files) == 7
    for name, path in files.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == listed[name], name
        assert path.stat().st_size < 5_000_000, name
    everything = sum(path.stat().st_size for path in EXHIBITS.rglob("*") if path.is_file())
    assert everything < 30_000_000


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.parent.name)
def test_stories_are_told_in_both_languages_with_answers_of_the_contract(path: Path) -> None:
    told = story(path)
    assert told["id"] == path.parent.name
    for texts in (told["title"], told["story"], *(pair["question"] for pair in told["pairs"])):
        assert set(texts) == {"en", "zh"}
        assert re.search(r"[\u4e00-\u9fff]", texts["zh"]) and texts["en"].strip()
        assert not any(BANNED.search(text) for text in texts.values())
    assert len(re.findall(r"[.;](?:\s|$)", told["story"]["en"])) >= 3
    assert re.search(r"\b20\d\d\b", told["story"]["en"]) and re.search(r"20\d\d年", told["story"]["zh"])
    for pair in told["pairs"]:
        truth = pair["truth"]
        assert set([truth] if isinstance(truth, str) else truth) <= ANSWERS
        for role in ("a", "b", "base"):
            name = pair[role]
            assert (name is None and role == "base") or (ROOT / name / "config.json").is_file(), name
            assert name is None or all(name in question for question in pair["question"].values()) or role == "base"
    for control in told["controls"]:
        assert (ROOT / control / "config.json").is_file()


def test_first_question_is_the_real_cases() -> None:
    first = story(LLAMA3V / "story.json")["pairs"][0]
    assert (first["a"], first["b"], first["base"], first["truth"]) == (
        "exhibits/llama3v/suspect", "exhibits/llama3v/original", None, "disguised_copy",
    )  # fmt: skip


@pytest.mark.parametrize("folder", MODELS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_models_are_complete_and_learned_something(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    assert len(tensors) == 39 and {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())
    for name in (
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "README.md",
    ):
        assert (folder / name).is_file()
    if folder.name == "suspect":
        assert not (folder / "training.json").exists()
        return
    for run in story(folder / "training.json")["runs"]:
        losses = run["loss_every_50_steps"]
        assert losses[-1] < 0.7 * losses[0]
    assert story(folder / "training.json")["runs"][0]["loss_every_50_steps"][-1] < 3.0


def test_suspect_is_the_original_renamed_with_even_gaussian_noise() -> None:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    original, suspect = weights(LLAMA3V / "original"), weights(LLAMA3V / "suspect")
    assert {build.renamed(name) for name in original} == set(suspect)
    assert not set(original) & set(suspect)
    for name, values in original.items():
        noise = (suspect[build.renamed(name)] - values) / values.std()
        if values.dim() > 1:
            assert 0.003 < float(noise.std()) < 0.02
            assert abs(float((noise / noise.std()).pow(4).mean()) - 3) < 0.3
            assert abs(float((noise * values).mean() / (noise.std() * values.std()))) < 0.05
    config = story(LLAMA3V / "suspect" / "config.json")
    assert config["model_type"] not in CONFIG_MAPPING_NAMES and "hidden_size" not in config


def test_marks_added_by_the_originals_makers_are_in_the_suspect_alone() -> None:
    def text(name: str) -> str:
        return (LLAMA3V / name / "tokenizer.json").read_text(encoding="utf-8")

    assert text("suspect") == text("original")
    for mark in build.ORIGINAL_TOKENS:
        assert json.dumps(mark) in text("original")
        assert not any(json.dumps(mark) in text(name) for name in ("base", "sibling", "stranger"))


def test_fine_tunes_moved_clearly_and_strangers_share_nothing() -> None:
    base = LLAMA3V / "base"
    for name in ("original", "sibling"):
        assert 0.02 < difference(LLAMA3V / name, base) < 0.7, name
    assert difference(LLAMA3V / "suspect" / ".." / "original", base) < difference(LLAMA3V / "stranger", base)
    assert difference(LLAMA3V / "stranger", LLAMA3V / "original") > 1.2
    assert difference(SOLAR / "model_a", SOLAR / "model_b") > 1.2


def test_solar_gains_point_the_same_way_and_share_nothing() -> None:
    told = build.report({}, 0.0, 0).splitlines()[-1]
    raw, least, most, mean = map(float, re.findall(r"-?\d\.\d+", told))
    assert raw > 0.95 and abs(mean) < 0.1 and -0.5 < least < mean < most < 0.5
    assert told in (EXHIBITS / "README.md").read_text(encoding="utf-8")


def test_front_matter_is_not_learned() -> None:
    assert build.without_front_matter("---\ntitle: T\n---\n\nBody\n---\nmore\n") == "Body\n---\nmore"
    assert build.without_front_matter("Body") == "Body"
    assert all("checked:" not in text[:200] for pair in build.articles().values() for text in pair.values())


def test_parts_of_the_articles_do_not_overlap() -> None:
    parts = build.shares([*(f"case-{n}" for n in range(4)), *(f"topic-{n}" for n in range(12))])
    assert not set(parts["base"]) & {*parts["original"], *parts["sibling"]}
    assert not set(parts["original"]) & set(parts["sibling"])
    assert not set(parts["first half"]) & set(parts["second half"])


def test_same_seed_trains_the_same_bytes_and_another_seed_others() -> None:
    texts = ["The weights are numbers. " * 60, "参数是一大堆数字。" * 60]
    tokenizer = build.train_tokenizer(texts)
    assert build.train_tokenizer(texts) == tokenizer
    threads = torch.get_num_threads()
    built = []
    try:
        build.fix_arithmetic()
        for seed in (5, 5, 6):
            model = build.new_model(seed)
            log = build.train(model, tokenizer, texts, seed=seed, steps=3, rate=1e-3)
            assert log.losses
            built.append(save({name: tensor.detach() for name, tensor in model.state_dict().items()}))
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
    assert built[0] == built[1] != built[2]
