"""Some layers placed twice at even places, as in depth up-scaling (Kim et al., SOLAR 10.7B, 2024)."""

from __future__ import annotations

from tools.checkpoint import Checkpoint
from tools.perturbations import Amount
from tools.perturbations.drop_layers import with_layers

KEEPS_FUNCTION = False
DISGUISE = "layers_repeated"
UNIT = "share of the layers placed twice"
AMOUNTS: tuple[Amount, ...] = (0.25,)


def apply(checkpoint: Checkpoint, amount: Amount, seed: int) -> Checkpoint:
    step = max(2, round(1 / float(amount)))
    return with_layers(checkpoint, lambda depth: [i for i in range(depth) for _ in range(1 + (i % step == 1))])
