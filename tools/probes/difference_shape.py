"""What lies between the two models: rounding, noise, a few directions, or training?

Pairs every large tensor of one model with the one of the other that it resembles, undoes re-ordered units and rotated
coordinates, and looks at what is left: nothing, the flat error of rounding, evenly spread Gaussian noise, a low-rank
change, values set to zero, or the uneven change that training leaves.

Blind to: whether the models are related at all (it supposes so), training hidden under larger noise.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from tools.comparison import Comparison
from tools.evidence import Abstention, Evidence, Finding
from tools.gauge import is_in_place, is_permutation
from tools.merging import merge_of, weighted_median
from tools.names import in_tower

UNIT = "size of the difference relative to the weights, 0 for none"
NULL = "none: tells how two models differ once others have found that they are related"
ROLE = "context"
SEES_THROUGH = ("add_noise", "rename_tensors", "cast", "shuffle_units", "shuffle_heads", "rotate_residual")
REFERENCE = "method K1, residual anatomy; Marchenko and Pastur (1967) for the edge of noise"


# After an estimated rotation, differences of this size are what rounding to a 16-bit format leaves.
ROTATION_ERROR = 3e-3
# Without that rounding no more is left than this, and what is was changed.
ROTATION_ALONE = 1e-5
# Noise below rounding: how far the logarithm of a tensor's may lie from the usual one, and the share of the numbers.
ONE_SIZE, NEARLY_ALL = 0.15, 0.9
# The least share of noise among the numbers that noise or training changed.
LEAST_NOISE = 0.2
# Other coordinates are believed where they make this share of the numbers in layers resemble their counterparts.
WHOLE = 0.5


def measure(comparison: Comparison) -> Finding:
    rows = _rows(comparison)
    coordinates = "own"
    layers = _in_stream(comparison, rows)
    if 2 * _related(layers, as_it_lies=True) <= max(_related(layers), WHOLE * _numbers(layers)):
        # Little resembles its counterpart as it lies: the coordinates may stand in another order, or be turned.
        turned = comparison.in_one_basis
        turned = None if turned is None or is_in_place(turned[1]) else turned
        seen = [] if turned is None else _rows(turned[0])
        layers_seen = [] if turned is None else _in_stream(turned[0], seen)
        # Rows or columns that were moved are found one tensor at a time; one turn that puts all in place tells more.
        gained = _likeness(layers_seen) > _likeness(layers)
        if turned is not None and gained and _related(layers_seen) > WHOLE * _numbers(layers_seen):
            formats = {*comparison.a.dtypes.values(), *comparison.b.dtypes.values()}
            alone = ROTATION_ERROR if formats & {"bfloat16", "float16"} else ROTATION_ALONE
            comparison, rotation = turned
            coordinates = "permuted" if is_permutation(rotation) else "rotated"
            rows = seen
            for row in rows:
                if row["kind"] != "unrelated" and row["statistic"] < ROTATION_ERROR:
                    row["alone"] = row["kind"] != "rescaled" and row["statistic"] < alone
                    row["kind"] = "equal"
    if coordinates == "own" and merge_of(rows) is not None:
        # The smaller part of a merge resembles it little, but is there in every tensor alike.
        for row in rows:
            row["kind"] = "trained" if row["kind"] == "unrelated" else row["kind"]
    _doubt_noise(rows)
    if not _related(rows):
        return Abstention(
            "No tensor of one model resembles a tensor of the other, in any coordinates that could be found."
        )
    related = [row for row in rows if row["kind"] != "unrelated"]
    sizes: dict[str, int] = defaultdict(int)
    for row in rows:
        sizes[row["kind"]] += row["n"]
    total = sum(sizes.values())
    beside = comparison.layers_beside_the_main_ones
    where = {
        "coordinates": coordinates,
        "layers_of_a": (len(comparison.layout_a.main_layers) or comparison.layout_a.depth) + beside[0],
        "layers_of_b": (len(comparison.layout_b.main_layers) or comparison.layout_b.depth) + beside[1],
        "units_of_a": comparison.layout_a.units_per_layer,
        "units_of_b": comparison.layout_b.units_per_layer,
        "shares": {kind: size / total for kind, size in sorted(sizes.items())},
        "share_of_a": total / max(comparison.layout_a.parameters, 1),
        "share_of_b": total / max(comparison.layout_b.parameters, 1),
        "tensors": rows,
    }
    count = sum(row["n"] for row in related)
    return Evidence(sum(row["statistic"] * row["n"] for row in related) / count, None, count, where)


def _doubt_noise(rows: list[dict[str, Any]]) -> None:
    """Single tensors look like noise after training too. Noise is not a small part of what training changed.

    Below rounding little tells the two apart, and noise must be of one size in nearly all tensors.
    """
    fine = [row for row in rows if row["below_rounding"]]
    noisy = [row for row in fine if row["kind"] == "noise"]
    counts, sizes = (np.array([row[key] for row in noisy], dtype=float) for key in ("n", "amount"))
    if noisy:
        off = np.abs(np.log(sizes / weighted_median(sizes, counts)))
        if counts[off <= ONE_SIZE].sum() < NEARLY_ALL * sum(row["n"] for row in fine):
            for row in noisy:
                row["kind"], row["amount"], row["alone"] = "recast", None, False
    noisy = [row for row in rows if row["kind"] == "noise"]
    few, many = (sum(row["n"] for row in rows if row["kind"] == kind) for kind in ("noise", "trained"))
    if few < LEAST_NOISE * (few + many):
        for row in noisy:
            row["kind"], row["amount"], row["alone"] = "trained", row["statistic"], False


def _related(rows: list[dict[str, Any]], as_it_lies: bool = False) -> int:
    """How many numbers lie in tensors that resemble their counterpart, or do so without being re-ordered."""
    return sum(row["n"] for row in rows if row["kind"] != "unrelated" and not (as_it_lies and row["reordered"]))


def _likeness(rows: list[dict[str, Any]]) -> tuple[int, int]:
    return _related(rows), _related(rows, as_it_lies=True)


def _numbers(rows: list[dict[str, Any]]) -> int:
    return sum(row["n"] for row in rows)


def _in_stream(comparison: Comparison, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of tensors that a rotation turns, token tables left out; all where there are none.

    A rotation fitted on two unrelated tables brings them nearer, but not the layers. A tower has a stream of its own.
    """
    layout = comparison.layout_a
    found = [
        row
        for row in rows
        if layout.residual_width in comparison.shape_in_file("a", row["a"])
        and not row["table"]
        and not in_tower(row["a"])
    ]
    return found or rows


def _rows(comparison: Comparison) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    layout = comparison.layout_a
    for pair in comparison.tensor_pairs:
        difference = comparison.difference(pair)
        rows.append(
            {
                "a": pair.a,
                "b": pair.b,
                "kind": difference.kind,
                "amount": difference.amount,
                "statistic": difference.relative_size,
                "cosine": difference.cosine,
                "along_a": difference.along_a,
                "along_b": difference.along_b,
                "coarser": difference.coarser,
                "group": difference.group,
                "moved": difference.moved,
                "weight_of_a": difference.weight_of_a,
                "weight_of_b": difference.weight_of_b,
                "sizes": [difference.size_a, difference.size_b],
                "scales": difference.scales,
                "scaled_by": difference.scaled_by,
                "scaled_apart": difference.scaled_apart,
                "reordered": pair.partners is not None,
                "table": layout.is_table(pair.a),
                "below_rounding": difference.below_rounding,
                "alone": difference.alone,
                "contested": difference.contested,
                "n": comparison.stands_for(pair),
            }
        )
    return rows
