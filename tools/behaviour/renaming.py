"""Which tensor of a renamed checkpoint is which tensor of another: by shape, place, and value where they tie.

The search never looks at the words in a name, only at the numbers (which layer) and at which tensors share
a pattern.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tools.checkpoint import Checkpoint
from tools.errors import Cancelled

Stop = Callable[[], bool] | None

# Tensors of strangers correlate by about 0.1 even for the 128 numbers of a small norm layer; versions of one
# tensor by 0.7 under noise as large as the tensor itself.
ALIKE = 0.3
# Rows of a tensor that stand for all of it.
ROWS_READ = 256
_NUMBER = re.compile(r"(?<![a-zA-Z0-9])\d+(?![a-zA-Z0-9])")


@dataclass(frozen=True)
class Fit:
    """Tensor of the design -> tensor of the file; the lowest correlation where values had to settle it."""

    names: dict[str, str]
    total: int
    settled_by_values: int
    lowest_correlation: float | None


def fit_names(renamed: Checkpoint, design: Checkpoint, stop: Stop = None) -> Fit | None:
    """Place every tensor of `renamed` in `design`; None where not all of them fit, each in one place."""
    if sorted(renamed.shapes.values()) != sorted(design.shapes.values()):
        return None
    names: dict[str, str] = {}
    lowest: list[float] = []
    settled = 0
    groups_design, groups_renamed = _patterns(design), _patterns(renamed)
    if {key: len(found) for key, found in groups_design.items()} != {
        key: len(found) for key, found in groups_renamed.items()
    }:
        return None
    for key, columns in groups_design.items():
        others = groups_renamed[key]
        order = range(len(columns))
        if len(columns) > 1:
            likeness = _likeness(design, columns, renamed, others, stop)
            from scipy.optimize import linear_sum_assignment

            rows, order = linear_sum_assignment(-likeness)
            lowest.append(float(likeness[rows, order].min()))
            if lowest[-1] < ALIKE:
                return None
            settled += sum(len(column) for column in columns)
        for column, place in zip(columns, order, strict=True):
            names |= dict(zip(column, others[place], strict=True))
    return Fit(names, len(renamed.shapes), settled, min(lowest, default=None))


def _patterns(checkpoint: Checkpoint) -> dict[tuple[object, ...], list[list[str]]]:
    """Columns of tensors sharing shape and pattern of name, in layer order, by shape and length."""
    columns: dict[tuple[tuple[int, ...], str], list[tuple[int, str]]] = defaultdict(list)
    for name, shape in checkpoint.shapes.items():
        # The first number counts layers; a later one may as well tell two norms of a layer apart.
        number = _NUMBER.search(name)
        columns[shape, _NUMBER.sub("#", name, count=1)].append((int(number[0]) if number else 0, name))
    groups: dict[tuple[object, ...], list[list[str]]] = defaultdict(list)
    for (shape, _), found in columns.items():
        groups[shape, len(found)].append([name for _, name in sorted(found)])
    return groups


def _likeness(
    a: Checkpoint, columns_a: list[list[str]], b: Checkpoint, columns_b: list[list[str]], stop: Stop
) -> np.ndarray:
    """Correlation of the values, averaged over layers; (columns of a, columns of b)."""
    left = [[_values(a, name, stop) for name in column] for column in columns_a]
    right = [[_values(b, name, stop) for name in column] for column in columns_b]
    return np.array(
        [[np.mean([float(x @ y) for x, y in zip(p, q, strict=True)]) for q in right] for p in left],
        dtype=float,
    )


def _values(checkpoint: Checkpoint, name: str, stop: Stop) -> np.ndarray:
    """The tensor's first rows, centred, as a vector of length one (zeros for a constant tensor)."""
    if stop is not None and stop():
        raise Cancelled
    shape = checkpoint.shapes[name]
    values = checkpoint.read_rows(name, 0, min(shape[0], ROWS_READ)) if shape else checkpoint.read(name)
    vector: np.ndarray = values.double().flatten().numpy()
    vector = vector - vector.mean() if vector.size else vector
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector
