"""Do the gains of the norm layers rise and fall in the same places?

A norm multiplies every coordinate by a learned gain. All gains lie near one, so their plain cosine is near one for any
two models: that figure falsely accused the makers of Solar in January 2026. Here each vector of gains is centred first,
and the plain cosine is shown beside for comparison.

Blind to: gains folded into the weights behind them, coordinates put into another order or rotated. One recipe can push
the same coordinates in strangers, so this opens a question and closes none.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from tools.comparison import Comparison
from tools.evidence import Abstention, Evidence, Finding
from tools.names import has_role
from tools.sides import Side

UNIT = "mean correlation of the centred gains, layer by layer, -1 to 1"
NULL = "none: shown beside what strangers of the benchmark reach"
ROLE = "context"
SEES_THROUGH = ("cast", "shuffle_units", "shuffle_heads")
REFERENCE = "the Solar-Open and GLM-4.5-Air dispute, January 2026: cosine .989, centred correlation .01"

# The smallest and largest values among so many pairs of strangers; see docs/decisions/0040.
STRANGERS = (-0.10, 0.26, 324)
# A correlation over fewer numbers says nothing.
FEWEST_GAINS = 16
# Gains that hardly vary were never trained, and rounding would be all that is compared.
LEAST_SPREAD = 1e-4


def measure(comparison: Comparison) -> Finding:
    a, b = _gains(comparison, "a"), _gains(comparison, "b")
    where = []
    for length in sorted({len(gain) for _, gain in a} & {len(gain) for _, gain in b}):
        some_a = [(name, gain) for name, gain in a if len(gain) == length]
        some_b = [(name, gain) for name, gain in b if len(gain) == length]
        table = np.stack([_centred(g) for _, g in some_a]) @ np.stack([_centred(g) for _, g in some_b]).T
        for i, j in zip(*linear_sum_assignment(table, maximize=True), strict=True):
            (name_a, gain_a), (name_b, gain_b) = some_a[i], some_b[j]
            where.append(
                {
                    "a": name_a,
                    "b": name_b,
                    "statistic": float(table[i, j]),
                    "cosine": float(gain_a @ gain_b / (np.linalg.norm(gain_a) * np.linalg.norm(gain_b))),
                    "n": length,
                }
            )
    if not where:
        return Abstention("The models have no learned norm gains of equal length.")
    mean = float(np.mean([row["statistic"] for row in where]))
    cosine = float(np.mean([row["cosine"] for row in where]))
    return Evidence(mean, None, len(where), {"cosine": cosine, "strangers": list(STRANGERS), "norms": where})


def _centred(gain: np.ndarray) -> np.ndarray:
    """The gains less their mean, at length one; a product of two such vectors is their correlation."""
    apart = gain - gain.mean()
    centred: np.ndarray = apart / np.linalg.norm(apart)
    return centred


def _gains(comparison: Comparison, side: Side) -> list[tuple[str, np.ndarray]]:
    """What every norm multiplies with, in file order; norms without a learned gain are left out."""
    layout, checkpoint = comparison.layout(side), comparison.checkpoint(side)
    found = []
    for name in layout.candidates:
        shape = checkpoint.shapes[name]
        if len(shape) != 1 or shape[0] < FEWEST_GAINS:
            continue
        comparison.check()
        gain = layout.gain(name).double().numpy()
        # Under another name a vector of the inner width is a gain if it only ever scales up or down.
        if not has_role(name, "norm_gain") and not (shape[0] == layout.residual_width and (gain > 0).all()):
            continue
        if np.isfinite(gain).all() and gain.std() > LEAST_SPREAD * max(float(np.abs(gain).max()), 1e-30):
            found.append((name, gain))
    return found
