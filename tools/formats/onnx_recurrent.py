"""Recurrent layers of an ONNX graph as PyTorch keeps them: a matrix and a bias for each direction, gates in its order.

ONNX keeps the directions of a layer in one tensor, both biases in one, and the gates in an order of its own.
Formats: https://onnx.ai/onnx/operators/onnx__LSTM.html and https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tools.formats.plain import Entry

if TYPE_CHECKING:
    import torch

# For each operation the places of its gates in ONNX, in PyTorch's order.
GATES = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
# Its inputs: what is multiplied with the input, with the state, and both biases.
WEIGHTS = {1: "ih", 2: "hh", 3: ""}


@dataclass(frozen=True)
class Use:
    """Which operation reads a tensor as which of its inputs; `layer` is where it stands, `number` which one there."""

    kind: str
    input: int
    layer: str
    number: int


@dataclass(frozen=True)
class Part:
    """One tensor as PyTorch has it: its name, the bytes, which lie together, and the order of its gates."""

    name: str
    entry: Entry
    gates: tuple[int, ...]

    def in_order(self, values: torch.Tensor) -> torch.Tensor:
        """Its rows with the gates in PyTorch's order."""
        blocks = values.reshape(len(self.gates), -1, *values.shape[1:])
        return blocks[list(self.gates)].reshape(values.shape)


def parts_of(use: Use, entry: Entry, name: str | None) -> list[Part]:
    """What a tensor holds, named after its layer or after `name`; empty where its shape is not that of such a layer."""
    gates, shape = GATES[use.kind], entry.shape
    biases = use.input == 3
    if not entry.readable or len(shape) != 3 - biases or shape[0] not in (1, 2) or not math.prod(shape):
        return []
    if shape[1] % (len(gates) * (1 + biases)):
        return []
    kinds = ("ih", "hh") if biases else (WEIGHTS[use.input],)
    size = (entry.stop - entry.start) // (shape[0] * len(kinds))
    found = []
    for place in range(shape[0] * len(kinds)):
        direction, which = divmod(place, len(kinds))
        ending = "_reverse" if direction else ""
        if name is None:
            root = f"{use.layer}." if use.layer else ""
            called = f"{root}{'bias' if biases else 'weight'}_{kinds[which]}_l{use.number}{ending}"
        else:
            called = f"{name}{f'.{kinds[which]}' if biases else ''}{ending}"
        begin = entry.start + place * size
        inner = (shape[1] // len(kinds), *shape[2:])
        found.append(Part(called, replace(entry, shape=inner, start=begin, stop=begin + size), gates))
    return found
