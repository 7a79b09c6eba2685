"""Tensors of a GGUF file with the values that the model was published with.

What llama.cpp's converter did to the weights of a family is undone: rows of queries and keys stand in the order of
their halves, queries, keys and values of a head stand together where they were published so, Gemma's gains are stored
less one, GPT-2's layers lie transposed, and the experts that lie in one block are one tensor each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tools.checkpoint import StoredFile
from tools.formats.gguf_header import Header, TensorInfo
from tools.formats.stacked import MAX_EXPERTS

# Families whose queries and keys the converter re-orders, from halves to pairs (LlamaModel.permute in llama.cpp).
_PAIRED = frozenset(
    {
        "llama", "arcee", "baichuan", "chameleon", "deci", "deepseek", "granite", "granitemoe", "internlm2", "llada",
        "minicpm", "olmo", "smollm3", "xverse",
    }
)  # fmt: skip
# Families that publish queries, keys and values of a head together, which the converter puts apart.
_BY_HEAD = frozenset({"bloom", "gptneox", "falcon"})
# Families whose gains the converter stores with the one that the model adds.
_GAIN_PLUS_ONE = frozenset({"gemma", "gemma2", "gemma3"})
# Families whose layers are published with a row for each input, and transposed by the converter.
_BY_INPUT = frozenset({"gpt2", "jais"})
_LAYER = re.compile(r"blk\.\d+\.(?:attn_qkv|attn_output|ffn_up|ffn_gate|ffn_down)\.weight")
_FUSED = re.compile(r"blk\.\d+\.attn_qkv\.(?:weight|bias)")
_QUERY_OR_KEY = re.compile(r"blk\.\d+\.attn_([qk])\.(?:weight|bias)")
_GAIN = re.compile(r"(?:.*[._])?norm\.weight")
_EXPERTS = re.compile(r"(blk\.\d+)\.(ffn_\w+)_exps\.(weight|bias)")


@dataclass(frozen=True)
class Stored:
    """One tensor: where it lies, and what undoes the converter: heads to turn back, what to add to each value.

    `turned`: it was published transposed, so that some rows of it are columns of the file and it is read whole.
    `fused`: it was published head by head; how many heads of queries and of keys it has.
    """

    file: StoredFile
    place: TensorInfo
    heads: int | None = None
    add: float = 0.0
    turned: bool = False
    fused: tuple[int, int] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Its axes as it was published."""
        return self.place.shape[::-1] if self.turned else self.place.shape

    @property
    def bytes(self) -> int:
        """Its size in the file; 0 where its type is unknown."""
        return 0 if self.place.stop is None else self.place.stop - self.place.start

    def parts(self, first: int, last: int) -> list[tuple[int, int]]:
        """The rows to read for those from first up to last, in their order; whole heads where `heads` are turned back.

        Never none: no rows are one empty part.
        """
        if last <= first:
            return [(first, first)]
        if self.heads is not None:
            head = self.place.shape[0] // self.heads
            return [(first // head * head, -(-last // head) * head)]
        if self.fused is None:
            return [(first, last)]
        queries, keys = self.fused
        size, each = self.place.shape[0] // (queries + 2 * keys), queries // keys
        found = []
        for place in range(first // size, -(-last // size)):
            group, part = divmod(place, each + 2)
            # All queries, then all keys, then all values.
            head = group * each + part if part < each else queries + (part - each) * keys + group
            begin, end = max(first - place * size, 0), min(last - place * size, size)
            found.append((head * size + begin, head * size + end))
        return found

    def range(self, first: int, last: int) -> tuple[int, int]:
        """Where rows lie in the file."""
        row = self.bytes // max(1, self.place.shape[0])
        return self.place.start + first * row, self.place.start + last * row


def stored_tensors(file: StoredFile, header: Header, pairs: Mapping[str, Any]) -> dict[str, Stored]:
    """The tensors of one file, with what undoes the converter; `pairs` tell the family and its heads."""
    family = pairs.get("general.architecture")
    found: dict[str, Stored] = {}
    for name, place in header.tensors.items():
        experts = _EXPERTS.fullmatch(name)
        if experts and len(place.shape) == 3 and 0 < place.shape[0] <= MAX_EXPERTS and place.stop is not None:
            size = (place.stop - place.start) // place.shape[0]
            for number in range(place.shape[0]):
                start = place.start + number * size
                one = TensorInfo(place.type, place.shape[1:], start, start + size)
                found[f"{experts[1]}.experts.{number}.{experts[2]}.{experts[3]}"] = Stored(file, one)
            continue
        add = -1.0 if family in _GAIN_PLUS_ONE and _GAIN.fullmatch(name) else 0.0
        turned = family in _BY_INPUT and len(place.shape) == 2 and _LAYER.fullmatch(name) is not None
        heads, fused = _turned_heads(pairs, name, place.shape), _fused_heads(pairs, name, place.shape)
        found[name] = Stored(file, place, heads, add, turned, fused)
    return found


def _head_counts(pairs: Mapping[str, Any], name: str) -> tuple[int, int]:
    """How many heads of queries and of keys the tensor's layer has; 0 where it is not told."""
    family = pairs.get("general.architecture")
    queries = pairs.get(f"{family}.attention.head_count")
    told = queries, pairs.get(f"{family}.attention.head_count_kv", queries)
    layer = int(name.split(".")[1])
    heads = [(one[layer] if layer < len(one) else 0) if isinstance(one, list) else one for one in told]
    known = [one if type(one) is int and one > 0 else 0 for one in heads]
    return known[0], known[1]


def _turned_heads(pairs: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> int | None:
    """How many heads a tensor's rows are re-ordered in; None where they stand as they were published."""
    part = _QUERY_OR_KEY.fullmatch(name)
    if pairs.get("general.architecture") not in _PAIRED or part is None or not shape:
        return None
    heads = _head_counts(pairs, name)["qk".index(part[1])]
    return heads if heads and shape[0] > 0 and shape[0] % (2 * heads) == 0 else None


def _fused_heads(pairs: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Heads of queries and keys of a tensor that was published head by head; None of others."""
    if pairs.get("general.architecture") not in _BY_HEAD or not _FUSED.fullmatch(name) or not shape:
        return None
    queries, keys = _head_counts(pairs, name)
    fits = keys and queries % keys == 0 and queries and shape[0] > 0 and shape[0] % (queries + 2 * keys) == 0
    return (queries, keys) if fits else None
