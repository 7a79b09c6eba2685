"""Do the two models declare the same design?

Compares the entries of config.json that fix shapes and arithmetic. Thousands of models share a design, so this opens a
question and never closes it.

Blind to: weights. Strangers of one recipe agree fully; changing one number hides a copy.
"""

from __future__ import annotations

from tools.comparison import Comparison
from tools.evidence import Abstention, Evidence, Finding

UNIT = "share of the declared design entries that are equal, 0 to 1"
NULL = "none: strangers of one recipe have equal configurations"
ROLE = "context"
SEES_THROUGH = ("add_noise", "cast", "shuffle_units", "shuffle_heads", "rotate_residual")
REFERENCE = "the configuration hash of the model-provenance-kit, here without the power to decide"

# Entries that describe where a model came from or how it is loaded rather than what it computes.
NOT_DESIGN = frozenset(
    {
        "_name_or_path", "architectures", "auto_map", "transformers_version", "torch_dtype", "dtype", "model_type",
        "use_cache", "output_attentions", "output_hidden_states", "return_dict", "name", "id2label", "label2id",
    }
)  # fmt: skip


def measure(comparison: Comparison) -> Finding:
    a, b = comparison.a.config, comparison.b.config
    if not a or not b:
        return Abstention("At least one side has no configuration file.")
    keys = {key for key in a.keys() | b.keys() if key not in NOT_DESIGN}
    in_both = {key for key in keys if key in a and key in b}
    if not in_both:
        return Abstention("The two configurations have no entry in common.")
    equal = {key for key in in_both if a[key] == b[key]}
    where = {
        "equal": len(equal),
        "different": sorted(str(key) for key in in_both - equal),
        "only_a": len({key for key in keys if key not in b}),
        "only_b": len({key for key in keys if key not in a}),
        "same_type": a.get("model_type") == b.get("model_type"),
    }
    return Evidence(len(equal) / len(in_both), None, len(in_both), where)
