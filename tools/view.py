"""A checkpoint seen through a change: nothing is mutated, nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from tools.checkpoint import Checkpoint

Read = Callable[[], torch.Tensor]


@dataclass(frozen=True)
class SeenTensor:
    """A tensor as the view shows it: shape, type name and how to read it."""

    shape: tuple[int, ...]
    dtype: str
    read: Read


class SeenCheckpoint(Checkpoint):
    """Another checkpoint with some tensors replaced, renamed or added. Bytes are counted by the one behind it."""

    def __init__(self, behind: Checkpoint, tensors: Mapping[str, SeenTensor]) -> None:
        super().__init__(
            behind.model,
            shapes={name: tensor.shape for name, tensor in tensors.items()},
            dtypes={name: tensor.dtype for name, tensor in tensors.items()},
        )
        self._tensors = dict(tensors)

    def read(self, name: str) -> torch.Tensor:
        return self._tensors[name].read()


def unchanged(checkpoint: Checkpoint) -> dict[str, SeenTensor]:
    """Every tensor of a checkpoint as it is, to change some of them."""

    def reader(name: str) -> Read:
        return lambda: checkpoint.read(name)

    return {name: SeenTensor(shape, checkpoint.dtypes[name], reader(name)) for name, shape in checkpoint.shapes.items()}


def changed(tensor: SeenTensor, change: Callable[[torch.Tensor], torch.Tensor]) -> SeenTensor:
    """The tensor after a change of its values, kept in its own shape and type."""

    def read() -> torch.Tensor:
        return change(tensor.read().float()).to(getattr(torch, tensor.dtype))

    return SeenTensor(tensor.shape, tensor.dtype, read)
