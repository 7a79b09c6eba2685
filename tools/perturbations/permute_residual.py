"""The coordinates of the residual stream in another order, with random signs where the norms allow it.

An RMS norm sees neither order nor signs; a LayerNorm subtracts a mean, which only an order leaves alone (Zhu et al.,
ICML 2025, T1). The model computes the same.
"""

from __future__ import annotations

import torch

from tools.checkpoint import Checkpoint
from tools.gauge import NoGauge, has_rms_norms, in_order
from tools.perturbations import Amount, NotApplicable, generator
from tools.roles import Layout

KEEPS_FUNCTION = True
DISGUISE = "residual_permuted"
UNIT = None
AMOUNTS: tuple[Amount, ...] = ("all",)


def apply(checkpoint: Checkpoint, amount: Amount, seed: int) -> Checkpoint:
    layout = Layout(checkpoint)
    width = layout.residual_width
    if layout.embedding is None or width is None:
        raise NotApplicable("the model has no token table, so its residual stream is not known")
    order = torch.randperm(width, generator=generator(seed, "order"))
    try:
        signs = None
        if has_rms_norms(checkpoint, width):
            signs = torch.randint(0, 2, (width,), generator=generator(seed, "signs")) * 2.0 - 1.0
        return in_order(checkpoint, order, signs)
    except NoGauge as reason:
        raise NotApplicable(str(reason)) from None
