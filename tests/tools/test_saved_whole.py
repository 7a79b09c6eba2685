"""PyTorch files that hold more than a state dict: whole modules, TorchScript, settings of training programs."""

from __future__ import annotations

import argparse
import enum
import sys
import types
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from tools.audit import compare, describe
from tools.errors import UserError
from tools.limits import TEXTS, translated
from tools.sources import open_checkpoint
from tools.sources.model_files import format_of

State = dict[str, torch.Tensor]


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(8, 32)
        self.blocks = torch.nn.ModuleList(
            torch.nn.Sequential(torch.nn.Linear(32, 32), torch.nn.ReLU()) for _ in range(2)
        )
        self.norm = torch.nn.BatchNorm1d(32)
        self.scale = torch.nn.Parameter(torch.randn(32))
        self.register_buffer("kept", torch.randn(3))
        self.register_buffer("table", torch.randn(3), persistent=False)
        self.act = torch.nn.functional.relu
        self.missing: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.norm(x) * self.scale


class Kind(enum.Enum):
    FAST = 1


class Settings(dict[str, object]):
    """As training frameworks keep what they were started with."""


def read(path: Path) -> State:
    with open_checkpoint(str(path)) as model:
        return {name: model.read(name) for name in model.shapes}


def assert_same(found: State, expected: State) -> None:
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert torch.equal(found[name], values), name


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_module_saved_whole_is_read_by_its_parts(tmp_path: Path, zipped: bool, wrapped: bool) -> None:
    net = Net()
    saved = {"epoch": 3, "model": net, "ema": None} if wrapped else net
    torch.save(saved, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    assert_same(read(tmp_path / "a.pt"), net.state_dict())


def test_modules_that_lie_deep_in_each_other(tmp_path: Path) -> None:
    net: torch.nn.Module = torch.nn.Linear(4, 4)
    for _ in range(15):
        net = torch.nn.Sequential(net)
    torch.save(net, tmp_path / "a.pt")
    assert_same(read(tmp_path / "a.pt"), net.state_dict())


def test_a_torchscript_archive_is_read_by_its_attributes(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Conv1d(4, 8, 3), torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU()))
    torch.jit.save(torch.jit.script(net), tmp_path / "a.jit")
    assert_same(read(tmp_path / "a.jit"), net.state_dict())
    result = describe(str(tmp_path / "a.jit"))
    assert (result["format"], result["parameters"]) == ("torch", sum(p.numel() for p in net.parameters()))


def test_a_frozen_torchscript_keeps_its_weights_as_constants(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2)).eval()
    torch.jit.save(torch.jit.freeze(torch.jit.script(net)), tmp_path / "a.pt")
    found = read(tmp_path / "a.pt")
    for values in net.state_dict().values():
        assert any(one.shape == values.shape and torch.equal(one, values) for one in found.values())


def test_settings_beside_a_state_dict(tmp_path: Path) -> None:
    state = torch.nn.Linear(8, 4).state_dict()
    saved = {
        "state_dict": state,
        "hyper_parameters": Settings(width=8, layer=torch.nn.Linear(2, 2), kind=Kind.FAST),
        "args": argparse.Namespace(rate=0.1, out=Path("somewhere")),
        "best": np.float64(0.5),
        "history": np.arange(3.0),
        "loops": defaultdict(list, a=[1]),
        "drop": partial(torch.nn.functional.dropout, p=0.1),
    }
    torch.save(saved, tmp_path / "a.ckpt")
    assert_same(read(tmp_path / "a.ckpt"), state)


def test_what_names_code_is_said(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Net()
    torch.save(net, tmp_path / "whole.pt")
    torch.save({"args": argparse.Namespace(), "model": net.state_dict()}, tmp_path / "state.pt")
    words = TEXTS["names_code"]
    result = compare(str(tmp_path / "whole.pt"), str(tmp_path / "state.pt"))
    assert result["answer"] == "identical" and words["en"] in result["limits"]
    assert translated(words["en"], "zh") == words["zh"]
    assert words["en"] in describe(str(tmp_path / "whole.pt"))["limits"]
    assert words["en"] not in describe(str(tmp_path / "state.pt"))["limits"]


def test_nothing_of_the_named_code_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("of_another_library")
    module.Layer = type("Layer", (torch.nn.Linear,), {"__module__": module.__name__})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    layer = module.Layer(4, 4)
    torch.save(layer, tmp_path / "a.pt")
    monkeypatch.delitem(sys.modules, module.__name__)
    assert_same(read(tmp_path / "a.pt"), layer.state_dict())


class Caller:
    """Calls a function of another library when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return torch.nn.functional.relu, (1,)


def test_a_function_of_another_library_is_not_called(tmp_path: Path) -> None:
    torch.save({"state_dict": {"w": torch.ones(4, 4)}, "more": Caller()}, tmp_path / "a.pt")
    with pytest.raises(UserError) as caught:
        open_checkpoint(str(tmp_path / "a.pt"))
    assert caught.value.kind == "unsafe_pickle" and "torch.nn.functional.relu" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.pth.tar", "torch"), ("a.v2.PT.tar", "torch"), ("a.tar", None), ("a.onnx.tar", None), ("a.jit", "torch")],
)
def test_endings(name: str, form: str | None) -> None:
    assert format_of(name) == form


def test_an_old_ending_is_read(tmp_path: Path) -> None:
    torch.save({"state_dict": {"w": torch.ones(4, 4)}}, tmp_path / "a.pth.tar")
    assert_same(read(tmp_path / "a.pth.tar"), {"w": torch.ones(4, 4)})
