"""Which files of a folder are the model's, wherever the folder lies: on a disk, in an archive, on a hub.

Index files come from strangers: a path in one is judged before anyone asks whether it exists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Protocol

from tools.checkpoint import MAX_NAME, MAX_TENSORS, SIDE_FILE_BYTES, ModelFiles, ModelRef, StoredFile, read_whole
from tools.errors import UserError
from tools.formats.json_text import NotAnObject, parse_object

CONFIG_BYTES = 8_000_000
# An index of 200,000 tensors has as many commas.
MAX_COMMAS = 1_000_000

SAFETENSORS_SUFFIXES = (".safetensors",)
TORCH_SUFFIXES = (".bin", ".pt", ".pth", ".th", ".ckpt", ".jit")
GGUF_SUFFIXES = (".gguf",)
ONNX_SUFFIXES = (".onnx",)
# What transformers loads from a folder, in its order; each goes with an index where the model lies in shards.
STANDARD = {"safetensors": "model.safetensors", "torch": "pytorch_model.bin"}
INDEXES = {form: f"{name}.index.json" for form, name in STANDARD.items()}
ADAPTER_CONFIG = "adapter_config.json"
SIDE_FILES = (
    "config.json",
    "model_config.json",
    "generation_config.json",
    ADAPTER_CONFIG,
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
# Modelling code beside the weights is only ever read as text; no repository in use holds more files of it.
MOST_CODE_FILES = 32

# Where the standard names are missing, these say which file is the model: by peft, diffusers and Optimum, or by habit.
# See docs/decisions/0091.
_ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")
_USUAL = (
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.bin",
    *(f"model{suffix}" for suffix in (*TORCH_SUFFIXES, *ONNX_SUFFIXES)),
)
_FORMATS = ("safetensors", "torch", "gguf", "onnx")
# What a trainer leaves beside the weights, in the same format.
_TRAINER = re.compile(
    r"(training_args|rng_state\w*|random_states\w*|sampler\w*|dl_state_dict\w*|trainer_state"
    r"|(\w{1,40}_)?(optim|optimizer|scheduler|scaler)(_\w{1,40})?)\.\w+"
)
_NUMBERED = re.compile(r"(?P<stem>.*)-(?P<number>\d{1,6})-of-(?P<total>\d{1,6})(?P<suffix>(\.\w+)+)")


class Folder(Protocol):
    """A folder of files that belong together."""

    @property
    def names(self) -> Sequence[str]:
        """The names of what lies in the folder itself, sorted."""

    @property
    def address(self) -> str | None:
        """What a user writes, with a slash, before the name of a file of it; None where no file of it can be named."""

    def holds(self, name: str) -> bool:
        """Whether there is something of this name, which may lead into folders inside."""

    def file(self, name: str) -> StoredFile:
        """Return a file by its name. Raises UserError where it is none, or is not to be opened."""


def in_folder(ref: ModelRef, folder: Folder) -> ModelFiles:
    """Return the files of the model in a folder. Raises UserError."""
    side_files = _side_files(folder)
    config = _config(side_files)
    indexes = {form: _read_index(side_files[index]) for form, index in INDEXES.items() if index in side_files}
    for weight_map, _ in indexes.values():
        for shard in set(weight_map.values()):
            _check_relative(shard)
    chosen = _choose(ref, folder, {form: sorted(set(index.values())) for form, (index, _) in indexes.items()})
    if chosen is not None:
        weight_map, declared_bytes = indexes[chosen.form] if chosen.indexed else ({}, None)
        files = [folder.file(name) for name in chosen.names]
        return ModelFiles(ref, chosen.form, config, files, weight_map, declared_bytes, side_files)
    if not any(name in side_files for name in SIDE_FILES if name != "README.md"):
        raise UserError("no_model_here" if folder.names else "empty_folder", name=ref.name)
    weight_map, declared_bytes = next(iter(indexes.values()), ({}, None))
    return ModelFiles(ref, None, config, (), weight_map, declared_bytes, side_files)


def in_file(ref: ModelRef, folder: Folder, name: str) -> ModelFiles:
    """Return one weights file of a folder as a model. Raises UserError."""
    form = format_of(name)
    if form is None:
        # A device or a pipe is no format at all; say so first.
        folder.file(name)
        raise UserError("unknown_format", file=name)
    # One part of a split GGUF file is no model; a shard of safetensors is read alone by who names it.
    parts = [each for each in folder.names if form == "gguf" and _series(each) and _series(each) == _series(name)]
    beside = _values_beside(name, folder.names) if form == "onnx" else []
    weights = [folder.file(each) for each in (_complete_numbers(ref, parts) or [name, *beside])]
    # Several models may share a folder: then only a standard name says whose configuration lies there.
    alone = [each for each in folder.names if _is_weights(each)] in ([name], parts)
    side_files = _side_files(folder) if alone or name in STANDARD.values() else {}
    if name in _ADAPTERS and not side_files and ADAPTER_CONFIG in folder.names:
        side_files = {ADAPTER_CONFIG: folder.file(ADAPTER_CONFIG)}
    return ModelFiles(ref, form, _config(side_files), weights, side_files=side_files)


def format_of(name: str) -> str | None:
    """The format that the ending of a file's name stands for, or None."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    # An old habit calls PyTorch's files `.pth.tar`; they are no archives of tar.
    if suffixes[1:] and suffixes[-1] == ".tar":
        return "torch" if suffixes[-2] in TORCH_SUFFIXES else None
    suffix = suffixes[-1] if suffixes else ""
    if suffix in SAFETENSORS_SUFFIXES:
        return "safetensors"
    if suffix in GGUF_SUFFIXES:
        return "gguf"
    if suffix in ONNX_SUFFIXES:
        return "onnx"
    return "torch" if suffix in TORCH_SUFFIXES else None


def _side_files(folder: Folder) -> dict[str, StoredFile]:
    there = set(folder.names)
    found = {name: folder.file(name) for name in SIDE_FILES if name in there and folder.holds(name)}
    code = [name for name in folder.names if name.endswith(".py") and not name.startswith(".")]
    for name in code[:MOST_CODE_FILES]:
        # A link or folder that calls itself code is no reason to refuse the weights beside it.
        with suppress(UserError):
            found[name] = folder.file(name)
    return found


@dataclass(frozen=True)
class _Choice:
    """The files that are the model, and whether an index lists them."""

    form: str
    names: list[str]
    indexed: bool = False


def _choose(ref: ModelRef, folder: Folder, indexes: Mapping[str, list[str]]) -> _Choice | None:
    """The files of one model, or None without weights; `indexes` has the shards that each format's index lists.

    Raises UserError where nothing says which of several files is meant, and where some of a model's are missing.
    """
    weights = [name for name in folder.names if _is_weights(name)]
    for form, standard in STANDARD.items():
        shards = indexes.get(form, [])
        if standard in weights and standard not in shards:
            return _Choice(form, [standard])
        there = [shard for shard in shards if folder.holds(shard)]
        if there:
            return _Choice(form, _complete(ref, shards, there), indexed=True)
        stem = PurePosixPath(standard).stem
        numbered = [name for name in weights if format_of(name) == form and (_series(name) or [""])[0] == stem]
        if numbered:
            return _only_one(ref, folder, numbered)
    # What projects pictures into a language model lies in a file of its own.
    alone = [name for name in weights if not (format_of(name) == "gguf" and "mmproj" in name.lower())]
    for some in ([name for name in weights if name in names] for names in (_ADAPTERS, _USUAL, alone, weights)):
        if some:
            return _only_one(ref, folder, some)
    return None


def _only_one(ref: ModelRef, folder: Folder, found: list[str]) -> _Choice:
    """The files of one model, in one of the formats that it lies in under one name.

    Raises UserError where they are of several, or some are missing.
    """
    form = min((form for name in found if (form := format_of(name))), key=_FORMATS.index)
    names = [name for name in found if format_of(name) == form]
    first, *others = [*names, *(name for name in found if name not in names)]
    unlike = [name for name in others if _stem(name) != _stem(first) or (name in names and not _series(name))]
    if unlike:
        facts = {"file": first, "other": unlike[0], "count": len(found)}
        if folder.address is None:
            raise UserError("several_in_archive", name=ref.name, **facts)
        raise UserError("several_models", name=ref.name, address=folder.address, **facts)
    beside = _values_beside(first, folder.names) if form == "onnx" else []
    return _Choice(form, [*_complete_numbers(ref, names), *beside])


def _stem(name: str) -> tuple[str, ...]:
    """What the files of one model have in common in their names, whatever their format."""
    series = _series(name)
    return series[:2] if series else (PurePosixPath(name).stem,)


def _values_beside(name: str, names: Sequence[str]) -> list[str]:
    """Files in which a graph keeps its values: `model.onnx_data`, `model.onnx.data`, `model.data`."""
    stem = name[: -len(ONNX_SUFFIXES[0])]
    return [each for each in names if (each.startswith(name) and each != name) or each == f"{stem}.data"]


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


def _is_weights(name: str) -> bool:
    # macOS puts a file "._NAME" beside each NAME on foreign disks.
    return not name.startswith(".") and format_of(name) is not None and not _TRAINER.fullmatch(name)


def _check_relative(shard: str) -> None:
    """Refuse a path of an index that is absolute, climbs, or is no plain path on some system."""
    parts = shard.split("/")
    if not shard or len(shard) > MAX_NAME or "\\" in shard or ":" in shard or "\0" in shard:
        raise UserError("unsafe_path", file=shard)
    if any(part in ("", ".", "..") for part in parts):
        raise UserError("unsafe_path", file=shard)


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
