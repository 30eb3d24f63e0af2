"""Rows of chunks and their statistics."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.dialects import insert_ignore, queue_writers
from mosaico_ros.daemon.catalog.resources import SEALED, TopicState
from mosaico_ros.daemon.catalog.tables import chunks, fields, schemas, stats, topics
from mosaico_ros.daemon.statistics import LeafStatistics
from mosaico_ros.protocol.errors import AbortedError, NotFoundError
from mosaico_ros.protocol.fingerprint import schema_fingerprint
from mosaico_ros.protocol.limits import INT64_MAX, INT64_MIN

__all__ = [
    'ChunkRow',
    'ChunksReplacedError',
    'FieldIds',
    'Lease',
    'check_unchanged',
    'chunks_in_time',
    'commit_chunks',
    'intern_schema',
    'lease_sealed',
    'replace_chunks',
]

_PAGE = 1000
_NAMED_AT_ONCE = 500


class ChunksReplacedError(AbortedError):
    """The chunks of a topic were replaced while they were listed."""


@dataclass(frozen=True)
class Lease:
    """The right to change the chunks of a topic, held by one daemon.

    Parameters
    ----------
    topic_id
        The topic.
    instance_id
        The daemon.
    fence
        The topic's counter when the lease was taken; the lease is void once it has moved on.
    sealed
        Whether the topic's upload has ended: the lease is then for replacing chunks by others
        with the same rows, else it is that of the upload.

    """

    topic_id: int
    instance_id: int
    fence: int
    sealed: bool = False

    def holds(self) -> sa.ColumnElement[bool]:
        """Return the condition on :data:`topics` under which the lease is still good."""
        return sa.and_(
            topics.c.id == self.topic_id,
            topics.c.instance_id == self.instance_id,
            topics.c.fence == self.fence,
            topics.c.state.in_(SEALED if self.sealed else [TopicState.UPLOADING]),
        )


@dataclass(frozen=True)
class ChunkRow:
    """A chunk about to be recorded."""

    number: int
    encoding: str
    rows: int
    bytes: int
    t_min: int
    t_max: int
    statistics: Sequence[LeafStatistics]


class FieldIds:
    """Small integers that stand for (ontology tag, path), cached for this process."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], int] = {}

    def of(self, connection: Connection, tag: str, paths: Sequence[str]) -> list[int]:
        """Return the id of each path, making those that are new.

        The cache learns only ids that were in the catalog before the transaction: one that is
        rolled back must not leave an id that nobody has.
        """
        unknown = [path for path in paths if (tag, path) not in self._known]
        made: dict[str, int] = {}
        if unknown:
            stored = self._stored(connection, tag, unknown)
            self._known.update(((tag, path), number) for path, number in stored.items())
            new = [path for path in unknown if path not in stored]
            if new:
                # Two that make the same ones in another order would wait for each other.
                queue_writers(connection, 'fields')
                connection.execute(
                    insert_ignore(connection, fields),
                    [{'ontology_tag': tag, 'path': path} for path in new],
                )
                made = self._stored(connection, tag, new)
        return [made[path] if path in made else self._known[tag, path] for path in paths]

    @staticmethod
    def _stored(connection: Connection, tag: str, paths: list[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for start in range(0, len(paths), 500):
            rows = connection.execute(
                sa.select(fields.c.path, fields.c.id).where(
                    fields.c.ontology_tag == tag,
                    fields.c.path.in_(paths[start : start + 500]),
                )
            )
            found.update({row.path: row.id for row in rows})
        return found


def commit_chunks(
    connection: Connection,
    lease: Lease,
    tag: str,
    durable: Sequence[ChunkRow],
    field_ids: FieldIds,
) -> bool:
    """Record durable chunks of a topic with their statistics; `False` if the lease is void.

    A transaction calls it once for a topic: of a row that it has changed already PostgreSQL
    checks the foreign keys. It would wait for a sequence that is being deleted, whose deletion
    waits for the topic.
    """
    longest = max(min(chunk.t_max - chunk.t_min, INT64_MAX) for chunk in durable)
    updated = connection.execute(
        topics.update()
        .where(lease.holds())
        .values(
            rows=topics.c.rows + sum(chunk.rows for chunk in durable),
            bytes=topics.c.bytes + sum(chunk.bytes for chunk in durable),
            chunks=topics.c.chunks + len(durable),
            t_min=_least(topics.c.t_min, min(chunk.t_min for chunk in durable)),
            t_max=_greatest(topics.c.t_max, max(chunk.t_max for chunk in durable)),
            longest_chunk=_greatest(topics.c.longest_chunk, longest),
        )
    )
    if updated.rowcount != 1:
        return False
    for chunk in durable:
        _insert(connection, lease.topic_id, tag, chunk, field_ids)
    return True


def lease_sealed(connection: Connection, topic_id: int, instance_id: int) -> Lease | None:
    """Take the right to replace the chunks of a sealed topic from whoever has it.

    Returns `None` if the topic is not sealed, or gone.
    """
    mine = sa.and_(topics.c.id == topic_id, topics.c.state.in_(SEALED))
    taken = connection.execute(
        topics.update().where(mine).values(instance_id=instance_id, fence=topics.c.fence + 1)
    )
    if taken.rowcount != 1:
        return None
    fence = connection.execute(sa.select(topics.c.fence).where(mine)).scalar_one()
    return Lease(topic_id, instance_id, fence, sealed=True)


def replace_chunks(
    connection: Connection,
    lease: Lease,
    tag: str,
    old: Sequence[Row[Any]],
    new: Sequence[ChunkRow],
    field_ids: FieldIds,
) -> bool:
    """Put chunks with the same rows in the place of others; `False` if the lease is void.

    A sealed topic's counter moves on, by which its readers notice; the lease is used up.
    """
    longest = max(min(chunk.t_max - chunk.t_min, INT64_MAX) for chunk in new)
    updated = connection.execute(
        topics.update()
        .where(lease.holds())
        .values(
            bytes=topics.c.bytes + sum(c.bytes for c in new) - sum(c.bytes for c in old),
            chunks=topics.c.chunks + len(new) - len(old),
            fence=topics.c.fence + int(lease.sealed),
            longest_chunk=_greatest(topics.c.longest_chunk, longest),
        )
    )
    if updated.rowcount != 1:
        return False
    for start in range(0, len(old), _NAMED_AT_ONCE):
        numbers = [chunk.number for chunk in old[start : start + _NAMED_AT_ONCE]]
        connection.execute(
            chunks.delete().where(
                chunks.c.topic_id == lease.topic_id, chunks.c.number.in_(numbers)
            )
        )
    for chunk in new:
        _insert(connection, lease.topic_id, tag, chunk, field_ids)
    return True


def _insert(
    connection: Connection, topic_id: int, tag: str, chunk: ChunkRow, field_ids: FieldIds
) -> None:
    inserted = connection.execute(
        chunks.insert().values(
            topic_id=topic_id,
            number=chunk.number,
            encoding=chunk.encoding,
            rows=chunk.rows,
            bytes=chunk.bytes,
            t_min=chunk.t_min,
            t_max=chunk.t_max,
        )
    )
    key = inserted.inserted_primary_key
    assert key is not None
    chunk_id = key[0]
    if chunk.statistics:
        ids = field_ids.of(connection, tag, [leaf.path for leaf in chunk.statistics])
        connection.execute(
            stats.insert(),
            [
                {
                    'chunk_id': chunk_id,
                    'field_id': field_id,
                    'min_num': leaf.min_num,
                    'max_num': leaf.max_num,
                    'min_text': leaf.min_text,
                    'max_text': leaf.max_text,
                    'exact': leaf.exact,
                    'nulls': leaf.nulls,
                    'marks': leaf.marks,
                }
                for field_id, leaf in zip(ids, chunk.statistics, strict=True)
            ],
        )


def intern_schema(connection: Connection, schema: pa.Schema) -> int:
    """Return the id of a schema, storing it if it is new."""
    ipc = schema.serialize().to_pybytes()
    digest = hashlib.sha256(ipc).hexdigest()
    values = {'digest': digest, 'ipc': ipc, 'fingerprint': schema_fingerprint(schema)}
    connection.execute(insert_ignore(connection, schemas), [values])
    return int(
        connection.execute(sa.select(schemas.c.id).where(schemas.c.digest == digest)).scalar_one()
    )


def chunks_in_time(
    database: Database, topic: Row[Any], start_ns: int | None, end_ns: int | None
) -> Iterator[Row[Any]]:
    """Yield the chunks that overlap [start_ns, end_ns), by first timestamp, then arrival.

    Reads page by page, each in its own transaction, so that a topic of any length costs the
    same memory and a slow reader holds nothing. `topic` is its row: no chunk that begins
    further back than the longest one lasts can reach the window, so a look-up costs the same
    however long the topic is.

    Raises
    ------
    ChunksReplacedError
        If they were replaced since the topic's row was read: some pages would show the old
        ones and some the new.
    NotFoundError
        If the topic was deleted since.

    """
    query = sa.select(
        chunks.c.id,
        chunks.c.number,
        chunks.c.encoding,
        chunks.c.rows,
        chunks.c.bytes,
        chunks.c.t_min,
        chunks.c.t_max,
    ).where(chunks.c.topic_id == topic.id)
    if start_ns is not None:
        earliest = INT64_MIN
        if topic.longest_chunk < INT64_MAX:
            earliest = max(start_ns - topic.longest_chunk, INT64_MIN)
        query = query.where(chunks.c.t_max >= start_ns, chunks.c.t_min >= earliest)
    if end_ns is not None:
        query = query.where(chunks.c.t_min < end_ns)
    query = query.order_by(chunks.c.t_min, chunks.c.number).limit(_PAGE)
    page_query = query
    while True:
        with database.read() as connection:
            _check_unchanged(connection, topic)
            page: Sequence[Any] = connection.execute(page_query).all()
        yield from page
        if len(page) < _PAGE:
            return
        last = page[-1]
        page_query = query.where(
            chunks.c.t_min >= last.t_min,
            sa.or_(chunks.c.t_min > last.t_min, chunks.c.number > last.number),
        )


def check_unchanged(database: Database, topic: Row[Any]) -> None:
    """Raise, as :func:`chunks_in_time` does, if a topic is not what its row says."""
    with database.read() as connection:
        _check_unchanged(connection, topic)


def _check_unchanged(connection: Connection, topic: Row[Any]) -> None:
    fence = connection.execute(
        sa.select(topics.c.fence).where(topics.c.id == topic.id)
    ).scalar_one_or_none()
    if fence is None:
        raise NotFoundError(f'The topic {topic.sequence}/{topic.path} was deleted')
    if fence != topic.fence:
        raise ChunksReplacedError(
            f'The chunks of {topic.sequence}/{topic.path} were replaced meanwhile'
        )


def _least(column: sa.Column[Any], value: int) -> sa.ColumnElement[int]:
    return sa.case((column < value, column), else_=value)


def _greatest(column: sa.Column[Any], value: int) -> sa.ColumnElement[int]:
    return sa.case((column > value, column), else_=value)
