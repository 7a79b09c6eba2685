"""The smallest merge that is said to have been noticed is one that is, and the largest that is not, is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.small_models import Small, tensors_of, trained
from tools.audit import compare
from tools.comparison import Comparison
from tools.errors import LANGUAGES
from tools.perturbations import perturbation_named
from tools.planted_merges import SHARES, merge_power
from tools.report import power
from tools.verdict import links


def mixed(own: Small, other: Small, share: float) -> Small:
    return own.with_tensors({n: (1 - share) * v + share * other.tensors[n] for n, v in own.tensors.items()})


@pytest.mark.parametrize("kind", ["llama_deep", "gpt2", "qwen2"])
def test_what_was_planted_is_what_happens(kind: str, tmp_path: Path) -> None:
    one, other = trained(kind, 1), trained(kind, 2)
    a, b = one.saved(tmp_path / "one"), other.saved(tmp_path / "other")
    found = compare(a, b)["power"]
    caught, missed = found["smallest_merge_caught"], found["largest_merge_missed"]
    assert caught in SHARES and caught <= 0.1
    for own, rest, beside in ((one, other, b), (other, one, a)):
        child = mixed(own, rest, caught).saved(tmp_path / f"{Path(beside).name}-caught")
        result = compare(child, beside)
        assert result["answer"] == "undecided" and "unit_places" in result["because"]
    if missed is not None:
        answers = set()
        for own, rest, beside in ((one, other, b), (other, one, a)):
            child = mixed(own, rest, missed).saved(tmp_path / f"{Path(beside).name}-missed")
            answers.add(compare(child, beside)["answer"])
        assert "independent" in answers


@pytest.mark.parametrize("kind", ["llama", "bert"])
def test_sides_and_seeds_change_nothing(kind: str, tmp_path: Path) -> None:
    a, b = (trained(kind, seed).saved(tmp_path / str(seed)) for seed in (1, 3))
    keys = ("smallest_merge_caught", "largest_merge_missed")
    asked = (((a, b), 0), ((b, a), 0), ((a, b), 7))
    first, *others = [[compare(*pair, seed=seed)["power"][key] for key in keys] for pair, seed in asked]
    assert all(found == first for found in others)


def test_what_is_never_noticed_is_said() -> None:
    both = Comparison(trained("llama", 1).held("a"), trained("llama", 2).held("b"))
    found = merge_power(both, lambda name, finding: False)
    assert found == {"smallest_merge_caught": None, "largest_merge_missed": SHARES[-1]}
    assert merge_power(both, lambda name, finding: True)["largest_merge_missed"] is None
    # A merge of half and half is a link, by the same likeness that is planted.
    asked: list[Any] = []
    merge_power(both, lambda name, finding: bool(asked.append(finding)))
    assert links("unit_places", asked[-1]) or asked[-1].log10_pvalue < -20


def test_other_shapes_cannot_be_averaged(tmp_path: Path) -> None:
    a, b = trained("llama", 1).saved(tmp_path / "a"), trained("llama_deep", 2).saved(tmp_path / "b")
    result = compare(a, b)
    assert result["answer"] == "independent"
    assert result["power"]["smallest_merge_caught"] is None and result["power"]["largest_merge_missed"] is None
    assert "no merge was tried" in power(result) and "没有试过合并" in power(result, "zh")
    assert any("would not have been noticed here" in sentence for sentence in result["limits"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_outcome_has_its_own_sentence(language: str) -> None:
    told = [
        power({"power": {"largest_noise_caught": None, "largest_noise_caught_reordered": None,
                         "smallest_merge_caught": caught, "largest_merge_missed": missed}}, language)
        for caught, missed in ((0.1, 0.05), (0.01, None), (None, 0.5), (None, None))
    ]  # fmt: skip
    assert len(set(told)) == 4 and "10%" in told[0] and " 5%" in told[0] and " 1%" in told[1] and "50%" in told[2]


def test_layers_of_strangers_are_paired_by_their_place_and_moved_ones_by_their_content() -> None:
    one, other = trained("llama_deep", 1), trained("llama_deep", 2)
    pairs = Comparison(one.held(), other.held()).unit_pairs_in_place
    assert [pair.a.layer for pair in pairs] == [pair.b.layer for pair in pairs]
    assert all(mine.part == theirs.part for pair in pairs for mine, theirs in pair.members)
    renamed = one.with_tensors(tensors_of(perturbation_named("rename_tensors").apply(one.held(), "all", 3)))
    both = Comparison(renamed.held(), one.held())
    for pair in both.unit_pairs_in_place:
        for mine, theirs in pair.members:
            assert np.array_equal(both.vectors("a", mine), both.vectors("b", theirs))
