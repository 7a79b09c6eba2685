"""Does each hidden unit of one model have one and the same partner in the other, wherever it stands?

Every hidden unit is described twice, by two tensors of its layer (what switches it on and what it reads; or what it
reads and what it writes). The units of both models are matched by the first description alone, then by the second
alone. In strangers the two matchings agree about once by chance; in a copy they agree for most units, even if the units
were re-ordered. Descriptions are taken once in the model's own coordinates and once by the units' responses to the
tokens both models know, which a rotation of the coordinates does not change.

Blind to: models without two tensors a layer, rotated models that share no tokens, small merge weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from tools.comparison import UNITS_MATCHED, Comparison, Side, chosen_units, fingerprint, member_likeness
from tools.evidence import Abstention, Evidence, Finding
from tools.matching import best_partners, centred_unit_rows
from tools.roles import HiddenUnits
from tools.significance import bonferroni, chance_agreements

UNIT = "share of hidden units whose two matchings agree, 0 to 1"
NULL = "strangers: a layer's two matchings agree in a Poisson number of units, at the rate of unlike layers"
ROLE = "decides"
SEES_THROUGH = ("add_noise", "rename_tensors", "cast", "shuffle_units", "shuffle_heads", "rotate_residual")
REFERENCE = "after MATCH in Zhu et al., ICML 2025, as a weight-only double matching (method K4)"

# Fewer common tokens than this cannot tell a thousand units apart.
FEWEST_TOKENS = 128
# Layers at other depths that each layer is held against, to see how often strangers agree.
OTHER_LAYERS = 1


@dataclass(frozen=True)
class Description:
    """One layer's units as each of its tensors describes them (centred rows of length one), with fingerprints."""

    layer: HiddenUnits
    views: list[torch.Tensor]
    prints: list[np.ndarray]


def measure(comparison: Comparison) -> Finding:
    best: Evidence | None = None
    tried = 0
    for basis in ("own", "tokens"):
        described_a = list(_described(comparison, "a", basis))
        described_b = list(_described(comparison, "b", basis))
        table = _agreements(comparison, described_a, described_b)
        if table is None:
            continue
        tried += 1
        found = _evidence(described_a, described_b, table, basis)
        if best is None or (found.log10_pvalue or 0.0) < (best.log10_pvalue or 0.0):
            best = found
    if best is None:
        return Abstention(
            "The models have no layers whose units two tensors describe in coordinates or tokens that both share."
        )
    return Evidence(best.statistic, bonferroni([best.log10_pvalue or 0.0], tried), best.n, best.where)


def _described(comparison: Comparison, side: Side, basis: str) -> Iterator[Description]:
    tokens = None
    if basis == "tokens":
        shared = comparison.shared_tokens
        if shared is None or len(shared[0]) < FEWEST_TOKENS:
            return
        tokens = comparison.token_vectors(side)
    for layer in comparison.layers(side):
        if len(layer.members) < 2:
            continue
        views = [comparison.vectors(side, member) for member in layer.members]
        if tokens is not None:
            if tokens.shape[1] != layer.features:
                continue
            gain = comparison.layout(side).gain_before(layer)
            # Only tensors that read are behind the norm; what "out" writes is not scaled by it.
            views = [
                (view * gain if gain is not None and member.part != "out" else view) @ tokens.T
                for view, member in zip(views, layer.members, strict=True)
            ]
        yield Description(layer, [centred_unit_rows(view) for view in views], [fingerprint(view) for view in views])


def _agreements(comparison: Comparison, a: list[Description], b: list[Description]) -> np.ndarray | None:
    """Agreeing units of pairs of layers, (layers of a, layers of b); -1 where they do not fit or were not looked at.

    Looked at are, for every layer, the likeliest counterpart, the one at the same depth, and a few others for the null.
    """
    fits = np.array([[x.views[0].shape[1] == y.views[0].shape[1] for y in b] for x in a]).reshape(len(a), len(b))
    if not fits.any():
        return None
    likeness = np.array([[_likeness(x, y) for y in b] for x in a])
    table = np.full(fits.shape, -1)
    for i, j in sorted(_worth_a_look(np.where(fits, likeness, -np.inf))):
        if fits[i, j]:
            comparison.check()
            table[i, j] = _agreeing_units(a[i], b[j])
    return table


def _likeness(one: Description, other: Description) -> float:
    return float(np.mean([likeness for likeness, _, _ in member_likeness(one.prints, other.prints)]))


def _worth_a_look(likeness: np.ndarray) -> set[tuple[int, int]]:
    layers_a, layers_b = likeness.shape
    places = {(int(i), int(row.argmax())) for i, row in enumerate(likeness)}
    places |= {(int(column.argmax()), int(j)) for j, column in enumerate(likeness.T)}
    longest = max(layers_a, layers_b)
    for step in range(longest):
        i, j = step * layers_a // longest, step * layers_b // longest
        places |= {(i, (j + shift) % layers_b) for shift in range(1 + OTHER_LAYERS)}
        places |= {((i + shift) % layers_a, j) for shift in range(1 + OTHER_LAYERS)}
    return places


def _agreeing_units(one: Description, other: Description) -> int:
    # Which tensor of one layer answers to which of the other is not told by names; the two likeliest pairs are taken.
    pairs = sorted(member_likeness(one.prints, other.prints), reverse=True)[:2]
    matchings = []
    for _, mine, theirs in pairs:
        few, many = one.views[mine], other.views[theirs]
        if len(few) > len(many):
            few, many = many, few
        matchings.append(best_partners((few[chosen_units(len(few))] @ many.T).double().numpy()))
    return int((matchings[0] == matchings[1]).sum())


def _evidence(a: list[Description], b: list[Description], table: np.ndarray, basis: str) -> Evidence:
    rows: list[dict[str, Any]] = []
    # One to one, so that the layers which one model has more do not dilute the share, whichever side has them.
    for i, j in zip(*linear_sum_assignment(table, maximize=True), strict=True):
        one = a[i]
        if table[i, j] < 0:
            continue
        others = [table[i, k] for k in range(len(b)) if k != j and table[i, k] >= 0]
        others += [table[k, j] for k in range(len(a)) if k != i and table[k, j] >= 0]
        # Features that all models learn make layers agree that do not correspond; that rate is the null's.
        # The median, since a repeated layer has two counterparts.
        rate = max(1.0, float(np.median(others)) if others else 1.0)
        units = min(one.layer.width, b[j].layer.width, UNITS_MATCHED)
        rows.append(
            {
                "layer": one.layer.layer,
                "role": f"{one.layer.kind}, by {basis}",
                "a": one.layer.label,
                "b": b[j].layer.label,
                "statistic": float(table[i, j]) / units,
                "log10_pvalue": bonferroni(
                    [chance_agreements(int(table[i, j]), rate)],
                    int(max((table[i] >= 0).sum(), (table[:, j] >= 0).sum())),
                ),
                "n": units,
            }
        )
    units = sum(row["n"] for row in rows)
    mean = sum(row["statistic"] * row["n"] for row in rows) / units
    return Evidence(mean, bonferroni([row["log10_pvalue"] for row in rows]), units, rows)
