"""Merges that keep parts of each parent's change to a base, as their papers make them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

Tensors = dict[str, torch.Tensor]


def dare(
    base: Tensors, parents: Sequence[Tensors], weights: Sequence[float], drop: float, seed: int, elect: bool = False
) -> Tensors:
    """Random parts of each change, enlarged by what was dropped (Yu et al., ICML 2024).

    `elect`: changes against the sign of the sum are left out, as in DARE-TIES.
    """
    luck = torch.Generator().manual_seed(seed)
    merged = {}
    for name, start in base.items():
        changes = torch.stack([parent[name].float() - start.float() for parent in parents])
        kept = torch.rand(changes.shape, generator=luck) >= drop
        parts = _weighted(changes * kept / (1.0 - drop), weights)
        if elect:
            parts = parts * (parts.sign() == parts.sum(dim=0).sign())
        merged[name] = (start.float() + parts.sum(dim=0)).to(start.dtype)
    return merged


def ties(
    base: Tensors,
    parents: Sequence[Tensors],
    weights: Sequence[float],
    density: float,
    scale: float = 1.0,
    everywhere: bool = False,
) -> Tensors:
    """The largest parts of each change, one sign, the mean of what agrees with it (Yadav et al., NeurIPS 2023).

    `everywhere`: the largest of the whole model, as in the paper, not of each tensor.
    """
    sizes = [torch.cat([(parent[n].float() - base[n].float()).abs().flatten() for n in base]) for parent in parents]
    merged = {}
    for name, start in base.items():
        changes = torch.stack([parent[name].float() - start.float() for parent in parents])
        for place, change in enumerate(changes):
            among = sizes[place] if everywhere else change.abs().flatten()
            least = among.sort(descending=True)[0][max(0, round(density * len(among)) - 1)]
            changes[place] = change * (change.abs() >= least)
        sign = _weighted(changes, weights).sum(dim=0).sign()
        agree = (changes.sign() == sign) & (changes != 0.0)
        total = _weighted(agree.float(), weights).sum(dim=0)
        mean = _weighted(changes * agree, weights).sum(dim=0) / torch.where(total > 0.0, total, 1.0)
        merged[name] = (start.float() + scale * mean).to(start.dtype)
    return merged


def _weighted(changes: torch.Tensor, weights: Sequence[float]) -> torch.Tensor:
    return changes * torch.tensor(weights).view(-1, *[1] * (changes.dim() - 1))
