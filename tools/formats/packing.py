"""How one tensor is packed into others: what every packing answers, and whole numbers of a few bits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from tools.checkpoint import Checkpoint, Wanted

if TYPE_CHECKING:
    import torch


class Packing(ABC):
    """How one tensor is packed: the parts it lies in, its shape, and how some of its rows are decoded."""

    parts: tuple[str, ...]
    shape: tuple[int, ...]

    def __init__(self, behind: Checkpoint) -> None:
        self._behind = behind

    @abstractmethod
    def rows(self, start: int, stop: int) -> torch.Tensor:
        """The rows from start up to stop, float32."""

    def wanted(self, start: int | None, stop: int | None) -> list[Wanted]:
        """What is read for these rows."""
        return [(part, None, None) for part in self.parts]


def small_numbers(rows: torch.Tensor, bits: int) -> torch.Tensor:
    """The whole numbers of `bits` bits (1 to 8) in each row, lowest bits first, (rows, numbers), int32.

    The rows are of any whole type and (rows, words); a number may lie across two words.
    """
    import torch

    data = rows.contiguous().view(torch.uint8)
    if 8 % bits:
        single = (data.unsqueeze(-1) >> torch.arange(8, dtype=torch.uint8)) & 1
        whole = single.flatten(1)[:, : data.shape[1] * 8 // bits * bits].reshape(len(rows), -1, bits).int()
        return (whole << torch.arange(bits, dtype=torch.int32)).sum(-1, dtype=torch.int32)
    shifts = torch.arange(0, 8, bits, dtype=torch.uint8)
    return ((data.unsqueeze(-1) >> shifts) & ((1 << bits) - 1)).flatten(1).int()
