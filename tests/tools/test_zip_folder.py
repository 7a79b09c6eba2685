"""Models in zip archives: read in place where they are stored, and nothing hostile is expanded."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from tests.hub_emulator import HubEmulator
from tools.errors import UserError
from tools.sources import open_checkpoint, zip_folder

StartHub = Callable[..., HubEmulator]
WEIGHTS = {f"w{i}": torch.randn(300, 256, generator=torch.Generator().manual_seed(i)) for i in range(4)}
PACKINGS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]
packings = pytest.mark.parametrize("packing", PACKINGS)


def packed(path: Path, parts: dict[str, bytes], packing: int = zipfile.ZIP_STORED) -> str:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return str(path)


def kind_of(name: str) -> tuple[str, object]:
    with pytest.raises(UserError) as caught, open_checkpoint(name) as model:
        for tensor in model.shapes:
            model.read(tensor)
    for language in ("en", "zh"):
        assert all(caught.value.say(language))
    return caught.value.kind, caught.value.facts.get("why")


@packings
@pytest.mark.parametrize("folder", ["", "model/", "a/b/"])
def test_a_folder_in_an_archive(tmp_path: Path, packing: int, folder: str) -> None:
    if folder == "a/b/":
        parts = {"model.safetensors": save(WEIGHTS), "config.json": b'{"a": 1}', "a/b/notes.txt": b"-"}
    else:
        parts = {f"{folder}model.safetensors": save(WEIGHTS), f"{folder}config.json": b'{"a": 1}',
                 "__MACOSX/._model.safetensors": b"-"}  # fmt: skip
    with open_checkpoint(packed(tmp_path / "m.zip", parts, packing)) as model:
        assert model.config == {"a": 1} and model.format == "safetensors"
        for name, value in WEIGHTS.items():
            assert torch.equal(model.read(name), value)
            assert torch.equal(model.read_rows(name, 7, 9), value[7:9])
        assert all(model.files.values())


def test_a_torch_file_in_an_archive(tmp_path: Path) -> None:
    held = io.BytesIO()
    torch.save(WEIGHTS, held)
    with open_checkpoint(packed(tmp_path / "m.zip", {"pytorch_model.bin": held.getvalue()})) as model:
        assert torch.equal(model.read("w2"), WEIGHTS["w2"])


def test_stored_files_are_read_by_ranges_from_a_hub(start_hub: StartHub, tmp_path: Path) -> None:
    big = {name: torch.cat([value] * 40) for name, value in WEIGHTS.items()}
    (tmp_path / "r").mkdir()
    packed(tmp_path / "r" / "m.zip", {"m/model.safetensors": save(big)})
    hub = start_hub({"owner/name": tmp_path / "r"})
    with open_checkpoint("owner/name/m.zip") as model:
        assert torch.equal(model.read_rows("w3", 1000, 1010), big["w3"][1000:1010])
        model.expect([("w1", 0, 5)])
    assert hub.served_of("m.zip") < 400_000 < (tmp_path / "r" / "m.zip").stat().st_size


@packings
@pytest.mark.parametrize(
    "name", ["../model.safetensors", "/etc/model.safetensors", "a/../../x.safetensors", "C:/x.safetensors", "a//b"]
)
def test_names_that_lead_out(tmp_path: Path, packing: int, name: str) -> None:
    parts = {"model.safetensors": save(WEIGHTS), name: b"x"}
    assert kind_of(packed(tmp_path / "m.zip", parts, packing))[0] == "unsafe_path"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.zip"]


def test_a_backslash_and_a_link(tmp_path: Path) -> None:
    path = packed(tmp_path / "m.zip", {"model.safetensors": save(WEIGHTS), "a/b": b"x"})
    data = Path(path).read_bytes().replace(b"a/b", b"a\\b")
    Path(path).write_bytes(data)
    assert kind_of(path)[0] == "unsafe_path"
    with zipfile.ZipFile(tmp_path / "l.zip", "w") as archive:
        link = zipfile.ZipInfo("model.safetensors")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert kind_of(str(tmp_path / "l.zip"))[0] == "unsafe_path"


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = packed(tmp_path / "m.zip", {"model.safetensors": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    assert kind_of(bomb) == ("bad_archive", "expands_too_far")
    # One that lies about its size is stopped where it said it would end.
    data = bytearray(Path(bomb).read_bytes())
    place = data.rfind(b"PK\x01\x02")
    data[place + 24 : place + 28] = (900_000).to_bytes(4, "little")
    (tmp_path / "liar.zip").write_bytes(data)
    assert kind_of(str(tmp_path / "liar.zip")) == ("bad_archive", "expands_too_far")
    monkeypatch.setattr(zip_folder, "EXPANDED_BYTES", 1000)
    modest = packed(tmp_path / "n.zip", {"model.safetensors": save(WEIGHTS)}, zipfile.ZIP_DEFLATED)
    assert kind_of(modest) == ("bad_archive", "expands_too_far")
    monkeypatch.setattr(zip_folder, "MOST_FILES", 3)
    many = packed(tmp_path / "o.zip", {f"{i}.txt": b"" for i in range(4)})
    assert kind_of(many) == ("bad_archive", "too_many_entries")


def test_twice_and_in_one_another(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("model.safetensors", save(WEIGHTS))
        archive.writestr("model.safetensors", save(WEIGHTS))
    assert kind_of(str(tmp_path / "m.zip")) == ("bad_archive", "duplicate_name")
    path = Path(packed(tmp_path / "n.zip", {"model.safetensors": save(WEIGHTS), "x.json": b"{}"}))
    data = bytearray(path.read_bytes())
    place = data.rfind(b"PK\x01\x02")
    data[place + 42 : place + 46] = (10).to_bytes(4, "little")
    path.write_bytes(data)
    assert kind_of(str(path))[0] == "bad_archive"


@packings
def test_damage(tmp_path: Path, packing: int) -> None:
    whole = Path(packed(tmp_path / "m.zip", {"model.safetensors": save(WEIGHTS), "config.json": b"{}"}, packing))
    data = whole.read_bytes()
    for place in (0, 5, 8, 30, 2000, len(data) - 30, len(data) - 60, len(data) - 100):
        broken = tmp_path / "broken.zip"
        broken.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            with open_checkpoint(str(broken)) as model:
                for name, value in WEIGHTS.items():
                    read = model.read(name)
                    # Stored bytes carry no check that a reader of ranges could use.
                    assert packing == zipfile.ZIP_STORED or torch.equal(read, value)
        except UserError as error:
            assert str(error)
    for length in (0, 10, 1000, len(data) - 1):
        (tmp_path / "short.zip").write_bytes(data[:length])
        assert kind_of(str(tmp_path / "short.zip"))[0] in ("bad_archive", "truncated")


def test_encrypted_and_oddly_compressed(tmp_path: Path) -> None:
    path = Path(packed(tmp_path / "m.zip", {"model.safetensors": save(WEIGHTS)}, zipfile.ZIP_BZIP2))
    assert kind_of(str(path)) == ("bad_archive", "unknown_compression")
    path = Path(packed(tmp_path / "n.zip", {"model.safetensors": save(WEIGHTS)}))
    data = bytearray(path.read_bytes())
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert kind_of(str(path)) == ("bad_archive", "encrypted")


def test_no_model_inside(tmp_path: Path) -> None:
    assert kind_of(packed(tmp_path / "m.zip", {"a.txt": b"x"}))[0] == "no_model_here"
    assert kind_of(packed(tmp_path / "n.zip", {}))[0] in ("empty_folder", "bad_archive")
    assert kind_of("owner/nowhere.zip")[0] == "not_found"
