"""What two public tools say of the pairs that ours is measured on: python -m benchmarks.peers [--bin FOLDER].

`make bench-peers` installs them (requirements-bench.txt) beside what the project uses. Each is run as its users run it,
by its command, offline; whoever is not installed is left out with a reason. A pair is one of strangers of one recipe,
or a parent and what was made of it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.attacks import ATTACKS, Subject
from benchmarks.zoo import RECIPES, Zoo
from tools.audit import compare
from tools.perturbations import NotApplicable
from tools.verdict import LINKED

OURS = "whose-weights"
ASKED = ("the same files", "renamed", "noise 1 %", "noise 5 %", "fine-tuned, 60 steps", "units re-ordered", "rotated")
STRANGERS = 6
MOST_SECONDS = 120


def provenance_kit(output: str) -> tuple[str, bool]:
    """Its decision, and whether a reader takes that for a relation."""
    found = json.loads(output[output.index("{") :])
    scores, label = found["scores"], found["interpretation"]["label"]
    said = scores.get("provenance_decision") or label
    return said, said in ("Confirmed Match", "High-Confidence Match")


def weightscope(output: str) -> tuple[str, bool]:
    """The verdict of its ranking of one candidate."""
    found = re.findall(
        r"\| `(derived_from_base|likely_descendant|independent|architecture_mismatch|failed)` \|", output
    )
    said = found[0] if found else "failed"
    return said, said in ("derived_from_base", "likely_descendant")


# Package -> its command, how it is asked about a suspect and a parent, how its answer is read.
PEERS: dict[str, tuple[str, tuple[str, ...], Callable[[str], tuple[str, bool]]]] = {
    "cisco-ai-provenance-kit": ("provenancekit", ("compare", "--json", "--no-cache"), provenance_kit),
    "weightscope": ("weightscope", ("lineage",), weightscope),
}


def installed(folder: Path | None = None) -> dict[str, str]:
    """Package -> where its command lies, for those that are here."""
    places = os.pathsep.join([str(folder or Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {peer: found for peer, (command, _, _) in PEERS.items() if (found := shutil.which(command, path=places))}


def ask_peer(peer: str, command: str, suspect: Path, parent: Path) -> dict[str, Any]:
    """What a peer says of a pair; `linked` is None where it gave no answer."""
    _, arguments, read = PEERS[peer]
    began = time.monotonic()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "400"}
    try:
        done = subprocess.run(
            [command, *arguments, str(suspect), str(parent)],
            capture_output=True, text=True, timeout=MOST_SECONDS, env=environment, check=False,
        )  # fmt: skip
        said, linked = read(done.stdout) if done.returncode == 0 else (_last_line(done.stderr), None)
    except subprocess.TimeoutExpired:
        said, linked = f"no answer in {MOST_SECONDS} s", None
    except (ValueError, KeyError):
        said, linked = "an answer that cannot be read", None
    return {"said": said, "linked": None if said == "failed" else linked, "seconds": round(time.monotonic() - began, 1)}


def ask_ours(suspect: Path, parent: Path) -> dict[str, Any]:
    """What our own audit says of a pair."""
    began = time.monotonic()
    answer = compare(str(suspect), str(parent))["answer"]
    return {"said": answer, "linked": answer in LINKED, "seconds": round(time.monotonic() - began, 1)}


def pairs(zoo: Zoo, recipes: Sequence[str], room: Path) -> Iterator[tuple[str, Path, Path]]:
    """Kind, suspect, parent: strangers of each recipe, then what was made of its first model."""
    for recipe in recipes:
        for i, j in list(itertools.combinations(range(STRANGERS), 2))[:STRANGERS]:
            yield "strangers", zoo.model(recipe, i), zoo.model(recipe, j)
    for recipe in recipes:
        subject = Subject(zoo, RECIPES[recipe], 0, zoo.model(recipe, 0), room)
        for attack in ATTACKS:
            if attack.name in ASKED and attack.fits(subject):
                try:
                    case = attack.make(subject)
                except NotApplicable:
                    continue
                yield attack.name, case.suspect, case.parent


def measure(recipes: Sequence[str], here: dict[str, str]) -> list[dict[str, Any]]:
    """One row a pair and tool."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, suspect, parent in pairs(Zoo(), recipes, Path(folder)):
            said = {OURS: ask_ours(suspect, parent)}
            said |= {peer: ask_peer(peer, command, suspect, parent) for peer, command in here.items()}
            rows += [{"kind": kind, "parent": parent.parent.name, "tool": tool} | row for tool, row in said.items()]
            print(
                kind, parent.parent.name, {tool: row["said"] for tool, row in said.items()}, file=sys.stderr, flush=True
            )
    return rows


def print_table(rows: Sequence[dict[str, Any]], here: dict[str, str]) -> None:
    """Linked of all pairs of a kind, one column a tool; then what each said how often."""
    tools = (OURS, *here)
    counts: dict[tuple[str, str], list[bool | None]] = defaultdict(list)
    for row in rows:
        counts[row["kind"], row["tool"]].append(row["linked"])
    print("| pairs called related | " + " | ".join(tools) + " |\n|---|" + "---|" * len(tools))
    for kind in dict.fromkeys(row["kind"] for row in rows):
        cells = []
        for tool in tools:
            found = counts[kind, tool]
            failed = sum(linked is None for linked in found)
            cells.append(
                f"{sum(map(bool, found))} of {len(found)}" + (f", {failed} without an answer" if failed else "")
            )
        print(f"| {kind} | " + " | ".join(cells) + " |")
    for tool in tools:
        some = [row for row in rows if row["tool"] == tool]
        seconds = sorted(row["seconds"] for row in some)[len(some) // 2]
        print(f"\n{tool}: median {seconds} s; {dict(Counter((row['kind'], row['said']) for row in some))}")
    for peer in PEERS.keys() - here.keys():
        print(f"\n{peer}: left out, its command is not installed here (make bench-peers)")


def _last_line(text: str) -> str:
    return next((line.strip()[:160] for line in reversed(text.splitlines()) if line.strip()), "failed")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--bin", type=Path, help="the folder of the peers' commands")
    parser.add_argument("--recipe", action="append", choices=tuple(RECIPES), help="only this one; may be repeated")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    asked = parser.parse_args(arguments)
    here = installed(asked.bin)
    rows = measure(asked.recipe or ("llama", "gpt2"), here)
    print_table(rows, here)
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
