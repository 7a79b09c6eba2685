"""Folders that hold more than one weights file: on a disk, on a hub and in an archive one model is read, or none.

Every file holds a tensor "w.weight" of one value and a tensor that no other file has, so a mixture of two would show.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from gguf import GGUFWriter
from safetensors.torch import save

from tests.hub_emulator import HubEmulator
from tools.checkpoint import Checkpoint
from tools.errors import UserError
from tools.sources import open_checkpoint

StartHub = Callable[..., HubEmulator]
Place = Callable[[dict[str, bytes]], str]
INDEX = "model.safetensors.index.json"
ADAPTER = {"adapter_config.json": json.dumps({"peft_type": "LORA", "r": 1, "lora_alpha": 1}).encode()}


def held(value: float, own: str) -> dict[str, torch.Tensor]:
    return {"w.weight": torch.full((2, 2), value), own: torch.ones(1)}


def safetensors(value: float) -> bytes:
    return save(held(value, f"own.{value}"))


def pytorch(value: float) -> bytes:
    file = io.BytesIO()
    torch.save(held(value, f"own.{value}"), file)
    return file.getvalue()


def gguf(value: float) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.gguf")
        writer = GGUFWriter(str(path), "llama")
        for name, values in held(value, f"own.{value}").items():
            writer.add_tensor(name, values.numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


def part(name: str, value: float) -> bytes:
    return save({name: torch.full((2, 2), value)})


def adapter(value: float) -> bytes:
    layer = "base_model.model.w.lora_"
    return save({f"{layer}A.weight": torch.ones(1, 2), f"{layer}B.weight": torch.full((2, 1), value)})


def index(shards: dict[str, str]) -> bytes:
    return json.dumps({"weight_map": shards}).encode()


TWO_PARTS = {
    "model-00001-of-00002.safetensors": part("w.weight", 1.0),
    "model-00002-of-00002.safetensors": part("v", 1.0),
}
LISTED = {INDEX: index({"w.weight": "model-00001-of-00002.safetensors", "v": "model-00002-of-00002.safetensors"})}
# What lies there; the model that it stands for has "w.weight" of ones, the others of twos and threes.
ONE: dict[str, tuple[dict[str, bytes], set[str]]] = {
    "standard beside another": (
        {"model.safetensors": safetensors(1.0), "other.safetensors": safetensors(2.0)},
        {"model.safetensors"},
    ),
    "another that sorts first": (
        {"a.safetensors": safetensors(2.0), "model.safetensors": safetensors(1.0)},
        {"model.safetensors"},
    ),
    "consolidated beside it": (
        {"consolidated.safetensors": safetensors(2.0), "model.safetensors": safetensors(1.0)},
        {"model.safetensors"},
    ),
    "consolidated beside shards": (
        {"consolidated.safetensors": safetensors(2.0), **TWO_PARTS, **LISTED},
        set(TWO_PARTS),
    ),
    "consolidated beside shards without an index": (
        {"consolidated.safetensors": safetensors(2.0), **TWO_PARTS},
        set(TWO_PARTS),
    ),
    "whole before shards": (
        {
            "model.safetensors": safetensors(1.0),
            "a.safetensors": part("w.weight", 2.0),
            INDEX: index({"w.weight": "a.safetensors"}),
        },
        {"model.safetensors"},
    ),
    "safetensors before PyTorch": (
        {"model.safetensors": safetensors(1.0), "pytorch_model.bin": pytorch(2.0), "model.pth": pytorch(3.0)},
        {"model.safetensors"},
    ),
    "PyTorch under its standard name before safetensors under another": (
        {"a.safetensors": safetensors(2.0), "pytorch_model.bin": pytorch(1.0)},
        {"pytorch_model.bin"},
    ),
    "what a trainer leaves": (
        {
            "last.pt": pytorch(1.0),
            **{f"{name}.pt": pytorch(2.0) for name in ("optimizer", "lr_scheduler", "rng_state_0", "optim_states")},
            **{f"{name}.bin": pytorch(3.0) for name in ("training_args", "optimizer_1", "random_states_0", "sampler")},
        },
        {"last.pt"},
    ),
    "an adapter beside a model": (
        {"adapter_model.safetensors": adapter(2.0), "model.safetensors": safetensors(1.0), **ADAPTER},
        {"model.safetensors"},
    ),
    "an adapter beside a model of PyTorch": (
        {"adapter_model.safetensors": adapter(2.0), "pytorch_model.bin": pytorch(1.0), **ADAPTER},
        {"pytorch_model.bin"},
    ),
    "GGUF beside the standard name": (
        {"model-q4.gguf": gguf(2.0), "model-q8.gguf": gguf(3.0), "model.safetensors": safetensors(1.0)},
        {"model.safetensors"},
    ),
    "one model in several formats": (
        {"mine.gguf": gguf(2.0), "mine.pt": pytorch(2.0), "mine.safetensors": safetensors(1.0)},
        {"mine.safetensors"},
    ),
}
# What lies there; files of it that the sentence may name.
MANY: dict[str, tuple[dict[str, bytes], set[str]]] = {
    "names that share a tensor": (
        {"early.safetensors": safetensors(1.0), "final.safetensors": safetensors(2.0)},
        {"early.safetensors", "final.safetensors"},
    ),
    "names that share none": (
        {"early.safetensors": part("w.weight", 1.0), "final.safetensors": part("v", 2.0)},
        {"early.safetensors", "final.safetensors"},
    ),
    "GGUF of two precisions": (
        {"model-q4.gguf": gguf(1.0), "model-q8.gguf": gguf(2.0)},
        {"model-q4.gguf", "model-q8.gguf"},
    ),
    "two formats": (
        {"early.pth": pytorch(1.0), "final.safetensors": safetensors(2.0)},
        {"early.pth", "final.safetensors"},
    ),
    "two endings": ({"model.pt": pytorch(1.0), "model.pth": pytorch(2.0)}, {"model.pt", "model.pth"}),
    "two series": (
        {f"{name}-of-2.safetensors": part(name, 1.0) for name in ("a-1", "a-2", "b-1", "b-2")},
        {"a-1-of-2.safetensors", "b-1-of-2.safetensors"},
    ),
}


def packed(path: Path, parts: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def folder(path: Path, parts: dict[str, bytes]) -> Path:
    path.mkdir()
    for name, data in parts.items():
        (path / name).write_bytes(data)
    return path


@pytest.fixture(params=["disk", "archive", "hub", "hub folder", "archive on a hub"])
def put(request: pytest.FixtureRequest, tmp_path: Path, start_hub: StartHub) -> Place:
    """Puts files to one of the places where a model may lie; returns how it is named there."""

    def placed(parts: dict[str, bytes]) -> str:
        where = request.param
        if where == "disk":
            return str(folder(tmp_path / "mine", parts))
        if where == "archive":
            return str(packed(tmp_path / "mine.zip", parts))
        root = tmp_path / "repository"
        if where == "hub":
            folder(root, parts)
        else:
            root.mkdir()
            inside = folder(root / "inside", parts) if where == "hub folder" else packed(root / "mine.zip", parts)
        start_hub({"owner/name": root})
        return {"hub": "owner/name"}.get(where) or f"owner/name@main/{inside.name}"

    return placed


def refusal(name: str) -> UserError:
    with pytest.raises(UserError) as caught:
        open_checkpoint(name)
    return caught.value


def check_is_of_one(model: Checkpoint, files: set[str]) -> None:
    assert {file.name for file in model.weight_files} == files
    assert all(torch.equal(model.read(name), torch.ones(model.shapes[name])) for name in model.shapes)
    assert len(model.shapes) == 2


@pytest.mark.parametrize("case", ONE)
def test_the_standard_names_say_which_model_is_meant(put: Place, case: str) -> None:
    parts, files = ONE[case]
    with open_checkpoint(put(parts | {"config.json": b'{"a": 1}'})) as model:
        check_is_of_one(model, files)
        assert model.config == {"a": 1}


@pytest.mark.parametrize("case", MANY)
def test_where_nothing_says_so_the_files_are_named(put: Place, case: str) -> None:
    parts, files = MANY[case]
    name = put(parts)
    error = refusal(name)
    for language in ("en", "zh"):
        message = error.say(language)[0]
        assert all(file in message for file in files) and str(len(parts)) in message
    if name.endswith(".zip"):
        assert error.kind == "several_in_archive"
        return
    assert error.kind == "several_models"
    # The way out leads out: what the sentence gives as an example opens that file alone.
    example = error.say()[1].partition("“")[2].partition("”")[0]
    with open_checkpoint(f"{error.facts['address']}/{error.facts['file']}") as model:
        assert [file.name for file in model.weight_files] == [example.rpartition("/")[2]]


def test_a_link_to_a_hub_is_mended_by_the_name_it_stands_for(tmp_path: Path, start_hub: StartHub) -> None:
    parts, _ = MANY["names that share none"]
    hub = start_hub({"owner/name": folder(tmp_path / "r", parts)})
    remedy = refusal(f"{hub.endpoint}/owner/name/tree/main").say()[1]
    assert "“owner/name@main/early.safetensors”" in remedy


def test_numbered_parts_that_hold_one_tensor_twice(put: Place) -> None:
    parts = dict.fromkeys(TWO_PARTS, part("w.weight", 1.0))
    error = refusal(put(parts))
    assert error.kind == "tensor_twice"
    assert all(file in error.say(language)[0] for file in parts for language in ("en", "zh"))


def test_files_of_a_variant_are_a_series(put: Place) -> None:
    parts = {name.replace(".safe", ".fp16.safe"): data for name, data in TWO_PARTS.items()}
    with open_checkpoint(put(parts)) as model:
        check_is_of_one(model, set(parts))


def test_an_adapter_beside_a_model_is_named_by_its_file(tmp_path: Path, start_hub: StartHub) -> None:
    start_hub({"owner/name": folder(tmp_path / "r", ONE["an adapter beside a model"][0])})
    for name in (str(tmp_path / "r"), "owner/name"):
        with open_checkpoint(f"{name}/adapter_model.safetensors") as model:
            assert set(model.side_files) == {"adapter_config.json"} and "w.weight" not in model.shapes
        with open_checkpoint(f"{name}+{name}/adapter_model.safetensors") as model:
            assert torch.equal(model.read("w.weight"), torch.full((2, 2), 3.0))


def test_the_configuration_belongs_to_the_standard_name(tmp_path: Path) -> None:
    parts = ONE["standard beside another"][0] | {"config.json": b'{"a": 1}'}
    mine = folder(tmp_path / "mine", parts)
    assert open_checkpoint(str(mine / "model.safetensors")).config == {"a": 1}
    assert open_checkpoint(str(mine / "other.safetensors")).config == {}
