"""Recurrent layers in ONNX: directions, gates and biases come back as PyTorch has them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from tools.audit import compare
from tools.sources import open_checkpoint

KINDS = ["LSTM", "GRU", "RNN"]


class Net(torch.nn.Module):
    def __init__(self, kind: str, *, both_ways: bool) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.conv = torch.nn.Conv1d(20, 48, 3)
        self.rnn = getattr(torch.nn, kind)(48, 64, 2, batch_first=True, bidirectional=both_ways)
        self.head = torch.nn.Linear(64 * (1 + both_ways), 30)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.rnn(self.conv(x).transpose(1, 2))[0])
        return out


def exported(net: Net, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net.eval(), (torch.randn(1, 20, 16),), str(path), dynamo=False, opset_version=17)
    return path


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_an_export_is_the_model_it_was_made_from(tmp_path: Path, kind: str, both_ways: bool) -> None:
    net = Net(kind, both_ways=both_ways)
    torch.save(net.state_dict(), tmp_path / "a.pt")
    with open_checkpoint(str(exported(net, tmp_path / "a.onnx"))) as model:
        for name, values in net.state_dict().items():
            assert torch.equal(model.read(name), values), name
            assert torch.equal(model.read_rows(name, 3, 17), values[3:17]), name
            assert torch.equal(torch.cat(list(model.read_blocks(name, 2, len(values), 5))), values[2:]), name
    result = compare(str(tmp_path / "a.pt"), str(tmp_path / "a.onnx"))
    assert (result["answer"], result["changes"]) == ("identical", [])


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_noisy_copy_and_its_direction(tmp_path: Path, kind: str) -> None:
    net = Net(kind, both_ways=True)
    exported(net, tmp_path / "a.onnx")
    draw = torch.Generator().manual_seed(1)
    noisy = {name: v + 0.02 * v.std() * torch.randn(v.shape, generator=draw) for name, v in net.state_dict().items()}
    torch.save(noisy, tmp_path / "b.pt")
    result = compare(str(tmp_path / "a.onnx"), str(tmp_path / "b.pt"))
    assert result["answer"] == "disguised_copy" and result["direction"]["answer"] != "a_from_b"


def graph(tensors: dict[str, np.ndarray], inputs: list[str], kind: str = "LSTM") -> onnx.ModelProto:
    node = helper.make_node(kind, ["x", *inputs], ["y"], name="/enc/rnn/LSTM")
    initialisers: list[TensorProto] = [numpy_helper.from_array(values, name) for name, values in tensors.items()]
    return helper.make_model(helper.make_graph([node], "g", [], [], initializer=initialisers))


def test_names_of_their_own_are_kept(tmp_path: Path) -> None:
    weights = np.arange(2 * 8 * 3, dtype=np.float32).reshape(2, 8, 3)
    biases = np.arange(2 * 16, dtype=np.float32).reshape(2, 16)
    onnx.save(graph({"W__1": weights, "B__1": biases}, ["W__1", "", "B__1"]), str(tmp_path / "a.onnx"))
    model = open_checkpoint(str(tmp_path / "a.onnx"))
    assert model.shapes == {f"W__1{end}": (8, 3) for end in ("", "_reverse")} | {
        f"B__1.{which}{end}": (8,) for which in ("ih", "hh") for end in ("", "_reverse")
    }
    # Input, output, forget, cell become input, forget, cell, output; two numbers each.
    assert model.read("B__1.hh").tolist() == [8, 9, 12, 13, 14, 15, 10, 11]
    assert torch.equal(model.read("W__1_reverse")[2:4], torch.from_numpy(weights[1, 4:6]))


@pytest.mark.parametrize(
    "shape",
    [(3, 8, 3), (2, 8), (1, 7, 3), (1, 0, 3), (8,)],
    ids=["three ways", "two axes", "odd gates", "empty", "one axis"],
)
def test_other_shapes_stay_as_they_lie(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    onnx.save(graph({"W": values}, ["W"]), str(tmp_path / "a.onnx"))
    model = open_checkpoint(str(tmp_path / "a.onnx"))
    assert model.shapes == {"W": shape} and torch.equal(model.read("W"), torch.from_numpy(values))


def test_one_matrix_in_two_places_is_one_tensor(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.float32).reshape(1, 8, 3)
    onnx.save(graph({"onnx::LSTM_7": values}, ["onnx::LSTM_7", "onnx::LSTM_7"]), str(tmp_path / "a.onnx"))
    assert open_checkpoint(str(tmp_path / "a.onnx")).shapes == {"enc.rnn.weight_ih_l0": (8, 3)}


def test_a_part_that_is_shared_tells_no_direction_by_its_layers(tmp_path: Path) -> None:
    """Of two models with one matrix in common neither has some of the other's layers."""
    draw = torch.Generator().manual_seed(0)
    shared = torch.randn(64, 96, generator=draw)
    many = {f"layers.{n}.{p}.weight": torch.randn(96, 96, generator=draw) for n in range(4) for p in ("up", "down")}
    few = {"layers.0.up.weight": torch.randn(80, 80, generator=draw)}
    torch.save({"table": shared, **many}, tmp_path / "a.pt")
    torch.save({"table": shared, **few}, tmp_path / "b.pt")
    result = compare(str(tmp_path / "a.pt"), str(tmp_path / "b.pt"))
    assert result["answer"] == "shared_part" and result["direction"]["answer"] == "unknown"
