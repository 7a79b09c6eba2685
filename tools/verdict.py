"""The rule: findings in, answer out. Pure, without a language model, and the only thresholds on an answer.

Every threshold has its reason in docs/decisions/0002-thresholds.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tools.evidence import Evidence, Finding
from tools.significance import at_least, bonferroni, fisher

Answer = Literal[
    "identical", "disguised_copy", "derived", "shared_part", "common_origin", "independent", "undecided"
]  # fmt: skip
LINKED: frozenset[Answer] = frozenset({"identical", "disguised_copy", "derived", "shared_part", "common_origin"})

# One false accusation in a billion comparisons of strangers, for each probe that decides.
LINK_LOG10_PVALUE = -9.0
# Rarer than this, and yet no link: too odd to call it nothing. Seen among strangers: 10^-2.9 in 168 pairs.
SUGGESTIVE_LOG10_PVALUE = -5.0
# However rare, an agreement must also be large enough to mean something; features that all models learn are not.
LEAST_EFFECT = {
    "same_values": 0.01,
    "unit_order": 0.05,
    "unit_places": 0.5,
    "unit_partners": 0.15,
    "unit_relations": 0.2,
    "turned_partners": 0.15,
    "value_order": 0.05,
    "coordinate_order": 0.2,
}
# The probes that ask layer by layer.
IN_LAYERS = ("unit_order", "unit_partners", "unit_relations", "turned_partners", "value_order")
# A layer is counted as linked by itself at one in ten thousand.
LAYER_LOG10_PVALUE = -4.0
# With less than half of the numbers linked, a part is shared and the rest is not.
WHOLE_MODEL = 0.5
# Strangers' tables of tokens and answers resemble each other too, up to 0.46; what resembles less is no sign of a part.
TABLES_ALIKE = 0.5
# Share of the numbers whose difference must be rounding, noise or nothing for "no training happened".
TRAINING_FREE = 0.95
TRAINING_FREE_KINDS = ("equal", "recast", "rescaled", "quantised", "noise")
# One side stands on a grid, off by little more than half a step; only rounding to the nearest rules training out.
QUANTISED_KINDS = ("quantised", "quantised_loosely")
# A copy holds all that the other added to the base, siblings at most half; in between nobody can say.
HOLDS_ADDITIONS = 0.8
SIBLINGS_ADDITIONS = 0.5
# A share of more than half that luck makes oftener than once in twenty speaks against nobody.
SIBLINGS_LOG10_PVALUE = -1.3
# Children keep their parent's strong directions as well as the rest: 0.91 and more. From one start: 0.64 and less.
COMMON_START = 0.78
# "Independent" needs a search that would have found a copy with this much noise.
LEAST_POWER = 0.05

STRENGTH_WORDS = (
    (-15.0, "extremely strong"),
    (-9.0, "very strong"),
    (-6.0, "strong"),
    (-3.0, "moderate"),
    (-1.3, "weak"),
)


@dataclass(frozen=True)
class Verdict:
    """The answer, the probes it leans on, how strong they are, and why where nothing could be said."""

    answer: Answer
    because: tuple[str, ...]
    log10_pvalue: float | None
    words: str | None
    reason: str | None = None


def links(name: str, finding: Finding | None) -> bool:
    """Whether this probe alone links the two models."""
    if name not in LEAST_EFFECT or not isinstance(finding, Evidence) or finding.log10_pvalue is None:
        return False
    effect = finding.statistic
    if name == "same_values":
        effect = max(finding.where["share_of_a"], finding.where["share_of_b"])
    if name in ("unit_partners", "turned_partners"):
        # A few layers may be all that was taken over.
        effect = max(row["statistic"] for row in finding.where)
    return finding.log10_pvalue <= LINK_LOG10_PVALUE and effect >= LEAST_EFFECT[name]


def decide(
    findings: Mapping[str, Finding],
    power: Mapping[str, Any] | None,
    has_weights: bool,
    everything: bool = True,
    merged: bool = False,
) -> Verdict:
    """The answer to "is one a copy of the other?". `everything` says whether all weights were read.

    `merged`: one was found to be a weighted mean of the other and of named models. It links nothing; of what is linked
    it makes `derived`, after the first three steps.

    1. Without weights on both sides: undecided.
    2. All learned numbers equal: identical; disguised_copy if they were rounded, or only a sample of them was read.
    3. No deciding probe links them: independent, if nothing odd was seen and a planted copy would have been found; else
       undecided.
    4. Linked, and a common base is named: common_origin where each holds at most half of what the other added to it, to
       within the spread between tensors; undecided where it is clearly between half and most.
    5. Linked in less than half of the numbers, or in no layer of the main residual stream; or some of its layers show
       no relation, and less than half of all numbers do: shared_part.
    6. Nothing but rounding, noise, re-ordering, rotation and rescaling lies between them, and no layer or hidden unit
       is missing or repeated: disguised_copy.
    7. What training built is shared less than the rest, in most tensors: common_origin, two trainings from one random
       start, unless most numbers are off by little more than rounding. Anything else: derived.
    """
    if not has_weights:
        return Verdict("undecided", (), None, None, "no_weights")
    linking = tuple(name for name in LEAST_EFFECT if name in findings and links(name, findings[name]))
    ran = [
        f.log10_pvalue
        for n in LEAST_EFFECT
        if isinstance(f := findings.get(n), Evidence) and f.log10_pvalue is not None
    ]
    rarest = bonferroni(ran) if ran else None
    if not linking:
        if not ran or all(not isinstance(findings.get(n), Evidence) for n in ("unit_order", "unit_partners")):
            return Verdict("undecided", (), rarest, None, "nothing_to_measure")
        if rarest is not None and rarest <= SUGGESTIVE_LOG10_PVALUE:
            odd = tuple(n for n in LEAST_EFFECT if _log10_pvalue(findings.get(n)) <= SUGGESTIVE_LOG10_PVALUE)
            return Verdict("undecided", odd, rarest, None, "suggestive")
        caught = max(
            (power or {}).get(key) or 0.0 for key in ("largest_noise_caught", "largest_noise_caught_reordered")
        )
        if caught < LEAST_POWER:
            return Verdict("undecided", (), rarest, None, "no_power")
        because = tuple(n for n in LEAST_EFFECT if isinstance(findings.get(n), Evidence))
        return Verdict("independent", because, rarest, "none")

    def linked(answer: Answer, *more: str) -> Verdict:
        return Verdict(answer, (*linking, *more), rarest, strength_words(rarest))

    same = findings.get("same_values")
    if isinstance(same, Evidence) and same.statistic == 1.0 and not same.where["repeated"]:
        return linked("disguised_copy" if same.where["rounded_to"] or not everything else "identical")
    if merged:
        return linked("derived")
    additions = findings.get("shared_additions")
    if isinstance(additions, Evidence) and additions.statistic < HOLDS_ADDITIONS:
        # What tells siblings from copies comes first, before what both share.
        if additions.statistic <= SIBLINGS_ADDITIONS or _half_within_luck(additions):
            return Verdict("common_origin", ("shared_additions", *linking), rarest, strength_words(rarest))
        because = ("shared_additions", *linking)
        return Verdict("undecided", because, rarest, None, "between_sibling_and_copy")
    extra = ("shared_additions",) if isinstance(additions, Evidence) else ()
    some_layers = bool(layers_apart(findings)) and related_share(findings) < WHOLE_MODEL
    if some_layers or linked_share(findings) < WHOLE_MODEL or has_layers_of_its_own(findings):
        return linked("shared_part", *extra)
    shape = findings.get("difference_shape")
    if isinstance(shape, Evidence):
        free = _share_of(shape, TRAINING_FREE_KINDS)
        same_size = all(shape.where.get(f"{one}_of_a") == shape.where.get(f"{one}_of_b") for one in ("layers", "units"))
        if free >= TRAINING_FREE and same_size:
            return linked("disguised_copy", *extra, "difference_shape")
    start = findings.get("shared_start")
    rounded = isinstance(shape, Evidence) and _share_of(shape, QUANTISED_KINDS) >= WHOLE_MODEL
    if (
        isinstance(start, Evidence)
        and start.statistic <= COMMON_START
        and start.where["share"] >= WHOLE_MODEL
        and not rounded
    ):
        return Verdict("common_origin", ("shared_start", *linking), rarest, strength_words(rarest))
    return linked("derived", *extra)


def _half_within_luck(additions: Evidence) -> bool:
    """Whether the tensors differ so much that the share may be half, and yet cannot be that of a copy."""
    above = additions.log10_pvalue or 0.0
    return above > SIBLINGS_LOG10_PVALUE and bool(additions.where["log10_pvalue_of_copies"] <= LAYER_LOG10_PVALUE)


def _share_of(shape: Evidence, kinds: Sequence[str]) -> float:
    """The share of the numbers whose difference is of one of these kinds."""
    return float(sum(shape.where["shares"].get(kind, 0.0) for kind in kinds))


def is_odd(findings: Mapping[str, Finding]) -> bool:
    """Whether the rule sees in these findings anything that keeps it from `independent`."""
    verdict = decide(findings, None, True)
    return verdict.reason not in ("no_power", "nothing_to_measure")


def _log10_pvalue(finding: Finding | None) -> float:
    return (finding.log10_pvalue or 0.0) if isinstance(finding, Evidence) else 0.0


def linked_share(findings: Mapping[str, Finding]) -> float:
    """The largest share of the measured numbers that one probe found linked, 0 to 1.

    Where feed-forward layers and attention were both asked and only one of them is linked, what resembles nothing on
    the other side and lies in no linked layer is believed to be unrelated; else it may only have been changed beyond
    recognition.
    """
    shares = [0.0]
    order, partners, values = (findings.get(name) for name in ("unit_order", "unit_partners", "value_order"))
    units = links("unit_order", order) or (links("unit_partners", partners) and _in_own_coordinates(partners))
    # In other coordinates the order of values says nothing, so a link by tokens alone is no sign of a part.
    elsewhere = links("unit_partners", partners) and not units
    asked = isinstance(values, Evidence) and (isinstance(order, Evidence) or isinstance(partners, Evidence))
    partial = asked and not elsewhere and units != links("value_order", values)
    same = findings.get("same_values")
    if isinstance(same, Evidence):
        shares.append(min(same.where["share_of_a"], same.where["share_of_b"]))
    for name in IN_LAYERS if not partial else ():
        finding = findings.get(name)
        if isinstance(finding, Evidence) and links(name, finding):
            # Where layers have other numbers of tensors, not all are asked for partners in turned coordinates.
            all_asked = (finding, order, partners) if name == "turned_partners" else (finding,)
            numbers = max(_numbers(each.where) for each in all_asked if isinstance(each, Evidence))
            shares.append(_numbers(linked_layers(finding)) / max(numbers, 1))
    return max(*shares, _share_of_like_tensors(findings) or 0.0)


def related_share(findings: Mapping[str, Finding], *, of_smaller: bool = False) -> float:
    """The share of all numbers of the larger model, or of the smaller one, that lie in tensors which are alike or in
    linked layers, 0 to 1.

    Where no tensors could be held against each other, what `linked_share` says of those that were asked about.
    """
    alike = _share_of_like_tensors(findings, of_smaller=of_smaller)
    return linked_share(findings) if alike is None else alike


def _share_of_like_tensors(findings: Mapping[str, Finding], *, of_smaller: bool = False) -> float | None:
    """As `related_share`; None where no tensors were held against each other."""
    shape = findings.get("difference_shape")
    if not isinstance(shape, Evidence):
        return None
    in_layers = {name for row in linked_by_units(findings) for name in row["tensors"]}
    tensors = shape.where["tensors"]
    changed = sum(row["n"] for row in tensors if row["kind"] == "unrelated" and row["a"] in in_layers)
    doubtful = sum(row["n"] for row in tensors if row["kind"] != "unrelated" and not is_related(row))
    related = 1.0 - shape.where["shares"].get("unrelated", 0.0)
    related += (changed - doubtful) / max(sum(row["n"] for row in tensors), 1)
    compared = shape.where["share_of_a"], shape.where["share_of_b"]
    return float(related * min(1.0, max(compared) if of_smaller else min(compared)))


def is_related(row: Mapping[str, Any]) -> bool:
    """Whether a row of `difference_shape` tells of related tensors; tables must be more alike than strangers' are."""
    return bool(row["kind"] != "unrelated" and (not row.get("table") or row["cosine"] >= TABLES_ALIKE))


def has_layers_of_its_own(findings: Mapping[str, Finding]) -> bool:
    """Whether layers of the main residual stream were asked about, and by no probe are they linked, alone or together.

    Then a tower or a token table is all that is shared, however many of the numbers it holds.
    """
    asked = [
        [row["log10_pvalue"] for row in finding.where if row.get("main")]
        for name in (*IN_LAYERS, "unit_places")
        if isinstance(finding := findings.get(name), Evidence)
    ]
    return any(asked) and all(min(fisher(logs), bonferroni(logs)) > LAYER_LOG10_PVALUE for logs in asked if logs)


def layers_apart(findings: Mapping[str, Finding]) -> list[dict[str, Any]]:
    """The rows of feed-forward layers of the main stream that show no relation: no probe finds their units in the other
    model, and none of their tensors is alike.

    Of layers that each probe asked about which links the two by such units, and whose tensors were compared; none where
    `likeness_tells` nothing.
    """
    shape = findings.get("difference_shape")
    if not isinstance(shape, Evidence) or not likeness_tells(findings):
        return []
    found: set[str] = set()
    for name in (*IN_LAYERS, "unit_places"):
        if isinstance(finding := findings.get(name), Evidence):
            found.update(row["a"] for row in finding.where if row["log10_pvalue"] <= LAYER_LOG10_PVALUE)
            found.update(row["a"] for row in linked_layers(finding) if links(name, finding))
    asked = {name: f for name in ("unit_order", "unit_partners") if isinstance(f := findings.get(name), Evidence)}
    rows = {row["a"]: row for finding in asked.values() for row in finding.where if row.get("main")}
    linking = [{row["a"] for row in finding.where} for name, finding in asked.items() if links(name, finding)]
    unlike = _unlike(shape)
    return [
        row
        for label, row in rows.items()
        if label not in found and unlike.issuperset(row["tensors"]) and all(label in some for some in linking)
    ]


def likeness_tells(findings: Mapping[str, Finding]) -> bool:
    """Whether tensors that are unlike may be unrelated: where a linked layer has only such, they may all be changed."""
    shape = findings.get("difference_shape")
    if not isinstance(shape, Evidence):
        return False
    unlike = _unlike(shape)
    return not any(row.get("main") and unlike.issuperset(row["tensors"]) for row in linked_by_units(findings))


def _unlike(shape: Evidence) -> set[str]:
    return {row["a"] for row in shape.where["tensors"] if row["kind"] == "unrelated"}


def linked_by_units(findings: Mapping[str, Finding]) -> list[dict[str, Any]]:
    """The rows of the layers whose hidden units a linking probe finds, probe by probe in the order of IN_LAYERS."""
    return [
        row
        for name in IN_LAYERS
        if name != "value_order" and isinstance(finding := findings.get(name), Evidence) and links(name, finding)
        for row in linked_layers(finding)
    ]


def linked_layers(finding: Evidence) -> list[dict[str, Any]]:
    """The rows of a finding, rarest first, that are linked: each by itself, or so many of them by all weak signs."""
    rows = sorted(finding.where, key=lambda row: row["log10_pvalue"])
    if any(str(row.get("role", "")).startswith("conv") for row in rows):
        # Channels of layers joined by shortcuts are no independent signs.
        return [row for row in rows if row["log10_pvalue"] <= LAYER_LOG10_PVALUE]
    return rows[: at_least([row["log10_pvalue"] for row in rows], LAYER_LOG10_PVALUE)]


def _numbers(rows: Sequence[Mapping[str, Any]]) -> int:
    return sum(row["numbers"] for row in rows)


def _in_own_coordinates(partners: Finding | None) -> bool:
    """Whether what is linked was linked in the models' own coordinates."""
    return isinstance(partners, Evidence) and all(
        str(row.get("role", "own")).endswith("own")
        for row in partners.where
        if row["log10_pvalue"] <= LAYER_LOG10_PVALUE
    )


def strength_words(log10_pvalue: float | None) -> str | None:
    """The forensic scale: how strongly the finding speaks against chance."""
    if log10_pvalue is None:
        return None
    return next((words for limit, words in STRENGTH_WORDS if log10_pvalue <= limit), "none")
