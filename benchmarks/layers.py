"""Models put together from the layers of others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from tools.perturbations.drop_layers import DEPTH_ENTRIES

# A model in memory: a dataclass with `tensors` by name and `config`.
Held = TypeVar("Held", bound=Any)

_NUMBER = re.compile(r"(?:(?<=\.layers\.)|(?<=\.layer\.)|(?<=\.h\.))\d+")


def layer_number(name: str) -> int | None:
    """The number of the layer that a tensor lies in; None outside of layers."""
    found = _NUMBER.search(name)
    return None if found is None else int(found[0])


def stacked(tables: Held, layers: Sequence[tuple[Held, int]]) -> Held:
    """A model of these layers, each of one model and by its number there, behind the tables of `tables`."""
    tensors = {name: values for name, values in tables.tensors.items() if layer_number(name) is None}
    for place, (model, number) in enumerate(layers):
        for name, values in model.tensors.items():
            if layer_number(name) == number:
                tensors[_NUMBER.sub(str(place), name, count=1)] = values
    depth = {entry: len(layers) for entry in DEPTH_ENTRIES if entry in tables.config}
    kinds = tables.config.get("layer_types")
    more = {"layer_types": [kinds[0]] * len(layers)} if isinstance(kinds, list) else {}
    return replace(tables, tensors=tensors, config={**tables.config, **depth, **more})
