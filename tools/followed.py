"""Rows of two large models side by side that were moved apart, and a sample seen through a change of its values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from tools.sampling import Sample
from tools.sides import Side
from tools.tensor_pairs import TensorPair

Names = tuple[frozenset[str], frozenset[str]]
Change = Callable[[torch.Tensor], torch.Tensor]
# Rows of a side's tensor of this name, in the coordinates in which the models are compared.
Turned = Callable[[Side, str, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Followed:
    """Rows of two tensors side by side, in a's order, and how many numbers of a they stand for."""

    pair: TensorPair
    values: tuple[torch.Tensor, torch.Tensor]
    stands_for: int = 0


class SeenSample(Sample):
    """A sample seen through changes of its values; tensors without one are left out."""

    def __init__(self, sample: Sample, changes: Mapping[str, Change]) -> None:
        blocks = {name: sample.blocks[name] for name in changes}
        super().__init__(sample.roles, blocks, {name: sample.stands_for[name] for name in changes})
        self._sample, self._changes = sample, dict(changes)

    def _values(self, name: str) -> torch.Tensor:
        if name not in self._kept:
            values = self._sample.read(name)
            self._kept[name] = self._changes[name](values.float()).to(values.dtype)
        return self._kept[name]
