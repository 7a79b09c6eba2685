"""The perturbations: what one could do to a copy so that it looks like another model. One file, one disguise."""

from __future__ import annotations

import importlib
import pkgutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch

from tools.checkpoint import Checkpoint

Amount = float | str


class NotApplicable(Exception):
    """This model has nothing that the perturbation changes; the text says what is missing."""


@dataclass(frozen=True)
class Perturbation:
    """A change of a checkpoint.

    `keeps_function` says whether the model computes the same afterwards, `disguise` which entry of the contract's
    list of changes it is. `amounts` are those that `stress` tries, in `unit`.
    """

    name: str
    about: str
    keeps_function: bool
    disguise: str
    unit: str | None
    amounts: tuple[Amount, ...]
    apply: Callable[[Checkpoint, Amount, int], Checkpoint]


@lru_cache(maxsize=1)
def all_perturbations() -> tuple[Perturbation, ...]:
    """Every perturbation of this folder, by name.

    A file has a docstring, the constants KEEPS_FUNCTION, DISGUISE, UNIT, AMOUNTS, and
    `apply(checkpoint, amount, seed) -> Checkpoint`, which raises NotApplicable.
    """
    found = []
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        found.append(
            Perturbation(
                name=info.name,
                about=(module.__doc__ or "").strip(),
                keeps_function=module.KEEPS_FUNCTION,
                disguise=module.DISGUISE,
                unit=module.UNIT,
                amounts=module.AMOUNTS,
                apply=module.apply,
            )
        )
    return tuple(found)


def perturbation_named(name: str) -> Perturbation:
    """The perturbation of that name; KeyError where the folder has none."""
    return {perturbation.name: perturbation for perturbation in all_perturbations()}[name]


def generator(seed: int, name: str) -> torch.Generator:
    """Random numbers that depend on the seed and the tensor alone, not on the order of reading."""
    # The generator keeps 32 bits of its seed.
    return torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode("utf-8", "surrogatepass")))
