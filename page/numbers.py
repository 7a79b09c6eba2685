"""Numbers as a reader sees them. Only formats; every value comes from a result."""

from __future__ import annotations

import math

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: object) -> str:
    """A measured value with three significant digits; a dash where there is none."""
    if isinstance(value, bool):
        return "✓" if value else "✗"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    if not isinstance(value, float) or not math.isfinite(value):
        return "–"
    shown = f"{value:z.3g}" if abs(value) < 1e5 else f"{value:.2e}"
    return shown.replace("-", "\u2212")


def agreement(value: float) -> str:
    """An agreement between -1 and 1, never rounded up to a full 1 (but for the error of the arithmetic)."""
    text = f"{value:z.3f}"
    if text == "1.000" and value < 1.0 - 1e-9:
        text = "0.999"
    return text.replace("-", "\u2212")


def chance(log10_pvalue: object) -> str:
    """A probability given by its decimal logarithm: `0.03`, or `10⁻³¹²` where digits would not fit."""
    if not isinstance(log10_pvalue, (int, float)) or math.isnan(log10_pvalue):
        return "–"
    if log10_pvalue == -math.inf:
        return "0"
    if log10_pvalue > -3.5:
        return f"{10**log10_pvalue:.2g}"
    return "10" + str(math.ceil(log10_pvalue)).translate(SUPERSCRIPTS)


def log10(value: float) -> str:
    """A logarithm with one digit and a true minus sign."""
    return f"{value:z.1f}".replace("-", "\u2212")


def size(count: object) -> str:
    """Bytes in decimal units."""
    if not isinstance(count, (int, float)):
        return "–"
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


def seconds(value: object) -> str:
    """A duration: `0.03 s`, `1.2 s`, `2 min 5 s`."""
    if not isinstance(value, (int, float)):
        return "–"
    if value < 0.095:
        return f"{value:.2f} s"
    if value < 60:
        return f"{value:.1f} s"
    return f"{int(value // 60)} min {int(value % 60)} s"


def share(value: object) -> str:
    """A share of the whole in per cent."""
    return f"{100 * value:z.1f}".removesuffix(".0") + " %" if isinstance(value, (int, float)) else "–"
