"""What lies between two tensors that belong together: nothing, rounding, noise, a few directions, or training.

Pure functions of two arrays; formulae after methods K1 (residual anatomy).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from tools.codebook import codebook_bits
from tools.exactness import is_rounding, only_rounding, only_zeros
from tools.grids import BLOCK, SHORT_BLOCK, Grid, rounding_grid
from tools.loose_rounding import loose_rounding
from tools.rounded_noise import noise_below_rounding, stored_in
from tools.steps import LEAST_OF_STEP

Kind = Literal[
    "equal", "recast", "rescaled", "quantised", "quantised_loosely",
    "noise", "pruned", "low_rank", "trained", "unrelated",
]  # fmt: skip

# Below this cosine two tensors are not taken for versions of one tensor.
LEAST_COSINE = 0.25
# A scale is believed where it leaves less than this share of the difference, and explains all below the second.
SCALE_LEAVES = 0.5
RESCALED_ERROR = 3e-3
# Fewer values than this under one scale are explained by any scale.
FEWEST_PER_SCALE = 8
# Neighbours whose scales differ by less than this share one factor; rounding to 8 bits blurs small ones by 2 %.
ONE_FACTOR = 0.03
# A block of rounding errors is flat (kurtosis 1.8), of Gaussian noise bell-shaped (3); halfway lies here.
FLAT_KURTOSIS = 2.25
# Stored in 16 bit, large values of a block are rounded a second time, and their errors are longer than the others'.
FLAT_KURTOSIS_16_BIT = 2.5
# Errors of the two steps of sixteen values in a block of 32 stay below this, noise above.
TWO_STEPS = 2.7
# Largest singular value of white noise over its edge s (sqrt m + sqrt n), and spread of its row energies over chance.
NOISE_EDGE = 1.15
NOISE_SPREAD = 1.6
# A low-rank difference keeps this share of its energy in a quarter of the directions, and then falls off a cliff.
LOW_RANK_ENERGY = 0.95
LOW_RANK_CLIFF = 4.0
# What a side holds along added directions, relative to what was added: parents 0.2, children 1.1 (trained adapters).
LITTLE_ALONG, MUCH_ALONG = 0.5, 0.75
# Of a direction whose size is so much above what any other directions hold, one sees for each alone whose it is.
CLEARLY_ADDED = 0.15
# All directions of a tensor together tell whose they are where they are so many times what any direction holds, which
# is the standard error of what either side holds of them.
ADDED_TOGETHER = 5.0
# What is left along directions that were projected out, relative to any other directions; 16-bit rounding leaves 0.01.
EMPTIED = 0.03
LARGEST_SPECTRUM = 768
# Of fewer directions none can be told to be few.
FEWEST_DIRECTIONS = 16
PRUNED_SHARE = 0.02
# Sums of squares lose what is below a hundred-millionth of them; this is well above its root.
SUMS_BLUR = 1e-5
# Enough to see that a tensor is not the other one rounded.
FIRST_VALUES = 4096


@dataclass(frozen=True)
class Difference:
    """How b differs from a: the kind, its amount, the relative size |b - a| / sqrt(|a||b|), and covariances.

    `amount` is the noise as a share of a's and b's smaller standard deviation, the rank, the share set to zero, or the
    bits of a rounding grid. `along_a`, `along_b` are the standard errors by which the difference correlates with each
    side: noise added to a does not correlate with a, but with the sum. Where scales were undone, they are those of the
    scales' logarithms with the rows' or columns' lengths; `scales` is how many there were, less one, and `scaled_by`,
    `scaled_apart` are the mean and the standard deviation of their logarithms. `coarser` is the side that rounding,
    zeros or a low-rank change were done to, where that shows. `group` is how many values share one step of a grid
    (None: a row), `moved` the share of the numbers that differ. `weight_of_a` is <a, b> / <a, a>, the multiple of a
    that b holds, `weight_of_b` the multiple of b that a holds; `size_a`, `size_b` are the norms. `below_rounding`:
    smaller than the rounding of the 16-bit format of both. `alone`: the kind explains all of the difference, so that
    nothing else was done to either side. `contested`: of few directions some seem added to one side and some to the
    other.
    """

    kind: Kind
    relative_size: float
    amount: float | None
    cosine: float
    along_a: float
    along_b: float
    coarser: Literal["a", "b"] | None = None
    group: int | None = None
    moved: float = 1.0
    weight_of_a: float = 0.0
    weight_of_b: float = 0.0
    size_a: float = 0.0
    size_b: float = 0.0
    scales: int = 0
    below_rounding: bool = False
    alone: bool = False
    contested: bool = False
    scaled_by: float = 0.0
    scaled_apart: float = 0.0


def compare_values(a: torch.Tensor, b: torch.Tensor) -> Difference:
    """The difference of two tensors of one shape, both brought into one order of units before."""
    rounded = _recast(a, b)
    x, y = a.double(), b.double()
    size_x, size_y = float(x.norm()), float(y.norm())
    # What is not finite is not so in the norm either; only squares overflow in it.
    if not math.isfinite(size_x + size_y) and not bool(torch.isfinite(x).all() and torch.isfinite(y).all()):
        return Difference("unrelated", 0.0, None, 0.0, 0.0, 0.0)
    if size_x == 0.0 or size_y == 0.0:
        return Difference("equal" if size_x == size_y else "unrelated", 0.0, None, 0.0, 0.0, 0.0)
    both = _product(x, y)
    left = y - x
    relative = _relative(left, size_x, size_y)
    if relative == 0.0:
        return Difference("equal", 0.0, None, 1.0, 0.0, 0.0, moved=0.0, weight_of_a=1.0, weight_of_b=1.0,
                          size_a=size_x, size_b=size_y, alone=True)  # fmt: skip
    whole = Difference(
        "trained", relative, None, both / (size_x * size_y), 0.0, 0.0,
        moved=_share_set(left), weight_of_a=both / size_x**2, weight_of_b=both / size_y**2,
        size_a=size_x, size_b=size_y,
    )  # fmt: skip
    if rounded is not None:
        return replace(whole, kind="recast", coarser=rounded, alone=True)
    stored = stored_in(a, b) if relative < torch.finfo(torch.bfloat16).eps / 2 else None
    if stored is not None and relative < torch.finfo(stored).eps / 2:
        # Smaller than what the number format can hold: only noise leaves moves that tell what made them.
        size, spread = noise_below_rounding(a, b, stored), _smaller_spread(x, y)
        whole = replace(whole, below_rounding=True)
        if size is None or spread == 0.0:
            return replace(whole, kind="recast")
        whole = replace(whole, along_a=_errors_apart(left, x), along_b=_errors_apart(left, y))
        return replace(whole, kind="noise", amount=size / spread, alone=True)
    first_x, first_y = x, y
    x, y, scale = _rescaled(x, y, relative)
    if scale is not None:
        left, lengths = y - x, (float(x.norm()), float(y.norm()))
        cosine = float((x * y).sum()) / max(lengths[0] * lengths[1], 1e-300)
        whole = replace(whole, relative_size=_relative(left, *lengths), cosine=cosine)
        if whole.relative_size < RESCALED_ERROR:
            return _along_the_scales(replace(whole, kind="rescaled"), first_x, first_y, scale)
    if whole.cosine < LEAST_COSINE:
        return replace(whole, kind="unrelated")
    if scale is None:
        # A scale that was undone took the difference in variance with it.
        whole = replace(whole, along_a=_errors_apart(left, x), along_b=_errors_apart(left, y))
    sides: tuple[tuple[torch.Tensor, torch.Tensor, Literal["a", "b"]], ...] = ((x, y, "a"), (y, x, "b"))
    for values, others, side in sides:
        # Most tensors hold so few zeros that there is nothing to look at.
        if _share_set(values) < 1.0 - PRUNED_SHARE:
            zeros = (values == 0) & (others != 0)
            share = int(zeros.sum()) / zeros.numel()
            if share > PRUNED_SHARE and float(left[~zeros].norm()) < 1e-3 * float(left.norm()):
                alone = scale is None and only_zeros(x, y, zeros)
                return replace(whole, kind="pruned", amount=share, coarser=side, alone=alone)
    quantised = _quantised(first_x, first_y, left, scale)
    if quantised is not None:
        grid, coarser = quantised
        if scale is not None:
            whole = _along_the_scales(whole, first_x, first_y, scale)
        # In the measure of the rounded side.
        undone = torch.ones_like(x) if scale is None else scale
        coarse, fine = (a, y / undone) if coarser == "a" else (b, x * undone)
        alone = only_rounding(_rows(coarse, False), _rows(fine, False), grid.group, scaled=scale is not None)
        return replace(whole, kind="quantised", amount=float(grid.bits), group=grid.group, coarser=coarser, alone=alone)
    matrix = left.reshape(left.shape[0], -1)
    sizes = _singular_values(matrix) if min(matrix.shape) >= FEWEST_DIRECTIONS else None
    rank = None if sizes is None else _low_rank(sizes)
    if rank is not None:
        added_to, alone, contested = _side_with_directions(matrix, rank, x, y)
        return replace(whole, kind="low_rank", amount=float(rank), coarser=added_to, alone=alone and scale is None,
                       contested=contested)  # fmt: skip
    # Noise is told as a share of the spread, and a tensor of one number repeated has none.
    if _is_white(matrix, sizes) and (spread := _smaller_spread(x, y)) > 0.0:
        return replace(whole, kind="noise", amount=float(left.std()) / spread, alone=scale is None)
    loose = loose_rounding(first_x, first_y)
    if loose is not None:
        kind: Kind = "quantised" if loose.nearest else "quantised_loosely"
        scales = sum(first_x.shape[:2]) if loose.scaled else 0
        return replace(whole, kind=kind, amount=float(loose.bits), coarser=loose.coarser, scales=scales)
    return replace(whole, kind="trained", amount=whole.relative_size)


def _quantised(
    x: torch.Tensor, y: torch.Tensor, left: torch.Tensor, scale: torch.Tensor | None
) -> tuple[Grid, Literal["a", "b"]] | None:
    """The grid of the one side that lies on one, where the difference is as flat as rounding errors are; uneven levels.

    `left` is the difference with the scale undone; the errors of a rounded side are flat in its own measure.
    """
    # Stored transposed, the blocks of one step run down the columns.
    for turn in (False, True) if x.dim() == 2 else (False,):
        own = [left] if scale is None else [left / scale, left * scale]
        flat = [_flat_blocks(_rows(values, turn), x, y) for values in own]
        if any(flat):
            # Small steps of an optimiser are flat too; rounding leaves one side on a grid.
            rows = [_rows(side, turn) for side in (x, y)]
            grids = [rounding_grid(side) for side in rows]
            for k, grid in enumerate(grids):
                if grid is None or grids[1 - k] is not None or _block_of(grid) not in flat[-k]:
                    continue
                if _as_large_as_rounding(own[-k], grid, rows[k]):
                    return _fewest_bits(grid, rows[k], rows[1 - k]), "b" if k else "a"
    bits_a, bits_b = codebook_bits(x, y), codebook_bits(y, x)
    if bits_a is not None and bits_b is None:
        return Grid(bits_a, None), "a"
    return (Grid(bits_b, None), "b") if bits_b is not None and bits_a is None else None


def _flat_blocks(difference: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> tuple[int, ...]:
    """Lengths of the blocks in which a difference is as flat as rounding errors are."""
    whole = _block_kurtosis(difference, BLOCK)
    if _is_flat(whole, x, y):
        return BLOCK, SHORT_BLOCK
    # The errors of two steps in one block are less flat together than either's are alone.
    return (SHORT_BLOCK,) if whole < TWO_STEPS and _is_flat(_block_kurtosis(difference, SHORT_BLOCK), x, y) else ()


def _is_flat(kurtosis: float, x: torch.Tensor, y: torch.Tensor) -> bool:
    if not FLAT_KURTOSIS <= kurtosis < FLAT_KURTOSIS_16_BIT:
        return kurtosis < FLAT_KURTOSIS
    return all(torch.equal(side, side.to(torch.bfloat16).double()) for side in (x, y))


def _as_large_as_rounding(difference: torch.Tensor, grid: Grid, coarse: torch.Tensor) -> bool:
    """Whether a difference is as large as rounding to the grid leaves it, not a little change of what stood on it."""
    size = grid.group or coarse.shape[1]
    blocks = coarse.reshape(-1)[: coarse.numel() // size * size].reshape(-1, size)
    steps = (blocks.amax(dim=1) - blocks.amin(dim=1)) / (2**grid.bits - 1)
    return float(difference.square().mean()) >= (LEAST_OF_STEP**2) * float(steps.square().mean())


def _block_of(grid: Grid) -> int:
    return SHORT_BLOCK if grid.group == SHORT_BLOCK else BLOCK


def _fewest_bits(grid: Grid, coarse: torch.Tensor, fine: torch.Tensor) -> Grid:
    """The grid, with the bits of its levels where few of them are in use: whole numbers can stand at uneven places."""
    uneven = codebook_bits(coarse, fine)
    return grid if uneven is None or uneven >= grid.bits else Grid(uneven, grid.group)


def _rows(values: torch.Tensor, turn: bool) -> torch.Tensor:
    return values.T if turn else values.reshape(values.shape[0], -1)


def _side_with_directions(
    difference: torch.Tensor, rank: int, x: torch.Tensor, y: torch.Tensor
) -> tuple[Literal["a", "b"] | None, bool, bool]:
    """The side to which a low-rank difference was added, or out of which its directions were projected; whether the
    directions are all that differs; and whether some seem added to either side.

    A matrix holds little along directions that were not made for it, and the sum about as much as was added. Only a
    projection leaves nothing at all, and then the other side is the one they were in.
    """
    left, sizes, right = torch.linalg.svd(difference, full_matrices=False)
    left, sizes, right = left[:, :rank], sizes[:rank], right[:rank]
    alone = is_rounding(difference - (left * sizes) @ right, x, y)
    along, emptied, own = [], [], []
    for side in (x, y):
        matrix = side.reshape(side.shape[0], -1)
        written, read = left.T @ matrix, matrix @ right.T
        held = (written @ right.T).diagonal()
        own.append(held / sizes)
        along.append(float(held.norm() / sizes.norm()))
        height, width = matrix.shape
        usual = float(matrix.norm()) * math.sqrt(rank)
        emptied.append(min(float(written.norm()) * math.sqrt(height), float(read.norm()) * math.sqrt(width)) / usual)
    # What any other directions hold; b holds what was added to it, and a minus what was added to a.
    usual = min(float(side.norm()) for side in (x, y)) / math.sqrt(difference.numel())
    clear = sizes * CLEARLY_ADDED > usual
    contested = bool((own[1][clear] > 0.5).any() and (own[0][clear] < -0.5).any())
    if min(emptied) < EMPTIED:
        return "a" if emptied[0] < emptied[1] else "b", alone, contested
    if float(sizes.norm()) > ADDED_TOGETHER * usual and min(along) < LITTLE_ALONG and max(along) > MUCH_ALONG:
        return "a" if along[0] > along[1] else "b", alone, contested
    return None, alone, contested


def _recast(a: torch.Tensor, b: torch.Tensor) -> Literal["a", "b"] | None:
    """Which side is the other one rounded to a 16-bit or 8-bit float, whatever type the file says."""
    first = [side.flatten()[:FIRST_VALUES].float() for side in (a, b)]
    for coarse in (torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2):
        # Of nearly all pairs the first values tell that they are not one rounded.
        if not torch.equal(*(side.to(coarse).float() for side in first)):
            continue
        x, y = a.float(), b.float()
        x_there, y_there = x.to(coarse).float(), y.to(coarse).float()
        if torch.equal(x_there, y_there) and not torch.equal(x, y):
            exact_a, exact_b = torch.equal(x, x_there), torch.equal(y, y_there)
            if exact_a != exact_b:
                return "a" if exact_a else "b"
    return None


def _rescaled(x: torch.Tensor, y: torch.Tensor, least: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Both tensors met halfway, with the scale undone that brings them nearest: one for all, each row or each column.

    Halfway, so that it is the same seen from either side: x times the returned scale, y divided by it, None where
    nothing was undone. A richer scale is only believed where it leaves less than half of what a simpler one leaves;
    `least` is what is left as they are.
    """
    best: tuple[torch.Tensor, torch.Tensor, torch.Tensor | None] = (x, y, None)
    flat_x, flat_y = x.reshape(x.shape[0], -1), y.reshape(y.shape[0], -1)
    rows = flat_x.numpy(), flat_y.numpy()
    products = (rows[0], rows[0]), (rows[1], rows[1]), rows
    by_row = [torch.from_numpy(np.vecdot(one, other))[:, None] for one, other in products]
    for axes in ((0, 1), (1,), (0,)):
        if np.prod([flat_y.shape[axis] for axis in axes]) < FEWEST_PER_SCALE:
            continue
        if axes == (0,):
            sums = [torch.from_numpy(np.einsum("ij,ij->j", one, other))[None] for one, other in products]
        else:
            sums = by_row if axes == (1,) else [values.sum(dim=0, keepdim=True) for values in by_row]
        lengths = [values.sqrt().clamp_min(1e-300) for values in sums[:2]]
        if _left_by_sums(lengths[0], lengths[1], sums[2]) >= SCALE_LEAVES * least + SUMS_BLUR:
            continue
        halfway = (lengths[1] / lengths[0]).sqrt()
        scaled = (flat_x * halfway).reshape(x.shape), (flat_y * sums[2].sign() / halfway).reshape(y.shape)
        left = _relative(scaled[1] - scaled[0], *(float(side.norm()) for side in scaled))
        if left < SCALE_LEAVES * least:
            best, least = (*scaled, halfway.expand_as(flat_x).reshape(x.shape)), left
    return best


def _left_by_sums(x: torch.Tensor, y: torch.Tensor, both: torch.Tensor) -> float:
    """What `_relative` is once vectors of these lengths and products met halfway, up to SUMS_BLUR."""
    # Met halfway both have the length sqrt(x y), and what is left of them is 2 (x y - |<x, y>|).
    size = (x * y).sum()
    return math.sqrt(max(0.0, float(2.0 * (size - both.abs().sum()) / size.clamp_min(1e-300))))


def _along_the_scales(found: Difference, x: torch.Tensor, y: torch.Tensor, scale: torch.Tensor) -> Difference:
    """How the scales' logarithms correlate with the lengths on either side: random scales only with their result."""
    scales, flat_x, flat_y = (values.reshape(values.shape[0], -1) for values in (scale, x, y))
    axis = 1 if bool((scales == scales[:, :1]).all()) else 0
    lengths = [side.norm(dim=axis).clamp_min(1e-300).log() for side in (flat_x, flat_y)]
    found = replace(found, alone=found.kind == "rescaled", scaled_by=float((lengths[1] - lengths[0]).mean()))
    count = len(lengths[0])
    if count < FEWEST_PER_SCALE or bool((scales == scales[0, 0]).all()) or min(float(v.std()) for v in lengths) < 1e-3:
        return found
    grown = lengths[1] - lengths[0]
    # What shares a factor, as the rows of a head do, says one thing and not many.
    shared = torch.cat([torch.zeros(1), (grown.diff().abs() > ONE_FACTOR).cumsum(0)]).long()
    counts = torch.bincount(shared).double()
    lengths = [torch.bincount(shared, weights=side) / counts for side in lengths]
    count = len(counts)
    if count < 2:
        return found
    grown = lengths[1] - lengths[0]
    # Around means of their own; two factors always lie on a line.
    by_chance = math.sqrt((count - 1) / count)
    along = [by_chance * _errors_apart(grown - grown.mean(), side - side.mean()) for side in lengths]
    return replace(found, scales=count - 1, along_a=along[0], along_b=along[1],
                   scaled_by=float(grown.mean()), scaled_apart=float(grown.std()))  # fmt: skip


def _relative(left: torch.Tensor, size_x: float, size_y: float) -> float:
    return float(left.norm()) / max(math.sqrt(size_x * size_y), 1e-300)


def _product(x: torch.Tensor, y: torch.Tensor) -> float:
    return float(torch.dot(x.reshape(-1), y.reshape(-1)))


def _smaller_spread(x: torch.Tensor, y: torch.Tensor) -> float:
    return min(float(x.std()), float(y.std()))


def _share_set(values: torch.Tensor) -> float:
    """The share of the values that are not zero."""
    # numpy counts truths, and torch numbers, in a tenth of the time that each takes for the other.
    return int(np.count_nonzero((values != 0).numpy())) / values.numel()


def _errors_apart(left: torch.Tensor, side: torch.Tensor) -> float:
    """Correlation of the difference with one side, in standard errors of independent values."""
    return _product(left, side) / max(float(left.norm() * side.norm()), 1e-300) * math.sqrt(left.numel())


def _block_kurtosis(matrix: torch.Tensor, size: int) -> float:
    """Fourth moment of the difference within blocks of one scale: 1.8 for rounding, 3 for noise (2.6 in 16 values)."""
    flat = matrix.reshape(-1)
    blocks = flat[: len(flat) // size * size].reshape(-1, size)
    squares = (blocks - blocks.mean(dim=1, keepdim=True)).square_()
    spread = squares.mean(dim=1, keepdim=True)
    kept = spread.squeeze(1) > 0
    if int(kept.sum()) < 8:
        return 3.0
    fourth = squares.square_().mean(dim=1) / spread.squeeze(1).square()
    return float(fourth[kept].mean())


def _low_rank(values: torch.Tensor) -> int | None:
    """The number of directions a difference of these singular values has, where few; None where it fills the space."""
    energy = values.square().cumsum(0) / values.square().sum()
    most = max(1, len(values) // 4)
    cliffs = values[:most] / values[1 : most + 1].clamp_min(1e-300)
    rank = int(cliffs.argmax()) + 1
    if float(cliffs[rank - 1]) >= LOW_RANK_CLIFF and float(energy[rank - 1]) >= LOW_RANK_ENERGY:
        return rank
    return None


def _is_white(matrix: torch.Tensor, sizes: torch.Tensor | None) -> bool:
    """Whether a difference, of those singular values, is like independent Gaussian draws of one size throughout."""
    count = matrix.numel()
    if count < 64:
        return False
    squares = (matrix - matrix.mean()).square_()
    variance = float(squares.mean())
    if variance == 0.0:
        return False
    kurtosis = float(squares.square_().mean()) / variance**2
    if abs(kurtosis - 3.0) > 0.1 + 4.0 * math.sqrt(24.0 / count):
        return False
    rows, columns = matrix.shape
    squares = matrix.square()
    for axis, length, number in ((1, columns, rows), (0, rows, columns)):
        if number >= 8 and length >= 4:
            energies = squares.mean(dim=axis)
            spread = float(energies.var()) / float(energies.mean()) ** 2
            if spread > NOISE_SPREAD * (2.0 / length) * (1.0 + 4.0 / math.sqrt(number)):
                return False
    if sizes is not None:
        largest = float(sizes[0])
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
