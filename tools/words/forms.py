"""What words are made of: a phrase in both languages, shares and correlations as read, foreign names as code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tools.errors import printable

Words = dict[str, str]
Finding = Mapping[str, Any]


def percent(share: float) -> str:
    """A share as a percentage with as many digits as it deserves."""
    value = 100.0 * share
    if 0 < abs(value) < 1:
        return f"{value:.2g}%"
    return f"{value:.0f}%" if value >= 10 else f"{value:z.1f}".removesuffix(".0") + "%"


def correlation(value: float) -> str:
    """A correlation with two digits; what rounds to nothing has no sign."""
    return f"{value:z.2f}"


def code(name: str) -> str:
    """A foreign name as inline code that it cannot break out of."""
    return "`" + printable(name).replace("`", "'").replace("|", "/") + "`"
