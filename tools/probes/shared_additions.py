"""Does one model also hold what the other added to the base they share?

Two honest fine-tunes of one base resemble each other because of the base. What tells a copy is the difference from the
base: a copy of a fine-tune carries all of what that one changed, an independent fine-tune only the part that all
would have changed alike. Measured tensor by tensor as the share of one side's changes that the other side holds too.

Blind to: re-ordered or rotated models, fine-tunes on the same data in the same order, changes too small to measure.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from scipy import stats

from tools.comparison import Comparison
from tools.difference import LEAST_COSINE
from tools.evidence import Abstention, Evidence, Finding
from tools.sides import SIDES
from tools.significance import LN10

UNIT = "share of one model's changes to the base that the other also holds, about 0 to 1"
NULL = "siblings: fine-tunes of one base made apart share at most half of what either changed"
ROLE = "decides"
SEES_THROUGH = ("add_noise", "rename_tensors", "cast", "shuffle_heads")
REFERENCE = "after task vectors (Ilharco et al., ICLR 2023) and merge weights by least squares (method K6)"

SIBLINGS_SHARE = 0.5
# Copies hold 0.92 and more; see docs/decisions/0002.
COPIES_SHARE = 0.8
# Changes smaller than this share of the weights are within rounding of 16-bit formats.
SMALLEST_CHANGE = 2e-3
FEWEST_TENSORS = 3


def measure(comparison: Comparison) -> Finding:
    if comparison.base is None or comparison.layout_base is None:
        return Abstention("No common base was named.")
    to_base = {}
    for side in SIDES:
        layouts = comparison.layout(side), comparison.layout_base
        beside = Comparison(comparison.checkpoint(side), comparison.base, layouts=layouts, stop=comparison.stop)
        to_base[side] = {pair.a: pair.b for pair in beside.tensor_pairs if pair.partners is None}
    rows: list[dict[str, Any]] = []
    for pair in comparison.tensor_pairs:
        base_name = to_base["a"].get(pair.a)
        if pair.partners is not None or base_name is None or to_base["b"].get(pair.b) != base_name:
            continue
        a, b = (side.double() for side in comparison.pair_values(pair))
        base = comparison.base.read(base_name).double()
        added_a, added_b = a - base, b - base
        energy_a, energy_b = float(added_a.square().sum()), float(added_b.square().sum())
        least = float(base.square().sum()) * SMALLEST_CHANGE**2
        if min(energy_a, energy_b) <= least or min(_cosine(a, base), _cosine(b, base)) < LEAST_COSINE:
            continue
        both = float((added_a * added_b).sum())
        rows.append(
            {
                "a": pair.a, "b": pair.b, "base": base_name, "n": a.numel(),
                "a_holds_of_b": _held(added_a, added_b), "b_holds_of_a": _held(added_b, added_a),
                "cosine": both / math.sqrt(energy_a * energy_b),
            }
        )  # fmt: skip
    if len(rows) < FEWEST_TENSORS:
        return Abstention("One of the models changed too little of the base, or is no relative of it.")
    weights = np.array([row["n"] for row in rows], dtype=float)
    held = {key: np.array([row[key] for row in rows]) for key in ("a_holds_of_b", "b_holds_of_a")}
    shares = {key: float(np.average(values, weights=weights)) for key, values in held.items()}
    key = max(shares, key=lambda k: shares[k])
    # Tensors that agree to the last bit would have no spread; each share is known to about 1 / sqrt(its numbers).
    spread = max(float(held[key].var(ddof=1)), float(np.mean(1.0 / weights)))
    error = math.sqrt(spread / len(rows))
    above_half = (float(held[key].mean()) - SIBLINGS_SHARE) / error
    log10_pvalue = float(stats.t.logsf(above_half, len(rows) - 1)) / LN10
    below_most = (float(held[key].mean()) - COPIES_SHARE) / error
    where = {
        **shares,
        "log10_pvalue_of_copies": min(0.0, float(stats.t.logcdf(below_most, len(rows) - 1)) / LN10),
        "cosine": float(np.average([row["cosine"] for row in rows], weights=weights)),
        "tensors": rows,
    }
    return Evidence(shares[key], min(0.0, log10_pvalue), len(rows), where)


def _held(other: torch.Tensor, added: torch.Tensor) -> float:
    """How nearly all of an addition, once, is held in each row: a copy has a share of one everywhere.

    Siblings that ran further in a common direction have more than one in some rows and less in others, however near to
    one their share of the whole is. What chance alone would spread the shares by is taken off first.
    """
    mine, theirs = (side.reshape(len(side), -1) for side in (added, other))
    energies = mine.square().sum(dim=1).clamp_min(1e-300)
    shares = (mine * theirs).sum(dim=1) / energies
    rest = (theirs - shares[:, None] * mine).square().sum(dim=1)
    by_chance = rest / energies / max(mine.shape[1] - 1, 1)
    squared = float((((shares - 1.0).square() - by_chance) * energies).sum() / energies.sum())
    return max(0.0, 1.0 - math.sqrt(max(0.0, squared)))


def _cosine(x: torch.Tensor, y: torch.Tensor) -> float:
    return float((x * y).sum()) / max(float(x.norm() * y.norm()), 1e-300)
