"""The coordinates of the residual stream in another order, with random signs where the norms allow it.

An RMS norm sees neither order nor signs; a LayerNorm subtracts a mean, which only an order leaves alone (Zhu et al.,
ICML 2025, T1). The model computes the same.
"""

from __future__ import annotations

import re
from functools import partial

import torch

from tools.checkpoint import Checkpoint
from tools.perturbations import Amount, NotApplicable, generator
from tools.roles import Layout, block_of, has_role
from tools.view import SeenCheckpoint, changed, unchanged

KEEPS_FUNCTION = True
DISGUISE = "residual_permuted"
UNIT = None
AMOUNTS: tuple[Amount, ...] = ("all",)

READS = ("query", "key", "value", "gate", "up", "in")
READS_FUSED = re.compile(r"c_attn|qkv|query_key_value")
# In front of a tied token table some encoders transform the stream once more, into the same coordinates.
READS_AND_WRITES = re.compile(r"\btransform\.dense\b")


def apply(checkpoint: Checkpoint, amount: Amount, seed: int) -> Checkpoint:
    layout = Layout(checkpoint)
    width = layout.residual_width
    if layout.embedding is None or width is None:
        raise NotApplicable("the model has no token table, so its residual stream is not known")
    axes = {name: residual_axes(checkpoint, name, width) for name in checkpoint.shapes}
    order = torch.randperm(width, generator=generator(seed, "order"))
    signs = torch.ones(width)
    if _has_rms_norms(checkpoint, axes):
        signs = torch.randint(0, 2, (width,), generator=generator(seed, "signs")) * 2.0 - 1.0
    tensors = unchanged(checkpoint)
    for name, own in axes.items():
        # A norm's gain multiplies coordinates that carry the sign already.
        its_signs = signs if not _is_norm(checkpoint, name) else torch.ones(width)
        for axis in own:
            tensors[name] = changed(tensors[name], partial(_reordered, axis=axis, order=order, signs=its_signs))
    return SeenCheckpoint(checkpoint, tensors)


def residual_axes(checkpoint: Checkpoint, name: str, width: int) -> tuple[int, ...]:
    """The axes of a tensor that run over the residual stream. Raises NotApplicable where they cannot be told."""
    shape = checkpoint.shapes[name]
    if len(shape) == 1:
        matrix = _matrix_of(checkpoint, name)
        residual = shape[0] == width and (matrix is None or _writes(matrix))
        return (0,) if residual else ()
    if len(shape) != 2 or width not in shape:
        if len(shape) > 2:
            raise NotApplicable("tensors with more than two axes are not known well enough to be re-ordered")
        return ()
    if block_of(name) is None:
        if shape[1] != width:
            return ()
        return (0, 1) if READS_AND_WRITES.search(name) else (1,)
    reads = any(has_role(name, role) for role in READS) or READS_FUSED.search(name) is not None
    if not _writes(name) and not reads:
        raise NotApplicable("the model has tensors with names that are not known")
    axis = 0 if _writes(name) is not has_role(name, "transposed") else 1
    if shape[axis] != width:
        raise NotApplicable("the model has tensors whose shapes do not fit their names")
    return (axis,)


def _writes(name: str) -> bool:
    return has_role(name, "attention_output") or has_role(name, "out") or READS_AND_WRITES.search(name) is not None


def _matrix_of(checkpoint: Checkpoint, name: str) -> str | None:
    """The matrix whose bias this is; None for a norm's gain or bias."""
    matrix = name.removesuffix("bias") + "weight" if name.endswith("bias") else None
    return matrix if matrix is not None and len(checkpoint.shapes.get(matrix, ())) >= 2 else None


def _is_norm(checkpoint: Checkpoint, name: str) -> bool:
    return len(checkpoint.shapes[name]) == 1 and _matrix_of(checkpoint, name) is None


def _has_rms_norms(checkpoint: Checkpoint, axes: dict[str, tuple[int, ...]]) -> bool:
    biased = any(own and _is_norm(checkpoint, name) and name.endswith("bias") for name, own in axes.items())
    return not biased and "rms_norm_eps" in checkpoint.config


def _reordered(values: torch.Tensor, axis: int, order: torch.Tensor, signs: torch.Tensor) -> torch.Tensor:
    return (values.transpose(0, axis)[order].transpose(-1, 0) * signs).transpose(-1, 0).transpose(0, axis)
