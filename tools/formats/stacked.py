"""Experts of a mixture that lie stacked in one tensor: each is seen as a matrix of its own, as other models store them.

GPT-OSS, Llama 4 and Granite keep (experts, rows, columns); DBRX writes them one below the other, (experts x rows,
columns), and only its configuration says how many there are. Nothing is read for it: an expert's values lie together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from tools.checkpoint import MAX_TENSORS

# The most experts that a published model has in one layer is 512.
MAX_EXPERTS = 4096
# Shorter matrices are kernels and gates.
SHORTEST_SIDE = 8
_OF_EXPERTS = re.compile(r"(?:^|[._])experts?\.|(?:^|[._])moe\.|\bmlp\.(?:in|out)put_linear\b")
_BELOW_EACH_OTHER = re.compile(r"\bexperts\.mlp\.(?:w1|v1|w2)$")


class _Shaped(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...


Stored = TypeVar("Stored", bound=_Shaped)


def one_by_one(
    stored: Mapping[str, Stored], config: Mapping[str, Any], part: Callable[[Stored, int, tuple[int, ...]], Stored]
) -> dict[str, Stored]:
    """The tensors with stacks replaced by their experts; `part` takes expert i of a stack, in the given shape."""
    found: dict[str, Stored] = {}
    for name, tensor in stored.items():
        experts = _experts(name, tensor.shape, config)
        if experts is None:
            found[name] = tensor
            continue
        shape = tensor.shape[1:] if len(tensor.shape) == 3 else (tensor.shape[0] // experts, *tensor.shape[1:])
        names = [_name(name, i) for i in range(experts)]
        if any(one in stored for one in names):
            found[name] = tensor
            continue
        found |= {one: part(tensor, i, shape) for i, one in enumerate(names)}
    # A stack may claim to hold more than a model can have; then none is followed.
    return found if len(found) <= MAX_TENSORS else dict(stored)


def _experts(name: str, shape: tuple[int, ...], config: Mapping[str, Any]) -> int | None:
    """How many experts the tensor holds; None where it is no stack of them."""
    if len(shape) == 3 and _OF_EXPERTS.search(name) and min(shape[1:]) >= SHORTEST_SIDE:
        return shape[0] if 1 < shape[0] <= MAX_EXPERTS else None
    if len(shape) == 2 and _BELOW_EACH_OTHER.search(name):
        inside = config.get("ffn_config")
        experts = inside.get("moe_num_experts") if isinstance(inside, dict) else None
        fits = type(experts) is int and 1 < experts <= MAX_EXPERTS and shape[0] % experts == 0
        return experts if fits and isinstance(experts, int) else None
    return None


def _name(name: str, number: int) -> str:
    """The expert's number behind the word that says so, as in models that store them apart."""
    before, word, after = name.rpartition("experts.")
    if word:
        return f"{before}{word}{number}.{after}"
    # Here the last dot but one stands before the layer's own name.
    stem, _, last = name.removesuffix(".weight").rpartition(".")
    return f"{stem}.experts.{number}.{last}" + (".weight" if name.endswith(".weight") else "")
