"""Whether the supposed parent may have changes of its own: both may come from a third model, and no direction holds.

Each trace of a change says which side was changed, but siblings were changed too: of a rounded model and a fine-tune of
one base the rounded one is on a grid, and came from neither. So a trace makes a parent only where it explains all that
lies between the two: docs/decisions/0089-a-direction-needs-all-of-the-difference.md.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch

from tools import noise_side
from tools.comparison import Comparison
from tools.difference import Difference, compare_values
from tools.evidence import Evidence
from tools.grids import rounding_grid
from tools.sides import SIDES, Side, opposite
from tools.tensor_pairs import FEWEST_VALUES

# Reasons for a direction that explain something which differs, as `direction` gives them.
FEWER_TOKENS = "it lacks some of the other's tokens here and there"
MORE_TOKENS = "it has extra token rows at the end that were hardly trained"
RENUMBERED = "its tokens are not numbered in the order of its merges"
MORE_LAYERS = "it has some of the other's layers twice"
REPEATED_HEADS = "it has each of the other's key and value heads several times"
FOLDED = "its norms' gains are folded into the weights, as one does before a rotation"
SCALED = "it was rescaled by factors that do not depend on the other's sizes"
NOISY = "the difference is independent of the other's values and raises this one's variance"
FEW_DIRECTIONS = "the few directions that differ were made for it"
# Standard errors beyond which a correlation of the difference with one side is no chance, and below which it is none.
ALONG, NOT_ALONG = 5.0, 3.0
# Where tokens were left out here and there, so many in a row at the end are rarer than once in a thousand.
BY_CHANCE = 1e-3
# Trained directions meet the parent's own in one tensor of a model; two adapters of one base in a sixth and more.
CONTESTED = 0.05
# Two factors of a tensor are alike by chance once in hundreds; whole models are scaled tensor by tensor on purpose.
SCALED_ONCE = 0.1
# Of fewer factors the means vary so much that the other side may have been scaled tensor by tensor.
FEWEST_SCALES = 200
# Random factors are as often above as below one, to within so many standard errors over all tensors.
OFF_CENTRE = 4.0
# A vector may differ by so many times the noise of the matrices, each as a share of its own spread.
AS_MUCH = 3.0


def may_have_changes_of_its_own(
    models: Comparison, read: Comparison, shape: Evidence, child: Side, reasons: Collection[str], *, in_part: bool
) -> bool:
    """Whether anything differs that `reasons` for `child` do not explain.

    `read` is what was read of the models. `in_part`: only a part is shared, and nothing else is asked about.
    """
    rows = shape.where["tensors"]
    if in_part:
        shared = [row for row in rows if row["kind"] != "unrelated"]
        return not (all(_is_explained(row, child, reasons) for row in shared) and _are_one_adapter(shared))
    rotated = shape.where["coordinates"] != "own"
    if rotated and FOLDED not in reasons:
        # Who was turned from whom does not show.
        return True
    scaled = [row for row in rows if row["scales"]]
    small = _within_the_rank(models, rows) if FEW_DIRECTIONS in reasons else []
    return (
        not all(_is_explained(row, child, reasons) for row in rows if row not in small)
        or (bool(small) and [*grown(small, "n")] != [child])
        or not _are_one_adapter(rows)
        or (bool(scaled) and [*grown(scaled, "scales")] != [child])
        or not _are_one_rescaling(rows)
        or (any(row["kind"] == "noise" for row in rows) and _parent_is_rounded(read, rows, child))
        # In samples, and once coordinates were turned, a tensor's strong directions are not at hand.
        or (read is models and not rotated and noise_side.lies_along_strong_directions(read, rows, child))
        or not _sizes_are_explained(models, shape, reasons)
        or not _matrices_are_explained(read, rows, child, reasons)
        or not _tokens_are_explained(read, child, reasons)
        or not (rotated or _vectors_are_explained(read, rows, child, reasons))
    )


def grown(rows: Sequence[Mapping[str, Any]], count: Literal["n", "scales"]) -> Iterator[Side]:
    """The side with which the difference correlates, where it does not with the other: the sum, not the summand."""
    total = sum(row[count] for row in rows)
    if not total:
        return
    along = {side: sum(row[f"along_{side}"] * row[count] ** 0.5 for row in rows) / total**0.5 for side in SIDES}
    yield from one_side(along)


def one_side(along: Mapping[Side, float]) -> Iterator[Side]:
    """The side with which a difference correlates by so many standard errors, where it does not with the other."""
    low, high = sorted(SIDES, key=lambda side: abs(along[side]))
    if abs(along[high]) > ALONG and abs(along[low]) < NOT_ALONG:
        yield high


def _is_explained(row: Mapping[str, Any], child: Side, reasons: Collection[str]) -> bool:
    """Whether a tensor differs by nothing but what was done to the child."""
    if not row["alone"]:
        return False
    if row["reordered"] and not (row["table"] and RENUMBERED in reasons):
        # Either side may have been put into another order.
        return False
    if row["kind"] in ("equal", "rescaled"):
        return True
    if row["kind"] == "noise":
        return NOISY in reasons
    if row["kind"] == "low_rank":
        return row["coarser"] == child or (row["coarser"] is None and FEW_DIRECTIONS in reasons)
    return bool(row["coarser"] == child)


def _are_one_adapter(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the low-rank differences, if any, are those of one adapter: of one rank, and hardly any contested.

    Where both sides have one, the ranks add up in the tensors that both adapters changed.
    """
    added = [row for row in rows if row["kind"] == "low_rank"]
    ranks, contested = {row["amount"] for row in added}, sum(row["contested"] for row in added)
    return len(ranks) <= 1 and contested <= CONTESTED * len(added)


def _are_one_rescaling(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the scales, if any, were drawn around one in every tensor: the other side was not scaled as a whole."""
    scaled = [row for row in rows if row["scales"] and row["scaled_apart"]]
    once = sum(bool(row["scaled_by"]) and not row["scales"] for row in rows)
    if not scaled and not once:
        return True
    count = sum(row["scales"] for row in scaled)
    if count < FEWEST_SCALES or once > SCALED_ONCE * len(scaled):
        return False
    spread = sum(row["scales"] * row["scaled_apart"] ** 2 for row in scaled) / count
    off = sum((row["scales"] + 1) * row["scaled_by"] ** 2 for row in scaled)
    return bool(off <= spread * (len(scaled) + OFF_CENTRE * math.sqrt(2 * len(scaled))))


def _within_the_rank(models: Comparison, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Matrices of no more directions than the adapter has, which can change them in any way; routers of few experts."""
    rank = max((row["amount"] for row in rows if row["kind"] == "low_rank"), default=0.0)
    shapes = models.a.shapes
    return [
        row
        for row in rows
        if row["kind"] in ("noise", "trained") and not row["reordered"] and not row["scales"]
        and row["a"] in shapes and min(shapes[row["a"]]) <= rank
    ]  # fmt: skip


def _parent_is_rounded(comparison: Comparison, rows: list[dict[str, Any]], child: Side) -> bool:
    """Whether the side without the noise stands on a grid: then it was rounded, from a third model perhaps."""
    parent = opposite(child)
    held = comparison.checkpoint(parent)
    # Turned models are seen with a head of its own where the file has none.
    largest = max((row for row in rows if row[parent] in held.shapes), key=lambda row: int(row["n"]))
    values = held.read(largest[parent]).double()
    return rounding_grid(values.reshape(len(values), -1)) is not None


def _sizes_are_explained(models: Comparison, shape: Evidence, reasons: Collection[str]) -> bool:
    """Whether layers, hidden units and tokens are as many on both sides, or why not is known."""
    where = shape.where
    if where["layers_of_a"] != where["layers_of_b"] and MORE_LAYERS not in reasons:
        return False
    heights = [
        layout.checkpoint.shapes[layout.embedding][0] if layout.embedding is not None else 0
        for layout in (models.layout_a, models.layout_b)
    ]
    told = heights[0] == heights[1] or not {FEWER_TOKENS, MORE_TOKENS}.isdisjoint(reasons)
    return told and bool(where["units_of_a"] == where["units_of_b"])


def _matrices_are_explained(
    comparison: Comparison, rows: list[dict[str, Any]], child: Side, reasons: Collection[str]
) -> bool:
    """Whether every matrix of the parent was compared, or the child is known to lack it."""
    parent = opposite(child)
    layout, seen = comparison.layout(parent), {row[parent] for row in rows}
    left = [
        name
        for name in layout.learned
        if name not in seen and len(layout.checkpoint.shapes[name]) > 1 and not layout.is_table(name)
        and layout.size(name) >= FEWEST_VALUES
    ]  # fmt: skip
    return not left or not {MORE_LAYERS, REPEATED_HEADS}.isdisjoint(reasons)


def _tokens_are_explained(comparison: Comparison, child: Side, reasons: Collection[str]) -> bool:
    """Whether the rows that token tables of different heights share differ only by what was done to the child."""
    tokens = comparison.shared_tokens
    names = [comparison.layout(side).embedding for side in SIDES]
    if tokens is None or names[0] is None or names[1] is None:
        return True
    if comparison.a.shapes[names[0]] == comparison.b.shapes[names[1]]:
        return True
    if _parent_has_tokens_of_its_own(comparison, child, reasons):
        return False
    if comparison.a.shapes[names[0]][1:] != comparison.b.shapes[names[1]][1:]:
        return False
    rows = [
        comparison.checkpoint(side).read(str(name))[torch.from_numpy(some)]
        for side, name, some in zip(SIDES, names, tokens, strict=True)
    ]
    return _is_explained(_as_row(compare_values(rows[0], rows[1])), child, reasons)


def _parent_has_tokens_of_its_own(comparison: Comparison, child: Side, reasons: Collection[str]) -> bool:
    """Whether the parent has tokens that nobody left out of the child: any, or as a block at the end."""
    own, others = comparison.vocabularies if child == "a" else comparison.vocabularies[::-1]
    if own is None or others is None:
        return False
    lacking = [number for token, number in others.ids.items() if token not in own.ids]
    if not lacking or FEWER_TOKENS not in reasons:
        return bool(lacking)
    last = max(number for token, number in others.ids.items() if token in own.ids)
    inside = sum(number < last for number in lacking)
    return bool((inside / (last + 1)) ** (len(lacking) - inside) < BY_CHANCE)


def _vectors_are_explained(
    comparison: Comparison, rows: list[dict[str, Any]], child: Side, reasons: Collection[str]
) -> bool:
    """Whether gains and biases are equal, rounded on the child's side, or off by no more than noise on matrices is."""
    layout, table = comparison.layout(child), comparison.layout(child).embedding
    others = comparison.checkpoint(opposite(child))
    theirs = {name: others.read(name) for name, shape in others.shapes.items() if len(shape) == 1}
    scaled = any(row["scales"] for row in rows)
    noise = max((row["amount"] for row in rows if row["kind"] == "noise"), default=0.0)
    renumbered = layout.checkpoint.shapes[table][0] if table is not None and RENUMBERED in reasons else None
    for name in layout.learned:
        shape = layout.checkpoint.shapes[name]
        if len(shape) != 1 or shape[0] == renumbered or (scaled and name.endswith("bias")):
            continue
        if others.shapes.get(name, shape) != shape:
            continue
        own = layout.checkpoint.read(name)
        alike = [values for values in theirs.values() if values.shape == own.shape]
        # With layers repeated, or other names, the vector of one name may be another one.
        if name in theirs and MORE_LAYERS not in reasons:
            alike = [theirs[name]]
        if alike and not _is_same_vector(own, min(alike, key=lambda values: _apart(own, values)), noise):
            return False
    return True


def _is_same_vector(own: torch.Tensor, other: torch.Tensor, noise: float) -> bool:
    spread = float((other.double() - other.double().mean()).norm())
    # What is far smaller than a format's least number is rounded to nothing.
    if torch.equal(other.to(own.dtype).double(), own.double()) or _apart(own, other) <= AS_MUCH * noise * spread:
        return True
    found = compare_values(own, other)
    return found.kind == "equal" or (found.alone and found.coarser == "a")


def _apart(x: torch.Tensor, y: torch.Tensor) -> float:
    return float((x.double() - y.double()).norm())


def _as_row(found: Difference) -> dict[str, Any]:
    return {"kind": found.kind, "alone": found.alone, "coarser": found.coarser, "reordered": False, "table": True}
