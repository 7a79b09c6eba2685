"""Attention heads that were moved in large models: matched by one row of each, and one of them compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch

from tools.followed import Followed, Names, Turned
from tools.matching import best_partners, cosines, mean_of_partners, stand_out
from tools.names import has_role, layer_of
from tools.roles import HEAD_COUNTS
from tools.sampling import Sample, row_count
from tools.sides import SIDES
from tools.tensor_pairs import MOVED_ALIKE, TensorPair

ATTENTION, WRITING = ("query", "key", "value"), "attention_output"
HEAD_KEYS = (HEAD_COUNTS[1:], HEAD_COUNTS)


def moved_heads(
    samples: tuple[Sample, Sample], asked: Sequence[int], turned: Turned, *, as_they_lie: bool
) -> tuple[list[Followed], Names]:
    """The heads of one of the layers beside those that they resemble; none where all stayed.

    With the names of all tensors that hold heads. `as_they_lie`: the coordinates are the models' own, so that what
    heads write can be compared too.
    """
    attention = [_attention(sample) for sample in samples]
    of_a, of_b = (frozenset(name for roles in layers.values() for name in roles.values()) for layers in attention)
    names = of_a, of_b
    shared = [layer for layer in asked if layer in attention[0] and layer in attention[1]]
    counts = [_head_counts(sample) for sample in samples]
    if not shared or counts[0] is None or counts[0] != counts[1]:
        return [], names
    layer = shared[len(shared) // 2]
    mine, theirs = attention[0][layer], attention[1][layer]
    if any(samples[0].behind.shapes[mine[r]] != samples[1].behind.shapes[theirs[r]] for r in ATTENTION):
        return [], names
    many, few = counts[0]
    rows = {
        role: [
            turned(side, part[role], _head_rows(sample, part[role], count))
            for side, sample, part in zip(SIDES, samples, (mine, theirs), strict=True)
        ]
        for role, count in (("query", many), ("key", few), ("value", few))
    }
    asking, carrying = _order_of(rows["query"]), _order_of(rows["key"], rows["value"])
    if asking is None or carrying is None or np.array_equal(carrying, np.arange(few)):
        return [], names
    found = []
    for role, order in (("query", asking), ("key", carrying), ("value", carrying)):
        # One row of each head tells their order, but not how even a difference is: the first head stands for all.
        shape = samples[0].behind.shapes[mine[role]]
        size = shape[0] // len(order)
        height = min(size, row_count(shape))
        values = [
            turned(side, part[role], sample.behind.read_rows(part[role], head * size, head * size + height))
            for side, sample, part, head in zip(SIDES, samples, (mine, theirs), (0, order[0]), strict=True)
        ]  # fmt: skip
        found.append(Followed(TensorPair(mine[role], theirs[role], 0, order), (values[0], values[1])))
    if as_they_lie and WRITING in mine and WRITING in theirs:
        written = [sample.read(part[WRITING]) for sample, part in zip(samples, (mine, theirs), strict=True)]
        columns = np.arange(written[1].shape[1]).reshape(many, -1)[asking].ravel()
        beside = written[0], written[1][:, torch.from_numpy(columns)]
        found.append(Followed(TensorPair(mine[WRITING], theirs[WRITING], 1, columns), beside))
    return found, names


def _attention(sample: Sample) -> dict[int, dict[str, str]]:
    """Layer -> role -> tensor, of the layers of which a tensor for queries, for keys and for values was read."""
    layers: dict[int, dict[str, str]] = defaultdict(dict)
    for name, shape in sample.shapes.items():
        role = next((role for role in (WRITING, *ATTENTION) if has_role(name, role)), None)
        layer = layer_of(name)
        if role is not None and layer is not None and len(shape) == 2 and not has_role(name, "transposed"):
            layers[layer][role] = name
    return {layer: roles for layer, roles in layers.items() if roles.keys() >= {*ATTENTION}}


def _head_counts(sample: Sample) -> tuple[int, int] | None:
    """How many heads ask and how many carry values, as the configuration says."""
    config = sample.config
    many, few = (next((n for key in keys if isinstance(n := config.get(key), int)), 0) for keys in HEAD_KEYS)
    return (many, few) if many >= few >= 2 and many % few == 0 else None


def _head_rows(sample: Sample, name: str, count: int) -> torch.Tensor:
    """The first row of each head."""
    behind, size = sample.behind, sample.behind.shapes[name][0] // count
    behind.expect((name, head * size, head * size + 1) for head in range(count))
    return torch.cat([behind.read_rows(name, head * size, head * size + 1) for head in range(count)])


def _order_of(*tables: Sequence[torch.Tensor]) -> np.ndarray | None:
    """b's head for each of a's, by the rows of one or more tensors; None where they do not resemble each other."""
    likeness = np.mean([cosines(mine.float(), theirs.float()) for mine, theirs in tables], axis=0)
    partners = best_partners(likeness)
    alike = mean_of_partners(likeness, partners)
    return partners if alike >= MOVED_ALIKE and stand_out(alike, *zip(*tables, strict=True)) else None
