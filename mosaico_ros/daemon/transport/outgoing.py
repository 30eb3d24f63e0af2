"""Read streams: batches joined or cut to messages of the right size, prepared one ahead."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from mosaico_ros.daemon.process import metrics
from mosaico_ros.daemon.transport.ipc import BatchWriter, size_of
from mosaico_ros.protocol.errors import ResourceExhaustedError

__all__ = ['Outgoing', 'SendLimits']

# What the messages of all streams may come to; many streams get smaller ones. Each stream holds
# its message twice, gRPC's copy included, so this stays far below what a daemon may use.
_POOL_BYTES = 16 << 20
# The speed of messages below that suffers more than memory gains.
_SMALLEST_SHARE = 128 << 10
# All decoding is done by few threads: each one's allocator keeps what it once took, which is
# several times what the rows take.
_WORKERS = 8
# Streams that have one of the workers to themselves, which prepares the next message while gRPC
# sends the last one. With more streams the cores are busy anyway.
_STREAMS_AHEAD = 4


@dataclass(frozen=True)
class SendLimits:
    """Limits on what is sent.

    Parameters
    ----------
    max_message_bytes
        Largest message; a single row that needs more cannot be read.
    target_bytes
        Size at which batches are cut.
    max_rows
        Most rows of a batch.
    compression
        ``none``, ``lz4`` or ``zstd``: compression of the batches' buffers.

    """

    max_message_bytes: int
    target_bytes: int = 2 << 20
    max_rows: int = 8192
    compression: str = 'none'


class Outgoing:
    """What the read streams of a daemon have in common.

    Parameters
    ----------
    limits
        Sizes of messages.

    """

    def __init__(self, limits: SendLimits) -> None:
        self._limits = limits
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix='read')
        self._lock = threading.Lock()
        self._streams = 0

    def stream(
        self, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
    ) -> Generator[bytes, None, None]:
        """Yield the ``FlightData`` messages of a stream: the schema, then what holds rows.

        Published clients take a batch without rows for the end, so none is sent.

        Raises
        ------
        ResourceExhaustedError
            A row does not fit into a message.

        """
        with self._counted():
            messages = self._messages(schema, batches)
            try:
                ahead = self._streams <= _STREAMS_AHEAD
                yield from self._ahead(messages) if ahead else self._in_turn(messages)
            finally:
                # A cancelled call drops this generator; files and locks are released now, not
                # at some later garbage collection.
                messages.close()
                close = getattr(batches, 'close', None)
                if close is not None:
                    close()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._streams += 1
        try:
            yield
        finally:
            with self._lock:
                self._streams -= 1

    @property
    def _share(self) -> int:
        """Size at which batches are cut just now."""
        share = max(_SMALLEST_SHARE, _POOL_BYTES // max(1, self._streams))
        return min(self._limits.target_bytes, share)

    def _ahead(self, messages: Iterator[bytes]) -> Iterator[bytes]:
        """Yield messages that a worker prepares; it stays one ahead."""
        ready: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        room = threading.Semaphore(1)
        stopped = threading.Event()

        def prepare() -> None:
            try:
                for message in messages:
                    ready.put(message)
                    room.acquire()
                    if stopped.is_set():
                        break
            finally:
                ready.put(None)

        worker = self._workers.submit(prepare)
        try:
            while (message := ready.get()) is not None:
                room.release()
                yield message
            worker.result()
        finally:
            stopped.set()
            room.release()
            worker.exception()  # waits: a generator at work cannot be closed

    def _in_turn(self, messages: Iterator[bytes]) -> Iterator[bytes]:
        """Yield messages, each made by a worker when its turn has come."""
        while (message := self._workers.submit(next, messages, None).result()) is not None:
            yield message
            del message

    def _messages(
        self, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
    ) -> Generator[bytes, None, None]:
        writer = BatchWriter(schema, self._limits.compression)
        yield writer.begin()
        for batch, size in self._joined(batches):
            for piece in self._cut(batch, size):
                metrics.ROWS_READ.add(piece.num_rows)
                for message in writer.write(piece):
                    if len(message) > self._limits.max_message_bytes:
                        raise ResourceExhaustedError(
                            f'A row takes a message of {len(message)} bytes; the daemon sends at '
                            f'most {self._limits.max_message_bytes}',
                            remedy='Raise MOSAICOD_MAX_GRPC_MESSAGE_SIZE.',
                        )
                    yield message

    def _joined(self, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, int]]:
        """Join small neighbours; the first goes out as it comes, each may double the last."""
        held: list[pa.RecordBatch] = []
        rows = size = 0
        goal = 1
        for batch in batches:
            new = self._size(batch)
            if held and (
                rows + batch.num_rows > self._limits.max_rows or size + new > self._share
            ):
                yield _one(held), size
                held, rows, size = [], 0, 0
            held.append(batch)
            rows, size = rows + batch.num_rows, size + new
            if rows >= goal:
                goal = min(2 * rows, self._limits.max_rows)
                yield _one(held), size
                held, rows, size = [], 0, 0
        if held:
            yield _one(held), size

    def _cut(self, batch: pa.RecordBatch, size: int) -> Iterator[pa.RecordBatch]:
        """Halve until it fits: rows may differ in size by orders of magnitude."""
        rows = batch.num_rows
        if rows > 1 and (rows > self._limits.max_rows or size > self._share):
            for half in (batch.slice(0, rows // 2), batch.slice(rows // 2)):
                yield from self._cut(half, self._size(half))
        elif rows:
            yield batch

    def _size(self, batch: pa.RecordBatch) -> int:
        """Return the bytes of a batch; one that fits may seem larger than it is."""
        whole = int(batch.get_total_buffer_size())  # quick, but a slice counts as its whole
        return whole if whole <= self._share else size_of(batch)


def _one(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)
