"""Gaussian noise on every learned tensor, as a share of that tensor's standard deviation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from tools.checkpoint import Checkpoint
from tools.perturbations import Amount, generator
from tools.roles import FLOATS, Layout
from tools.view import SeenCheckpoint, changed, unchanged

KEEPS_FUNCTION = False
DISGUISE = "noise"
UNIT = "share of each tensor's standard deviation"
VALUES_AT_ONCE = 2**22
AMOUNTS: tuple[Amount, ...] = (0.01, 0.1, 0.5)


def apply(checkpoint: Checkpoint, amount: Amount, seed: int) -> Checkpoint:
    tensors = unchanged(checkpoint)
    for name in Layout(checkpoint).learned:
        if checkpoint.dtypes[name] in FLOATS:
            tensors[name] = changed(tensors[name], partial(noisy, share=float(amount), seed=seed, name=name))
    return SeenCheckpoint(checkpoint, tensors)


def noisy(
    values: torch.Tensor, share: float, seed: int, name: str, check: Callable[[], None] = lambda: None
) -> torch.Tensor:
    """The values plus noise of `share` times their standard deviation; a single value stays as it is.

    `check` is called several times a second and may raise.
    """
    count = values.numel()
    if count < 2:
        return values
    draw = generator(seed, name)
    noise = torch.empty(values.shape)
    # As much at once as is drawn alike in one piece: whole numbers of sixteen, the rest with the last.
    starts = range(0, max(1, count - VALUES_AT_ONCE + 1), VALUES_AT_ONCE)
    for start in starts:
        check()
        stop = count if start == starts[-1] else start + VALUES_AT_ONCE
        noise.view(-1)[start:stop].normal_(generator=draw)
    check()
    # In place: a large tensor is not held more often than needed.
    noise.mul_(share * values.std()).add_(values)
    check()
    return noise
