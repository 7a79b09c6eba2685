"""Results of comparisons, kept on disk for whoever asks about the same files of a hub again.

A kept result stands in for a measurement only where nothing that it depends on can differ, so all of that is its key:
the models' files at their commits, the options, our own code, the libraries that compute, Python and the processor.
Reasons: docs/decisions/0013-kept-results.md.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from tools.checkpoint import Checkpoint
from tools.comparison import Comparison
from tools.formats.json_text import NotAnObject, parse_object
from tools.probes import all_probes
from tools.sources.range_cache import public_disk
from tools.words import ANSWERS, CHANGES, DIRECTIONS, SCALE

# What computes; a test holds this against the imports of this package.
LIBRARIES = ("torch", "numpy", "scipy", "gguf", "llvmlite", "orjson")
# A result has 20 to 200 kB; lists of tensors make it longer.
RESULT_BYTES = 4_000_000
MOST_COMMAS = 400_000

# What of a result is kept; the rest says who asks, and what it cost this time.
FOUND = (
    "answer",
    "changes",
    "direction",
    "because",
    "strength",
    "power",
    "components",
    "findings",
    "behaviour",
    "attribution",
    "limits",
)

Found = dict[str, Any]
Key = dict[str, Any]


@dataclass(frozen=True)
class Earlier:
    """What was found before: the part of a result that does not depend on who asks, and when and at what cost."""

    found: Found
    on: str
    cost: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """When it was measured (a day, UTC), and the bytes and seconds that it took then."""
        return {"on": self.on, **self.cost}


def key_of(comparison: Comparison, parents: Sequence[Checkpoint], token: str | None) -> Key | None:
    """All that a result depends on; None for what is not kept.

    Not kept is what a token may have opened, what a hub shows only to some, files of this machine, which can change
    under one date, and what code measures that is not the code on disk any more.
    """
    named = comparison.a, comparison.b, comparison.base
    models = [model for model in (*named, *parents) if model is not None]
    if token or not all(model.ref.pinned for model in models) or _code() != _CODE:
        return None
    return {
        "models": [_pinned(model) for model in models],
        "base": comparison.base is not None,
        "seed": comparison.seed,
        "full": comparison.full,
        "code": _CODE,
        "versions": {name: _version(name) for name in LIBRARIES} | {"python": platform.python_version()},
        "processor": [platform.machine(), torch.backends.cpu.get_cpu_capability()],
    }


def recall(key: Key, names: Sequence[str]) -> Earlier | None:
    """What was kept under this key; None where there is nothing, or nothing that keeps the contract.

    `names` are those of a, b and the parents in this question.
    """
    disk = public_disk()
    data = None if disk is None else disk.record(_digest(key), RESULT_BYTES)
    if data is None:
        return None
    try:
        kept = parse_object(data, max_commas=MOST_COMMAS)
    except NotAnObject:
        return None
    if not _is_sound(kept, key):
        return None
    try:
        return Earlier(_called(kept["found"], dict(enumerate(names))), kept["on"], kept["cost"])
    except (KeyError, TypeError, ValueError):
        return None


def keep(key: Key, found: Found, cost: Mapping[str, Any], names: Sequence[str]) -> None:
    """Keep what was found; never raises. What took no reading, or is very long, is not worth it."""
    disk = public_disk()
    if disk is None or _code() != _CODE or not (cost["bytes_read_a"] or cost["bytes_read_b"]):
        return
    kept = {
        "key": key,
        "on": datetime.now(UTC).date().isoformat(),
        "cost": {name: cost[name] for name in ("bytes_read_a", "bytes_read_b", "seconds")},
        "found": _called(found, {name: place for place, name in enumerate(names)}),
    }
    try:
        data = json.dumps(kept, allow_nan=False).encode()
    except ValueError:
        return
    if len(data) <= RESULT_BYTES and _is_sound(json.loads(data), key):
        disk.put_record(_digest(key), data)


def _called(found: Found, names: Mapping[Any, Any]) -> Found:
    """The same with other names for the models that a merge holds: on disk their places in the question."""
    changes = []
    for change in found["changes"]:
        where = change["where"]
        if change["kind"] == "merged" and "weights" in where:
            where = where | {"weights": [[names[name], weight] for name, weight in where["weights"]]}
        changes.append(change | {"where": where})
    return found | {"changes": changes}


def _digest(key: Key) -> str:
    return hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=20).hexdigest()


def _pinned(model: Checkpoint) -> list[Any]:
    files = [*model.weight_files, *model.side_files.values()]
    return [list(model.ref.pinned), [[file.name, file.size, file.stated_sha256] for file in files]]


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _code() -> str | None:
    """The digest of all files of this package; None where they cannot be read."""
    root = Path(__file__).parent
    digest = hashlib.blake2b(digest_size=20)
    try:
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                data = path.read_bytes()
                digest.update(f"{path.relative_to(root).as_posix()}\0{len(data)}\0".encode() + data)
    except OSError:
        return None
    return digest.hexdigest()


# Of the code that runs: files that are edited under a running server do not speak for it.
_CODE = _code()


def _is_sound(kept: Mapping[str, Any], key: Key) -> bool:
    """Whether a kept text belongs to the key and has all that readers of a result rely on."""
    try:
        cost, found = kept["cost"], kept["found"]
        date.fromisoformat(kept["on"])
        return (
            kept["key"] == json.loads(json.dumps(key))
            and all(type(cost[name]) is int and cost[name] >= 0 for name in ("bytes_read_a", "bytes_read_b"))
            and len(cost) == 3
            and _is_number(cost["seconds"])
            and _is_contract(found)
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return False


def _is_contract(found: Mapping[str, Any]) -> bool:
    strength, direction, findings = found["strength"], found["direction"], found["findings"]
    roles = {probe.name: probe.role for probe in all_probes()}
    return (
        list(found) == list(FOUND)
        and found["answer"] in ANSWERS
        and (strength["words"] is None or strength["words"] in SCALE)
        and _is_number(strength["log10_pvalue"], or_none=True)
        and direction["answer"] in ("a_from_b", "b_from_a", "unknown")
        and all(reason in DIRECTIONS["because"] for reason in direction["because"])
        and direction.get("changed") in ("a", "b", None)
        and all(_is_change(change) for change in found["changes"])
        and all(roles[name] == finding["role"] and _is_finding(finding) for name, finding in findings.items())
        and set(found["because"]) <= set(findings)
        and all(part["answer"] in ANSWERS and _is_number(part["share_of_parameters"]) for part in found["components"])
        and all(found[name] is None or isinstance(found[name], dict) for name in ("power", "attribution"))
        and found["behaviour"] is None
        and bool(found["limits"])
        and all(isinstance(sentence, str) for sentence in found["limits"])
    )


def _is_change(change: Mapping[str, Any]) -> bool:
    return (
        change["kind"] in CHANGES
        and _is_number(change["amount"], or_none=True)
        and (change["unit"] is None or isinstance(change["unit"], str))
        and "where" in change
    )


def _is_finding(finding: Mapping[str, Any]) -> bool:
    if "abstained" in finding:
        return isinstance(finding["abstained"], str)
    return (
        _is_number(finding["statistic"])
        and _is_number(finding["log10_pvalue"], or_none=True)
        and type(finding["n"]) is int
        and "where" in finding
    )


def _is_number(value: Any, *, or_none: bool = False) -> bool:
    return (or_none and value is None) or (isinstance(value, (int, float)) and not isinstance(value, bool))
