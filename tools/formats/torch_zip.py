"""PyTorch's own files: a zip archive of a pickle and raw storages, or the older pickles followed by storages.

A pickle is a program; it is never run. `tools.formats.pickled` follows it as data. Beside tensors it may hold objects
of other libraries, of which nothing but the tensors in modules is taken; a file that calls functions, or names what
Python's own library does, is refused. Of an archive only its directory, its pickles and the storages asked for are
read. Formats: https://github.com/pytorch/pytorch torch/serialization.py and torch/_utils.py
"""

from __future__ import annotations

import io
import re
import sys
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from tools.checkpoint import GIT_LFS, Checkpoint, ModelFiles, StoredFile, Wanted, expect_ranges, join_shards
from tools.errors import Cancelled, UserError
from tools.formats.pickled import Machine, Table, TooLong
from tools.formats.stacked import one_by_one
from tools.formats.torch_tensors import Storage, StoredTensor, after_local_header, named_tensors, stored_at
from tools.formats.zip_directory import read_directory

if TYPE_CHECKING:
    import torch

# For 200,000 tensors the pickle has about 60 MB, the directory of the archive 20 MB.
PICKLE_BYTES = 100_000_000
# The largest tensor of a published model is about 10 GB; a sparse file on disk may claim any size.
READ_BYTES = 32_000_000_000

# The functions and types that state dicts, plain numbers beside them and TorchScript need. `bytearray` is left out: it
# takes any amount of memory.
_HARMLESS = re.compile(
    r"collections\.(OrderedDict|Counter|defaultdict)"
    r"|numpy\.(dtype|ndarray)|numpy\._?core\.multiarray\.(scalar|_reconstruct)|torch\.jit\._pickle\.\w+|__torch__\..+"
    r"|_codecs\.encode|(builtins|__builtin__)\.(set|complex)"
    r"|torch\.(Size|Tensor|device|nn\.parameter\.Parameter|serialization\._get_layout)"
    r"|torch\._utils\._rebuild_\w+|torch\._tensor\._rebuild_from_type_v2"
    r"|torch\.(cuda\.|sparse\.|cuda\.sparse\.|storage\.)?[A-Z]\w*(Storage|Tensor)"
    r"|torch\.(bool|half|float|double|(u?int|b?float|complex|q?u?int|bits)\d\w*|per_(tensor|channel)_\w+)"
)
# What settings are commonly made of in Python's own library.
_PLAIN = re.compile(
    r"(builtins|__builtin__)\.(object|dict|list|tuple|frozenset|int|float|str|bool|slice|range)"
    r"|argparse\.Namespace|functools\.partial|types\.SimpleNamespace|datetime\.(date|datetime|time|timedelta|timezone)"
    r"|pathlib\.(\w+\.)?(Pure)?(Posix|Windows)?Path"
)
# The name of Python's library in Python 2, and modules that it had then.
_OLD_LIBRARY = frozenset({"__builtin__", "commands", "copy_reg", "popen2", "posixpath", "ntpath", "urllib2"})

_ZIP_START = b"PK\x03\x04"
_ZIP_LOCAL_BYTES = 30
# The first of the five pickles of the older format.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PICKLES = 5
_LEGACY_COUNT = 8
# The older format does not say how long its pickles are: they are looked for in a piece, then in longer ones.
_LEGACY_PIECE = 1 << 20


class TorchCheckpoint(Checkpoint):
    """A model in one or several PyTorch files; only the storages asked for are read."""

    def __init__(self, model: ModelFiles) -> None:
        """Find the tensors; `weight_map` decides where several files hold the same name. Raises UserError."""
        named: set[str] = set()
        tensors = one_by_one(join_shards(model, lambda file: find_tensors(file, named.add)), model.config, _expert)
        super().__init__(
            model,
            shapes={name: tensor.shape for name, tensor in tensors.items()},
            dtypes={name: tensor.odd or tensor.dtype for name, tensor in tensors.items()},
            tensor_bytes=sum(tensor.size for tensor in tensors.values()),
        )
        self._tensors = tensors
        self.undecoded = {name: tensor.odd for name, tensor in tensors.items() if tensor.odd}
        self.names_code = bool(named)

    def read(self, name: str) -> torch.Tensor:
        """Return a tensor in its own type, on the CPU, as a copy that may be written to."""
        return self._values(name, self._tensors[name])

    def read_rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return the rows from start up to stop of the first axis; reads only what lies between them."""
        tensor = self._tensors[name]
        if not tensor.shape:
            raise ValueError("a tensor without axes has no rows")
        return self._values(name, tensor.rows(start, stop))

    def expect(self, wanted: Iterable[Wanted]) -> None:
        """These tensors, or rows of them, will be read soon; over a network they then come in few requests."""
        parts = [self._tensors[name].rows(start, stop) for name, start, stop in wanted]
        expect_ranges(place for part in parts if part.storage for place in part.storage.ranges(*part.span()))

    def _values(self, name: str, part: StoredTensor) -> torch.Tensor:
        import torch

        if part.odd or part.storage is None:
            raise UserError("unknown_tensor_type", tensor=name, dtype=part.odd)
        dtype: torch.dtype = getattr(torch, part.dtype)
        first, last = part.span()
        if first == last:
            return torch.empty(part.shape, dtype=dtype)
        if max(last - first, part.size) > READ_BYTES:
            raise UserError("too_large_tensor", tensor=name)
        try:
            begin = part.storage.begin()
            data = part.storage.file.read(begin + first, begin + last)
            self._count(name, part.size, self._tensors[name].size)
            # A byte other than 0 and 1 is no bool; to PyTorch its value is undefined.
            flat = torch.frombuffer(data, dtype=torch.uint8 if dtype is torch.bool else dtype)
            shown = flat.as_strided(part.shape, part.stride).contiguous()
        except MemoryError:
            raise UserError("too_large_tensor", tensor=name) from None
        # Values shown several times share their place until they are copied.
        shown = shown.clone() if shown.untyped_storage().nbytes() < part.size else shown
        return shown != 0 if dtype is torch.bool else shown


def _expert(stack: StoredTensor, number: int, shape: tuple[int, ...]) -> StoredTensor:
    if len(stack.shape) == len(shape):
        return stack.rows(number * shape[0], (number + 1) * shape[0])
    one = stack.rows(number, number + 1)
    return replace(one, shape=shape, stride=one.stride[1:] if one.stride else ())


def find_tensors(file: StoredFile, note: Callable[[str], object]) -> dict[str, StoredTensor]:
    """Return the tensors of one PyTorch file by name, in file order; runs no code of the file.

    `note` is told of names that neither weights nor settings need. Raises UserError: unsafe_pickle, unreadable_archive,
    truncated, pointer_file.
    """
    start = bytes(file.read(0, min(file.size, len(GIT_LFS))))
    if not start:
        raise UserError("truncated", file=file.name)
    if start == GIT_LFS:
        raise UserError("pointer_file", file=file.name)
    try:
        return _in_archive(file, note) if start.startswith(_ZIP_START) else _in_older_file(file, note)
    except (UserError, Cancelled):
        raise
    except EOFError:
        raise UserError("truncated", file=file.name) from None
    except TooLong:
        raise UserError("unreadable_archive", file=file.name, why="too_many_entries") from None
    except Exception:
        # What a hostile pickle or archive can lead to has no bounds; no text of it reaches the user.
        raise UserError("unreadable_archive", file=file.name, why="damaged") from None


def _machine(file: StoredFile, note: Callable[[str], object]) -> Machine:
    def refuse(named: str, called: bool) -> None:
        if _HARMLESS.fullmatch(named) or _PLAIN.fullmatch(named):
            return
        module, _, last = named.rpartition(".")
        library = module.partition(".")[0]
        # By custom the name of a type begins with a capital letter, that of a function does not.
        makes_an_object = module and (last[:1].isupper() or not called)
        if library in sys.stdlib_module_names or library in _OLD_LIBRARY or not makes_an_object:
            raise UserError("unsafe_pickle", file=file.name, what=named)
        note(named)

    return Machine(refuse)


def _in_archive(file: StoredFile, note: Callable[[str], object]) -> dict[str, StoredTensor]:
    """The tensors of a zip archive: its directory and its pickles are read, storages are not."""
    parts = read_directory(file)
    named = {part.filename: part for part in parts}
    pickles = [part for part in parts if part.filename.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1:
        raise UserError("unreadable_archive", file=file.name, why="not_pytorch")
    folder = pickles[0].filename.removesuffix("data.pkl")
    # A TorchScript archive keeps the tensors that its code names as constants in a pickle of their own.
    constants = named.get(f"{folder}constants.pkl")
    pickles += [constants] if constants is not None else []
    # The code of TorchScript is packed, and is not read.
    read = [part for part in parts if not part.filename.startswith(f"{folder}code/")]
    if any(part.compress_type != zipfile.ZIP_STORED for part in read):
        raise UserError("unreadable_archive", file=file.name, why="compressed")
    if sum(part.file_size for part in pickles) > PICKLE_BYTES:
        raise UserError("unreadable_archive", file=file.name, why="too_many_entries")
    if len(named) != len(parts) or any(part.header_offset < 0 for part in parts):
        raise UserError("unreadable_archive", file=file.name, why="damaged")
    if any(part.header_offset + _ZIP_LOCAL_BYTES + part.file_size > file.size for part in parts):
        raise UserError("truncated", file=file.name)
    order = named.get(f"{folder}byteorder")
    # All lie at the beginning or the end; their notes are hardly longer than this.
    small = [part for part in (*pickles, order) if part is not None]
    file.expect([(p.header_offset, min(file.size, p.header_offset + p.file_size + 512)) for p in small])
    if order is not None and _content(file, order, 16) != b"little":
        raise UserError("unreadable_archive", file=file.name, why="damaged")
    storages: dict[str, Storage] = {}

    def storage(key: str) -> Storage:
        part = named[f"{folder}{key}"]
        length = len(part.filename.encode())
        return storages.setdefault(key, Storage(file, part.file_size, None, part.header_offset, length))

    def tensors(pickle: zipfile.ZipInfo, place: str) -> dict[str, StoredTensor]:
        loaded = _machine(file, note).follow(io.BytesIO(_content(file, pickle, PICKLE_BYTES)))
        return named_tensors(loaded, lambda key: storage(f"{place}/{key}"))

    found = tensors(pickles[0], "data")
    if constants is not None:
        found |= {f"constants.{name}": tensor for name, tensor in tensors(constants, "constants").items()}
    return found


def _content(file: StoredFile, part: zipfile.ZipInfo, limit: int) -> bytes:
    # Not by archive.read, which insists on the check sums that PyTorch may leave out.
    start = after_local_header(file, part.header_offset)
    return bytes(file.read(start, start + min(part.file_size, limit)))


def _in_older_file(file: StoredFile, note: Callable[[str], object]) -> dict[str, StoredTensor]:
    """The tensors of the older format: five pickles, then each storage after its number of values."""
    length = min(file.size, _LEGACY_PIECE)
    while True:
        stream, machine = io.BytesIO(file.read(0, length)), _machine(file, note)
        try:
            if machine.follow(stream) != _LEGACY_MAGIC:
                raise UserError("unreadable_archive", file=file.name, why="not_pytorch")
            found = [machine.follow(stream) for _ in range(_LEGACY_PICKLES - 1)]
            break
        except (ValueError, EOFError, IndexError, KeyError, TypeError):
            if not _begins_like_older(stream.getvalue()):
                raise UserError("unreadable_archive", file=file.name, why="not_pytorch") from None
            if length == file.size:
                raise UserError("truncated", file=file.name) from None
            if length >= PICKLE_BYTES:
                raise
            length = min(file.size, PICKLE_BYTES, 8 * length)
    _, system, loaded, keys = found
    if not isinstance(keys, list) or (isinstance(system, Table) and system.items.get("little_endian") is False):
        raise ValueError("not of this kind of machine")
    # The older format keeps the source of a module's type in the same way as storages.
    sizes = {place.key: place for kept in machine.kept if kept.key[0] != "module" for place in [stored_at(kept)]}
    storages: dict[str, Storage] = {}
    end = stream.tell()
    for key in keys:
        start = end + _LEGACY_COUNT
        end = start + sizes[key].count * sizes[key].item
        storages[key] = Storage(file, end - start, start)
    if end > file.size:
        raise UserError("truncated", file=file.name)
    file.expect([(one.begin() - _LEGACY_COUNT, one.begin()) for one in storages.values()])
    for key, one in storages.items():
        if int.from_bytes(file.read(one.begin() - _LEGACY_COUNT, one.begin()), "little") != sizes[key].count:
            raise ValueError("another number of values than was said")
    return named_tensors(loaded, storages.__getitem__)


def _begins_like_older(data: bytes) -> bool:
    return _LEGACY_MAGIC.to_bytes(10, "little") in data[:32]
