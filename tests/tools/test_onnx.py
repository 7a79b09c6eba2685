"""ONNX files: initialisers come back as the library reads them, values beside the file only from beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import load_file

from tools.audit import compare
from tools.errors import UserError
from tools.sources import open_checkpoint
from tools.sources.folder import LocalFile

EXHIBITS = Path(__file__).resolve().parents[2] / "exhibits" / "llama3v"
Parts = dict[str, np.ndarray]


def saved(path: Path, tensors: list[TensorProto], **how: object) -> Path:
    nodes = [helper.make_node("Identity", [tensor.name], [f"out.{tensor.name}"]) for tensor in tensors]
    graph = helper.make_graph(nodes, "a graph", [], [], initializer=tensors)
    onnx.save(helper.make_model(graph), str(path), **how)
    return path


def kind_of(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        open_checkpoint(str(path))
    assert " ".join(caught.value.say("zh")).isprintable()
    return caught.value.kind


NUMBERS = np.linspace(-3, 3, 24).reshape(6, 4)
RAW = [
    "float32",
    "float16",
    "float64",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "int64",
    "uint32",
    "uint64",
    "bool",
]


@pytest.mark.parametrize("dtype", RAW)
def test_raw_values(tmp_path: Path, dtype: str) -> None:
    values = NUMBERS.astype(dtype)
    model = open_checkpoint(str(saved(tmp_path / "model.onnx", [numpy_helper.from_array(values, "w")])))
    assert (model.format, model.shapes, model.dtypes) == ("onnx", {"w": (6, 4)}, {"w": dtype})
    assert torch.equal(model.read("w"), torch.from_numpy(values))
    assert torch.equal(model.read_rows("w", 1, 3), torch.from_numpy(values)[1:3])


@pytest.mark.parametrize(
    "kind", ["FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16", "INT32", "INT64", "UINT64", "INT8", "BOOL", "UINT8"]
)
def test_values_written_one_by_one(tmp_path: Path, kind: str) -> None:
    tensor = helper.make_tensor("w", getattr(TensorProto, kind), [6, 4], np.abs(NUMBERS).round().flatten().tolist())
    assert not tensor.raw_data
    model = open_checkpoint(str(saved(tmp_path / "model.onnx", [tensor])))
    assert torch.equal(model.read("w").double(), torch.from_numpy(np.abs(NUMBERS).round()).double().bool().double()
                       if kind == "BOOL" else torch.from_numpy(np.abs(NUMBERS).round()))  # fmt: skip
    assert torch.equal(model.read_rows("w", 2, 5), model.read("w")[2:5])


def graph_of(nodes: list[onnx.NodeProto], tensors: list[TensorProto] | None = None) -> onnx.GraphProto:
    return helper.make_graph(nodes, "a graph", [], [], initializer=tensors or [])


def constant(name: str, values: np.ndarray, *, raw: bool = True) -> onnx.NodeProto:
    kind = helper.np_dtype_to_tensor_dtype(values.dtype)
    tensor = numpy_helper.from_array(values) if raw else helper.make_tensor("", kind, values.shape, values.flatten())
    return helper.make_node("Constant", [], [name], value=tensor)


def written(path: Path, graph: onnx.GraphProto) -> Path:
    onnx.save(helper.make_model(graph), str(path))
    return path


@pytest.mark.parametrize("raw", [True, False])
def test_weights_written_as_constants(tmp_path: Path, raw: bool) -> None:
    """As Paddle2ONNX does: no initialisers at all."""
    matrix, bias = np.float32(NUMBERS), np.arange(6, dtype=np.float32)
    nodes = [
        constant("linear_0.w_0", matrix, raw=raw),
        constant("linear_0.b_0", bias, raw=raw),
        constant("eps", np.float32(1e-5)),
        constant("shape", np.array([1, -1, 4])),
    ]
    model = open_checkpoint(str(written(tmp_path / "model.onnx", graph_of(nodes))))
    assert model.shapes == {"linear_0.w_0": (6, 4), "linear_0.b_0": (6,)}
    assert torch.equal(model.read("linear_0.w_0"), torch.from_numpy(matrix))
    assert torch.equal(model.read_rows("linear_0.b_0", 2, 4), torch.tensor([2.0, 3.0]))


def test_constants_beside_initialisers_are_not_weights(tmp_path: Path) -> None:
    grid = constant("grid", np.float32(NUMBERS))
    path = written(tmp_path / "a.onnx", graph_of([grid], [numpy_helper.from_array(np.float32(NUMBERS + 1), "w")]))
    assert list(open_checkpoint(str(path)).shapes) == ["w"]
    bias = numpy_helper.from_array(np.ones(6, np.float32), "bias")
    assert set(open_checkpoint(str(written(tmp_path / "b.onnx", graph_of([grid], [bias])))).shapes) == {"grid", "bias"}


@pytest.mark.parametrize("as_constants", [True, False])
def test_branches_hold_weights_of_their_own(tmp_path: Path, as_constants: bool) -> None:
    def branch(values: np.ndarray) -> onnx.GraphProto:
        one = np.float32(values)
        if as_constants:
            return graph_of([constant("w", one)])
        return graph_of([helper.make_node("Identity", ["w"], ["out"])], [numpy_helper.from_array(one, "w")])

    inner = helper.make_node("If", ["x"], ["y"], then_branch=branch(NUMBERS), else_branch=branch(NUMBERS + 1))
    outer = helper.make_node("If", ["x"], ["y"], then_branch=graph_of([inner]), else_branch=branch(NUMBERS + 2))
    model = open_checkpoint(str(written(tmp_path / "model.onnx", graph_of([outer]))))
    assert list(model.shapes.values()) == [(6, 4)] * 3
    assert sorted(float(model.read(name)[0, 0]) for name in model.shapes) == [-3.0, -2.0, -1.0]


def test_branches_without_end(tmp_path: Path) -> None:
    graph = graph_of([constant("w", np.float32(NUMBERS))])
    for _ in range(12):
        graph = graph_of([helper.make_node("If", ["x"], ["y"], then_branch=graph, else_branch=graph_of([]))])
    assert kind_of(written(tmp_path / "model.onnx", graph)) == "bad_header"


def test_four_bits_are_listed_and_the_rest_is_used(tmp_path: Path) -> None:
    four = helper.make_tensor("four", TensorProto.INT4, [4], [1, 2, 3, 4])
    scalar = numpy_helper.from_array(np.float32(2.5), "scalar")
    empty = numpy_helper.from_array(np.zeros((0, 3), np.float32), "empty")
    model = open_checkpoint(str(saved(tmp_path / "model.onnx", [four, scalar, empty])))
    assert list(model.undecoded) == ["four"]
    assert model.read("scalar").item() == 2.5
    assert model.read("empty").shape == (0, 3)
    with pytest.raises(UserError) as caught:
        model.read("four")
    assert caught.value.kind == "unknown_tensor_type"


@pytest.mark.parametrize("beside", ["model.onnx_data", "model.onnx.data", "model.data"])
def test_values_beside_the_file(tmp_path: Path, beside: str) -> None:
    tensors = [numpy_helper.from_array(NUMBERS.astype("float32") * n, f"w{n}") for n in range(3)]
    saved(tmp_path / "model.onnx", tensors, save_as_external_data=True, location=beside, size_threshold=0)
    for named in (tmp_path, tmp_path / "model.onnx"):
        model = open_checkpoint(str(named))
        assert torch.equal(model.read("w2"), torch.from_numpy(NUMBERS.astype("float32") * 2))
        assert torch.equal(model.read_rows("w1", 3, 4), torch.from_numpy(NUMBERS.astype("float32"))[3:4])
    (tmp_path / beside).write_bytes(b"")
    assert kind_of(tmp_path / "model.onnx") == "truncated"
    (tmp_path / beside).unlink()
    assert kind_of(tmp_path / "model.onnx") == "missing_shard"
    (tmp_path / "elsewhere").write_bytes(bytes(1000))
    (tmp_path / beside).symlink_to(tmp_path / "elsewhere")
    open_checkpoint(str(tmp_path))
    (tmp_path / beside).unlink()
    (tmp_path / beside).symlink_to("/dev/zero")
    assert kind_of(tmp_path) in ("unsafe_path", "not_a_file")


def outside(**notes: str) -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in notes.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


@pytest.mark.parametrize(
    ("notes", "kind"),
    [
        ({}, "unsafe_path"),
        ({"location": "/etc/passwd"}, "unsafe_path"),
        ({"location": "../secret"}, "unsafe_path"),
        ({"location": ".."}, "unsafe_path"),
        ({"location": "a/b"}, "unsafe_path"),
        ({"location": "..\\secret"}, "unsafe_path"),
        ({"location": "C:x"}, "unsafe_path"),
        ({"location": "secret"}, "missing_shard"),
        ({"location": "model.onnx"}, "missing_shard"),
        ({"location": "model.onnx_data", "offset": "-1"}, "bad_header"),
        ({"location": "model.onnx_data", "offset": "1e3"}, "bad_header"),
        ({"location": "model.onnx_data", "offset": "9" * 30}, "bad_header"),
        ({"location": "model.onnx_data", "offset": "8"}, "truncated"),
        ({"location": "model.onnx_data", "length": "4"}, "bad_header"),
        ({"location": "x" * 5000}, "bad_header"),
    ],
)
def test_values_are_only_sought_beside_the_file(tmp_path: Path, notes: dict[str, str], kind: str) -> None:
    (tmp_path / "secret").write_bytes(bytes(100))
    (tmp_path / "model.onnx_data").write_bytes(bytes(8))
    assert kind_of(saved(tmp_path / "model.onnx", [outside(**notes)])) == kind


def field(number: int, data: bytes) -> bytes:
    length, size = b"", len(data)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + data


def graph(tensor: bytes) -> bytes:
    return field(7, field(5, tensor))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "truncated"),
        (bytes(100), "bad_header"),
        (b"\xff" * 100, "bad_header"),
        (b"version https://git-lfs.github.com/spec/v1\n", "pointer_file"),
        (field(1, bytes(100)), "no_tensors"),
        (graph(b"")[:-1] + b"\x7f" + bytes(40), "truncated"),
        (b"\x3a\xff\xff\xff\xff\x0f" + bytes(40), "truncated"),
        (graph(b"\x08\x02\x10\x01" + field(9, bytes(7))) + bytes(0) + field(1, bytes(30)), "bad_header"),
        (graph((b"\x08" + b"\xff" * 8 + b"\x7f") * 3 + b"\x10\x01" + field(9, bytes(8))), "bad_header"),
        (graph(b"\x08\x01" * 40 + b"\x10\x01" + field(9, bytes(4))), "bad_header"),
        (graph(field(8, b"n" * 1001) + bytes(0)), "bad_header"),
        (field(7, field(5, field(8, b"w")) * 2 + field(10, bytes(30))), "bad_header"),
    ],
)
def test_is_refused(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    assert kind_of(tmp_path / "model.onnx") == kind


def test_too_many_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.formats.onnx.MAX_FIELDS", 100)
    (tmp_path / "model.onnx").write_bytes(b"\x08\x01" * 200)
    assert kind_of(tmp_path / "model.onnx") == "bad_header"


def test_a_large_file_is_stepped_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = [numpy_helper.from_array(np.zeros((1000, 500), np.float32), f"w{n}") for n in range(20)]
    path = saved(tmp_path / "model.onnx", tensors)
    reads: list[int] = []
    read = LocalFile.read
    monkeypatch.setattr(LocalFile, "read", lambda s, start, stop: reads.append(stop - start) or read(s, start, stop))
    model = open_checkpoint(str(path))
    assert len(model.shapes) == 20
    assert sum(reads) < path.stat().st_size / 100
    reads.clear()
    model.read_rows("w7", 10, 20)
    assert sum(reads) == 10 * 500 * 4


def test_an_exported_copy_is_known_and_a_stranger_is_not(tmp_path: Path) -> None:
    tensors = []
    for name, tensor in load_file(EXHIBITS / "original" / "model.safetensors").items():
        # Exporters turn linear layers into products with the transposed matrix and drop their names.
        turned = "proj" in name or "lm_head" in name
        values = tensor.float().numpy().T if turned else tensor.float().numpy()
        tensors.append(
            numpy_helper.from_array(np.ascontiguousarray(values), f"onnx::MatMul_{len(tensors)}" if turned else name)
        )
    path = str(saved(tmp_path / "model.onnx", tensors))
    linked = compare(path, str(EXHIBITS / "original"))
    assert linked["answer"] in ("identical", "disguised_copy", "derived", "shared_part"), linked["answer"]
    assert compare(path, str(EXHIBITS / "stranger"))["answer"] in ("independent", "undecided")


def linear(path: Path, weight: np.ndarray, name: str, *, scopes: bool = False, constants: Parts | None = None) -> Path:
    """A layer as exporters leave it (torch 2.13, both exporters): its transposed matrix as a constant of no name."""
    tensors = constants or {name: np.ascontiguousarray(weight.T)}
    node = helper.make_node("MatMul", ["x", next(iter(tensors))], ["y"], name="/m/layer.0/up_proj/MatMul")
    if scopes:
        node.name = "node_linear"
        notes = onnx.StringStringEntryProto(
            key="pkg.torch.onnx.name_scopes", value="['', 'm', 'm.layer.0', 'm.layer.0.up_proj', 'linear']"
        )
        node.metadata_props.append(notes)
    initialisers = [numpy_helper.from_array(values, called) for called, values in tensors.items()]
    onnx.save(helper.make_model(helper.make_graph([node], "g", [], [], initializer=initialisers)), str(path))
    return path


WEIGHT = np.random.default_rng(0).standard_normal((24, 64)).astype("float32")
LAYER = "m.layer.0.up_proj.weight"


@pytest.mark.parametrize(("name", "scopes"), [("onnx::MatMul_335", False), ("val_108", True)])
def test_a_folded_layer_is_turned_back_and_named(tmp_path: Path, name: str, scopes: bool) -> None:
    model = open_checkpoint(str(linear(tmp_path / "model.onnx", WEIGHT, name, scopes=scopes)))
    assert model.shapes == {LAYER: WEIGHT.shape}
    assert torch.equal(model.read(LAYER), torch.from_numpy(WEIGHT))
    assert torch.equal(model.read_rows(LAYER, 3, 9), torch.from_numpy(WEIGHT)[3:9])
    assert torch.equal(torch.cat([*model.read_blocks(LAYER, 2, 23, 4)]), torch.from_numpy(WEIGHT)[2:23])
    assert model.place(LAYER, 2, 23) is None
    model.expect([(LAYER, 3, 9), (LAYER, None, None)])


def test_a_named_matrix_and_one_that_no_product_uses_stay_as_they_lie(tmp_path: Path) -> None:
    for name in ("m.w", "onnx::Add_3"):
        constants = {"other": WEIGHT, name: WEIGHT} if name != "m.w" else {name: WEIGHT}
        model = open_checkpoint(str(linear(tmp_path / "model.onnx", WEIGHT, name, constants=constants)))
        assert model.shapes[name] == WEIGHT.shape
        assert torch.equal(model.read(name), torch.from_numpy(WEIGHT))


def test_two_constants_of_one_layer_keep_their_names(tmp_path: Path) -> None:
    constants = {"onnx::MatMul_3": WEIGHT.T.copy(), LAYER: WEIGHT}
    model = open_checkpoint(str(linear(tmp_path / "model.onnx", WEIGHT, "", constants=constants)))
    assert model.shapes == {"onnx::MatMul_3": (64, 24), LAYER: (24, 64)}


@pytest.mark.parametrize("scopes", [False, True])
def test_a_table_kept_under_the_heads_name_is_the_table(tmp_path: Path, scopes: bool) -> None:
    # torch 2.13 keeps a tied table under the name of the head, and folds the scale of attention into a number.
    nodes = [
        helper.make_node("Gather", ["m.lm_head.weight", "ids"], ["x"], name="/m/transformer/wte/Gather"),
        helper.make_node("Gather", ["m.wpe.weight", "ids"], ["y"], name="/m/wpe/Gather"),
        helper.make_node("Gather", ["onnx::shapes_2", "ids"], ["z"], name="/m/Gather"),
    ]
    if scopes:
        nodes[0].name = "node_embedding"
        scope = "['', 'm', 'm.transformer', 'm.transformer.wte', 'embedding']"
        nodes[0].metadata_props.append(onnx.StringStringEntryProto(key="pkg.torch.onnx.name_scopes", value=scope))
    constants = {"m.lm_head.weight": WEIGHT, "m.wpe.weight": WEIGHT[:9], "val_64": np.float32(0.5)}
    constants["onnx::shapes_2"] = np.arange(3)
    initialisers = [numpy_helper.from_array(np.asarray(values), called) for called, values in constants.items()]
    graph = helper.make_graph(nodes, "g", [], [], initializer=initialisers)
    onnx.save(helper.make_model(graph), str(tmp_path / "model.onnx"))
    model = open_checkpoint(str(tmp_path / "model.onnx"))
    assert set(model.shapes) == {"m.transformer.wte.weight", "m.wpe.weight", "onnx::shapes_2"}
    assert torch.equal(model.read("m.transformer.wte.weight"), torch.from_numpy(WEIGHT))


@pytest.mark.parametrize("by_row", [False, True])
def test_8_bit_layers_of_onnx_runtime(tmp_path: Path, by_row: bool) -> None:
    # onnxruntime.quantization 1.32 writes the matrix as it lies, transposed, and a scale for each output or for all.
    largest = np.abs(WEIGHT).max(axis=1 if by_row else None)
    scale = (largest / 127).astype("float32")
    whole = np.round(WEIGHT.T / scale).astype("int8")
    constants = {"onnx::MatMul_3_quantized": whole, "onnx::MatMul_3_scale": np.asarray(scale)}
    constants["onnx::MatMul_3_zero_point"] = np.zeros_like(scale, dtype="int8")
    model = open_checkpoint(str(linear(tmp_path / "model.onnx", WEIGHT, "", constants=constants)))
    assert (model.shapes, model.dtypes) == ({LAYER: WEIGHT.shape}, {LAYER: "float32"})
    whole_model = model.read(LAYER)
    assert float((whole_model - torch.from_numpy(WEIGHT)).abs().max()) < 0.02
    assert torch.equal(model.read_rows(LAYER, 3, 9), whole_model[3:9])


@pytest.mark.parametrize("zeros", [False, True])
def test_4_bit_layers_of_onnx_runtime(tmp_path: Path, zeros: bool) -> None:
    groups = WEIGHT.reshape(24, 2, 32)
    scale = (np.abs(groups).max(-1) / 7).astype("float32")
    whole = (np.round(groups / scale[..., None]) + 8).astype("uint8")
    constants = {"onnx::MatMul_3_Q4": whole[..., ::2] | whole[..., 1::2] << 4, "onnx::MatMul_3_scales": scale}
    if zeros:
        constants["onnx::MatMul_3_zero_points"] = np.full((24, 1), 0x88, dtype="uint8")
    model = open_checkpoint(str(linear(tmp_path / "model.onnx", WEIGHT, "", constants=constants)))
    if zeros:
        assert model.undecoded == {f"{LAYER}_Q4": "packed uint8"}
    else:
        assert model.shapes == {LAYER: WEIGHT.shape}
        assert float((model.read(LAYER) - torch.from_numpy(WEIGHT)).abs().max()) < 0.3


@pytest.mark.parametrize("parts", [{"_scale": (3,)}, {"_zero_point": (24, 1)}, {"_scale": (0,)}, {"_quantized": ()}])
def test_8_bit_parts_that_do_not_fit(tmp_path: Path, parts: dict[str, tuple[int, ...]]) -> None:
    shapes = {"_quantized": (64, 24), "_scale": (24,), "_zero_point": (24,)} | parts
    constants = {
        f"onnx::MatMul_3{rest}": np.zeros(shape, dtype="float32" if rest == "_scale" else "int8")
        for rest, shape in shapes.items()
    }
    model = open_checkpoint(str(linear(tmp_path / "model.onnx", WEIGHT, "", constants=constants)))
    assert LAYER not in model.shapes
    for name in model.shapes:
        model.read(name)
