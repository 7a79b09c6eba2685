"""Small models judged as if they were large: what the tests of samples share."""

from __future__ import annotations

from collections import Counter

import torch

from tests.small_models import Held, Small
from tools.checkpoint import Checkpoint
from tools.comparison import Comparison
from tools.measuring import Measured, measure
from tools.perturbations import perturbation_named
from tools.verdict import decide

DEEP = "llama_deep"


class Counted(Held):
    """A checkpoint in memory that counts what is read of each tensor, in values."""

    def __init__(self, model: Small, name: str = "counted") -> None:
        super().__init__(model.tensors, model.config, model.files, name)
        self.values: Counter[str] = Counter()

    def read(self, name: str) -> torch.Tensor:
        self.values[name] += self.tensors[name].numel()
        return self.tensors[name].clone()

    def read_rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        rows = self.tensors[name][start:stop].clone()
        self.values[name] += rows.numel()
        return rows


def measured(a: Checkpoint, b: Checkpoint, base: Checkpoint | None = None, *, full: bool = False) -> Measured:
    return measure(Comparison(a, b, base=base, full=full), None)


def answer(found: Measured) -> str:
    return decide(found.findings, found.power, True, found.everything).answer


def disguised(model: Checkpoint, *changes: tuple[str, float | str]) -> Checkpoint:
    for name, amount in changes:
        model = perturbation_named(name).apply(model, amount, 7)
    return model
