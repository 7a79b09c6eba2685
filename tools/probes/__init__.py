"""The probes: one file, one question. The folder is the list."""

from __future__ import annotations

import importlib
import pkgutil
from functools import lru_cache

from tools.evidence import Probe


@lru_cache(maxsize=1)
def all_probes() -> tuple[Probe, ...]:
    """Every probe of this folder, by name.

    A probe file has a docstring whose first line is the question a user reads, the constants UNIT, NULL, ROLE,
    SEES_THROUGH, REFERENCE, and `measure(comparison) -> Finding`.
    """
    found = []
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        found.append(
            Probe(
                name=info.name,
                about=module.__doc__ or "",
                unit=module.UNIT,
                null=module.NULL,
                role=module.ROLE,
                sees_through=frozenset(module.SEES_THROUGH),
                reference=module.REFERENCE,
                measure=module.measure,
            )
        )
    return tuple(found)


def probe_named(name: str) -> Probe:
    """The probe of that name; KeyError where the folder has none."""
    return {probe.name: probe for probe in all_probes()}[name]
