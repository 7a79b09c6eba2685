"""The attention heads of every layer in another order, whole groups at a time; the function stays the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial

import torch

from tools.checkpoint import Checkpoint
from tools.names import block_of, has_role
from tools.perturbations import Amount, NotApplicable, generator
from tools.view import SeenCheckpoint, changed, unchanged

KEEPS_FUNCTION = True
DISGUISE = "heads_permuted"
UNIT = None
AMOUNTS: tuple[Amount, ...] = ("all",)

READING, WRITING = ("query", "key", "value"), "attention_output"


def apply(checkpoint: Checkpoint, amount: Amount, seed: int) -> Checkpoint:
    heads = checkpoint.config.get("num_attention_heads", checkpoint.config.get("n_head"))
    groups = checkpoint.config.get("num_key_value_heads") or heads
    if not isinstance(heads, int) or not isinstance(groups, int) or groups < 2 or heads % groups:
        raise NotApplicable("the configuration does not say how many attention heads there are")
    blocks: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in checkpoint.shapes:
        block = block_of(name)
        role = next((role for role in (*READING, WRITING) if has_role(name, role)), None)
        if block is not None and role is not None:
            blocks[block][role].append(name)
    tensors = unchanged(checkpoint)
    changed_any = False
    for block, roles in blocks.items():
        if any(role not in roles for role in (*READING, WRITING)):
            continue
        others = _others(checkpoint, roles)
        if not all(has_role(name, "inner_norm") or name.endswith("sinks") for name in others):
            continue
        rows = {checkpoint.shapes[roles[role][0]][0] for role in READING} | {heads}
        roles["norms"] = [name for name in others if checkpoint.shapes[name][0] in rows]
        order = torch.randperm(groups, generator=generator(seed, block))
        for role, names in roles.items():
            for name in names:
                shape = checkpoint.shapes[name]
                axis = 1 if role == WRITING else 0
                # The output's bias lives in the residual stream and has no heads.
                if len(shape) > axis and shape[axis] % groups == 0:
                    tensors[name] = changed(tensors[name], partial(_reorder, axis=axis, order=order))
                    changed_any = True
    if not changed_any:
        raise NotApplicable("the model has no attention tensors with names that are known")
    return SeenCheckpoint(checkpoint, tensors)


def _others(checkpoint: Checkpoint, roles: Mapping[str, Sequence[str]]) -> list[str]:
    """What else lies beside the queries: norms of queries and keys, numbers of each head."""
    module = roles["query"][0].rsplit(".", 2)[0] + "."
    known = {name for names in roles.values() for name in names}
    return [n for n, shape in checkpoint.shapes.items() if n.startswith(module) and n not in known and shape]


def _reorder(values: torch.Tensor, axis: int, order: torch.Tensor) -> torch.Tensor:
    moved = values.transpose(0, axis)
    grouped = moved.reshape(len(order), -1, *moved.shape[1:])[order]
    return grouped.reshape(moved.shape).transpose(0, axis)
