"""Can the two models' last layers say the same things?

What a model can answer is limited to as many directions as its inner width, since its scores for all tokens come from
one matrix. That space of possible answers stays when coordinates are rotated, re-ordered or scaled. Here the two spaces
are compared over tokens that both models know, and what two random spaces of this size overlap by chance is taken off.

Blind to: a last layer trained anew, wide models with few common tokens. Frequent tokens draw the spaces of strangers
together, so this opens a question and closes none.
"""

from __future__ import annotations

import numpy as np
import torch

from tools.comparison import Comparison
from tools.evidence import Abstention, Evidence, Finding
from tools.matching import spread_indices
from tools.names import has_role
from tools.sides import SIDES, Side

UNIT = "overlap of the two spaces beyond chance, 1 for the same, 0 for two random ones"
NULL = "none: strangers share directions, such as how often a token occurs"
ROLE = "context"
SEES_THROUGH = ("cast", "shuffle_units", "shuffle_heads", "rotate_residual", "permute_residual")
REFERENCE = "Finlayson, Ren, Swayamdipta: Logits of API-protected LLMs leak proprietary information, COLM 2024"

# The smallest and largest values among so many pairs of strangers; see docs/decisions/0040.
STRANGERS = (0.04, 0.29, 486)
# Two random spaces overlap by a third with three tokens to a direction, and by half with two.
FEWEST_TOKENS, TOKENS = 2, 3
# An orthogonal basis of more directions takes seconds.
WIDEST = 1024
# Directions with less than this share of the largest are rounding.
LEAST_DIRECTION = 1e-5


def measure(comparison: Comparison) -> Finding:
    tokens = comparison.shared_tokens
    widths = [comparison.layout(side).residual_width or 0 for side in SIDES]
    if tokens is None or len(tokens[0]) < FEWEST_TOKENS * max(widths):
        return Abstention("The models have too few common tokens for their width.")
    if max(widths) > WIDEST:
        return Abstention("The models are too wide for their spaces of answers to be compared at a small price.")
    chosen = spread_indices(len(tokens[0]), TOKENS * max(widths))
    bases = [_space(comparison, side, rows[chosen]) for side, rows in zip(SIDES, tokens, strict=True)]
    smaller, larger = sorted(basis.shape[1] for basis in bases)
    if smaller == 0:
        return Abstention("The last layer of at least one model is empty.")
    # The columns are centred, so one of the tokens is free no more.
    chance = larger / (len(chosen) - 1)
    overlap = float((bases[0].T @ bases[1]).square().sum()) / smaller
    where = {"overlap": overlap, "chance": chance, "tokens": len(chosen), "strangers": list(STRANGERS)}
    return Evidence((overlap - chance) / (1.0 - chance), None, smaller, where)


def _space(comparison: Comparison, side: Side, rows: np.ndarray) -> torch.Tensor:
    """An orthonormal basis of the scores that the tokens can get, less what all tokens share, (tokens, directions)."""
    comparison.check()
    layout, checkpoint = comparison.layout(side), comparison.checkpoint(side)
    table = str(layout.embedding)
    heads = [n for n in layout.learned if has_role(n, "head") and checkpoint.shapes[n] == checkpoint.shapes[table]]
    scores = checkpoint.read(heads[0] if heads else table)[torch.from_numpy(rows)].double().nan_to_num(0.0, 0.0, 0.0)
    scores = scores - scores.mean(dim=0, keepdim=True)
    scores = scores / scores.norm().clamp_min(1e-30)
    values, directions = torch.linalg.eigh(scores.T @ scores)
    kept = values > LEAST_DIRECTION**2 * float(values[-1]) + 1e-30
    basis: torch.Tensor = scores @ directions[:, kept] / values[kept].sqrt()
    return basis
