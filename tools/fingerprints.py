"""What tells layers apart without the order of their units: second moments of tensors, and how alike these are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from tools.matching import centred_unit_rows

FINGERPRINT_WIDTH = 24
# Weak preference for the same place in the file, so that ties between empty fingerprints keep the natural order.
SAME_PLACE_BONUS = 0.05


def fingerprint(vectors: torch.Tensor) -> np.ndarray:
    """A tensor's second moments in a fixed random basis; the same for any order of its units."""
    basis, expected = _fingerprint_basis(vectors.shape[1])
    reduced = centred_unit_rows(vectors) @ basis
    moments = (reduced.T @ reduced) / len(vectors) - expected
    flat: np.ndarray = moments.double().numpy().ravel()
    return flat / max(float(np.linalg.norm(flat)), 1e-30)


@lru_cache(maxsize=8)
def _fingerprint_basis(features: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random directions, (features, FINGERPRINT_WIDTH), and the second moments that random vectors have in them."""
    generator = torch.Generator().manual_seed(features)
    basis = torch.randn(features, FINGERPRINT_WIDTH, generator=generator) / features**0.5
    return basis, basis.T @ basis / features


def member_likeness(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> list[tuple[float, int, int]]:
    """The best pairing of two layers' tensors: (likeness, place in a, place in b), by place in a."""
    table = np.array([[float(x @ y) for y in b] for x in a])
    rows, columns = linear_sum_assignment(table, maximize=True)
    return [(float(table[i, j]), int(i), int(j)) for i, j in zip(rows, columns, strict=True)]


def mean_likeness(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> float:
    """How alike two layers' tensors are on average under their best pairing."""
    pairs = member_likeness(a, b)
    return sum(likeness for likeness, _, _ in pairs) / len(pairs)
