"""The GGUF format of llama.cpp: one or several files that hold weights, configuration and tokenizer.

Quantised tensors come back as float32, decoded by the `gguf` package from the rows asked for alone. What llama.cpp's
converter did to the weights of a family is undone here, so that a tensor has the values that the model was published
with: rows of queries and keys stand in the order of their halves, Gemma's gains are stored less one, GPT-2's layers lie
transposed, and the experts that lie in one block are one tensor each.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tools.checkpoint import Checkpoint, ModelFiles, StoredFile, Wanted, expect_ranges, join_shards
from tools.errors import UserError
from tools.formats.gguf_header import Header, Place, read_header
from tools.formats.stacked import MAX_EXPERTS

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
# Families whose queries and keys the converter re-orders, from halves to pairs (LlamaModel.permute in llama.cpp).
_PAIRED = frozenset(
    {
        "llama", "arcee", "baichuan", "chameleon", "deci", "deepseek", "granite", "granitemoe", "internlm2", "llada",
        "minicpm", "olmo", "smollm3", "xverse",
    }
)  # fmt: skip
# Families whose gains the converter stores with the one that the model adds.
_GAIN_PLUS_ONE = frozenset({"gemma", "gemma2", "gemma3"})
# Families whose layers are published with a row for each input, and transposed by the converter.
_BY_INPUT = frozenset({"gpt2", "jais"})
_LAYER = re.compile(r"blk\.\d+\.(?:attn_qkv|attn_output|ffn_up|ffn_gate|ffn_down)\.weight")
_QUERY_OR_KEY = re.compile(r"blk\.\d+\.attn_([qk])\.(?:weight|bias)")
_GAIN = re.compile(r"(?:.*[._])?norm\.weight")
_EXPERTS = re.compile(r"(blk\.\d+)\.(ffn_\w+)_exps\.(weight|bias)")
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


@dataclass(frozen=True)
class Stored:
    """One tensor: where it lies, and what undoes the converter: heads to turn back, what to add to each value.

    `turned`: it was published transposed, so that some rows of it are columns of the file and it is read whole.
    """

    file: StoredFile
    place: Place
    heads: int | None = None
    add: float = 0.0
    turned: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Its axes as it was published."""
        return self.place.shape[::-1] if self.turned else self.place.shape

    @property
    def bytes(self) -> int:
        """Its size in the file; 0 where its type is unknown."""
        return 0 if self.place.stop is None else self.place.stop - self.place.start

    def span(self, first: int, last: int) -> tuple[int, int]:
        """The rows to read for those from first up to last: whole heads where rows were re-ordered."""
        if self.heads is None or last <= first:
            return first, last
        head = self.place.shape[0] // self.heads
        return first // head * head, -(-last // head) * head

    def range(self, first: int, last: int) -> tuple[int, int]:
        """Where rows lie in the file."""
        row = self.bytes // max(1, self.place.shape[0])
        return self.place.start + first * row, self.place.start + last * row


class GgufCheckpoint(Checkpoint):
    """A model in GGUF files; only the blocks of the rows asked for are read."""

    def __init__(self, model: ModelFiles) -> None:
        """Read the headers; what lies beside the file is believed before what lies in it. Raises UserError."""
        sizes = _block_sizes()
        headers = {file.name: read_header(file, sizes) for file in model.weight_files}
        known = list(headers.values())
        self._pairs = next((header for header in known if "general.architecture" in header.pairs), known[0]).pairs
        _check_complete(model, known[0])
        stored = join_shards(model, lambda file: self._tensors(file, headers[file.name]))
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
        return self._rows(name, 0, shape[0]) if shape else self._decoded(name, *self._range(name, None, None)[1:], ())

    def read_rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return the rows from start up to stop of the first axis; reads only their blocks."""
        shape = self.shapes[name]
        if not shape:
            raise ValueError("a tensor without axes has no rows")
        first, last, _ = slice(start, stop).indices(shape[0])
        return self._rows(name, first, max(first, last))

    def expect(self, wanted: Iterable[Wanted]) -> None:
        """These tensors, or rows of them, will be read soon; over a network they then come in few requests."""
        expect_ranges(self._range(*one) for one in wanted if one[0] not in self.undecoded)

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

    def _tensors(self, file: StoredFile, header: Header) -> dict[str, Stored]:
        """The tensors of one file, with what undoes the converter."""
        family = self._pairs.get("general.architecture")
        found: dict[str, Stored] = {}
        for name, place in header.tensors.items():
            experts = _EXPERTS.fullmatch(name)
            if experts and len(place.shape) == 3 and 0 < place.shape[0] <= MAX_EXPERTS and place.stop is not None:
                size = (place.stop - place.start) // place.shape[0]
                for number in range(place.shape[0]):
                    start = place.start + number * size
                    one = Place(place.type, place.shape[1:], start, start + size)
                    found[f"{experts[1]}.experts.{number}.{experts[2]}.{experts[3]}"] = Stored(file, one)
                continue
            add = -1.0 if family in _GAIN_PLUS_ONE and _GAIN.fullmatch(name) else 0.0
            turned = family in _BY_INPUT and len(place.shape) == 2 and _LAYER.fullmatch(name) is not None
            found[name] = Stored(file, place, self._heads(name, place.shape), add, turned)
        return found

    def _heads(self, name: str, shape: tuple[int, ...]) -> int | None:
        """How many heads a tensor's rows are re-ordered in; None where they stand as they were published."""
        family, part = self._pairs.get("general.architecture"), _QUERY_OR_KEY.fullmatch(name)
        if family not in _PAIRED or part is None or not shape:
            return None
        queries = self._pairs.get(f"{family}.attention.head_count")
        keys = self._pairs.get(f"{family}.attention.head_count_kv", queries)
        heads = queries if part[1] == "q" else keys
        if isinstance(heads, list):
            layer = int(name.split(".")[1])
            heads = heads[layer] if layer < len(heads) else None
        fits = type(heads) is int and heads > 0 and shape[0] > 0 and shape[0] % (2 * heads) == 0
        return heads if fits else None

    def _range(self, name: str, start: int | None, stop: int | None) -> tuple[StoredFile, int, int]:
        stored = self._stored[name]
        if not stored.place.shape or stored.turned:
            return stored.file, stored.place.start, stored.place.start + stored.bytes
        first, last, _ = slice(start, stop).indices(stored.place.shape[0])
        return stored.file, *stored.range(*stored.span(first, last))

    def _rows(self, name: str, first: int, last: int) -> torch.Tensor:
        import torch

        stored = self._stored[name]
        if stored.turned:
            whole = self._decoded(name, *stored.range(0, stored.place.shape[0]), stored.place.shape)
            return whole.T[first:last].clone(memory_format=torch.contiguous_format)
        begin, end = stored.span(first, last)
        rows = self._decoded(name, *stored.range(begin, end), (end - begin, *stored.place.shape[1:]))
        if stored.heads is not None and end > begin:
            half = stored.place.shape[0] // stored.heads // 2
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

    return {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}


def _type_name(place: Place, decoded: bool = True) -> str:
    """The type that reading gives; the format's own name where it cannot be decoded, or is not to be."""
    from gguf.constants import GGMLQuantizationType

    if place.type in _PLAIN:
        return _PLAIN[place.type]
    if decoded and _is_decodable(place):
        return "float32"
    names = {int(kind): kind.name for kind in GGMLQuantizationType}
    return names.get(place.type, f"type {place.type}")


def _is_decodable(place: Place) -> bool:
    return place.type in _PLAIN or place.type in _DECODED


def _dequantised(data: bytearray, kind: int, columns: int) -> np.ndarray:
    """The values of quantised rows, (rows, columns), float32."""
    import numpy as np
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
    from gguf.quants import dequantize

    quantisation = GGMLQuantizationType(kind)
    values, size = GGML_QUANT_SIZES[quantisation]
    rows = np.frombuffer(data, dtype=np.uint8).reshape(-1, columns // values * size)
    # A stranger's scales may be infinite or no numbers; that is looked at where the tensor is judged.
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(dequantize(rows, quantisation), dtype=np.float32)
