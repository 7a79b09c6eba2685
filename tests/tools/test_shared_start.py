"""Two trainings from one random start are told from a model and its further training."""

from __future__ import annotations

import pytest

from tests.small_models import Small, new_model, small, train, trained, tuned
from tools.audit import compare
from tools.comparison import Comparison
from tools.evidence import Abstention, Evidence, Finding
from tools.limits import TEXTS
from tools.probes import probe_named
from tools.report import headline, summary
from tools.verdict import COMMON_START

KINDS = ["llama", "qwen2", "gpt2"]


def apart(kind: str, language: int) -> Small:
    """Trained on one language, from the same first numbers as `trained(kind, 1)`."""
    return small(train(new_model(kind, 1), language=language, steps=40, rate=5e-3, draw=language))


def measured(a: Small, b: Small) -> Finding:
    return probe_named("shared_start").measure(Comparison(a.held(), b.held()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [25, 80])
def test_a_child_keeps_what_training_built(kind: str, steps: int) -> None:
    for a, b in ((tuned(kind, 1, 3, steps), trained(kind, 1)), (tuned(kind, 1, 3, steps), tuned(kind, 1, 4))):
        found = measured(a, b)
        assert isinstance(found, Evidence) and found.statistic > COMMON_START


def test_trainings_from_one_start_share_only_the_rest() -> None:
    found = measured(apart("llama", 3), apart("llama", 0))
    assert isinstance(found, Evidence) and found.statistic <= COMMON_START


def test_swapped_models_give_the_same_figure() -> None:
    one, other = tuned("llama", 1, 3), trained("llama", 1)
    here, there = measured(one, other), measured(other, one)
    assert isinstance(here, Evidence) and isinstance(there, Evidence)
    assert here.statistic == pytest.approx(there.statistic, rel=1e-6)


def test_strangers_share_too_little_to_be_asked() -> None:
    assert isinstance(measured(trained("llama", 1), trained("llama", 2)), Abstention)


def test_the_answer_names_no_base(tmp_path_factory: pytest.TempPathFactory) -> None:
    room = tmp_path_factory.mktemp("start")
    a, b = apart("llama", 0).saved(room / "a"), apart("llama", 3).saved(room / "b")
    for result in (compare(a, b), compare(b, a)):
        assert result["answer"] == "common_origin" and result["because"][0] == "shared_start"
        assert result["direction"] == {"answer": "unknown", "because": []}
        assert TEXTS["one_start"]["en"] in result["limits"] and TEXTS["base_believed"]["en"] not in result["limits"]
        for language in ("en", "zh"):
            assert "  " not in headline(result, language) and summary(result, language)["reasons"]
