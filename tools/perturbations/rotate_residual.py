"""The residual stream in other coordinates: norm gains folded into the weights, then a random rotation.

The model computes the same, and no tensor looks like before (Zhu et al., ICML 2025, T3 and T5; SliceGPT).
"""

from __future__ import annotations

from functools import partial

import torch

from tools.checkpoint import Checkpoint
from tools.perturbations import Amount, NotApplicable, generator
from tools.roles import Layout, block_of, has_role
from tools.view import SeenCheckpoint, SeenTensor, changed, unchanged

KEEPS_FUNCTION = True
DISGUISE = "rotated"
UNIT = None
AMOUNTS: tuple[Amount, ...] = ("all",)


def apply(checkpoint: Checkpoint, amount: Amount, seed: int) -> Checkpoint:
    layout = Layout(checkpoint)
    width, table = layout.residual_width, layout.embedding
    norms = {name for name, shape in checkpoint.shapes.items() if shape == (width,)}
    if table is None or width is None or any(name.endswith("bias") for name in norms) or not norms:
        raise NotApplicable("only networks with RMS norms can be rotated without changing what they compute")
    random = torch.randn(width, width, generator=generator(seed, "rotation"), dtype=torch.float64)
    rotation = torch.linalg.qr(random)[0].float()
    tensors = unchanged(checkpoint)
    final = [name for name in norms if block_of(name) is None]
    heads = [name for name in layout.learned if has_role(name, "head") and checkpoint.shapes[name][-1] == width]
    if len(final) != 1 or len(heads) > 1:
        raise NotApplicable("the last norm of the model could not be told apart")
    for name, shape in checkpoint.shapes.items():
        if len(shape) != 2 or name == table or name in heads:
            continue
        if has_role(name, "attention_output") or has_role(name, "out"):
            tensors[name] = changed(tensors[name], lambda v: rotation.T @ v)
        elif shape[1] == width:
            gain = checkpoint.read(_norm_before(name, norms)).float()
            tensors[name] = changed(tensors[name], partial(_read, gain=gain, rotation=rotation))
    # A head that shares the token table cannot take in the last norm's gain, so it becomes a tensor of its own.
    head = heads[0] if heads else "lm_head.weight"
    source = tensors[heads[0] if heads else table]
    gain = checkpoint.read(final[0]).float()
    tensors[head] = changed(source, partial(_read, gain=gain, rotation=rotation))
    tensors[table] = changed(tensors[table], lambda v: v @ rotation)
    for name in norms:
        tensors[name] = _ones(tensors[name])
    return SeenCheckpoint(checkpoint, tensors)


def _norm_before(name: str, norms: set[str]) -> str:
    attention = has_role(name, "attention")
    near = [n for n in norms if block_of(n) == block_of(name) and has_role(n, "mlp_norm") is not attention]
    if len(near) != 1:
        raise NotApplicable("the norm in front of a tensor could not be told apart")
    return near[0]


def _read(values: torch.Tensor, gain: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
    return (values * gain) @ rotation


def _ones(tensor: SeenTensor) -> SeenTensor:
    return changed(tensor, torch.ones_like)
