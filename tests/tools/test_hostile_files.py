"""Opening files that mean harm: each is opened or refused with a sentence; nothing is run, memory is kept."""

import io
import json
import os
import pickle
import random
import re
import resource
import struct
import subprocess
import sys
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from tools.checkpoint import Checkpoint
from tools.errors import UserError
from tools.formats import plain, torch_zip
from tools.sources import open_checkpoint

GOOD = {
    "a": torch.arange(6.0).reshape(2, 3),
    "b": torch.ones(4, dtype=torch.bfloat16),
    "c": torch.tensor([True]),
}
ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
MEGABYTE = 1 << 20


def refused(path: object) -> UserError:
    """Return the error of opening what must be refused; its words must be fit to be shown."""
    with pytest.raises(UserError) as caught:
        open_checkpoint(str(path))
    for language in ("en", "zh"):
        text = " ".join(caught.value.say(language))
        assert text.isprintable()
        assert len(text) < 500
        assert not any(word in text for word in ("Traceback", "Error", "Weights only", "weights_only"))
    return caught.value


def raw(header: object, data: bytes = bytes(8), length: int | None = None) -> bytes:
    """Return a safetensors file with this header: bytes, or something that JSON can write."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def written(folder: Path, content: bytes, name: str = "model.safetensors") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read_all(model: Checkpoint) -> None:
    for name, shape in model.shapes.items():
        tensor = model.read(name)
        assert tuple(tensor.shape) == shape
        if shape:
            model.read_rows(name, 0, 1)


def peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class TestSafetensorsHeader:
    @pytest.mark.parametrize(
        ("content", "kind"),
        [
            pytest.param(b"", "truncated", id="empty"),
            pytest.param(b"\x08\0\0", "truncated", id="no whole length"),
            pytest.param(raw({"a": ENTRY})[:40], "truncated", id="half a header"),
            pytest.param(raw({"a": ENTRY})[:-1], "truncated", id="one byte short"),
            pytest.param(raw({"a": ENTRY}, length=1 << 60), "header_too_large", id="2^60"),
            pytest.param(raw({"a": ENTRY}, length=(1 << 64) - 1), "header_too_large", id="2^64-1"),
            pytest.param(raw({"a": ENTRY}, length=99_999_999), "truncated", id="longer than the file"),
            pytest.param(raw({"a": ENTRY | {"data_offsets": [0, 16]}}), "truncated", id="beyond the file"),
            pytest.param(raw({"a": ENTRY | {"data_offsets": [8, 16]}}), "truncated", id="all beyond"),
            pytest.param(
                raw({"a": ENTRY, "b": ENTRY | {"data_offsets": [4, 12]}}, bytes(12)),
                "overlapping_tensors",
                id="overlap",
            ),
            pytest.param(raw({"a": ENTRY, "b": ENTRY}), "overlapping_tensors", id="twice the same bytes"),
            pytest.param(
                b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
                "pointer_file",
                id="git lfs",
            ),
            pytest.param(raw({}, b""), "no_tensors", id="no tensors"),
            pytest.param(raw({"__metadata__": {"format": "pt"}}, b""), "no_tensors", id="only metadata"),
        ],
    )
    def test_is_refused(self, tmp_path: Path, content: bytes, kind: str) -> None:
        assert refused(written(tmp_path, content)).kind == kind

    @pytest.mark.parametrize(
        ("header", "why"),
        [
            (b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{}}', "duplicate_name"),
            (b'{"a":{"dtype":"F32","dtype":"I32","shape":[2],"data_offsets":[0,8]}}', "duplicate_name"),
            (b'{"__metadata__":{"k":"1","k":"2"}}', "duplicate_name"),
            (b"{", "not_json"),
            (b"", "not_json"),
            (b"<!DOCTYPE html><html>Not found</html>", "not_json"),
            (b'{"\xff":1}', "not_json"),
            (b'{"\\ud800":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', "not_json"),
            (b'{"a":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,8]}}', "not_json"),
            (b"[" * 100_000, "nested_too_deep"),
            (b'{"a":' * 100_000, "nested_too_deep"),
            (b"[]", "not_object"),
            (b"null", "not_object"),
            ({"a": None}, "bad_entry"),
            ({"a": []}, "bad_entry"),
            ({"a": {}}, "bad_entry"),
            ({"a": ENTRY | {"dtype": 32}}, "bad_entry"),
            ({"a": ENTRY | {"dtype": ""}}, "bad_entry"),
            ({"a": ENTRY | {"dtype": "F" * 1000}}, "bad_entry"),
            ({"a": ENTRY | {"data_offsets": [0]}}, "bad_entry"),
            ({"a": ENTRY | {"data_offsets": [0, 8, 8]}}, "bad_entry"),
            ({"a": ENTRY | {"data_offsets": [8, 0]}}, "bad_entry"),
            ({"a": ENTRY | {"data_offsets": [-8, 0]}}, "bad_entry"),
            ({"a": ENTRY | {"data_offsets": [0.0, 8.0]}}, "bad_entry"),
            ({"a": ENTRY | {"data_offsets": "08"}}, "bad_entry"),
            ({"a": ENTRY | {"shape": 2}}, "absurd_shape"),
            ({"a": ENTRY | {"shape": "2"}}, "absurd_shape"),
            ({"a": ENTRY | {"shape": [-2]}}, "absurd_shape"),
            ({"a": ENTRY | {"shape": [-1, -2]}}, "absurd_shape"),
            ({"a": ENTRY | {"shape": [2.0]}}, "absurd_shape"),
            ({"a": ENTRY | {"shape": [True, 2]}}, "absurd_shape"),
            ({"a": ENTRY | {"shape": [1 << 62, 1 << 62]}}, "absurd_shape"),
            ({"a": ENTRY | {"shape": [0, 1 << 62], "data_offsets": [0, 0]}}, "absurd_shape"),
            ({"a": ENTRY | {"shape": [1] * 1000 + [2]}}, "absurd_shape"),
            ({"a": ENTRY | {"shape": [3]}}, "wrong_size"),
            ({"a": ENTRY | {"shape": []}}, "wrong_size"),
            ({"a": ENTRY | {"dtype": "F64"}}, "wrong_size"),
            ({"a": ENTRY | {"dtype": "F4"}}, "wrong_size"),
            ({"a": ENTRY | {"shape": [1], "data_offsets": [4, 8]}}, "bytes_without_owner"),
            ({"a": ENTRY | {"shape": [1], "data_offsets": [0, 4]}}, "bytes_without_owner"),
            ({"a" * 1001: ENTRY}, "name_too_long"),
        ],
    )
    def test_is_refused_with_its_reason(self, tmp_path: Path, header: object, why: str) -> None:
        error = refused(written(tmp_path, raw(header)))
        assert (error.kind, error.facts["why"]) == ("bad_header", why)

    def test_a_hole_between_tensors(self, tmp_path: Path) -> None:
        one, two = ({"dtype": "U8", "shape": [2], "data_offsets": [start, start + 2]} for start in (0, 6))
        error = refused(written(tmp_path, raw({"a": one, "b": two})))
        assert error.facts["why"] == "bytes_without_owner"

    def test_too_many_tensors(self, tmp_path: Path) -> None:
        entry = b':{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
        header = b"{" + b",".join(b'"%d"%s' % (number, entry) for number in range(200_001)) + b"}"
        assert refused(written(tmp_path, raw(header, b""))).kind == "too_many_tensors"

    def test_too_many_tensors_over_all_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tools.checkpoint.MAX_TENSORS", 3)
        for part in "12":
            entries = {f"{part}{number}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for number in (1, 2)}
            written(tmp_path, raw(entries, b""), f"model-{part}-of-2.safetensors")
        assert open_checkpoint(str(tmp_path / "model-1-of-2.safetensors")).has_weights
        assert refused(tmp_path).kind == "too_many_tensors"

    def test_a_header_that_would_fill_the_memory(self, tmp_path: Path) -> None:
        before = peak_memory()
        error = refused(written(tmp_path, raw(b"[" + b"[],{}," * 10_000_000 + b"0]")))
        assert error.facts["why"] == "too_many_entries"
        assert peak_memory() - before < 300 * MEGABYTE

    def test_a_file_that_only_claims_to_be_large(self, tmp_path: Path) -> None:
        count = plain.READ_BYTES // 4 + 1
        path = written(tmp_path, raw({"a": ENTRY | {"shape": [count, 1], "data_offsets": [0, 4 * count]}}, b""))
        os.truncate(path, path.stat().st_size + 4 * count)
        model = open_checkpoint(str(path))
        with pytest.raises(UserError) as caught:
            model.read("a")
        assert caught.value.kind == "too_large_tensor"
        assert model.read_rows("a", count - 2, count).tolist() == [[0.0], [0.0]]
        assert model.files == {path.name: None}

    def test_a_bool_is_true_or_false(self, tmp_path: Path) -> None:
        entry = {"dtype": "BOOL", "shape": [4], "data_offsets": [0, 4]}
        model = open_checkpoint(str(written(tmp_path, raw({"a": entry}, bytes([0, 1, 7, 255])))))
        assert model.read("a").view(torch.uint8).tolist() == [0, 1, 1, 1]
        assert model.read_rows("a", 2, 3).view(torch.uint8).tolist() == [1]

    def test_hostile_names_are_kept_but_shown_safely(self, tmp_path: Path) -> None:
        name = "\u202egnp\x1b[2J\u200b"
        model = open_checkpoint(str(written(tmp_path, raw({name: ENTRY | {"dtype": "\u202eX\x07"}}))))
        assert list(model.shapes) == [name]
        with pytest.raises(UserError) as caught:
            model.read(name)
        assert str(caught.value).isprintable()
        assert refused(written(tmp_path, b"", f"{name}.safetensors")).kind == "truncated"


class Payload:
    """Something that makes a folder when it is unpickled, and so leaves a trace if it was."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.marker),)


class TestPickles:
    @pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pth", "model.pt", "model.ckpt"])
    @pytest.mark.parametrize("zipped", [True, False])
    def test_a_payload_beside_tensors_is_not_run(self, tmp_path: Path, name: str, zipped: bool) -> None:
        saved = {"state_dict": GOOD, "extra": Payload(tmp_path / "marker")}
        torch.save(saved, tmp_path / name, _use_new_zipfile_serialization=zipped)
        for path in (tmp_path, tmp_path / name):
            error = refused(path)
            assert error.kind == "unsafe_pickle"
            assert "posix.mkdir" in str(error)
        assert not (tmp_path / "marker").exists()

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_a_bare_pickle_is_not_run(self, tmp_path: Path, protocol: int) -> None:
        path = written(tmp_path, pickle.dumps(Payload(tmp_path / "marker"), protocol), "model.bin")
        assert refused(path).kind == "unsafe_pickle"
        assert not (tmp_path / "marker").exists()

    @pytest.mark.parametrize("protocol", [2, 3, 4])
    def test_a_payload_of_any_protocol_in_an_archive_is_not_run(self, tmp_path: Path, protocol: int) -> None:
        torch.save(Payload(tmp_path / "marker"), tmp_path / "a.pt", pickle_protocol=protocol)
        assert refused(tmp_path / "a.pt").kind == "unsafe_pickle"
        assert not (tmp_path / "marker").exists()

    @pytest.mark.parametrize(
        "program",
        [
            b"\x80\x02cbuiltins\neval\nX\x04\0\0\0exit\x85R.",
            b"\x80\x02ctorch\nload\nX\x01\0\0\0x\x85R.",
            b"\x80\x02ctorch.hub\nload\nX\x01\0\0\0x\x85R.",
            b"\x80\x02csubprocess\nPopen\nX\x01\0\0\0x\x85R.",
            b"\x80\x02cnumpy.testing._private.utils\nrunstring\nX\x01\0\0\0x}\x86R.",
            b"\x80\x02ccommands\ngetoutput\nX\x01\0\0\0x\x85R.",
            b"\x80\x02ccopy_reg\n_reconstructor\n(c__builtin__\nobject\nc__builtin__\nobject\nNtR.",
            b"\x80\x02(isomewhere\nrun\n.",
            b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
            b"\x80\x02(iposix\nsystem\n.",
            b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x01x\x85R.",
        ],
    )
    @pytest.mark.parametrize("zipped", [True, False])
    def test_functions_that_no_weights_need(self, tmp_path: Path, program: bytes, zipped: bool) -> None:
        if zipped:
            with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
                archive.writestr("a/data.pkl", program)
                archive.writestr("a/version", "3")
        else:
            written(tmp_path, program, "a.pt")
        assert refused(tmp_path / "a.pt").kind == "unsafe_pickle"

    @pytest.mark.parametrize("zipped", [True, False])
    def test_no_unpickler_is_ever_asked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool) -> None:
        torch.save(GOOD, tmp_path / "good.pt", _use_new_zipfile_serialization=zipped)
        torch.save({"extra": Payload(tmp_path / "marker")}, tmp_path / "bad.pt", _use_new_zipfile_serialization=zipped)
        for name in ("torch.load", "pickle.load", "pickle.loads", "pickle.Unpickler", "pickle._Unpickler"):
            monkeypatch.setattr(name, lambda *_, **__: pytest.fail("something was unpickled"))
        read_all(open_checkpoint(str(tmp_path / "good.pt")))
        # Even where nothing is refused, a call is only a record of itself.
        monkeypatch.setattr(torch_zip, "_HARMLESS", re.compile(".*"))
        assert refused(tmp_path / "bad.pt").kind == "no_tensors"
        assert not (tmp_path / "marker").exists()

    @pytest.mark.parametrize("zipped", [True, False])
    def test_a_pickle_that_shuffles_its_names_is_not_run(self, tmp_path: Path, zipped: bool) -> None:
        marker = str(tmp_path / "marker").encode()
        # Two harmless names come last, but the ones put back on the stack are others.
        stack = b"\x8c\x05posix\x94\x8c\x05mkdir\x94\x8c\x0bcollections\x8c\x0bOrderedDict00h\0h\1\x93"
        program = b"\x80\x04" + stack + b"X" + struct.pack("<I", len(marker)) + marker + b"\x85R."
        pickle.loads(program)
        assert (tmp_path / "marker").is_dir()
        (tmp_path / "marker").rmdir()
        if zipped:
            with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
                archive.writestr("a/data.pkl", program)
        else:
            written(tmp_path, program, "a.pt")
        assert refused(tmp_path / "a.pt").facts["what"] == "posix.mkdir"
        assert not (tmp_path / "marker").exists()

    @pytest.mark.parametrize(
        "program",
        [
            b"\x80\x02" + b"(" * 50 + b"t" * 60 + b".",
            b"\x80\x02K\x01" + b"\x85" * 400_000 + b"}h\x00s.",
            b"\x80\x02}K\x01" + b"\x85" * 400_000 + b"K\x01s.",
            b"\x80\x02r\xff\xff\xff\xff.",
            b"\x80\x02Nr\xff\xff\xff\x7f.",
            b"\x80\x05\x96" + struct.pack("<Q", 1 << 50) + b".",
            b"\x80\x02\x8b" + struct.pack("<i", 1 << 30) + b".",
            b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N.",
            b"I" + b"9" * 100_000 + b"\n.",
            b"\x80\x02]h\x00a.",
            b"\x80\x02\x81.",
            b"\x80\x020000.",
        ],
    )
    def test_programs_that_only_do_harm(self, tmp_path: Path, program: bytes) -> None:
        before = peak_memory()
        with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
            archive.writestr("a/data.pkl", program)
        assert refused(tmp_path / "a.pt").kind in ("unreadable_archive", "no_tensors")
        assert peak_memory() - before < 200 * MEGABYTE

    def test_objects_of_other_libraries_are_named(self, tmp_path: Path) -> None:
        torch.save({"w": torch.ones(1), "args": random.Random(0)}, tmp_path / "a.pt")
        assert "random.Random" in str(refused(tmp_path / "a.pt"))

    def test_a_mapping_that_hides_its_methods(self, tmp_path: Path) -> None:
        saved = OrderedDict(GOOD)
        saved.itemz = saved.keyz = saved.valuez = 3
        torch.save(saved, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
        content = (tmp_path / "a.pt").read_bytes()
        for method in (b"items", b"keys", b"values"):
            content = content.replace(method[:-1] + b"z", method)
        model = open_checkpoint(str(written(tmp_path, content, "a.pt")))
        read_all(model)
        assert list(model.shapes) == list(GOOD)

    def test_a_tensor_that_hides_its_methods(self, tmp_path: Path) -> None:
        tensor = torch.ones(2, 2)
        tensor.numel = tensor.clone = tensor.element_size = 3
        torch.save({"w": tensor}, tmp_path / "a.pt")
        read_all(open_checkpoint(str(tmp_path / "a.pt")))

    def test_a_container_that_holds_itself(self, tmp_path: Path) -> None:
        saved: dict[str, object] = {"w": torch.ones(2)}
        saved |= {str(number): saved for number in range(100)}
        nested: list[object] = []
        for _ in range(200):
            nested = [nested, nested]
        torch.save(saved | {"model": saved, "nested": nested}, tmp_path / "a.pt")
        assert "w" in open_checkpoint(str(tmp_path / "a.pt")).shapes

    def test_a_view_that_would_fill_the_memory(self, tmp_path: Path) -> None:
        torch.save({"w": torch.ones(1).expand(10**6, 10**6)}, tmp_path / "a.pt")
        assert refused(tmp_path / "a.pt").kind == "unreadable_archive"

    @pytest.mark.parametrize("content", [{}, {"epoch": 3}, [], "text", {"optimizer": {"m": torch.ones(2, 2)}}])
    def test_a_file_without_tensors(self, tmp_path: Path, content: object) -> None:
        torch.save(content, tmp_path / "a.pt")
        assert refused(tmp_path / "a.pt").kind == "no_tensors"

    def test_two_tensors_of_one_name_and_long_names(self, tmp_path: Path) -> None:
        for saved in (
            {"a.b": torch.ones(2, 2), "a": {"b": torch.zeros(2, 2)}},
            {"x" * 1001: torch.ones(1)},
            {"\ud800": torch.ones(1)},
        ):
            torch.save(saved, tmp_path / "a.pt")
            assert refused(tmp_path / "a.pt").kind == "unreadable_archive"

    def test_too_long_a_program(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tools.formats.pickled.MAX_OPERATIONS", 1000)
        written(tmp_path, b"\x80\x02" + b"N" * 2000 + b".", "a.pt")
        assert refused(tmp_path / "a.pt").facts["why"] == "too_many_entries"

    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_nothing_is_printed(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        torch.save({"s": torch.eye(2).to_sparse_csr(), "w": torch.ones(1)}, tmp_path / "good.pt")
        torch.save(Payload(tmp_path / "marker"), tmp_path / "bad.pt")
        torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), tmp_path / "program.pt")
        capfd.readouterr()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            open_checkpoint(str(tmp_path / "good.pt"))
            refused(tmp_path / "bad.pt")
            read_all(open_checkpoint(str(tmp_path / "program.pt")))
        assert [str(warning.message) for warning in caught] == []
        assert capfd.readouterr() == ("", "")


class TestArchives:
    def repacked(self, tmp_path: Path, compression: int, extra: dict[str, bytes]) -> Path:
        torch.save(GOOD, tmp_path / "good.pt")
        path = tmp_path / "repacked.pt"
        with zipfile.ZipFile(tmp_path / "good.pt") as old, zipfile.ZipFile(path, "w", compression) as new:
            for name in old.namelist():
                new.writestr(name, old.read(name))
            for name, content in extra.items():
                new.writestr(name, content)
        return path

    @pytest.mark.parametrize("zipped", [True, False])
    def test_a_file_cut_anywhere(self, tmp_path: Path, zipped: bool) -> None:
        torch.save(GOOD, tmp_path / "good.pt", _use_new_zipfile_serialization=zipped)
        content = (tmp_path / "good.pt").read_bytes()
        for length in range(0, len(content), 37):
            error = refused(written(tmp_path, content[:length], "cut.pt"))
            assert error.kind in ("truncated", "unreadable_archive")
        assert refused(written(tmp_path, content[: len(content) - 100], "cut.pt")).kind == "truncated"

    def test_a_compressed_archive(self, tmp_path: Path) -> None:
        before = peak_memory()
        bomb = {"archive/data/9": bytes(200 * MEGABYTE)}
        path = self.repacked(tmp_path, zipfile.ZIP_DEFLATED, bomb)
        del bomb
        assert path.stat().st_size < MEGABYTE
        assert refused(path).facts["why"] == "compressed"
        assert peak_memory() - before < 400 * MEGABYTE

    def test_an_archive_with_two_pickles(self, tmp_path: Path) -> None:
        path = self.repacked(tmp_path, zipfile.ZIP_STORED, {"other/data.pkl": b"\x80\x02N."})
        assert refused(path).facts["why"] == "not_pytorch"

    def test_an_archive_of_something_else(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
            archive.writestr("word/document.xml", "<w/>")
        assert refused(tmp_path / "a.pt").facts["why"] == "not_pytorch"

    def test_a_directory_that_claims_to_be_huge(self, tmp_path: Path) -> None:
        content = bytearray(self.repacked(tmp_path, zipfile.ZIP_STORED, {}).read_bytes())
        end = content.rfind(b"PK\x05\x06")
        content[end + 12 : end + 16] = struct.pack("<I", 1 << 30)
        assert refused(written(tmp_path, bytes(content), "a.pt")).facts["why"] == "too_many_entries"

    @pytest.mark.parametrize("content", [b"hello", b"\x80", b"\x80\x02", bytes(512), b"PK\x03\x04", b"ustar" * 100])
    def test_what_is_no_pytorch_file(self, tmp_path: Path, content: bytes) -> None:
        assert refused(written(tmp_path, content, "model.bin")).kind in ("unreadable_archive", "truncated")

    def test_a_pointer_of_git_lfs(self, tmp_path: Path) -> None:
        path = written(tmp_path, b"version https://git-lfs.github.com/spec/v1\n", "pytorch_model.bin")
        assert refused(path).kind == "pointer_file"

    def test_storages_that_are_not_what_the_pickle_says(self, tmp_path: Path) -> None:
        torch.save(GOOD, tmp_path / "good.pt")
        content = (tmp_path / "good.pt").read_bytes()
        model = open_checkpoint(str(written(tmp_path, content, "a.pt")))
        note = content.index(b"data/0") - 30 - len("good/")
        assert content[note : note + 4] == b"PK\x03\x04"
        for place, change in ((note, b"XX"), (note + 8, b"\x08\0"), (note + 28, b"\xff\xff")):
            broken = content[:place] + change + content[place + 2 :]
            model = open_checkpoint(str(written(tmp_path, broken, "a.pt")))
            with pytest.raises(UserError) as caught:
                model.read("a")
            assert caught.value.kind in ("unreadable_archive", "truncated")
        torch.save(GOOD, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
        content = (tmp_path / "old.pt").read_bytes()
        first = content.index(struct.pack("<Q", 6) + bytes(4))
        broken = content[:first] + b"\7" + content[first + 1 :]
        assert refused(written(tmp_path, broken, "a.pt")).facts["why"] == "damaged"

    def test_a_storage_shorter_than_its_tensor(self, tmp_path: Path) -> None:
        torch.save(GOOD, tmp_path / "good.pt")
        path = tmp_path / "short.pt"
        with zipfile.ZipFile(tmp_path / "good.pt") as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                new.writestr(name, old.read(name)[:4] if name.endswith("data/0") else old.read(name))
        assert refused(path).facts["why"] == "damaged"


class TestPaths:
    @pytest.mark.parametrize(
        "shard",
        [
            "/etc/passwd",
            "../model.safetensors",
            "a/../../model.safetensors",
            "..",
            ".",
            "",
            "a//b.safetensors",
            "..\\model.safetensors",
            "C:\\model.safetensors",
            "a\0b.safetensors",
            "\u202e/../x",
            "x" * 5000,
        ],
    )
    @pytest.mark.parametrize("index", ["model.safetensors.index.json", "pytorch_model.bin.index.json"])
    def test_an_index_may_not_lead_out_of_the_folder(self, tmp_path: Path, shard: str, index: str) -> None:
        written(tmp_path, save(GOOD))
        (tmp_path / "inner").mkdir()
        (tmp_path / "inner" / index).write_text(json.dumps({"weight_map": {"w": shard}}))
        assert refused(tmp_path / "inner").kind == "unsafe_path"

    @pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "config.json", "tokenizer.json"])
    def test_a_link_may_not_lead_out_of_the_folder(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "inner").mkdir()
        written(tmp_path, save(GOOD), "outside")
        (tmp_path / "inner" / name).symlink_to(tmp_path / "outside")
        assert refused(tmp_path / "inner").kind == "unsafe_path"

    def test_a_linked_folder_in_an_index_may_not_lead_out(self, tmp_path: Path) -> None:
        (tmp_path / "inner").mkdir()
        written(tmp_path, save(GOOD))
        (tmp_path / "inner" / "sub").symlink_to(tmp_path)
        index = {"weight_map": {"a": "sub/model.safetensors"}}
        (tmp_path / "inner" / "model.safetensors.index.json").write_text(json.dumps(index))
        assert refused(tmp_path / "inner").kind == "unsafe_path"

    def test_a_link_within_the_folder_and_a_link_that_the_user_names(self, tmp_path: Path) -> None:
        (tmp_path / "inner").mkdir()
        written(tmp_path / "inner", save(GOOD), "real")
        (tmp_path / "inner" / "model.safetensors").symlink_to("real")
        (tmp_path / "named").symlink_to("inner")
        (tmp_path / "named.safetensors").symlink_to("inner/real")
        for name in ("inner", "named", "named.safetensors"):
            read_all(open_checkpoint(str(tmp_path / name)))

    def test_only_the_blobs_of_the_same_model_in_the_cache(self, tmp_path: Path) -> None:
        snapshot = tmp_path / "models--a--b" / "snapshots" / "1"
        snapshot.mkdir(parents=True)
        for owner in ("models--a--b", "models--c--d"):
            (tmp_path / owner / "blobs").mkdir(parents=True)
            written(tmp_path / owner / "blobs", save(GOOD), "x")
        link = snapshot / "model.safetensors"
        for target, safe in (("a--b/blobs/x", True), ("c--d/blobs/x", False), ("a--b/x", False)):
            written(tmp_path / "models--a--b", save(GOOD), "x")
            link.symlink_to(f"../../../models--{target}")
            if safe:
                read_all(open_checkpoint(str(snapshot)))
            else:
                assert refused(snapshot).kind == "unsafe_path"
            link.unlink()

    def test_a_cache_whose_blobs_are_elsewhere(self, tmp_path: Path) -> None:
        snapshot = tmp_path / "models--a--b" / "snapshots" / "1"
        snapshot.mkdir(parents=True)
        (tmp_path / "elsewhere").mkdir()
        written(tmp_path / "elsewhere", save(GOOD), "x")
        (tmp_path / "models--a--b" / "blobs").symlink_to(tmp_path / "elsewhere")
        (snapshot / "model.safetensors").symlink_to("../../blobs/x")
        assert refused(snapshot).kind == "unsafe_path"

    def test_links_to_nothing_and_to_themselves(self, tmp_path: Path) -> None:
        link = tmp_path / "model.safetensors"
        link.symlink_to("nowhere")
        assert refused(tmp_path).kind == "missing_shard"
        assert refused(link).kind == "not_found"
        link.unlink()
        link.symlink_to("model.safetensors")
        assert refused(tmp_path).kind == "not_a_file"
        assert refused(link).kind in ("not_a_file", "not_readable")

    @pytest.mark.parametrize(
        "name", ["model.safetensors", "a.safetensors", "pytorch_model.bin", "config.json", "README.md"]
    )
    @pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
    def test_pipes_and_folders_under_the_name_of_a_file(self, tmp_path: Path, name: str, make: object) -> None:
        assert callable(make)
        make(tmp_path / name)
        assert refused(tmp_path).kind == "not_a_file"
        if make is os.mkfifo and name != "README.md" and not name.endswith(".json"):
            assert refused(tmp_path / name).kind == "not_a_file"

    @pytest.mark.parametrize("device", ["/dev/zero", "/dev/stdin"])
    def test_devices(self, tmp_path: Path, device: str) -> None:
        assert refused(device).kind == "not_a_file"
        (tmp_path / "model.safetensors").symlink_to(device)
        assert refused(tmp_path / "model.safetensors").kind == "not_a_file"
        assert refused(tmp_path).kind == "unsafe_path"

    def test_a_pipe_put_in_the_place_of_a_file(self, tmp_path: Path) -> None:
        path = written(tmp_path, save(GOOD))
        model = open_checkpoint(str(path))
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(UserError) as caught:
            model.read("a")
        assert caught.value.kind == "changed_file"
        path.unlink()
        with pytest.raises(UserError) as caught:
            model.read("a")
        assert caught.value.kind == "not_readable"

    @pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
    def test_a_file_without_permission(self, tmp_path: Path) -> None:
        written(tmp_path, save(GOOD)).chmod(0)
        assert refused(tmp_path).kind == "not_readable"


class TestSideFiles:
    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (b"", "not_json"),
            (b"{", "not_json"),
            (b"\xff\xfe{}", "not_json"),
            (b'{"a": "\\udc00"}', "not_json"),
            (b"[1, 2]", "not_object"),
            (b"[" * 1_000_000, "nested_too_deep"),
            (b"[" + b"0," * 1_100_000 + b"0]", "too_many_entries"),
        ],
    )
    def test_a_config_that_cannot_be_used(self, tmp_path: Path, content: bytes, why: str) -> None:
        written(tmp_path, save(GOOD))
        written(tmp_path, content, "config.json")
        error = refused(tmp_path)
        assert (error.kind, error.facts["why"]) == ("bad_config", why)

    def test_a_config_with_the_oddities_of_real_ones(self, tmp_path: Path) -> None:
        written(
            tmp_path,
            b'\xef\xbb\xbf{"a": 1, "a": 2, "b": NaN, "c": -Infinity, "d": "\\ud83d\\ude00"}',
            "config.json",
        )
        config = open_checkpoint(str(tmp_path)).config
        assert (config["a"], config["c"], config["d"]) == (2, float("-inf"), "\U0001f600")

    @pytest.mark.parametrize(
        "index",
        [
            {},
            {"weight_map": []},
            {"weight_map": {"w": 1}},
            {"weight_map": {"w": None}},
            {"weight_map": {"w" * 1001: "a.safetensors"}},
            {"weight_map": dict.fromkeys(map(str, range(200_001)), "a.safetensors")},
        ],
    )
    def test_an_index_that_cannot_be_used(self, tmp_path: Path, index: object) -> None:
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
        assert refused(tmp_path).kind == "bad_config"

    @pytest.mark.parametrize("total", [-1, True, "9", 1.5, None, 10**30])
    def test_an_absurd_sum_of_bytes_is_not_repeated(self, tmp_path: Path, total: object) -> None:
        index = {"metadata": {"total_size": total}, "weight_map": {"w": "a.safetensors"}}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
        assert open_checkpoint(str(tmp_path)).declared_bytes is None

    def test_side_files_have_a_size_limit(self, tmp_path: Path) -> None:
        for name, size in (("config.json", 8_000_001), ("tokenizer.json", 64_000_001)):
            written(tmp_path, b"{}", name)
            os.truncate(tmp_path / name, size)
        error = refused(tmp_path)
        assert (error.kind, error.facts["limit"]) == ("too_large_file", "8 MB")
        (tmp_path / "config.json").unlink()
        model = open_checkpoint(str(tmp_path))
        with pytest.raises(UserError) as caught:
            model.side_file("tokenizer.json")
        assert (caught.value.kind, caught.value.facts["limit"]) == ("too_large_file", "64 MB")


@st.composite
def mutated(draw: st.DrawFn, content: bytes, first: int) -> bytes:
    """Bytes of a good file with some changed, put in, or cut out; mostly among its first ones."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, min(first, len(data)) if draw(st.booleans()) else len(data)))
        change = draw(st.sampled_from(["set", "insert", "cut", "end", "digit"]))
        new = draw(st.binary(min_size=1, max_size=8))
        if change == "set":
            data[place : place + len(new)] = new
        elif change == "insert":
            data[place:place] = new
        elif change == "cut":
            del data[place : place + draw(st.integers(1, 40))]
        elif change == "end":
            del data[place:]
        else:
            data[place : place + 1] = draw(st.sampled_from([b"9", b"-", b"0", b"]", b"[", b'"', b"e", b"{", b"\xf4"]))
    return bytes(data)


def torch_bytes(zipped: bool) -> bytes:
    stream = io.BytesIO()
    torch.save({"state_dict": GOOD, "epoch": 3}, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-2, 40),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["F32", "BF16", "F4", "U8", "BOOL", "C64", "F8_E4M3"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)
entries = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.one_of(values, st.sampled_from(["F32", "U8", "F4", "BOOL"])),
        "shape": st.one_of(values, st.lists(st.integers(0, 5), max_size=3)),
        "data_offsets": st.one_of(values, st.lists(st.integers(0, 32), min_size=2, max_size=2)),
        "more": values,
    },
)
fuzzing = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def opens_or_refuses(path: Path) -> None:
    before = peak_memory()
    try:
        with open_checkpoint(str(path)) as model:
            read_all(model)
    except UserError as error:
        assert str(error).isprintable()
    assert peak_memory() - before < 200 * MEGABYTE


class TestChance:
    @fuzzing
    @given(mutated(save(GOOD), first=200))
    def test_mutated_safetensors(self, tmp_path: Path, content: bytes) -> None:
        opens_or_refuses(written(tmp_path, content, "a.safetensors"))

    @fuzzing
    @given(
        st.one_of(values, st.dictionaries(st.text(max_size=4), st.one_of(entries, values), max_size=3)),
        st.binary(max_size=40),
    )
    def test_invented_headers(self, tmp_path: Path, header: object, data: bytes) -> None:
        opens_or_refuses(written(tmp_path, raw(header, data), "a.safetensors"))

    @fuzzing
    @given(mutated(torch_bytes(zipped=True), first=800))
    def test_mutated_archives(self, tmp_path: Path, content: bytes) -> None:
        opens_or_refuses(written(tmp_path, content, "a.pt"))

    @fuzzing
    @given(mutated(torch_bytes(zipped=False), first=700))
    def test_mutated_older_files(self, tmp_path: Path, content: bytes) -> None:
        opens_or_refuses(written(tmp_path, content, "a.pt"))

    @fuzzing
    @given(values)
    def test_invented_configurations_and_indexes(self, tmp_path: Path, value: object) -> None:
        for name, content in (
            ("config.json", value),
            ("model.safetensors.index.json", {"weight_map": value, "metadata": value}),
        ):
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            (folder / name).write_text(json.dumps(content))
            opens_or_refuses(folder)


def test_opening_safetensors_does_not_load_pytorch(tmp_path: Path) -> None:
    written(tmp_path, save(GOOD))
    program = "import sys; from tools.sources import open_checkpoint; open_checkpoint(sys.argv[1])"
    program += "; print('torch' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
