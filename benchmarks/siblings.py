"""Is a direction claimed between siblings? python -m benchmarks.siblings [--recipe llama] [--base] [--json FILE].

From one base many children are made: trained on with and without weight decay, at other rates and on other texts, given
adapters or token rows, rounded, pruned, made noisy, cut, turned and scaled, and some children of a child. Then every
two of them are asked about, in both orders: base and child, and child and child, of which neither came from the other.
Between siblings every claim is wrong. With `--base` the base is named, and pairs with the base itself are left out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.accuracy import MIRRORED
from benchmarks.attacks import (
    Subject,
    adapted,
    averaged,
    by,
    chain,
    continued,
    fine_tuned,
    kept,
    narrowed,
    parent_of,
    renumbered_tokens,
    reset,
    stranger,
    twice_tuned,
)
from benchmarks.zoo import RECIPES, Part, Zoo, saved_model
from tools.audit import compare
from tools.perturbations import NotApplicable

Row = dict[str, Any]
BASE = "base"


def tuned(subject: Subject, name: str, part: Part = "other", steps: int = 100, rate: float = 5e-4, **how: Any) -> Path:
    """The base trained on; `how`: see `zoo.train`."""
    return kept(
        subject,
        f"tuned-{name}",
        lambda: subject.zoo.trained(saved_model(subject.parent), part, 1100 + subject.seed, steps, rate, **how),
    )


def in_attention(name: str) -> bool:
    return "attn" in name or "attention" in name


def _made(make: Callable[[Subject], Any]) -> Callable[[Subject], Path]:
    return lambda subject: make(subject).suspect


# kind, name, and how it is made.
CHILDREN: tuple[tuple[str, str, Callable[[Subject], Path]], ...] = (
    ("trained", "fine-tuned, 300 steps", fine_tuned),
    ("trained", "fine-tuned, 60 steps", partial(fine_tuned, steps=60)),
    ("trained", "continued", continued),
    ("trained", "no weight decay", partial(tuned, name="no-decay", decay=0.0)),
    ("trained", "much weight decay", partial(tuned, name="much-decay", decay=1.0)),
    ("trained", "a low rate", partial(tuned, name="low-rate", rate=2e-5, steps=30)),
    ("trained", "attention only", partial(tuned, name="attention", part="general", only=in_attention)),
    ("trained", "a part reset", reset),
    ("adapter", "adapter of rank 4", adapted),
    ("adapter", "adapter of rank 16", partial(adapted, rank=16, part="general")),
    ("adapter", "adapter in queries", partial(adapted, rank=2, part="general", only=r"q_proj|c_attn|query")),
    ("rounded", "int8", _made(chain(by("quantise", "int8")))),
    ("rounded", "int4", _made(chain(by("quantise", "int4")))),
    ("rounded", "float8", _made(chain(by("cast", "float8_e4m3fn")))),
    ("rounded", "int8 of the fine-tune", _made(chain(by("quantise", "int8"), source=fine_tuned))),
    ("pruned", "half set to zero", _made(chain(by("prune", 0.5)))),
    ("noise", "noise 1 %", _made(chain(by("add_noise", 0.01)))),
    ("noise", "noise 5 %", _made(chain(by("add_noise", 0.05)))),
    ("tokens", "64 tokens added", _made(chain(partial(renumbered_tokens, added=64)))),
    ("tokens", "70 % of the tokens kept", _made(chain(partial(renumbered_tokens, kept=0.7)))),
    ("tokens", "tokens renumbered", _made(chain(partial(renumbered_tokens, shuffled=True)))),
    ("merged", "half into a stranger", _made(averaged(parent_of, stranger, 0.5))),
    ("merged", "two fine-tunes, half each", _made(averaged(fine_tuned, continued, 0.5))),
    ("cut", "layers left out", _made(chain(by("drop_layers", 0.25)))),
    ("cut", "layers repeated", _made(chain(by("repeat_layers", 0.25)))),
    ("cut", "width cut to 75 %", partial(narrowed, share=0.75)),
    ("turned", "rotated", _made(chain(by("rotate_residual")))),
    ("turned", "units re-ordered", _made(chain(by("shuffle_units")))),
    ("turned", "rescaled by unit", _made(chain(by("rescale", "unit")))),
    ("turned", "rescaled by layer", _made(chain(by("rescale", "layer")))),
    ("noise", "noise 1 % on the fine-tune", _made(chain(by("add_noise", 0.01), source=fine_tuned))),
    ("trained", "fine-tune of the fine-tune", twice_tuned),
)
# Who came from whom beside the base: child -> its nearer parents.
NEARER = {
    "int8 of the fine-tune": ("fine-tuned, 300 steps",),
    "two fine-tunes, half each": ("fine-tuned, 300 steps", "continued"),
    "noise 1 % on the fine-tune": ("fine-tuned, 300 steps",),
    "fine-tune of the fine-tune": ("fine-tuned, 300 steps",),
}


def family(subject: Subject) -> dict[str, tuple[str, Path]]:
    """Every child that can be made of this base: name -> kind and folder; the base itself first."""
    made = {BASE: (BASE, subject.parent)}
    for place, (kind, name, make) in enumerate(CHILDREN):
        room = subject.room / str(place)
        room.mkdir()
        try:
            made[name] = kind, make(replace(subject, room=room))
        except NotApplicable:
            continue
    return made


def truth(a: str, b: str) -> str:
    """The direction that holds, by the names of two of a family."""
    if b == BASE or b in NEARER.get(a, ()):
        return "a_from_b"
    return "b_from_a" if a == BASE or a in NEARER.get(b, ()) else "unknown"


def ask_all(subject: Subject, only: str = "", once: bool = False, based: bool = False) -> list[Row]:
    """Every two of a family in both orders; `once`: in one, every second pair in the other; `based`: the base named."""
    rows = []
    made = family(subject)
    for place, ((a, (kind_a, one)), (b, (kind_b, other))) in enumerate(itertools.combinations(made.items(), 2)):
        if (only not in a and only not in b) or (based and a == BASE):
            continue
        for swapped in (bool(place % 2),) if once else (False, True):
            sides = (other, one) if swapped else (one, other)
            result = compare(*map(str, sides), str(subject.parent) if based else None, fresh=True)
            said = result["direction"]["answer"]
            said = MIRRORED[said] if swapped else said
            rows.append(
                {
                    "recipe": subject.name, "a": a, "b": b, "kinds": [kind_a, kind_b], "swapped": swapped,
                    "answer": result["answer"], "said": said, "truth": truth(a, b),
                    "because": result["direction"]["because"],
                    "changes": [change["kind"] for change in result["changes"]],
                }
            )  # fmt: skip
            if rows[-1]["said"] not in ("unknown", rows[-1]["truth"]):
                print(f"WRONG: {subject.name}: {a} and {b}: {said} ({result['answer']}), "
                      f"{result['direction']['because']}", file=sys.stderr, flush=True)  # fmt: skip
    return rows


def table(rows: Sequence[Row]) -> str:
    """Kind of pair, asked, linked, claims, right and wrong, as Markdown."""
    grouped: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        relation = "siblings" if row["truth"] == "unknown" else "parent and child"
        some = sorted(set(row["kinds"]) - {BASE}) or [BASE]
        grouped[relation, ", ".join(some)].append(row)
    lines = ["| pair | kinds | asked | claims | right | wrong |", "|---|---|---|---|---|---|"]
    for (relation, kinds), some in sorted(grouped.items()):
        lines.append(f"| {relation} | {kinds} | {counted(some)} |")
    for relation in ("parent and child", "siblings"):
        some = [row for (its, _), group in grouped.items() for row in group if its == relation]
        lines.append(f"| {relation} | all | {counted(some)} |")
    return "\n".join(lines)


def counted(rows: Sequence[Row]) -> str:
    claims = [row for row in rows if row["said"] != "unknown"]
    right = sum(row["said"] == row["truth"] for row in claims)
    return f"{len(rows)} | {len(claims)} | {right} | {len(claims) - right}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, print and write; returns 1 where a direction that does not hold was claimed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.siblings", description=__doc__)
    parser.add_argument("--recipe", action="append", choices=RECIPES, help="only this recipe; may be repeated")
    parser.add_argument("--seed", type=int, default=0, help="the base is the zoo's model of this seed")
    parser.add_argument("--only", default="", help="only pairs with a child whose name holds this")
    parser.add_argument("--base", action="store_true", help="name the base")
    parser.add_argument("--once", action="store_true", help="every pair in one order only")
    parser.add_argument("--json", type=Path, help="write every row to this file")
    asked = parser.parse_args(arguments)
    zoo, rows = Zoo(), []
    for recipe in asked.recipe or RECIPES:
        with tempfile.TemporaryDirectory() as folder:
            subject = Subject(zoo, RECIPES[recipe], asked.seed, zoo.model(recipe, asked.seed), Path(folder))
            rows += ask_all(subject, asked.only, asked.once, asked.base)
    print(table(rows))
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return int(any(row["said"] not in ("unknown", row["truth"]) for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
