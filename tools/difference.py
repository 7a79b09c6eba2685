"""What lies between two tensors that belong together: nothing, rounding, noise, a few directions, or training.

Pure functions of two arrays; formulae after methods K1 (residual anatomy).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

Kind = Literal["equal", "recast", "quantised", "noise", "pruned", "low_rank", "trained", "unrelated"]

# Below this cosine two tensors are not taken for versions of one tensor.
LEAST_COSINE = 0.25
# Above this cosine a difference in size alone is a scale that the file does not hold.
ONE_SCALE_COSINE = 0.99
# A block of rounding errors is flat (kurtosis 1.8), of Gaussian noise bell-shaped (3); halfway lies here.
FLAT_KURTOSIS = 2.25
BLOCK = 32
# Largest singular value of white noise over its edge s (sqrt m + sqrt n), and spread of its row energies over chance.
NOISE_EDGE = 1.15
NOISE_SPREAD = 1.6
# A low-rank difference keeps this share of its energy in a quarter of the directions, and then falls off a cliff.
LOW_RANK_ENERGY = 0.95
LOW_RANK_CLIFF = 4.0
LARGEST_SPECTRUM = 768
PRUNED_SHARE = 0.02


@dataclass(frozen=True)
class Difference:
    """How b differs from a: the kind, its amount, the relative size |b - a| / sqrt(|a||b|), and covariances.

    `amount` is the noise as a share of a's and b's smaller standard deviation, the rank, the share set to zero, or the
    bits of a rounding grid. `along_a`, `along_b` are the standard errors by which the difference correlates with each
    side: noise added to a does not correlate with a, but with the sum.
    """

    kind: Kind
    relative_size: float
    amount: float | None
    cosine: float
    along_a: float
    along_b: float
    coarser: Literal["a", "b"] | None = None


def compare_values(a: torch.Tensor, b: torch.Tensor) -> Difference:
    """The difference of two tensors of one shape, both brought into one order of units before."""
    rounded = _recast(a, b)
    x, y = a.double(), b.double()
    size_x, size_y = float(x.norm()), float(y.norm())
    if size_x == 0.0 or size_y == 0.0:
        return Difference("equal" if size_x == size_y else "unrelated", 0.0, None, 0.0, 0.0, 0.0)
    cosine = float((x * y).sum()) / (size_x * size_y)
    if cosine > ONE_SCALE_COSINE and not 0.5 < size_x / size_y < 2.0:
        # Integers stored without their scale; the scale that fits best takes its place.
        y = y * (cosine * size_x / size_y)
        size_y = float(y.norm())
    left = y - x
    relative = float(left.norm()) / math.sqrt(size_x * size_y)
    if relative == 0.0:
        return Difference("equal", 0.0, None, 1.0, 0.0, 0.0)
    if rounded is not None:
        return Difference("recast", relative, None, cosine, 0.0, 0.0, rounded)
    if cosine < LEAST_COSINE:
        return Difference("unrelated", relative, None, cosine, 0.0, 0.0)
    along_a, along_b = (_errors_apart(left, side) for side in (x, y))

    def found(kind: Kind, amount: float | None, coarser: Literal["a", "b"] | None = None) -> Difference:
        return Difference(kind, relative, amount, cosine, along_a, along_b, coarser)

    zeros_a, zeros_b = (x == 0) & (y != 0), (y == 0) & (x != 0)
    for zeros, side in ((zeros_a, "a"), (zeros_b, "b")):
        share = float(zeros.double().mean())
        if share > PRUNED_SHARE and float(left[~zeros].norm()) < 1e-3 * float(left.norm()):
            return found("pruned", share, "a" if side == "a" else "b")
    matrix = left.reshape(left.shape[0], -1)
    grid = _coarser_grid(x, y)
    if _block_kurtosis(matrix) < FLAT_KURTOSIS:
        return found("quantised", None, grid)
    rank = _low_rank(matrix)
    if rank is not None:
        return found("low_rank", float(rank))
    if _is_white(matrix):
        spread = min(float(x.std()), float(y.std()))
        return found("noise", float(left.std()) / spread)
    return found("trained", relative)


def distinct_values(values: torch.Tensor) -> int:
    return len(np.unique(values.numpy()))


def _recast(a: torch.Tensor, b: torch.Tensor) -> Literal["a", "b"] | None:
    """Which side is the other one rounded to a 16-bit or 8-bit float, whatever type the file says."""
    for coarse in (torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2):
        x, y = (side.to(torch.float32) for side in (a, b))
        x_there, y_there = x.to(coarse).float(), y.to(coarse).float()
        if torch.equal(x_there, y_there) and not torch.equal(x, y):
            exact_a, exact_b = torch.equal(x, x_there), torch.equal(y, y_there)
            if exact_a != exact_b:
                return "a" if exact_a else "b"
    return None


def _errors_apart(left: torch.Tensor, side: torch.Tensor) -> float:
    """Correlation of the difference with one side, in standard errors of independent values."""
    count = left.numel()
    return float((left * side).sum()) / max(float(left.norm() * side.norm()), 1e-300) * math.sqrt(count)


def _coarser_grid(x: torch.Tensor, y: torch.Tensor) -> Literal["a", "b"] | None:
    """The side whose blocks take clearly fewer distinct values."""
    levels = []
    for side in (x, y):
        flat = side.reshape(-1)
        blocks = flat[: len(flat) // BLOCK * BLOCK].reshape(-1, BLOCK)[:512]
        levels.append(float(np.mean([distinct_values(block) for block in blocks])) if len(blocks) else BLOCK)
    if levels[0] < 0.8 * levels[1]:
        return "a"
    return "b" if levels[1] < 0.8 * levels[0] else None


def _block_kurtosis(matrix: torch.Tensor) -> float:
    """Fourth moment of the difference within blocks of one scale: 1.8 for rounding, 3 for noise."""
    flat = matrix.reshape(-1)
    blocks = flat[: len(flat) // BLOCK * BLOCK].reshape(-1, BLOCK)
    blocks = blocks - blocks.mean(dim=1, keepdim=True)
    spread = blocks.square().mean(dim=1, keepdim=True)
    kept = spread.squeeze(1) > 0
    if int(kept.sum()) < 8:
        return 3.0
    return float((blocks[kept] / spread[kept].sqrt()).pow(4).mean())


def _low_rank(matrix: torch.Tensor) -> int | None:
    """The number of directions a difference has, where it has few; None where it fills the space."""
    rows, columns = matrix.shape
    if min(rows, columns) < 16:
        return None
    values = _singular_values(matrix)
    energy = values.square().cumsum(0) / values.square().sum()
    most = max(1, len(values) // 4)
    cliffs = values[:most] / values[1 : most + 1].clamp_min(1e-300)
    rank = int(cliffs.argmax()) + 1
    if float(cliffs[rank - 1]) >= LOW_RANK_CLIFF and float(energy[rank - 1]) >= LOW_RANK_ENERGY:
        return rank
    return None


def _is_white(matrix: torch.Tensor) -> bool:
    """True where the difference is like independent Gaussian draws of one size throughout the tensor."""
    count = matrix.numel()
    if count < 64:
        return False
    centred = matrix - matrix.mean()
    variance = float(centred.square().mean())
    kurtosis = float(centred.pow(4).mean()) / variance**2
    if abs(kurtosis - 3.0) > 0.1 + 4.0 * math.sqrt(24.0 / count):
        return False
    rows, columns = matrix.shape
    for axis, length, number in ((1, columns, rows), (0, rows, columns)):
        if number >= 8 and length >= 4:
            energies = matrix.square().mean(dim=axis)
            spread = float(energies.var()) / float(energies.mean()) ** 2
            if spread > NOISE_SPREAD * (2.0 / length) * (1.0 + 4.0 / math.sqrt(number)):
                return False
    if min(rows, columns) >= 16:
        largest = float(_singular_values(matrix)[0])
        height, width = (min(side, LARGEST_SPECTRUM) for side in (rows, columns))
        if largest > NOISE_EDGE * math.sqrt(variance) * (math.sqrt(height) + math.sqrt(width)):
            return False
    return True


def _singular_values(matrix: torch.Tensor) -> torch.Tensor:
    """Singular values, largest first, of the matrix or of even rows and columns of a large one."""
    rows, columns = matrix.shape
    step_r, step_c = math.ceil(rows / LARGEST_SPECTRUM), math.ceil(columns / LARGEST_SPECTRUM)
    part = matrix[::step_r, ::step_c].double()
    gram = part @ part.T if part.shape[0] <= part.shape[1] else part.T @ part
    values: torch.Tensor = torch.linalg.eigvalsh(gram)
    return values.clamp_min(0).sqrt().flip(0)
