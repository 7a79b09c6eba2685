"""The smallest values of every matrix set to zero: a share of each tensor, or two in every four neighbours.

Token tables stay as they are, as in magnitude pruning and in sparse formats for accelerators (Mishra et al., 2021).
"""

from __future__ import annotations

from functools import partial

import torch

from tools.checkpoint import Checkpoint
from tools.names import block_of
from tools.perturbations import Amount, NotApplicable
from tools.roles import FLOATS, Layout
from tools.view import SeenCheckpoint, changed, unchanged

KEEPS_FUNCTION = False
DISGUISE = "pruned"
UNIT = "share of each matrix set to zero"
AMOUNTS: tuple[Amount, ...] = (0.3, 0.5, "2:4")


def apply(checkpoint: Checkpoint, amount: Amount, seed: int) -> Checkpoint:
    tensors = unchanged(checkpoint)
    names = [
        name
        for name in Layout(checkpoint).learned
        if len(tensors[name].shape) >= 2 and tensors[name].dtype in FLOATS and block_of(name) is not None
    ]
    if not names:
        raise NotApplicable("the model has no matrices that lie in numbered layers")
    for name in names:
        change = _two_in_four if amount == "2:4" else partial(_smallest, share=float(amount))
        tensors[name] = changed(tensors[name], change)
    return SeenCheckpoint(checkpoint, tensors)


def _smallest(values: torch.Tensor, share: float) -> torch.Tensor:
    count = round(share * values.numel())
    flat = values.flatten().clone()
    flat[flat.abs().argsort(stable=True)[:count]] = 0.0
    return flat.reshape(values.shape)


def _two_in_four(values: torch.Tensor) -> torch.Tensor:
    whole = values.numel() // 4 * 4
    flat = values.flatten().clone()
    fours = flat[:whole].reshape(-1, 4)
    flat[:whole] = fours.scatter(1, fours.abs().argsort(dim=1, stable=True)[:, :2], 0.0).flatten()
    return flat.reshape(values.shape)
