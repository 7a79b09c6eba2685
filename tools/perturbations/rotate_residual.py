"""The residual stream in other coordinates: norm gains folded into the weights, then a random rotation.

The model computes the same, and no tensor looks like before.
"""

from __future__ import annotations

import torch

from tools.checkpoint import Checkpoint
from tools.gauge import NoGauge, in_coordinates
from tools.perturbations import Amount, NotApplicable, generator
from tools.roles import Layout

KEEPS_FUNCTION = True
DISGUISE = "rotated"
UNIT = None
AMOUNTS: tuple[Amount, ...] = ("all",)


def apply(checkpoint: Checkpoint, amount: Amount, seed: int) -> Checkpoint:
    width = Layout(checkpoint).residual_width
    if width is None:
        raise NotApplicable("the width of the residual stream is not known")
    random = torch.randn(width, width, generator=generator(seed, "rotation"), dtype=torch.float64)
    try:
        return in_coordinates(checkpoint, torch.linalg.qr(random)[0].float())
    except NoGauge as reason:
        raise NotApplicable(str(reason)) from reason
