"""Do the two files hold the same numbers, under whatever names?

Compares the values of every learned tensor with those of every tensor of the same shape on the other side, after
rounding both to the coarser of their two number formats. Names, order, shards and containers do not matter. Tables
that nobody learned (masks, positions, constants) are left out.

Blind to: any change larger than rounding, re-ordered units, transposed storage.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from tools.comparison import Comparison
from tools.evidence import Abstention, Evidence, Finding
from tools.matching import spread_indices
from tools.sides import SIDES, Side
from tools.significance import coincidence

UNIT = "share of the learned numbers found on the other side, 0 to 1"
NULL = "two models trained apart agree in a value no more often than two random draws from its distribution"
ROLE = "decides"
SEES_THROUGH = ("rename_tensors", "cast")
REFERENCE = "method K0: names-free intake; collision entropy after Renyi (1961)"

# Coarser formats later: a value that survived the coarser one tells nothing finer.
FINENESS = ["float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]
BLOCKS_READ, ROWS_PER_BLOCK = 16, 64
READ_WHOLE = 2**24
FIRST_VALUES = 4096
# A tensor stored as plain integers is the other one, rounded, when this share of its values fits one scale.
INTEGERS_FIT = 0.999

# What a tensor's values are -> the names of the tensors that have them.
Keys = dict[tuple[object, ...], list[str]]


def measure(comparison: Comparison) -> Finding:
    if not comparison.layout_a.learned or not comparison.layout_b.learned:
        return Abstention("There are no weights to compare on at least one side.")
    keys = _keys(comparison)
    matched: dict[Side, dict[str, str]] = {"a": {}, "b": {}}
    rounded: set[str] = set()
    learned = {*comparison.layout_a.learned}, {*comparison.layout_b.learned}
    for key in keys["a"].keys() & keys["b"].keys():
        # Rounding can leave so few levels that one side alone no longer looks learned; one side is enough.
        if learned[0].isdisjoint(keys["a"][key]) and learned[1].isdisjoint(keys["b"][key]):
            continue
        for name in keys["a"][key]:
            matched["a"].setdefault(name, keys["b"][key][0])
        for name in keys["b"][key]:
            matched["b"].setdefault(name, keys["a"][key][0])
    for name, partner in matched["a"].items():
        types = {comparison.a.dtypes[name], comparison.b.dtypes[partner]}
        if len(types) == 2:
            rounded.add(max(types, key=FINENESS.index))
    for name, partner in _integer_twins(comparison, matched):
        matched["a"][name] = partner
        matched["b"][partner] = name
        rounded.add("int8")

    counted: dict[Side, set[str]] = {
        "a": {*comparison.layout_a.learned, *matched["a"]},
        "b": {*comparison.layout_b.learned, *matched["b"]},
    }
    share = {side: _share(comparison, side, matched[side], counted[side]) for side in counted}
    log10_pvalue = sum(_coincidence(comparison, name, partner) for name, partner in matched["a"].items())
    where: dict[str, Any] = {
        "share_of_a": share["a"],
        "share_of_b": share["b"],
        "tensors_equal": len(matched["a"]),
        "tensors_of_a": len(counted["a"]),
        "tensors_of_b": len(counted["b"]),
        "renamed": sum(name != partner for name, partner in matched["a"].items()),
        "rounded_to": sorted(rounded),
        "repeated": _repeated(keys, {_table_shape(comparison, side) for side in SIDES}),
    }
    count = sum(_values(comparison, "a", name).numel() for name in matched["a"])
    return Evidence(min(share.values()), min(0.0, log10_pvalue), count, where)


def _table_shape(comparison: Comparison, side: Side) -> tuple[int, ...] | None:
    name = comparison.layout(side).embedding
    return None if name is None else comparison.checkpoint(side).shapes[name]


def _keys(comparison: Comparison) -> dict[Side, Keys]:
    """Digest of a tensor in every format that a tensor of its shape has on either side -> names."""
    formats: dict[tuple[int, ...], set[str]] = defaultdict(set)
    for one in (comparison.a, comparison.b):
        for name, shape in one.shapes.items():
            if one.dtypes[name] in FINENESS:
                formats[shape].add(one.dtypes[name])
    names = {
        side: [n for n in comparison.layout(side).candidates if comparison.checkpoint(side).dtypes[n] in FINENESS]
        for side in SIDES
    }
    # Nearly all tensors that differ do so at once, and need not be looked at to their end.
    first = {side: _digests(comparison, side, names[side], formats, _beginning) for side in SIDES}
    both = first["a"].keys() & first["b"].keys()
    alike = {side: {name for key in both for name in first[side][key]} for side in SIDES}
    return {
        side: _digests(comparison, side, [name for name in names[side] if name in alike[side]], formats, _values)
        for side in SIDES
    }


def _digests(
    comparison: Comparison,
    side: Side,
    names: Sequence[str],
    formats: Mapping[tuple[int, ...], set[str]],
    read: Callable[[Comparison, Side, str], torch.Tensor],
) -> Keys:
    checkpoint = comparison.checkpoint(side)
    found: Keys = defaultdict(list)
    for name in names:
        comparison.check()
        values = read(comparison, side, name)
        own = FINENESS.index(checkpoint.dtypes[name])
        for fmt in formats[checkpoint.shapes[name]]:
            if FINENESS.index(fmt) >= own:
                # A format reached by rounding must be the other side's own, or everything would agree in float8.
                found[(checkpoint.shapes[name], fmt, _digest(values, fmt))].append(name)
    return found


def _beginning(comparison: Comparison, side: Side, name: str) -> torch.Tensor:
    """The first of the values that `_values` returns."""
    checkpoint, shape = comparison.checkpoint(side), comparison.checkpoint(side).shapes[name]
    if not shape:
        return checkpoint.read(name)
    rows = math.ceil(FIRST_VALUES / max(1, math.prod(shape[1:])))
    return checkpoint.read_rows(name, 0, min(shape[0], rows, ROWS_PER_BLOCK))


def _values(comparison: Comparison, side: Side, name: str) -> torch.Tensor:
    """The tensor, or blocks of its rows at fixed even places where it is large."""
    checkpoint, shape = comparison.checkpoint(side), comparison.checkpoint(side).shapes[name]
    rows = shape[0] if shape else 1
    if comparison.full or comparison.layout(side).size(name) <= READ_WHOLE or rows < 2 * BLOCKS_READ * ROWS_PER_BLOCK:
        return checkpoint.read(name)
    starts = spread_indices(rows - ROWS_PER_BLOCK, BLOCKS_READ)
    return torch.cat([checkpoint.read_rows(name, int(s), int(s) + ROWS_PER_BLOCK) for s in starts])


def _digest(values: torch.Tensor, fmt: str) -> bytes:
    # Adding zero turns -0.0 into 0.0, which is the same number.
    exact = values.to(getattr(torch, fmt)).to(torch.float64 if fmt == "float64" else torch.float32) + 0.0
    return hashlib.blake2b(exact.contiguous().numpy().tobytes(), digest_size=20).digest()


def _integer_twins(comparison: Comparison, matched: dict[Side, dict[str, str]]) -> list[tuple[str, str]]:
    """Pairs of an integer and a floating tensor of one shape that differ by one scale and rounding, as (a, b)."""
    twins: list[tuple[str, str]] = []
    open_names: dict[Side, list[str]] = {
        "a": [name for name in comparison.layout_a.learned if name not in matched["a"]],
        "b": [name for name in comparison.layout_b.learned if name not in matched["b"]],
    }
    sides: tuple[tuple[Side, Side], ...] = (("a", "b"), ("b", "a"))
    for integer_side, float_side in sides:
        integers = [
            n for n in open_names[integer_side] if comparison.checkpoint(integer_side).dtypes[n] not in FINENESS
        ]
        for name in integers:
            shape = comparison.checkpoint(integer_side).shapes[name]
            for other in open_names[float_side]:
                if comparison.checkpoint(float_side).shapes[other] != shape:
                    continue
                whole = _values(comparison, integer_side, name).double()
                if _fits_one_scale(whole, _values(comparison, float_side, other).double()):
                    twins.append((name, other) if integer_side == "a" else (other, name))
                    break
    return twins


def _fits_one_scale(whole: torch.Tensor, real: torch.Tensor) -> bool:
    inside = whole.abs() < whole.abs().max()
    if int(inside.sum()) < 256:
        return False
    energy = float(whole[inside].square().sum())
    if energy == 0.0:
        return False
    scale = float((whole[inside] * real[inside]).sum()) / energy
    if scale == 0.0:
        return False
    # Half a step of rounding, and half a step more for truncation.
    return float(((real[inside] / scale - whole[inside]).abs() <= 1.0).double().mean()) >= INTEGERS_FIT


def _repeated(keys: Mapping[Side, Keys], tables: set[tuple[int, ...] | None]) -> int:
    """How many more tensors one side needs for the same values. A head may share its table, so tables do not count."""
    surplus = {
        key: len(keys["a"][key]) - len(keys["b"][key])
        for key in keys["a"].keys() & keys["b"].keys()
        if key[0] not in tables and isinstance(key[0], tuple) and len(key[0]) >= 2
    }
    return sum(abs(count) for count in surplus.values())


def _share(comparison: Comparison, side: Side, names: dict[str, str], counted: set[str]) -> float:
    acting = comparison.layout(side).acting
    return sum(acting(name) for name in names) / max(sum(acting(name) for name in counted), 1)


def _coincidence(comparison: Comparison, name: str, partner: str) -> float:
    """log10 chance that a stranger's tensor has these values; vectors carry none, since gains often stay at one."""
    if len(comparison.a.shapes[name]) < 2:
        return 0.0
    entropies, both = [], (_values(comparison, "a", name), _values(comparison, "b", partner))
    for values in both:
        counts = torch.unique(values.flatten()[:65_536].float(), return_counts=True)[1].double()
        entropies.append(-float(torch.log2((counts / counts.sum()).square().sum())))
    return coincidence(both[0].numel(), min(entropies))
