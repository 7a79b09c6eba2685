"""Draws docs/cost.svg, the cost of a default comparison against the size of the files: `python -m benchmarks.curve`.

Everything is shown as a multiple of what it is at the smallest size, from output/speed.json of `make bench-speed`.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed import SIZES, kept

ROOT = Path(__file__).resolve().parents[1]
FIGURES, PICTURE = ROOT / "output" / "speed.json", ROOT / "docs" / "cost.svg"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 360, 60, 570, 56, 310
LINES = (
    ("size of the files", "#6b7280", lambda row: sum(row["warm"]["bytes_total"])),
    ("processor time", "#7c3aed", lambda row: row["warm"]["processor_seconds"]),
    ("bytes read", "#2563eb", lambda row: sum(row["warm"]["bytes_read"])),
)


def draw(curve: Mapping[int, Any]) -> str:
    """The picture as SVG; `curve` holds a row of the benchmark for every size."""
    grown = [[of(curve[size]) / of(curve[SIZES[0]]) for size in SIZES] for _, _, of in LINES]
    most = max(max(values) for values in grown)

    def place(size: float, value: float) -> tuple[float, float]:
        return LEFT + (RIGHT - LEFT) * size / SIZES[-1], BOTTOM - (BOTTOM - TOP) * value / most

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#1f2937">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="16" y="28" font-size="16" font-weight="600">Cost against size, as a multiple of '
        f"{SIZES[0]} GB a model</text>",
        f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" fill="none" stroke="#9ca3af"/>',
    ]
    for size in SIZES:
        x, _ = place(size, 0.0)
        parts.append(f'<text x="{x:.0f}" y="{BOTTOM + 20}" text-anchor="middle">{size} GB</text>')
    for value in (1.0, most):
        _, y = place(0.0, value)
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{value:.0f} x</text>')
    labels = _apart([place(SIZES[-1], values[-1])[1] for values in grown])
    for (name, colour, _), values, label in zip(LINES, grown, labels, strict=True):
        points = " ".join("{:.1f},{:.1f}".format(*place(s, v)) for s, v in zip(SIZES, values, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        parts.append(f'<text x="{RIGHT + 8}" y="{label + 4:.0f}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _apart(heights: Sequence[float]) -> list[float]:
    """Places for labels near these heights, none on another."""
    places = list(heights)
    downwards = sorted(range(len(places)), key=heights.__getitem__)
    for above, below in itertools.pairwise(downwards):
        places[below] = max(places[below], places[above] + 17.0)
    return places


if __name__ == "__main__":
    PICTURE.write_text(draw(kept(FIGURES)["curve"]), encoding="utf-8")
    sys.exit(0)
