"""Who is whose partner: cosines between units and the best one-to-one matching."""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats
from scipy.optimize import linear_sum_assignment

Vectors = torch.Tensor  # (units, features), float32


def centred_unit_rows(vectors: Vectors) -> Vectors:
    """Rows minus the mean row, each at length one; a constant row becomes zero.

    The common row is what all units of a layer share (a bias of the input); left in, it is the same for strangers.
    """
    vectors = vectors.float()
    vectors = vectors - vectors.mean(dim=0, keepdim=True)
    lengths = vectors.norm(dim=1, keepdim=True)
    return torch.where(lengths > 0, vectors / lengths.clamp_min(1e-30), torch.zeros_like(vectors))


def cosines(first: Vectors, second: Vectors) -> np.ndarray:
    """All cosines between centred rows, (units of first, units of second)."""
    return (centred_unit_rows(first) @ centred_unit_rows(second).T).double().numpy()


def best_partners(similarity: np.ndarray) -> np.ndarray:
    """For each row its partner column in the matching of largest total similarity; -1 where rows are left over."""
    rows, columns = linear_sum_assignment(similarity, maximize=True)
    partners = np.full(similarity.shape[0], -1, dtype=np.int64)
    partners[rows] = columns
    return partners


def order_agreement(partners: np.ndarray) -> float:
    """Spearman correlation of a matching with the identity, -1 to 1."""
    return float(stats.spearmanr(partners, np.arange(len(partners))).statistic)


def spread_indices(count: int, limit: int) -> np.ndarray:
    """`limit` indices at fixed even places among `count`; all of them where there are fewer."""
    if count <= limit:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, limit).round().astype(np.int64))
