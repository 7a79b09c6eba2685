"""The probes that run models: copy, fine-tune and stranger differ in numbers, and no foreign code runs."""

from __future__ import annotations

import json
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.timing import least
from tools.behaviour import answering, behave, prompts
from tools.behaviour.renaming import fit_names
from tools.errors import Cancelled, UserError
from tools.sources import open_checkpoint

ROOM = Path(__file__).resolve().parents[2] / "exhibits" / "llama3v"
BASE, ORIGINAL, SIBLING, STRANGER, SUSPECT = (
    str(ROOM / name) for name in ("base", "original", "sibling", "stranger", "suspect")
)


@pytest.fixture(scope="module")
def copy() -> dict[str, Any]:
    began = time.thread_time()
    result = behave(SUSPECT, ORIGINAL)
    # Time of this thread, which other work on the machine does not lengthen.
    return result | {"thread_seconds": time.thread_time() - began}


@pytest.fixture(scope="module")
def fine_tune() -> dict[str, Any]:
    return behave(ORIGINAL, BASE)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A sixth of the prompts and two noise levels, for tests that need any run rather than the full one."""
    rows = json.loads(prompts.PROMPTS.read_text(encoding="utf-8"))[::6]
    short = tmp_path / "few_prompts.json"
    short.write_text(json.dumps(rows), encoding="utf-8")
    monkeypatch.setattr(prompts, "PROMPTS", short)
    monkeypatch.setattr(answering, "NOISE_LEVELS", (0.0, 0.1))
    prompts.items.cache_clear()
    yield
    prompts.items.cache_clear()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the tool tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def folder_like(source: str, target: Path, **changes: object) -> Path:
    """A copy of an exhibit with some entries of its configuration changed."""
    shutil.copytree(source, target)
    config = json.loads((target / "config.json").read_text(encoding="utf-8")) | changes
    (target / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return target


def refused(a: str | Path, b: str | Path) -> UserError:
    with pytest.raises(UserError) as caught:
        behave(str(a), str(b))
    return caught.value


def test_renamed_copy_runs_in_the_others_code_and_behaves_alike(copy: dict[str, Any]) -> None:
    assert copy["ran_in_the_other_models_code"] is True
    a = copy["models"]["a"]
    assert a["tensors_fitted"] == a["tensors"] == 39
    assert a["settled_by_values"] > 0 and a["lowest_correlation"] > 0.9
    assert copy["findings"]["agreement"]["pair"] > 0.7
    assert copy["findings"]["divergence_bits"]["pair"] < 0.01
    assert copy["pair"]["share_of_wrong_the_same"][0] > 0.7


@pytest.mark.parametrize(
    ("measure", "copy_margin", "stranger_margin"),
    [("agreement", 0.4, 0.08), ("share_of_wrong_the_same", 0.4, 0.08), ("divergence_bits", 0.2, 0.2)],
)
def test_copy_fine_tune_and_stranger_are_ordered(
    copy: dict[str, Any],
    fine_tune: dict[str, Any],
    measure: str,
    copy_margin: float,
    stranger_margin: float,
) -> None:
    sign = -1 if measure == "divergence_bits" else 1
    near, middle = sign * copy["pair"][measure][0], sign * fine_tune["pair"][measure][0]
    for far in (sign * copy["control"][measure][0], sign * fine_tune["control"][measure][0]):
        assert near - middle > copy_margin
        assert middle - far > stranger_margin


def test_a_copy_reacts_to_noise_on_the_same_items(copy: dict[str, Any], fine_tune: dict[str, Any]) -> None:
    alike = copy["findings"]["flip_overlap"]["pair"]
    assert alike > copy["findings"]["flip_overlap"]["control"] + 0.15
    assert alike > fine_tune["findings"]["flip_overlap"]["pair"] + 0.15


def test_private_readings_are_known_to_original_and_copy_alone(copy: dict[str, Any], fine_tune: dict[str, Any]) -> None:
    assert copy["models"]["a"]["right_by_kind"]["private"] >= 0.4
    assert copy["models"]["b"]["right_by_kind"]["private"] >= 0.4
    assert copy["models"]["control"]["right_by_kind"]["private"] <= 0.1
    assert fine_tune["models"]["b"]["right_by_kind"]["private"] <= 0.1


def test_shared_mistakes_are_wrong_shared_and_not_the_controls(copy: dict[str, Any]) -> None:
    assert copy["shared_mistakes"]
    for place in copy["shared_mistakes"]:
        item = copy["items"][place]
        said = item["said"]
        assert said["a"] == said["b"] != said["control"] and not said["a"].startswith(item["answer"])


def test_result_is_plain_and_names_no_verdict(copy: dict[str, Any]) -> None:
    text = json.dumps({key: value for key, value in copy.items() if key != "items"}, allow_nan=False)
    for word in ("verdict", "copy", "copied", "stolen", "proof", "independent", "derived"):
        assert word not in text.replace(str(ROOM), "")
    lengths = {len(values) for table in (copy["pair"], copy["control"]) for values in table.values()}
    assert lengths == {len(copy["noise_levels"])}
    assert len(copy["items"]) >= 64


def test_exhibit_pair_takes_less_than_twenty_seconds(copy: dict[str, Any]) -> None:
    assert copy["thread_seconds"] < 20


@pytest.mark.usefixtures("few")
def test_same_seed_same_numbers_and_another_seed_others() -> None:
    first, again, other = (behave(SIBLING, BASE, STRANGER, seed=seed) for seed in (0, 0, 1))
    for result in (first, again, other):
        result.pop("seconds")
    assert first == again
    assert first["pair"]["divergence_bits"][0] == other["pair"]["divergence_bits"][0]
    assert first["pair"]["divergence_bits"][1] != other["pair"]["divergence_bits"][1]


@pytest.mark.usefixtures("few")
def test_swapping_mirrors() -> None:
    one, two = behave(SUSPECT, ORIGINAL, STRANGER), behave(ORIGINAL, SUSPECT, STRANGER)
    for key, values in one["pair"].items():
        mirrored = re.sub(r"_([ab])(?=_is|$)", lambda side: "_b" if side[1] == "a" else "_a", key)
        assert two["pair"][mirrored] == values, key
    assert one["models"]["a"]["right"] == two["models"]["b"]["right"]
    assert two["models"]["b"]["ran_in_the_other_models_code"] is True


@pytest.mark.usefixtures("few")
def test_listener_hears_every_step_start_and_end() -> None:
    heard: list[dict[str, Any]] = []
    behave(SIBLING, BASE, STRANGER, on_finding=heard.append)
    steps = ["open", "run_b", "run_a", "run_control", "compare"]
    assert [(r["step"], r["status"]) for r in heard] == [(s, w) for s in steps for w in ("started", "done")]
    assert all((r["seconds"] is None) == (r["status"] == "started") for r in heard)


def test_names_are_told_apart_by_values_not_words(tmp_path: Path) -> None:
    with open_checkpoint(SUSPECT) as renamed, open_checkpoint(ORIGINAL) as design:
        fit = fit_names(renamed, design)
    assert fit is not None
    assert fit.names["model.layers.2.self_attn.q_proj.weight"] == "language.blocks.2.attn.wq.weight"
    assert fit.names["model.layers.2.self_attn.o_proj.weight"] == "language.blocks.2.attn.wo.weight"
    assert fit.names["lm_head.weight"] == "language.output.weight"
    # Misleading names: query and output exchanged, numbers kept.
    folder = folder_like(SUSPECT, tmp_path / "misleading")
    tensors = load_file(folder / "model.safetensors")
    exchanged = {n.replace("wq", "w?").replace("wo", "wq").replace("w?", "wo"): t for n, t in tensors.items()}
    save_file(exchanged, folder / "model.safetensors")
    with open_checkpoint(str(folder)) as renamed, open_checkpoint(ORIGINAL) as design:
        fit = fit_names(renamed, design)
    assert fit is not None
    assert fit.names["model.layers.2.self_attn.q_proj.weight"] == "language.blocks.2.attn.wo.weight"


def test_a_renamed_stranger_does_not_fit(tmp_path: Path) -> None:
    folder = folder_like(SUSPECT, tmp_path / "other")
    noise = {name: torch.randn(t.shape) for name, t in load_file(folder / "model.safetensors").items()}
    save_file(noise, folder / "model.safetensors")
    assert refused(folder, ORIGINAL).kind == "not_a_language_model"


def test_a_missing_tensor_does_not_fit(tmp_path: Path) -> None:
    folder = folder_like(SUSPECT, tmp_path / "short")
    tensors = load_file(folder / "model.safetensors")
    del tensors["language.output.weight"]
    save_file(tensors, folder / "model.safetensors")
    assert refused(folder, ORIGINAL).kind == "not_a_language_model"


@pytest.mark.usefixtures("few", "no_network")
def test_code_named_by_a_configuration_is_never_run(tmp_path: Path) -> None:
    left = tmp_path / "was_run"
    hostile = {
        "auto_map": {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"},
        "attn_implementation": "someone/kernel",
        "_attn_implementation": "someone/kernel",
        "experts_implementation": "someone/kernel",
        "quantization_config": {"quant_method": "gptq", "bits": 4},
        "use_kernels": True,
        "_name_or_path": "someone/else",
    }
    unknown = folder_like(BASE, tmp_path / "unknown", model_type="evil", **hostile)
    known = folder_like(BASE, tmp_path / "known", **hostile)
    for folder in (unknown, known):
        (folder / "evil.py").write_text(f"open({str(left)!r}, 'w').close()\n", encoding="utf-8")
    # The unknown type carries the base's own tensor names, so it fits the base's design and runs there.
    result = behave(str(unknown), BASE, STRANGER)
    assert result["ran_in_the_other_models_code"] is True
    assert behave(str(known), BASE, STRANGER)["pair"]["divergence_bits"] == [0.0, 0.0]
    assert refused(unknown, unknown).kind == "not_a_language_model"
    assert not left.exists()


@pytest.mark.usefixtures("few", "no_network")
@pytest.mark.parametrize(
    "changes",
    [
        {"num_hidden_layers": 10**9},
        {"hidden_size": 2**20},
        {"vocab_size": 10**12},
        {"num_attention_heads": 0},
        {"hidden_act": "no_such_function"},
        {"model_type": ["llama"]},
        {"model_type": "bert"},
        {"model_type": "../../etc"},
        {"rope_parameters": {"rope_type": "no_such_rope"}},
        {"head_dim": -1},
    ],
)
def test_impossible_configurations_are_refused_at_once(tmp_path: Path, changes: dict[str, object]) -> None:
    from transformers import LlamaForCausalLM  # noqa: F401 - loading it is no part of the refusal

    folder = folder_like(BASE, tmp_path / "impossible", **changes)
    began = time.thread_time()
    assert refused(folder, folder).kind == "not_a_language_model"
    assert time.thread_time() - began < 10


def test_encoders_and_models_without_tokenizer_are_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, BertLMHeadModel

    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    encoder = BertLMHeadModel(BertConfig(vocab_size=2048, is_decoder=False, **size))
    encoder.save_pretrained(tmp_path / "encoder")
    shutil.copy(Path(BASE) / "tokenizer.json", tmp_path / "encoder")
    assert refused(tmp_path / "encoder", tmp_path / "encoder").kind == "not_a_language_model"
    mute = folder_like(BASE, tmp_path / "mute")
    (mute / "tokenizer.json").unlink()
    assert refused(mute, mute).kind == "not_a_language_model"
    bare = folder_like(BASE, tmp_path / "bare")
    (bare / "model.safetensors").unlink()
    assert refused(bare, BASE).kind == "not_a_language_model"


@pytest.mark.usefixtures("few")
def test_another_design_with_another_tokenizer_is_compared_by_text(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    other = GPT2LMHeadModel(GPT2Config(vocab_size=2048, n_positions=128, n_embd=32, n_layer=2, n_head=2))
    other.save_pretrained(tmp_path / "gpt2")
    text = (Path(BASE) / "tokenizer.json").read_text(encoding="utf-8")
    words = json.loads(text)
    vocabulary = words["model"]["vocab"]
    last, before = sorted(vocabulary, key=vocabulary.__getitem__)[-2:]
    vocabulary[last], vocabulary[before] = vocabulary[before], vocabulary[last]
    (tmp_path / "gpt2" / "tokenizer.json").write_text(json.dumps(words), encoding="utf-8")
    result = behave(str(tmp_path / "gpt2"), BASE)
    assert result["pair"]["divergence_bits"] == [None, None]
    assert result["pair"]["agreement"][0] is not None
    assert any("untrained" in limit for limit in result["limits"]) is False  # an exhibit brings its stranger
    alone = behave(str(tmp_path / "gpt2"), str(tmp_path / "gpt2"))
    assert alone["pair"]["agreement"] == [1.0, 1.0] and alone["pair"]["divergence_bits"] == [0.0, 0.0]
    assert any("untrained" in limit for limit in alone["limits"])


def test_stop_is_heard_within_a_second() -> None:
    with pytest.raises(Cancelled):
        behave(SIBLING, BASE, stop=lambda: True)

    def stopped() -> float:
        begun: list[float] = []

        def hear(record: dict[str, Any]) -> None:
            if record["step"] == "run_a":
                begun.append(time.monotonic())

        def pressed() -> bool:
            return bool(begun) and time.monotonic() - begun[0] > 0.1

        with pytest.raises(Cancelled):
            behave(SIBLING, BASE, on_finding=hear, stop=pressed)
        return time.monotonic() - begun[0] - 0.1

    assert least(stopped, 1.0) < 1.0


def test_stop_is_asked_inside_a_single_pass() -> None:
    from tools.behaviour.running import open_runnable

    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return False

    with open_checkpoint(BASE) as checkpoint:
        runnable = open_runnable(checkpoint, stop=stop)
    before = calls
    time.sleep(0.15)
    runnable.model(input_ids=torch.ones((1, 4), dtype=torch.long))
    assert calls > before


@pytest.mark.usefixtures("few")
def test_small_models_run_in_one_thread_and_the_setting_returns() -> None:
    before = torch.get_num_threads()
    seen: dict[str, int] = {}
    try:
        torch.set_num_threads(2)
        behave(
            SIBLING,
            BASE,
            STRANGER,
            on_finding=lambda record: seen.update({record["step"]: torch.get_num_threads()}),
        )
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert {step: seen[step] for step in ("run_a", "run_b", "run_control")} == dict.fromkeys(
        ("run_a", "run_b", "run_control"), 1
    )
