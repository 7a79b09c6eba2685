"""What a zip archive lists, read without the archive: from its end, wherever the file lies."""

from __future__ import annotations

import io
import zipfile

from tools.checkpoint import StoredFile
from tools.errors import UserError

# For 200,000 tensors the directory of an archive has about 20 MB.
DIRECTORY_BYTES = 100_000_000

_ZIP_END = b"PK\x05\x06"
_ZIP_END_BYTES = 22
_ZIP64_END = b"PK\x06\x06"


def read_directory(file: StoredFile) -> list[zipfile.ZipInfo]:
    """The parts that an archive lists, after a check of what it claims of its own directory."""
    tail = bytes(file.read(max(0, file.size - (1 << 16) - _ZIP_END_BYTES), file.size))
    end = tail.rfind(_ZIP_END)
    if end < 0 or len(tail) - end < _ZIP_END_BYTES:
        raise UserError("truncated", file=file.name)
    wide = tail.rfind(_ZIP64_END, 0, end)
    directory = int.from_bytes(tail[end + 12 : end + 16], "little")
    if wide >= 0:
        # All ones mean: look into the wide record.
        directory = max(directory % 0xFFFFFFFF, int.from_bytes(tail[wide + 40 : wide + 48], "little"))
    if directory > DIRECTORY_BYTES:
        raise UserError("unreadable_archive", file=file.name, why="too_many_entries")
    with zipfile.ZipFile(_Ranged(file, tail)) as archive:
        return archive.infolist()


class _Ranged(io.RawIOBase):
    """A stored file as a stream, for the reader of archives; its end is at hand."""

    def __init__(self, file: StoredFile, tail: bytes) -> None:
        super().__init__()
        self._file, self._tail, self._place = file, tail, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        place = offset + (0, self._place, self._file.size)[whence]
        if place < 0:
            raise ValueError("before the beginning")
        self._place = place
        return place

    def read(self, size: int = -1) -> bytes:
        stop = self._file.size if size < 0 else min(self._place + size, self._file.size)
        if stop - self._place > DIRECTORY_BYTES:
            raise ValueError("more than a directory has")
        if stop <= self._place:
            return b""
        known = self._file.size - len(self._tail)
        if self._place >= known:
            data = self._tail[self._place - known : stop - known]
        else:
            data = bytes(self._file.read(self._place, stop))
        self._place = stop
        return data
