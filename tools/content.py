"""What the values of a tensor tell of it without its name: numbers, levels, computed tables, rows in an order."""

from __future__ import annotations

import math

import numpy as np
import torch

# Among so many values different levels are looked for first.
FIRST_VALUES = 4096
# Of a row's values, each with those before it, looked at first.
FIRST_WINDOWS = 64
# Learned weights are never this predictable from their neighbours; sines, ramps and windows are.
TABLE_RESIDUAL = 1e-4
# Shorter rows are followed by a recurrence of eight terms too often.
FEWEST_IN_A_ROW = 24
# Standard errors by which neighbouring rows must be more alike than others for their order to mean something.
NEIGHBOURS_Z = 5.0


def all_finite(values: torch.Tensor) -> bool:
    # A sum that is finite has no part that is not, and to add takes a tenth of the time of asking each.
    return math.isfinite(float(values.sum())) or bool(torch.isfinite(values).all())


def distinct(values: torch.Tensor) -> int:
    return len(np.unique(values.numpy()))


def holds_levels(values: torch.Tensor, fewest: int) -> bool:
    """Whether there are so many different values; nearly always the first few thousand tell."""
    return distinct(values.flatten()[:FIRST_VALUES]) >= fewest or distinct(values) >= fewest


def neighbours_alike(rows: torch.Tensor) -> bool:
    """Whether rows resemble the next one more than one far away: then their order means something.

    What comes out may be frequencies, pixels or points in time, which lie in one order in strangers too. Hidden units
    lie in any.
    """
    rows = torch.nn.functional.normalize(rows.double() - rows.double().mean(dim=0), dim=1)
    beside, away = (rows * rows.roll(1, 0)).sum(1), (rows * rows.roll(len(rows) // 2, 0)).sum(1)
    error = ((beside.var() + away.var()) / len(rows)).sqrt()
    return bool(beside.mean() - away.mean() > NEIGHBOURS_Z * error)


def is_table(values: torch.Tensor) -> bool:
    """True where a short linear recurrence predicts the values along an axis: sines, ramps, windows, filter banks."""
    if int(torch.count_nonzero(values)) < 0.2 * values.numel() and bool((values >= 0).all()):
        return True
    return _is_grid(values) or any(_follows_recurrence(v) for v in (values, values.T) if v.shape[1] >= FEWEST_IN_A_ROW)


def _is_grid(values: torch.Tensor) -> bool:
    """Whether each column depends on the row alone, or on the place in it alone, of a square that the rows form."""
    side = math.isqrt(len(values))
    # A token of its own may stand before the square.
    if side < 4 or len(values) - side * side > 1:
        return False
    grid = values[len(values) - side * side :].reshape(side, side, -1)
    along = (grid == grid[:1]).all(dim=0).all(dim=0) | (grid == grid[:, :1]).all(dim=0).all(dim=0)
    return bool(along.all())


def _follows_recurrence(rows: torch.Tensor, order: int = 8) -> bool:
    """True where the best linear recurrence of `order` leaves next to nothing of the energy of most of some rows."""
    some = rows[:: max(1, rows.shape[0] // 8)][:8].double()
    some = some[some.any(dim=1)]
    # The first half often tells.
    unexplained = 0
    for part in some.chunk(2):
        unexplained += _unexplained(part.unfold(1, order + 1, 1))
        if 2 * unexplained >= len(some):
            return False
    return len(some) > 0


def _unexplained(windows: torch.Tensor) -> int:
    """Of how many rows the best recurrence leaves more than next to nothing, (rows, windows, order + 1)."""
    energy, found = windows[:, :, -1].square().sum(dim=1).clamp_min(1e-300), 0
    # The best one for the first windows leaves no more of them than any leaves of all, and nearly always enough.
    for count in (FIRST_WINDOWS, windows.shape[1]):
        past, present = windows[:, :count, :-1], windows[:, :count, -1:]
        solution = torch.linalg.lstsq(past, present, driver="gelsd").solution
        explained = (present - past @ solution).square().sum(dim=(1, 2)) / energy < TABLE_RESIDUAL
        found += len(windows) - int(explained.sum())
        windows, energy = windows[explained], energy[explained]
        if not len(windows):
            break
    return found
