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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from mosaico_ros.daemon.catalog import resources
from mosaico_ros.daemon.catalog.chunks import (
    ChunkRow,
    FieldIds,
    Lease,
    commit_chunks,
    intern_schema,
)
from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.tables import topics
from mosaico_ros.daemon.columns import check_upload_schema
from mosaico_ros.daemon.encoding import ChunkEncoder
from mosaico_ros.daemon.leases import Instance, chunk_key, take_lease
from mosaico_ros.daemon.merging import Merger, Rewriter
from mosaico_ros.daemon.process import metrics
from mosaico_ros.daemon.removal import Removal
from mosaico_ros.daemon.store.base import Store
from mosaico_ros.daemon.upload import Chunk, Upload
from mosaico_ros.protocol.errors import (
    AbortedError,
    InternalError,
    MosaicoError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)
from mosaico_ros.protocol.locators import TopicLocator
from mosaico_ros.protocol.serialization import SerializationFormat

__all__ = ['Ingest', 'IngestLimits']

_log = logging.getLogger(__name__)

# Deletions lock a sequence before its topics, uploads the other way round: now and then
# PostgreSQL ends one of the two, which then does it again.
_ATTEMPTS = 5


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


class Ingest:
    """Takes uploads; one per daemon."""

    def __init__(
        self,
        database: Database,
        store: Store,
        instance: Instance,
        removal: Removal,
        limits: IngestLimits,
    ) -> None:
        self.database = database
        self.store = store
        self.removal = removal
        self.limits = limits
        self._instance = instance
        self._field_ids = FieldIds()
        self._pool = ThreadPoolExecutor(limits.encoders, thread_name_prefix='encode')
        # Trying out a schema takes milliseconds, but the allocator keeps for each thread what it
        # once took, and there are as many threads of calls as calls.
        self._prober = ThreadPoolExecutor(1, thread_name_prefix='probe')
        self._ready: queue.SimpleQueue[Chunk | None] = queue.SimpleQueue()
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
        self._prober.shutdown(wait=True)
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
        form = SerializationFormat(topic.serialization_format)
        encoder = self._prober.submit(ChunkEncoder, schema, form).result()
        with self.database.write() as connection:
            schema_id = intern_schema(connection, schema)
            lease = take_lease(connection, topic, self._instance.id, schema_id)
            # By the one upload that there is, and before the store holds a chunk of it.
            self.store.put(f'{topic.folder}/schema.arrow', schema.serialize())
        upload = Upload(
            self, locator, topic.folder, topic.ontology_tag, lease, encoder, on_durable
        )
        with self._uploads_lock:
            if not self._closed.is_set():
                self._uploads.add(upload)
                metrics.UPLOADS_OPEN.set(len(self._uploads))
                return upload
        upload.abort('The daemon is shutting down')
        raise UnavailableError('The daemon is shutting down')

    # -- called by uploads -------------------------------------------------------------------

    def reserve(self, upload: Upload, size: int) -> None:
        """Wait until `size` more bytes fit into the budget.

        A batch larger than the whole budget is let in alone.
        """
        while True:
            with self._room:
                if self._buffered == 0 or self._buffered + size <= self.limits.buffered_bytes:
                    self._buffered += size
                    metrics.BYTES_BUFFERED.set(self._buffered)
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
            metrics.BYTES_BUFFERED.set(self._buffered)
            self._room.notify_all()

    def submit(self, chunk: Chunk) -> None:
        """Have a cut chunk encoded and stored."""
        self._pool.submit(self._encode, chunk)

    def merger(self, upload: Upload) -> Merger:
        """Return what brings the chunks of an upload into order before it is sealed."""
        size = self.limits.chunk_bytes or IngestLimits.chunk_bytes
        rewriter = Rewriter(self.store, upload.folder, upload.encoder, size)
        return Merger(self.database, rewriter, upload.lease, upload.tag, self._field_ids)

    def seal_later(self, lease: Lease, reason: str) -> None:
        """Interrupt an upload as soon as catalog and store allow it."""
        self._instance.seal_later(lease, reason)

    def forget(self, upload: Upload) -> None:
        """Let go of an upload that has ended."""
        with self._uploads_lock:
            self._uploads.discard(upload)
            metrics.UPLOADS_OPEN.set(len(self._uploads))

    # -- threads -----------------------------------------------------------------------------

    def _cut_largest(self) -> None:
        with self._uploads_lock:
            open_uploads = list(self._uploads)
        largest = max(open_uploads, key=lambda upload: upload.open_bytes, default=None)
        if largest is not None and largest.open_bytes:
            largest.cut()

    def _encode(self, chunk: Chunk) -> None:
        upload = chunk.upload
        try:
            if not upload.failed:
                key = chunk_key(upload.folder, chunk.number, upload.encoder.encoding)
                with metrics.CHUNK_ENCODE_SECONDS.timed(), self.store.create(key) as sink:
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
            group: list[Chunk] = []
            item: Chunk | None = self._ready.get()
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

    def _record(self, group: list[Chunk]) -> None:
        recorded: list[Chunk] = []
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                recorded = self._recorded(group)
                break
            except Exception as error:
                # A database that gives up one of several transactions has done nothing of it.
                if isinstance(error, AbortedError) and attempt < _ATTEMPTS:
                    continue
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
            assert chunk.encoded is not None
            metrics.ROWS_DURABLE.add(chunk.encoded.rows)
            metrics.BYTES_DURABLE.add(chunk.encoded.size)
            chunk.upload.advance(chunk.rows_after)
        for chunk in group:
            chunk.upload.done_one()

    def _recorded(self, group: list[Chunk]) -> list[Chunk]:
        """Record chunks in one transaction; return those whose lease was still good."""
        by_upload: dict[Upload, list[Chunk]] = {}
        for chunk in group:
            if not chunk.upload.failed and chunk.encoded is not None:
                by_upload.setdefault(chunk.upload, []).append(chunk)
        recorded: list[Chunk] = []
        with metrics.CHUNK_COMMIT_SECONDS.timed(), self.database.write() as connection:
            for upload, ready in by_upload.items():
                rows = [_row(chunk) for chunk in ready]
                if commit_chunks(connection, upload.lease, upload.tag, rows, self._field_ids):
                    recorded += ready
                else:
                    upload.fail(
                        AbortedError(
                            f'The upload of {upload.locator} lost its lease: the topic '
                            'was sealed or deleted meanwhile',
                            remedy='Continue in another session.',
                        )
                    )
        return recorded

    def _cut_old_chunks(self) -> None:
        pause = min(1.0, max(0.02, self.limits.chunk_age_s / 8))
        while not self._closed.wait(pause):
            oldest = time.monotonic() - self.limits.chunk_age_s
            with self._uploads_lock:
                open_uploads = list(self._uploads)
            for upload in open_uploads:
                if upload.open_since < oldest:
                    upload.cut()


def _row(chunk: Chunk) -> ChunkRow:
    encoded = chunk.encoded
    assert encoded is not None
    return ChunkRow(
        chunk.number,
        encoded.encoding,
        encoded.rows,
        encoded.size,
        encoded.t_min,
        encoded.t_max,
        encoded.statistics,
    )
