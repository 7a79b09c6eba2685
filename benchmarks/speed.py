"""How fast, with how much memory and how many bytes: python -m benchmarks.speed [--json FILE] [--models FOLDER].

Pairs of generated models of Llama's shapes, each comparison in a process of its own beside `cat` of the same files in
the same run. Ratios hold on any machine; seconds are of this one. Generated models are kept and used again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# What the project promises: see the rows of `promises`.
COPY_SHARE, STRANGER_SHARE = 0.003, 0.06
COPY_SECONDS, STRANGER_SECONDS = 5.0, 60.0
COPY_BYTES, STRANGER_BYTES, FULL_BYTES = 1e9, 2e9, 1.2e9
FULL_RATIO = 1.5
MOST_REQUESTS = 200
STOP_SECONDS = 0.5
SIZES = (1, 2, 5, 10)
# From memory each pair is compared so often, in turns with `cat`; the middle one counts. What a machine beside this one
# does, or pages that its host has yet to find, make single runs several times as long.
TURNS = 5
# Presses of Stop, as shares of the time that the comparison takes.
STOPS = (0.2, 0.4, 0.6, 0.8)


def one(a: str, b: str, full: bool, stop_after: float | None) -> dict[str, Any]:
    """One comparison in this process; with `stop_after` the seconds from the press to the end."""
    import resource

    from tools.audit import compare
    from tools.errors import Cancelled

    begun, processor = time.monotonic(), time.process_time()
    try:
        found = compare(a, b, full=full, stop=lambda: stop_after is not None and time.monotonic() - begun > stop_after)
    except Cancelled:
        return {"answer": "stopped", "late": time.monotonic() - begun - (stop_after or 0.0)}
    cost = found["cost"]
    return {
        "answer": found["answer"],
        "seconds": time.monotonic() - begun,
        "processor_seconds": time.process_time() - processor,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "bytes_read": [cost["bytes_read_a"], cost["bytes_read_b"]],
        "bytes_total": [cost["bytes_total_a"], cost["bytes_total_b"]],
        "power": found["power"],
    }


def measured(
    a: str, b: str, *, full: bool = False, stop_after: float | None = None, **environment: Any
) -> dict[str, Any]:
    """The same in a process of its own; `process_seconds` counts its start and imports too."""
    words = [sys.executable, "-m", "benchmarks.speed", "--one", a, b] + (["--full"] if full else [])
    words += [] if stop_after is None else ["--stop-after", str(stop_after)]
    begun = time.monotonic()
    done = subprocess.run(words, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words[2:])} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found | {"process_seconds": time.monotonic() - begun}


def cat(*folders: Path) -> float:
    """Seconds that `cat` takes to read the weights of these models."""
    begun = time.monotonic()
    files = [str(path) for folder in folders for path in sorted(folder.glob("*.safetensors"))]
    subprocess.run(["cat", *files], stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - begun


def forget(*folders: Path) -> None:
    """Take the weights of these models out of the page cache, so that the next reader is the first."""
    for folder in folders:
        for path in folder.glob("*.safetensors"):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def warm_and_cold(a: Path, b: Path, *, full: bool) -> dict[str, Any]:
    """Both models from the disk and from memory, `cat` before each, so that both find the same."""
    found: dict[str, Any] = {}
    forget(a, b)
    found["cat_cold"] = cat(a, b)
    forget(a, b)
    found["cold"] = measured(str(a), str(b), full=full)
    cat(a, b)
    turns = [(cat(a, b), measured(str(a), str(b), full=full)) for _ in range(TURNS)]
    found["cat_warm"] = statistics.median(seconds for seconds, _ in turns)
    middle = sorted((each for _, each in turns), key=lambda each: each["seconds"])[TURNS // 2]
    found["warm"] = middle | {"peak_bytes": max(each["peak_bytes"] for _, each in turns)}
    found["turns_warm"] = [[seconds, each["seconds"]] for seconds, each in turns]
    return found


def over_http(a: Path, b: Path) -> dict[str, Any]:
    """The same through a hub on this machine, nothing kept from before: bytes and requests as the hub saw them."""
    from tests.hub_emulator import HubEmulator

    with HubEmulator({"speed/one": a, "speed/other": b}) as hub, tempfile.TemporaryDirectory() as cache:
        found = measured(
            "speed/one", "speed/other", HF_ENDPOINT=hub.endpoint, WHOSE_WEIGHTS_HUB_CACHE=cache, HF_TOKEN=""
        )
        weights = [request for request in hub.requests if request.path.endswith(".safetensors")]
        return found | {
            "requests": len(hub.requests),
            "bytes_served": sum(request.served for request in weights),
            "bytes_served_in_all": sum(request.served for request in hub.requests),
        }


def run(models: Path, progress: Callable[[str], None]) -> dict[str, Any]:
    """Every row; each is a promise or one size of the curve."""
    from benchmarks.large_models import SIZES as MADE
    from benchmarks.large_models import made

    def model(gigabytes: int, kind: str) -> Path:
        progress(f"making {gigabytes} GB, {kind}")
        return made(
            models / f"{gigabytes}gb-{kind}", MADE[gigabytes], 2 if kind == "stranger" else 1, copy=kind == "copy"
        )

    result: dict[str, Any] = {
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    }
    result["curve"] = {}
    for size in SIZES:
        original, copy = model(size, "original"), model(size, "copy")
        progress(f"default comparison, {size} GB")
        result["curve"][size] = warm_and_cold(copy, original, full=False)
    original, copy, stranger = (model(5, kind) for kind in ("original", "copy", "stranger"))
    progress("stranger")
    result["stranger"] = warm_and_cold(stranger, original, full=False)
    for size in (5, 10):
        progress(f"full comparison, {size} GB")
        result[f"full_{size}"] = warm_and_cold(model(size, "copy"), model(size, "original"), full=True)
    progress("over HTTP")
    result["http_copy"], result["http_stranger"] = over_http(copy, original), over_http(stranger, original)
    progress("stops")
    result["stops"] = {}
    for name, other, full in (("stranger", stranger, False), ("full", copy, True)):
        seconds = result["stranger" if name == "stranger" else "full_5"]["warm"]["seconds"]
        presses = [measured(str(other), str(original), full=full, stop_after=share * seconds) for share in STOPS]
        result["stops"][name] = [press["late"] for press in presses if press["answer"] == "stopped"]
    return result


def kept(path: Path) -> dict[str, Any]:
    """The figures of an earlier run, as `run` returned them."""
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result | {"curve": {int(size): row for size, row in result["curve"].items()}}


def promises(result: Mapping[str, Any]) -> list[tuple[str, str, str, bool]]:
    """What is promised, the promise, what was measured, and whether it holds."""
    copy, stranger = result["curve"][5], result["stranger"]
    rows: list[tuple[str, str, str, bool]] = []

    def add(what: str, promise: str, value: float, limit: float, shown: str) -> None:
        rows.append((what, promise, shown, value <= limit))

    def answers(what: str, found: Mapping[str, Any], wanted: tuple[str, ...]) -> None:
        rows.append((what, " or ".join(wanted), found["answer"], found["answer"] in wanted))

    for what, found, seconds, share, memory, wanted in (
        ("renamed noisy copy, 5 GB", copy["warm"], COPY_SECONDS, COPY_SHARE, COPY_BYTES, ("disguised_copy", "derived")),
        ("stranger, 5 GB", stranger["warm"], STRANGER_SECONDS, STRANGER_SHARE, STRANGER_BYTES, ("independent",)),
    ):
        answers(f"{what}: answer", found, wanted)
        add(f"{what}: time, warm", f"< {seconds:.0f} s", found["seconds"], seconds, f"{found['seconds']:.1f} s")
        add(f"{what}: share of bytes", f"<= {share:.1%}", _share(found), share, f"{_share(found):.2%}")
        add(
            f"{what}: peak memory",
            f"< {memory / 1e9:.0f} GB",
            found["peak_bytes"],
            memory,
            f"{found['peak_bytes'] / 1e9:.2f} GB",
        )
    for size in (5, 10):
        full = result[f"full_{size}"]
        for state in ("cold", "warm"):
            ratio = full[state]["seconds"] / full[f"cat_{state}"]
            shown = f"{ratio:.2f} ({full[state]['seconds']:.1f} s, cat {full[f'cat_{state}']:.1f} s)"
            add(f"--full, {size} GB, {state}: time over cat", f"<= {FULL_RATIO}", ratio, FULL_RATIO, shown)
        peak = full["warm"]["peak_bytes"]
        add(f"--full, {size} GB: peak memory", "< 1.2 GB", peak, FULL_BYTES, f"{peak / 1e9:.2f} GB")
    for what, found, share, beside in (
        ("HTTP, copy", result["http_copy"], COPY_SHARE, copy["warm"]),
        ("HTTP, stranger", result["http_stranger"], STRANGER_SHARE, stranger["warm"]),
    ):
        answers(f"{what}: the same answer", found, (beside["answer"],))
        served = found["bytes_served"] / sum(found["bytes_total"])
        add(f"{what}: share of bytes served", f"<= {share:.1%}", served, share, f"{served:.2%}")
        add(f"{what}: requests", f"<= {MOST_REQUESTS}", found["requests"], MOST_REQUESTS, str(found["requests"]))
    late = max(late for press in result["stops"].values() for late in press)
    add("latest end after Stop", f"<= {STOP_SECONDS} s", late, STOP_SECONDS, f"{late:.2f} s")
    return rows


def table(result: Mapping[str, Any]) -> str:
    """The promises and the curve as Markdown."""
    lines = ["| what | promised | measured | |", "|---|---|---|---|"]
    lines += [f"| {a} | {b} | {c} | {'yes' if d else 'NO'} |" for a, b, c, d in promises(result)]
    lines += [
        "",
        "| size of each model | default, warm | processor time | cat of both, warm | bytes read | share |",
        "|---|---|---|---|---|---|",
    ]
    for size in SIZES:
        row = result["curve"][size]
        warm = row["warm"]
        lines.append(
            f"| {sum(warm['bytes_total']) / 2e9:.1f} GB | {warm['seconds']:.1f} s | {warm['processor_seconds']:.1f} s "
            f"| {row['cat_warm']:.1f} s | {sum(warm['bytes_read']) / 1e6:.0f} MB | {_share(warm):.2%} |"
        )
    return "\n".join(lines)


def _share(found: Mapping[str, Any]) -> float:
    return float(sum(found["bytes_read"]) / sum(found["bytes_total"]))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="where to keep the figures")
    parser.add_argument("--models", type=Path, default=None, help="where the generated models are kept (about 45 GB)")
    parser.add_argument("--one", nargs=2, metavar=("A", "B"), help=argparse.SUPPRESS)
    parser.add_argument("--full", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--stop-after", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(*options.one, options.full, options.stop_after)))
        return 0
    models = options.models or Path(os.environ.get("WHOSE_WEIGHTS_SPEED", ROOT / "output" / "speed"))
    models.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(models).free < 5e9:
        raise SystemExit(
            f"There is too little room for large models under {models}; name another folder with --models."
        )
    begun = time.monotonic()
    result = run(models, lambda text: print(f"{time.monotonic() - begun:6.0f} s  {text}", file=sys.stderr, flush=True))
    print(table(result))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1), encoding="utf-8")
    return 0 if all(row[3] for row in promises(result)) else 1


if __name__ == "__main__":
    sys.exit(main())
