"""Writing MCAP files: messages in chunks with their indexes, laid out a batch at a time.

Source: the MCAP specification, https://mcap.dev/spec.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from typing_extensions import Self

from mosaico_ros.ros_bridge.cdr.cursor import running
from mosaico_ros.ros_bridge.cdr.decoder import Buffer

_MAGIC = b'\x89MCAP0\r\n'
_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _CHUNK = 0x01, 0x02, 0x03, 0x04, 0x06
_INDEX, _CHUNK_INDEX, _ATTACHMENT, _ATTACHMENT_INDEX = 0x07, 0x08, 0x09, 0x0A
_STATISTICS, _METADATA, _METADATA_INDEX, _SUMMARY_OFFSET, _DATA_END = 0x0B, 0x0C, 0x0D, 0x0E, 0x0F
_RECORD = struct.Struct('<BQ')
#: What stands before the payload of each message, itself included in the chunk. Times before the
#: epoch are written as rosbag2 does, which has signed ones.
_MESSAGE = np.dtype(
    [
        ('opcode', 'u1'),
        ('length', '<u8'),
        ('channel', '<u2'),
        ('sequence', '<u4'),
        ('log_time', '<i8'),
        ('publish_time', '<i8'),
    ]
)
_ENTRY = np.dtype([('time', '<i8'), ('offset', '<u8')])
#: A chunk is closed when it has this many bytes.
_CHUNK_BYTES = 4 << 20


@dataclass(frozen=True)
class _ChunkPlace:
    first: int
    last: int
    start: int
    length: int
    indexes: dict[int, int]
    index_length: int
    packed: int
    size: int


class McapWriter:
    """One ``.mcap`` file, complete with the exit of its ``with`` block.

    Parameters
    ----------
    path
        File to write; one that exists is replaced.
    profile
        ``ros2``, ``ros1`` or nothing.
    compression
        Of chunks: ``zstd`` or nothing.
    """

    def __init__(self, path: Path, profile: str = 'ros2', compression: str = 'zstd') -> None:
        self._file: BinaryIO = path.open('wb')
        self._compression = compression
        self._schemas: list[bytes] = []
        self._schema_ids: dict[tuple[str, str, bytes], int] = {}
        self._channels: list[bytes] = []
        self._counts: dict[int, int] = {}
        self._first, self._last = 2**63 - 1, -(2**63)
        self._chunks: list[_ChunkPlace] = []
        self._attachments: list[bytes] = []
        self._metadata: list[bytes] = []
        self._pieces: list[Buffer] = []
        self._pending: list[np.ndarray] = []
        self._pending_bytes = 0
        self._file.write(_MAGIC)
        self._record(_HEADER, _text(profile) + _text('mosaico_ros'))

    def add_channel(
        self,
        topic: str,
        encoding: str,
        schema: tuple[str, str, bytes] | None = None,
        metadata: dict[str, str] | None = None,
    ) -> int:
        """Add a channel; return its id.

        Parameters
        ----------
        topic
            Its name.
        encoding
            Of its messages, such as ``cdr``.
        schema
            Name, encoding (``ros2msg``) and text of the message type.
        metadata
            What else there is to say, such as ``offered_qos_profiles``.
        """
        schema_id = 0
        if schema is not None:
            schema_id = self._schema_ids.setdefault(schema, len(self._schema_ids) + 1)
            if schema_id > len(self._schemas):
                name, form, text = schema
                record = struct.pack('<H', schema_id) + _text(name) + _text(form) + _blob(text)
                self._schemas.append(self._record(_SCHEMA, record))
        channel = len(self._channels) + 1
        record = struct.pack('<HH', channel, schema_id) + _text(topic) + _text(encoding)
        self._channels.append(self._record(_CHANNEL, record + _strings(metadata or {})))
        self._counts[channel] = 0
        return channel

    def add_ros_channel(
        self, topic: str, msgtype: str, definition: str | None, qos: str, type_hash: str
    ) -> int:
        """Add a channel of ROS 2 messages, described as rosbag2 does; return its id.

        Parameters
        ----------
        topic, msgtype
            Their names.
        definition
            Text of the type, `None` if nobody has it: its name is still of use.
        qos
            Profiles of the publishers as YAML.
        type_hash
            Of the type, if known.
        """
        schema = (
            (msgtype, '', b'') if definition is None else (msgtype, 'ros2msg', definition.encode())
        )
        metadata = {'offered_qos_profiles': qos, 'topic_type_hash': type_hash}
        return self.add_channel(topic, 'cdr', schema, metadata)

    def write(
        self,
        channels: np.ndarray,
        times: np.ndarray,
        payloads: Sequence[Buffer],
        published: np.ndarray | None = None,
    ) -> None:
        """Append messages in the order given.

        Parameters
        ----------
        channels
            Id of the channel of each message, shape (n,).
        times
            Record times, shape (n,), int64, in ns.
        payloads
            The messages, n of them.
        published
            Times of publication, as `times`; the record times where they are not known.
        """
        n = len(payloads)
        if n == 0:
            return
        heads = np.zeros(n, _MESSAGE)
        lengths = np.fromiter(map(len, payloads), np.int64, n)
        heads['opcode'] = 0x05
        heads['length'] = lengths + (_MESSAGE.itemsize - _RECORD.size)
        heads['channel'] = channels
        heads['log_time'] = times
        heads['publish_time'] = times if published is None else published
        for channel, count in zip(*np.unique(channels, return_counts=True), strict=True):
            mine = np.flatnonzero(channels == channel)
            heads['sequence'][mine] = self._counts[int(channel)] + np.arange(count)
            self._counts[int(channel)] += int(count)
        ends = np.cumsum(lengths + _MESSAGE.itemsize)
        start = 0
        while start < n:
            before = int(ends[start - 1]) if start else 0
            room = max(_CHUNK_BYTES - self._pending_bytes, 0)
            stop = max(int(np.searchsorted(ends, before + room, 'right')), start + 1)
            raw = heads[start:stop].tobytes()
            size = _MESSAGE.itemsize
            for i in range(stop - start):
                self._pieces.append(raw[i * size : (i + 1) * size])
                self._pieces.append(payloads[start + i])
            self._pending.append(heads[start:stop])
            self._pending_bytes += int(ends[stop - 1]) - before
            if self._pending_bytes >= _CHUNK_BYTES:
                self._close_chunk()
            start = stop

    def add_metadata(self, name: str, values: dict[str, str]) -> None:
        """Append a metadata record."""
        self._close_chunk()
        at = self._file.tell()
        written = self._record(_METADATA, _text(name) + _strings(values))
        self._metadata.append(struct.pack('<QQ', at, len(written)) + _text(name))

    def add_attachment(
        self,
        name: str,
        media_type: str,
        size: int,
        pieces: Iterable[bytes],
        log_time: int,
        create_time: int | None = None,
    ) -> None:
        """Append an attachment, a file within the file.

        Parameters
        ----------
        name, media_type
            Such as ``freeze_frame.json`` and ``application/json``.
        size, pieces
            Number of its bytes, and they themselves.
        log_time
            When it was recorded, in ns.
        create_time
            When the file was made, in ns; now by default.
        """
        self._close_chunk()
        at = self._file.tell()
        created = time.time_ns() if create_time is None else create_time
        times = struct.pack('<QQ', log_time, created)
        named = _text(name) + _text(media_type)
        head = times + named + struct.pack('<Q', size)
        length = len(head) + size + 4
        self._file.write(_RECORD.pack(_ATTACHMENT, length))
        self._file.write(head)
        check = zlib.crc32(head)
        for piece in pieces:
            self._file.write(piece)
            check = zlib.crc32(piece, check)
        self._file.write(struct.pack('<I', check))
        place = struct.pack('<QQ', at, _RECORD.size + length)
        self._attachments.append(place + times + struct.pack('<Q', size) + named)

    def close(self) -> None:
        """Write the summary and close the file; calling it again does nothing."""
        if self._file.closed:
            return
        self._close_chunk()
        self._record(_DATA_END, struct.pack('<I', 0))
        start = self._file.tell()
        groups = {
            _SCHEMA: self._schemas,
            _CHANNEL: self._channels,
            _STATISTICS: [_framed(_STATISTICS, self._statistics())],
            _ATTACHMENT_INDEX: [_framed(_ATTACHMENT_INDEX, one) for one in self._attachments],
            _METADATA_INDEX: [_framed(_METADATA_INDEX, one) for one in self._metadata],
            _CHUNK_INDEX: [_framed(_CHUNK_INDEX, self._chunk_index(c)) for c in self._chunks],
        }
        offsets = []
        for opcode, records in groups.items():
            if records:
                at = self._file.tell()
                self._file.write(b''.join(records))
                offsets.append(struct.pack('<BQQ', opcode, at, self._file.tell() - at))
        offset_start = self._file.tell()
        for offset in offsets:
            self._record(_SUMMARY_OFFSET, offset)
        self._record(_FOOTER, struct.pack('<QQI', start, offset_start, 0))
        self._file.write(_MAGIC)
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._file.close()

    def _record(self, opcode: int, content: bytes) -> bytes:
        record = _framed(opcode, content)
        self._file.write(record)
        return record

    def _close_chunk(self) -> None:
        if not self._pieces:
            return
        data = b''.join(self._pieces)
        heads = np.concatenate(self._pending)
        self._pieces, self._pending, self._pending_bytes = [], [], 0
        packed = data
        if self._compression:
            packed = pa.Codec(self._compression).compress(data, asbytes=True)
        first, last = int(heads['log_time'].min()), int(heads['log_time'].max())
        self._first, self._last = min(self._first, first), max(self._last, last)
        start = self._file.tell()
        head = struct.pack('<qqQI', first, last, len(data), zlib.crc32(data))
        head += _text(self._compression) + struct.pack('<Q', len(packed))
        self._file.write(_RECORD.pack(_CHUNK, len(head) + len(packed)))
        self._file.write(head)
        self._file.write(packed)
        index_start = self._file.tell()
        entries = np.zeros(len(heads), _ENTRY)
        entries['time'] = heads['log_time']
        entries['offset'] = running(heads['length'].astype(np.int64) + _RECORD.size)[:-1]
        indexes = {}
        for channel in np.unique(heads['channel']).tolist():
            indexes[channel] = self._file.tell()
            mine = entries[heads['channel'] == channel].tobytes()
            self._record(_INDEX, struct.pack('<H', channel) + _blob(mine))
        end = self._file.tell()
        self._chunks.append(
            _ChunkPlace(
                first,
                last,
                start,
                index_start - start,
                indexes,
                end - index_start,
                len(packed),
                len(data),
            )
        )

    def _statistics(self) -> bytes:
        counts = b''.join(struct.pack('<HQ', key, count) for key, count in self._counts.items())
        fixed = struct.pack(
            '<QHIIIIqq',
            sum(self._counts.values()),
            len(self._schemas),
            len(self._channels),
            len(self._attachments),
            len(self._metadata),
            len(self._chunks),
            self._first if self._chunks else 0,
            self._last if self._chunks else 0,
        )
        return fixed + _blob(counts)

    def _chunk_index(self, chunk: _ChunkPlace) -> bytes:
        indexes = b''.join(struct.pack('<HQ', key, at) for key, at in chunk.indexes.items())
        place = struct.pack('<qqQQ', chunk.first, chunk.last, chunk.start, chunk.length)
        packed = struct.pack('<QQ', chunk.packed, chunk.size)
        index_length = struct.pack('<Q', chunk.index_length)
        return place + _blob(indexes) + index_length + _text(self._compression) + packed


def _framed(opcode: int, content: bytes) -> bytes:
    return _RECORD.pack(opcode, len(content)) + content


def _blob(data: bytes) -> bytes:
    return struct.pack('<I', len(data)) + data


def _text(text: str) -> bytes:
    return _blob(text.encode())


def _strings(values: dict[str, str]) -> bytes:
    return _blob(b''.join(_text(key) + _text(value) for key, value in values.items()))
