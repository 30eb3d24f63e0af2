"""Arrow IPC inside Flight messages, read and written by pyarrow."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator

import pyarrow as pa

from mosaico_ros.daemon.transport.flatbuffer import MessageFacts, MessageKind, read_facts
from mosaico_ros.daemon.transport.frames import Bytes, Frame, write_frame
from mosaico_ros.protocol.errors import InvalidArgumentError, ResourceExhaustedError

__all__ = ['BatchReader', 'BatchWriter', 'encode_schema', 'size_of']

_CONTINUATION = b'\xff\xff\xff\xff'
_REMEDY = 'Write the stream with an Arrow library, one schema for all batches.'


def encode_schema(schema: pa.Schema) -> bytes:
    """Return a schema as ``FlightInfo.schema`` and ``SchemaResult.schema`` carry it."""
    return schema.serialize().to_pybytes()


class _Feed:
    """A file that hands received pieces to pyarrow without copying them."""

    closed = False

    def __init__(self) -> None:
        self._pieces: deque[memoryview] = deque()
        self.pending = 0

    def push(self, frame: Frame) -> None:
        prefix = _CONTINUATION + struct.pack('<i', len(frame.header))
        for piece in (memoryview(prefix), memoryview(frame.header), memoryview(frame.body)):
            if len(piece):
                self._pieces.append(piece)
                self.pending += len(piece)

    def read(self, size: int = -1) -> Bytes:
        """Return exactly `size` bytes, or what is left."""
        if not self._pieces or size == 0:
            return b''
        first = self._pieces[0]
        if size < 0 or size > self.pending:
            size = self.pending
        self.pending -= size
        if len(first) > size:
            self._pieces[0] = first[size:]
            return first[:size]
        if len(first) == size:
            return self._pieces.popleft()
        parts = []
        while size:
            part = self._pieces.popleft()
            if len(part) > size:
                self._pieces.appendleft(part[size:])
                part = part[:size]
            parts.append(part)
            size -= len(part)
        return b''.join(parts)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        self._pieces.clear()


class BatchReader:
    """Record batches out of the Flight messages of one upload.

    Parameters
    ----------
    first
        The message with the schema.
    max_batch_bytes
        Most bytes a batch may have after decompression, and dictionaries may pile up to
        before a batch follows.

    Raises
    ------
    InvalidArgumentError
        If the message holds no usable schema.

    """

    def __init__(self, first: Frame, max_batch_bytes: int) -> None:
        if not len(first.header) or read_facts(first.header).kind is not MessageKind.SCHEMA:
            raise InvalidArgumentError('The stream does not begin with a schema', remedy=_REMEDY)
        self._limit = max_batch_bytes
        self._feed = _Feed()
        self._feed.push(first)
        try:
            self._reader = pa.ipc.open_stream(pa.PythonFile(self._feed, 'r'))
            for field in self._reader.schema:
                _check_name(field)
        except UnicodeDecodeError:
            raise InvalidArgumentError(
                'The schema of the stream has a column whose name is not UTF-8', remedy=_REMEDY
            ) from None
        except (pa.ArrowException, OSError) as error:
            raise InvalidArgumentError(
                f'The schema of the stream is unusable: {_first_line(error)}', remedy=_REMEDY
            ) from None
        self.schema: pa.Schema = self._reader.schema

    def read(self, frame: Frame) -> pa.RecordBatch | None:
        """Return the batch of a message; `None` if it carries none (yet).

        The batch refers to the bytes of the message. It is fully validated: offsets, indices
        and text can be trusted afterwards.

        Raises
        ------
        InvalidArgumentError
            The message is damaged, of a wrong kind, or contradicts the schema.
        ResourceExhaustedError
            Its compressed buffers would become too large.

        """
        if not len(frame.header):
            if len(frame.body):
                raise InvalidArgumentError('A body arrived without its header', remedy=_REMEDY)
            return None
        facts = read_facts(frame.header)
        if facts.kind not in (MessageKind.BATCH, MessageKind.DICTIONARY):
            raise InvalidArgumentError(
                f'A message of kind {facts.kind.name.lower()} arrived in place of a record batch',
                remedy=_REMEDY,
            )
        if facts.body_length != len(frame.body):
            raise InvalidArgumentError(
                f'A record batch announces a body of {facts.body_length} bytes, '
                f'{len(frame.body)} arrived',
                remedy=_REMEDY,
            )
        self._check_size(facts, frame)
        self._feed.push(frame)
        if facts.kind is MessageKind.DICTIONARY:
            return None
        try:
            batch = self._reader.read_next_batch()
            batch.validate(full=True)
        except (pa.ArrowException, OSError, StopIteration) as error:
            raise InvalidArgumentError(
                f'A record batch is unusable: {_first_line(error)}', remedy=_REMEDY
            ) from None
        except MemoryError as error:
            raise ResourceExhaustedError(f'No memory for a record batch: {error}') from None
        if self._feed.pending:
            raise InvalidArgumentError('A record batch is longer than it says', remedy=_REMEDY)
        return batch

    def _check_size(self, facts: MessageFacts, frame: Frame) -> None:
        total = self._feed.pending + len(frame.body)
        for offset, length in facts.compressed:
            # Each compressed buffer begins with its size before compression, -1 if it was not.
            if length < 8 or not 0 <= offset <= len(frame.body) - length:
                raise InvalidArgumentError('A compressed buffer is damaged', remedy=_REMEDY)
            total += max(0, struct.unpack_from('<q', frame.body, offset)[0])
        if total > 2 * self._limit:
            raise ResourceExhaustedError(
                f'A record batch needs {total} bytes in memory',
                remedy=f'Send batches below {self._limit} bytes.',
            )


class _Sink:
    """A file that keeps the pieces pyarrow writes: the columns' own buffers, not copies."""

    closed = False

    def __init__(self) -> None:
        self.pieces: list[memoryview] = []

    def write(self, piece: object) -> int:
        view = memoryview(piece)  # type: ignore[arg-type]
        self.pieces.append(view)
        return len(view)

    def flush(self) -> None:
        pass

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        self.pieces.clear()


class BatchWriter:
    """Flight messages of one read stream.

    Parameters
    ----------
    schema
        Schema of all batches.
    compression
        ``none``, ``lz4`` or ``zstd``: compression of the batches' buffers.

    """

    def __init__(self, schema: pa.Schema, compression: str = 'none') -> None:
        self._sink = _Sink()
        self._schema = schema
        self._writer = pa.ipc.new_stream(
            pa.PythonFile(self._sink, 'w'),
            schema,
            options=pa.ipc.IpcWriteOptions(
                compression=None if compression == 'none' else compression
            ),
        )

    def begin(self) -> bytes:
        """Return the ``FlightData`` of the schema, the first message of the stream."""
        message = memoryview(encode_schema(self._schema))
        (length,) = struct.unpack_from('<i', message, 4)
        return write_frame(message[8 : 8 + length])

    def write(self, batch: pa.RecordBatch) -> Iterator[bytes]:
        """Yield the ``FlightData`` of a batch, after those of the dictionaries it needs."""
        self._writer.write_batch(batch)
        pieces, self._sink.pieces = self._sink.pieces, []
        yield from _frames(pieces)


def _frames(pieces: list[memoryview]) -> Iterator[bytes]:
    """Cut what a stream writer wrote into messages; the schema (sent before) is left out."""
    rest = deque(pieces)
    while rest:
        prefix = b''.join(_take(rest, 8))
        (length,) = struct.unpack_from('<i', prefix, 4)
        header = b''.join(_take(rest, length))
        facts = read_facts(header)
        body = _take(rest, facts.body_length)
        if facts.kind is not MessageKind.SCHEMA:
            yield write_frame(header, body)


def _take(pieces: deque[memoryview], size: int) -> list[memoryview]:
    taken = []
    while size > 0:
        piece = pieces.popleft()
        if len(piece) > size:
            pieces.appendleft(piece[size:])
            piece = piece[:size]
        taken.append(piece)
        size -= len(piece)
    return taken


def size_of(batch: pa.RecordBatch) -> int:
    """Return the bytes that a batch takes in a message, about."""
    try:
        return int(batch.nbytes)
    except pa.ArrowException:  # older releases cannot tell the size of sliced views
        return int(batch.get_total_buffer_size())


def _check_name(field: pa.Field) -> None:
    """Fail on names that are not UTF-8: they pass Arrow and fail wherever Python reads them."""
    field.name  # noqa: B018 - decoded when asked for
    for index in range(field.type.num_fields):
        _check_name(field.type.field(index))


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:300]
