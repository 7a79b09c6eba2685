"""Are the p-values of strangers uniform, seeing that pairs share models? python -m benchmarks.uniformity [--seeds N].

A Kolmogorov-Smirnov test takes pairs for independent. Pairs of a dozen models are not: every model lends its order to
eleven of them. Under the null a model's order is as good as any other, and the matchings do not depend on it; so all
models are given new orders again and again, the p-values follow from the matchings that were found, and the real
Kolmogorov-Smirnov distance is held against those of the new orders. For `unit_partners` what is renumbered is the units
as the second tensor describes them, and the two matchings are always compared over a's units; the probe compares them
over the side that comes first by content, so its p-values differ a little from these.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any
from unittest import mock

import numpy as np
from scipy import stats

from benchmarks.accuracy import SEEDS
from benchmarks.zoo import RECIPES, Zoo
from tools.comparison import Comparison
from tools.evidence import Evidence
from tools.matching import order_agreement
from tools.probes import coordinate_order, unit_order, unit_partners, unit_relations, value_order
from tools.significance import fisher, rank_agreement
from tools.sources import open_checkpoint

PROBES = (coordinate_order, unit_order, unit_relations, value_order, unit_partners)
NEW_ORDERS = 200

# One matching: what names its units in a and in b, and the partners; of unit_partners the partners by either tensor.
Matching = tuple[str, str, np.ndarray, np.ndarray]
# The matchings of a pair, and its two models.
Pair = tuple[str, str, list[Matching]]


def matchings(probe: Any, comparison: Comparison) -> list[Matching]:
    """What the probe matched in these two models; none where it abstains."""
    seen: list[Any] = []

    def agreement(partners: np.ndarray) -> float:
        seen.append((np.arange(len(partners)), partners))
        return order_agreement(partners)

    real = unit_partners._two_matchings

    def two_matchings(one: Any, other: Any, *rest: Any) -> tuple[np.ndarray, np.ndarray]:
        first, second = real(one, other, *rest)
        if unit_partners._rank(one) > unit_partners._rank(other):
            # Rows are b's units then, and partners a's.
            first, second = np.argsort(first), np.argsort(second)
        seen.append((first, second))
        return first, second

    with ExitStack() as replaced:
        for place in ("tools.order", "tools.probes.unit_relations", "tools.probes.coordinate_order"):
            replaced.enter_context(mock.patch(f"{place}.order_agreement", agreement))
        replaced.enter_context(mock.patch("tools.probes.unit_partners._two_matchings", two_matchings))
        finding = probe.measure(comparison)
    if not isinstance(finding, Evidence):
        return []
    rows = finding.where if isinstance(finding.where, list) else [{"a": "", "b": ""}]
    return [(row["a"], row["b"], first, second) for row, (first, second) in zip(rows, seen, strict=True)]


def log10_pvalue(pair: Pair, orders: dict[tuple[str, str, int], np.ndarray] | None, draw: np.random.Generator) -> float:
    """The pair's p-value as the probe combines it; with `orders`, after both models' units were given new numbers."""
    a, b, found = pair
    logs = []
    for of_a, of_b, first, second in found:
        size = len(first)
        if orders is not None:
            for key in ((a, of_a, size), (b, of_b, size)):
                if key not in orders:
                    orders[key] = draw.permutation(size)
            renumbered = np.empty_like(second)
            renumbered[orders[a, of_a, size]] = orders[b, of_b, size][second]
            second = renumbered
        logs.append(rank_agreement(float(np.corrcoef(first, second)[0, 1]), size))
    return fisher(logs)


def tested(pairs: Sequence[Pair], draw: np.random.Generator, *, anew: bool) -> Any:
    """Kolmogorov's and Smirnov's test of the p-values of these pairs against the uniform law."""
    orders: dict[tuple[str, str, int], np.ndarray] | None = {} if anew else None
    return stats.kstest([10.0 ** log10_pvalue(pair, orders, draw) for pair in pairs], "uniform")


def collected(zoo: Zoo, seeds: Sequence[int]) -> Iterator[tuple[str, Pair]]:
    """Every probe's matchings in every pair of one recipe."""
    for recipe in RECIPES:
        models = {f"{recipe} {seed}": open_checkpoint(str(zoo.model(recipe, seed))) for seed in seeds}
        for a, b in itertools.combinations(models, 2):
            comparison = Comparison(models[a], models[b])
            for probe in PROBES:
                if found := matchings(probe, comparison):
                    yield probe.__name__.rpartition(".")[2], (a, b, found)
        print(f"{recipe}: matched", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Match, renumber and print; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.uniformity", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="models of each recipe")
    parser.add_argument("--first", type=int, default=0, help="their first seed")
    parser.add_argument("--orders", type=int, default=NEW_ORDERS, help="how often all models get new orders")
    asked = parser.parse_args(arguments)
    by_probe: dict[str, list[Pair]] = defaultdict(list)
    for name, pair in collected(Zoo(), range(asked.first, asked.first + asked.seeds)):
        by_probe[name].append(pair)
    draw = np.random.default_rng(0)
    for name, pairs in by_probe.items():
        real = tested(pairs, draw, anew=False)
        others = [tested(pairs, draw, anew=True).statistic for _ in range(asked.orders)]
        at_least = (1 + sum(other >= real.statistic for other in others)) / (1 + len(others))
        print(
            f"{name:<17} {len(pairs)} pairs, distance {real.statistic:.3f}; p if pairs were independent "
            f"{real.pvalue:.3f}, by {asked.orders} new orders {at_least:.3f}"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
