"""MCAP files, walked chunk by chunk with the arrays of their message indexes.

The file is read once, front to back. The index records that follow a chunk say where its messages
lie, so that no record is parsed in Python; what no index covers (definitions, chunks without
index, messages outside chunks) is scanned record by record. Nothing depends on the summary at
the end: it only tells topics, counts and the places of metadata and attachments beforehand.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.ros_bridge.bags.extras import Attachment, FilePart
from mosaico_ros.ros_bridge.bags.metadata import parse_metadata
from mosaico_ros.ros_bridge.bags.records import Bag, BagTopic, Collector, MessageGroup
from mosaico_ros.ros_bridge.cdr.decoder import Payloads
from mosaico_ros.ros_bridge.cdr.rows import Rows
from mosaico_ros.ros_bridge.channels.codec import CHANNEL_ENCODINGS, Channel
from mosaico_ros.ros_bridge.definitions import full_name

MAGIC = b'\x89MCAP0\r\n'
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _INDEX = 0x03, 0x04, 0x05, 0x06, 0x07
_ATTACHMENT, _ATTACHMENT_INDEX, _STATISTICS = 0x09, 0x0A, 0x0B
_METADATA, _METADATA_INDEX, _DATA_END = 0x0C, 0x0D, 0x0F
#: Records beside the messages, which are taken in when the file is opened.
_BESIDE = (_ATTACHMENT, _METADATA)
_RECORD = struct.Struct('<BQ')
_FOOTER = struct.Struct('<BQQQI')
#: Fixed part of a message record: opcode, length, channel, sequence, log and publish time.
_MESSAGE_DTYPE = np.dtype(
    {
        'names': ['opcode', 'length', 'channel', 'time', 'published'],
        'formats': ['u1', '<u8', '<u2', '<i8', '<i8'],
        'offsets': [0, 1, 9, 15, 23],
        'itemsize': 31,
    }
)
#: Bytes of a message record's content that are not payload.
_MESSAGE_HEAD = 22
#: Larger chunks than this are taken for damage; up to the other, what a chunk says of its size is
#: believed before it is unpacked.
_LARGEST_CHUNK = 4 << 30
_BELIEVED_CHUNK = 64 << 20
#: Of an attachment, at most so much stands before its bytes.
_LARGEST_HEAD = 1 << 20


@dataclass(frozen=True)
class _Channel:
    topic: BagTopic | None
    schema: int


class McapBag(Bag):
    """One ``.mcap`` file.

    Raises
    ------
    InvalidArgumentError
        If the file does not begin as MCAP files do.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._size = path.stat().st_size
        self._schemas: dict[int, tuple[str, str, bytes]] = {}
        self._channels: dict[int, _Channel] = {}
        self._counts: dict[int, int] = {}
        #: Number of records beside the messages, if the summary says it.
        self._beside: int | None = None
        with path.open('rb') as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise InvalidArgumentError(f'{path} is not an MCAP file')
            places = self._read_summary(file)
            if len(places) != self._beside:
                places = list(self._walked())
            for opcode, start, length in places:
                self._read_beside(file, opcode, start, length)

    def groups(self, wanted: Callable[[BagTopic], bool]) -> Iterator[MessageGroup]:
        collector = Collector()
        with self.path.open('rb', buffering=1 << 20) as file:
            file.seek(len(MAGIC))
            chunk: np.ndarray | None = None
            indexes: list[bytes] = []
            while True:
                opcode, content = self._record(file)
                if opcode == _INDEX and chunk is not None:
                    indexes.append(content)
                    continue
                if chunk is not None:
                    yield from self._chunk_messages(chunk, indexes, wanted, collector)
                    chunk, indexes = None, []
                if opcode == _CHUNK:
                    chunk = self._unpacked(content)
                elif opcode == _MESSAGE:
                    head = _RECORD.pack(opcode, len(content))
                    record = np.frombuffer(head + content, np.uint8)
                    yield from self._messages(record, np.zeros(1, np.int64), wanted, collector)
                elif opcode in (_DATA_END, None):
                    break
                elif opcode not in _BESIDE:
                    self._define(opcode, content)
        yield from collector.rest()

    # --- records --------------------------------------------------------------------------------

    def _record(self, file: BinaryIO) -> tuple[int | None, bytes]:
        """Next record; opcode None at the end of the file, however it ends.

        The content of those beside the messages is passed over: attachments may be large.
        """
        head = file.read(_RECORD.size)
        if len(head) < _RECORD.size:
            self.problems.append('the file was not finished: it has no end of data')
            return None, b''
        opcode, length = _RECORD.unpack(head)
        # Not more than there is: reading makes room for all that is asked for.
        there = min(length, self._size - file.tell())
        if opcode in _BESIDE:
            file.seek(there, os.SEEK_CUR)
            content = b''
        else:
            content = file.read(there)
            there = len(content)
        if there < length:
            self.problems.append(
                f'the file ends inside a record of {length} bytes at byte '
                f'{self._size - there}; what lies before is kept'
            )
            if opcode == _CHUNK:
                return opcode, content
            return None, b''
        return opcode, content

    def _define(self, opcode: int, content: bytes) -> None:
        """Take in a schema, a channel or the statistics."""
        view = _Fields(content)
        try:
            if opcode == _SCHEMA:
                key = view.number('<H')
                self._schemas[key] = (view.text(), view.text(), view.blob())
            elif opcode == _CHANNEL:
                key, schema = view.number('<H'), view.number('<H')
                name, encoding = view.text(), view.text()
                self._add_channel(key, schema, name, encoding, view.strings())
            elif opcode == _STATISTICS:
                self._beside = sum(struct.unpack_from('<II', content, 14))
                view.at = 42
                pairs = np.frombuffer(view.blob(), np.dtype([('key', '<u2'), ('count', '<u8')]))
                self._counts = dict(
                    zip(pairs['key'].tolist(), pairs['count'].tolist(), strict=True)
                )
        except (struct.error, ValueError) as error:
            self.problems.append(f'a record of type 0x{opcode:02x} is damaged ({error})')

    def _describe(self, name: str, values: dict[str, str]) -> None:
        """Take in a metadata record; rosbag2's own tells of distribution and user."""
        if name != 'rosbag2':
            self.extras.metadata.append((name, values))
        elif (described := parse_metadata(values.get('serialized_metadata', ''))) is not None:
            self.distro = described.distro
            self.extras.custom_data = described.custom_data

    def _walked(self) -> Iterator[tuple[int, int, int]]:
        """Opcode, place and length of the records beside the messages, by all records' heads."""
        at = len(MAGIC)
        with self.path.open('rb', buffering=0) as file:
            while at + _RECORD.size <= self._size:
                file.seek(at)
                opcode, length = _RECORD.unpack(file.read(_RECORD.size))
                length += _RECORD.size
                # A file that lost power may end with zeros.
                if opcode in (0, _DATA_END) or at + length > self._size:
                    return
                if opcode in _BESIDE:
                    yield opcode, at, length
                at += length

    def _read_beside(self, file: BinaryIO, opcode: int, start: int, length: int) -> None:
        """Take in metadata, or what there is to know of an attachment."""
        if start + length > self._size or length < _RECORD.size:
            self.problems.append('the summary names a record that is not there')
            return
        file.seek(start + _RECORD.size)
        length -= _RECORD.size
        try:
            if opcode == _METADATA:
                view = _Fields(file.read(length))
                self._describe(view.text(), view.strings())
            else:
                view = _Fields(file.read(min(length, _LARGEST_HEAD)))
                times = view.number('<Q'), view.number('<Q')
                name, media_type = view.text(), view.text()
                size = view.number('<Q')
                if view.at + size > length:
                    raise ValueError('it ends early')
                part = FilePart(self.path, start + _RECORD.size + view.at, size)
                self.extras.attachments.append(Attachment(name, media_type, *times, size, part))
        except (struct.error, ValueError) as error:
            kind = 'metadata' if opcode == _METADATA else 'an attachment'
            self.problems.append(f'{kind} is damaged ({error})')

    def _add_channel(
        self, key: int, schema: int, name: str, encoding: str, extra: dict[str, str]
    ) -> None:
        if key in self._channels:
            return
        topic = None
        msgtype, form, text = self._schemas.get(schema, ('', '', b''))
        if encoding in CHANNEL_ENCODINGS:
            channel = Channel(name, encoding, msgtype, form, text, extra)
            topic = BagTopic(name, msgtype or encoding, channel=channel)
        elif encoding not in ('cdr', 'ros1'):
            self.problems.append(
                f'{name}: skipped, messages are encoded as {encoding or "nothing"!r}, '
                'which cannot be read'
            )
        elif not msgtype:
            self.problems.append(f'{name}: skipped, the file does not say its message type')
        else:
            try:
                topic = BagTopic(
                    name,
                    full_name(msgtype),
                    text.decode() if form in ('ros2msg', 'ros2idl', 'ros1msg') else None,
                    ros1=encoding == 'ros1',
                    qos=extra.get('offered_qos_profiles'),
                )
            except (InvalidArgumentError, UnicodeDecodeError) as error:
                self.problems.append(f'{name}: skipped, {error}')
        self._channels[key] = _Channel(topic and self._admit(topic), schema)

    def _read_summary(self, file: BinaryIO) -> list[tuple[int, int, int]]:
        """Take in topics and counts from the end of the file, if it has one.

        Returns opcode, place and length of the records beside the messages that it names.
        """
        tail = _FOOTER.size + len(MAGIC)
        if self._size < 2 * tail:
            return []
        file.seek(-tail, os.SEEK_END)
        footer = file.read(tail)
        opcode, _, start, _, _ = _FOOTER.unpack(footer[: _FOOTER.size])
        if opcode != 0x02 or not footer.endswith(MAGIC) or not 0 < start < self._size:
            return []
        file.seek(start)
        stop = self._size - tail
        summary = file.read(stop - start)
        at = 0
        places: list[tuple[int, int, int]] = []
        while at + _RECORD.size <= len(summary):
            opcode, length = _RECORD.unpack_from(summary, at)
            at += _RECORD.size
            if opcode in (_SCHEMA, _CHANNEL, _STATISTICS):
                self._define(opcode, summary[at : at + length])
            elif opcode in (_METADATA_INDEX, _ATTACHMENT_INDEX) and at + 16 <= len(summary):
                # The record itself has the opcode before that of its index.
                places.append((opcode - 1, *struct.unpack_from('<QQ', summary, at)))
            at += length
        for key, channel in self._channels.items():
            if channel.topic is not None and self._counts:
                topic = self.topics[channel.topic.key]
                count = (topic.count or 0) + self._counts.get(key, 0)
                self.topics[topic.key] = replace(topic, count=count)
        return places

    # --- chunks ---------------------------------------------------------------------------------

    def _unpacked(self, content: bytes) -> np.ndarray:
        """Records of a chunk; what cannot be unpacked is reported and empty."""
        nothing = np.empty(0, np.uint8)
        try:
            view = _Fields(content)
            view.at = 16
            size, crc = view.number('<Q'), view.number('<I')
            compression = view.text()
            view.number('<Q')
        except (struct.error, ValueError):
            self.problems.append('a chunk is damaged: its head cannot be read')
            return nothing
        packed = np.frombuffer(content, np.uint8)[view.at :]
        if not compression:
            records = packed
        elif compression not in ('zstd', 'lz4') or size > _LARGEST_CHUNK:
            self.problems.append(f'a chunk compressed with {compression!r} cannot be unpacked')
            return nothing
        else:
            try:
                unpacked = _decompressed(pa.py_buffer(packed), compression, size)
            except (OSError, pa.ArrowException) as error:
                self.problems.append(
                    f'a chunk cannot be unpacked ({error}): its messages are lost'
                )
                return nothing
            records = np.frombuffer(unpacked, np.uint8)
        if crc and len(records) == size and zlib.crc32(records.data) != crc:
            self.problems.append('a chunk does not match its checksum: its messages are suspect')
        return records

    def _chunk_messages(
        self,
        chunk: np.ndarray,
        indexes: list[bytes],
        wanted: Callable[[BagTopic], bool],
        collector: Collector,
    ) -> Iterator[MessageGroup]:
        starts = self._indexed(chunk, indexes)
        # Whatever the index does not cover is scanned: definitions, and messages it forgot.
        if len(starts):
            ends = starts + _RECORD.size + _head(chunk, starts)['length'].astype(np.int64)
            edges = np.concatenate([[0], ends]), np.concatenate([starts, [len(chunk)]])
            gaps = np.flatnonzero(edges[0] < edges[1])
            found = [self._scan(chunk, int(edges[0][i]), int(edges[1][i])) for i in gaps.tolist()]
            forgotten = [at for part in found for at in part]
            if forgotten:
                starts = np.sort(np.concatenate([starts, np.array(forgotten, np.int64)]))
        else:
            starts = np.array(self._scan(chunk, 0, len(chunk)), np.int64)
        if len(starts):
            yield from self._messages(chunk, starts, wanted, collector)

    def _indexed(self, chunk: np.ndarray, indexes: list[bytes]) -> np.ndarray:
        """Verified starts of the message records that the index names, in file order."""
        entries = [
            np.frombuffer(content[6 : len(content) - (len(content) - 6) % 16], '<u8')[1::2]
            for content in indexes
        ]
        if not entries:
            return np.empty(0, np.int64)
        starts = np.unique(np.concatenate(entries).astype(np.int64))
        if starts.size == 0 or starts[0] < 0:
            return np.empty(0, np.int64)
        inside = starts[-1] <= len(chunk) - _MESSAGE_DTYPE.itemsize
        if inside:
            heads = _head(chunk, starts)
            ends = starts + _RECORD.size + heads['length'].astype(np.int64)
            sound = (
                (heads['opcode'] == _MESSAGE)
                & (heads['length'] >= _MESSAGE_HEAD)
                & (heads['length'] <= len(chunk))
                & (ends <= np.append(starts[1:], len(chunk)))
            )
            if sound.all():
                return starts
        self.problems.append('a chunk contradicts its index: its records were scanned instead')
        return np.empty(0, np.int64)

    def _scan(self, chunk: np.ndarray, at: int, stop: int) -> list[int]:
        """Starts of the message records in a stretch; other records are taken in."""
        view = chunk.data
        starts = []
        while at + _RECORD.size <= stop:
            opcode, length = _RECORD.unpack_from(view, at)
            end = at + _RECORD.size + length
            if end > stop:
                self.problems.append('a chunk ends inside a record; what lies before is kept')
                break
            if opcode == _MESSAGE:
                if length >= _MESSAGE_HEAD:
                    starts.append(at)
            else:
                self._define(opcode, bytes(view[at + _RECORD.size : end]))
            at = end
        return starts

    def _messages(
        self,
        chunk: np.ndarray,
        starts: np.ndarray,
        wanted: Callable[[BagTopic], bool],
        collector: Collector,
    ) -> Iterator[MessageGroup]:
        heads = _head(chunk, starts)
        channels = heads['channel']
        for key in np.unique(channels).tolist():
            channel = self._channels.get(key)
            if channel is None:
                self._channels[key] = _Channel(None, 0)
                self.problems.append(f'messages of channel {key} skipped: it is not defined')
                continue
            if channel.topic is None or not wanted(channel.topic):
                continue
            mine = channels == key
            payloads = Payloads(
                chunk,
                starts[mine] + _MESSAGE_DTYPE.itemsize,
                heads['length'][mine].astype(np.int64) - _MESSAGE_HEAD,
            )
            times = heads['time'][mine]
            published = heads['published'][mine]
            # Writers that do not know it are to repeat the record time; some leave it out.
            published = np.where(published == 0, times, published)
            yield from self._collect(collector, channel.topic, times, payloads, published)


def _head(chunk: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Fixed parts of message records, as a structured array."""
    rows = Rows(chunk, starts, np.full(len(starts), _MESSAGE_DTYPE.itemsize))
    return np.ascontiguousarray(rows.matrix(0, _MESSAGE_DTYPE.itemsize)).view(_MESSAGE_DTYPE)[:, 0]


class _Fields:
    """Cursor over the content of a record."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0

    def number(self, form: str) -> int:
        value: int = struct.unpack_from(form, self.content, self.at)[0]
        self.at += struct.calcsize(form)
        return value

    def blob(self) -> bytes:
        size = self.number('<I')
        value = self.content[self.at : self.at + size]
        if len(value) < size:
            raise ValueError('it ends early')
        self.at += size
        return value

    def text(self) -> str:
        return self.blob().decode()

    def strings(self) -> dict[str, str]:
        inner = _Fields(self.blob())
        pairs = {}
        while inner.at < len(inner.content):
            key = inner.text()
            pairs[key] = inner.text()
        return pairs


def _decompressed(packed: pa.Buffer, compression: str, size: int) -> bytes | pa.Buffer:
    if size <= _BELIEVED_CHUNK:
        return pa.Codec(compression).decompress(packed, size)
    pieces: list[bytes] = []
    stream = pa.CompressedInputStream(pa.BufferReader(packed), compression)
    while (piece := stream.read(_BELIEVED_CHUNK // 4)) and sum(map(len, pieces)) < size:
        pieces.append(piece)
    return b''.join(pieces)
