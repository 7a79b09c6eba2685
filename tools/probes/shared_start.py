"""Do the models share what training built, or only the random numbers that both started from?

Training builds a few strong directions into every matrix; the rest stays near the first random draw. A model made from
a trained one keeps its parent's strong directions as well as the rest, whatever it adds. Two trainings from one draw
share the rest, and each builds strong directions that the other has not. Compared is how much of both is held by the
other model, tensor by tensor, and the side whose strong directions are kept better counts. A child keeps them nearly
everywhere, so the lower quartile over the tensors is taken: in some, two trainings on one language agree by themselves.

Blind to: two trainings on the same texts in the same order, a parent that was hardly trained, re-ordered or rotated
models.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from tools.comparison import Comparison
from tools.difference import LARGEST_SPECTRUM, LEAST_COSINE
from tools.evidence import Abstention, Evidence, Finding
from tools.matching import spread_indices

UNIT = "share kept of strong directions over share kept of the rest, about 1 for parent and child"
NULL = "none: tells a common start from a common parent once others have found that two models are related"
ROLE = "context"
SEES_THROUGH = ("add_noise", "rename_tensors", "cast")
REFERENCE = "spikes over a random bulk: Martin and Mahoney (JMLR 2021); our own statistic, see docs/log.md"

# The strongest sixteenth of the directions against the weaker three quarters.
STRONG, REST = 1 / 16, 1 / 4
FEWEST_DIRECTIONS = 16
LEAST_OF_THE_REST = 0.1
FEWEST_TENSORS, MOST_TENSORS = 6, 24
# Of the tensors, so many may keep less.
QUARTILE = 0.25


def measure(comparison: Comparison) -> Finding:
    rows: list[dict[str, Any]] = []
    pairs = [
        pair
        for pair in comparison.tensor_pairs
        if len(comparison.a.shapes[pair.a]) == 2
        and min(comparison.a.shapes[pair.a]) >= FEWEST_DIRECTIONS
        and pair.partners is None
    ]
    for pair in (pairs[place] for place in spread_indices(len(pairs), MOST_TENSORS)):
        a, b = (_part(values) for values in comparison.pair_values(pair))
        cosine = float((a * b).sum()) / max(float(a.norm() * b.norm()), 1e-300)
        if cosine >= LEAST_COSINE:
            rows.append({"a": pair.a, "b": pair.b, "n": a.numel(), "of_a": _kept(a, b), "of_b": _kept(b, a)})
    if len(rows) < FEWEST_TENSORS:
        return Abstention("Too few tensors lie as they were to tell a common start from a parent.")
    kept = {side: float(np.quantile([row[side] for row in rows], QUARTILE)) for side in ("of_a", "of_b")}
    where = {**kept, "share": len(rows) / min(len(pairs), MOST_TENSORS), "tensors": rows}
    return Evidence(max(kept.values()), None, len(rows), where)


def _part(values: torch.Tensor) -> torch.Tensor:
    """The matrix, or even rows and columns of a large one, in double precision."""
    rows, columns = values.shape
    step_r, step_c = math.ceil(rows / LARGEST_SPECTRUM), math.ceil(columns / LARGEST_SPECTRUM)
    return values[::step_r, ::step_c].double()


def _kept(mine: torch.Tensor, theirs: torch.Tensor) -> float:
    """How much of my strong directions the other matrix holds, relative to how much it holds of the rest."""
    left, sizes, right = torch.linalg.svd(mine, full_matrices=False)
    along = ((left.T @ theirs) * right).sum(dim=1) * sizes
    energies = sizes.square()
    strong, rest = max(1, int(len(sizes) * STRONG)), int(len(sizes) * REST)
    kept_of_rest = float(along[rest:].sum() / energies[rest:].sum().clamp_min(1e-300))
    kept_of_strong = float(along[:strong].sum() / energies[:strong].sum())
    # Where the rest has nothing in common, no start is shared.
    return max(0.0, kept_of_strong) / kept_of_rest if kept_of_rest > LEAST_OF_THE_REST else 1.0
