"""Opening honest models: whatever the layout, the same tensors come back, read lazily and counted."""

import hashlib
import json
import os
import shutil
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tools.checkpoint import Checkpoint
from tools.errors import Cancelled, UserError
from tools.sources import open_checkpoint
from tools.sources.folder import LocalFile
from tools.sources.model_files import MOST_CODE_FILES

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "real"
needs_real_files = pytest.mark.skipif(not REAL.is_dir(), reason="the real checkpoints of ../shared/real are absent")

TENSORS = {
    "embed.weight": torch.arange(20.0).reshape(5, 4),
    "layers.0.up.weight": torch.linspace(-1, 1, 24).reshape(6, 4).to(torch.bfloat16),
    "layers.0.down.weight": torch.arange(24).reshape(4, 6).to(torch.float16),
    "mask": torch.tensor([True, False, True]),
    "scale": torch.tensor(0.5),
    "nothing": torch.empty(0, 3),
}
TOTAL = sum(tensor.numel() * tensor.element_size() for tensor in TENSORS.values())


def same(model: Checkpoint, tensors: dict[str, torch.Tensor]) -> None:
    assert set(model.shapes) == set(tensors)
    for name, tensor in tensors.items():
        found = model.read(name)
        assert model.shapes[name] == tuple(tensor.shape) == tuple(found.shape)
        assert model.dtypes[name] == str(tensor.dtype).removeprefix("torch.")
        assert found.dtype is tensor.dtype
        assert torch.equal(found, tensor)


def kind_of(name: object) -> str:
    with pytest.raises(UserError) as caught:
        open_checkpoint(str(name))
    assert caught.value.say("en") != caught.value.say("zh")
    return caught.value.kind


def save_shards(folder: Path, index: str, files: dict[str, list[str]]) -> None:
    """Save TENSORS spread over the files, with their index."""
    for file, names in files.items():
        part = {name: TENSORS[name] for name in names}
        if file.endswith(".safetensors"):
            save_file(part, folder / file)
        else:
            torch.save(part, folder / file)
    weight_map = {name: file for file, names in files.items() for name in names}
    text = json.dumps({"metadata": {"total_size": 12345}, "weight_map": weight_map})
    (folder / index).write_text(text)


NAMES = list(TENSORS)


class TestLayouts:
    def test_a_folder_with_one_safetensors_file(self, tmp_path: Path) -> None:
        save_file(TENSORS, tmp_path / "model.safetensors")
        (tmp_path / "config.json").write_text('{"model_type": "pico", "rope": NaN, "rope": Infinity}')
        (tmp_path / "tokenizer.json").write_text("{}")
        with open_checkpoint(str(tmp_path)) as model:
            same(model, TENSORS)
            assert model.format == "safetensors"
            assert model.ref.name == str(tmp_path)
            assert model.ref.revision is None
            assert model.config == {"model_type": "pico", "rope": float("inf")}
            assert model.parameters == sum(tensor.numel() for tensor in TENSORS.values())
            assert model.declared_names == tuple(model.shapes)
            assert model.declared_bytes == TOTAL
            assert model.bytes_total == (tmp_path / "model.safetensors").stat().st_size
            assert model.side_file("tokenizer.json") == b"{}"
            assert model.side_file("merges.txt") is None
            assert model.side_file("../config.json") is None

    def test_code_beside_the_weights_is_listed_up_to_a_limit_and_never_run(self, tmp_path: Path) -> None:
        save_file(TENSORS, tmp_path / "model.safetensors")
        for number in range(MOST_CODE_FILES + 3):
            (tmp_path / f"modeling_{number:02d}.py").write_text("raise SystemExit")
        (tmp_path / ".hidden.py").write_text("")
        (tmp_path / "a_folder.py").mkdir()
        (tmp_path / "a_link.py").symlink_to("/")
        with open_checkpoint(str(tmp_path)) as model:
            assert [name for name in model.side_files if name.endswith(".py")] == [
                f"modeling_{number:02d}.py" for number in range(MOST_CODE_FILES - 2)
            ]
            assert model.side_file("modeling_00.py") == b"raise SystemExit"

    @pytest.mark.parametrize("name", ["weights.safetensors", "ADAPTER.SafeTensors"])
    def test_a_folder_with_a_file_of_an_odd_name_and_no_config(self, tmp_path: Path, name: str) -> None:
        save_file(TENSORS, tmp_path / name)
        (tmp_path / "._model.safetensors").write_bytes(b"left by another system")
        model = open_checkpoint(str(tmp_path))
        same(model, TENSORS)
        assert model.config == {}

    def test_shards_with_an_index(self, tmp_path: Path) -> None:
        (tmp_path / "parts").mkdir()
        files = {"parts/b.safetensors": NAMES[:2], "a.safetensors": NAMES[2:]}
        save_shards(tmp_path, "model.safetensors.index.json", files)
        model = open_checkpoint(str(tmp_path))
        same(model, TENSORS)
        assert model.declared_bytes == 12345
        assert set(model.files) == {"a.safetensors", "parts/b.safetensors", "model.safetensors.index.json"}
        assert model.bytes_total == sum((tmp_path / file).stat().st_size for file in files)

    def test_numbered_shards_without_an_index(self, tmp_path: Path) -> None:
        save_file({name: TENSORS[name] for name in NAMES[:2]}, tmp_path / "model-00001-of-00002.safetensors")
        assert kind_of(tmp_path) == "missing_shard"
        save_file({name: TENSORS[name] for name in NAMES[2:]}, tmp_path / "model-00002-of-00002.safetensors")
        same(open_checkpoint(str(tmp_path)), TENSORS)

    def test_pytorch_shards_with_and_without_an_index(self, tmp_path: Path) -> None:
        files = {
            "pytorch_model-00001-of-00002.bin": NAMES[:2],
            "pytorch_model-00002-of-00002.bin": NAMES[2:],
        }
        save_shards(tmp_path, "pytorch_model.bin.index.json", files)
        model = open_checkpoint(str(tmp_path))
        same(model, TENSORS)
        assert (model.format, model.declared_bytes) == ("torch", 12345)
        (tmp_path / "pytorch_model.bin.index.json").unlink()
        same(open_checkpoint(str(tmp_path)), TENSORS)
        torch.save({"another": torch.ones(1)}, tmp_path / "other.pt")
        same(open_checkpoint(str(tmp_path)), TENSORS)
        (tmp_path / "pytorch_model-00001-of-00002.bin").unlink()
        assert kind_of(tmp_path) == "missing_shard"

    @pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pth", "model.pt", "model.th", "best.ckpt"])
    def test_a_folder_with_a_pytorch_file(self, tmp_path: Path, name: str) -> None:
        torch.save(TENSORS, tmp_path / name)
        torch.save({"step": 1}, tmp_path / "optimizer.pt")
        (tmp_path / "model_config.json").write_text('{"dim": 4}')
        model = open_checkpoint(str(tmp_path))
        same(model, TENSORS)
        assert model.format == "torch"
        assert model.config == {"dim": 4}

    def test_safetensors_are_preferred(self, tmp_path: Path) -> None:
        save_file(TENSORS, tmp_path / "model.safetensors")
        (tmp_path / "pytorch_model.bin").write_bytes(b"never looked at")
        same(open_checkpoint(str(tmp_path)), TENSORS)

    def test_one_file_beats_the_index_of_absent_shards(self, tmp_path: Path) -> None:
        save_shards(tmp_path, "model.safetensors.index.json", {"part.safetensors": NAMES})
        (tmp_path / "part.safetensors").rename(tmp_path / "model.safetensors")
        model = open_checkpoint(str(tmp_path))
        same(model, TENSORS)
        assert model.declared_bytes == TOTAL

    @pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".bin", ".pt", ".th", ".ckpt"])
    def test_a_lone_file_with_its_config(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"my model{suffix}"
        if suffix == ".safetensors":
            save_file(TENSORS, path)
        else:
            torch.save(TENSORS, path)
        (tmp_path / "config.json").write_text('{"dim": 4}')
        (tmp_path / "training_args.bin").write_bytes(b"no weights")
        model = open_checkpoint(f"  {path} ")
        same(model, TENSORS)
        assert model.config == {"dim": 4}
        assert set(model.files) == {path.name, "config.json"}

    def test_a_file_among_others_has_no_config(self, tmp_path: Path) -> None:
        save_file(TENSORS, tmp_path / "one.safetensors")
        torch.save(TENSORS, tmp_path / "two.pth")
        (tmp_path / "config.json").write_text('{"dim": 4}')
        for name in ("one.safetensors", "two.pth"):
            model = open_checkpoint(str(tmp_path / name))
            same(model, TENSORS)
            assert model.config == {}
            assert set(model.files) == {name}

    def test_an_index_decides_between_two_copies_of_a_tensor(self, tmp_path: Path) -> None:
        for name, value in (("a", 1.0), ("b", 2.0), ("c", 3.0)):
            save_file({"w": torch.full((2,), value), name: torch.ones(1)}, tmp_path / f"{name}.safetensors")
        weight_map = {"w": "b.safetensors", "a": "a.safetensors", "b": "b.safetensors", "c": "c.safetensors"}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
        assert open_checkpoint(str(tmp_path)).read("w").tolist() == [2.0, 2.0]

    def test_the_cache_of_hugging_face(self, tmp_path: Path) -> None:
        cache, commit = tmp_path / "models--owner--pico", "0123456789abcdef" * 2 + "01234567"
        snapshot = cache / "snapshots" / commit
        snapshot.mkdir(parents=True)
        (cache / "blobs").mkdir()
        save_file(TENSORS, cache / "blobs" / "abc")
        (cache / "blobs" / "def").write_text('{"dim": 4}')
        (snapshot / "model.safetensors").symlink_to("../../blobs/abc")
        (snapshot / "config.json").symlink_to("../../blobs/def")
        for name in (snapshot, snapshot / "model.safetensors"):
            model = open_checkpoint(str(name))
            same(model, TENSORS)
            assert model.ref.revision == commit
            assert model.config == {"dim": 4}
            assert "model.safetensors" in model.files


class TestWithoutWeights:
    def test_an_index_declares_names_and_bytes(self, tmp_path: Path) -> None:
        save_shards(tmp_path, "model.safetensors.index.json", {"only.safetensors": NAMES})
        (tmp_path / "only.safetensors").unlink()
        (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "Pico"}')
        model = open_checkpoint(str(tmp_path))
        assert not model.has_weights
        assert model.format is None
        assert model.parameters is None
        assert (model.shapes, model.dtypes, model.bytes_total) == ({}, {}, 0)
        assert model.declared_names == tuple(NAMES)
        assert model.declared_bytes == 12345
        assert set(model.files) == {"model.safetensors.index.json", "tokenizer_config.json"}
        for read in (lambda: model.read("scale"), lambda: model.read_rows("scale", 0, 1)):
            with pytest.raises(UserError) as caught:
                read()
            assert caught.value.kind == "no_weights"

    @pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "vocab.json"])
    def test_a_page_of_settings_is_enough(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text('{"a": 1}')
        model = open_checkpoint(str(tmp_path))
        assert (model.has_weights, model.declared_names, model.declared_bytes) == (False, (), None)
        assert model.config == ({"a": 1} if name == "config.json" else {})

    def test_a_partial_download_is_named(self, tmp_path: Path) -> None:
        files = {f"{name}.safetensors": [name] for name in NAMES[:3]}
        save_shards(tmp_path, "model.safetensors.index.json", files)
        (tmp_path / f"{NAMES[1]}.safetensors").unlink()
        with pytest.raises(UserError) as caught:
            open_checkpoint(str(tmp_path))
        assert caught.value.kind == "missing_shard"
        message = caught.value.say()[0]
        assert "1 of its 3" in message
        assert f"{NAMES[1]}.safetensors" in message


class TestNames:
    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("meta-llama/Llama-3.1-8B", "hub_offline"),
            ("owner/name@main", "hub_offline"),
            ("https://huggingface.co/owner/name", "hub_offline"),
            ("owner/name@main/folder", "hub_offline"),
            ("https://huggingface.co/datasets/owner/name", "hub_other_page"),
            ("https://huggingface.co/spaces/owner/name", "hub_other_page"),
            ("https://hf.co/owner", "hub_other_page"),
            ("https://example.org/owner/name", "unknown_address"),
            ("file:///etc/passwd", "unknown_address"),
            ("owner/name/../other", "not_found"),
            ("nowhere", "not_found"),
            ("owner/model.safetensors", "not_found"),
            ("./owner/name", "not_found"),
            ("/no/such/folder", "not_found"),
            ("", "not_found"),
            ("a\0b", "not_found"),
            ("x" * 100_000, "not_found"),
            ("~nobody-of-this-name/model", "not_found"),
        ],
    )
    def test_what_is_no_local_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str) -> None:
        monkeypatch.chdir(tmp_path)
        assert kind_of(name) == kind

    def test_a_mistyped_local_folder_is_no_hub_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "exhibits").mkdir()
        assert kind_of("exhibits/mistyped") == "not_found"

    def test_folders_without_a_model(self, tmp_path: Path) -> None:
        assert kind_of(tmp_path) == "empty_folder"
        (tmp_path / "README.md").write_text("A model card alone is no model.")
        (tmp_path / "more").mkdir()
        assert kind_of(tmp_path) == "no_model_here"

    def test_a_file_of_another_format(self, tmp_path: Path) -> None:
        (tmp_path / "model.h5").write_bytes(b"HDF")
        assert kind_of(tmp_path / "model.h5") == "unknown_format"
        assert kind_of(tmp_path) == "no_model_here"

    def test_a_relative_path_and_a_home_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "pico").mkdir()
        save_file(TENSORS, tmp_path / "pico" / "model.safetensors")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path))
        for name in ("pico", "./pico/", "~/pico", "pico/model.safetensors"):
            same(open_checkpoint(name), TENSORS)


class TestStop:
    def test_a_stop_ends_a_read(self, tmp_path: Path) -> None:
        save_file(TENSORS, tmp_path / "model.safetensors")
        pressed = False
        model = open_checkpoint(str(tmp_path), stop=lambda: pressed)
        name = next(iter(TENSORS))
        assert torch.equal(model.read(name), TENSORS[name])
        pressed = True
        with pytest.raises(Cancelled):
            model.read(name)
        with pytest.raises(Cancelled):
            _ = model.files

    def test_a_stop_while_opening(self, tmp_path: Path) -> None:
        torch.save(TENSORS, tmp_path / "model.pth")
        with pytest.raises(Cancelled):
            open_checkpoint(str(tmp_path), stop=lambda: True)


class TestReading:
    def test_what_is_expected_reads_as_before(self, path: Path) -> None:
        model = open_checkpoint(str(path))
        model.expect([(name, None, None) for name in model.shapes])
        model.expect([(name, 0, 1) for name, shape in model.shapes.items() if shape])
        same(model, TENSORS)

    @pytest.fixture(params=["safetensors", "torch", "torch_legacy"])
    def path(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        if request.param == "safetensors":
            save_file(TENSORS, tmp_path / "model.safetensors")
        else:
            zipped = request.param == "torch"
            torch.save(TENSORS, tmp_path / "model.pth", _use_new_zipfile_serialization=zipped)
        return tmp_path

    def test_only_what_is_read_is_counted(self, path: Path) -> None:
        model = open_checkpoint(str(path))
        assert model.bytes_read == 0
        model.read("embed.weight")
        assert model.bytes_read == 5 * 4 * 4
        rows = model.read_rows("embed.weight", 1, 3)
        assert torch.equal(rows, TENSORS["embed.weight"][1:3])
        assert model.bytes_read == 5 * 4 * 4

    def test_what_is_read_again_is_not_new(self, path: Path) -> None:
        model = open_checkpoint(str(path))
        model.read_rows("embed.weight", 1, 3)
        assert model.bytes_read == 2 * 4 * 4
        model.read("embed.weight")
        model.read("embed.weight")
        assert model.bytes_read == 5 * 4 * 4

    @pytest.mark.parametrize(("start", "stop"), [(0, 5), (4, 99), (2, 2), (3, 1), (99, 100), (0, 0), (-2, 5)])
    def test_rows_are_a_slice(self, path: Path, start: int, stop: int) -> None:
        model = open_checkpoint(str(path))
        rows = model.read_rows("embed.weight", start, stop)
        assert torch.equal(rows, TENSORS["embed.weight"][start:stop])
        assert model.bytes_read == rows.numel() * 4

    def test_rows_of_odd_tensors(self, path: Path) -> None:
        model = open_checkpoint(str(path))
        assert model.read_rows("nothing", 0, 1).shape == (0, 3)
        assert model.read_rows("mask", 1, 3).tolist() == [False, True]
        with pytest.raises(ValueError, match="no rows"):
            model.read_rows("scale", 0, 1)
        with pytest.raises(KeyError):
            model.read("no such tensor")
        with pytest.raises(KeyError):
            model.read_rows("no such tensor", 0, 1)

    def test_a_tensor_may_be_written_to_without_changing_the_file(self, path: Path) -> None:
        before = {file: file.read_bytes() for file in path.iterdir()}
        model = open_checkpoint(str(path))
        model.read("embed.weight").fill_(-1)
        model.read_rows("embed.weight", 0, 2).fill_(-1)
        same(model, TENSORS)
        model.close()
        assert {file: file.read_bytes() for file in path.iterdir()} == before

    def test_files_are_hashed_when_asked_and_only_once(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (path / "config.json").write_text("{}")
        (path / "merges.txt").write_text("")
        hashed = []
        sha256 = hashlib.sha256
        monkeypatch.setattr("hashlib.sha256", lambda *data: hashed.append(data) or sha256(*data))
        model = open_checkpoint(str(path))
        assert hashed == []
        expected = {file.name: sha256(file.read_bytes()).hexdigest() for file in path.iterdir()}
        del expected["merges.txt"]
        assert model.files == model.files == expected
        assert len(hashed) == len(expected)

    def test_a_file_too_large_to_hash(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tools.sources.folder.HASH_BYTES", 10)
        assert set(open_checkpoint(str(path)).files.values()) == {None}

    def test_a_file_that_changes_is_noticed(self, path: Path) -> None:
        model = open_checkpoint(str(path))
        file = next(path.iterdir())
        os.utime(file, (1, 1))
        with pytest.raises(UserError) as caught:
            _ = model.files
        assert caught.value.kind == "changed_file"


class TestSafetensorsTypes:
    def test_every_type_that_pytorch_knows(self, tmp_path: Path) -> None:
        whole = "bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 "
        broken = "float16 bfloat16 float32 float64 complex64 "
        narrow = "float8_e4m3fn float8_e5m2 float8_e8m0fnu float8_e4m3fnuz float8_e5m2fnuz"
        tensors = {name: torch.ones(2, 3).to(getattr(torch, name)) for name in (whole + broken + narrow).split()}
        save_file(tensors, tmp_path / "model.safetensors")
        model = open_checkpoint(str(tmp_path))
        assert set(model.dtypes.values()) == set(tensors)
        for name, tensor in tensors.items():
            assert torch.equal(model.read(name).view(torch.uint8), tensor.view(torch.uint8))
            assert torch.equal(model.read_rows(name, 1, 2).view(torch.uint8), tensor[1:2].view(torch.uint8))

    @pytest.mark.parametrize(("dtype", "size"), [("F4", 4), ("F6_E2M3", 6), ("F6_E3M2", 6), ("NEW_9", 5)])
    def test_a_type_that_pytorch_does_not_know_is_listed(self, tmp_path: Path, dtype: str, size: int) -> None:
        header = {"w": {"dtype": dtype, "shape": [8], "data_offsets": [0, size]}}
        data = json.dumps(header).encode()
        (tmp_path / "w.safetensors").write_bytes(len(data).to_bytes(8, "little") + data + bytes(size))
        model = open_checkpoint(str(tmp_path))
        assert model.shapes == {"w": (8,)}
        assert model.dtypes == {"w": dtype.lower()}
        for read in (lambda: model.read("w"), lambda: model.read_rows("w", 0, 1)):
            with pytest.raises(UserError) as caught:
                read()
            assert caught.value.kind == "unknown_tensor_type"
            assert dtype.lower() in caught.value.say("zh")[0]


class TestPyTorchNesting:
    @pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "params", "net", "module", "weights"])
    @pytest.mark.parametrize("zipped", [True, False])
    def test_a_wrapped_state_dict_is_found(self, tmp_path: Path, key: str, zipped: bool) -> None:
        saved = {
            "epoch": 3,
            "loss": torch.tensor(0.1),
            "optimizer": {"state": {0: {"exp_avg": torch.ones(5, 4)}}},
            key: TENSORS,
        }
        torch.save(saved, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
        same(open_checkpoint(str(tmp_path / "a.pth")), TENSORS)

    def test_wrappers_in_wrappers_and_common_prefixes(self, tmp_path: Path) -> None:
        prefixed = {f"module.{name}": tensor for name, tensor in TENSORS.items()}
        torch.save({"model": {"state_dict": prefixed}, "args": {"lr": 1e-3}}, tmp_path / "a.pth")
        same(open_checkpoint(str(tmp_path / "a.pth")), prefixed)

    def test_parts_are_joined_by_dots(self, tmp_path: Path) -> None:
        saved = {
            "G": {"w": torch.ones(2, 2)},
            "D": {"blocks": [torch.zeros(3)]},
            "optimizer": {"m": torch.ones(1)},
        }
        torch.save(saved, tmp_path / "a.pth")
        assert list(open_checkpoint(str(tmp_path / "a.pth")).shapes) == ["G.w", "D.blocks.0"]

    def test_a_layer_called_model_is_not_taken_for_a_wrapper(self, tmp_path: Path) -> None:
        saved = {"model": {"w": torch.ones(2, 2)}, "lm_head": torch.ones(3, 2)}
        torch.save(saved, tmp_path / "a.pth")
        assert list(open_checkpoint(str(tmp_path / "a.pth")).shapes) == ["model.w", "lm_head"]

    def test_parameters_views_and_shared_storage(self, tmp_path: Path) -> None:
        weight = torch.arange(12.0).reshape(3, 4)
        saved = OrderedDict(
            a=torch.nn.Parameter(weight),
            tied=weight,
            turned=weight.t(),
            wide=weight[:1].expand(3, 4),
            half=weight[1:],
        )
        torch.save(saved, tmp_path / "a.pth")
        model = open_checkpoint(str(tmp_path / "a.pth"))
        same(model, {name: tensor.detach() for name, tensor in saved.items()})
        assert model.read("turned").is_contiguous()
        assert not model.read("a").requires_grad

    @pytest.mark.parametrize("zipped", [True, False])
    def test_rows_cost_their_bytes_and_the_archive_is_never_read_whole(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
    ) -> None:
        tensors = {name: torch.randn(4000, 256) for name in "abcd"}
        torch.save(tensors, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
        reads: list[int] = []
        read = LocalFile.read
        monkeypatch.setattr(
            LocalFile, "read", lambda self, start, stop: reads.append(stop - start) or read(self, start, stop)
        )
        model = open_checkpoint(str(tmp_path / "a.pt"))
        assert sum(reads) < (200_000 if zipped else 2_000_000)
        reads.clear()
        assert torch.equal(model.read_rows("c", 1000, 1010), tensors["c"][1000:1010])
        assert sum(reads) <= 10 * 256 * 4 + 30
        assert model.bytes_read == 10 * 256 * 4

    def test_a_bare_tensor(self, tmp_path: Path) -> None:
        torch.save(torch.ones(2), tmp_path / "a.pt")
        same(open_checkpoint(str(tmp_path / "a.pt")), {"tensor": torch.ones(2)})

    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_sparse_and_quantised_tensors_are_listed(self, tmp_path: Path) -> None:
        quantised = torch.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.qint8)
        saved = {"s": torch.eye(3).to_sparse(), "q": quantised, "w": torch.ones(2)}
        torch.save(saved, tmp_path / "a.pt")
        model = open_checkpoint(str(tmp_path / "a.pt"))
        assert model.shapes == {"s": (3, 3), "q": (2, 2), "w": (2,)}
        for name in ("s", "q"):
            for read in (model.read, lambda name: model.read_rows(name, 0, 1)):
                with pytest.raises(UserError) as caught:
                    read(name)
                assert caught.value.kind == "unknown_tensor_type"

    def test_a_file_without_check_sums(self, tmp_path: Path) -> None:
        torch.serialization.set_crc32_options(False)
        try:
            torch.save(TENSORS, tmp_path / "a.pth")
        finally:
            torch.serialization.set_crc32_options(True)
        same(open_checkpoint(str(tmp_path / "a.pth")), TENSORS)


@needs_real_files
class TestRealFiles:
    @pytest.mark.parametrize("path", sorted(REAL.glob("**/*.safetensors")), ids=lambda path: path.name)
    def test_safetensors_agree_with_their_own_library(self, path: Path) -> None:
        same(open_checkpoint(str(path)), load_file(path))

    @pytest.mark.parametrize("path", [*REAL.glob("**/*.pt"), *REAL.glob("**/*.*th")], ids=lambda path: path.name)
    def test_pytorch_files_agree_with_pytorch(self, path: Path) -> None:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        model = open_checkpoint(str(path))
        same(model, dict(loaded.get("state_dict", loaded)))
        assert model.bytes_read == model.declared_bytes

    @pytest.mark.parametrize("name", ["llama3v", "minicpm-llama3-v-2_5"])
    def test_a_public_case_without_its_weights(self, name: str) -> None:
        model = open_checkpoint(str(REAL / "llama3v-case" / name))
        assert not model.has_weights
        assert len(model.declared_names) == 741
        assert model.declared_bytes == 34148369344
        assert model.config["hidden_size"] == 4096
        assert all(digest for digest in model.files.values())

    def test_a_folder_of_many_models_asks_for_one(self) -> None:
        assert kind_of(REAL / "rwkv-tiny") == "several_models"
        assert kind_of(REAL / "openspliceai" / "mane-80nt") == "several_models"

    def test_two_published_seeds_are_one_file(self, tmp_path: Path) -> None:
        digests = set()
        for seed in (11, 14):
            name = f"model_10000nt_rs{seed}.pt"
            copied = shutil.copy(REAL / "openspliceai" / "arabidopsis-10000nt" / name, tmp_path)
            digests.add(open_checkpoint(copied).files[name])
        assert len(digests) == 1
