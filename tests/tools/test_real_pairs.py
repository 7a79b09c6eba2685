"""Pairs that nobody here made: published models, tokenizers and the metadata of the Llama3-V case."""

from __future__ import annotations

import csv
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tools.audit import compare, describe
from tools.checkpoint import Checkpoint
from tools.probes.same_tokenizer import vocabulary_likeness
from tools.report import markdown, summary
from tools.roles import Layout
from tools.sources import open_checkpoint
from tools.verdict import LEAST_EFFECT, LINKED
from tools.vocabulary import Vocabulary, parse_tokenizer_json, parse_vocab_json

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
REAL = SHARED / "real"
SCHEMA = SHARED / "result.schema.json"

if not REAL.is_dir():
    pytest.skip("the real models of ../shared/real are absent", allow_module_level=True)

with (REAL / "pairs.csv").open(encoding="utf-8", newline="") as file:
    ROWS = list(csv.DictReader(file))

COPIES = {"identical", "disguised_copy"}


def pairs(*truths: str) -> list[Any]:
    found = [row for row in ROWS if row["truth"] in truths]
    assert found, f"pairs.csv lists no pair that is {truths}"
    return [pytest.param(row["a"], row["b"], id=f"{Path(row['a']).name}-{Path(row['b']).name}") for row in found]


@cache
def answered(a: str, b: str) -> dict[str, Any]:
    return compare(str(REAL / a), str(REAL / b))


@pytest.mark.parametrize(("a", "b"), pairs("independent"))
def test_no_independent_pair_is_linked(a: str, b: str) -> None:
    result = answered(a, b)
    assert result["answer"] not in LINKED
    # None is even near the line.
    for name in LEAST_EFFECT:
        assert (result["findings"][name].get("log10_pvalue") or 0.0) > -6
    if result["answer"] == "independent":
        assert result["power"]["largest_noise_caught"] or result["power"]["largest_noise_caught_reordered"]


@pytest.mark.parametrize(("a", "b"), pairs("same"))
def test_every_same_pair_is_a_copy(a: str, b: str) -> None:
    assert answered(a, b)["answer"] in COPIES


@pytest.mark.parametrize(("a", "b"), pairs("derived"))
def test_every_derived_pair_is_linked(a: str, b: str) -> None:
    result = answered(a, b)
    assert result["answer"] in LINKED
    # All of these were rounded after training: the second came from the first.
    assert result["direction"]["answer"] != "a_from_b"


@pytest.mark.parametrize(("a", "b"), pairs("derived")[::4] + pairs("same")[::4] + pairs("independent")[::8])
def test_the_order_of_the_question_does_not_matter(a: str, b: str) -> None:
    result, turned = answered(a, b), answered(b, a)
    assert turned["answer"] == result["answer"]
    ways = {result["direction"]["answer"], turned["direction"]["answer"]}
    assert ways in ({"unknown"}, {"a_from_b", "b_from_a"})


def test_most_independent_pairs_are_called_independent() -> None:
    rows = [row for row in ROWS if row["truth"] == "independent"]
    decided = sum(answered(row["a"], row["b"])["answer"] == "independent" for row in rows)
    assert decided >= 0.9 * len(rows)


def test_a_whole_quantised_model_is_no_shared_part() -> None:
    for row in ROWS:
        if row["truth"] == "derived":
            # A layer that rounding removed altogether leaves too little to tell rounding from training.
            assert answered(row["a"], row["b"])["answer"] in (*COPIES, "derived"), row["b"]


@pytest.fixture(scope="module")
def llama3v() -> dict[str, Any]:
    row = next(row for row in ROWS if row["truth"].startswith("case"))
    return answered(row["a"], row["b"])


def test_the_llama3v_case_is_undecided_without_weights(llama3v: dict[str, Any]) -> None:
    assert llama3v["answer"] == "undecided" and llama3v["because"] == []
    assert llama3v["strength"] == {"log10_pvalue": None, "words": None}
    for name in LEAST_EFFECT:
        assert "abstained" in llama3v["findings"][name]


def test_the_llama3v_case_names_agree_after_two_renames(llama3v: dict[str, Any]) -> None:
    finding = llama3v["findings"]["tensor_names"]
    where = finding["where"]
    assert (finding["statistic"], where["agree"], where["names_of_a"], where["names_of_b"]) == (1.0, 741, 741, 741)
    renamed = {frozenset(pair.values()) for pair in where["renames"]}
    assert renamed == {frozenset({"vison", "vpm"}), frozenset({"projection", "resampler"})}
    assert where["declared_bytes_of_a"] == where["declared_bytes_of_b"] == 34_148_369_344


def test_the_llama3v_case_tokenizer_still_names_the_other_project(llama3v: dict[str, Any]) -> None:
    configuration = llama3v["findings"]["same_tokenizer"]["where"]["configuration"]
    assert configuration["equal"] and configuration["share_equal"] == 1.0 and configuration["same_code"]
    assert any("minicpm" in name.lower() for name in configuration["code_named"])


def test_the_llama3v_case_is_told_in_both_languages(llama3v: dict[str, Any]) -> None:
    for language in ("en", "zh"):
        text = markdown(llama3v, language)
        assert "741" in text and "vpm" in text and "resampler" in text
        assert summary(llama3v, language)["reasons"]


@pytest.mark.skipif(not SCHEMA.is_file(), reason="../shared/result.schema.json is absent")
def test_the_llama3v_case_keeps_the_contract(llama3v: dict[str, Any]) -> None:
    import jsonschema

    jsonschema.validate(
        json.loads(json.dumps(llama3v, allow_nan=False)), json.loads(SCHEMA.read_text(encoding="utf-8"))
    )


def vocabulary(path: str) -> Vocabulary:
    file = REAL / path
    if file.name == "vocab.json":
        merges = file.parent / "merges.txt"
        read = parse_vocab_json(file.read_bytes(), merges.read_bytes() if merges.is_file() else None)
    else:
        read = parse_tokenizer_json(file.read_bytes())
    assert read is not None
    return read


def tokenizer_pairs(truth: str) -> list[dict[str, Any]]:
    found = [row for row in ROWS if row["truth"].startswith("tokenizer") and truth in row["truth"]]
    assert found
    return [vocabulary_likeness(vocabulary(row["a"]), vocabulary(row["b"])) for row in found]


def test_a_contained_vocabulary() -> None:
    (likeness,) = tokenizer_pairs("contained")
    assert likeness["share_of_a"] == 1.0 and likeness["same_number"] == 1.0
    assert 0.99 < likeness["tokens_shared"] < 1.0
    assert (likeness["relation"], likeness["more_tokens"], likeness["merges_shared"]) == ("contained", 38, 1.0)
    assert (likeness["added_of_a"], likeness["added_of_b"], likeness["special_of_b"]) == (0, 39, 1)


def test_a_reused_vocabulary_with_other_numbers() -> None:
    (likeness,) = tokenizer_pairs("permuted")
    assert likeness["tokens_shared"] > 0.99 and likeness["same_number"] < 0.01
    # The numbers are shuffled, the merges and their order are not.
    assert likeness["relation"] == "renumbered" and likeness["same_order"] == pytest.approx(0.5, abs=0.05)
    assert likeness["first_merges_equal"] == 50_000


def test_a_derived_vocabulary() -> None:
    (likeness,) = tokenizer_pairs("derived")
    assert likeness["tokens_shared"] > 0.99
    assert likeness["same_number"] == pytest.approx(0.971, abs=0.005)
    assert (likeness["relation"], likeness["moved_by"], likeness["same_order"]) == ("inserted", 1, 1.0)
    assert likeness["special_shared"] == likeness["special_of_a"] - 1 == likeness["special_of_b"] - 2


def test_independent_vocabularies() -> None:
    for likeness in tokenizer_pairs("independent"):
        assert likeness["tokens_shared"] < 0.8 and likeness["same_number"] < 0.2
        assert likeness["relation"] == "partly" and likeness["same_order"] < 0.6


def test_likeness_turns_with_the_sides() -> None:
    a, b = vocabulary("tokenizers/gpt2/vocab.json"), vocabulary("tokenizers/phi-2/tokenizer.json")
    one, other = vocabulary_likeness(a, b), vocabulary_likeness(b, a)
    assert one["tokens_shared"] == other["tokens_shared"] and one["same_number"] == other["same_number"]
    assert (one["share_of_a"], one["added_of_a"]) == (other["share_of_b"], other["added_of_b"])
    assert one["most_common_shift"] == -other["most_common_shift"]


def weights() -> list[Path]:
    suffixes = {".safetensors", ".pt", ".pth", ".th"}
    return sorted(path for path in REAL.rglob("*") if path.suffix in suffixes and "index" not in path.name)


@pytest.mark.parametrize("path", weights(), ids=lambda path: path.name)
def test_buffers_are_never_learned(path: Path) -> None:
    with open_checkpoint(str(path)) as model:
        learned = Layout(model).learned
        assert learned and not any(
            name.endswith(("running_mean", "running_var", "num_batches_tracked")) for name in learned
        )
        assert_no_masks(model, learned)


def assert_no_masks(model: Checkpoint, learned: tuple[str, ...]) -> None:
    for name in learned:
        if len(model.shapes[name]) >= 2:
            assert model.read(name).float().isfinite().all(), name


def test_every_real_model_can_be_described() -> None:
    for path in weights()[::5]:
        found = describe(str(path))
        assert found["parameters"] > 0 and found["learned_tensors"] > 0
