"""One run on the exhibits, shared by all tests of lessons."""

from __future__ import annotations

from typing import Any

import pytest

from lessons.measuring import PAIRS, Runs


@pytest.fixture(scope="session")
def measured() -> dict[str, Any]:
    from tools.audit import compare

    return Runs(compare).measure(PAIRS)
