"""Background: what strangers and copies show; the figures that once accused somebody are not those used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.small_models import Held, fresh, trained, tuned
from tools.audit import compare
from tools.comparison import Comparison
from tools.evidence import Abstention, Evidence
from tools.perturbations import perturbation_named
from tools.probes import all_probes, probe_named
from tools.report import background
from tools.words import BACKGROUND


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


WITH_STRANGERS = [name for name in BACKGROUND if name != "code_likeness"]


def measured(name: str, a: Held, b: Held) -> Evidence:
    finding = probe_named(name).measure(Comparison(a, b))
    assert isinstance(finding, Evidence), finding
    return finding


def llama_like(seed: int, width: int = 256, layers: int = 4) -> Held:
    """Gains near one, as training leaves them, and matrices of nobody; no tensor has a telling name but the table."""
    tensors = {"model.embed_tokens.weight": gaussian(1024, width, seed=seed)}
    for layer in range(layers):
        tensors[f"model.layers.{layer}.input_layernorm.weight"] = 1 + 0.05 * gaussian(width, seed=100 * seed + layer)
    return Held(tensors)


def test_all_of_it_is_context_and_says_what_strangers_reach() -> None:
    assert set(BACKGROUND) <= {probe.name for probe in all_probes() if probe.role == "context"}
    strangers = (trained("llama", 1).held(), trained("llama", 2).held())
    for name in WITH_STRANGERS:
        finding = measured(name, *strangers)
        low, high, pairs = finding.where["strangers"]
        assert finding.log10_pvalue is None and -1 <= low < high < 1 and pairs > 200


def test_plain_cosine_of_gains_accuses_strangers_and_the_centred_one_does_not() -> None:
    finding = measured("norm_gains", llama_like(1), llama_like(2))
    assert finding.where["cosine"] > 0.99
    assert abs(finding.statistic) < 0.2
    copy = measured("norm_gains", llama_like(1), llama_like(1))
    assert copy.statistic == pytest.approx(1.0)


def test_gains_are_found_without_their_names_and_in_another_depth() -> None:
    one, other = llama_like(1), llama_like(1)
    odd = {f"x.{place}.scale": value for place, (_, value) in enumerate(reversed(other.tensors.items()))}
    assert measured("norm_gains", one, Held(odd)).statistic == pytest.approx(1.0)
    fewer = Held({name: value for name, value in other.tensors.items() if ".2." not in name})
    found = measured("norm_gains", one, fewer)
    assert found.statistic == pytest.approx(1.0) and found.n == 3


def test_gains_that_never_moved_are_not_measured() -> None:
    still = Held({name: torch.ones_like(v) if v.dim() == 1 else v for name, v in llama_like(1).tensors.items()})
    finding = probe_named("norm_gains").measure(Comparison(still, still))
    assert isinstance(finding, Abstention)


@pytest.mark.parametrize("seed", [1, 2])
def test_random_tables_overlap_no_more_than_chance(seed: int) -> None:
    one, other = (Held({"model.embed_tokens.weight": gaussian(1024, 64, seed=s)}) for s in (seed, seed + 10))
    finding = measured("head_space", one, other)
    assert abs(finding.statistic) < 0.03
    assert finding.where["chance"] == pytest.approx(64 / (3 * 64 - 1))
    assert finding.where["overlap"] == pytest.approx(finding.where["chance"], abs=0.03)
    assert abs(measured("token_geometry", one, other).statistic) < 0.05


def test_any_change_of_coordinates_keeps_the_space_and_a_new_table_does_not() -> None:
    table = gaussian(1024, 64, seed=3)
    mixed = table @ (gaussian(64, 64, seed=4) + 2 * torch.eye(64))
    one, other = (Held({"model.embed_tokens.weight": values}) for values in (table, mixed))
    assert measured("head_space", one, other).statistic == pytest.approx(1.0, abs=1e-6)
    # Half of the directions replaced: the other half is shared, and of 191 - 32 dimensions chance takes its part.
    half = torch.cat([table[:, :32], gaussian(1024, 32, seed=5)], dim=1)
    found = measured("head_space", one, Held({"model.embed_tokens.weight": half}))
    assert found.where["overlap"] == pytest.approx((32 + 32 * 32 / (191 - 32)) / 64, abs=0.03)
    assert found.statistic < 0.5


def test_a_head_of_its_own_is_the_one_that_is_compared() -> None:
    table, head = gaussian(512, 32, seed=6), gaussian(512, 32, seed=7)
    tied = Held({"model.embed_tokens.weight": table})
    untied = Held({"model.embed_tokens.weight": table, "lm_head.weight": head})
    assert measured("head_space", tied, untied).statistic < 0.1
    assert measured("token_geometry", tied, untied).statistic == pytest.approx(1.0)


def test_what_all_tables_share_is_left_out_of_the_geometry() -> None:
    # Eight strong directions that both have, such as how often a token occurs, and noise of their own.
    common = 5 * gaussian(512, 8, seed=8) @ gaussian(8, 64, seed=9)
    one, other = (Held({"model.embed_tokens.weight": common + gaussian(512, 64, seed=s)}) for s in (10, 11))
    assert abs(measured("token_geometry", one, other).statistic) < 0.15


def test_a_rotated_model_has_the_same_spectra_and_a_stranger_has_not() -> None:
    model = tuned("llama_deep", 1, 3)
    rotated = perturbation_named("rotate_residual").apply(model.held(), "all", 7)
    same = probe_named("spectra").measure(Comparison(rotated, model.held()))
    assert isinstance(same, Evidence) and same.statistic > 0.99
    stranger = measured("spectra", fresh("llama_deep", 1).held(), fresh("llama_deep", 2).held())
    assert stranger.statistic < 0.6 and stranger.where["control"] > 0


def test_the_sentences_hold_the_strangers_beside_the_value(tmp_path: Path) -> None:
    result = compare(*(trained("llama", seed).saved(tmp_path / str(seed)) for seed in (1, 2)))
    for language, words in (("en", "pairs of strangers reached"), ("zh", "对互不相关的模型测得")):
        sentences = background(result, language)
        assert len(sentences) == len(WITH_STRANGERS) and all(words in sentence for sentence in sentences)
    assert not set(BACKGROUND) & set(result["because"])
