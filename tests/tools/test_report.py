"""A result in words: everything is worded in both languages, nothing foreign breaks out, nothing accuses."""

from __future__ import annotations

import copy
import itertools
import json
import re
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
import torch

from tests.small_models import trained, tuned
from tools import limits as limits_module
from tools.audit import compare
from tools.errors import LANGUAGES
from tools.probes import all_probes
from tools.report import chance, change, direction, markdown, reasons, summary
from tools.words import ANSWERS, CHANGES, DIRECTIONS, NEXT, NEXT_IF_UNDECIDED, PROBES, REASONS, SCALE, TEXT, percent

SCHEMA = Path(__file__).resolve().parents[2].parent / "shared" / "result.schema.json"
BANNED = re.compile(
    r"\b(?:stolen|steal\w*|theft|thief|thieves|guilty|proof|proofs|proves?|proven)\b|偷|盗|窃|铁证|实锤", re.IGNORECASE
)
HAN = re.compile(r"[\u4e00-\u9fff]")
HIDDEN = re.compile(r"[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
HOSTILE = [
    "`code` and ``more``",
    "open ` <b>tag</b> [go](http:x)",
    "a | b | c",
    "line\nbreak\n\n# Heading\n- item",
    "\u202egnp.exe\u2066 \u200bzero",
    "<img src=x onerror=alert(1)>",
    "[click](http:evil) ![x](y)",
    "```\nfence\n```",
    "**bold** _em_ ~~no~~",
    "{a} {0} %s $x$",
    "x" * 5000,
    "\\` trailing \\",
    "    indented",
    "",
]

both = pytest.mark.parametrize("language", LANGUAGES)
every_answer = pytest.mark.parametrize("answer", sorted(ANSWERS))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A linked pair with a base, so that every probe has something to say."""
    folder = tmp_path_factory.mktemp("models")
    a, b = tuned("llama", 1, 3).saved(folder / "a"), tuned("llama", 1, 4).saved(folder / "b")
    return compare(a, b, trained("llama", 1).saved(folder / "base"))


def result(real: dict[str, Any], answer: str, **more: Any) -> dict[str, Any]:
    made = copy.deepcopy(real) | {"answer": answer} | more
    if answer == "independent":
        made["power"] = {
            "largest_noise_caught": 1.0, "largest_noise_caught_reordered": 0.5, "unit": "share",
            "smallest_merge_caught": 0.05, "largest_merge_missed": 0.02,
        }  # fmt: skip
        made["strength"] = {"log10_pvalue": -0.2, "words": "none"}
    if answer == "undecided":
        made["strength"] = {"log10_pvalue": None, "words": None}
    made["limits"] = limits_module.limits(answer, base=answer == "common_origin", power=made["power"])
    made["changes"] = [
        {"kind": kind, "amount": 0.25, "unit": "share of the numbers", "where": None} for kind in CHANGES
    ] if answer not in ("independent", "undecided") else []  # fmt: skip
    return made


@both
def test_what_to_do_next_fits_the_reason(real: dict[str, Any], language: str) -> None:
    told = [
        summary(result(real, "undecided", because=because), language)["next"]
        for because in ([], ["unit_places"], ["shared_additions", "unit_order"])
    ]
    assert len(set(told)) == 3 and told[0] == NEXT["undecided"][language]
    # Their weights are here already.
    assert all(word not in sentence for sentence in told[1:] for word in ("Give the weights", "请提供"))


def test_the_same_keys_in_both_languages() -> None:
    tables = {"ANSWERS": ANSWERS, "CHANGES": CHANGES, "NEXT": NEXT, "NEXT_IF_UNDECIDED": NEXT_IF_UNDECIDED,
              "SCALE": SCALE, "TEXT": TEXT, "PROBES": PROBES, "DIRECTIONS": DIRECTIONS,
              "limits": limits_module.TEXTS}  # fmt: skip

    def walk(path: str, node: Any) -> None:
        if isinstance(node, dict) and "en" in node:
            assert set(node) == {"en", "zh"}, path
            fields = [sorted({f for _, f, _, _ in Formatter().parse(node[x]) if f}) for x in ("en", "zh")]
            assert fields[0] == fields[1], f"{path} has other blanks in the other language"
            assert node["en"].strip() and node["zh"].strip(), path
            assert not HAN.search(node["en"]), path
            assert HAN.search(node["zh"]) or not re.search(r"[a-z]{3}", node["zh"]), path
            assert not BANNED.search(node["en"] + node["zh"]), path
        elif isinstance(node, dict):
            for key, child in node.items():
                walk(f"{path}.{key}", child)
        else:
            assert path.endswith(".icon"), path

    for name, table in tables.items():
        walk(name, table)


def test_everything_that_can_be_found_has_words(real: dict[str, Any]) -> None:
    from tools.verdict import STRENGTH_WORDS

    assert set(SCALE) == {"none", *(words for _, words in STRENGTH_WORDS)}
    assert set(REASONS) == set(PROBES) == {probe.name for probe in all_probes()}
    assert set(NEXT) == set(ANSWERS)
    assert len({words["icon"] for words in ANSWERS.values()}) == len(ANSWERS)
    assert set(DIRECTIONS) == {"a_from_b", "b_from_a", "unknown", "changed", "because"}


@pytest.mark.skipif(not SCHEMA.is_file(), reason="the contract's schema, ../shared/result.schema.json, is absent")
def test_words_cover_the_contract(real: dict[str, Any]) -> None:
    import jsonschema

    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.validate(real, schema)
    properties = schema["properties"]
    assert set(properties["answer"]["enum"]) == set(ANSWERS)
    assert set(properties["changes"]["items"]["properties"]["kind"]["enum"]) == set(CHANGES)
    assert set(properties["strength"]["properties"]["words"]["enum"]) - {None} == set(SCALE)


@both
@every_answer
def test_every_answer_is_told(real: dict[str, Any], answer: str, language: str) -> None:
    made = result(real, answer)
    short = summary(made, language)
    assert set(short) == set(summary(made, "zh" if language == "en" else "en"))
    assert short["word"] == ANSWERS[answer]["word"][language]
    assert 1 <= len(short["reasons"]) <= 3 and short["not_meaning"] and short["strength"]
    assert len(short["changes"]) == len(made["changes"])
    told = json.dumps([short[key] for key in short if key != "headline"], ensure_ascii=False)
    assert bool(HAN.search(told)) == (language == "zh")
    whole = markdown(made, language)
    assert not BANNED.search(told) and not BANNED.search(whole)
    assert not re.search(r"\{\w*\}|None|nan|\binf\b", whole)
    for sentence in (short["word"], *short["reasons"], *short["not_meaning"], *short["changes"]):
        assert sentence in whole


def test_nothing_english_is_left_in_a_chinese_report(real: dict[str, Any]) -> None:
    for answer in ANSWERS:
        made = result(real, answer)
        for probe in all_probes():
            made["findings"][probe.name] = {
                "question": probe.question,
                "role": probe.role,
                "abstained": ABSTENTIONS[probe.name],
            }
        short = summary(result(real, answer), "zh")
        for sentence in (short["strength"], *short["reasons"], *short["not_meaning"], *short["changes"], short["next"]):
            assert HAN.search(sentence) or not sentence, sentence
        for abstained in ABSTENTIONS.values():
            assert abstained not in markdown(made, "zh"), abstained
            assert abstained in markdown(made, "en")


# What the probes say when they cannot measure; read off the probes on models that do not fit.
ABSTENTIONS: dict[str, str] = {}


@pytest.fixture(scope="module", autouse=True)
def _abstentions() -> None:
    from tests.small_models import Held
    from tools.comparison import Comparison
    from tools.evidence import Abstention

    for probe in all_probes():
        finding = probe.measure(Comparison(Held({}), Held({})))
        assert isinstance(finding, Abstention), probe.name
        ABSTENTIONS[probe.name] = finding.reason


@both
@pytest.mark.parametrize("kind", sorted(CHANGES))
def test_every_change_is_told_with_and_without_amount(kind: str, language: str) -> None:
    for amount, unit in ((0.25, "share of the numbers"), (3, "tensors"), (None, None), (0.0004, "size of the change")):
        phrase = change({"kind": kind, "amount": amount, "unit": unit, "where": None}, language)
        assert phrase and "None" not in phrase and "{" not in phrase


def test_a_phrase_has_one_pair_of_brackets_and_one_layer_is_singular() -> None:
    trained_on = {"kind": "fine_tuned", "amount": 0.12, "unit": "", "where": {"share_moved": 1.0}}
    for language, signs in (("en", "()"), ("zh", "（）")):
        told = change(trained_on, language)
        assert [told.count(sign) for sign in signs] == [1, 1] and told.endswith(signs[1]), told
    cut = {"kind": "layers_removed", "amount": 1, "unit": "layers", "where": {"only_in_a": [], "only_in_b": [3]}}
    assert change(cut) == "1 layer fewer on one side (only the second model has layer 3)"
    cut = {"kind": "layers_removed", "amount": 11, "unit": "layers", "where": {"only_in_a": [], "only_in_b": [3, 4]}}
    assert "11 layers fewer" in change(cut) and "layers 3, 4" in change(cut)


@both
def test_a_base_is_not_asked_for_where_the_parent_was_told(real: dict[str, Any], language: str) -> None:
    alone = {"base": None}
    unknown = result(real, "derived", direction={"answer": "unknown", "because": []}, **alone)
    told = result(real, "derived", direction={"answer": "a_from_b", "because": []}, **alone)
    assert summary(unknown, language)["next"] == NEXT["derived"][language] != summary(told, language)["next"]


@both
def test_what_would_have_been_caught_is_one_list(real: dict[str, Any], language: str) -> None:
    made = result(real, "independent")
    several = summary(made, language)["power"]
    made["power"].pop("largest_noise_caught_reordered")
    alone = summary(made, language)["power"]
    opening = TEXT["power_copy"][language].partition("{")[0]
    assert several.startswith(opening) and not alone.startswith(opening)
    assert "100%" in several and "50%" in several and "100%" in alone


@both
def test_directions_are_told_for_linked_pairs_alone(real: dict[str, Any], language: str) -> None:
    reasons_known = list(DIRECTIONS["because"])
    for answer, way in itertools.product(ANSWERS, ("a_from_b", "b_from_a", "unknown")):
        because = reasons_known if way != "unknown" else []
        said = direction(result(real, answer, direction={"answer": way, "because": because}), language)
        assert bool(said) == (answer in ("disguised_copy", "derived", "shared_part"))
        if said and way != "unknown":
            assert all(DIRECTIONS["because"][reason][language] in said for reason in because)


def test_a_from_b_points_from_b_to_a(real: dict[str, Any]) -> None:
    made = result(real, "derived", direction={"answer": "a_from_b", "because": list(DIRECTIONS["because"])[:1]})
    made["a"]["name"], made["b"]["name"] = "CHILD", "PARENT"
    assert re.search(r"from PARENT to CHILD", direction(made, "en"))
    assert re.search(r"CHILD 来自 PARENT", direction(made, "zh"))


@both
def test_the_changed_side_is_named_without_a_parent(real: dict[str, Any], language: str) -> None:
    because = list(DIRECTIONS["because"])[:2]
    found = {"answer": "unknown", "because": because, "changed": "b"}
    made = result(real, "derived", direction=found)
    made["a"]["name"], made["b"]["name"] = "ONE", "OTHER"
    said = direction(made, language)
    assert "OTHER" in said and "ONE" not in said and {"en": "third model", "zh": "第三个模型"}[language] in said
    assert all(DIRECTIONS["because"][reason][language] in said for reason in because)


@both
def test_reasons_lead_with_what_the_rule_leaned_on(real: dict[str, Any], language: str) -> None:
    said = reasons(real, language)
    first = REASONS[real["because"][0]](real["findings"][real["because"][0]], language, True)
    assert said[0] == first and len(said) == len(set(said))


def hostile(real: dict[str, Any], name: str) -> dict[str, Any]:
    """A result in which every text that comes from files or users is the hostile one."""
    made = result(real, "derived")
    for side in ("a", "b", "base"):
        made[side] |= {"name": name, "files": {name: None}, "revision": name}
    names = made["findings"]["tensor_names"]
    names["statistic"] = 1.0
    names["where"]["renames"] = [{"a": name, "b": name[::-1]}]
    made["findings"]["same_configuration"]["where"]["different"] = [name]
    made["findings"]["same_tokenizer"]["where"]["configuration"] = {
        "share_equal": 1.0, "keys": 3, "equal": True, "same_class": True, "same_code": True, "code_named": [name],
    }  # fmt: skip
    for row in made["findings"]["unit_order"]["where"]:
        row["a"] = row["b"] = name
    made["attribution"] = {"declared_base": name, "license_a": name, "license_b": name, "notes": [name]}
    made["reproduce"]["command"] = f"python -m tools compare {name} {name}"
    return made


@both
@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_stays_text(real: dict[str, Any], name: str, language: str) -> None:
    parser = pytest.importorskip("markdown_it", reason="no Markdown parser is installed")
    markdown_it = parser.MarkdownIt("commonmark", {"html": True}).enable("table")

    def skeleton(text: str) -> list[str]:
        """Every block and every inline mark of the document, in order, without its words."""
        tokens = markdown_it.parse(text)
        return [t.type for t in tokens] + [c.type for t in tokens for c in t.children or [] if c.type != "text"]

    text = markdown(hostile(real, name), language)
    assert not HIDDEN.search(text)
    assert skeleton(text) == skeleton(markdown(hostile(real, "harmless"), language))


@both
@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_sentences_stay_on_one_short_line(real: dict[str, Any], name: str, language: str) -> None:
    short = summary(hostile(real, name), language)
    for sentence in (short["headline"], short["direction"], *short["reasons"]):
        assert "\n" not in sentence and not HIDDEN.search(sentence) and len(sentence) < 700


def test_chances_and_percentages_are_readable() -> None:
    assert percent(0.5) == "50%" and percent(0.0) == "0%" and percent(0.001) == "0.1%" and percent(1.0) == "100%"
    assert percent(0.00001) != "0%", "a small share is not none"
    assert chance(-40.7) == "less than once in 10^40"
    assert "32%" in chance(-0.5) or "31" in chance(-0.5)
    for log in (-1.0, -0.99, -2.5, -308.2, -3e6):
        for language in LANGUAGES:
            assert chance(log, language)


@both
def test_what_rounds_to_nothing_has_no_sign(real: dict[str, Any], language: str) -> None:
    made = copy.deepcopy(real)
    for finding in made["findings"].values():
        finding |= {"statistic": -0.0004, "log10_pvalue": -0.04} if "statistic" in finding else {}
    text = markdown(made, language)
    assert "| 0.000 | 0.0 |" in text and not re.search(r"(?<!\w)-0\.?0*(?![.\d])", text)
    assert percent(-0.0) == "0%"


def test_every_limit_is_said_in_chinese() -> None:
    facts = {"count": 3, "share": "5%", "name": "weights (x) {a} \\d+ [b] it was run in the code"}
    for key, texts in limits_module.TEXTS.items():
        said = limits_module.translated(texts["en"].format(**facts), "zh")
        assert said == texts["zh"].format(**facts), key
    assert limits_module.translated("a sentence of nobody", "zh") == "a sentence of nobody"


def test_a_rare_chance_is_never_overstated() -> None:
    for tenth in range(10, 3000):
        power = int(re.findall(r"10\^(\d+)", chance(-tenth / 10))[0])
        assert power <= tenth / 10


def test_a_difference_below_the_rounding_is_called_no_rounding(tmp_path: Path) -> None:
    model = trained("llama", 1)
    stored = model.with_tensors({name: value.bfloat16() for name, value in model.tensors.items()})
    nudged = {
        name: (v.float() + 0.001 * v.float().std() * torch.arange(v.numel()).remainder(3).reshape(v.shape)).bfloat16()
        for name, v in stored.tensors.items()
    }
    pair = stored.with_tensors(nudged).saved(tmp_path / "nudged"), stored.saved(tmp_path / "stored")
    found = compare(*pair)
    (only,) = found["changes"]
    moved = sum(int((nudged[n] != v).sum()) for n, v in stored.tensors.items() if v.dim() >= 2)
    every = sum(v.numel() for v in stored.tensors.values() if v.dim() >= 2)
    assert only["kind"] == "recast" and only["where"]["share_moved"] == pytest.approx(moved / every, abs=0.02)
    for language, told in (("en", "too little to say"), ("zh", "看不出")):
        assert told in change(only, language) and percent(only["where"]["share_moved"]) in change(only, language)
    rounded = stored.saved(tmp_path / "rounded"), model.saved(tmp_path / "exact")
    assert any("coarser" in change(entry) for entry in compare(*rounded)["changes"])
