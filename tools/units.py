"""Hidden units as tensors hold them: which axis of which tensors they lie along, and which way the tensors lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from tools.checkpoint import Checkpoint
from tools.names import block_of, has_role

# Fewer units than this cannot be rarer than chance once several layers are looked at (16! is about 2e13).
FEWEST_UNITS = 16
# Units that read or write a residual stream; what channels of convolutions read differs from layer to layer.
STREAM_KINDS = ("mlp", "lone")
# Layers of these names put out more than they take in, which tells whether rows are inputs.
WIDENING = ("mlp.c_fc.weight", "attn.c_attn.weight")


@dataclass(frozen=True)
class Member:
    """A tensor seen as one vector per hidden unit: its axis of units, and the slice of it where tensors are fused."""

    name: str
    axis: int
    start: int
    stop: int
    part: str  # "gate", "up", "in", "out", "conv", "recurrent", "value"; "lone" where nothing tells its layer
    step: int = 1  # two where gates and values lie by turns

    @property
    def places(self) -> slice:
        """Where the units lie along the axis."""
        return slice(self.start, self.stop, self.step)

    @property
    def width(self) -> int:
        """How many units there are."""
        return len(range(self.start, self.stop, self.step))


@dataclass(frozen=True)
class HiddenUnits:
    """The hidden units of one layer: `width` units, each a vector of `features` numbers in every member tensor."""

    label: str
    layer: int | None
    width: int
    features: int
    members: tuple[Member, ...]

    @property
    def kind(self) -> str:
        part = self.members[0].part
        return part if part in ("conv", "recurrent", "value", "lone") else "mlp"

    @property
    def tensors(self) -> list[str]:
        """The names of the tensors that hold these units, each once."""
        return list(dict.fromkeys(member.name for member in self.members))


def unit_vectors(checkpoint: Checkpoint, member: Member) -> torch.Tensor:
    """The member's values, (units, features), float32."""
    values = checkpoint.read(member.name).float()
    if member.axis == 1:
        values = values.transpose(0, 1)
    values = values[member.places]
    return values.reshape(values.shape[0], -1)


def lies_transposed(checkpoint: Checkpoint, name: str) -> bool:
    """Whether the matrix has its inputs as rows: by its name, which plain linear layers carry too, and its block."""
    block = block_of(name)
    if has_role(name, "expert"):
        beside = [n for n in (f"{block}.gate_up_proj", f"{block}.down_proj") if n in checkpoint.shapes]
        return len(beside) == 2 and inputs_first(beside, checkpoint.shapes) is not None
    if not has_role(name, "transposed"):
        return False
    shapes = (checkpoint.shapes.get(f"{block}.{one}", ()) for one in WIDENING)
    told = [shape for shape in shapes if len(shape) == 2 and shape[0] != shape[1]]
    return all(rows < columns for rows, columns in told)


def inputs_first(names: Sequence[str], shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, int] | None:
    """(units, width) of an expert whose matrices have what goes in as rows, also the one that puts out; None of others.

    Then gates and values lie side by side in front of it, (width, 2 units), or no other matrix has its shape turned.
    """
    for name in names:
        inner, outer = shapes[name]
        if inner < FEWEST_UNITS or not has_role(name, "out"):
            continue
        reading = [shapes[other] for other in names if other != name]
        alone = inner != outer and (outer, inner) not in reading and (inner, outer) in reading
        if (outer, 2 * inner) in reading or (alone and (2 * inner, outer) not in reading):
            return inner, outer
    return None


def part_of(name: str, axis: int) -> str:
    for part in ("gate", "up", "in", "out"):
        if has_role(name, part):
            return part
    return "in" if axis == 0 else "out"
