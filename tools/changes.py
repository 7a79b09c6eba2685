"""How one model was made from the other, with amounts: read off the findings, as plain JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tools.comparison import Comparison
from tools.depth import LayerMap, layer_map
from tools.evidence import Evidence, Finding
from tools.merging import Merge, merge_of
from tools.names import has_role, layer_of
from tools.roles import Layout
from tools.shared_layers import UNRELATED, shared_layers
from tools.sides import SIDES
from tools.verdict import QUANTISED_KINDS, Answer, links, related_share

# So many tensors of a kind are named one by one.
NAMED = 64
# A kind of difference is reported when it covers this share of the compared numbers.
WORTH_TELLING = 0.02
NEED_TRAINING_OR_SIZE = frozenset(
    {"fine_tuned", "low_rank", "pruned", "layers_removed", "layers_repeated", "narrowed", "experts_from_dense"}
)
# Probes that find units in other coordinates, whether or not any tensor resembles its counterpart there.
ELSEWHERE = ("unit_partners", "unit_relations", "turned_partners")
COORDINATES = "share of the coordinates"
OF_A_CHILD = frozenset({"noise", "low_rank", "merged", "units_permuted", "heads_permuted"})


def changes(
    comparison: Comparison,
    findings: Mapping[str, Finding],
    answer: Answer,
    merge: Merge | None = None,
    names: Sequence[str] = (),
    part: Comparison | None = None,
) -> list[dict[str, Any]]:
    """The contract's list of changes; empty where the models are not linked.

    `part` is what was read of large models, None of small ones.
    `merge` is what named parents explain; `names` are those of a, b and these, as the user gave them.
    """
    if answer in ("independent", "undecided"):
        return []
    if answer == "identical":
        return _names_and_files(comparison, findings)
    found = [
        *_names_and_files(comparison, findings),
        *(_order(comparison, findings) if merge is None else []),
        *(_values(findings) if merge is None else [_of_parents(merge, names)]),
        *size_changes(comparison, findings, part),
    ]
    if answer == "disguised_copy":
        # What little of this was seen lies within what the rule calls unclear.
        found = [entry for entry in found if entry["kind"] not in NEED_TRAINING_OR_SIZE]
    if answer == "common_origin":
        # What lies between siblings is two trainings, whatever single tensors look like.
        found = [entry for entry in found if entry["kind"] not in OF_A_CHILD]
    if answer == "shared_part":
        # A tower can be in language models of any width.
        found = [entry for entry in found if entry["unit"] != COORDINATES]
    return [*found, *(_part_only(comparison, findings, answer) if merge is None else [])]


@dataclass(frozen=True)
class Sizes:
    """What a change of size can change: tokens, layers, hidden units of a layer, coordinates of the residual stream,
    and experts; 0 where not known.
    """

    tokens: int
    layers: int
    width: int
    coordinates: int
    experts: bool


def sizes(layout: Layout) -> Sizes:
    table = layout.embedding
    return Sizes(
        layout.checkpoint.shapes[table][0] if table is not None else 0,
        layout.depth,
        layout.units_per_layer,
        layout.residual_width or 0,
        any(has_role(name, "expert") for name in layout.learned),
    )


def size_changes(
    comparison: Comparison, findings: Mapping[str, Finding], part: Comparison | None = None
) -> list[dict[str, Any]]:
    """Changes of size: tokens, layers, widths, experts. `part` is what was read of large models."""
    a, b = sizes(comparison.layout_a), sizes(comparison.layout_b)
    # Without names on one side a mixture's experts look like as many layers.
    named = [any(layer_of(name) is not None for name in side.shapes) for side in (comparison.a, comparison.b)]
    countable = named[0] == named[1] or not (a.experts or b.experts)
    found = []
    if a.tokens != b.tokens and a.tokens and b.tokens:
        where = {
            "larger": "a" if a.tokens > b.tokens else "b",
            "share_kept": _share_kept(comparison, a.tokens, b.tokens),
        }
        found.append(_change("vocabulary_extended", abs(a.tokens - b.tokens), "tokens", where))
    if a.layers != b.layers and a.layers and b.layers and countable:
        same, layers = findings.get("same_values"), _layer_map(part or comparison, findings)
        repeated = isinstance(same, Evidence) and same.statistic == 1.0 and same.where["repeated"]
        depths: dict[str, Any] = {"larger": "a" if a.layers > b.layers else "b"}
        if layers is not None:
            repeated = layers.repeated
            depths |= asdict(layers)
            depths |= {f"again_in_{side}": layers.again(side) for side in SIDES if repeated}
        kind = "layers_repeated" if repeated else "layers_removed"
        found.append(_change(kind, abs(a.layers - b.layers), "layers", depths))
    elif countable and (towers := comparison.layers_beside_the_main_ones)[0] != towers[1]:
        larger = {"larger": "a" if towers[0] > towers[1] else "b"}
        found.append(_change("layers_removed", abs(towers[0] - towers[1]), "layers", larger))
    if a.experts != b.experts and countable:
        found.append(_change("experts_from_dense"))
    elif a.experts == b.experts and a.width != b.width and a.width and b.width:
        found.append(_change("narrowed", min(a.width, b.width) / max(a.width, b.width), "share of the hidden units"))
    elif a.coordinates != b.coordinates and a.coordinates and b.coordinates:
        share = min(a.coordinates, b.coordinates) / max(a.coordinates, b.coordinates)
        found.append(_change("narrowed", share, COORDINATES))
    return found


def _part_only(comparison: Comparison, findings: Mapping[str, Finding], answer: Answer) -> list[dict[str, Any]]:
    """How much of the models is related, and which layers; of models built on one another only where some are not."""
    layers = shared_layers(comparison, findings) if answer in ("shared_part", "derived") else {}
    if answer != "shared_part" and layers.keys().isdisjoint(UNRELATED):
        return []
    layouts = comparison.layout_a, comparison.layout_b
    # Of a deeper model's layers not all were held against one of the other: some may be there twice.
    uneven = answer == "derived" and layouts[0].depth != layouts[1].depth
    if uneven:
        smaller = min(SIDES, key=lambda side: comparison.layout(side).parameters)
        layers |= {f"counted_in_{smaller}": comparison.layout(smaller).parameters}
    share = related_share(findings, of_smaller=uneven)
    return [_change("component_only", share, "share of the numbers", layers or None)]


def _share_kept(comparison: Comparison, tokens_a: int, tokens_b: int) -> float:
    """The share of the larger vocabulary that the smaller one also has, by the tokens' text where it is known."""
    few, many = sorted((tokens_a, tokens_b))
    vocabularies = comparison.vocabularies
    if vocabularies[0] is None or vocabularies[1] is None:
        return few / many
    ids = [vocabulary.ids.keys() for vocabulary in vocabularies if vocabulary is not None]
    return len(ids[0] & ids[1]) / max(len(ids[0]), len(ids[1]), 1)


def _layer_map(comparison: Comparison, findings: Mapping[str, Finding]) -> LayerMap | None:
    shape = findings.get("difference_shape")
    turned = isinstance(shape, Evidence) and shape.where["coordinates"] != "own"
    found = comparison.in_one_basis if turned else None
    return layer_map(comparison if found is None else found[0])


def _change(kind: str, amount: float | None = None, unit: str | None = None, where: Any = None) -> dict[str, Any]:
    return {"kind": kind, "amount": amount, "unit": unit, "where": where}


def _names_and_files(comparison: Comparison, findings: Mapping[str, Finding]) -> list[dict[str, Any]]:
    found = []
    shape = findings.get("difference_shape")
    if isinstance(shape, Evidence):
        related = [row for row in shape.where["tensors"] if row["kind"] != "unrelated"]
        renamed = sum(row["a"] != row["b"] for row in related)
        if renamed:
            # Vectors are not paired one by one, but take part in a renaming.
            renamed = max(renamed, len(comparison.a.shapes.keys() - comparison.b.shapes.keys()))
    else:
        same = findings.get("same_values")
        renamed = same.where["renamed"] if isinstance(same, Evidence) else 0
    if renamed:
        found.append(_change("renamed", renamed, "tensors"))
    files = [len(side.weight_files) - side.model.adapter_files for side in (comparison.a, comparison.b)]
    if files[0] != files[1]:
        found.append(_change("resharded", abs(files[0] - files[1]), "files"))
    return found


def _order(comparison: Comparison, findings: Mapping[str, Finding]) -> list[dict[str, Any]]:
    found = []
    shape = findings.get("difference_shape")
    rows = shape.where["tensors"] if isinstance(shape, Evidence) else []
    # A merge keeps the order of its parents; half of another model only blurs it.
    moved = [row for row in rows if row["reordered"] and row["kind"] != "unrelated" and merge_of(rows) is None]
    in_units = {member.name for units in comparison.layout_a.hidden_units for member in units.members}
    # A tied table that was turned is seen with a head of its own, which the file does not hold.
    tables = {row["a"] for row in rows if row["table"]}
    matched = {name: findings.get(name) for name in ("unit_partners", "turned_partners")}
    # Units of strangers can look like each other's partners; whether they are, two tensors must say.
    strangers = isinstance(matched["unit_partners"], Evidence) and not any(links(n, f) for n, f in matched.items())
    named = any(has_role(name, "attention") for name in comparison.layout_a.learned)
    rest = [row["a"] for row in moved if row["a"] not in in_units and row["a"] not in tables]
    tokens = [row["a"] for row in moved if row["a"] in tables]
    # Without names a matrix that holds no units is one of attention; with names only what is called so.
    heads = [a for a in rest if len(comparison.a.shapes[a]) == 2 and (has_role(a, "attention") or not named)]
    units = [row["a"] for row in moved if row["a"] in in_units and not strangers]
    units += [a for a in rest if a not in heads]
    if tokens:
        found.append(_change("vocabulary_permuted", len(tokens), "tensors"))
    if units:
        found.append(_change("units_permuted", len(units), "tensors", units[:64]))
    if heads:
        found.append(_change("heads_permuted", len(heads), "tensors", heads[:64]))
    coordinates = shape.where["coordinates"] if isinstance(shape, Evidence) else "own"
    if not isinstance(shape, Evidence) and any(links(n, findings.get(n)) for n in ELSEWHERE):
        # Units answer to the same tokens, or to each other, although no tensor resembles its counterpart.
        same_width = comparison.layout_a.residual_width == comparison.layout_b.residual_width
        coordinates = "rotated" if same_width else "own"
    if coordinates != "own":
        found.append(_change("rotated" if coordinates == "rotated" else "residual_permuted"))
    return found


def _values(findings: Mapping[str, Finding]) -> list[dict[str, Any]]:
    shape = findings.get("difference_shape")
    if not isinstance(shape, Evidence):
        return []
    rows = shape.where["tensors"]
    merge = merge_of(rows)
    if merge is not None:
        # What the other parent brought is neither noise nor training.
        return [_change("merged", merge.weight, "share of the other model", {"side": merge.side, "tensors": len(rows)})]
    total = sum(row["n"] for row in rows)
    found = []
    for kind, change, unit in (
        ("recast", "recast", "share of the numbers"),
        ("rescaled", "rescaled", "share of the numbers"),
        ("quantised", "quantised", "bits"),
        ("noise", "noise", "share of each tensor's standard deviation"),
        ("pruned", "pruned", "share of the values set to zero"),
        ("low_rank", "low_rank", "rank"),
        ("trained", "fine_tuned", "size of the change relative to the weights"),
    ):
        kinds = QUANTISED_KINDS if kind == "quantised" else (kind,)
        some = [row for row in rows if row["kind"] in kinds or (kind == "rescaled" and row["scales"])]
        share = sum(row["n"] for row in some) / max(total, 1)
        if share <= WORTH_TELLING:
            continue
        where: dict[str, Any] = {
            "share_of_numbers": share, "tensors": len(some), "tensors_compared": len(rows),
            "names": [row["a"] for row in some[:NAMED]],
        }  # fmt: skip
        amount = share if kind in ("recast", "rescaled") else _usual_amount(some, kind)
        if kind == "quantised":
            groups = Counter(row["group"] for row in some if row["amount"] == amount)
            where["group"] = groups.most_common(1)[0][0]
            loosely = sum(row["kind"] == "quantised_loosely" for row in some)
            where |= {"loosely": loosely} if loosely else {}
        if kind == "trained" or (kind == "recast" and not any(row["coarser"] for row in some)):
            # Where neither side is the coarser one, the two differ by less than their format's own rounding.
            where["share_moved"] = sum(row["moved"] * row["n"] for row in rows) / max(total, 1)
        found.append(_change(change, amount, unit, where))
    return found


def _of_parents(merge: Merge, names: Sequence[str]) -> dict[str, Any]:
    parents = (names[1 if merge.side == "a" else 0], *names[2:])
    weights = [[name, weight] for name, weight in zip(parents, merge.weights, strict=True) if weight]
    where: dict[str, Any] = {"side": merge.side, "weights": weights}
    if merge.kept:
        shares = [share for share, weight in zip(merge.kept, merge.weights, strict=True) if weight]
        where |= {"method": merge.method, "shares_kept": shares, "scale": merge.scale}
    return _change("merged", merge.weight, "share of the other model", where)


def _usual_amount(rows: Sequence[Mapping[str, Any]], kind: str) -> float:
    """The mean over all numbers, or the value of most tensors where it is a whole number: bits and ranks."""
    if kind in ("quantised", "low_rank"):
        counted = Counter(float(row["amount"]) for row in rows)
        return max(counted, key=lambda amount: (counted[amount], amount))
    return float(sum(row["amount"] * row["n"] for row in rows) / sum(row["n"] for row in rows))
