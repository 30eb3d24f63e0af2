"""Uploads: from record batches to durable chunks.

A batch is checked, kept, and cut into a chunk by size, by age or on demand. Chunks are encoded
by a bounded pool (outside the interpreter's lock) and put into the store; then one thread
records them in the catalog, those that are ready together in one transaction. Only then do
they count as durable. The chunks of one upload become durable in order, so what is durable is
always a prefix of what was sent.

Memory is bounded for all uploads together: whoever appends beyond the budget cuts the largest
open chunk and waits until enough is durable.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa

from mosaico_ros.daemon.catalog import resources
from mosaico_ros.daemon.catalog.chunks import (
    ChunkRow,
    FieldIds,
    Lease,
    commit_chunk,
    intern_schema,
)
from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.resources import TopicState
from mosaico_ros.daemon.catalog.tables import topics
from mosaico_ros.daemon.columns import check_upload_schema
from mosaico_ros.daemon.encoding import ChunkEncoder, EncodedChunk
from mosaico_ros.daemon.leases import Instance, chunk_key, interrupt_upload, take_lease
from mosaico_ros.daemon.manifests import write_topic_manifest
from mosaico_ros.daemon.merging import Merger
from mosaico_ros.daemon.store.base import Store
from mosaico_ros.protocol.errors import (
    AbortedError,
    CancelledError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    MosaicoError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)
from mosaico_ros.protocol.locators import TopicLocator
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN
from mosaico_ros.protocol.serialization import SerializationFormat

__all__ = ['Ingest', 'IngestLimits', 'Upload']

_log = logging.getLogger(__name__)
_UNLIMITED = 1 << 62


@dataclass(frozen=True)
class IngestLimits:
    """Where chunks are cut and how much may wait.

    Parameters
    ----------
    chunk_bytes
        Size in memory at which a chunk is cut; 0 means no limit.
    chunk_age_s
        Age of its oldest row at which a chunk is cut.
    encoders
        Chunks encoded at once.
    buffered_bytes
        Rows in memory that are not durable yet, all uploads together.

    """

    chunk_bytes: int = 64 << 20
    chunk_age_s: float = 30.0
    encoders: int = 2
    buffered_bytes: int = 256 << 20


@dataclass
class _Chunk:
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


class Ingest:
    """Takes uploads; one per daemon."""

    def __init__(
        self, database: Database, store: Store, instance: Instance, limits: IngestLimits
    ) -> None:
        self.database = database
        self.store = store
        self.limits = limits
        self._instance = instance
        self._field_ids = FieldIds()
        self._pool = ThreadPoolExecutor(limits.encoders, thread_name_prefix='encode')
        self._ready: queue.SimpleQueue[_Chunk | None] = queue.SimpleQueue()
        self._room = threading.Condition()
        self._buffered = 0
        self._uploads: set[Upload] = set()
        self._uploads_lock = threading.Lock()
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=self._record_chunks, name='record', daemon=True),
            threading.Thread(target=self._cut_old_chunks, name='chunk-age', daemon=True),
        ]

    def start(self) -> None:
        """Start the threads that record chunks and cut old ones."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Seal what is still being uploaded with what was received, then stop."""
        with self._uploads_lock:
            self._closed.set()
            open_uploads = list(self._uploads)
        for upload in open_uploads:
            upload.abort('The daemon is shutting down', keep_received=True)
        self._pool.shutdown(wait=True)
        self._ready.put(None)
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def begin(
        self,
        locator: TopicLocator,
        topic_uuid: str,
        schema: pa.Schema,
        on_durable: Callable[[int], None] | None = None,
    ) -> Upload:
        """Begin the one upload of a topic.

        Parameters
        ----------
        locator, topic_uuid
            The topic and the authority to write it.
        schema
            Schema of all batches to come.
        on_durable
            Called with the number of durable rows whenever it has grown, by a thread of the
            pool; must not block.

        Raises
        ------
        NotFoundError
            No topic has the uuid.
        PermissionDeniedError
            The uuid belongs to another topic.
        InvalidArgumentError
            Rows of the schema cannot be stored or ordered in time.
        FailedPreconditionError
            The topic has had its upload, or its session is finalized.

        """
        uuid = resources.checked_uuid(topic_uuid, 'topic')
        with self.database.read() as connection:
            topic = resources.find_topic_by(connection, topics.c.uuid == uuid)
        if topic is None:
            raise NotFoundError(
                f'No topic has the uuid {uuid}', remedy=f'It may be that {locator} was deleted.'
            )
        if (topic.sequence, topic.path) != (locator.sequence, locator.path):
            raise PermissionDeniedError(
                f'The uuid does not belong to the topic {locator}',
                remedy='Use the uuid that creating this topic returned.',
            )
        check_upload_schema(schema)
        encoder = ChunkEncoder(schema, SerializationFormat(topic.serialization_format))
        if topic.state == TopicState.CREATED:
            # First, so that the store never holds a chunk without its schema.
            self.store.put(f'{topic.folder}/schema.arrow', schema.serialize())
        with self._uploads_lock:
            if self._closed.is_set():
                raise UnavailableError('The daemon is shutting down')
            with self.database.write() as connection:
                schema_id = intern_schema(connection, schema)
                lease = take_lease(connection, topic, self._instance.id, schema_id)
            upload = Upload(
                self, locator, topic.folder, topic.ontology_tag, lease, encoder, on_durable
            )
            self._uploads.add(upload)
        return upload

    # -- called by uploads -------------------------------------------------------------------

    def reserve(self, upload: Upload, size: int) -> None:
        """Wait until `size` more bytes fit into the budget.

        A batch larger than the whole budget is let in alone.
        """
        while True:
            with self._room:
                if self._buffered == 0 or self._buffered + size <= self.limits.buffered_bytes:
                    self._buffered += size
                    return
            # Outside the lock: cutting takes the lock of the upload that is cut.
            self._cut_largest()
            with self._room:
                self._room.wait_for(
                    lambda: (
                        self._buffered == 0 or self._buffered + size <= self.limits.buffered_bytes
                    ),
                    timeout=0.2,
                )
            upload.check()

    def release(self, size: int) -> None:
        """Give back what :meth:`reserve` took."""
        with self._room:
            self._buffered -= size
            self._room.notify_all()

    def submit(self, chunk: _Chunk) -> None:
        """Have a cut chunk encoded and stored."""
        self._pool.submit(self._encode, chunk)

    def merger(self, lease: Lease, encoder: ChunkEncoder) -> Merger:
        """Return what brings the chunks of an upload into order before it is sealed."""
        size = self.limits.chunk_bytes or IngestLimits.chunk_bytes
        return Merger(self.database, self.store, lease, encoder, self._field_ids, size)

    def forget(self, upload: Upload) -> None:
        """Let go of an upload that has ended."""
        with self._uploads_lock:
            self._uploads.discard(upload)

    # -- threads -----------------------------------------------------------------------------

    def _cut_largest(self) -> None:
        with self._uploads_lock:
            open_uploads = list(self._uploads)
        largest = max(open_uploads, key=lambda upload: upload.open_bytes, default=None)
        if largest is not None and largest.open_bytes:
            largest.cut()

    def _encode(self, chunk: _Chunk) -> None:
        upload = chunk.upload
        try:
            if not upload.failed:
                key = chunk_key(upload.folder, chunk.number, upload.encoder.encoding)
                with self.store.create(key) as sink:
                    encoded = upload.encoder.encode(chunk.batches, sink)
                chunk.encoded = encoded
        except MosaicoError as error:
            upload.fail(error)
        except Exception as error:
            _log.exception('A chunk of %s could not be encoded', upload.locator)
            upload.fail(InternalError(f'A chunk of {upload.locator} was lost: {error}'))
        # In order per upload, under its lock, so that the queue holds them in order too.
        upload.hand_over(chunk, self._ready.put)

    def _record_chunks(self) -> None:
        """Record chunks that are ready together in one transaction."""
        ending = False
        while not ending:
            group: list[_Chunk] = []
            item: _Chunk | None = self._ready.get()
            while True:
                if item is None:
                    ending = True
                    break
                group.append(item)
                try:
                    item = self._ready.get_nowait()
                except queue.Empty:
                    break
            if group:
                self._record(group)

    def _record(self, group: list[_Chunk]) -> None:
        recorded: list[_Chunk] = []
        try:
            with self.database.write() as connection:
                for chunk in group:
                    if chunk.upload.failed or chunk.encoded is None:
                        continue
                    if self._commit(connection, chunk):
                        recorded.append(chunk)
                    else:
                        chunk.upload.fail(
                            AbortedError(
                                f'The upload of {chunk.upload.locator} lost its lease: the topic '
                                'was sealed or deleted meanwhile',
                                remedy='Continue in another session.',
                            )
                        )
        except Exception as error:
            recorded = []
            _log.exception('Chunks could not be recorded')
            for chunk in group:
                chunk.upload.fail(
                    error
                    if isinstance(error, MosaicoError)
                    else InternalError(f'A chunk of {chunk.upload.locator} was lost: {error}')
                )
        for chunk in group:
            self.release(chunk.size)
        for chunk in recorded:
            chunk.upload.advance(chunk.rows_after)
        for chunk in group:
            chunk.upload.done_one()

    def _commit(self, connection: object, chunk: _Chunk) -> bool:
        encoded = chunk.encoded
        assert encoded is not None
        row = ChunkRow(
            chunk.number,
            encoded.encoding,
            encoded.rows,
            encoded.size,
            encoded.t_min,
            encoded.t_max,
            encoded.statistics,
        )
        return commit_chunk(
            connection,  # type: ignore[arg-type]
            chunk.upload.lease,
            chunk.upload.tag,
            row,
            self._field_ids,
        )

    def _cut_old_chunks(self) -> None:
        pause = min(1.0, max(0.02, self.limits.chunk_age_s / 8))
        while not self._closed.wait(pause):
            oldest = time.monotonic() - self.limits.chunk_age_s
            with self._uploads_lock:
                open_uploads = list(self._uploads)
            for upload in open_uploads:
                if upload.open_since < oldest:
                    upload.cut()


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
        self._in_flight: deque[_Chunk] = deque()  # cut, not yet handed over, in order
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
        """Take a batch; blocks while too much is waiting to become durable.

        Raises
        ------
        InvalidArgumentError
            The batch contradicts the announced schema, is malformed, or has a row without
            ``timestamp_ns``.
        MosaicoError
            What ended the upload meanwhile.

        """
        self.check()
        if not batch.schema.equals(self.encoder.schema, check_metadata=False):
            raise InvalidArgumentError(
                f'A batch for {self.locator} has another schema than the one announced: '
                f'{_difference(batch.schema, self.encoder.schema)}'
            )
        try:
            # Everything is read by native code later, which trusts offsets and lengths.
            batch.validate(full=True)
        except (pa.ArrowInvalid, ValueError) as error:
            raise InvalidArgumentError(
                f'A batch for {self.locator} is malformed: {error}'
            ) from error
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
            self._ingest.merger(self.lease, self.encoder).merge_overlaps()
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
        if not interrupt_upload(database, store, self.lease, reason):
            with database.read() as connection:
                topic = resources.find_topic_by(connection, topics.c.id == self.lease.topic_id)
            if topic is None:  # deleted; a chunk on its way may have made its folder again
                store.delete_folder(self.folder)

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

    def hand_over(self, chunk: _Chunk, put: Callable[[_Chunk], None]) -> None:
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
            self._lock.notify_all()

    # -- inside ------------------------------------------------------------------------------

    def _cut_locked(self) -> None:
        opened, self._open = self._open, _Open()
        if not opened.batches:
            return
        if self._error is not None:
            self._ingest.release(opened.size)
            return
        chunk = _Chunk(self, self._next_number, opened.batches, opened.size, self._rows)
        self._next_number += 1
        self._in_flight.append(chunk)
        self._pending += 1
        self._ingest.submit(chunk)

    def _wait(self) -> None:
        with self._lock:
            self._lock.wait_for(lambda: self._pending == 0)

    def _lock_topic(self) -> None:
        now = time.time_ns()
        with self._ingest.database.write() as connection:
            topic = resources.find_topic_by(connection, self.lease.holds())
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

    def _end(self) -> None:
        with self._lock:
            self._ended = True
            if self._open.batches:
                self._ingest.release(self._open.size)
                self._open = _Open()
        self._ingest.forget(self)


def _difference(got: pa.Schema, announced: pa.Schema) -> str:
    if got.names != announced.names:
        return f'columns {got.names[:20]} instead of {announced.names[:20]}'
    for mine, theirs in zip(got, announced, strict=True):
        if mine != theirs:
            return f'{mine.name} is {mine} instead of {theirs}'
    return 'they differ'
