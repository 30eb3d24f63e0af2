"""The optimizer: rewrites a sealed topic's many small chunks into few large ones.

A topic is worked through in segments that do not touch in time, so that memory, the room for
two copies and the transaction that switches are bounded. Old chunks are kept for a while after
the switch, for those who are reading them; who reads longer goes on in the new ones.

Whoever replaces chunks holds the topic's lease. Numbers of new chunks hold its counter: nobody
else ever writes an object of that name, so no writer that was outrun can do harm.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from mosaico_ros.daemon.catalog.chunks import (
    ChunkRow,
    FieldIds,
    Lease,
    chunks_in_time,
    lease_sealed,
    replace_chunks,
)
from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.dialects import now_ns
from mosaico_ros.daemon.catalog.events import SWEEP, enqueue
from mosaico_ros.daemon.catalog.resources import SEALED, TopicState, find_topic_by
from mosaico_ros.daemon.catalog.tables import topics
from mosaico_ros.daemon.chunk_files import ChunkFiles
from mosaico_ros.daemon.descriptions import stored_schema
from mosaico_ros.daemon.encoding import ChunkEncoder
from mosaico_ros.daemon.leases import chunk_key
from mosaico_ros.daemon.manifests import write_topic_manifest
from mosaico_ros.daemon.merging import Rewriter
from mosaico_ros.daemon.store.base import Store
from mosaico_ros.protocol.errors import AbortedError, CancelledError, MosaicoError
from mosaico_ros.protocol.limits import INT64_MAX
from mosaico_ros.protocol.serialization import SerializationFormat

__all__ = ['OPTIMIZER', 'Optimized', 'Optimizer']

_log = logging.getLogger(__name__)

#: Name of the routine.
OPTIMIZER = 'optimizer'

#: Rewriting must leave at most one chunk of this many.
_GAIN = 2
_SEGMENT_CHUNKS = 4
# Chunks of one lease; an upload has fewer.
_NUMBERS = 10**8
# Queries and most reads are done in this time.
_READERS_NS = 600 * 10**9
_PAGE = 100


@dataclass(frozen=True)
class Optimized:
    """What the optimizer has done: chunks before and after, in how many topics."""

    topics: int = 0
    before: int = 0
    after: int = 0

    def __str__(self) -> str:
        return f'{self.topics} topics optimized: {self.before} chunks became {self.after}'


class Optimizer:
    """Optimizes the topics of an archive.

    Parameters
    ----------
    database, store
        The archive.
    instance_id
        This daemon.
    chunk_bytes
        Size in memory of the chunks to write.
    stop
        Ends the work early when it is set.

    """

    def __init__(
        self,
        database: Database,
        store: Store,
        instance_id: int,
        chunk_bytes: int,
        stop: threading.Event,
    ) -> None:
        self._database = database
        self._store = store
        self._instance_id = instance_id
        self._chunk_bytes = chunk_bytes
        self._stop = stop
        self._field_ids = FieldIds()

    def run(self, *, again: bool = False) -> Optimized:
        """Optimize every topic that was sealed since it was last looked at.

        What goes wrong in one topic is logged and keeps none of the others from its turn.

        Parameters
        ----------
        again
            Look at the others, too.

        """
        found: list[Optimized] = []
        last = 0
        while page := self._candidates(last, again):
            for topic_id in page:
                try:
                    found.append(self.optimize(topic_id, again=again))
                except CancelledError:
                    raise
                except AbortedError as error:
                    _log.info('%s', error)
                except MosaicoError:
                    _log.exception('The topic with the id %d cannot be optimized', topic_id)
            last = page[-1]
        return Optimized(
            sum(one.topics for one in found),
            sum(one.before for one in found),
            sum(one.after for one in found),
        )

    def optimize(self, topic_id: int, *, again: bool = False) -> Optimized:
        """Optimize one topic; nothing happens if it is gone, not sealed, or was looked at.

        Raises
        ------
        AbortedError
            If somebody else has deleted it or replaced its chunks meanwhile; its rows are whole.

        """
        with self._database.write() as connection:
            looked_at = topics.c.id == topic_id
            if not again:
                looked_at = sa.and_(looked_at, topics.c.optimized_at_ns.is_(None))
            if find_topic_by(connection, looked_at) is None:
                return Optimized()
            lease = lease_sealed(connection, topic_id, self._instance_id)
        if lease is None:
            return Optimized()
        before = after = 0
        rewriter: Rewriter | None = None
        start: int | None = None
        while True:
            topic = self._topic(lease)
            if rewriter is None:
                rewriter = self._rewriter(topic)
            segment, size = self._segment(topic, start)
            if not segment:
                break
            if len(segment) >= _GAIN * max(1, -(-size // self._chunk_bytes)):
                new = self._rewrite(rewriter, segment, lease)
                lease = self._switch(rewriter, topic, segment, new, lease)
                before, after = before + len(segment), after + len(new)
            end = max(chunk.t_max for chunk in segment)
            if end == INT64_MAX:
                break
            start = end + 1
        with self._database.write() as connection:
            connection.execute(
                topics.update().where(lease.holds()).values(optimized_at_ns=now_ns(connection))
            )
        if not before:
            return Optimized()
        _log.info('%s/%s: %d chunks became %d', topic.sequence, topic.path, before, after)
        return Optimized(1, before, after)

    # -- inside ------------------------------------------------------------------------------

    def _candidates(self, above: int, again: bool) -> list[int]:
        query = sa.select(topics.c.id).where(
            topics.c.id > above, topics.c.state.in_(SEALED), topics.c.chunks >= _GAIN
        )
        if not again:
            query = query.where(topics.c.optimized_at_ns.is_(None))
        with self._database.read() as connection:
            return list(connection.execute(query.order_by(topics.c.id).limit(_PAGE)).scalars())

    def _topic(self, lease: Lease) -> Row[Any]:
        with self._database.read() as connection:
            topic = find_topic_by(connection, lease.holds())
        if topic is None:
            raise AbortedError('A topic was deleted, or its chunks were replaced, meanwhile')
        return topic

    def _rewriter(self, topic: Row[Any]) -> Rewriter:
        schema = stored_schema(topic)
        assert schema is not None  # it has chunks
        encoder = ChunkEncoder(schema, SerializationFormat(topic.serialization_format))
        return Rewriter(self._store, topic.folder, encoder, self._chunk_bytes)

    def _segment(self, topic: Row[Any], start: int | None) -> tuple[list[Row[Any]], int]:
        """Return the next chunks that end before the others begin, and their size in memory."""
        segment: list[Row[Any]] = []
        row_bytes = size = 0.0
        end = 0
        for chunk in chunks_in_time(self._database, topic, start, None):
            if not segment:
                row_bytes = self._row_bytes(topic, chunk)
            elif chunk.t_min > end and size >= _SEGMENT_CHUNKS * self._chunk_bytes:
                break
            end = max(end, chunk.t_max) if segment else chunk.t_max
            segment.append(chunk)
            size += chunk.rows * row_bytes
        return segment, int(size)

    def _row_bytes(self, topic: Row[Any], chunk: Row[Any]) -> float:
        key = chunk_key(topic.folder, chunk.number, chunk.encoding)
        with ChunkFiles(self._store).open(key, chunk.encoding) as opened:
            batch = next(opened.batches([0], None))
        return float(batch.nbytes / batch.num_rows)

    def _numbers(self, lease: Lease) -> Iterator[int]:
        for number in range(lease.fence * _NUMBERS, (lease.fence + 1) * _NUMBERS):
            if self._stop.is_set():
                raise CancelledError('The optimizer was stopped')
            yield number

    def _rewrite(
        self, rewriter: Rewriter, old: Sequence[Row[Any]], lease: Lease
    ) -> list[ChunkRow]:
        numbers = self._numbers(lease)
        arrived: list[Any] = sorted(old, key=lambda chunk: chunk.number)
        flat = rewriter.flattened(arrived, numbers)
        new = rewriter.merged(flat, numbers)
        if flat[0].number >= lease.fence * _NUMBERS:
            rewriter.delete(flat)
        return new

    def _switch(
        self,
        rewriter: Rewriter,
        topic: Row[Any],
        old: Sequence[Row[Any]],
        new: Sequence[ChunkRow],
        lease: Lease,
    ) -> Lease:
        with self._database.write() as connection:
            switched = replace_chunks(
                connection, lease, topic.ontology_tag, old, new, self._field_ids
            )
            if switched:
                write_topic_manifest(
                    connection,
                    self._store,
                    topic,
                    TopicState(topic.state),
                    topic.completed_at_ns,
                )
                enqueue(
                    connection,
                    SWEEP,
                    f'{topic.id}.{lease.fence}',
                    {'topic_id': topic.id},
                    _READERS_NS,
                )
        if not switched:
            rewriter.delete(new)
            raise AbortedError(
                f'The topic {topic.sequence}/{topic.path} was deleted, or its chunks were '
                'replaced, meanwhile'
            )
        return Lease(topic.id, self._instance_id, lease.fence + 1, sealed=True)
