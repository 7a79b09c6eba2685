"""The hidden units of every MLP layer in another order, in all tensors that hold them; the function stays the same."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

import torch

from tools.checkpoint import Checkpoint
from tools.names import block_of, has_role
from tools.perturbations import Amount, NotApplicable, generator
from tools.roles import Layout
from tools.units import HiddenUnits
from tools.view import SeenCheckpoint, SeenTensor, unchanged

KEEPS_FUNCTION = True
DISGUISE = "units_permuted"
UNIT = None
AMOUNTS: tuple[Amount, ...] = ("all",)

SAME_SIZE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def apply(checkpoint: Checkpoint, amount: Amount, seed: int) -> Checkpoint:
    return shuffled(checkpoint, Layout(checkpoint).hidden_units, seed)


def shuffled(checkpoint: Checkpoint, hidden_units: Sequence[HiddenUnits], seed: int) -> Checkpoint:
    """The checkpoint with the units of these layers in another order. Raises NotApplicable."""
    layers = [units for units in hidden_units if units.kind == "mlp"]
    if not layers:
        raise NotApplicable("the model has no MLP layers that could be told apart")
    tensors = unchanged(checkpoint)
    for units in layers:
        order = torch.randperm(units.width, generator=generator(seed, units.label))
        for member in units.members:
            tensors[member.name] = _reordered(tensors[member.name], member.axis, member.places, order)
        for name, axis in beside(checkpoint, units):
            tensors[name] = _reordered(tensors[name], axis, slice(None), order)
    return SeenCheckpoint(checkpoint, tensors)


def _reordered(tensor: SeenTensor, axis: int, where: slice, order: torch.Tensor) -> SeenTensor:
    def read() -> torch.Tensor:
        values = tensor.read()
        # As whole numbers of their size, since some small formats cannot be indexed; no bit of a value changes.
        stored = values.view(SAME_SIZE[values.itemsize])
        places = torch.arange(values.shape[axis])
        places[where] = places[where][order]
        return stored.index_select(axis, places).view(values.dtype)

    return SeenTensor(tensor.shape, tensor.dtype, read)


def beside(checkpoint: Checkpoint, units: HiddenUnits) -> list[tuple[str, int]]:
    """What else has one number or more for each unit, with its axis of units: biases, the insides of a state space."""
    members = units.tensors
    parts = zip(*(name.split(".")[:-1] for name in members), strict=False)
    module = "".join(f"{some[0]}." for some in takewhile(lambda some: len(set(some)) == 1, parts))
    found = []
    for name, shape in checkpoint.shapes.items():
        axes = [axis for axis, length in enumerate(shape) if length == units.width]
        near = name.startswith(module) and block_of(name) == units.label and name not in members
        if near and len(axes) == 1 and not has_role(name, "attention"):
            found.append((name, axes[0]))
    return found
