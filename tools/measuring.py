"""Which probe is asked, of which part of the models, in which order: cheap questions first, more only if needed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from tools.checkpoint import Checkpoint
from tools.comparison import Comparison
from tools.digests import equal_by_digest
from tools.errors import UserError
from tools.evidence import Abstention, Evidence, Finding, Probe, finding_record
from tools.formats.adapter import is_adapter
from tools.moved_units import PairedUnits
from tools.moving import MovedComparison
from tools.power import measure_power
from tools.probes import all_probes, probe_named
from tools.progress import Listener, Progress
from tools.reading import (
    AlignedComparison,
    MostDifferent,
    PartialComparison,
    aligned_comparison,
    declared_comparison,
    is_large,
    likely_pairs,
    sampled_comparison,
)
from tools.roles import Layout
from tools.streaming import Stream
from tools.tensor_pairs import TensorPair
from tools.verdict import LAYER_LOG10_PVALUE, decide, is_odd, links

# Cheap questions first; what only words a link comes after what finds one.
ORDER = (
    "same_values",
    "tensor_names",
    "same_configuration",
    "same_tokenizer",
    "unit_order",
    "unit_places",
    "unit_partners",
    "unit_relations",
    "turned_partners",
    "value_order",
    "coordinate_order",
)
AFTER_A_LINK = ("difference_shape", "shared_additions", "shared_start")
# Answered by the files beside the weights and their headers.
OF_DECLARATIONS = ("tensor_names", "same_configuration", "same_tokenizer")
# Finds units wherever they stand, for which whole layers are read.
OF_WHOLE_LAYERS = "unit_partners"
IN_PLACE = "The hidden units stand in the same order in both models, so no partners had to be looked for."


@dataclass
class Measured:
    """What was found. `models` knows the roles and sizes of the whole models, `read` those of what was read of them.

    `by_digest`: the files are equal by their stated digests, and nothing was read.
    """

    models: Comparison
    read: Comparison
    findings: dict[str, Finding] = field(default_factory=dict)
    power: dict[str, Any] | None = None
    everything: bool = True
    by_digest: bool = False

    @property
    def part(self) -> Comparison | None:
        """What was read, where that is less than the models; None of small ones."""
        return None if self.read is self.models else self.read

    def linked(self) -> bool:
        return any(links(name, finding) for name, finding in self.findings.items())

    def ask(self, name: str, comparison: Comparison, listener: Listener | None) -> None:
        probe = probe_named(name)
        comparison.check()
        tell(listener, name, "started", None, None)
        started = time.monotonic()
        self.found(name, probe.measure(comparison), time.monotonic() - started, listener)

    def found(self, name: str, finding: Finding, seconds: float, listener: Listener | None) -> None:
        self.findings[name] = finding
        tell(listener, name, "done", seconds, finding_record(probe_named(name), finding))


def measure(comparison: Comparison, listener: Listener | None, progress: Progress | None = None) -> Measured:
    """Every question that the two models allow. Raises UserError for models that cannot be compared, Cancelled."""
    has_weights = comparison.a.has_weights and comparison.b.has_weights
    if has_weights and (same := equal_by_digest(comparison.a, comparison.b)) is not None:
        record = finding_record(probe_named("same_values"), same)
        tell(listener, "same_values", "started", None, None)
        tell(listener, "same_values", "done", 0.0, record)
        return Measured(comparison, comparison, {"same_values": same}, by_digest=True)
    parts = [comparison.a, comparison.b] + ([comparison.base] if comparison.base is not None else [])
    progress = progress or Progress(listener, comparison.stop)
    if has_weights and is_large(parts):
        return _measure_large(comparison, listener, progress)
    if _far_away(parts):
        progress.expect(parts, sum(part.bytes_total for part in parts))
    started = time.monotonic()
    tell(listener, "open", "started", None, None)
    if has_weights:
        _refuse(comparison, comparison)
    tell(listener, "open", "done", time.monotonic() - started, None)
    measured = Measured(comparison, comparison, ask_all(comparison, listener))
    if has_weights and not measured.linked():
        measured.power = _power(measured, comparison, None, listener)
    return measured


def ask_all(comparison: Comparison, listener: Listener | None, *, context: bool = True) -> dict[str, Finding]:
    """Every probe's finding on models that are read whole; without `context` only what an answer needs."""
    measured = Measured(comparison, comparison)
    for name in _in_order(probe for probe in all_probes() if context or probe.role == "decides"):
        measured.ask(name, comparison, listener)
    _after_a_link(measured, listener)
    return measured.findings


def _measure_large(comparison: Comparison, listener: Listener | None, progress: Progress) -> Measured:
    parts = [comparison.a, comparison.b]
    started = time.monotonic()
    tell(listener, "open", "started", None, None)
    models = declared_comparison(comparison)
    # What is fetched from far away in vain takes its time.
    likely = likely_pairs(models) if comparison.full and not _far_away(parts) else []
    with _pass_over(comparison, likely, progress) if comparison.full else nullcontext() as stream:
        sample = sampled_comparison(models, progress)
        _refuse(models, sample)
        tell(listener, "open", "done", time.monotonic() - started, None)
        measured = Measured(models, sample, everything=False)
        if stream is not None:
            _read_all(stream, measured, sample, listener)
    for name in _in_order(all_probes()):
        if name not in measured.findings and name != OF_WHOLE_LAYERS:
            measured.ask(name, models if name in OF_DECLARATIONS else sample, listener)
    if not comparison.full and _equal_so_far(measured) and not _far_away(parts):
        # Only the rest of the bytes tells whether the two are identical.
        models.full = True
        sample = sampled_comparison(models, progress)
        with _pass_over(comparison, [], progress) as stream:
            _read_all(stream, measured, sample, listener)
    aligned = sample if _in_place(measured) else aligned_comparison(models, progress)
    if aligned is sample:
        measured.found(OF_WHOLE_LAYERS, Abstention(IN_PLACE), 0.0, listener)
    else:
        measured.ask(OF_WHOLE_LAYERS, aligned, listener)
    _after_a_link(measured, listener, _described(sample, aligned, measured.findings))
    if not measured.linked():
        measured.power = _power(measured, sample, aligned, listener)
    return measured


def _far_away(parts: Sequence[Checkpoint]) -> bool:
    return any(file.path is None for part in parts for file in part.weight_files)


def _equal_so_far(measured: Measured) -> bool:
    same = measured.findings["same_values"]
    rounded_or_longer = isinstance(same, Evidence) and (same.where["rounded_to"] or same.where["repeated"])
    return isinstance(same, Evidence) and same.statistic == 1.0 and not rounded_or_longer


def _in_place(measured: Measured) -> bool:
    """Whether the order of units already links the two: then nobody moved them, and no whole layers are read."""
    return links("unit_order", measured.findings["unit_order"])


def _pass_over(comparison: Comparison, likely: Sequence[TensorPair], progress: Progress) -> Stream:
    both = comparison.a, comparison.b
    progress.expect(both, sum(part.bytes_total for part in both))
    return Stream(*both, likely, comparison.stop)


def _read_all(stream: Stream, measured: Measured, sample: PartialComparison, listener: Listener | None) -> None:
    """Read everything; what does not depend on it is asked meanwhile. Equality is judged where the two differ most."""
    started = time.monotonic()
    pairs = [pair for pair in sample.tensor_pairs if sample.a.shapes[pair.a]]
    tell(listener, "read", "started", None, None)
    found = MostDifferent(sample)
    stream.settle(pairs, found.add)
    for name in _in_order(all_probes()):
        if name not in measured.findings and name not in (OF_WHOLE_LAYERS, "same_values"):
            measured.ask(name, measured.models if name in OF_DECLARATIONS else sample, listener)
    for held in stream.results(sample.check):
        tell(listener, "read", "progress", None, {"tensor": held.a, "other": held.b, "equal": held.equal})
    tell(listener, "read", "done", time.monotonic() - started, None)
    measured.read, measured.everything = found.comparison(), True
    measured.ask("same_values", measured.read, listener)


def _described(
    sample: PartialComparison, aligned: PartialComparison, findings: Mapping[str, Finding]
) -> Comparison | None:
    """The part on which to tell what lies between two large models; None where neither units nor heads were moved."""
    partners, values = findings[OF_WHOLE_LAYERS], findings["value_order"]
    found = partners if isinstance(partners, Evidence) and links(OF_WHOLE_LAYERS, partners) else None
    units = PairedUnits(aligned, found) if isinstance(aligned, AlignedComparison) and found is not None else None
    rows = values.where if isinstance(values, Evidence) else ()
    heads = [row["layer"] for row in rows if row["layer"] is not None and row["log10_pvalue"] > LAYER_LOG10_PVALUE]
    # Where neither finds its place or its partners, nothing would be there to hold single rows against.
    if units is None and not (heads and links("unit_order", findings["unit_order"])):
        return None
    return MovedComparison(sample, units=units, heads=heads)


def _after_a_link(measured: Measured, listener: Listener | None, described: Comparison | None = None) -> None:
    if measured.linked():
        measured.ask("difference_shape", described or measured.read, listener)
        if measured.read.base is not None:
            measured.ask("shared_additions", measured.read, listener)
        # Only what looks like a parent and its child could be two trainings from one start instead.
        if decide(measured.findings, None, True).answer == "derived":
            measured.ask("shared_start", measured.read, listener)


def _power(
    measured: Measured, comparison: Comparison, aligned: Comparison | None, listener: Listener | None
) -> dict[str, Any]:
    started = time.monotonic()
    tell(listener, "power", "started", None, None)

    def notices(name: str, finding: Finding) -> bool:
        return is_odd({**measured.findings, name: finding})

    power = measure_power(comparison, links, notices, aligned)
    tell(listener, "power", "done", time.monotonic() - started, None)
    return power


def _in_order(probes: Iterable[Probe]) -> list[str]:
    names = [probe.name for probe in probes if probe.name not in AFTER_A_LINK]
    return [name for name in ORDER if name in names] + [name for name in names if name not in ORDER]


def tell(
    listener: Listener | None, step: str, status: str, seconds: float | None, finding: dict[str, Any] | None
) -> None:
    """Pass one step on to who listens."""
    if listener is not None:
        listener({"step": step, "status": status, "seconds": seconds, "finding": finding})


def _refuse(models: Comparison, read: Comparison) -> None:
    for layout in (read.layout_a, read.layout_b, read.layout_base):
        if layout is not None:
            read.check()
            refuse_broken(layout)
    _refuse_different_kinds(models)


def refuse_broken(layout: Layout) -> None:
    """Raises UserError for a model with values that are no numbers."""
    if layout.broken:
        raise UserError("not_finite", tensor=layout.broken[0], name=layout.checkpoint.ref.name)


def _refuse_different_kinds(comparison: Comparison) -> None:
    """Two models of which no tensor can be held against one of the other answer no question at all."""
    adapters = [side for side in (comparison.a, comparison.b) if is_adapter(side)]
    if len(adapters) == 1:
        raise UserError("adapter_alone", name=adapters[0].ref.name)
    shapes = [
        {side.shapes[name] for name in layout.candidates if len(side.shapes[name]) >= 2}
        for side, layout in ((comparison.a, comparison.layout_a), (comparison.b, comparison.layout_b))
    ]
    language = [
        layout.embedding is not None and layout.hidden_units for layout in (comparison.layout_a, comparison.layout_b)
    ]
    if shapes[0].isdisjoint(shapes[1]) and not all(language):
        raise UserError("different_kinds", a=comparison.a.ref.name, b=comparison.b.ref.name)
