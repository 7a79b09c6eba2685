"""Adapters: joined to the base that the user names, never to one that the adapter names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tools.audit import compare
from tools.errors import UserError
from tools.sources import open_checkpoint

EXHIBITS = Path(__file__).resolve().parents[2] / "exhibits" / "llama3v"
BASE = EXHIBITS / "original"
Tensors = dict[str, torch.Tensor]


def halves(rank: int = 4, parts: tuple[str, ...] = ("self_attn.q_proj", "mlp.down_proj")) -> Tensors:
    random = torch.Generator().manual_seed(0)
    found: Tensors = {}
    for name, tensor in load_file(BASE / "model.safetensors").items():
        if any(part in name for part in parts):
            layer = f"base_model.model.{name.removesuffix('.weight')}"
            found[f"{layer}.lora_A.weight"] = torch.randn(rank, tensor.shape[1], generator=random)
            found[f"{layer}.lora_B.weight"] = torch.randn(tensor.shape[0], rank, generator=random) * 0.02
    return found


def adapter(folder: Path, tensors: Tensors, **settings: Any) -> Path:
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "base_model_name_or_path": "../../secret"} | settings
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def refusal(name: str) -> UserError:
    with pytest.raises(UserError) as caught:
        open_checkpoint(name)
    assert all(" ".join(caught.value.say(language)).isprintable() for language in ("en", "zh"))
    return caught.value


def test_the_change_is_added_as_it_is_read(tmp_path: Path) -> None:
    parts = halves()
    path = adapter(tmp_path / "lora", parts, alpha_pattern={"down_proj": 16})
    original = load_file(BASE / "model.safetensors")
    with open_checkpoint(f"{BASE}+{path}") as model:
        assert model.shapes == {name: tuple(tensor.shape) for name, tensor in original.items()}
        for name, tensor in original.items():
            layer, expected = f"base_model.model.{name.removesuffix('.weight')}", tensor.float()
            if f"{layer}.lora_A.weight" in parts:
                scale = 4.0 if "down_proj" in name else 2.0
                expected = expected + scale * parts[f"{layer}.lora_B.weight"] @ parts[f"{layer}.lora_A.weight"]
            assert torch.equal(model.read(name), expected.to(tensor.dtype))
            if tensor.ndim == 2:
                assert torch.allclose(model.read_rows(name, 3, 9), expected[3:9].to(tensor.dtype), atol=1e-3)
        model.expect([("lm_head.weight", 0, 3), ("model.layers.0.self_attn.q_proj.weight", None, None)])
        assert model.ref.name == f"{BASE}+{path}"


@pytest.mark.parametrize("rank", [4, 16])
def test_scales(tmp_path: Path, rank: int) -> None:
    parts = halves(rank, ("layers.0.mlp.up_proj",))
    path = adapter(tmp_path / "lora", parts, use_rslora=True, lora_alpha=8)
    name = "model.layers.0.mlp.up_proj.weight"
    change = open_checkpoint(f"{BASE}+{path}").read(name).float() - load_file(BASE / "model.safetensors")[name].float()
    a, b = parts.values()
    assert torch.allclose(change, 8 / rank**0.5 * b @ a, atol=2e-3)


def test_tables_turned_layers_and_replaced_parts(tmp_path: Path) -> None:
    base = {"wte.weight": torch.randn(50, 8), "h.0.c_fc.weight": torch.randn(8, 24), "score.weight": torch.randn(3, 8)}
    save_file(base, tmp_path / "base.safetensors")
    parts = {
        "base_model.model.transformer.wte.lora_embedding_A": torch.randn(2, 50),
        "base_model.model.transformer.wte.lora_embedding_B": torch.randn(8, 2),
        "base_model.model.transformer.h.0.c_fc.lora_A.default.weight": torch.randn(2, 8),
        "base_model.model.transformer.h.0.c_fc.lora_B.default.weight": torch.randn(24, 2),
        "base_model.model.score.weight": torch.ones(3, 8),
    }
    path = adapter(tmp_path / "lora", parts, fan_in_fan_out=True, lora_alpha=2)
    model = open_checkpoint(f"{tmp_path / 'base.safetensors'}+{path}")
    table_a, table_b, a, b, _ = parts.values()
    assert torch.allclose(model.read("wte.weight"), base["wte.weight"] + (table_b @ table_a).T, atol=1e-5)
    assert torch.allclose(model.read_rows("wte.weight", 7, 9), model.read("wte.weight")[7:9], atol=1e-5)
    assert torch.allclose(model.read("h.0.c_fc.weight"), base["h.0.c_fc.weight"] + (b @ a).T, atol=1e-5)
    assert torch.equal(model.read_rows("score.weight", 0, 2), torch.ones(2, 8))


def test_a_joined_model_is_linked_to_its_base_and_to_no_stranger(tmp_path: Path) -> None:
    path = adapter(tmp_path / "lora", halves())
    result = compare(f"{BASE}+{path}", str(BASE))
    assert result["answer"] in ("derived", "disguised_copy")
    kinds = {change["kind"] for change in result["changes"]}
    # The adapter's file is no part into which the base was cut.
    assert "low_rank" in kinds and "resharded" not in kinds
    assert compare(f"{BASE}+{path}", str(EXHIBITS / "stranger"))["answer"] == "independent"


def test_an_adapter_alone_asks_for_its_base(tmp_path: Path) -> None:
    path = adapter(tmp_path / "lora", halves())
    for pair in ((str(path), str(BASE)), (str(BASE), str(path))):
        with pytest.raises(UserError) as caught:
            compare(*pair)
        assert (caught.value.kind, caught.value.facts["name"]) == ("adapter_alone", str(path))
        assert "BASE+ADAPTER" in caught.value.say("en")[1]
    assert compare(str(path), str(path))["answer"] == "identical"


@pytest.mark.parametrize(
    ("tensors", "settings", "why"),
    [
        ({}, {"peft_type": "IA3"}, "other_adapter"),
        ({"base_model.model.lm_head.lora_magnitude_vector": torch.ones(4)}, {}, "other_adapter"),
        ({}, {"lora_alpha": "much"}, "other_adapter"),
        ({}, {"lora_alpha": float("inf")}, "other_adapter"),
        ({"base_model.model.nowhere.lora_A.weight": torch.ones(4, 4)}, {}, "does_not_fit"),
        ({"base_model.model.lm_head.lora_A.weight": torch.ones(4, 128)}, {}, "does_not_fit"),
        ({"base_model.model.lm_head.weight": torch.ones(4, 128)}, {}, "does_not_fit"),
        ({"base_model.model.lm_head.lora_A.weight": torch.ones(4, 9),
          "base_model.model.lm_head.lora_B.weight": torch.ones(2048, 4)}, {}, "does_not_fit"),
        ({}, {"fan_in_fan_out": True}, "does_not_fit"),
    ],
)  # fmt: skip
def test_what_does_not_belong_together(tmp_path: Path, tensors: Tensors, settings: dict[str, Any], why: str) -> None:
    path = adapter(tmp_path / "lora", halves() | tensors, **settings)
    error = refusal(f"{BASE}+{path}")
    assert (error.kind, error.facts["why"]) == ("bad_adapter", why)


def test_only_an_adapter_comes_second(tmp_path: Path) -> None:
    path = adapter(tmp_path / "lora", halves())
    assert refusal(f"{BASE}+{EXHIBITS / 'base'}").facts["why"] == "no_adapter"
    assert refusal(f"{BASE}+nowhere").kind == "not_found"
    assert refusal(f"nowhere+{path}").kind == "not_found"
    assert refusal("+").kind == "not_found"
    assert refusal("+".join([str(path)] * 3000)).kind == "not_found"
    (path / "adapter_config.json").write_text("[" * 9000)
    assert refusal(f"{BASE}+{path}").kind == "bad_config"


def test_a_plus_in_a_path_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "a+b").mkdir()
    save_file({"w": torch.ones(2, 2)}, tmp_path / "a+b" / "model.safetensors")
    assert list(open_checkpoint(str(tmp_path / "a+b")).shapes) == ["w"]


def test_a_table_saved_beside_its_change(tmp_path: Path) -> None:
    # peft 0.21.2 does so for LoRA on tables of tokens; what is saved is what the change is added to.
    random, name = torch.Generator().manual_seed(0), "model.embed_tokens"
    table = load_file(BASE / "model.safetensors")[f"{name}.weight"] + 1
    a, b = (torch.randn(shape, generator=random) for shape in ((4, len(table)), (table.shape[1], 4)))
    layer = f"base_model.model.{name}"
    parts = {f"{layer}.base_layer.weight": table, f"{layer}.lora_embedding_A": a, f"{layer}.lora_embedding_B": b}
    model = open_checkpoint(f"{BASE}+{adapter(tmp_path / 'lora', parts)}")
    expected = (table.float() + 2 * a.T @ b.T).to(table.dtype)
    assert torch.allclose(model.read(f"{name}.weight"), expected, atol=1e-2)
    assert torch.equal(model.read_rows(f"{name}.weight", 3, 9), model.read(f"{name}.weight")[3:9])
    model.expect([(f"{name}.weight", 3, 9)])


def test_an_adapter_for_a_changed_base_is_refused(tmp_path: Path) -> None:
    # PiSSA and its like take their beginning out of the base: on the base that is named they do not add up.
    for beginning in ("pissa", "pissa_niter_4", "olora", "corda", "loftq", ["x"]):
        path = adapter(tmp_path / "lora", halves(), init_lora_weights=beginning)
        assert refusal(f"{BASE}+{path}").facts["why"] == "other_adapter"
    for beginning in (True, False, "gaussian"):
        assert open_checkpoint(f"{BASE}+{adapter(tmp_path / 'lora', halves(), init_lora_weights=beginning)}").shapes
