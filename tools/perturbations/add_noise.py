"""Gaussian noise on every learned tensor, as a share of that tensor's standard deviation."""

from __future__ import annotations

from functools import partial

import torch

from tools.checkpoint import Checkpoint
from tools.perturbations import Amount, generator
from tools.roles import FLOATS, Layout
from tools.view import SeenCheckpoint, changed, unchanged

KEEPS_FUNCTION = False
DISGUISE = "noise"
UNIT = "share of each tensor's standard deviation"
AMOUNTS: tuple[Amount, ...] = (0.01, 0.1, 0.5)


def apply(checkpoint: Checkpoint, amount: Amount, seed: int) -> Checkpoint:
    tensors = unchanged(checkpoint)
    for name in Layout(checkpoint).learned:
        if checkpoint.dtypes[name] in FLOATS:
            tensors[name] = changed(tensors[name], partial(noisy, share=float(amount), seed=seed, name=name))
    return SeenCheckpoint(checkpoint, tensors)


def noisy(values: torch.Tensor, share: float, seed: int, name: str) -> torch.Tensor:
    """The values plus noise of `share` times their standard deviation; a single value stays as it is."""
    if values.numel() < 2:
        return values
    # In place: a large tensor is not held more often than needed.
    return torch.randn(values.shape, generator=generator(seed, name)).mul_(share * values.std()).add_(values)
