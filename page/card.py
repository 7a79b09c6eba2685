"""Results as cards and tables: HTML of ours on one line, every foreign string through markup.plain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from page import numbers
from page.markup import block, plain, powers
from page.words import Language, say, translated
from tools.limits import translated as limit
from tools.words import ANSWERS, DISGUISES, PROBES, SCALE, STRENGTHS, amount_word

BEHAVED = (
    "agreement",
    "agreement_where_b_is_right",
    "same_wrong_answer",
    "flip_overlap",
    "divergence_bits",
)

# A card's tone follows the kind of answer, never its importance; the word and the sign carry the meaning.
TONES = {
    "identical": "linked",
    "disguised_copy": "linked",
    "derived": "linked",
    "shared_part": "linked",
    "common_origin": "linked",
    "independent": "apart",
    "undecided": "open",
}


def verdict(result: Mapping[str, Any], summary: Mapping[str, Any], language: Language) -> str:
    """The card of a comparison: the contract's JSON and what tools.report.summary says of it."""
    a, b = result["a"]["name"], result["b"]["name"]
    power = summary.get("power") if summary.get("power") != summary.get("strength") else ""
    pair = say(language, "card_pair", a=_name(a), b=_name(b))
    if result.get("base"):
        pair += " · " + say(language, "card_base", base=_name(result["base"]["name"]))
    parts = [
        f'<div class="card-pair">{pair}</div>',
        f'<div class="card-answer"><span class="card-icon">{plain(summary["icon"], 4)}</span> '
        f'<span class="card-word">{plain(summary["word"], 80)}</span></div>',
        f'<p class="card-headline">{plain(summary["headline"], 600)}</p>',
        _strength(result, summary, language),
        _section(say(language, "card_reasons"), _list(summary.get("reasons") or [], ordered=True)),
        _section(say(language, "card_changes"), _list(summary.get("changes") or [])),
        _section(say(language, "card_direction"), _paragraph(summary.get("direction"))),
        _section(say(language, "card_power"), _paragraph(power)),
        _section(say(language, "card_components"), _components(result, language)),
        _section(say(language, "card_limits"), _list(summary.get("not_meaning") or [])),
        _section(say(language, "card_next"), _paragraph(summary.get("next"))),
        _details(say(language, "card_background"), _list(summary.get("background") or [])),
        f'<p class="card-cost"><b>{say(language, "card_cost")}:</b> {_cost(result, language)}</p>',
    ]
    return block(f"card card-{TONES.get(str(result['answer']), 'open')}", parts)


def findings(result: Mapping[str, Any] | None, language: Language) -> str:
    """The table of every finding, or the sentence that there is none yet."""
    if result is None:
        return block("findings findings-empty", [f"<p>{say(language, 'evidence_empty')}</p>"])
    about = say(language, "evidence_about", a=_name(result["a"]["name"]), b=_name(result["b"]["name"]))
    if result.get("base"):
        about += " · " + say(language, "evidence_base", base=_name(result["base"]["name"]))
    rows = [_finding(name, finding, result, language) for name, finding in result["findings"].items()]
    keys = ("column_question", "column_value", "column_chance", "column_role")
    return block(
        "findings",
        [
            f"<h3>{say(language, 'evidence_title')}</h3>",
            f'<p class="quiet">{about}</p>',
            _table(keys, "".join(rows), language),
            f'<p class="quiet">{say(language, "chance_about")}</p>',
        ],
    )


def story(title: str, text: str) -> str:
    """The story of an exhibit."""
    return block("story-text", [f"<h3>{plain(title, 120)}</h3><p>{plain(text, 2000)}</p>"])


def stress(result: Mapping[str, Any], language: Language) -> str:
    """The table of disguises that tools.audit.stress tried on one model."""
    rows = result["rows"]
    tried = [bool(row["recognised"]) for row in rows if row["recognised"] is not None]
    seen = say(language, "stress_count", seen=sum(tried), all=len(tried))
    took = numbers.seconds(result.get("seconds"))
    keys = ("stress_disguise", "stress_recognised", "stress_answer", "stress_probes")
    body = "".join(
        f'<tr><th scope="row">{_disguise(row, language)}</th>'
        f"<td><b>{say(language, _recognised(row))}</b></td>"
        f"<td>{_answer(row.get('answer'), language)}</td>"
        f"<td>{_seen_best_by(row.get('probes') or {}, language)}</td></tr>"
        for row in rows
    )
    return block(
        "card card-plain",
        [
            f'<p class="card-pair">{say(language, "stress_about", name=_name(result["name"]))}</p>',
            f'<p class="card-answer"><span class="card-word">{seen}</span></p>',
            _section(say(language, "stress_title"), _table(keys, body, language)),
            _section(say(language, "card_limits"), _limits(result, language)),
            f'<p class="card-cost">{say(language, "took", seconds=took)}</p>',
        ],
    )


def behaviour(result: Mapping[str, Any], language: Language) -> str:
    """What two models' answers have in common, beside what the control's and the second's have."""
    models = result["models"]
    a, b = (_name(models[side]["name"]) for side in ("a", "b"))
    control = _control(models["control"]["name"], language)
    found = result["findings"]
    rows = "".join(
        f'<tr><th scope="row">{say(language, f"behave_{key}")}</th>'
        f"<td><b>{_behaved(found, key, 'pair', language)}</b></td>"
        f"<td>{_behaved(found, key, 'control', language)}</td></tr>"
        for key in BEHAVED
    )
    heads = (
        f'<th scope="col"></th><th scope="col">{say(language, "behave_pair", a=a, b=b)}</th>'
        f'<th scope="col">{say(language, "behave_control", b=b)}</th>'
    )
    mistakes = [
        say(
            language,
            "behave_mistake",
            prompt=plain(item["prompt"], 120),
            said=plain(item["said"]["b"], 40),
            right=plain(item["answer"], 40),
        )
        for item in (result["items"][place] for place in result["shared_mistakes"][:3])
    ]
    table = f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    return block(
        "card card-plain",
        [
            f'<p class="card-pair">{say(language, "behave_about", a=a, b=b, control=control)}</p>',
            f'<p class="card-answer"><span class="card-word">{say(language, "behave_title")}</span></p>',
            _section("", table),
            _section(say(language, "behave_mistakes"), _items(mistakes)),
            _section(say(language, "card_limits"), _limits(result, language)),
            f'<p class="card-cost">{say(language, "took", seconds=numbers.seconds(result["seconds"]))}</p>',
        ],
    )


def method(language: Language, badge: str) -> str:
    """How an answer is reached, what the seven answers mean, what none can tell, who words the replies."""
    answers = "".join(
        f"<dt>{ANSWERS[answer]['word'][language]}</dt><dd>{say(language, f'meaning_{answer}')}</dd>" for answer in TONES
    )
    steps = "".join(f"<li>{say(language, key)}</li>" for key in ("method_1", "method_2", "method_3"))
    limits = "".join(f"<li>{say(language, key)}</li>" for key in ("method_limit_1", "method_limit_2"))
    return block(
        "method",
        [
            f"<h3>{say(language, 'method_title')}</h3><ol>{steps}</ol>",
            f"<h3>{say(language, 'method_answers')}</h3><dl>{answers}</dl>",
            f"<h3>{say(language, 'method_limits')}</h3><ul>{limits}</ul>",
            f'<p class="quiet">{plain(badge, 300)} {say(language, "method_privacy")}</p>',
        ],
    )


def _disguise(row: Mapping[str, Any], language: Language) -> str:
    name, amount = row["perturbation"], row.get("amount")
    text = DISGUISES[name][language] if name in DISGUISES else plain(row.get("about") or name, 120)
    if row.get("unit") is None or amount is None:
        return text
    word = numbers.share(amount) if isinstance(amount, float) else plain(amount_word(amount, language), 40)
    return f"{text}: <b>{word}</b>"


def _control(name: object, language: Language) -> str:
    """The control's name; the tools call one that they made themselves untrained, in English."""
    like = str(name).removesuffix(" (untrained)")
    return _name(name) if like == name else say(language, "behave_untrained", name=_name(like))


def _recognised(row: Mapping[str, Any]) -> str:
    if row["recognised"] is None:
        return "stress_not_applicable"
    return "yes" if row["recognised"] else "no"


def _answer(answer: str | None, language: Language) -> str:
    return str(ANSWERS[answer]["word"][language]) if answer in ANSWERS else plain(answer or "–", 40)


def _seen_best_by(probes: Mapping[str, Any], language: Language) -> str:
    """The check that chance would imitate least often, and how often."""
    seen = {name: value for name, value in probes.items() if isinstance(value, (int, float)) and value < 0}
    if not seen:
        return "–"
    name = min(seen, key=lambda probe: seen[probe])
    label = PROBES[name]["label"][language] if name in PROBES else plain(name, 60)
    return f"{label} {numbers.chance(seen[name])}"


def _table(keys: Sequence[str], body: str, language: Language) -> str:
    heads = "".join(f'<th scope="col">{say(language, key)}</th>' for key in keys)
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def _name(name: object) -> str:
    return f'<span class="model">{plain(name, 80)}</span>'


def _section(title: str, body: str) -> str:
    head = f"<h4>{title}</h4>" if title else ""
    return f'<div class="card-section">{head}{body}</div>' if body else ""


def _details(title: str, body: str) -> str:
    """What only some readers want, closed until they open it."""
    return f'<details class="card-section"><summary>{title}</summary>{body}</details>' if body else ""


def _paragraph(text: object) -> str:
    return f"<p>{powers(plain(text, 600))}</p>" if text else ""


def _limits(result: Mapping[str, Any], language: Language) -> str:
    return _list([limit(str(sentence), language) for sentence in result.get("limits") or []])


def _items(ours: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{sentence}</li>" for sentence in ours) + "</ul>" if ours else ""


def _behaved(found: Mapping[str, Any], key: str, side: str, language: Language) -> str:
    value = found[key][side]
    if key == "same_wrong_answer":
        return say(language, "behave_of", part=value, whole=found["both_wrong"][side])
    return numbers.number(value) if key == "divergence_bits" else numbers.share(value)


def _list(sentences: Sequence[object], ordered: bool = False) -> str:
    if not sentences:
        return ""
    tag = "ol" if ordered else "ul"
    return f"<{tag}>" + "".join(f"<li>{powers(plain(sentence, 600))}</li>" for sentence in sentences) + f"</{tag}>"


def _strength(result: Mapping[str, Any], summary: Mapping[str, Any], language: Language) -> str:
    strength = result.get("strength") or {}
    words, log10_pvalue = strength.get("words"), strength.get("log10_pvalue")
    sentence = _paragraph(summary.get("strength"))
    if words not in STRENGTHS:
        # Of strangers there is no strength to tell, but what would have been noticed.
        title = say(language, "card_power" if summary.get("power") else "card_strength")
        return f'<div class="card-strength"><h4>{title}</h4>{sentence}</div>' if sentence else ""
    step = STRENGTHS.index(words) + 1
    dots = "●" * step + "○" * (5 - step)
    shown = (
        f"log10 p = {numbers.log10(float(log10_pvalue))}"
        if isinstance(log10_pvalue, (int, float))
        else say(language, "card_chance_none")
    )
    return (
        f'<div class="card-strength"><h4>{say(language, "card_strength")}</h4>'
        f'<p><span class="dots">{dots}</span> <b>{SCALE[words][language]}</b> '
        f'<span class="quiet">{say(language, "card_scale", step=step)} · {shown}</span></p>{sentence}</div>'
    )


def _components(result: Mapping[str, Any], language: Language) -> str:
    if len(result["components"]) < 2:
        return ""
    rows = "".join(
        f"<tr><td>{plain(translated(part['name'], language), 60)}</td>"
        f"<td>{_answer(part['answer'], language)}</td>"
        f"<td>{numbers.share(part['share_of_parameters'])}</td></tr>"
        for part in result["components"]
    )
    return _table(("component_name", "component_answer", "component_share"), rows, language)


def _cost(result: Mapping[str, Any], language: Language) -> str:
    cost = result["cost"]
    if earlier := cost.get("earlier"):
        then = {**result, "cost": {**cost, **earlier, "earlier": None}}
        when = say(language, "cost_earlier", date=plain(earlier["on"], 20))
        return when + _cost(then, language) + say(language, "cost_again")
    duration = numbers.seconds(cost["seconds"])
    if not cost["bytes_read_a"] and not cost["bytes_read_b"]:
        return say(language, "cost_nothing", seconds=duration)
    return say(
        language,
        "cost",
        read_a=numbers.size(cost["bytes_read_a"]),
        total_a=numbers.size(cost["bytes_total_a"]),
        read_b=numbers.size(cost["bytes_read_b"]),
        total_b=numbers.size(cost["bytes_total_b"]),
        a=_name(result["a"]["name"]),
        b=_name(result["b"]["name"]),
        seconds=duration,
    )


def _finding(name: str, finding: Mapping[str, Any], result: Mapping[str, Any], language: Language) -> str:
    question = PROBES[name]["question"][language] if name in PROBES else plain(finding["question"], 300)
    role = say(language, "decides" if finding["role"] == "decides" else "context")
    if name in result["because"]:
        role += f' <span class="leaned">● {say(language, "leaned_on")}</span>'
    head = f'<th scope="row">{question} <span class="quiet">{plain(name, 60)}</span></th>'
    if "abstained" in finding:
        reason = f"<b>{say(language, 'abstained')}:</b> {plain(translated(finding['abstained'], language), 400)}"
        return f'<tr class="abstained">{head}<td colspan="2">{reason}</td>{_cell("role", role, language)}</tr>'
    unit = plain(translated(finding.get("unit") or "", language), 120)
    value = f"<b>{numbers.number(finding['statistic'])}</b> {unit}"
    log10_pvalue = finding.get("log10_pvalue")
    chance = (
        f'{numbers.chance(log10_pvalue)} <span class="quiet">log10 p {numbers.log10(float(log10_pvalue))}</span>'
        if isinstance(log10_pvalue, (int, float))
        else say(language, "chance_unknown")
    )
    cells = (_cell("value", value, language), _cell("chance", chance, language), _cell("role", role, language))
    return f"<tr>{head}{''.join(cells)}</tr>"


def _cell(column: str, content: str, language: Language) -> str:
    """A cell that knows the head of its column: on a phone the heads are gone."""
    return f'<td><span class="column">{say(language, f"column_{column}")} · </span>{content}</td>'
