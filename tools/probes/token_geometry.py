"""Do the tokens stand to each other as they do in the other model?

Takes tokens that both models know and asks how alike each two of them are, within each model alone. The two tables of
likeness do not depend on the coordinates, so a rotation or another order of them changes nothing. The few directions in
which tokens differ most are left out first: they tell frequent from rare tokens in every model.

Blind to: tokens trained anew. Language itself puts some tokens near each other, so strangers agree too: only what
goes far beyond them is worth a question.
"""

from __future__ import annotations

import numpy as np
import torch

from tools.comparison import Comparison
from tools.evidence import Abstention, Evidence, Finding
from tools.matching import spread_indices
from tools.sides import SIDES, Side

UNIT = "correlation of the two tables of likeness between tokens, -1 to 1"
NULL = "none: strangers learn some of the same likenesses from language itself"
ROLE = "context"
SEES_THROUGH = ("cast", "shuffle_units", "shuffle_heads", "rotate_residual", "permute_residual")
REFERENCE = "relational form of EAS in Cisco's Model Provenance Kit, centred, without the shift of 0 to 0.5"

# The smallest and largest values among so many pairs of strangers; see docs/decisions/0040.
STRANGERS = (-0.01, 0.21, 486)
TOKENS = 256
FEWEST_TOKENS = 32
# With none left out strangers agree at 0.96 where the table is also the last layer, with eight at 0.2.
COMMON_DIRECTIONS = 8


def measure(comparison: Comparison) -> Finding:
    tokens = comparison.shared_tokens
    if tokens is None or len(tokens[0]) < FEWEST_TOKENS:
        return Abstention("The models have no table of common tokens.")
    a, b = (_likenesses(comparison, side) for side in SIDES)
    if a.std() == 0.0 or b.std() == 0.0:
        return Abstention("The tokens of at least one model all look alike.")
    where = {"tokens": min(TOKENS, len(tokens[0])), "strangers": list(STRANGERS)}
    return Evidence(float(np.corrcoef(a, b)[0, 1]), None, len(a), where)


def _likenesses(comparison: Comparison, side: Side) -> np.ndarray:
    """The cosines between each two of the chosen tokens' vectors, less their strongest directions, (pairs,)."""
    vectors = comparison.token_vectors(side)
    chosen = vectors[spread_indices(len(vectors), TOKENS)].double().nan_to_num(0.0, 0.0, 0.0)
    chosen = chosen - chosen.mean(dim=0, keepdim=True)
    chosen = chosen / chosen.norm().clamp_min(1e-30)
    products = chosen @ chosen.T
    strengths, directions = torch.linalg.eigh(products)
    strongest = directions[:, -COMMON_DIRECTIONS:]
    products = products - strongest @ torch.diag(strengths[-COMMON_DIRECTIONS:]) @ strongest.T
    # What is left of a token may be rounding alone.
    lengths = products.diagonal().clamp_min(1e-12).sqrt()
    table: np.ndarray = (products / lengths[:, None] / lengths[None]).numpy()
    return table[np.triu_indices(len(table), k=1)]
