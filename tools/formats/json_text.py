"""JSON written by strangers: one object, bounded in what it costs to parse, text throughout."""

from __future__ import annotations

import json
import re
from typing import Any

# How JSON writes half of a character pair; alone it is no text and cannot be printed or stored.
_SURROGATE = re.compile(rb"\\u[dD][89abAB]|\\u[dD][c-fC-F]")


class NotAnObject(ValueError):
    """The bytes are no JSON object that can be used; `why` is one of the reasons in tools.errors."""

    def __init__(self, why: str) -> None:
        """Keep the reason."""
        super().__init__(why)
        self.why = why


def parse_object(data: bytes, *, max_commas: int, unique_names: bool = False) -> dict[str, Any]:
    """Return the object that UTF-8 bytes hold. Raises NotAnObject.

    NaN and Infinity are let through. What a comma parts costs up to about 100 bytes once parsed, so their
    number bounds the memory.
    """
    if data.count(b",") > max_commas:
        raise NotAnObject("too_many_entries")
    try:
        found = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unique if unique_names else None)
        if _SURROGATE.search(data):
            json.dumps(found, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise NotAnObject("nested_too_deep") from None
    except NotAnObject:
        raise
    except ValueError:
        raise NotAnObject("not_json") from None
    if not isinstance(found, dict):
        raise NotAnObject("not_object")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotAnObject("duplicate_name")
    return found
