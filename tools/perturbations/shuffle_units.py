"""The hidden units of every MLP layer in another order, in all tensors that hold them; the function stays the same."""

from __future__ import annotations

import torch

from tools.checkpoint import Checkpoint
from tools.perturbations import Amount, NotApplicable, generator
from tools.roles import HiddenUnits, Layout, block_of, has_role
from tools.view import SeenCheckpoint, SeenTensor, changed, unchanged

KEEPS_FUNCTION = True
DISGUISE = "units_permuted"
UNIT = None
AMOUNTS: tuple[Amount, ...] = ("all",)


def apply(checkpoint: Checkpoint, amount: Amount, seed: int) -> Checkpoint:
    layers = [units for units in Layout(checkpoint).hidden_units if units.kind == "mlp"]
    if not layers:
        raise NotApplicable("the model has no MLP layers that could be told apart")
    tensors = unchanged(checkpoint)
    for units in layers:
        order = torch.randperm(units.width, generator=generator(seed, units.label))
        for member in units.members:
            tensors[member.name] = _reordered(tensors[member.name], member.axis, member.start, order)
        for name in _biases(checkpoint, units):
            tensors[name] = _reordered(tensors[name], 0, 0, order)
    return SeenCheckpoint(checkpoint, tensors)


def _reordered(tensor: SeenTensor, axis: int, start: int, order: torch.Tensor) -> SeenTensor:
    def change(values: torch.Tensor) -> torch.Tensor:
        moved = values.transpose(0, axis).clone()
        moved[start : start + len(order)] = moved[start : start + len(order)][order]
        return moved.transpose(0, axis)

    return changed(tensor, change)


def _biases(checkpoint: Checkpoint, units: HiddenUnits) -> list[str]:
    return [
        name
        for name, shape in checkpoint.shapes.items()
        if shape == (units.width,) and block_of(name) == units.label and not has_role(name, "attention")
    ]
