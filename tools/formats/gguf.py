"""The GGUF format of llama.cpp: one or several files that hold weights, configuration and tokenizer.

Quantised tensors come back as float32, decoded by the `gguf` package from the rows asked for alone. Tensors have the
values that the model was published with, also where the converter changed them (`gguf_tensors`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tools.checkpoint import Checkpoint, ModelFiles, StoredFile, Wanted, expect_ranges, join_shards
from tools.errors import UserError
from tools.formats.gguf_header import Header, TensorInfo, read_header
from tools.formats.gguf_tensors import stored_tensors

if TYPE_CHECKING:
    import numpy as np
    import torch

# The largest tensor of a published model is about 10 GB; a sparse file on disk may claim any size.
READ_BYTES = 32_000_000_000
# Types that PyTorch has itself: number in ggml -> name.
_PLAIN = {
    0: "float32", 1: "float16", 24: "int8", 25: "int16", 26: "int32", 27: "int64", 28: "float64", 30: "bfloat16",
}  # fmt: skip
# Quantised types that the `gguf` package decodes: Q4_0 to Q8_0, Q2_K to Q6_K, the IQ and TQ types, MXFP4, NVFP4.
_DECODED = frozenset({2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23, 29, 34, 35, 39, 40})
# Newer types of few bits: name, values and bytes of a block, bits of a value, and what its whole numbers stand for.
_FEW_BITS: dict[int, tuple[str, tuple[int, int], int, tuple[float, ...]]] = {
    41: ("Q1_0", (128, 18), 1, (-1.0, 1.0)),
    42: ("Q2_0", (64, 18), 2, (-1.0, 0.0, 1.0, 2.0)),
}
# Key of the family in the file -> key of config.json.
_CONFIG = {
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.layer_norm_epsilon": "layer_norm_eps",
    "rope.freq_base": "rope_theta",
    "expert_count": "num_local_experts",
    "expert_used_count": "num_experts_per_tok",
    "vocab_size": "vocab_size",
}


class GgufCheckpoint(Checkpoint):
    """A model in GGUF files; only the blocks of the rows asked for are read."""

    def __init__(self, model: ModelFiles) -> None:
        """Read the headers; what lies beside the file is believed before what lies in it. Raises UserError."""
        sizes = _block_sizes()
        headers = {file.name: read_header(file, sizes) for file in model.weight_files}
        known = list(headers.values())
        self._pairs = next((header for header in known if "general.architecture" in header.pairs), known[0]).pairs
        _check_complete(model, known[0])
        stored = join_shards(model, lambda file: stored_tensors(file, headers[file.name], self._pairs))
        super().__init__(
            replace(model, config={**_configuration(self._pairs), **model.config}),
            shapes={name: tensor.shape for name, tensor in stored.items()},
            dtypes={name: _type_name(tensor.place) for name, tensor in stored.items()},
            tensor_bytes=sum(tensor.bytes for tensor in stored.values()),
        )
        self._stored = stored
        self.stored_as = {name: _type_name(tensor.place, decoded=False) for name, tensor in stored.items()}
        self.undecoded = {name: self.dtypes[name] for name, tensor in stored.items() if not _is_decodable(tensor.place)}

    def read(self, name: str) -> torch.Tensor:
        """Return a tensor, decoded, on the CPU, as a copy that may be written to."""
        shape = self.shapes[name]
        if shape:
            return self._rows(name, 0, shape[0])
        _, start, stop = self._ranges(name, None, None)[0]
        return self._decoded(name, start, stop, ())

    def read_rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return the rows from start up to stop of the first axis; reads only their blocks."""
        shape = self.shapes[name]
        if not shape:
            raise ValueError("a tensor without axes has no rows")
        first, last, _ = slice(start, stop).indices(shape[0])
        return self._rows(name, first, max(first, last))

    def expect(self, wanted: Iterable[Wanted]) -> None:
        """These tensors, or rows of them, will be read soon; over a network they then come in few requests."""
        expect_ranges(part for one in wanted if one[0] not in self.undecoded for part in self._ranges(*one))

    def side_file(self, name: str) -> bytes | None:
        """Return the file beside the weights, else the vocabulary and merges that lie in the file itself."""
        return super().side_file(name) or self._vocabulary.get(name)

    @cached_property
    def _vocabulary(self) -> dict[str, bytes]:
        tokens, merges = (self._pairs.get(f"tokenizer.ggml.{key}") for key in ("tokens", "merges"))
        if not isinstance(tokens, list) or {"tokenizer.json", "vocab.json", "vocab.txt"} & self.side_files.keys():
            return {}
        words = (token.decode("utf-8", "replace") for token in tokens)
        by_piece = self._pairs.get("tokenizer.ggml.model") == "bert"
        ids = {_word_piece(word) if by_piece else word: number for number, word in enumerate(words)}
        found = {"vocab.json": json.dumps(ids, ensure_ascii=False).encode()}
        if isinstance(merges, list):
            found["merges.txt"] = b"\n".join(rule for rule in merges if b"\n" not in rule)
        return found

    def _ranges(self, name: str, start: int | None, stop: int | None) -> list[tuple[StoredFile, int, int]]:
        stored = self._stored[name]
        if not stored.place.shape or stored.turned:
            return [(stored.file, stored.place.start, stored.place.start + stored.bytes)]
        first, last, _ = slice(start, stop).indices(stored.place.shape[0])
        return [(stored.file, *stored.range(*part)) for part in stored.parts(first, last)]

    def _rows(self, name: str, first: int, last: int) -> torch.Tensor:
        import torch

        stored = self._stored[name]
        if stored.turned:
            whole = self._decoded(name, *stored.range(0, stored.place.shape[0]), stored.place.shape)
            return whole.T[first:last].clone(memory_format=torch.contiguous_format)
        pieces = [
            self._decoded(name, *stored.range(begin, end), (end - begin, *stored.place.shape[1:]))
            for begin, end in stored.parts(first, last)
        ]
        rows = torch.cat(pieces) if len(pieces) > 1 else pieces[0]
        if stored.heads is not None and len(rows):
            half = stored.place.shape[0] // stored.heads // 2
            begin = stored.parts(first, last)[0][0]
            rows = rows.reshape(-1, half, 2, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)
            rows = rows[first - begin : last - begin].clone(memory_format=torch.contiguous_format)
        return rows.add_(stored.add) if stored.add else rows

    def _decoded(self, name: str, start: int, stop: int, shape: tuple[int, ...]) -> torch.Tensor:
        import torch

        stored = self._stored[name]
        if name in self.undecoded:
            raise UserError("unknown_tensor_type", tensor=name, dtype=self.undecoded[name])
        if math.prod(shape) * 4 > READ_BYTES:
            raise UserError("too_large_tensor", tensor=name)
        plain = _PLAIN.get(stored.place.type)
        dtype: torch.dtype = getattr(torch, plain or "float32")
        if not math.prod(shape):
            return torch.empty(shape, dtype=dtype)
        try:
            data = stored.file.read(start, stop)
            self._count(name, stop - start, stored.bytes)
            if plain is not None:
                return torch.frombuffer(data, dtype=dtype).reshape(shape)
            return torch.from_numpy(_dequantised(data, stored.place.type, shape[-1])).reshape(shape)
        except MemoryError:
            raise UserError("too_large_tensor", tensor=name) from None


def _word_piece(token: str) -> str:
    """A token of BERT as it was published: the converter marks where words begin, not where they go on."""
    if token.startswith("\u2581"):
        return token[1:]
    return token if token.startswith("[") and token.endswith("]") else f"##{token}"


def _check_complete(model: ModelFiles, header: Header) -> None:
    """A model may be split over files, each of which says over how many."""
    total, files = header.pairs.get("split.count", 1), model.weight_files
    if type(total) is int and total > len(files):
        raise UserError("missing_shard", name=model.ref.name, file=files[0].name, count=total - len(files), total=total)


def _configuration(pairs: Mapping[str, Any]) -> dict[str, object]:
    """What config.json would say, as far as the file's pairs say it."""
    family = pairs.get("general.architecture")
    if not isinstance(family, str):
        return {}
    config: dict[str, object] = {"model_type": family}
    if isinstance(name := pairs.get("general.name"), str):
        config["_name_or_path"] = name
    for key, meaning in _CONFIG.items():
        value = pairs.get(f"{family}.{key}")
        if isinstance(value, float):
            # Stored in 32 bit: 1e-5 comes back with eight digits too many.
            config[meaning] = float(f"{value:.7g}")
        elif type(value) is int:
            config[meaning] = value
    tokens = pairs.get("tokenizer.ggml.tokens")
    if "vocab_size" not in config and isinstance(tokens, list):
        config["vocab_size"] = len(tokens)
    return config


def _block_sizes() -> dict[int, tuple[int, int]]:
    from gguf.constants import GGML_QUANT_SIZES

    own = {kind: sizes for kind, (_, sizes, _, _) in _FEW_BITS.items()}
    return own | {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}


def _type_name(place: TensorInfo, decoded: bool = True) -> str:
    """The type that reading gives; the format's own name where it cannot be decoded, or is not to be."""
    from gguf.constants import GGMLQuantizationType

    if place.type in _PLAIN:
        return _PLAIN[place.type]
    if decoded and _is_decodable(place):
        return "float32"
    names = {kind: name for kind, (name, *_) in _FEW_BITS.items()}
    names |= {int(kind): kind.name for kind in GGMLQuantizationType}
    return names.get(place.type, f"type {place.type}")


def _is_decodable(place: TensorInfo) -> bool:
    return place.type in _PLAIN or place.type in _DECODED or place.type in _FEW_BITS


def _dequantised(data: bytearray, kind: int, columns: int) -> np.ndarray:
    """The values of quantised rows, (rows, columns), float32."""
    import numpy as np
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
    from gguf.quants import dequantize

    if kind in _FEW_BITS:
        return _of_few_bits(data, kind, columns)
    quantisation = GGMLQuantizationType(kind)
    values, size = GGML_QUANT_SIZES[quantisation]
    rows = np.frombuffer(data, dtype=np.uint8).reshape(-1, columns // values * size)
    # A stranger's scales may be infinite or no numbers; that is looked at where the tensor is judged.
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(dequantize(rows, quantisation), dtype=np.float32)


def _of_few_bits(data: bytearray, kind: int, columns: int) -> np.ndarray:
    """The same of a type that has one scale in 16 bit before the whole numbers of a block."""
    import numpy as np
    import torch

    from tools.formats.packing import small_numbers

    _, (_, size), bits, levels = _FEW_BITS[kind]
    blocks = np.frombuffer(data, dtype=np.uint8).reshape(-1, size)
    scales = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    whole = small_numbers(torch.from_numpy(blocks[:, 2:].copy()), bits).numpy()
    with np.errstate(all="ignore"):
        found: np.ndarray = np.array(levels, dtype=np.float32)[whole] * scales
    return found.reshape(-1, columns)
