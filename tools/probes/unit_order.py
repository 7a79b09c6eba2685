"""Do the hidden units stand in the same order in both models?

The order of a layer's hidden units is an accident of the first random numbers: any other order works as well, and
training never changes it. Each unit of one model is matched with the unit of the other that it resembles most; if the
matching says "first with first, second with second", the models share that accident. The p-value is exact for any
second model, whatever it is.

Blind to: units put into another order, a rotated residual stream, other widths. See unit_partners for those.
"""

from __future__ import annotations

from tools.comparison import Comparison
from tools.evidence import Abstention, Evidence, Finding
from tools.order import mean_by_units, order_by_layer
from tools.significance import bonferroni, fisher

UNIT = "rank correlation of the matching with the order in the file, -1 to 1"
NULL = "strangers: the order of one model's hidden units is uniform among all orders, whatever the other model is"
ROLE = "decides"
SEES_THROUGH = ("add_noise", "rename_tensors", "cast", "shuffle_heads")
REFERENCE = "Zhu, Ahmed, Kuditipudi, Liang: Independence Tests for Language Models, ICML 2025, statistic phi_U"


def measure(comparison: Comparison) -> Finding:
    if not comparison.unit_pairs:
        return Abstention("The models have no layers of hidden units of equal shape.")
    where = order_by_layer(comparison, comparison.unit_pairs)
    logs = [row["log10_pvalue"] for row in where]
    # An MLP's units are private to their layer, so orders of different layers are independent under the null (the group
    # of re-orderings is a product) and Fisher's rule is exact. Channels of convolutions pass through shortcuts.
    together = fisher(logs) if all(pair.a.kind == "mlp" for pair in comparison.unit_pairs) else bonferroni(logs)
    mean, units = mean_by_units(where)
    return Evidence(mean, together, units, where)
