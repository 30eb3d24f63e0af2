"""One upload: from the batches of a stream to cut chunks, and its end."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from mosaico_ros.daemon.catalog import resources
from mosaico_ros.daemon.catalog.chunks import Lease
from mosaico_ros.daemon.catalog.events import request_optimization, tell
from mosaico_ros.daemon.catalog.resources import TopicState
from mosaico_ros.daemon.catalog.tables import topics
from mosaico_ros.daemon.columns import difference
from mosaico_ros.daemon.encoding import ChunkEncoder, EncodedChunk
from mosaico_ros.daemon.leases import interrupt_upload
from mosaico_ros.daemon.manifests import write_topic_manifest
from mosaico_ros.daemon.process import metrics
from mosaico_ros.protocol.errors import (
    AbortedError,
    CancelledError,
    FailedPreconditionError,
    InvalidArgumentError,
    MosaicoError,
)
from mosaico_ros.protocol.locators import TopicLocator
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN

if TYPE_CHECKING:
    from mosaico_ros.daemon.ingest import Ingest

__all__ = ['Chunk', 'Upload']

_log = logging.getLogger(__name__)
_UNLIMITED = 1 << 62


@dataclass
class Chunk:
    """A cut chunk on its way; `rows_after` is the upload's durable count once it is recorded."""

    upload: Upload
    number: int
    batches: list[pa.RecordBatch]
    size: int
    rows_after: int
    encoded: EncodedChunk | None = None
    finished: bool = False


@dataclass
class _Open:
    """The chunk that is being filled."""

    batches: list[pa.RecordBatch] = field(default_factory=list)
    size: int = 0
    since: float = 0.0


class Upload:
    """One upload. Batches are appended by one thread; the rest may be called by any."""

    def __init__(
        self,
        ingest: Ingest,
        locator: TopicLocator,
        folder: str,
        tag: str,
        lease: Lease,
        encoder: ChunkEncoder,
        on_durable: Callable[[int], None] | None,
    ) -> None:
        self.locator = locator
        self.folder = folder
        self.tag = tag
        self.lease = lease
        self.encoder = encoder
        self._ingest = ingest
        self._on_durable = on_durable
        self._limit = ingest.limits.chunk_bytes or _UNLIMITED
        self._lock = threading.Condition()
        self._open = _Open()
        self._rows = 0
        self._durable_rows = 0
        self._next_number = 1
        self._in_flight: deque[Chunk] = deque()  # cut, not yet handed over, in order
        self._pending = 0  # cut, not yet recorded or given up
        self._error: MosaicoError | None = None
        self._ended = False

    @property
    def durable_rows(self) -> int:
        """Rows that survive a crash: always the first ones of the stream."""
        return self._durable_rows

    @property
    def failed(self) -> bool:
        """Whether no more chunk of this upload may become durable."""
        return self._error is not None

    @property
    def open_bytes(self) -> int:
        """Bytes in the chunk that is being filled."""
        return self._open.size

    @property
    def open_since(self) -> float:
        """Monotonic time of the first batch in the open chunk; infinite if it is empty."""
        opened = self._open
        return opened.since if opened.batches else float('inf')

    def append(self, batch: pa.RecordBatch) -> None:
        """Take a valid batch; blocks while too much is waiting to become durable.

        Native code trusts its offsets and lengths from here on: whoever has it from a stranger
        validates it, as the transport does.

        Raises
        ------
        InvalidArgumentError
            The batch contradicts the announced schema, or has a row without ``timestamp_ns``.
        MosaicoError
            What ended the upload meanwhile.

        """
        self.check()
        if not batch.schema.equals(self.encoder.schema, check_metadata=False):
            raise InvalidArgumentError(
                f'A batch for {self.locator} has another schema than the one announced: '
                f'{difference(batch.schema, self.encoder.schema)}'
            )
        if batch.column(TIMESTAMP_COLUMN).null_count:
            raise InvalidArgumentError(
                f'A batch for {self.locator} has rows without {TIMESTAMP_COLUMN}'
            )
        if batch.num_rows == 0:
            return
        # Parts keep the bound on chunks whatever size a client sends.
        rows = max(1, batch.num_rows * self._limit // max(1, batch.nbytes))
        for start in range(0, batch.num_rows, rows):
            part = batch.slice(start, rows)
            size = part.nbytes
            self._ingest.reserve(self, size)
            with self._lock:
                if self._ended:
                    self._ingest.release(size)
                    raise self._error or CancelledError(f'The upload of {self.locator} has ended')
                if not self._open.batches:
                    self._open.since = time.monotonic()
                self._open.batches.append(part)
                self._open.size += size
                self._rows += part.num_rows
                metrics.ROWS_RECEIVED.add(part.num_rows)
                metrics.BYTES_RECEIVED.add(size)
                if self._open.size >= self._limit:
                    self._cut_locked()

    def cut(self) -> None:
        """Close the open chunk and have it encoded; returns at once."""
        with self._lock:
            self._cut_locked()

    def commit(self) -> int:
        """Make everything appended so far durable, and return the durable row count."""
        self.cut()
        self._wait()
        self.check()
        return self._durable_rows

    def finish(self, expected_rows: int | None = None) -> None:
        """Make everything durable and lock the topic as complete.

        Parameters
        ----------
        expected_rows
            Number of rows that the sender counted, if it said so.

        Raises
        ------
        AbortedError
            If the number differs, or the lease was lost; the topic is then interrupted.

        """
        try:
            if expected_rows is not None and expected_rows != self._rows:
                raise AbortedError(
                    f'The sender of {self.locator} counted {expected_rows} rows, '
                    f'{self._rows} have arrived'
                )
            self.commit()
            self._ingest.merger(self).merge_overlaps()
            self._lock_topic()
        except MosaicoError as error:
            self.abort(str(error))
            raise
        self._end()

    def abort(self, reason: str, *, keep_received: bool = False) -> None:
        """End the upload as interrupted; what is durable stays readable, nothing is added.

        Parameters
        ----------
        reason
            Why, for the notification on the topic.
        keep_received
            Make durable what has arrived, before.

        """
        with self._lock:
            if self._ended:
                return
            self._ended = True
        if keep_received and not self.failed:
            self.cut()
            self._wait()
        self.fail(CancelledError(f'The upload of {self.locator} was interrupted: {reason}'))
        self._wait()
        self._end()
        database, store = self._ingest.database, self._ingest.store
        try:
            sealed = interrupt_upload(database, store, self.lease, reason)
        except MosaicoError:
            _log.exception('The topic %s cannot be sealed yet', self.locator)
            self._ingest.seal_later(self.lease, reason)
            return
        if not sealed:
            with database.read() as connection:
                topic = resources.find_topic_by(connection, topics.c.id == self.lease.topic_id)
            if topic is None:  # deleted; a chunk on its way may have made its folder again
                self._ingest.removal.discard(self.folder, str(self.locator))

    def check(self) -> None:
        """Raise what has ended the upload, if anything has."""
        if self._error is not None:
            raise self._error

    # -- called by Ingest --------------------------------------------------------------------

    def fail(self, error: MosaicoError) -> None:
        """Let nothing more of this upload become durable; the first error is kept."""
        with self._lock:
            if self._error is None:
                self._error = error
            self._lock.notify_all()

    def hand_over(self, chunk: Chunk, put: Callable[[Chunk], None]) -> None:
        """Pass on the chunks at the head of the order whose turn has come."""
        with self._lock:
            chunk.batches, chunk.finished = [], True
            while self._in_flight and self._in_flight[0].finished:
                put(self._in_flight.popleft())

    def advance(self, durable_rows: int) -> None:
        """Note how many rows are durable, and tell the sender."""
        self._durable_rows = durable_rows
        if self._on_durable is not None:
            try:
                self._on_durable(durable_rows)
            except Exception:
                _log.exception('The acknowledgement of %s could not be sent', self.locator)

    def done_one(self) -> None:
        """Note that one cut chunk is recorded or given up."""
        with self._lock:
            self._pending -= 1
            metrics.CHUNKS_WAITING.add(-1)
            self._lock.notify_all()

    # -- inside ------------------------------------------------------------------------------

    def _cut_locked(self) -> None:
        opened, self._open = self._open, _Open()
        if not opened.batches:
            return
        if self._error is not None:
            self._ingest.release(opened.size)
            return
        chunk = Chunk(self, self._next_number, opened.batches, opened.size, self._rows)
        self._next_number += 1
        self._in_flight.append(chunk)
        self._pending += 1
        metrics.CHUNKS_WAITING.add(1)
        self._ingest.submit(chunk)

    def _wait(self) -> None:
        with self._lock:
            self._lock.wait_for(lambda: self._pending == 0)

    def _lock_topic(self) -> None:
        now = time.time_ns()
        with self._ingest.database.write() as connection:
            topic = resources.find_topic_by(connection, self.lease.holds(), lock=True)
            if topic is None:
                raise AbortedError(
                    f'The upload of {self.locator} lost its lease: the topic was sealed or '
                    'deleted meanwhile'
                )
            if topic.session_completed_at_ns is not None:
                raise FailedPreconditionError(f'The session of {self.locator} is finalized')
            write_topic_manifest(connection, self._ingest.store, topic, TopicState.LOCKED, now)
            connection.execute(
                topics.update()
                .where(self.lease.holds())
                .values(state=TopicState.LOCKED, completed_at_ns=now)
            )
            tell(connection, 'topic_sealed', now, topic_id=topic.id)
            request_optimization(connection, topic)

    def _end(self) -> None:
        with self._lock:
            self._ended = True
            if self._open.batches:
                self._ingest.release(self._open.size)
                self._open = _Open()
        self._ingest.forget(self)
