"""Do the coordinates of the token vectors stand in the same order in both models?

The coordinates in which a network writes its tokens could stand in any order. Each coordinate of one model, seen over
the tokens both know, is matched with the coordinate of the other that it resembles most. Sees a copied token table in
an otherwise own model.

Blind to: coordinates put into another order or rotated, models without common tokens. Not asked of networks that number
their coordinates themselves (fixed sinusoidal positions, time mixing), where strangers share an order.
"""

from __future__ import annotations

from tools.comparison import Comparison
from tools.evidence import Abstention, Evidence, Finding
from tools.matching import best_partners, cosines, live_units, order_agreement, spread_indices
from tools.names import has_role
from tools.roles import Layout
from tools.sides import SIDES
from tools.significance import rank_agreement

UNIT = "rank correlation of the matching with the order in the file, -1 to 1"
NULL = "strangers: the order of the coordinates is uniform among all orders, as training treats all alike"
ROLE = "decides"
SEES_THROUGH = ("add_noise", "cast", "shuffle_units", "shuffle_heads")
REFERENCE = "Zhu, Ahmed, Kuditipudi, Liang, ICML 2025, statistic phi_U, here on the columns of the token table (T1)"

COORDINATES_MATCHED = 512
FEWEST_TOKENS = 128
# Declared by networks whose positions enter by rotation or by a learned table, never by a fixed one.
ROTARY = ("rope_theta", "rope_scaling", "rope_parameters", "rotary_emb_base", "rotary_pct")


def measure(comparison: Comparison) -> Finding:
    tokens = comparison.shared_tokens
    if tokens is None or len(tokens[0]) < FEWEST_TOKENS:
        return Abstention("The models have no table of common tokens.")
    if not all(_coordinates_are_alike(layout) for layout in (comparison.layout_a, comparison.layout_b)):
        return Abstention(
            "At least one network may number its coordinates itself, so strangers could share their order."
        )
    tables = [comparison.token_vectors(side).T for side in SIDES]
    if tables[0].shape[0] != tables[1].shape[0]:
        return Abstention("The token vectors of the two models have different lengths.")
    chosen = spread_indices(tables[0].shape[0], COORDINATES_MATCHED)
    chosen = chosen[live_units([tables[0][chosen]]) & live_units([tables[1][chosen]])]
    agreement = order_agreement(best_partners(cosines(tables[0][chosen], tables[1][chosen])))
    return Evidence(agreement, rank_agreement(agreement, len(chosen)), len(chosen), {"tokens": len(tokens[0])})


def _coordinates_are_alike(layout: Layout) -> bool:
    names = layout.checkpoint.shapes
    if any(has_role(name, "numbers_coordinates") for name in names):
        return False
    config = layout.checkpoint.config
    nested = config.get("text_config")
    declared = {**config, **(nested if isinstance(nested, dict) else {})}
    if any(key in declared for key in ROTARY):
        return True
    # States that fade tell positions without numbering what the layers pass on.
    return any(has_role(name, role) for name in layout.learned for role in ("learned_positions", "state_space"))
