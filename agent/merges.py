"""What was measured of merging, in words: which model is a weighted mean of which, and with what weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agent.evidence import LINKED, model_name
from agent.wording import share
from tools.limits import TEXTS


def merge_words(say: Callable[..., str], result: Mapping[str, Any], told: bool = False) -> list[str]:
    """Whether one of the two models was found to be a merge, and of what; what keeps that from being said.

    One or two sentences. `told`: the changes were listed, so that weights need not be said again; then none.
    """
    not_these = TEXTS["parents_do_not_explain"]["en"] in result["limits"]
    merged = next((change for change in result["changes"] if change["kind"] == "merged"), None)
    where = merged["where"] if merged is not None and isinstance(merged["where"], Mapping) else {}
    if merged is not None and where.get("side") in ("a", "b"):
        child, other = ("a", "b") if where["side"] == "a" else ("b", "a")
        facts = {"child": model_name(result[child]["name"])}
        if where.get("weights"):
            rows = [
                say("merged_weight", name=model_name(name), weight=share(weight)) for name, weight in where["weights"]
            ]
            facts["list"] = say("comma").join(rows)
            if "method" in where:
                kept = say("comma").join(map(share, where["shares_kept"]))
                return [] if told else [say("merged_parts", method=where["method"], kept=kept, **facts)]
            return [] if told else [say("merged_weights", **facts)]
        facts |= {"other": model_name(result[other]["name"]), "weight": share(merged["amount"])}
        return [say("merged_half", **facts), say("merged_not_the_rest") if not_these else say("merged_ask")]
    if result["answer"] == "independent":
        return [say("merged_no_link")]
    if result["answer"] not in LINKED:
        return [say("merged_unknown")]
    return [say("merged_not_these")] if not_these else [say("merged_no_sign"), say("merged_ask")]
