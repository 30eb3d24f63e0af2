"""Merging chunks that overlap in time.

Rows may arrive in any order, so chunks may overlap; a reader then holds one row group of each
in memory. Few are merged while reading. Where more than :data:`FAN_IN` overlap, they are
rewritten when the topic is sealed, that many sorted runs at a time, until no more than that do.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog.chunks import ChunkRow, FieldIds, Lease, replace_chunks
from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.resources import TopicState, find_topic_by
from mosaico_ros.daemon.catalog.tables import chunks
from mosaico_ros.daemon.chunk_files import ChunkFiles
from mosaico_ros.daemon.encoding import ChunkEncoder
from mosaico_ros.daemon.leases import chunk_key
from mosaico_ros.daemon.manifests import write_topic_manifest
from mosaico_ros.daemon.store.base import Store
from mosaico_ros.daemon.time_order import StoredChunk, Window, merge
from mosaico_ros.protocol.errors import AbortedError

__all__ = ['FAN_IN', 'Merger', 'Rewriter']

#: Chunks that may overlap at one moment: what a reader merges, one row group of each at once.
FAN_IN = 16


@dataclass(frozen=True)
class Rewriter:
    """Writes the rows of a topic's chunks into others, which the catalog does not know yet.

    Parameters
    ----------
    store, folder
        Where the topic's chunks are.
    encoder
        What writes them.
    chunk_bytes
        Size in memory at which a chunk is full.

    """

    store: Store
    folder: str
    encoder: ChunkEncoder
    chunk_bytes: int

    def flattened(self, old: Sequence[StoredChunk], numbers: Iterator[int]) -> list[StoredChunk]:
        """Return chunks of which at most :data:`FAN_IN` overlap anywhere.

        They are the old ones if these are such, else all are new.

        Parameters
        ----------
        old
            Chunks in the order of arrival.
        numbers
            Numbers for new ones.

        """
        # Each run is a list of chunks that do not overlap, in the order of their arrival.
        runs: list[list[StoredChunk]] = [[chunk] for chunk in old]
        passes = 0
        while len(runs) > FAN_IN and _depth(_joined(runs)) > FAN_IN:
            made: list[list[StoredChunk]] = [
                list(self.merged(_joined(runs[at : at + FAN_IN]), numbers))
                for at in range(0, len(runs), FAN_IN)
            ]
            if passes:
                self.delete(_joined(runs))
            runs = made
            passes += 1
        return _joined(runs)

    def merged(self, old: Sequence[StoredChunk], numbers: Iterator[int]) -> list[ChunkRow]:
        """Write the rows of some chunks, in order, into new ones; return these."""
        in_time = iter(sorted(old, key=lambda chunk: (chunk.t_min, chunk.number)))
        batches = merge(ChunkFiles(self.store), self.folder, in_time, Window())
        made = []
        for part in _parts(batches, self.chunk_bytes):
            number = next(numbers)
            with self.store.create(chunk_key(self.folder, number, self.encoder.encoding)) as sink:
                encoded = self.encoder.encode(part, sink)
            made.append(
                ChunkRow(
                    number,
                    encoded.encoding,
                    encoded.rows,
                    encoded.size,
                    encoded.t_min,
                    encoded.t_max,
                    encoded.statistics,
                )
            )
        return made

    def delete(self, unwanted: Sequence[StoredChunk]) -> None:
        """Remove chunks from the store."""
        self.store.delete(
            *(chunk_key(self.folder, chunk.number, chunk.encoding) for chunk in unwanted)
        )


@dataclass(frozen=True)
class Merger:
    """What merging needs of an upload that is about to be sealed."""

    database: Database
    rewriter: Rewriter
    lease: Lease
    tag: str
    field_ids: FieldIds

    def merge_overlaps(self) -> None:
        """Rewrite chunks until at most :data:`FAN_IN` of them overlap anywhere.

        They are replaced in one transaction: a crash leaves the rows as they are. ``topic.json``
        lists the chunks that count from before the first of the others is written, so it does so
        in the store too.

        Raises
        ------
        AbortedError
            If the lease was lost.

        """
        with self.database.read() as connection:
            old: Sequence[Row[Any]] = connection.execute(
                sa.select(chunks)
                .where(chunks.c.topic_id == self.lease.topic_id)
                .order_by(chunks.c.number)
            ).all()
        if _depth(old) <= FAN_IN:
            return
        with self.database.write() as connection:
            self._list_chunks(connection)
        last = old[-1].number
        new: list[Any] = self.rewriter.flattened(old, itertools.count(last + 1))
        with self.database.write() as connection:
            if not replace_chunks(connection, self.lease, self.tag, old, new, self.field_ids):
                raise self._lost()
            self._list_chunks(connection)
        self.rewriter.delete(old)

    def _list_chunks(self, connection: Connection) -> None:
        topic = find_topic_by(connection, self.lease.holds(), lock=True)
        if topic is None:
            raise self._lost()
        write_topic_manifest(connection, self.rewriter.store, topic, TopicState.UPLOADING)

    @staticmethod
    def _lost() -> AbortedError:
        return AbortedError('The upload lost its lease: the topic was sealed or deleted meanwhile')


def _joined(runs: Sequence[Sequence[StoredChunk]]) -> list[StoredChunk]:
    return [chunk for run in runs for chunk in run]


def _depth(found: Sequence[StoredChunk]) -> int:
    """Return how many chunks overlap at one moment, at most."""
    ends: list[int] = []
    deepest = 0
    for chunk in sorted(found, key=lambda row: row.t_min):
        while ends and ends[0] < chunk.t_min:
            heapq.heappop(ends)
        heapq.heappush(ends, chunk.t_max)
        deepest = max(deepest, len(ends))
    return deepest


def _parts(batches: Iterator[pa.RecordBatch], size: int) -> Iterator[list[pa.RecordBatch]]:
    """Group batches to about a chunk's size."""
    part: list[pa.RecordBatch] = []
    filled = 0
    for batch in batches:
        part.append(batch)
        filled += batch.nbytes
        if filled >= size:
            yield part
            part, filled = [], 0
    if part:
        yield part
