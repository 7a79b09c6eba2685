"""Every learned tensor rounded to a coarser number format."""

from __future__ import annotations

from functools import partial

import torch

from tools.checkpoint import Checkpoint
from tools.perturbations import Amount, NotApplicable
from tools.roles import FLOATS, Layout
from tools.view import SeenCheckpoint, SeenTensor, unchanged

KEEPS_FUNCTION = False
DISGUISE = "recast"
UNIT = "number format"
AMOUNTS: tuple[Amount, ...] = ("bfloat16", "float8_e4m3fn")


def apply(checkpoint: Checkpoint, amount: Amount, seed: int) -> Checkpoint:
    target = getattr(torch, str(amount))
    tensors = unchanged(checkpoint)
    changed_any = False
    for name in Layout(checkpoint).learned:
        tensor = tensors[name]
        if tensor.dtype in FLOATS and getattr(torch, tensor.dtype).itemsize >= target.itemsize:
            tensors[name] = SeenTensor(tensor.shape, str(amount), partial(_cast, tensor, target))
            changed_any = True
    if not changed_any:
        raise NotApplicable("every tensor is stored more coarsely already")
    return SeenCheckpoint(checkpoint, tensors)


def _cast(tensor: SeenTensor, target: torch.dtype) -> torch.Tensor:
    return tensor.read().to(target)
