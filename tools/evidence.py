"""What a probe brings back, and what a probe is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tools.comparison import Comparison

Role = Literal["decides", "context"]


@dataclass(frozen=True)
class Evidence:
    """A measurement.

    `log10_pvalue` is a base-10 logarithm, because copies reach far below 1e-308; None where a probe has no null.
    `n` counts what was measured (units, elements, tokens); `where` tells it apart by layer or tensor, as plain JSON.
    """

    statistic: float
    log10_pvalue: float | None
    n: int
    where: Any = field(default_factory=list)


@dataclass(frozen=True)
class Abstention:
    """A probe that could not measure, and why, in one English sentence."""

    reason: str


Finding = Evidence | Abstention


@dataclass(frozen=True)
class Probe:
    """One question that two checkpoints can answer.

    `about` starts with the question a user reads and says what the probe is blind to. `null` is what it supposes of
    strangers. Only a probe whose role is "decides" may carry a verdict; context opens a question and never closes it.
    """

    name: str
    about: str
    unit: str
    null: str
    role: Role
    sees_through: frozenset[str]
    reference: str
    measure: Callable[[Comparison], Finding]

    @property
    def question(self) -> str:
        return self.about.strip().splitlines()[0].strip()


def finding_record(probe: Probe, finding: Finding) -> dict[str, Any]:
    """The finding as the result contract writes it."""
    head = {"question": probe.question, "role": probe.role}
    if isinstance(finding, Abstention):
        return head | {"abstained": finding.reason}
    return head | {
        "statistic": finding.statistic,
        "unit": probe.unit,
        "log10_pvalue": finding.log10_pvalue,
        "n": finding.n,
        "where": finding.where,
    }
