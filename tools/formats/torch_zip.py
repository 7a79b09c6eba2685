"""PyTorch's own files: a zip archive of a pickle and raw storages, or the older bare pickle.

A pickle is a program. It is first scanned, which runs nothing, and refused if it names any function beyond
those that rebuild tensors. Only then `torch.load(weights_only=True)` reads it, which has such a list of its
own; what it returns is still treated as written by a stranger.
"""

from __future__ import annotations

import io
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.checkpoint import MAX_NAME, MAX_TENSORS, Checkpoint, ModelRef, StoredFile, in_words, join_shards
from tools.errors import Cancelled, UserError

if TYPE_CHECKING:
    import torch

# The older format cannot be mapped: all of it goes through memory.
LEGACY_BYTES = 2_000_000_000
# For 200,000 tensors the pickle has about 60 MB and 7 million operations, the directory of the archive 20 MB.
PICKLE_BYTES = 100_000_000
PICKLE_OPERATIONS = 10_000_000
# A view may show one stored value many times; beyond this it is an attack on memory and no buffer.
EXPANDED_BYTES = 256_000_000

# Under these keys training scripts keep the weights, beside epoch, optimizer and the like.
_WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "network",
    "params",
    "weights",
)
_NOT_WEIGHTS = frozenset(
    {
        "optimizer",
        "optimizer_state_dict",
        "optimizer_state",
        "optimizer_states",
        "optimizers",
        "optim",
        "optim_state_dict",
        "lr_scheduler",
        "lr_schedulers",
        "scheduler",
        "scheduler_state_dict",
        "scaler",
        "scaler_state_dict",
        "rng_state",
    }
)
_MAX_DEPTH = 8

# The functions and types a state dict needs. `bytearray` is left out: it takes any amount of memory.
_HARMLESS = re.compile(
    r"collections\.(OrderedDict|Counter)"
    r"|_codecs\.encode|(builtins|__builtin__)\.(set|complex)"
    r"|torch\.(Size|Tensor|device|nn\.parameter\.Parameter|serialization\._get_layout)"
    r"|torch\._utils\._rebuild_\w+|torch\._tensor\._rebuild_from_type_v2"
    r"|torch\.(cuda\.|sparse\.|cuda\.sparse\.|storage\.)?[A-Z]\w*(Storage|Tensor)"
    r"|torch\.(bool|half|float|double|(u?int|b?float|complex|q?u?int|bits)\d\w*|per_(tensor|channel)_\w+)"
)
# The operations of a pickle that name a function or type.
_NAMING = frozenset({"GLOBAL", "INST", "STACK_GLOBAL"})

_GIT_LFS = b"version https://git-lfs"
_ZIP_START = b"PK\x03\x04"
_ZIP_END = b"PK\x05\x06"
_ZIP_END_BYTES = 22
_ZIP_LOCAL_BYTES = 30
_ZIP64_END = b"PK\x06\x06"
# The first of the five pickles of the older format: https://github.com/pytorch/pytorch torch/serialization.py
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PICKLES = 5


class TorchCheckpoint(Checkpoint):
    """A model in one or several PyTorch files; zip archives are mapped, not read."""

    format = "torch"

    def __init__(
        self,
        ref: ModelRef,
        *,
        config: Mapping[str, object],
        weight_files: Sequence[StoredFile],
        weight_map: Mapping[str, str],
        declared_bytes: int | None,
        side_files: Mapping[str, StoredFile],
    ) -> None:
        """Find the tensors; `weight_map` decides where several files hold the same name. Raises UserError."""
        tensors = join_shards(ref, ((file, load_tensors(file)) for file in weight_files), weight_map)
        if declared_bytes is None:
            declared_bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        super().__init__(
            ref,
            config=config,
            shapes={name: tuple(tensor.shape) for name, tensor in tensors.items()},
            dtypes={name: _type_name(tensor) for name, tensor in tensors.items()},
            declared_names=tuple(tensors),
            declared_bytes=declared_bytes,
            weight_files=weight_files,
            side_files=side_files,
        )
        self._tensors = tensors

    def read(self, name: str) -> torch.Tensor:
        """Return a tensor in its own type, on the CPU, as a copy that may be written to."""
        return self._copy(name, self._tensors[name])

    def read_rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return the rows from start up to stop of the first axis; touches only their bytes."""
        tensor = self._tensors[name]
        if not tensor.ndim:
            raise ValueError("a tensor without axes has no rows")
        return self._copy(name, tensor[start:stop] if _is_plain(tensor) else tensor)

    def close(self) -> None:
        """Let go of the mapped files; no tensor can be read afterwards."""
        self._tensors = {}

    def _copy(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        import torch

        if not _is_plain(tensor):
            kind = f"{_type_name(tensor)}, {tensor.layout}, {tensor.device}"
            raise UserError("unknown_tensor_type", tensor=name, dtype=kind)
        whole = self._tensors[name]
        self._count(name, tensor.numel() * tensor.element_size(), whole.numel() * whole.element_size())
        copy = tensor.clone(memory_format=torch.contiguous_format).resolve_conj().resolve_neg()
        # A byte other than 0 and 1 is no bool; to PyTorch its value is undefined.
        return copy.view(torch.uint8) != 0 if copy.dtype is torch.bool else copy


def load_tensors(file: StoredFile) -> dict[str, torch.Tensor]:
    """Return the tensors of one PyTorch file by name, in file order; runs no code of the file.

    Raises UserError: unsafe_pickle, unreadable_archive, truncated, too_large_file, pointer_file.
    """
    if file.path is None:
        raise UserError("unknown_format", file=file.name)
    start = bytes(file.read(0, min(file.size, len(_GIT_LFS))))
    zipped = start.startswith(_ZIP_START)
    if not start:
        raise UserError("truncated", file=file.name)
    if start == _GIT_LFS:
        raise UserError("pointer_file", file=file.name)
    try:
        if zipped:
            _scan(file, io.BytesIO(_pickle_of_archive(file)))
        else:
            _scan_legacy(file)
        return _named_tensors(_load(file.path, mapped=zipped))
    except (UserError, Cancelled):
        raise
    except EOFError:
        raise UserError("truncated", file=file.name) from None
    except Exception:
        # What a hostile pickle can make an unpickler raise has no bounds; no text of it reaches the user.
        raise UserError("unreadable_archive", file=file.name, why="damaged") from None


def _load(path: Path, *, mapped: bool) -> Any:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)


def _pickle_of_archive(file: StoredFile) -> bytearray:
    """Return the pickle in a zip archive, after a check of what zip itself claims.

    Its directory must be complete and of sane size; nothing in it may be compressed or be a program.
    """
    tail = bytes(file.read(max(0, file.size - (1 << 16) - _ZIP_END_BYTES), file.size))
    end = tail.rfind(_ZIP_END)
    if end < 0 or len(tail) - end < _ZIP_END_BYTES:
        raise UserError("truncated", file=file.name)
    wide = tail.rfind(_ZIP64_END, 0, end)
    directory = int.from_bytes(tail[end + 12 : end + 16], "little")
    if wide >= 0:
        # All ones mean: look into the wide record.
        directory = max(directory % 0xFFFFFFFF, int.from_bytes(tail[wide + 40 : wide + 48], "little"))
    if directory > PICKLE_BYTES:
        raise UserError("unreadable_archive", file=file.name, why="too_many_entries")
    assert file.path is not None
    with zipfile.ZipFile(file.path) as archive:
        parts = archive.infolist()
    pickles = [part for part in parts if part.filename.rpartition("/")[2] == "data.pkl"]
    if any(part.filename.endswith("/constants.pkl") for part in parts):
        raise UserError("unreadable_archive", file=file.name, why="a_program")
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        raise UserError("unreadable_archive", file=file.name, why="compressed")
    if len(pickles) != 1:
        raise UserError("unreadable_archive", file=file.name, why="not_pytorch")
    if pickles[0].file_size > PICKLE_BYTES:
        raise UserError("unreadable_archive", file=file.name, why="too_many_entries")
    if any(part.header_offset < 0 for part in parts):
        raise UserError("unreadable_archive", file=file.name, why="damaged")
    if any(part.header_offset + part.file_size > file.size for part in parts):
        raise UserError("truncated", file=file.name)
    # Not by archive.read, which insists on the check sums that PyTorch may leave out.
    start = pickles[0].header_offset + _ZIP_LOCAL_BYTES
    lengths = file.read(start - 4, start)
    start += int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
    return file.read(start, start + pickles[0].file_size)


def _scan_legacy(file: StoredFile) -> None:
    """Scan the five pickles that the older format begins with. Raises UserError for any other file."""
    stream = io.BytesIO(file.read(0, min(file.size, PICKLE_BYTES)))
    try:
        first = _scan(file, stream)
    except (ValueError, EOFError):
        raise UserError("unreadable_archive", file=file.name, why="not_pytorch") from None
    if first != _LEGACY_MAGIC:
        raise UserError("unreadable_archive", file=file.name, why="not_pytorch")
    if file.size > LEGACY_BYTES:
        raise UserError("too_large_file", file=file.name, limit=in_words(LEGACY_BYTES))
    for _ in range(_LEGACY_PICKLES - 1):
        if stream.tell() >= file.size:
            raise UserError("truncated", file=file.name)
        _scan(file, stream)


def _scan(file: StoredFile, stream: io.BytesIO) -> object:
    """Go through one pickle without running it, and return the last number in it, or None.

    Raises UserError where it names a function that no weights need, ValueError where it is damaged.
    """
    number: object = None
    texts: list[str] = []
    for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        if count > PICKLE_OPERATIONS:
            raise UserError("unreadable_archive", file=file.name, why="too_many_entries")
        if operation.name in _NAMING:
            # STACK_GLOBAL takes two names from the stack, mostly the last texts; PyTorch never writes it.
            from_stack = operation.name == "STACK_GLOBAL"
            named = ".".join(texts) if from_stack else str(argument).replace(" ", ".", 1)
            if not _HARMLESS.fullmatch(named):
                raise UserError("unsafe_pickle", file=file.name, what=named)
        elif isinstance(argument, int):
            number = argument
        elif isinstance(argument, str):
            texts = [*texts[-1:], argument]
    return number


def _named_tensors(loaded: Any) -> dict[str, torch.Tensor]:
    """Return the tensors of a loaded object by name: of the state dict if one is wrapped, else of all parts.

    Names of nested parts are joined by dots. Raises ValueError for what no model has.
    """
    import torch

    if isinstance(loaded, torch.Tensor):
        loaded = {"tensor": loaded}
    for _ in range(_MAX_DEPTH):
        inner = _unwrapped(loaded)
        if inner is None:
            break
        loaded = inner
    named: dict[str, torch.Tensor] = {}
    for name, tensor in _walk(loaded, "", 0, set()):
        name.encode("utf-8")
        if name in named or len(name) > MAX_NAME or len(named) >= MAX_TENSORS:
            raise ValueError("names that no model has")
        if _is_plain(tensor):
            size, stored = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
            if size > max(stored, EXPANDED_BYTES):
                raise ValueError("a view larger than what is stored")
        named[name] = tensor
    return named


def _unwrapped(loaded: Any) -> Any:
    """Return the weights inside what a training script saved, or None where they lie open."""
    import torch

    items = dict(_items(loaded))
    # A matrix beside the wrapper is a weight, so the wrapper is a part of the model.
    if any(isinstance(value, torch.Tensor) and value.ndim > 1 for value in items.values()):
        return None
    for key in _WRAPPERS:
        if key in items and next(_walk(items[key], "", 0, set()), None) is not None:
            return items[key]
    return None


def _walk(loaded: Any, prefix: str, depth: int, seen: set[int]) -> Iterator[tuple[str, torch.Tensor]]:
    import torch

    # A pickle can hold itself, and then has no end.
    if depth > _MAX_DEPTH or id(loaded) in seen:
        return
    seen.add(id(loaded))
    for key, value in _items(loaded):
        if isinstance(value, torch.Tensor):
            # Only detached it is free of attributes that a pickle may have put over its methods.
            yield f"{prefix}{key}", torch.detach(value)
        elif key not in _NOT_WEIGHTS:
            yield from _walk(value, f"{prefix}{key}.", depth + 1, seen)


def _items(loaded: Any) -> list[tuple[str, Any]]:
    """Return the named values of a dict or list; by dict's own method, as an instance may hide it."""
    if isinstance(loaded, dict):
        return [(str(key), value) for key, value in dict.items(loaded) if isinstance(key, str | int)]
    if isinstance(loaded, list | tuple):
        return [(str(index), value) for index, value in enumerate(loaded)]
    return []


def _is_plain(tensor: torch.Tensor) -> bool:
    import torch

    return tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized


def _type_name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
