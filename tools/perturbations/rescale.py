"""Hidden values made larger in one tensor and smaller by as much in the next; the function stays the same.

Up and down projections of gated MLPs, queries and keys, values and outputs (Zhu et al., ICML 2025, T6). Factors lie
between a quarter and four, one for each layer or one for each hidden unit and head.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial

import torch

from tools.checkpoint import Checkpoint
from tools.names import block_of, has_role
from tools.perturbations import Amount, NotApplicable, generator
from tools.perturbations.shuffle_units import beside
from tools.roles import Layout
from tools.units import HiddenUnits, lies_transposed
from tools.view import SeenCheckpoint, SeenTensor, changed, unchanged

KEEPS_FUNCTION = True
DISGUISE = "rescaled"
UNIT = "what shares one factor"
AMOUNTS: tuple[Amount, ...] = ("layer", "unit")

LARGEST = 4.0
# Norms on queries and keys undo any factor in front of them.
NORMED = re.compile(r"[qk]_norm|[qk]_layernorm")
FUSED = re.compile(r"c_attn")


def apply(checkpoint: Checkpoint, amount: Amount, seed: int) -> Checkpoint:
    tensors = unchanged(checkpoint)
    one = amount == "layer"
    done = [_mlp(checkpoint, tensors, units, one, seed) for units in Layout(checkpoint).hidden_units]
    blocks: dict[str, list[str]] = defaultdict(list)
    for name in checkpoint.shapes:
        if (block := block_of(name)) is not None and has_role(name, "attention"):
            blocks[block].append(name)
    groups = checkpoint.config.get("num_key_value_heads", checkpoint.config.get("num_attention_heads"))
    groups = checkpoint.config.get("n_head", groups)
    for block, names in blocks.items():
        count = 1 if one or not isinstance(groups, int) else groups
        done.append(_attention(checkpoint, tensors, block, names, count, seed))
    if not any(done):
        raise NotApplicable("the model has no pair of tensors between which a factor cancels out")
    return SeenCheckpoint(checkpoint, tensors)


def _mlp(checkpoint: Checkpoint, tensors: dict[str, SeenTensor], units: HiddenUnits, one: bool, seed: int) -> bool:
    parts = {member.part: member for member in units.members}
    if {"gate", "up", "out"} != parts.keys() or any(member.step > 1 for member in units.members):
        return False
    factors = _factors(1 if one else units.width, seed, units.label).expand(units.width)
    up, out = parts["up"], parts["out"]
    if any(not name.endswith("bias") for name, _ in beside(checkpoint, units)):
        # Something else than a product lies between the two.
        return False
    for member, factor in ((up, factors), (out, 1 / factors)):
        tensors[member.name] = _scaled(tensors[member.name], member.axis, member.start, factor)
    bias = re.sub(r"weight$", "bias", up.name)
    if bias != up.name and bias in tensors:
        tensors[bias] = _scaled(tensors[bias], 0, up.start, factors)
    return True


def _attention(
    checkpoint: Checkpoint, tensors: dict[str, SeenTensor], block: str, names: list[str], groups: int, seed: int
) -> bool:
    """Queries against keys and values against outputs, one factor for each group of heads."""
    if any(NORMED.search(name) for name in names):
        return False
    between, after = (_factors(groups, seed, f"{block} {what}") for what in ("between", "after"))
    plan = [("query", between), ("key", 1 / between), ("value", after)]
    fused = [name for name in names if FUSED.search(name)]
    if any(len(s := tensors[n].shape) == 2 and s[1] != 3 * s[0] for n in fused):
        return False
    # A fused tensor's name says nothing of parts; its thirds are query, key and value in this order.
    outputs = [n for n in names if len(tensors[n].shape) == 2 and n not in fused]
    outputs = [n for n in outputs if has_role(n, "attention_output") or (fused and has_role(n, "out"))]
    if len(outputs) != 1 or not (fused or all(any(has_role(n, role) for n in names) for role, _ in plan)):
        return False
    for name in fused:
        axis = len(tensors[name].shape) - 1
        third = tensors[name].shape[axis] // 3
        for part, (_, factor) in enumerate(plan):
            spread = factor.repeat_interleave(third // groups)
            tensors[name] = _scaled(tensors[name], axis, part * third, spread)
    for role, factor in plan if not fused else ():
        for name in names:
            if has_role(name, role):
                spread = factor.repeat_interleave(tensors[name].shape[0] // groups)
                tensors[name] = _scaled(tensors[name], 0, 0, spread)
    axis = 0 if lies_transposed(checkpoint, outputs[0]) else 1
    spread = (1 / after).repeat_interleave(tensors[outputs[0]].shape[axis] // groups)
    tensors[outputs[0]] = _scaled(tensors[outputs[0]], axis, 0, spread)
    return True


def _factors(count: int, seed: int, name: str) -> torch.Tensor:
    """Factors whose logarithms are uniform, (count,)."""
    return LARGEST ** (torch.rand(count, generator=generator(seed, name)) * 2 - 1)


def _scaled(tensor: SeenTensor, axis: int, start: int, factors: torch.Tensor) -> SeenTensor:
    return changed(tensor, partial(_times, axis=axis, start=start, factors=factors))


def _times(values: torch.Tensor, axis: int, start: int, factors: torch.Tensor) -> torch.Tensor:
    moved = values.transpose(0, axis).clone()
    part = moved[start : start + len(factors)]
    moved[start : start + len(factors)] = part * factors.reshape(-1, *[1] * (part.dim() - 1))
    return moved.transpose(0, axis)
