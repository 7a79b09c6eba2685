"""What `describe`, `stress` and `behave` found, as Markdown in English and Chinese. Computes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tools.limits import translated
from tools.report import Result, number
from tools.words import ANSWERS, DESCRIBED, DISGUISES, TEXT, amount_word, code, percent


def description(result: Result, language: str = "en") -> str:
    """What `describe` found, one Markdown line a fact; what is not known is left out."""
    lines = [f"# {TEXT['describe_title'][language].format(name=code(result['name']))}", ""]
    colon = ": " if language == "en" else "："
    for key, label in DESCRIBED.items():
        if result[key] not in (None, {}):
            lines.append(f"- {label[language]}{colon}{_described(result[key])}")
    if result["files"]:
        lines += ["", f"## {TEXT['files'][language]}", ""]
        lines += [f"- {code(file)} sha256 {digest or '?'}" for file, digest in result["files"].items()]
    return "\n".join([*lines, "", *[f"- {translated(sentence, language)}" for sentence in result["limits"]]])


def _described(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{code(name)} ({count:,})" for name, count in value.items())
    return code(value)


def stress_table(result: Result, language: str = "en") -> str:
    """What `stress` found, one Markdown row a disguise."""
    lines = [f"# {TEXT['stress_title'][language].format(name=code(result['name']))}", ""]
    lines += ["| " + " | ".join(TEXT["stress_columns"][language].split("|")) + " |", "|---|---|---|---|"]
    for row in result["rows"]:
        seen = {None: "not_applicable", True: "recognised", False: "not_recognised"}[row["recognised"]]
        word = ANSWERS[row["answer"]]["word"][language] if row["answer"] else ""
        disguise = DISGUISES[row["perturbation"]][language]
        lines.append(f"| {disguise} | {_amount(row, language)} | {TEXT[seen][language]} | {word} |")
    return "\n".join([*lines, "", *[translated(sentence, language) for sentence in result["limits"]]])


def behaviour_table(result: Result, language: str = "en") -> str:
    """What `behave` measured, one Markdown row a noise level, the control beside the pair."""
    models = result["models"]
    title = TEXT["behaviour_title"][language].format(
        a=code(models["a"]["name"]), b=code(models["b"]["name"]), items=len(result["items"])
    )
    columns = TEXT["behaviour_columns"][language].split("|")
    lines = [f"# {title}", "", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    pair, control = result["pair"], result["control"]
    for place, level in enumerate(result["noise_levels"]):
        cells = [percent(level)]
        for key in ("agreement_where_b_is_right", "same_wrong_answer", "divergence_bits"):
            cells += [_cell(key, table[key][place], table["both_wrong"][place]) for table in (pair, control)]
        lines.append("| " + " | ".join(cells) + " |")
    if result["ran_in_the_other_models_code"]:
        lines += ["", TEXT["ran_in_other_code"][language]]
    return "\n".join([*lines, "", *[f"- {translated(sentence, language)}" for sentence in result["limits"]]])


def _cell(key: str, value: float | None, both_wrong: int) -> str:
    if value is None:
        return "–"
    if key == "same_wrong_answer":
        return f"{value:.0f} / {both_wrong:.0f}"
    return percent(value) if key.startswith("agreement") else number(value)


def _amount(row: Mapping[str, Any], language: str) -> str:
    """How much of a disguise was tried; nothing where it is done or not."""
    amount = row["amount"]
    if isinstance(amount, float):
        return percent(amount)
    if row["unit"] is None:
        return ""
    return amount_word(amount, language)
