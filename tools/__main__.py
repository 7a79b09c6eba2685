"""`python -m tools compare X Y [--base Z] [--json]`: the chat's own path, without a chat."""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools.arguments import EXIT_USER_ERROR, Arguments, in_language, language_asked_for
from tools.errors import UserError, printable

# What a shell reports of a program that a closed pipe ended.
EXIT_BROKEN_PIPE = 141
READING = {"en": "Reading the weights:", "zh": "正在读取权重："}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 with an answer, 2 with an error record for what a user can mend."""
    options = _parser(language_asked_for(arguments)).parse_args(arguments)
    # By the environment alone: an argument would be seen by everybody on the machine.
    options.token = os.environ.get("HF_TOKEN") or None
    try:
        done = int(options.run(options))
        sys.stdout.flush()
        return done
    except BrokenPipeError:
        # Whoever read the output ("| head") has left; without this the flush at exit would complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except UserError as error:
        if options.json:
            print(json.dumps({"error": error.as_dict(options.lang)}, ensure_ascii=False))
        else:
            message, remedy = error.say(options.lang)
            print(f"{message} {remedy}", file=sys.stderr)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        return 130


def _parser(language: str) -> Arguments:
    from tools.words import HELP

    told = in_language(HELP, language)
    parser = Arguments(prog="python -m tools", description=told["tools"], language=language)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], *models: str) -> Arguments:
        made: Arguments = commands.add_parser(name, help=told[name], description=told[name])
        for model in models:
            # A comparison of pairs names none.
            made.add_argument(model, nargs="?" if name == "compare" else None, metavar=model.upper())
        made.add_argument("--json", action="store_true", help=told["json"])
        made.add_argument("--lang", choices=("en", "zh"), default="en", help=told["lang"])
        made.add_argument("--seed", type=int, default=0, help=told["seed"])
        made.set_defaults(run=run)
        return made

    compare = command("compare", _compare, "x", "y")
    compare.add_argument("--base", metavar="Z", help=told["base"])
    compare.add_argument("--parents", nargs="+", metavar="P", default=[], help=told["parents"])
    compare.add_argument("--pairs", metavar="FILE.csv", help=told["pairs"])
    compare.add_argument("--behave", action="store_true", help=told["behave_too"])
    compare.add_argument("--full", action="store_true", help=told["full"])
    compare.add_argument("--fresh", action="store_true", help=told["fresh"])
    command("describe", _describe, "x")
    command("stress", _stress, "x")
    command("behave", _behave, "x", "y").add_argument("--control", metavar="C", help=told["control"])
    command("cache", _cache).add_argument("--clear", action="store_true", help=told["clear"])
    return parser


def _compare(options: argparse.Namespace) -> int:
    from tools.audit import behave, compare
    from tools.report import markdown
    from tools.tables import behaviour_table

    if options.pairs:
        return _compare_pairs(options)
    if not options.x or not options.y:
        raise UserError("two_models_needed")
    names = options.x, options.y, options.base
    with _shown(options.lang) as listener:
        result = compare(
            *names,
            parents=options.parents,
            seed=options.seed,
            full=options.full,
            fresh=options.fresh,
            token=options.token,
            on_finding=listener,
        )
    if options.behave:
        result["behaviour"] = behave(options.x, options.y, seed=options.seed, token=options.token)
    if options.json:
        print(json.dumps(result, ensure_ascii=False))
        return 0
    print(markdown(result, options.lang))
    if options.behave:
        print(behaviour_table(result["behaviour"], options.lang))
    return 0


@contextmanager
def _shown(language: str) -> Iterator[Callable[[dict[str, Any]], None] | None]:
    """What has been read, on one line of the terminal that is wiped at the end; nothing where there is none."""
    if not sys.stderr.isatty():
        yield None
        return

    def listener(record: dict[str, Any]) -> None:
        if "bytes_expected" in record:
            done, expected = (record[key] / 10**6 for key in ("bytes_done", "bytes_expected"))
            print(f"\r\033[K{READING[language]} {done:,.0f} / {expected:,.0f} MB", end="", file=sys.stderr, flush=True)

    try:
        yield listener
    finally:
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def _compare_pairs(options: argparse.Namespace) -> int:
    """One JSON line a pair, in the file's order; a pair that cannot be read gives an error record."""
    from tools.audit import compare

    path = Path(options.pairs)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError("bad_pairs_file", file=options.pairs) from error
    if not rows or not {"a", "b"} <= rows[0].keys():
        raise UserError("bad_pairs_file", file=options.pairs)
    for row in rows:
        try:
            names = row["a"] or "", row["b"] or "", row.get("base") or None
            cell = row.get("parents") or ""
            # Names with spaces in them can be told apart by semicolons.
            parents = [name.strip() for name in cell.split(";" if ";" in cell else None) if name.strip()]
            how = {"seed": options.seed, "full": options.full, "fresh": options.fresh, "token": options.token}
            result = compare(*names, parents=parents, **how)
        except UserError as error:
            result = {"error": error.as_dict(options.lang), "a": row["a"], "b": row["b"]}
        print(json.dumps(result, ensure_ascii=False), flush=True)
    return 0


def _describe(options: argparse.Namespace) -> int:
    from tools.audit import describe
    from tools.tables import description

    result = describe(options.x, token=options.token)
    print(json.dumps(result, ensure_ascii=False) if options.json else description(result, options.lang))
    return 0


def _stress(options: argparse.Namespace) -> int:
    from tools.audit import stress
    from tools.tables import stress_table

    result = stress(options.x, seed=options.seed, token=options.token)
    print(json.dumps(result, ensure_ascii=False) if options.json else stress_table(result, options.lang))
    return 0


def _behave(options: argparse.Namespace) -> int:
    from tools.audit import behave
    from tools.tables import behaviour_table

    result = behave(options.x, options.y, options.control, seed=options.seed, token=options.token)
    print(json.dumps(result, ensure_ascii=False) if options.json else behaviour_table(result, options.lang))
    return 0


def _cache(options: argparse.Namespace) -> int:
    from tools.sources.range_cache import cache_folder, cached_models, cached_records, clear_cache

    folder = cache_folder()
    freed = clear_cache(folder) if options.clear else 0
    models, results = cached_models(folder), cached_records(folder)
    if options.json:
        kept = {"folder": str(folder), "models": models, "results": len(results), "freed": freed}
        print(json.dumps(kept, ensure_ascii=False))
        return 0
    chinese = options.lang == "zh"
    if options.clear:
        print(f"已释放 {freed:,} 字节。" if chinese else f"{freed:,} bytes freed.")
    total = sum(models.values()) + sum(results)
    print(f"{folder}：{total:,} 字节" if chinese else f"{folder}: {total:,} bytes")
    for name, size in models.items():
        print(f"{size:15,}  {printable(name)}")
    if results:
        kept_results = f"比较结果：{len(results):,} 个" if chinese else f"results of comparisons: {len(results):,}"
        print(f"{sum(results):15,}  {kept_results}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
