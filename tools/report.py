"""A result in words: one sentence, a few reasons, Markdown; English and Chinese. Computes nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Any

from tools.errors import printable
from tools.limits import translated
from tools.words import (
    ABSTENTIONS,
    ANSWERS,
    BACKGROUND,
    CHANGE_DETAILS,
    CHANGES,
    DIRECTIONS,
    NEXT,
    NEXT_IF_UNDECIDED,
    NEXT_WITH_BASE,
    PROBES,
    REASONS,
    SCALE,
    TEXT,
    code,
    percent,
)

# So many layers are named one by one.
LAYERS_NAMED = 12

Result = Mapping[str, Any]


def summary(result: Result, language: str = "en") -> dict[str, Any]:
    """The short form: word, icon, headline, strength, at most three reasons, what it does not mean, what to do next."""
    answer = result["answer"]
    words = ANSWERS[answer]
    return {
        "word": words["word"][language],
        "icon": words["icon"],
        "headline": headline(result, language),
        "strength": strength(result, language),
        "reasons": reasons(result, language)[:3],
        "background": background(result, language),
        "changes": [change(entry, language) for entry in result["changes"]],
        "direction": direction(result, language),
        "power": power(result, language),
        "not_meaning": [translated(sentence, language) for sentence in result["limits"]],
        "next": _next(result, language),
    }


def _next(result: Result, language: str) -> str:
    because = result["because"]
    if result["answer"] != "undecided" or not because:
        # Where a parent was told, a base that nobody named is not the next thing to ask for.
        settled = result["base"] or (result["answer"] == "derived" and result["direction"]["answer"] != "unknown")
        words = NEXT | NEXT_WITH_BASE if settled else NEXT
        return words[result["answer"]][language]
    # Undecided for want of anything to lean on names no probe.
    reason = "between_sibling_and_copy" if "shared_additions" in because else "suggestive"
    return NEXT_IF_UNDECIDED[reason][language]


def headline(result: Result, language: str = "en", *, as_code: bool = False) -> str:
    """The answer in one sentence, with the names of the models."""
    words = ANSWERS[result["answer"]]
    key = "headline" if result["base"] or "headline_without_base" not in words else "headline_without_base"
    sentence: str = words[key][language].format(**_names(result, as_code=as_code))
    return sentence


def strength(result: Result, language: str = "en") -> str:
    """How sure, on the forensic scale; empty where nothing was measured."""
    found = result["strength"]
    if found["log10_pvalue"] is None or (found["words"] is None and not result["because"]):
        return TEXT["no_strength"][language]
    if found["words"] is None:
        return TEXT["unsettled"][language].format(chance=chance(found["log10_pvalue"], language))
    if result["answer"] == "independent":
        return power(result, language)
    return TEXT["strength"][language].format(
        words=SCALE[found["words"]][language], chance=chance(found["log10_pvalue"], language)
    )


def reasons(result: Result, language: str = "en") -> list[str]:
    """One sentence for each probe that the answer leans on, then for context that a reader will ask about."""
    others = [name for name in result["findings"] if name not in result["because"] and name not in BACKGROUND]
    return _sentences(result, [*result["because"], *others], language)


def background(result: Result, language: str = "en") -> list[str]:
    """One sentence for each finding that only an expert will ask about, with what strangers reach."""
    return _sentences(result, BACKGROUND, language)


def _sentences(result: Result, names: Sequence[str], language: str) -> list[str]:
    sentences = []
    for name in names:
        finding = result["findings"].get(name)
        if finding is not None and "abstained" not in finding and name in REASONS:
            sentences.append(REASONS[name](finding, language, name in result["because"]))
    return [sentence for sentence in sentences if sentence]


def change(entry: Mapping[str, Any], language: str = "en") -> str:
    """One entry of the list of changes, as a phrase with its amount and what is known of where it was made."""
    where = entry["where"] if isinstance(entry["where"], Mapping) else {}
    if entry["kind"] == "recast" and "share_moved" in where:
        return TEXT["below_rounding"][language].format(moved=percent(where["share_moved"]))
    words = TEXT["merged_parts"] if "method" in where else CHANGES[entry["kind"]]
    words = TEXT["fewer_coordinates"] if entry["unit"] == "share of the coordinates" else words
    phrase: str = words[language].format(amount=_amount(entry), method=where.get("method"))
    known = {key: _detail(key, value, language) for key, value in where.items() if value not in (None, [])}
    details = []
    for words in CHANGE_DETAILS.get(entry["kind"], ()):
        needed = {name for _, name, _, _ in Formatter().parse(words[language]) if name}
        if needed <= known.keys():
            details.append(words[language].format(**known))
    joint, brackets, closing = ("; ", " ({})", ")") if language == "en" else ("；", "（{}）", "）")
    if details:
        more = joint.join(details)
        # One pair of brackets holds all that is said of a change.
        phrase = f"{phrase[:-1]}{joint}{more}{closing}" if phrase.endswith(closing) else phrase + brackets.format(more)
    return _in_singular(phrase) if language == "en" else phrase


def _in_singular(phrase: str) -> str:
    """'1 layers' as one says it, and 'layers 3' where one layer is listed."""
    phrase = re.sub(r"(?<![\d.,])1 (tensor|layer|token table|token)s\b", r"1 \1", phrase)
    return re.sub(r"\blayers (\d+)(?=$|[;)]| of )", r"layer \1", phrase)


def _detail(key: str, value: Any, language: str) -> str:
    if key == "weights":
        return {"en": ", ", "zh": "、"}[language].join(f"{code(name)} {percent(weight)}" for name, weight in value)
    if key == "shares_kept":
        return {"en": ", ", "zh": "、"}[language].join(map(percent, value))
    if key == "scale":
        return f"{value:.2f}"
    if isinstance(value, list):
        runs = _runs(value) if isinstance(value[0], int) else [str(item) for item in value]
        return ", ".join(runs[:LAYERS_NAMED]) + (" …" if len(runs) > LAYERS_NAMED else "")
    return percent(value) if key.startswith("share") else str(value)


def _runs(numbers: Sequence[int]) -> list[str]:
    """The numbers one by one, three and more in a row as the first and the last: 0-15."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [each for run in runs for each in (map(str, run) if len(run) < 3 else [f"{run[0]}-{run[-1]}"])]


def direction(result: Result, language: str = "en") -> str:
    """Which came from which, or that this is not known; empty where the question does not arise."""
    if result["answer"] not in ("disguised_copy", "derived", "shared_part"):
        return ""
    found = result["direction"]
    sentence: str = DIRECTIONS[found["answer"]][language].format(**_names(result))
    because = [DIRECTIONS["because"][reason][language] for reason in found["because"]]
    joint = "; " if language == "en" else "；"
    if changed := found.get("changed"):
        child = _names(result)[changed]
        said: str = DIRECTIONS["changed"][language].format(child=child, reasons=joint.join(because))
        return said
    return (
        sentence
        if not because
        else sentence
        + (" (" if language == "en" else "（")
        + joint.join(because)
        + (")." if language == "en" else "）。")
    )


def power(result: Result, language: str = "en") -> str:
    """What would have been caught, for an independent pair."""
    found = result["power"]
    if not found:
        return ""
    keys = {
        "largest_noise_caught": "power_in_order",
        "largest_noise_caught_reordered": "power_reordered",
        "largest_noise_caught_turned": "power_turned",
        "largest_noise_caught_turned_reordered": "power_turned_reordered",
    }
    caught = [
        TEXT[text][language].format(percent=percent(found[key]))
        for key, text in keys.items()
        if found.get(key) is not None
    ]
    joint, between = ("; ", " ") if language == "en" else ("；", "")
    told = TEXT["power_copy" if len(caught) > 1 else "power_copy_one"][language].format(list=joint.join(caught))
    copy = [told] if caught else []
    return between.join([*copy, _merge_power(found, language)])


def _merge_power(found: Mapping[str, Any], language: str) -> str:
    """Which share of one model in the other would have been noticed."""
    caught, missed = found["smallest_merge_caught"], found["largest_merge_missed"]
    if caught is None:
        key = "power_merge_untried" if missed is None else "power_no_merge"
    else:
        key = "power_least_merge" if missed is None else "power_merge"
    shares = {name: percent(share) for name, share in (("caught", caught), ("missed", missed)) if share is not None}
    return TEXT[key][language].format(**shares)


def markdown(result: Result, language: str = "en") -> str:
    """The whole result as a Markdown document; every name is code, since names are foreign text."""
    short = summary(result, language)

    def text(key: str) -> str:
        return TEXT[key][language]

    lines = [f"# {text('title')}", "", f"**{short['icon']} {short['word']}**", ""]
    lines += [headline(result, language, as_code=True), "", short["strength"], ""]
    if short["direction"]:
        lines += [short["direction"], ""]
    lines += [f"## {text('why')}", "", *[f"- {sentence}" for sentence in reasons(result, language)], ""]
    if short["changes"]:
        lines += [f"## {text('changes')}", "", *[f"- {phrase}" for phrase in short["changes"]], ""]
    lines += [f"## {text('limits')}", "", *[f"- {sentence}" for sentence in short["not_meaning"]], ""]
    lines += [
        f"## {text('findings')}",
        "",
        "| " + " | ".join(text("columns").split("|")) + " |",
        "|---|---|---|---|",
    ]
    for name, finding in result["findings"].items():
        value = abstained(finding["abstained"], language) if "abstained" in finding else number(finding["statistic"])
        rarity = "" if finding.get("log10_pvalue") is None else f"{finding['log10_pvalue']:z.1f}"
        lines.append(
            f"| {PROBES[name]['question'][language]} | {value} | {rarity} | {TEXT[finding['role']][language]} |"
        )
    if short["background"]:
        lines += ["", f"## {text('background')}", "", *[f"- {sentence}" for sentence in short["background"]]]
    lines += ["", f"## {text('models')}", ""]
    for side in ("a", "b", "base"):
        model = result[side]
        if model is not None:
            lines.append(f"- {code(model['name'])}: {model['parameters'] or '?'} {text('parameters')}")
            lines += [f"  - {code(file)} sha256 {digest or '?'}" for file, digest in model["files"].items()]
    lines += ["", cost(result, language), "", f"## {text('reproduce')}", ""]
    lines += ["```", printable(result["reproduce"]["command"], 400), "```", ""]
    return "\n".join(lines)


def cost(result: Result, language: str = "en") -> str:
    """What was read, and for how long; of what was measured before, when and what it took then."""
    now = result["cost"]
    then = now.get("earlier") or now
    return TEXT["cost" if then is now else "cost_earlier"][language].format(
        read=then["bytes_read_a"] + then["bytes_read_b"], total=now["bytes_total_a"] + now["bytes_total_b"],
        seconds=f"{then['seconds']:.1f}", now=f"{now['seconds']:.1f}", date=then.get("on"),
    )  # fmt: skip


def abstained(reason: str, language: str = "en") -> str:
    """A probe's reason for not measuring, in the reader's language."""
    return reason if language == "en" else ABSTENTIONS.get(reason, reason)


def chance(log10_pvalue: float, language: str = "en") -> str:
    """A p-value a non-expert can read: once in 10^40."""
    if log10_pvalue > -1.0:
        return TEXT["chance_common"][language].format(percent=percent(10**log10_pvalue))
    return TEXT["chance_rare"][language].format(power=int(-log10_pvalue))


def number(value: float) -> str:
    """A statistic with three digits; what rounds to nothing has no sign."""
    return f"{value:z.3f}" if abs(value) < 100 else f"{value:.0f}"


def _amount(entry: Mapping[str, Any]) -> str:
    amount, unit = entry["amount"], entry["unit"] or ""
    if amount is None:
        return ""
    if unit.startswith(("share", "size")):
        return percent(amount)
    return f"{amount:.0f}"


def _names(result: Result, *, as_code: bool = False) -> dict[str, str]:
    shown = code if as_code else printable
    return {side: shown(result[side]["name"]) if result[side] else "" for side in ("a", "b", "base")}
