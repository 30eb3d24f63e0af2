"""The journal of a spool: entries as lines of JSON with checksums, appended one at a time.

Room for more of them is kept on the disk. Delivering is what frees a full disk, and it has to be
noted before anything is removed.
"""

from __future__ import annotations

import ctypes
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mosaico_ros.nodes.libc import of_libc
from mosaico_ros.nodes.spool_log import FULL
from mosaico_ros.protocol.errors import FailedPreconditionError, ResourceExhaustedError

# Room is made anew when half of it is used: what is left is enough for some hundred files of the
# log, of a hundred topics.
_ROOM = 1 << 20
# Of fallocate(2): the file keeps its size.
_KEEP_SIZE = 1


class Journal:
    """A journal that exists, opened for more.

    Parameters
    ----------
    path
        The file; half an entry at its end is cut off.

    Attributes
    ----------
    entries
        Those that were there.

    Raises
    ------
    FailedPreconditionError
        There is no whole entry in it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries = list(_entries(path))
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._unsynced = False
        self._room_from = os.fstat(self._file).st_size
        _keep_room(self._file, self._room_from)

    @classmethod
    def create(cls, path: Path, first: dict[str, Any]) -> None:
        """Begin a journal durably; the name of the file is not made durable."""
        with path.open('wb') as file:
            file.write(_line(first))
            file.flush()
            os.fsync(file.fileno())

    def append(self, entry: dict[str, Any]) -> None:
        """Add an entry; :meth:`sync` makes it durable.

        Raises
        ------
        ResourceExhaustedError
            The disk is full; nothing was added.
        """
        line = _line(entry)
        size = os.fstat(self._file).st_size
        try:
            written = os.write(self._file, line)
        except OSError as error:
            if error.errno not in FULL:
                raise
            written = 0
        if written < len(line):
            if written:
                os.ftruncate(self._file, size)  # lines behind half a one would not be found
            raise ResourceExhaustedError(
                f'the disk of {self._path.parent} is full', remedy='free some space'
            )
        self._unsynced = True
        if size - self._room_from > _ROOM // 2:
            self._room_from = size
            _keep_room(self._file, size + len(line))

    def sync(self) -> None:
        """Make what was added survive a power cut."""
        if self._unsynced:
            self._unsynced = False
            os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _line(entry: dict[str, Any]) -> bytes:
    text = json.dumps(entry, separators=(',', ':')).encode()
    return b'%08x %s\n' % (zlib.crc32(text), text)


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    data = path.read_bytes()
    good = 0
    for line in data.splitlines(keepends=True):
        checksum, _, text = line.partition(b' ')
        if not line.endswith(b'\n') or checksum != b'%08x' % zlib.crc32(text[:-1]):
            break
        good += len(line)
        yield json.loads(text)
    if good == 0:
        raise FailedPreconditionError(
            f'the journal {path} does not say what was recorded',
            remedy='move the folder away; what is in it cannot be delivered',
        )
    if good < len(data):
        os.truncate(path, good)


def _keep_room(file: int, start: int) -> None:
    """Have the disk keep room behind the end of a file, if it can."""
    fallocate = of_libc('fallocate64')
    if fallocate is not None:
        fallocate(file, _KEEP_SIZE, ctypes.c_int64(start), ctypes.c_int64(_ROOM))
