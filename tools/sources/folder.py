"""Models that lie in a local folder or file: which files belong to them, and how they are opened.

Index files and links come from strangers. Nothing outside the model's folder is opened, apart from the blobs
that the Hugging Face cache links to, and nothing but regular files.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from tools.checkpoint import MAX_NAME, MAX_TENSORS, SIDE_FILE_BYTES, ModelRef, StoredFile, read_whole
from tools.errors import UserError
from tools.formats.json_text import NotAnObject, parse_object

CONFIG_BYTES = 8_000_000
# Hashing 8 GB takes about ten seconds; nobody waits for ten times that to read a digest.
HASH_BYTES = 8_000_000_000
# An index of 200,000 tensors has as many commas.
MAX_COMMAS = 1_000_000

SAFETENSORS_SUFFIXES = (".safetensors",)
TORCH_SUFFIXES = (".bin", ".pt", ".pth", ".th", ".ckpt")
INDEXES = {"safetensors": "model.safetensors.index.json", "torch": "pytorch_model.bin.index.json"}
SIDE_FILES = (
    "config.json",
    "model_config.json",
    "generation_config.json",
    "adapter_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "README.md",
    *INDEXES.values(),
)

_HASH_BLOCK = 1 << 20
_MAIN_TORCH = ("pytorch_model.bin", *(f"model{suffix}" for suffix in (".pth", ".pt", ".th", ".bin", ".ckpt")))
# What a trainer leaves beside the weights, in the same format.
_TRAINER = re.compile(r"(training_args|optimizer|scheduler|scaler|rng_state\w*|random_states\w*)\.\w+")
_NUMBERED = re.compile(r"(?P<stem>.*)-(?P<number>\d{1,6})-of-(?P<total>\d{1,6})(?P<suffix>\.\w+)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CACHED_MODEL = "models--"


@dataclass(frozen=True)
class LocalFile:
    """A regular file on this machine, as it was when it was first looked at."""

    name: str
    path: Path
    size: int
    identity: tuple[int, ...]

    def read(self, start: int, stop: int) -> bytearray:
        """Return the bytes from start up to stop. Raises UserError if the file ends before or has changed."""
        if not 0 <= start <= stop <= self.size:
            raise UserError("truncated", file=self.name)
        data = bytearray(stop - start)
        with self._opened() as stream:
            stream.seek(start)
            if stream.readinto(data) != len(data):
                raise UserError("changed_file", file=self.name)
        return data

    def sha256(self) -> str | None:
        """Return the digest in hexadecimal, or None above 8 GB; the file is hashed once."""
        return self._digest

    @cached_property
    def _digest(self) -> str | None:
        if self.size > HASH_BYTES:
            return None
        digest = hashlib.sha256()
        with self._opened() as stream:
            while block := stream.read(_HASH_BLOCK):
                digest.update(block)
        return digest.hexdigest()

    @contextmanager
    def _opened(self) -> Iterator[io.BufferedReader]:
        # Without O_NONBLOCK a pipe put in the file's place would wait for ever.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            with os.fdopen(os.open(self.path, flags), "rb") as stream:
                if _identity(os.fstat(stream.fileno())) != self.identity:
                    raise UserError("changed_file", file=self.name)
                yield stream
        except OSError:
            raise UserError("not_readable", file=self.name) from None


@dataclass(frozen=True)
class LocalModel:
    """What lies in a folder or file that a user named; nothing of the weights is read yet."""

    ref: ModelRef
    format: str | None
    config: Mapping[str, object] = field(default_factory=dict)
    weight_files: Sequence[StoredFile] = ()
    weight_map: Mapping[str, str] = field(default_factory=dict)
    declared_bytes: int | None = None
    side_files: Mapping[str, StoredFile] = field(default_factory=dict)


def look_at(name: str, path: Path) -> LocalModel:
    """Return what lies at an existing path that the user named. Raises UserError."""
    ref = ModelRef(name, _revision(path))
    try:
        return _look_at_folder(ref, path) if path.is_dir() else _look_at_file(ref, path)
    except OSError:
        raise UserError("not_readable", file=name) from None


def regular_file(path: Path, name: str) -> LocalFile:
    """Return the file at a path, following links. Raises UserError unless it is a regular file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise UserError("not_found", name=name) from None
    except OSError:
        raise UserError("not_readable", file=name) from None
    if not stat.S_ISREG(found.st_mode):
        raise UserError("not_a_file", file=name)
    return LocalFile(name, path, found.st_size, _identity(found))


def _look_at_file(ref: ModelRef, path: Path) -> LocalModel:
    form = _format_of(path.name)
    if form is None:
        # A device or a pipe is no format at all; say so first.
        regular_file(path, path.name)
        raise UserError("unknown_format", file=path.name)
    weights = regular_file(path, path.name)
    names = sorted(os.listdir(path.parent))
    # Several models may share a folder: then nothing says whose configuration lies there.
    alone = [name for name in names if _is_weights(name)] == [path.name]
    side_files = _side_files(path.parent, names) if alone else {}
    return LocalModel(ref, form, _config(side_files), [weights], side_files=side_files)


def _look_at_folder(ref: ModelRef, folder: Path) -> LocalModel:
    names = sorted(os.listdir(folder))
    side_files = _side_files(folder, names)
    config = _config(side_files)
    indexes = {form: _read_index(side_files[index]) for form, index in INDEXES.items() if index in side_files}
    for form, choose in (("safetensors", _choose_safetensors), ("torch", _choose_torch)):
        weight_map, declared_bytes = indexes.get(form, ({}, None))
        shards = sorted(set(weight_map.values()))
        # A path in an index is judged before anyone asks whether it exists.
        for shard in shards:
            _check_relative(shard)
        there = [shard for shard in shards if os.path.lexists(folder / shard)]
        chosen = choose(ref, names, shards, there)
        if chosen:
            indexed = chosen == shards
            return LocalModel(
                ref,
                form,
                config,
                [_member(folder, name) for name in chosen],
                weight_map if indexed else {},
                declared_bytes if indexed else None,
                side_files,
            )
    if not any(name in side_files for name in SIDE_FILES if name != "README.md"):
        raise UserError("no_model_here" if names else "empty_folder", name=ref.name)
    weight_map, declared_bytes = next(iter(indexes.values()), ({}, None))
    return LocalModel(ref, None, config, (), weight_map, declared_bytes, side_files)


def _choose_safetensors(ref: ModelRef, names: list[str], shards: list[str], there: list[str]) -> list[str]:
    if "model.safetensors" in names and "model.safetensors" not in shards:
        return ["model.safetensors"]
    if there:
        return _complete(ref, shards, there)
    found = [name for name in names if _is_weights(name) and _format_of(name) == "safetensors"]
    return _complete_numbers(ref, found)


def _choose_torch(ref: ModelRef, names: list[str], shards: list[str], there: list[str]) -> list[str]:
    if "pytorch_model.bin" in names and "pytorch_model.bin" not in shards:
        return ["pytorch_model.bin"]
    if there:
        return _complete(ref, shards, there)
    main = [name for name in _MAIN_TORCH if name in names]
    if main:
        return main[:1]
    found = [name for name in names if _is_weights(name) and _format_of(name) == "torch"]
    series = {_series(name) for name in found}
    if len(found) > 1 and (len(series) > 1 or None in series):
        raise UserError("several_models", name=ref.name, file=found[0])
    return _complete_numbers(ref, found)


def _complete(ref: ModelRef, shards: list[str], there: list[str]) -> list[str]:
    """Return all shards. Raises UserError where some are missing."""
    missing = sorted(set(shards) - set(there))
    if missing:
        counts = {"count": len(missing), "total": len(shards)}
        raise UserError("missing_shard", name=ref.name, file=missing[0], **counts)
    return shards


def _complete_numbers(ref: ModelRef, found: list[str]) -> list[str]:
    """Return the files, after a check that a numbered series (model-00001-of-00003) has no gap."""
    series = {_series(name) for name in found}
    parts = _NUMBERED.fullmatch(found[0]) if len(series) == 1 and found else None
    if parts is None or int(parts["total"]) > MAX_TENSORS:
        return found
    width, total = len(parts["number"]), int(parts["total"])
    expected = [
        f"{parts['stem']}-{number:0{width}d}-of-{parts['total']}{parts['suffix']}" for number in range(1, total + 1)
    ]
    _complete(ref, expected, found)
    return found


def _series(name: str) -> tuple[str, str, str] | None:
    parts = _NUMBERED.fullmatch(name)
    return (parts["stem"], parts["total"], parts["suffix"]) if parts else None


def _format_of(name: str) -> str | None:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in SAFETENSORS_SUFFIXES:
        return "safetensors"
    return "torch" if suffix in TORCH_SUFFIXES else None


def _is_weights(name: str) -> bool:
    # macOS puts a file "._NAME" beside each NAME on foreign disks.
    return not name.startswith(".") and _format_of(name) is not None and not _TRAINER.fullmatch(name)


def _check_relative(shard: str) -> None:
    """Refuse a path of an index that is absolute, climbs, or is no plain path on some system."""
    parts = shard.split("/")
    if not shard or len(shard) > MAX_NAME or "\\" in shard or ":" in shard or "\0" in shard:
        raise UserError("unsafe_path", file=shard)
    if any(part in ("", ".", "..") for part in parts):
        raise UserError("unsafe_path", file=shard)


def _member(folder: Path, name: str) -> LocalFile:
    """Return a file of the folder. Raises UserError where a link leads out of it or to nothing."""
    root = folder.resolve()
    try:
        real = (folder / name).resolve(strict=True)
    except FileNotFoundError:
        raise UserError("missing_shard", name=folder.name, file=name, count=1, total=1) from None
    except (OSError, RuntimeError):
        # A link that leads to itself: OSError from Python 3.13 on, RuntimeError before.
        raise UserError("not_a_file", file=name) from None
    if not real.is_relative_to(root) and not _is_cached_blob(root, real):
        raise UserError("unsafe_path", file=name)
    return regular_file(real, name)


def _is_cached_blob(root: Path, real: Path) -> bool:
    """Whether a snapshot in the Hugging Face cache links to a blob of the same model."""
    for above in root.parents:
        if above.name.startswith(_CACHED_MODEL):
            return root.is_relative_to(above / "snapshots") and real.parent == above / "blobs"
    return False


def _side_files(folder: Path, names: list[str]) -> dict[str, StoredFile]:
    there = set(names)
    return {name: _member(folder, name) for name in SIDE_FILES if name in there and (folder / name).exists()}


def _config(side_files: Mapping[str, StoredFile]) -> dict[str, object]:
    for name in ("config.json", "model_config.json"):
        if name in side_files:
            return _read_object(side_files[name], CONFIG_BYTES)
    return {}


def _read_index(file: StoredFile) -> tuple[dict[str, str], int | None]:
    """Return which tensor lies in which file, and the declared sum of bytes."""
    index = _read_object(file, SIDE_FILE_BYTES)
    weight_map, metadata = index.get("weight_map"), index.get("metadata")
    if not isinstance(weight_map, dict) or len(weight_map) > MAX_TENSORS:
        raise UserError("bad_config", file=file.name, why="bad_weight_map")
    if any(len(name) > MAX_NAME or not isinstance(shard, str) for name, shard in weight_map.items()):
        raise UserError("bad_config", file=file.name, why="bad_weight_map")
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    return weight_map, total if type(total) is int and 0 <= total < 1 << 63 else None


def _read_object(file: StoredFile, limit: int) -> dict[str, Any]:
    """Return the JSON object in a file. Raises UserError for anything else."""
    try:
        return parse_object(read_whole(file, limit), max_commas=MAX_COMMAS)
    except NotAnObject as error:
        raise UserError("bad_config", file=file.name, why=error.why) from None


def _revision(path: Path) -> str | None:
    """Return the commit that the Hugging Face cache names its folder after."""
    parts = path.absolute().parts
    for place in range(len(parts) - 2):
        if parts[place].startswith(_CACHED_MODEL) and parts[place + 1] == "snapshots":
            return parts[place + 2] if _COMMIT.fullmatch(parts[place + 2]) else None
    return None


def _identity(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
