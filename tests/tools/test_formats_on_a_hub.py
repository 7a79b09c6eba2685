"""Every format over a network: the same tensors, by ranges, never the whole file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from safetensors.torch import save_file

from tests.hub_emulator import HubEmulator
from tools.sources import open_checkpoint

StartHub = Callable[..., HubEmulator]
ROWS, COLUMNS, LAYERS = 4096, 1024, 5
NAMES = [f"layers.{number}.weight" for number in range(LAYERS)]


def layers() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return {name: torch.randn(ROWS, COLUMNS, generator=random) for name in NAMES}


def as_torch(folder: Path) -> None:
    torch.save(layers(), folder / "pytorch_model.bin")


def as_older_torch(folder: Path) -> None:
    torch.save(layers(), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def as_gguf(folder: Path) -> None:
    writer = gguf.GGUFWriter(str(folder / "model.gguf"), "llama")
    for name, tensor in layers().items():
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quants.quantize(tensor.numpy(), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def as_onnx(folder: Path) -> None:
    held = [numpy_helper.from_array(tensor.numpy(), name) for name, tensor in layers().items()]
    onnx.save(helper.make_model(helper.make_graph([], "g", [], [], initializer=held)), str(folder / "model.onnx"))


def as_onnx_with_values_beside(folder: Path) -> None:
    held = [numpy_helper.from_array(tensor.numpy(), name) for name, tensor in layers().items()]
    model = helper.make_model(helper.make_graph([], "g", [], [], initializer=held))
    onnx.save(model, str(folder / "model.onnx"), save_as_external_data=True, location="model.onnx_data")


def as_int8(folder: Path) -> None:
    found: dict[str, torch.Tensor] = {}
    for name, tensor in layers().items():
        largest = tensor.abs().amax(1)
        found[name] = (tensor * 127 / largest[:, None]).round().to(torch.int8)
        found[f"{name.removesuffix('weight')}SCB"] = largest
    save_file(found, folder / "model.safetensors")


FORMATS = [as_torch, as_older_torch, as_gguf, as_onnx, as_onnx_with_values_beside, as_int8]


@pytest.mark.parametrize("save", FORMATS, ids=lambda save: save.__name__)
def test_rows_come_alone(tmp_path: Path, start_hub: StartHub, save: Callable[[Path], None]) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    save(folder)
    size = sum(file.stat().st_size for file in folder.iterdir())
    hub = start_hub({"owner/name": folder})
    with open_checkpoint(str(folder)) as near, open_checkpoint("owner/name") as far:
        assert (far.format, far.shapes, far.dtypes) == (near.format, near.shapes, near.dtypes)
        far.expect([(name, 100, 110) for name in NAMES])
        for name in NAMES:
            assert torch.equal(far.read_rows(name, 100, 110), near.read_rows(name, 100, 110))
        assert hub.served < size / 5
        assert len([request for request in hub.requests if "resolve" in request.path]) < 60
        assert torch.equal(far.read(NAMES[2]), near.read(NAMES[2]))


def test_a_base_and_its_adapter(tmp_path: Path, start_hub: StartHub) -> None:
    for name in ("base", "change"):
        (tmp_path / name).mkdir()
    save_file(layers(), tmp_path / "base" / "model.safetensors")
    halves = {
        "base_model.model.layers.1.lora_A.weight": torch.randn(2, COLUMNS),
        "base_model.model.layers.1.lora_B.weight": torch.randn(ROWS, 2),
    }
    save_file(halves, tmp_path / "change" / "adapter_model.safetensors")
    (tmp_path / "change" / "adapter_config.json").write_text(json.dumps({"lora_alpha": 2}))
    start_hub({"owner/base": tmp_path / "base", "owner/change": tmp_path / "change"})
    with open_checkpoint("owner/base+owner/change") as model:
        a, b = halves.values()
        expected = layers()[NAMES[1]] + b @ a
        assert torch.allclose(model.read_rows(NAMES[1], 7, 9), expected[7:9], atol=1e-5)
        assert np.allclose(model.read(NAMES[0]).numpy(), layers()[NAMES[0]].numpy())
