"""Which tensor of one model answers to which of the other, and in which order its rows or columns stand there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from tools.fingerprints import fingerprint
from tools.matching import best_partners, cosines, mean_of_partners, order_agreement, spread_indices, stand_out
from tools.names import has_role
from tools.sides import SIDES, Side
from tools.units import Member
from tools.vocabulary import TOKENS_READ

if TYPE_CHECKING:
    from tools.comparison import Comparison, UnitPair

# Below this agreement with the order in the file a layer counts as re-ordered, and its partners are followed.
IN_ORDER = 0.5
# Matching all units of a wider layer would take longer than everything else together.
LARGEST_REORDERED = 2048
# Values of a tensor that stand for all of it when looking for its counterpart, and the cosine that finds it.
SKETCH_VALUES = 8192
ALIKE = 0.25
# Best partners resemble each other by choice alone; moved rows must do so clearly more.
MOVED_ALIKE = 0.5
# Where units or rows stayed in place those are alike too, but less than partners.
STAYED = 1.2
# Above this cosine nobody moved rows or columns; below it a tensor is also looked at re-ordered.
CLEARLY_ALIKE = 0.8
FEWEST_VALUES = 256


@dataclass(frozen=True)
class TensorPair:
    """Two tensors of one shape that may be versions of one tensor; `partners` puts b's units into a's order."""

    a: str
    b: str
    axis: int
    partners: np.ndarray | None


def pair_tensors(comparison: Comparison) -> tuple[TensorPair, ...]:
    """Matrices of equal shape, each of a's with the nearest of b's, put into a's order where units were moved."""
    pairs: list[TensorPair] = []
    reordered = {pair.a: pair for units in comparison.unit_pairs for pair in _put_in_order(comparison, units)}
    reordered |= {pair.a: pair for pair in _renumbered_tables(comparison)}
    taken_b = {pair.b for pair in reordered.values()}
    apart: list[tuple[str, str]] = []
    related = False
    for shapes in dict.fromkeys(comparison.shapes_of("a", name) for name in comparison.layout_a.learned):
        if len(shapes[0]) < 2 or np.prod(shapes[0]) < FEWEST_VALUES:
            continue
        names_a = [
            n for n in comparison.layout_a.learned if comparison.shapes_of("a", n) == shapes and n not in reordered
        ]
        names_b = [
            n for n in comparison.layout_b.learned if comparison.shapes_of("b", n) == shapes and n not in taken_b
        ]
        if not names_a or not names_b:
            continue
        likeness = (
            np.stack([_sketch(comparison, "a", n) for n in names_a])
            @ np.stack([_sketch(comparison, "b", n) for n in names_b]).T
        )
        for i, j in zip(*linear_sum_assignment(likeness, maximize=True), strict=True):
            if likeness[i, j] >= CLEARLY_ALIKE:
                pairs.append(TensorPair(names_a[i], names_b[j], 0, None))
            else:
                apart.append((names_a[i], names_b[j]))
                related |= bool(likeness[i, j] >= ALIKE)
    related |= bool(pairs or reordered)
    pairs += reordered.values()
    pairs += _rows_or_columns_moved(comparison, apart) if related else [TensorPair(x, y, 0, None) for x, y in apart]
    return tuple(pairs)


def _rows_or_columns_moved(comparison: Comparison, apart: list[tuple[str, str]]) -> list[TensorPair]:
    """Pairs among tensors that do not resemble each other as they lie, but do with rows or columns re-ordered."""
    found: list[TensorPair] = []
    left = list(apart)
    for axis in (0, 1):
        for shape in dict.fromkeys(comparison.a.shapes[x] for x, _ in left):
            # Tables of tokens resemble each other in strangers too, by how often tokens occur.
            if shape[axis] > LARGEST_REORDERED or shape in _table_shapes(comparison):
                continue
            some = [(x, y) for x, y in left if comparison.a.shapes[x] == shape]
            if axis == 0:
                some = [
                    (x, y) for x, y in some if _has_all_rows(comparison, "a", x) and _has_all_rows(comparison, "b", y)
                ]
            if not some:
                continue
            names_a, names_b = map(list, zip(*some, strict=True))
            prints_a = np.stack([fingerprint(_turned(comparison.a.read(n), axis)) for n in names_a])
            prints_b = np.stack([fingerprint(_turned(comparison.b.read(n), axis)) for n in names_b])
            for i, j in zip(*linear_sum_assignment(prints_a @ prints_b.T, maximize=True), strict=True):
                comparison.check()
                mine, theirs = (
                    _turned(comparison.a.read(names_a[i]), axis),
                    _turned(comparison.b.read(names_b[j]), axis),
                )
                similarity = cosines(mine, theirs)
                partners = best_partners(similarity)
                moved = mean_of_partners(similarity, partners)
                in_place = float(np.diagonal(similarity).mean())
                if moved >= max(MOVED_ALIKE, STAYED * in_place) and stand_out(moved, [mine], [theirs]):
                    found.append(TensorPair(names_a[i], names_b[j], axis, partners))
        used_a, used_b = {pair.a for pair in found}, {pair.b for pair in found}
        rest_a = [x for x, _ in left if x not in used_a]
        rest_b = [y for _, y in left if y not in used_b]
        left = [(x, y) for x in rest_a for y in [_first_of_shape(comparison, x, rest_b)] if y is not None]
    return found + [TensorPair(x, y, 0, None) for x, y in left]


def _first_of_shape(comparison: Comparison, name: str, rest: list[str]) -> str | None:
    """Takes the first tensor of b out of `rest` that has the shape of a's `name`."""
    for other in rest:
        if comparison.b.shapes[other] == comparison.a.shapes[name]:
            rest.remove(other)
            return other
    return None


def _table_shapes(comparison: Comparison) -> set[tuple[int, ...]]:
    names = ((comparison.a, comparison.layout_a.embedding), (comparison.b, comparison.layout_b.embedding))
    return {checkpoint.shapes[name] for checkpoint, name in names if name is not None}


def _renumbered_tables(comparison: Comparison) -> list[TensorPair]:
    """Token tables and heads of equal height whose tokens, by their text, have other numbers on the other side."""
    if comparison.have_one_tokenizer:
        return []
    vocabulary_a, vocabulary_b = comparison.vocabularies
    names = comparison.layout_a.embedding, comparison.layout_b.embedding
    if vocabulary_a is None or vocabulary_b is None or names[0] is None or names[1] is None:
        return []
    height = comparison.a.shapes[names[0]][0]
    order = np.arange(height)
    for token, i in vocabulary_a.ids.items():
        j = vocabulary_b.ids.get(token, i)
        if i < height and j < height:
            order[i] = j
    moved = bool((order != np.arange(height)).any())
    if comparison.b.shapes[names[1]] != comparison.a.shapes[names[0]] or not moved or len(np.unique(order)) != height:
        return []
    heads = [
        [
            name
            for name in layout.learned
            # The bias of a head is as long, but has no rows to compare.
            if has_role(name, "head") and len(shape := layout.checkpoint.shapes[name]) == 2 and shape[0] == height
        ]
        for layout in (comparison.layout_a, comparison.layout_b)
    ]
    tables = [(names[0], names[1]), *zip(*heads, strict=False)]
    # The files may lie about their tokens, so the better of the two orders is taken. How often tokens occur makes
    # even strangers' tables a little alike, in either.
    return [
        TensorPair(x, y, 0, order)
        for x, y in tables
        if comparison.a.shapes[x] == comparison.b.shapes[y] and _is_renumbered(comparison, x, y, order)
    ]


def _is_renumbered(comparison: Comparison, a: str, b: str, order: np.ndarray) -> bool:
    """Whether rows of two tables are more alike in b's other order than as they stand."""
    rows = torch.from_numpy(spread_indices(len(order), TOKENS_READ))
    mine, theirs = comparison.a.read(a)[rows].float(), comparison.b.read(b)
    as_they_stand, renumbered = theirs[rows].float(), theirs[torch.from_numpy(order)[rows]].float()
    cosine = torch.nn.functional.cosine_similarity
    return float(cosine(mine, renumbered).mean()) > float(cosine(mine, as_they_stand).mean())


def _put_in_order(comparison: Comparison, units: UnitPair) -> list[TensorPair]:
    """The tensors of a re-ordered layer with the order that undoes it; empty where the layer is in order."""
    layers = zip(SIDES, (units.a, units.b), strict=True)
    if not all(_has_all_rows(comparison, side, member.name) for side, layer in layers for member in layer.members):
        return []
    if units.a.width > LARGEST_REORDERED or order_agreement(comparison.unit_partners(units)) >= IN_ORDER:
        return []
    similarity = comparison.similarity(units, np.arange(units.a.width))
    partners = best_partners(similarity)
    alike = mean_of_partners(similarity, partners) / len(units.members)
    in_place = float(np.diagonal(similarity).mean()) / len(units.members)
    views = [[comparison.vectors(side, pair[k]) for pair in units.members] for k, side in enumerate(SIDES)]
    if alike < max(ALIKE, STAYED * in_place) or not stand_out(alike, *views):
        return []
    return list(_whole_tensors(comparison, units, partners))


def _has_all_rows(comparison: Comparison, side: Side, name: str) -> bool:
    """Whether all rows of a tensor are here: among some rows a moved one finds a neighbour, not its partner."""
    here, there = comparison.shapes_of(side, name)
    return here[:1] == there[:1]


def _whole_tensors(comparison: Comparison, units: UnitPair, partners: np.ndarray) -> Iterator[TensorPair]:
    """The tensors of a layer all of whose rows or columns are units, with an order for all of them."""
    tensors: dict[tuple[str, str, int], list[tuple[Member, Member]]] = defaultdict(list)
    for mine, theirs in units.members:
        if mine.axis == theirs.axis:
            tensors[mine.name, theirs.name, mine.axis].append((mine, theirs))
    for (a, b, axis), members in tensors.items():
        length = comparison.a.shapes[a][axis]
        order = np.full(length, -1)
        for mine, theirs in members:
            order[mine.places] = np.arange(comparison.b.shapes[b][axis])[theirs.places][partners]
        # Gates and values may lie in one tensor; half of one would be held against the whole.
        if comparison.a.shapes[a] == comparison.b.shapes[b] and np.array_equal(np.sort(order), np.arange(length)):
            yield TensorPair(a, b, axis, order)


def _sketch(comparison: Comparison, side: Side, name: str) -> np.ndarray:
    """Values at fixed even places, centred and scaled to length one."""
    comparison.check()
    values = comparison.checkpoint(side).read(name).flatten()
    sample = np.nan_to_num(values[torch.from_numpy(spread_indices(len(values), SKETCH_VALUES))].double().numpy())
    sample = sample - sample.mean()
    sketch: np.ndarray = sample / max(float(np.linalg.norm(sample)), 1e-300)
    return sketch


def _turned(values: torch.Tensor, axis: int) -> torch.Tensor:
    """One row of numbers for each place along the axis; convolutions have more than two axes."""
    return values.float().transpose(0, axis).flatten(1)
