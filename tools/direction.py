"""Which of two linked models came from which: reasons one by one; one that contradicts another silences both.

A reason counts only where it is a trace that a change leaves on one side, and makes a parent of the other only where
nothing else lies between the two (`own_changes`): siblings have traces as well. How a model was trained leaves none
that holds for every recipe (docs/log.md), so trained pairs stay unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch

from tools import noise_side, own_changes
from tools.changes import size_changes, sizes
from tools.comparison import Comparison
from tools.evidence import Evidence, Finding
from tools.merging import Merge, merge_of
from tools.names import block_of, has_role
from tools.roles import Layout
from tools.sides import SIDES, Side, opposite
from tools.verdict import HOLDS_ADDITIONS, QUANTISED_KINDS, Answer
from tools.vocabulary import Vocabulary

# Noise this loud gives no direction: a model averaged with a stranger looks like the quieter parent of its own parent.
LOUD_NOISE = 0.5
# A kind of difference speaks for a direction when it covers this share of the compared numbers.
WORTH_TELLING = 0.02
# How many times more numbers must speak for one side than for the other.
CLEARLY_MORE = 10
# Rank correlation of token numbers with the order of merges: tokenizers number their tokens as they merge them.
NUMBERED_IN_ORDER, NUMBERED_AT_RANDOM = 0.9, 0.5
# Token rows with this cosine differ by a factor alone, up to 16-bit rounding, and how many are needed.
ONLY_SCALED, FEWEST_SCALED = 5e-6, 8
# Rows that shrank by less than this are within rounding.
LEAST_SHRINKAGE = 1e-4
# Appended rows are drawn around the mean of the others, with this share of their spread at most.
UNTRAINED_SPREAD = 0.5

Reason = tuple[Side, str]


def direction(
    comparison: Comparison,
    findings: Mapping[str, Finding],
    answer: Answer,
    part: Comparison | None = None,
    merge: Merge | None = None,
) -> dict[str, Any]:
    """Which model came from which, with reasons; unknown where the evidence does not say or contradicts itself.

    Where siblings would leave the same traces it is unknown too, and `changed` is the side that has the traces told in
    `because`.
    `part` is what was read of large models; reasons that would need more of their values are left out.
    `merge` is what named parents explain; whatever else differs came with them.
    """
    if answer not in ("disguised_copy", "derived", "shared_part"):
        return {"answer": "unknown", "because": []}
    if merge is not None:
        child: Literal["a_from_b", "b_from_a"] = "a_from_b" if merge.side == "a" else "b_from_a"
        return {"answer": child, "because": ["the models that were named as parents add up to it"]}
    votes: dict[str, list[str]] = {"a_from_b": [], "b_from_a": []}
    for side, reason in _reasons(comparison, part, findings, answer):
        kept = votes["a_from_b" if side == "a" else "b_from_a"]
        if reason not in kept:
            kept.append(reason)
    said = [answer_ for answer_, reasons in votes.items() if reasons]
    if len(said) != 1:
        return {"answer": "unknown", "because": []}
    # Also with a base named: it tells siblings of itself, and not two children of one of its children.
    shape, supposed = findings.get("difference_shape"), SIDES[said[0] == "b_from_a"]
    if not isinstance(shape, Evidence) or own_changes.may_have_changes_of_its_own(
        comparison, part or comparison, shape, supposed, votes[said[0]], in_part=answer == "shared_part"
    ):
        return {"answer": "unknown", "because": votes[said[0]], "changed": supposed}
    return {"answer": said[0], "because": votes[said[0]]}


def _reasons(
    comparison: Comparison, part: Comparison | None, findings: Mapping[str, Finding], answer: Answer
) -> Iterator[Reason]:
    """Every reason that holds, and the side it makes the child."""
    shape = findings.get("difference_shape")
    if isinstance(shape, Evidence):
        yield from _from_the_difference(shape)
        yield from _from_noise(comparison, shape, part)
        if shape.where["coordinates"] == "rotated":
            yield from _folded_gains(comparison)
    yield from _from_sizes(comparison, findings, part)
    if answer != "shared_part":
        yield from _from_tokens(comparison, everything=part is None)
        yield from _shrunken_rows(part or comparison)
        if part is None:
            yield from _repeated_heads(comparison)
    added = findings.get("shared_additions")
    if isinstance(added, Evidence):
        held: dict[Side, float] = {"a": added.where["a_holds_of_b"], "b": added.where["b_holds_of_a"]}
        high, low = sorted(SIDES, key=lambda side: -held[side])
        if held[high] >= HOLDS_ADDITIONS > held[low]:
            yield high, "it holds what the other added to the base, and more"


def _from_the_difference(shape: Evidence) -> Iterator[Reason]:
    rows = shape.where["tensors"]
    merge = merge_of(rows)
    if merge is not None:
        yield merge.side, "every tensor holds the same share of the other's, as a mean of models does"
        return
    for kinds, reason in (
        (("recast",), "its values are the other's, rounded"),
        (QUANTISED_KINDS, "its values lie on a coarser grid"),
        (("pruned",), "its values are the other's, some set to zero"),
        (("low_rank",), own_changes.FEW_DIRECTIONS),
    ):
        sides: dict[Side, float] = {
            side: sum(row["n"] for row in rows if row["kind"] in kinds and row["coarser"] == side) for side in SIDES
        }
        if max(sides.values()) > CLEARLY_MORE * min(sides.values()):
            yield max(SIDES, key=lambda side: sides[side]), reason
    for child in own_changes.grown([row for row in rows if row["kind"] == "low_rank" and row["coarser"] is None], "n"):
        yield child, own_changes.FEW_DIRECTIONS
    # A grid tells the direction itself; tools scale by what they measured before they round.
    for child in own_changes.grown([row for row in rows if row["scales"] and row["coarser"] is None], "scales"):
        yield child, own_changes.SCALED


def _from_noise(comparison: Comparison, shape: Evidence, part: Comparison | None) -> Iterator[Reason]:
    """The side that holds the noise, by all values alike, or else by the directions of models that were read whole."""
    rows = [row for row in shape.where["tensors"] if row["kind"] == "noise" and row["amount"] < LOUD_NOISE]
    if shape.where["shares"].get("noise", 0.0) <= WORTH_TELLING:
        return
    children = [*own_changes.grown(rows, "n")]
    if not children and part is None and shape.where["coordinates"] == "own":
        children = [*own_changes.one_side(noise_side.along_sides(comparison, rows))]
    for child in children:
        yield child, own_changes.NOISY


def _from_sizes(comparison: Comparison, findings: Mapping[str, Finding], part: Comparison | None) -> Iterator[Reason]:
    """Reasons from a change of size. What one side alone has was left out of the other, or put in: 0098."""
    a, b = sizes(comparison.layout_a), sizes(comparison.layout_b)
    for change in size_changes(comparison, findings, part):
        if change["kind"] == "layers_repeated":
            yield "a" if a.layers > b.layers else "b", own_changes.MORE_LAYERS
        elif change["kind"] == "experts_from_dense":
            yield "a" if a.experts else "b", "its experts come from the other's layers"


def _folded_gains(comparison: Comparison) -> Iterator[Reason]:
    """Whoever rotates a model must first fold its norms' gains into the weights; trained gains are never all equal."""
    folded = {side: _gains_are_one(comparison.layout(side)) for side in SIDES}
    for side, other in (SIDES, SIDES[::-1]):
        if folded[side] and not folded[other]:
            yield side, own_changes.FOLDED


def _gains_are_one(layout: Layout) -> bool:
    width = layout.residual_width
    gains = [
        name
        for name, shape in layout.checkpoint.shapes.items()
        if shape == (width,) and not name.endswith("bias") and layout.checkpoint.dtypes[name] in _FLOATS
    ]
    return bool(gains) and all(bool((layout.gain(name) == 1.0).all()) for name in gains)


_FLOATS = ("float64", "float32", "float16", "bfloat16")


def _from_tokens(comparison: Comparison, *, everything: bool) -> Iterator[Reason]:
    """Numbers given at random, tokens left out here and there, rows appended that nobody trained."""
    vocabularies = comparison.vocabularies
    names = comparison.layout_a.embedding, comparison.layout_b.embedding
    if vocabularies[0] is None or vocabularies[1] is None or names[0] is None or names[1] is None:
        return
    order = {side: _merge_order(known) for side, known in zip(SIDES, vocabularies, strict=True) if known is not None}
    for side, other in (SIDES, SIDES[::-1]):
        own, others = order[side], order[other]
        if own is not None and others is not None and own < NUMBERED_AT_RANDOM and others > NUMBERED_IN_ORDER:
            yield side, own_changes.RENUMBERED
    heights = comparison.a.shapes[names[0]][0], comparison.b.shapes[names[1]][0]
    if heights[0] == heights[1]:
        return
    small: Side = "a" if heights[0] < heights[1] else "b"
    few, many = vocabularies if small == "a" else vocabularies[::-1]
    table = names[1] if small == "a" else names[0]
    assert few is not None and many is not None
    # Tokens with numbers of their own place: one left out in the middle moves all that follow.
    places = [many.ids[token] for token in sorted(few.ids, key=lambda token: few.ids[token]) if token in many.ids]
    if len(places) < len(few.ids) / 2 or places != sorted(places):
        return
    inner = places[-1] + 1 - len(places)
    if inner > min(heights) // 100 + 1:
        yield small, own_changes.FEWER_TOKENS
    elif inner == 0 and everything and _untrained(comparison.checkpoint(opposite(small)).read(table), min(heights)):
        yield opposite(small), own_changes.MORE_TOKENS


def _merge_order(known: Vocabulary) -> float | None:
    """Rank correlation of the merged tokens' numbers with the order of the merges; None without merges."""
    made = [known.ids[token] for merge in known.merges if (token := merge.replace(" ", "", 1)) in known.ids]
    if len(made) < 32:
        return None
    return float(np.corrcoef(np.argsort(np.argsort(made)), np.arange(len(made)))[0, 1])


def _untrained(table: torch.Tensor, first: int) -> bool:
    """Whether the rows from `first` on lie closer together than the rows before them."""
    spread = [
        float((part.float() - part.float().mean(dim=0)).square().mean()) for part in (table[:first], table[first:])
    ]
    return len(table) - first > 1 and spread[1] < UNTRAINED_SPREAD**2 * spread[0]


def _shrunken_rows(comparison: Comparison) -> Iterator[Reason]:
    """Rows of tokens that no text held get no gradient; further training can only shrink them, by weight decay."""
    tokens = comparison.shared_tokens
    if tokens is None or comparison.layout_a.residual_width != comparison.layout_b.residual_width:
        return
    rows = [
        comparison.checkpoint(side).read(str(comparison.layout(side).embedding))[torch.from_numpy(some)].double()
        for side, some in zip(SIDES, tokens, strict=True)
    ]
    lengths = [side.norm(dim=1).clamp_min(1e-300) for side in rows]
    apart = 1.0 - (rows[0] * rows[1]).sum(dim=1) / (lengths[0] * lengths[1])
    scaled = (apart < ONLY_SCALED) & (lengths[0] > 1e-12) & (lengths[1] > 1e-12)
    if int(scaled.sum()) < FEWEST_SCALED or int(scaled.sum()) > len(scaled) / 2:
        return
    grown = (lengths[1][scaled] / lengths[0][scaled]).log().numpy()
    usual = float(np.median(grown))
    spread = float(np.median(np.abs(grown - usual)))
    if abs(usual) > LEAST_SHRINKAGE + 3.0 * spread:
        yield "b" if usual < 0 else "a", "token rows that training did not touch have shrunk in it"


def _repeated_heads(comparison: Comparison) -> Iterator[Reason]:
    """Keys and values of which one side has each head several times over, or the mean of several of the other's."""
    repeated: dict[Side, int] = {"a": 0, "b": 0}
    pooled: dict[Side, int] = {"a": 0, "b": 0}
    for name, shape in comparison.a.shapes.items():
        other = comparison.b.shapes.get(name)
        if other is None or len(shape) != 2 or len(other) != 2 or shape == other or shape[1] != other[1]:
            continue
        if block_of(name) is None or not (has_role(name, "key") or has_role(name, "value")):
            continue
        few: Side = "a" if shape[0] < other[0] else "b"
        many = opposite(few)
        small, large = (comparison.checkpoint(side).read(name).float() for side in (few, many))
        heads = comparison.checkpoint(few).config.get("num_key_value_heads")
        times, rest = divmod(len(large), len(small))
        if not isinstance(heads, int) or heads <= 0 or len(small) % heads or rest:
            continue
        blocks = large.reshape(heads, times, len(small) // heads, -1)
        if bool((blocks == blocks[:, :1]).all()):
            repeated[many] += 1
        elif _cosine(blocks.mean(dim=1).flatten(), small.flatten()) > 1.1 * max(
            _cosine(blocks[:, place].flatten(), small.flatten()) for place in range(times)
        ):
            pooled[few] += 1
    for found, reason in ((repeated, own_changes.REPEATED_HEADS),
                          (pooled, "its key and value heads are means of several of the other's")):  # fmt: skip
        low, high = sorted(SIDES, key=lambda side: found[side])
        if found[high] > CLEARLY_MORE * found[low]:
            yield high, reason


def _cosine(x: torch.Tensor, y: torch.Tensor) -> float:
    return float((x * y).sum() / (x.norm() * y.norm()).clamp_min(1e-30))
