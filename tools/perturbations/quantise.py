"""Every matrix rounded to a grid of a few levels and turned back into its own number format.

Eight bits with one scale a row, four and three bits with one for every 32 neighbouring values; round to nearest.
"""

from __future__ import annotations

from functools import partial

import torch

from tools.checkpoint import Checkpoint
from tools.perturbations import Amount, NotApplicable
from tools.roles import FLOATS, Layout
from tools.view import SeenCheckpoint, changed, unchanged

KEEPS_FUNCTION = False
DISGUISE = "quantised"
UNIT = "number format of the grid"
AMOUNTS: tuple[Amount, ...] = ("int8", "int4", "int3")

BLOCK = 32


def apply(checkpoint: Checkpoint, amount: Amount, seed: int) -> Checkpoint:
    bits = int(str(amount).removeprefix("int"))
    tensors = unchanged(checkpoint)
    names = [n for n in Layout(checkpoint).learned if len(tensors[n].shape) >= 2 and tensors[n].dtype in FLOATS]
    if not names:
        raise NotApplicable("the model has no learned matrices of real numbers")
    for name in names:
        tensors[name] = changed(tensors[name], partial(_on_grid, bits=bits))
    return SeenCheckpoint(checkpoint, tensors)


def _on_grid(values: torch.Tensor, bits: int) -> torch.Tensor:
    rows = values.reshape(values.shape[0], -1)
    width = rows.shape[1]
    block = width if bits == 8 else BLOCK
    padded = torch.nn.functional.pad(rows, (0, -width % block)).reshape(rows.shape[0], -1, block)
    levels = 2 ** (bits - 1) - 1
    step = padded.abs().amax(dim=2, keepdim=True) / levels
    step = torch.where(step > 0, step, torch.ones_like(step))
    rounded = (padded / step).round().clamp(-levels, levels) * step
    return rounded.reshape(rows.shape[0], -1)[:, :width].reshape(values.shape)
