"""A random change of low rank added to every attention and MLP matrix, as merging an adapter does.

Its size is two hundredths of the matrix (Hu et al., LoRA, ICLR 2022).
"""

from __future__ import annotations

from functools import partial

import torch

from tools.checkpoint import Checkpoint
from tools.names import block_of
from tools.perturbations import Amount, NotApplicable, generator
from tools.roles import FLOATS, Layout
from tools.view import SeenCheckpoint, changed, unchanged

KEEPS_FUNCTION = False
DISGUISE = "low_rank"
UNIT = "rank"
AMOUNTS: tuple[Amount, ...] = (4, 16)

SIZE = 0.02


def apply(checkpoint: Checkpoint, amount: Amount, seed: int) -> Checkpoint:
    rank = int(amount)
    tensors = unchanged(checkpoint)
    names = [
        name
        for name in Layout(checkpoint).learned
        if len(tensors[name].shape) == 2
        and min(tensors[name].shape) > 2 * rank
        and tensors[name].dtype in FLOATS
        and block_of(name) is not None
    ]
    if not names:
        raise NotApplicable("the model has no matrices in numbered layers that are wide enough")
    for name in names:
        tensors[name] = changed(tensors[name], partial(_added, rank=rank, seed=seed, name=name))
    return SeenCheckpoint(checkpoint, tensors)


def _added(values: torch.Tensor, rank: int, seed: int, name: str) -> torch.Tensor:
    draw = generator(seed, name)
    change = torch.randn(values.shape[0], rank, generator=draw) @ torch.randn(rank, values.shape[1], generator=draw)
    size = SIZE * float(values.norm()) / float(change.norm())
    return values + change * size
