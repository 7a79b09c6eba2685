"""Do the numbers that attention heads carry stand in the same order in both models?

Within one attention head, the values it carries may stand in any order; which one is an accident of the first random
numbers, as with hidden units. Heads are paired by what does not depend on that order, then their rows are matched. Sees
a copied attention in an otherwise own model.

Blind to: values put into another order or mixed within a head, a rotated residual stream, fused or unnamed attention.
"""

from __future__ import annotations

from tools.comparison import Comparison
from tools.evidence import Abstention, Evidence, Finding
from tools.order import mean_by_units, order_by_layer
from tools.significance import fisher

UNIT = "rank correlation of the matching with the order in the file, -1 to 1"
NULL = "strangers: the order of the values within a head is uniform among all orders, whatever the other model is"
ROLE = "decides"
SEES_THROUGH = ("add_noise", "cast", "shuffle_units", "shuffle_heads")
REFERENCE = "Zhu, Ahmed, Kuditipudi, Liang, ICML 2025, statistic phi_U, here on the rows of the value projection"


def measure(comparison: Comparison) -> Finding:
    if not comparison.value_pairs:
        return Abstention("The models have no attention heads of equal size whose values could be told apart.")
    where = order_by_layer(comparison, comparison.value_pairs)
    mean, rows = mean_by_units(where)
    # Each head has an order of its own, so the p-values are independent under the null and Fisher's rule is exact.
    return Evidence(mean, fisher([row["log10_pvalue"] for row in where]), rows, where)
