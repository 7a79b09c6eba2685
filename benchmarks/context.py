"""What strangers reach in the probes that only give context: python -m benchmarks.context.

The smallest and largest values stand in the probes as STRANGERS and beside every value a reader sees, because a high
value that strangers reach too has accused people before. Run again after a change of such a probe.
"""

from __future__ import annotations

from collections import defaultdict

from benchmarks.accuracy import SEEDS, stranger_pairs
from benchmarks.zoo import RECIPES, Zoo
from tools.comparison import Comparison
from tools.evidence import Evidence
from tools.probes import probe_named
from tools.sources import open_checkpoint

PROBES = ("norm_gains", "spectra", "token_geometry", "head_space")


def main() -> None:
    """Print each probe's smallest, median and largest value by kind of strangers."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for kind, a, b in stranger_pairs(Zoo(), tuple(RECIPES), range(SEEDS)):
        with open_checkpoint(str(a)) as one, open_checkpoint(str(b)) as other:
            comparison = Comparison(one, other)
            for name in PROBES:
                finding = probe_named(name).measure(comparison)
                if isinstance(finding, Evidence):
                    values[name, kind].append(finding.statistic)
                    values[name, "all"].append(finding.statistic)
    for (name, kind), found in sorted(values.items()):
        found.sort()
        middle = found[len(found) // 2]
        print(f"{name:<15} {kind:<15} {found[0]:6.3f} {middle:6.3f} {found[-1]:6.3f} {len(found):4d} pairs")


if __name__ == "__main__":
    main()
