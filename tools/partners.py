"""Two matchings of a layer's units, each by one of its tensors alone, and whether they agree beyond luck."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy import stats

from tools.comparison import chosen_units
from tools.matching import best_partners, centred_unit_rows, unpredicted
from tools.significance import rank_agreement


def two_matchings(
    few: Sequence[torch.Tensor], many: Sequence[torch.Tensor], check: Callable[[], None]
) -> tuple[np.ndarray, np.ndarray]:
    """The partners of `few`'s chosen units by the first tensor alone, and by the second alone, (units,) each.

    Both hold two tensors of centred rows of length one, (units, features), in common coordinates; `few` has no more
    units than `many`. `check` is called between the steps, each of which takes a while in wide layers, and may raise
    Cancelled.
    """
    matchings = []
    for place in (0, 1):
        mine, theirs = few[place], many[place]
        if place:
            # What the first tensor already tells of a unit would make both matchings agree in strangers too.
            mine = centred_unit_rows(unpredicted(mine, few[0], check))
            check()
            theirs = centred_unit_rows(unpredicted(theirs, many[0], check))
        check()
        matchings.append(best_partners((mine[chosen_units(len(mine))] @ theirs.T).double().numpy()))
    return matchings[0], matchings[1]


def agreement(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """The share of units whose two matchings name one partner, and how rare so much rank agreement is by luck."""
    return {
        "statistic": float((first == second).mean()),
        "log10_pvalue": rank_agreement(float(stats.spearmanr(first, second).statistic), len(first)),
        "n": len(first),
    }
