"""Every tensor gets a meaningless name, and the tensors another order in the file."""

from __future__ import annotations

import torch

from tools.checkpoint import Checkpoint
from tools.perturbations import Amount, generator
from tools.view import SeenCheckpoint, unchanged

KEEPS_FUNCTION = True
DISGUISE = "renamed"
UNIT = None
AMOUNTS: tuple[Amount, ...] = ("all",)


def apply(checkpoint: Checkpoint, amount: Amount, seed: int) -> Checkpoint:
    tensors = list(unchanged(checkpoint).values())
    order = torch.randperm(len(tensors), generator=generator(seed, "order")).tolist()
    return SeenCheckpoint(checkpoint, {f"t{place:03d}": tensors[i] for place, i in enumerate(order, start=1)})
