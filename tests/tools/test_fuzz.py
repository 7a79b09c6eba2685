"""A thousand damaged files of every format: each opens or is refused with a sentence, soon and in little memory."""

from __future__ import annotations

import io
import resource
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save

from tools.errors import UserError
from tools.sources import open_checkpoint

SECONDS = 2.0
MEMORY = 512 << 20
EXAMPLES = 1000

NUMBERS = np.linspace(-1, 1, 96, dtype=np.float32).reshape(3, 32)


def safetensors_file() -> bytes:
    tensors = {"l.weight": torch.zeros(8, 8, dtype=torch.int8), "l.SCB": torch.ones(8), "w": torch.from_numpy(NUMBERS)}
    packed = {"q.qweight": torch.zeros(4, 32), "q.qzeros": torch.zeros(1, 4), "q.scales": torch.ones(1, 32)}
    whole = {name: value.int() if "q.q" in name else value.half() for name, value in packed.items()}
    return save(tensors | whole, {"format": "pt"})


def torch_file(zipped: bool) -> bytes:
    stream = io.BytesIO()
    tensors = {"state_dict": {"a": torch.from_numpy(NUMBERS), "b": torch.nn.Parameter(torch.ones(2).half())}}
    torch.save(tensors, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


@cache
def gguf_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.gguf"
        writer = gguf.GGUFWriter(str(path), "llama")
        writer.add_head_count(2)
        writer.add_token_list(["a", "bc", "def"])
        writer.add_token_merges(["a b"])
        writer.add_tensor("blk.0.attn_q.weight", np.ones((4, 32), np.float16))
        quantised = gguf.quants.quantize(NUMBERS, gguf.GGMLQuantizationType.Q8_0).reshape(3, 1, -1)
        writer.add_tensor("blk.0.ffn_up_exps.weight", quantised, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


def onnx_file() -> bytes:
    tensors = [
        numpy_helper.from_array(NUMBERS, "w"),
        helper.make_tensor("one by one", TensorProto.INT64, [3], [1, 2, 300]),
        helper.make_tensor("half", TensorProto.FLOAT16, [2], [1.0, 2.0]),
        helper.make_tensor("four", TensorProto.INT4, [2], [1, 2]),
    ]
    return bytes(helper.make_model(helper.make_graph([], "g", [], [], initializer=tensors)).SerializeToString())


@st.composite
def damage(draw: st.DrawFn) -> list[tuple[str, float, bytes]]:
    """Changes to a file: what, at which part of it (mostly its beginning or end), with which bytes."""
    place = st.one_of(st.floats(0, 0.3), st.floats(0, 1), st.floats(0.9, 1))
    new = st.one_of(
        st.binary(min_size=1, max_size=8),
        st.sampled_from([b"\xff" * 8, b"\xff" * 4, bytes(8), b"\xff" * 7 + b"\x7f", b"\x80" * 9, b"9" * 12, b"[" * 40]),
    )
    what = st.sampled_from(["set", "set", "insert", "cut", "end"])
    return draw(st.lists(st.tuples(what, place, new), min_size=1, max_size=4))


def damaged(data: bytes, changes: list[tuple[str, float, bytes]]) -> bytes:
    content = bytearray(data)
    for what, share, new in changes:
        place = int(share * len(content))
        if what == "set":
            content[place : place + len(new)] = new
        elif what == "insert":
            content[place:place] = new
        elif what == "cut":
            del content[place : place + 3 * len(new)]
        else:
            del content[place:]
    return bytes(content)


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """No allocation may take the process far beyond what it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


fuzzing = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def opens_or_refuses(folder: Path, name: str, content: bytes) -> None:
    path = folder / name
    path.write_bytes(content)
    begun = time.thread_time()
    try:
        with open_checkpoint(str(path)) as model:
            model.side_file("vocab.json")
            for tensor, shape in model.shapes.items():
                try:
                    assert tuple(model.read(tensor).shape) == shape
                    if shape:
                        model.read_rows(tensor, 0, 1)
                except UserError as error:
                    # A file of a few kilobytes holds nothing that needs more memory than there is.
                    assert error.kind != "too_large_tensor"
                    assert str(error).isprintable()
    except UserError as error:
        assert " ".join(error.say("zh")).isprintable()
    assert time.thread_time() - begun < SECONDS


GOOD = {
    "a.safetensors": safetensors_file,
    "a.gguf": gguf_file,
    "a.pt": lambda: torch_file(True),
    "b.pt": lambda: torch_file(False),
    "a.onnx": onnx_file,
}


@pytest.mark.parametrize("name", list(GOOD))
def test_the_file_is_good_before_it_is_damaged(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(GOOD[name]())
    with open_checkpoint(str(tmp_path / name)) as model:
        assert len(model.shapes) >= 2


@pytest.mark.parametrize("name", list(GOOD))
def test_a_thousand_damaged_files(tmp_path: Path, name: str) -> None:
    data = GOOD[name]()

    @fuzzing
    @given(damage())
    def each(changes: list[tuple[str, float, bytes]]) -> None:
        opens_or_refuses(tmp_path, name, damaged(data, changes))

    each()
