"""Draws docs/picture.svg from two real comparisons of the first exhibit: `python -m benchmarks.picture`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tools.audit import compare

ROOT = Path(__file__).resolve().parents[1]
ORIGINAL = "exhibits/llama3v/original"
PAIRS = (
    ("exhibits/llama3v/suspect", "the suspect: renamed, with noise", "#2563eb"),
    ("exhibits/llama3v/stranger", "a stranger: same recipe, other seed", "#b45309"),
)
TITLE = "Do the hidden units stand in the same order as in the original?"
WIDTH, HEIGHT, LEFT, TOP, ROW = 760, 250, 290, 64, 18


def draw() -> str:
    """The picture as SVG: agreement of hidden units with the original, one bar a layer."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#1f2937">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="16" y="28" font-size="16" font-weight="600">{TITLE}</text>',
    ]
    top = TOP
    for name, label, colour in PAIRS:
        result = compare(name, ORIGINAL)
        rows = result["findings"]["unit_order"]["where"]
        parts.append(f'<text x="16" y="{top + 12}" font-weight="600">{label}</text>')
        parts.append(f'<text x="16" y="{top + 32}">answer: {result["answer"].replace("_", " ")}</text>')
        parts += [_bar(row, top + ROW * place, colour) for place, row in enumerate(rows)]
        top += ROW * len(rows) + 18
    return "\n".join([*parts, "</svg>", ""])


def _bar(row: dict[str, Any], y: int, colour: str) -> str:
    length = max(2.0, 380.0 * max(0.0, row["statistic"]))
    return (
        f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{ROW - 5}" rx="2" fill="{colour}"/>'
        f'<text x="{LEFT + length + 8:.1f}" y="{y + 11}" font-size="12">layer {row["layer"]}: '
        f"{row['statistic']:.2f}</text>"
    )


if __name__ == "__main__":
    (ROOT / "docs" / "picture.svg").write_text(draw(), encoding="utf-8")
    sys.exit(0)
