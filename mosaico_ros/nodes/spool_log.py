"""A log of records in bounded files that survives being cut off at any byte.

One record holds rows of one or several topics as an Arrow message, or marks a place where the
recording is split. A header and a table of the topics, with checksums of their own, say how long
the body is and whose rows it holds, so that a scan can step over bodies without reading them.

What is appended is in the page cache at once, and so survives the death of the process; it
survives that of the machine after :meth:`SpoolLog.sync`, which covers all topics with one call.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from mosaico_ros.nodes.parcel import CAPTURED
from mosaico_ros.protocol.errors import DataLossError, ResourceExhaustedError

# magic, shares, number of the split, length of the body, checksums of the shares and of the body
_FIELDS = struct.Struct('<4sIQQII')
# topic, first row, rows, bytes of payload
_SHARE = struct.Struct('<IQIQ')
_CHECK = struct.Struct('<I')
_HEADER = _FIELDS.size + _CHECK.size
_MAGIC = b'MSP2'
#: What a full disk says.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# Below this many bytes, compressing costs more than it saves.
_WORTH_COMPRESSING = 16_384
# Stands for a topic where it is several.
_SEVERAL = -1
# What does not shrink to this share of its size is not compressed again for so many records.
_SHRUNK = 0.9
_PATIENCE = 50


@dataclass(frozen=True)
class Place:
    """A place in the log: number of the file, offset in it."""

    segment: int
    offset: int


class Share(NamedTuple):
    """What a topic has of a record.

    Attributes
    ----------
    topic
        Number of the topic.
    first, rows
        Index of the first row among all rows of the topic, and how many there are.
    size
        Bytes of payload.
    """

    topic: int
    first: int
    rows: int
    size: int


@dataclass(frozen=True)
class Piece:
    """Rows of one topic from a record.

    Attributes
    ----------
    share
        Which they are.
    batch
        The rows; None if they are damaged on the disk.
    held
        Whether they are those that were appended, kept in memory until `SpoolLog.release`.
    """

    share: Share
    batch: pa.RecordBatch | None
    held: bool


@dataclass(frozen=True)
class Record:
    """Rows of some topics, or the mark of a split.

    Attributes
    ----------
    shares
        Of each topic, in the order of the rows.
    split
        Number of the split, from 1; 0 if it is none.
    place, end
        Where the record begins in the log, and where it ends.
    batch
        The rows; None if they are damaged on the disk.
    held
        As in `Piece`.
    """

    shares: Sequence[Share]
    split: int
    place: Place
    end: Place
    batch: pa.RecordBatch | None = None
    held: bool = False

    @property
    def size(self) -> int:
        """Bytes of payload."""
        return sum(share.size for share in self.shares)

    def pieces(self) -> Iterator[Piece]:
        """Yield the rows of each topic."""
        start = 0
        for share in self.shares:
            rows = None if self.batch is None else self.batch.slice(start, share.rows)
            yield Piece(share, rows, self.held)
            start += share.rows


@dataclass
class _Segment:
    number: int
    path: Path
    size: int = 0
    #: Row behind the last one of each topic.
    ends: dict[int, int] = field(default_factory=dict)
    #: Bytes of each topic.
    sizes: dict[int, int] = field(default_factory=dict)

    def note(self, record: Record) -> None:
        length = record.end.offset - record.place.offset
        whole = max(1, record.size)
        for share in record.shares:
            self.ends[share.topic] = share.first + share.rows
            # What the record needs of the disk is shared as its payloads are.
            part = length * share.size // whole
            self.sizes[share.topic] = self.sizes.get(share.topic, 0) + part
        self.size = record.end.offset


class SpoolLog:
    """The files of one recording. One thread appends, one reads and acknowledges.

    Parameters
    ----------
    folder
        Holds the files ``00000001.seg``, ...; those that exist are scanned.
    segment_bytes
        A file that has grown to this size is followed by another.
    limit_bytes
        Size of all files above which nothing is appended.
    min_free_bytes
        Free space that the file system keeps.
    memory_bytes
        How much of what was appended last may stay in memory for the reader.
    before_sync
        Called before the log is made durable, for what it refers to.

    Attributes
    ----------
    cut
        Bytes at the ends of files that were no whole record, and were cut off.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = 64_000_000,
        limit_bytes: int = 1 << 62,
        min_free_bytes: int = 0,
        memory_bytes: int = 0,
        before_sync: Callable[[], object] = lambda: None,
    ) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._limit_bytes = limit_bytes
        self._min_free_bytes = min_free_bytes
        self._memory_bytes = memory_bytes
        self._before_sync = before_sync
        self._news = threading.Condition()
        self._segments: deque[_Segment] = deque()
        self._file = -1
        self._dirty = False
        self._reader: tuple[int, int] | None = None
        self._tail: deque[Record] = deque()
        self._retained = 0
        self._compression: dict[int, int] = {}
        self.cut = 0
        for path in sorted(folder.glob('*.seg')):
            self._scan(_Segment(int(path.stem), path))
        self._cursor = Place(self._segments[0].number if self._segments else 1, 0)
        self._end = self._cursor
        if self._segments:
            last = self._segments[-1]
            self._end = Place(last.number, last.size)

    # -- writing -----------------------------------------------------------------------------

    def append(self, batch: pa.RecordBatch, shares: Sequence[Share], *, hold: bool = True) -> bool:
        """Add rows of the topics with `shares`; tell whether they stay in memory.

        They do until :meth:`release`; without `hold` they do not.

        Raises
        ------
        ResourceExhaustedError
            The disk or the spool is full; nothing was added.
        """
        body = self._encode(batch, shares)
        return self._add(shares, 0, body, batch if hold else None)

    def mark_split(self, number: int) -> None:
        """Mark a place where a reader begins another part."""
        self._add((), number, b'', None)

    def sync(self) -> None:
        """Make what was appended survive a power cut."""
        self._before_sync()
        if self._dirty:
            self._dirty = False
            os.fdatasync(self._file)

    @property
    def _available(self) -> int:
        free = os.statvfs(self._folder)
        return free.f_bavail * free.f_frsize

    def fill(self) -> float:
        """Return which part is used of the room that the bounds leave, 0 to 1."""
        size = self.size
        room = min(self._limit_bytes - size, self._available - self._min_free_bytes)
        return size / (size + room) if room > 0 else 1.0

    def holdings(self) -> dict[int, int]:
        """Return the bytes of each topic."""
        held: dict[int, int] = {}
        for segment in list(self._segments):
            for topic, size in list(segment.sizes.items()):
                held[topic] = held.get(topic, 0) + size
        return held

    def check_space(self) -> None:
        """Raise ResourceExhaustedError if the file system is about to be full."""
        available = self._available
        if available < self._min_free_bytes:
            raise ResourceExhaustedError(
                f'only {available // 1_000_000} MB are free on the disk of {self._folder}',
                remedy='free some space; min_free_space_mb says how much has to be left',
            )

    def _add(
        self,
        shares: Sequence[Share],
        split: int,
        body: bytes | pa.Buffer,
        batch: pa.RecordBatch | None,
    ) -> bool:
        table = b''.join(_SHARE.pack(*share) for share in shares)
        head = _FIELDS.pack(
            _MAGIC, len(shares), split, len(body), zlib.crc32(table), zlib.crc32(body)
        )
        length = _HEADER + len(table) + len(body)
        if self.size + length > self._limit_bytes:
            raise ResourceExhaustedError(
                f'the spool in {self._folder} has reached its bound of '
                f'{self._limit_bytes // 1_000_000} MB',
                remedy='bring the daemon back, or raise spool_max_mb',
            )
        if self._file < 0 or self._segments[-1].size >= self._segment_bytes:
            self._roll()
        segment = self._segments[-1]
        self._write(segment, (head + _CHECK.pack(zlib.crc32(head)) + table, body))
        place = Place(segment.number, segment.size)
        end = Place(segment.number, segment.size + length)
        record = Record(shares, split, place, end)
        with self._news:
            segment.note(record)
            self._end = end
            # In memory lie the records from the reader on without a gap, or from a gap on none.
            awaited = self._tail[-1].end if self._tail else self._cursor
            kept = (
                batch is not None
                and _same(awaited, place, self._segments)
                and self._retained + record.size <= self._memory_bytes
            )
            if kept:
                self._tail.append(Record(shares, split, place, end, batch, held=True))
                self._retained += record.size
            self._news.notify_all()
        return kept

    def _write(self, segment: _Segment, parts: tuple[bytes | pa.Buffer, ...]) -> None:
        views = [memoryview(part) for part in parts if len(part)]
        try:
            while views:
                written = os.writev(self._file, views)
                while views and written >= len(views[0]):
                    written -= len(views.pop(0))
                if views:
                    views[0] = views[0][written:]
        except OSError as error:
            os.ftruncate(self._file, segment.size)  # no half record in front of a later one
            if error.errno not in FULL:
                raise
            raise ResourceExhaustedError(
                f'the disk of {self._folder} is full', remedy='free some space'
            ) from error
        self._dirty = True

    def _roll(self) -> None:
        if self._file >= 0:
            self.sync()
            os.close(self._file)
            self._file = -1
        number = self._segments[-1].number + 1 if self._segments else self._end.segment
        path = self._folder / f'{number:08d}.seg'
        try:
            self._file = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
            sync_folder(self._folder)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise ResourceExhaustedError(
                f'the disk of {self._folder} is full', remedy='free some space'
            ) from error
        with self._news:
            self._segments.append(_Segment(number, path))
            self._end = Place(number, 0)

    def _encode(self, batch: pa.RecordBatch, shares: Sequence[Share]) -> pa.Buffer:
        # Whether it pays is a matter of the topic; bundles, of little of many, are much alike.
        topic = shares[0].topic if len(shares) == 1 else _SEVERAL
        size = sum(share.size for share in shares)
        skip = self._compression.get(topic, 0)
        compress = size >= _WORTH_COMPRESSING and not skip
        if skip:
            self._compression[topic] = skip - 1
        sink = pa.BufferOutputStream()
        options = _COMPRESSED if compress else _PLAIN
        with pa.ipc.new_stream(sink, CAPTURED, options=options) as writer:
            writer.write_batch(batch)
        stream = sink.getvalue()
        body = stream.slice(_SCHEMA_BYTES, stream.size - _SCHEMA_BYTES - _END_BYTES)
        if compress and body.size > batch.nbytes * _SHRUNK:
            self._compression[topic] = _PATIENCE
        return body

    # -- reading -----------------------------------------------------------------------------

    def next(self, timeout: float) -> Record | None:
        """Return the next record with its rows, or None if none comes within `timeout` seconds.

        A record whose body is damaged has no batch.
        """
        with self._news:
            if not self._ahead() and timeout > 0:
                self._news.wait_for(self._ahead, timeout)
            if not self._ahead():
                return None
            if self._tail:
                record = self._tail.popleft()
                self._cursor = record.end
                return record
            place = self._place()
        record = self._read(place)
        self._cursor = record.end
        return record

    def release(self, pieces: Iterable[Piece]) -> int:
        """Say that rows are not needed any more; return the bytes freed in memory."""
        size = sum(piece.share.size for piece in pieces if piece.held)
        with self._news:
            self._retained -= size
        return size

    def rewind(self) -> int:
        """Read again from the oldest record that is left; return the bytes freed in memory."""
        with self._news:
            freed = sum(record.size for record in self._tail)
            self._tail.clear()
            self._retained -= freed
            self._cursor = Place(self._segments[0].number if self._segments else 1, 0)
        return freed

    def discard(self, acknowledged: Mapping[int, int]) -> Iterator[Path]:
        """Remove files whose rows all lie in front of the acknowledged one of their topic.

        Yields each file before it goes. The last one stays.
        """
        while len(self._segments) > 1:
            oldest = self._segments[0]
            passed = self._cursor.segment > oldest.number
            if not passed or any(
                acknowledged.get(topic, 0) < end for topic, end in oldest.ends.items()
            ):
                return
            yield oldest.path
            with self._news:
                self._segments.popleft()
            oldest.path.unlink()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(segment.size for segment in list(self._segments))

    def ends(self) -> dict[int, int]:
        """Return the row behind the last one of each topic."""
        found: dict[int, int] = {}
        for segment in list(self._segments):
            found.update(segment.ends)
        return found

    def close(self) -> None:
        """Make everything durable and close the files."""
        if self._file >= 0:
            self.sync()
            os.close(self._file)
            self._file = -1
        if self._reader is not None:
            os.close(self._reader[1])
            self._reader = None

    def _ahead(self) -> bool:
        return bool(self._tail) or self._place() != self._end

    def _place(self) -> Place:
        """Where to read on: the cursor, or the next file if it is at the end of one."""
        cursor = self._cursor
        for segment in self._segments:
            if segment.number < cursor.segment:
                continue
            start = cursor.offset if segment.number == cursor.segment else 0
            if start < segment.size:
                return Place(segment.number, start)
        return self._end

    def _open(self, number: int) -> int:
        if self._reader is None or self._reader[0] != number:
            if self._reader is not None:
                os.close(self._reader[1])
                self._reader = None
            path = self._folder / f'{number:08d}.seg'
            self._reader = (number, os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        return self._reader[1]

    def _read(self, place: Place) -> Record:
        file = self._open(place.segment)
        record, length, checksum = _header(file, place)
        if record.split:
            return record
        body = os.pread(file, length, record.end.offset - length)
        if len(body) != length or zlib.crc32(body) != checksum:
            return record
        batch = pa.ipc.read_record_batch(pa.py_buffer(body), CAPTURED)
        return Record(record.shares, 0, place, record.end, batch)

    def _scan(self, segment: _Segment) -> None:
        """Find the records of a file, and cut off what is none."""
        total = segment.path.stat().st_size
        with segment.path.open('r+b', buffering=0) as file:
            while segment.size < total:
                place = Place(segment.number, segment.size)
                try:
                    record, length, checksum = _header(file.fileno(), place)
                except DataLossError:
                    break
                # A body is checked when it is read, but for what may be torn: the last one.
                if record.end.offset > total or (
                    record.end.offset == total
                    and zlib.crc32(os.pread(file.fileno(), length, total - length)) != checksum
                ):
                    break
                segment.note(record)
            if segment.size < total:
                self.cut += total - segment.size
                file.truncate(segment.size)
                os.fsync(file.fileno())
        self._segments.append(segment)


def _same(first: Place, second: Place, segments: deque[_Segment]) -> bool:
    """Whether nothing lies between two places, of which one may be at the end of a file."""
    if first == second:
        return True
    return second.offset == 0 and all(
        segment.size <= (first.offset if segment.number == first.segment else 0)
        for segment in segments
        if first.segment <= segment.number < second.segment
    )


def _header(file: int, place: Place) -> tuple[Record, int, int]:
    """Read a header; returns the record without its rows, length and checksum of the body."""
    data = os.pread(file, _HEADER, place.offset)
    if len(data) == _HEADER and _CHECK.unpack_from(data, _FIELDS.size)[0] == zlib.crc32(
        data[: _FIELDS.size]
    ):
        magic, count, split, length, checksum, body = _FIELDS.unpack_from(data)
        table = os.pread(file, count * _SHARE.size, place.offset + _HEADER)
        whole = len(table) == count * _SHARE.size and zlib.crc32(table) == checksum
        if magic == _MAGIC and whole:
            shares = tuple(map(Share._make, _SHARE.iter_unpack(table)))
            end = Place(place.segment, place.offset + _HEADER + len(table) + length)
            return Record(shares, split, place, end), length, body
    raise DataLossError(f'segment {place.segment} has no record at {place.offset}')


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # not every file system can
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


_PLAIN = pa.ipc.IpcWriteOptions()
_COMPRESSED = pa.ipc.IpcWriteOptions(compression=pa.Codec('zstd', compression_level=1))


def _empty_stream() -> int:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, CAPTURED):
        pass
    return int(sink.getvalue().size)


# A stream is the schema, which is always the same, the batch, and this end.
_END_BYTES = 8
_SCHEMA_BYTES = _empty_stream() - _END_BYTES
