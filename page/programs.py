"""What the page offers to programs: one call that returns the contract's JSON."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)

# No path or hub id that anybody would type is longer; the rest is refused before it touches a disk.
LONGEST_NAME = 400


def compare(a: str, b: str, base: str = "", parents: list[str] | None = None, language: str = "en") -> dict[str, Any]:
    """Compare two models by their weights.

    Args:
        a: Name of the first model: a folder or file that this server may read.
        b: Name of the second model.
        base: Name of a model that both may come from; empty when there is none.
        parents: Names of further models of which, with b, a may be a merge.
        language: Language of errors: en or zh.

    Returns:
        The result of the comparison (schema 1), or {"error": {"kind", "message", "remedy"}}.
    """
    from agent.rules import MOST_PARENTS
    from agent.settings import allowed
    from tools.audit import compare as measure
    from tools.errors import UserError

    others = parents or []
    try:
        if not isinstance(others, list) or len(others) > MOST_PARENTS:
            raise UserError("too_many_parents", limit=MOST_PARENTS)
        names = [a, b] + ([base] if base else []) + others
        for name in names:
            if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME:
                raise UserError("not_found", name=name)
            if not allowed(name):
                raise UserError("not_allowed", name=name)
        return measure(a, b, base or None, parents=others)
    except UserError as error:
        return {"error": error.as_dict(language)}
    except Exception:
        log.exception("a comparison broke")
        return {"error": UserError("broken").as_dict(language)}
