"""What one can ask of checkpoints: describe, compare, stress, behave. Every answer is plain JSON."""

from __future__ import annotations

import gc
import platform
import resource
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from threadpoolctl import ThreadpoolController

from tools.behaviour import behave
from tools.changes import changes
from tools.checkpoint import Checkpoint, Stop
from tools.comparison import Comparison
from tools.components import components
from tools.direction import direction
from tools.errors import UserError, printable
from tools.evidence import Abstention, Evidence, finding_record
from tools.kept_results import Earlier, keep, key_of, recall
from tools.limits import limits
from tools.measuring import ask_all, measure, refuse_broken, tell
from tools.names import name_patterns
from tools.parents import merge_of_parents
from tools.perturbations import NotApplicable, all_perturbations
from tools.probes import all_probes, probe_named
from tools.progress import Listener, Progress
from tools.reading import is_large
from tools.roles import READ_ALL_BYTES, Layout
from tools.sources import open_checkpoint
from tools.verdict import LINKED, decide

__all__ = ["behave", "compare", "describe", "stress"]

# numpy's products are as small as torch's (see `_one_thread`), and its idle threads spin while the others work.
ThreadpoolController().select(internal_api="openblas").limit(limits=1)

# Every comparison needs these: they are loaded with the program and not in the middle of the first answer.
all_probes()
name_patterns()

# What the libraries made when they were imported stays; to look through it for garbage in the middle of an answer
# costs a tenth of a second, in which no thread works.
gc.freeze()


def compare(
    a: str,
    b: str,
    base: str | None = None,
    *,
    parents: Sequence[str] = (),
    seed: int = 0,
    full: bool = False,
    fresh: bool = False,
    token: str | None = None,
    on_finding: Listener | None = None,
    stop: Stop | None = None,
) -> dict[str, Any]:
    """Is one of two models a copy of the other? The result contract, schema 1. `token`: see open_checkpoint.

    `parents`: further models of which, with b, a may be a merge. Their weights are named in `changes` where the models
    are linked and the parents explain one of them. Where public models were measured before, what was found then is
    given, and `cost` says so under `earlier`; `fresh` measures anew. Raises UserError for what a user can mend,
    Cancelled once `stop` returns True.
    """
    begun = time.monotonic()
    progress = Progress(on_finding, stop)
    open_one = partial(open_checkpoint, token=token, stop=progress.stopped)
    with _one_thread(), open_one(a) as one, open_one(b) as other, ExitStack() as more:
        origin = more.enter_context(open_one(base)) if base is not None else None
        named = [name for name in dict.fromkeys(parents) if name != b]
        others = [more.enter_context(open_one(name)) for name in named]
        comparison = Comparison(one, other, base=origin, seed=seed, full=full, stop=progress.stopped)
        names, opened = (a, b, base), dict(zip(named, others, strict=True))
        key, called = key_of(comparison, list(opened.values()), token), [a, b, *opened]
        earlier = None if fresh or key is None else recall(key, called)
        if earlier is None:
            found = _found(comparison, names, opened, on_finding, progress)
        else:
            found = earlier.found
            tell(on_finding, "kept", "done", None, None)
        cost = _cost(comparison, begun, earlier)
        if key is not None and earlier is None:
            keep(key, found, cost, called)
        return {
            "schema": 1,
            **{key: None if part is None else _identity(part, name or "")
               for key, part, name in zip(("a", "b", "base"), (one, other, origin), names, strict=True)},
            **found,
            "cost": cost,
            "reproduce": _reproduce(names, named, comparison),
        }  # fmt: skip


def describe(name: str, *, token: str | None = None, stop: Stop | None = None) -> dict[str, Any]:
    """What a checkpoint holds: sizes, number formats, layers and units. Raises UserError."""
    with open_checkpoint(name, token=token, stop=stop) as checkpoint:
        layout = Layout(checkpoint)
        refuse_broken(layout)
        units = layout.main_layers
        architectures = checkpoint.config.get("architectures")
        declared = architectures[0] if isinstance(architectures, list) and architectures else None
        table = layout.embedding
        return {
            "name": name,
            "format": checkpoint.format,
            "parameters": checkpoint.parameters,
            "tensors": len(checkpoint.shapes) or len(checkpoint.declared_names),
            "learned_tensors": len(layout.learned),
            "bytes": checkpoint.bytes_total or checkpoint.declared_bytes,
            "dtypes": dict(Counter(checkpoint.stored_as.values())),
            "architecture": printable(declared) if isinstance(declared, str) else None,
            "hidden_size": layout.residual_width if checkpoint.has_weights else None,
            "layers": len(units) or None,
            "hidden_units": units[0].width if units else None,
            "vocabulary": checkpoint.shapes[table][0] if table is not None else None,
            "files": checkpoint.files,
            "limits": limits(
                "describe",
                has_weights=checkpoint.has_weights,
                undecoded=len(checkpoint.undecoded),
                names_code=checkpoint.names_code,
            ),
        }


def stress(
    name: str,
    *,
    seed: int = 0,
    token: str | None = None,
    on_finding: Listener | None = None,
    stop: Stop | None = None,
) -> dict[str, Any]:
    """Disguise a model in every way we know and see whether it is recognised.

    Raises UserError, also for models above READ_ALL_BYTES, of which every disguise would be a whole copy; Cancelled.
    """
    begun = time.monotonic()
    rows: list[dict[str, Any]] = []
    with _one_thread(), open_checkpoint(name, token=token, stop=stop) as checkpoint:
        if is_large([checkpoint]):
            raise UserError("stress_too_large", name=name, limit=f"{READ_ALL_BYTES // 2**20} MB")
        layout = Layout(checkpoint)
        refuse_broken(layout)
        if not checkpoint.has_weights:
            raise UserError("no_weights", name=name)
        for perturbation in all_perturbations():
            for amount in perturbation.amounts:
                started = time.monotonic()
                label = f"{perturbation.name} {amount}"
                tell(on_finding, label, "started", None, None)
                row: dict[str, Any] = {
                    "perturbation": perturbation.name,
                    "about": perturbation.about,
                    "keeps_function": perturbation.keeps_function,
                    "amount": amount,
                    "unit": perturbation.unit,
                }
                try:
                    disguised = perturbation.apply(checkpoint, amount, seed)
                except NotApplicable as reason:
                    row |= {"recognised": None, "answer": None, "probes": {}, "not_applicable": str(reason)}
                else:
                    comparison = Comparison(disguised, checkpoint, seed=seed, stop=stop)
                    findings = ask_all(comparison, None, context=False)
                    answer = decide(findings, None, True).answer
                    row |= {
                        "recognised": answer in LINKED,
                        "answer": answer,
                        "probes": {
                            probe.name: finding.log10_pvalue if isinstance(finding, Evidence) else None
                            for probe in all_probes()
                            if probe.role == "decides" and (finding := findings.get(probe.name)) is not None
                        },
                    }
                rows.append(row)
                tell(on_finding, label, "done", time.monotonic() - started, row)
    return {
        "name": name,
        "rows": rows,
        "seconds": time.monotonic() - begun,
        "seed": seed,
        "limits": limits("stress"),
    }


def _found(
    comparison: Comparison,
    names: tuple[str, str, str | None],
    parents: Mapping[str, Checkpoint],
    on_finding: Listener | None,
    progress: Progress,
) -> dict[str, Any]:
    """What measuring brings, as the result says it (kept_results.FOUND)."""
    one, other, origin = comparison.a, comparison.b, comparison.base
    has_weights = one.has_weights and other.has_weights
    measured = measure(comparison, on_finding, progress)
    findings, power = measured.findings, measured.power
    merge = None
    if (parents or origin is not None) and measured.linked() and not measured.by_digest:
        merge = merge_of_parents(measured.models, measured.read, list(parents.values()))
    verdict = decide(findings, power, has_weights, measured.everything, merge is not None)
    parts = [one, other] + ([origin] if origin is not None else [])
    way = direction(measured.models, findings, verdict.answer, measured.part, merge)
    return {
        "answer": verdict.answer,
        "changes": changes(measured.models, findings, verdict.answer, merge, [*names[:2], *parents], measured.part),
        "direction": way,
        "because": list(verdict.because),
        "strength": {"log10_pvalue": verdict.log10_pvalue, "words": verdict.words},
        "power": power if verdict.answer == "independent" else None,
        "components": (
            components(measured.read, findings, verdict.answer) if has_weights and not measured.by_digest else []
        ),
        "findings": {name: finding_record(probe_named(name), finding) for name, finding in findings.items()},
        "behaviour": None,
        "attribution": _attribution(parts),
        "limits": limits(
            verdict.answer,
            reason=verdict.reason,
            base=origin is not None,
            power=power,
            everything=measured.everything,
            by_digest=measured.by_digest,
            undecoded=sum(len(part.undecoded) for part in parts),
            names_code=any(part.names_code for part in parts),
            parents=bool(parents),
            merged=merge is not None,
            described=not isinstance(findings.get("difference_shape"), Abstention),
            directed=way["answer"] != "unknown",
        ),
    }


def _cost(comparison: Comparison, begun: float, earlier: Earlier | None) -> dict[str, Any]:
    """What this answer took now; `earlier` is what it took when it was measured, where that was before."""
    return {
        "bytes_read_a": comparison.a.bytes_read,
        "bytes_read_b": comparison.b.bytes_read,
        "bytes_total_a": comparison.a.bytes_total,
        "bytes_total_b": comparison.b.bytes_total,
        "seconds": time.monotonic() - begun,
        "peak_rss_bytes": _peak_memory(),
        "earlier": earlier.as_dict() if earlier is not None else None,
    }


@contextmanager
def _one_thread() -> Iterator[None]:
    """Matrices here are small: a second thread gains little, and on a busy machine waiting for it costs tenfold."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _identity(checkpoint: Checkpoint, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "revision": checkpoint.ref.revision,
        "format": checkpoint.format,
        "parameters": checkpoint.parameters,
        "files": checkpoint.files,
    }


def _attribution(parts: list[Checkpoint]) -> dict[str, Any] | None:
    """What the configurations say of their origin: a claim, never evidence."""
    claims = [printable(part.config.get("_name_or_path", "")) for part in parts[:2]]
    if not any(claims):
        return None
    return {
        "declared_base": None,
        "license_a": None,
        "license_b": None,
        "notes": [f"{side} calls itself {claim}" for side, claim in zip("ab", claims, strict=False) if claim],
    }


def _peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _reproduce(names: tuple[str, str, str | None], parents: Sequence[str], comparison: Comparison) -> dict[str, Any]:
    command = ["python", "-m", "tools", "compare", names[0], names[1]]
    command += ["--base", names[2]] if names[2] else []
    command += ["--parents", *parents] if parents else []
    command += ["--full"] if comparison.full else []
    return {
        "command": shlex.join([*command, "--seed", str(comparison.seed), "--json"]),
        "seed": comparison.seed,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
