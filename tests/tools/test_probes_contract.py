"""One contract for every probe: what it asks, what it knows again, whom it leaves alone, and that it never breaks."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from functools import cache

import pytest
import torch

from tests.small_models import (
    UNITS,
    VOCABULARY,
    WIDTH,
    WORDS,
    Held,
    Small,
    fresh,
    tensors_of,
    tokenizer_json,
    trained,
    tuned,
)
from tools.checkpoint import Checkpoint
from tools.comparison import Comparison
from tools.errors import Cancelled
from tools.evidence import Abstention, Evidence, Finding, Probe, finding_record
from tools.perturbations import NotApplicable, all_perturbations, perturbation_named
from tools.probes import all_probes, probe_named
from tools.verdict import (
    COMMON_START,
    HOLDS_ADDITIONS,
    LEAST_EFFECT,
    SIBLINGS_ADDITIONS,
    TRAINING_FREE,
    TRAINING_FREE_KINDS,
    links,
)
from tools.words import PROBES

KINDS = ["llama", "gpt2", "bert", "bert_many_heads"]
NAMES = [probe.name for probe in all_probes()]
# Those that can link two models by themselves; shared_additions tells copies from siblings once they are linked.
LINKING = sorted(LEAST_EFFECT)

# What a probe may decline, since such models do not hold what it looks at.
MAY_ABSTAIN = {("value_order", "gpt2"), *(("code_likeness", kind) for kind in KINDS)}
# Background that is a matter of degree: from here on it says of two models what it says of a copy.
LIKE_A_COPY = {"norm_gains": 0.9, "spectra": 0.9, "token_geometry": 0.9, "head_space": 0.9}

every_probe = pytest.mark.parametrize("name", NAMES)
every_kind = pytest.mark.parametrize("kind", KINDS)


def measured(name: str, a: Checkpoint, b: Checkpoint, base: Checkpoint | None = None, seed: int = 0) -> Finding:
    return probe_named(name).measure(Comparison(a, b, base=base, seed=seed))


def knows(name: str, finding: Finding) -> bool:
    """Whether the probe says of two models what it says of a model and its copy."""
    if not isinstance(finding, Evidence):
        return False
    if name in LEAST_EFFECT:
        return links(name, finding)
    if name == "shared_additions":
        return finding.statistic >= HOLDS_ADDITIONS
    if name == "shared_start":
        return finding.statistic > COMMON_START
    if name == "difference_shape":
        shares = finding.where["shares"]
        return sum(shares.get(kind, 0.0) for kind in TRAINING_FREE_KINDS) >= TRAINING_FREE
    if name in LIKE_A_COPY:
        return finding.statistic >= LIKE_A_COPY[name]
    return finding.statistic == 1.0


def well_formed(probe: Probe, finding: Finding) -> None:
    """What every finding must be, whatever the models were."""
    record = finding_record(probe, finding)
    text = json.dumps(record, allow_nan=False)
    assert json.loads(text)["question"] == probe.question
    if isinstance(finding, Abstention):
        assert re.fullmatch(r"[A-Z].*\.", finding.reason) and "\n" not in finding.reason
        return
    assert math.isfinite(finding.statistic) and finding.n >= 0
    if finding.log10_pvalue is not None:
        assert math.isfinite(finding.log10_pvalue) and finding.log10_pvalue <= 0.0


def test_the_folder_is_the_list_and_both_languages_know_it() -> None:
    assert set(NAMES) == set(PROBES)
    assert {"same_values", "unit_order", "unit_partners", "difference_shape", "same_tokenizer"} <= set(NAMES)


@every_probe
def test_what_a_probe_says_of_itself(name: str) -> None:
    probe = probe_named(name)
    assert probe.question.endswith("?") and len(probe.question) < 120
    assert probe.question == PROBES[name]["question"]["en"]
    assert "Blind to:" in probe.about
    for words in PROBES[name].values():
        assert words["en"].strip() and re.search(r"[\u4e00-\u9fff]", words["zh"])
    assert PROBES[name]["question"]["zh"].endswith("？")
    assert probe.role in ("decides", "context")
    assert probe.unit and probe.null and probe.reference
    assert probe.sees_through <= {perturbation.name for perturbation in all_perturbations()}
    if probe.role == "context":
        assert name not in LEAST_EFFECT and probe.null.startswith("none")
    else:
        assert not probe.null.startswith("none")


@every_kind
@every_probe
def test_knows_a_copy(name: str, kind: str) -> None:
    model, base = tuned(kind, 1, 3).held(), trained(kind, 1).held()
    finding = measured(name, model, tuned(kind, 1, 3).held("copy"), base)
    well_formed(probe_named(name), finding)
    assert knows(name, finding) or (isinstance(finding, Abstention) and (name, kind) in MAY_ABSTAIN)


@cache
def disguised(perturbation: str, amount: float | str, kind: str) -> Small | None:
    """The tuned model after the change, computed once; None where the change does not apply to such models."""
    model = tuned(kind, 1, 3)
    try:
        return model.with_tensors(tensors_of(perturbation_named(perturbation).apply(model.held(), amount, 7)))
    except NotApplicable:
        return None


CLAIMS = [
    (probe.name, change, amount)
    for probe in all_probes()
    for change in sorted(probe.sees_through)
    for amount in perturbation_named(change).amounts
]


@pytest.mark.parametrize(("name", "change", "amount"), CLAIMS)
def test_sees_through_what_it_says_it_does(name: str, change: str, amount: float | str) -> None:
    tried = 0
    for kind in KINDS:
        copy = disguised(change, amount, kind)
        if copy is None or (name, kind) in MAY_ABSTAIN:
            continue
        tried += 1
        finding = measured(name, copy.held("copy"), tuned(kind, 1, 3).held(), trained(kind, 1).held())
        well_formed(probe_named(name), finding)
        assert knows(name, finding), kind
    assert tried


@pytest.mark.parametrize("kind", KINDS[:3])
@pytest.mark.parametrize("make", [fresh, trained], ids=["untrained", "trained"])
@pytest.mark.parametrize("name", LINKING)
def test_leaves_strangers_alone(name: str, make: object, kind: str) -> None:
    assert callable(make)
    models = [make(kind, seed).held() for seed in (1, 2, 3)]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        finding = measured(name, models[a], models[b])
        well_formed(probe_named(name), finding)
        assert not links(name, finding)
        # A thousandth of the strength that links: strangers are not merely below the line.
        assert not isinstance(finding, Evidence) or (finding.log10_pvalue or 0.0) > -6


def test_additions_tell_siblings_and_strangers_from_copies() -> None:
    base = trained("llama", 1).held()
    one, other = tuned("llama", 1, 3).held(), tuned("llama", 1, 4).held()
    siblings = measured("shared_additions", one, other, base)
    assert isinstance(siblings, Evidence) and siblings.statistic <= SIBLINGS_ADDITIONS
    stranger = measured("shared_additions", one, trained("llama", 2).held(), base)
    assert isinstance(stranger, Abstention) or stranger.statistic <= SIBLINGS_ADDITIONS
    further = measured("shared_additions", one, base, base)
    assert isinstance(further, Abstention)


def pairs_to_swap() -> Iterator[tuple[str, Checkpoint, Checkpoint]]:
    model = tuned("llama", 1, 3)
    noisy = disguised("add_noise", 0.5, "llama")
    moved = disguised("shuffle_units", "all", "llama")
    nameless = disguised("rename_tensors", "all", "llama")
    assert noisy and moved and nameless
    short = {name: value for name, value in model.tensors.items() if ".layers.1." not in name}
    yield "noise", noisy.held(), model.held()
    yield "re-ordered", moved.held(), model.held()
    yield "renamed", nameless.held(), model.held()
    yield "stranger", trained("llama", 1).held(), trained("llama", 2).held()
    yield "stranger of another size", trained("llama", 2).held(), trained("gpt2", 1).held()
    yield "fewer layers", model.with_tensors(short).held(), model.held()
    yield "other words", Small(model.tensors, {}, {"tokenizer.json": tokenizer_json(WORDS[::-1])}).held(), model.held()


SWAPS = {label: (a, b) for label, a, b in pairs_to_swap()}


@pytest.mark.parametrize(
    ("name", "label"),
    # The shape of a difference is asked only of models that others have found to be related.
    [(n, label) for n in NAMES for label in SWAPS if n != "difference_shape" or "stranger" not in label],
)
def test_swapping_the_sides_changes_nothing(name: str, label: str) -> None:
    a, b = SWAPS[label]
    base = trained("llama", 1).held()
    one, other = measured(name, a, b, base), measured(name, b, a, base)
    assert type(one) is type(other)
    if not (isinstance(one, Evidence) and isinstance(other, Evidence)):
        return
    assert one.n == other.n
    assert one.statistic == pytest.approx(other.statistic, rel=1e-3, abs=1e-6)
    assert (one.log10_pvalue is None) == (other.log10_pvalue is None)
    if one.log10_pvalue is not None:
        assert one.log10_pvalue == pytest.approx(other.log10_pvalue, rel=1e-3, abs=0.05)
    assert knows(name, one) == knows(name, other)


@every_probe
def test_same_seed_same_number(name: str) -> None:
    base, noisy = trained("llama", 1), disguised("add_noise", 0.1, "llama")
    assert noisy
    findings = [measured(name, noisy.held(), tuned("llama", 1, 3).held(), base.held(), seed=5) for _ in range(2)]
    assert findings[0] == findings[1]


@every_probe
def test_stop_is_heard_or_there_is_little_to_stop(name: str) -> None:
    calls = []

    def stop() -> bool:
        calls.append(1)
        return True

    comparison = Comparison(
        tuned("llama", 1, 3).held(), trained("llama", 2).held(), base=trained("llama", 1).held(), stop=stop
    )
    try:
        probe_named(name).measure(comparison)
    except Cancelled:
        assert len(calls) == 1
    else:
        assert not calls, "asked whether to stop, was told to, and went on"


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def odd_models() -> dict[str, Held]:
    """Models on which something does not fit."""
    good = trained("llama", 1)
    names = list(good.tensors)
    down = next(name for name in names if name.endswith("mlp.down_proj.weight"))
    up = next(name for name in names if name.endswith("mlp.up_proj.weight"))
    table = next(name for name in names if "embed_tokens" in name)

    def changed(name: str, values: torch.Tensor, files: dict[str, bytes] | None = None) -> Held:
        return Held(good.tensors | {name: values}, good.config, good.files if files is None else files)

    def filled(value: float, name: str = up) -> torch.Tensor:
        spoilt = good.tensors[name].clone()
        spoilt[UNITS // 2, 3] = value
        return spoilt

    def words(data: bytes, file: str = "tokenizer.json") -> Held:
        return Held(good.tensors, good.config, {file: data})

    wide = gaussian(2048, 64)
    wide[600:1400, 5] = math.nan
    tall = {
        "model.layers.0.mlp.up_proj.weight": wide,
        "model.layers.0.mlp.down_proj.weight": gaussian(64, 2048, seed=1),
    }
    return {
        "no weights": Held({}, good.config, good.files),
        "nothing at all": Held({}),
        "one layer": Held({name: v for name, v in good.tensors.items() if ".layers.1." not in name}, good.config),
        "one matrix": Held({"weight": gaussian(64, 48)}),
        "one vector": Held({"bias": gaussian(64)}),
        "one number": Held({"scale": torch.tensor(0.5)}),
        "an empty tensor": Held({"nothing": torch.empty(0, 32), "model.embed_tokens.weight": torch.empty(0, WIDTH)}),
        "all zeros": Held({name: torch.zeros_like(v) for name, v in good.tensors.items()}),
        "all ones": Held({name: torch.ones_like(v) for name, v in good.tensors.items()}),
        "zero layer": changed(up, torch.zeros(UNITS, WIDTH)),
        "constant rows": changed(up, gaussian(UNITS, 1).expand(UNITS, WIDTH).contiguous()),
        "equal rows": changed(up, gaussian(1, WIDTH).expand(UNITS, WIDTH).contiguous()),
        "one live row": changed(up, torch.cat([gaussian(1, WIDTH), torch.zeros(UNITS - 1, WIDTH)])),
        "a NaN": changed(up, filled(math.nan)),
        "an infinity": changed(down, good.tensors[down] / 0.0),
        "all NaN": Held({name: torch.full_like(v, math.nan) for name, v in good.tensors.items()}),
        "a NaN amid a large matrix": Held(tall, good.config),
        "huge values": Held({name: v * 1e30 for name, v in good.tensors.items()}, good.config),
        "tiny values": Held({name: v * 1e-30 for name, v in good.tensors.items()}, good.config),
        "integers": Held({name: (v * 100).to(torch.int8) for name, v in good.tensors.items()}),
        "long integers": Held({name: (v * 100).long() for name, v in good.tensors.items()}),
        "bytes": Held({name: (v * 100 + 128).clamp(0, 255).to(torch.uint8) for name, v in good.tensors.items()}),
        "booleans": Held({name: v > 0 for name, v in good.tensors.items()}),
        "complex numbers": Held({name: v.to(torch.complex64) for name, v in good.tensors.items()}),
        "float8": Held({name: v.to(torch.float8_e5m2) for name, v in good.tensors.items()}),
        "float64": Held({name: v.double() for name, v in good.tensors.items()}),
        "convolutions": Held({"a.weight": gaussian(32, 16, 3, 3), "b.weight": gaussian(24, 32, 3, 3, seed=1)}),
        "other width": Held({name: v.repeat_interleave(2, -1) for name, v in good.tensors.items()}),
        "short table": changed(table, good.tensors[table][:5]),
        "no names in common": Held(
            {"": gaussian(64, 48), ".": gaussian(48, 64), "\ud800..9.": gaussian(64, 48, seed=2)}
        ),
        "words in no common": words(tokenizer_json([f"other{i}" for i in range(VOCABULARY)])),
        "an empty tokenizer": words(b"{}"),
        "no tokens": words(json.dumps({"model": {"vocab": {}, "merges": []}}).encode()),
        "a tokenizer that is no JSON": words(b"\xff\xfe{"),
        "a tokenizer too deep": words(b"[" * 100_000),
        "tokens far outside the table": words(
            json.dumps({"model": {"vocab": {w: 10**9 + i for i, w in enumerate(WORDS)}}}).encode()
        ),
        "tokens below zero": words(json.dumps({"model": {"vocab": {w: -i for i, w in enumerate(WORDS)}}}).encode()),
        "added tokens below zero": words(
            json.dumps(
                {
                    "model": {"vocab": {"a": 0}},
                    "added_tokens": [{"content": w, "id": -1 - i} for i, w in enumerate(WORDS)],
                }
            ).encode()
        ),
        "tokens that are no numbers": words(json.dumps({"model": {"vocab": {w: [w] for w in WORDS}}}).encode()),
        "merges that are no words": words(
            json.dumps({"model": {"vocab": {"a": 0}, "merges": [1, None, ["a"], [[]]]}}).encode()
        ),
        "an odd vocab.txt": words(b"\xff\xff\nword0\nword0\n", "vocab.txt"),
        "an odd tokenizer_config": words(
            b'{"auto_map": {"AutoTokenizer": [1, null]}, "tokenizer_class": [1]}', "tokenizer_config.json"
        ),
        "an odd configuration": Held(
            good.tensors, {"hidden_size": {"a": [1]}, "num_attention_heads": "four", "x": None}
        ),
    }


ODD = odd_models()


@pytest.mark.parametrize("odd", ODD)
def test_abstains_and_never_breaks_on_what_does_not_fit(odd: str) -> None:
    good, base = tuned("llama", 1, 3).held(), trained("llama", 1).held()
    for a, b, z in ((ODD[odd], good, None), (good, ODD[odd], base), (ODD[odd], ODD[odd], None)):
        comparison = Comparison(a, b, base=z)
        for probe in all_probes():
            well_formed(probe, probe.measure(comparison))
    well_formed(probe_named("shared_additions"), measured("shared_additions", good, base, ODD[odd]))


@pytest.mark.parametrize(
    "odd", ["all zeros", "all ones", "no weights", "nothing at all", "one number", "booleans", "all NaN"]
)
def test_what_holds_nothing_learned_links_to_nothing(odd: str) -> None:
    # Two empty models are equal in every number they have; that is no sign of anything.
    for other in (ODD[odd], trained("llama", 1).held()):
        for name in LINKING:
            assert not links(name, measured(name, ODD[odd], other))
