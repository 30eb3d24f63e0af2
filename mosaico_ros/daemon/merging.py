"""Merging chunks that overlap in time, when a topic is sealed.

Rows may arrive in any order, so chunks may overlap; a reader then holds one row group of each
in memory. Few are merged while reading. Where more than :data:`FAN_IN` overlap, they are
rewritten here, that many sorted runs at a time, until no more than that do.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Row

from mosaico_ros.daemon.catalog.chunks import ChunkRow, FieldIds, Lease, replace_chunks
from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.resources import TopicState, find_topic_by
from mosaico_ros.daemon.catalog.tables import chunks
from mosaico_ros.daemon.chunk_files import ChunkFiles
from mosaico_ros.daemon.encoding import ChunkEncoder
from mosaico_ros.daemon.leases import chunk_key
from mosaico_ros.daemon.manifests import write_topic_manifest
from mosaico_ros.daemon.retrieval import Window, scan
from mosaico_ros.daemon.store.base import Store
from mosaico_ros.protocol.errors import AbortedError

__all__ = ['FAN_IN', 'Merger']

#: Chunks that may overlap at one moment: what a reader merges, one row group of each at once.
FAN_IN = 16


@dataclass(frozen=True)
class Merger:
    """What merging needs of an upload that is about to be sealed."""

    database: Database
    store: Store
    lease: Lease
    encoder: ChunkEncoder
    field_ids: FieldIds
    chunk_bytes: int

    def merge_overlaps(self) -> None:
        """Rewrite chunks until at most :data:`FAN_IN` of them overlap anywhere.

        Every step replaces some chunks by others with the same rows in one transaction, so a
        crash leaves the rows as they are. ``topic.json`` lists the chunks that count from before
        the first of the others is written, so it does so in the store too.

        Raises
        ------
        AbortedError
            If the lease was lost.

        """
        # Each run is a list of chunks that do not overlap, in the order of their arrival.
        runs = [[chunk] for chunk in self._chunks()]
        listed = False
        while len(runs) > FAN_IN and _depth([c for run in runs for c in run]) > FAN_IN:
            if not listed:
                self._list_chunks()
                listed = True
            runs = [
                self._merge([chunk for run in runs[at : at + FAN_IN] for chunk in run])
                for at in range(0, len(runs), FAN_IN)
            ]

    def _list_chunks(self) -> None:
        with self.database.write() as connection:
            topic = find_topic_by(connection, self.lease.holds(), lock=True)
            if topic is None:
                raise self._lost()
            write_topic_manifest(connection, self.store, topic, TopicState.UPLOADING)

    def _chunks(self, above: int = 0) -> list[Row[Any]]:
        with self.database.read() as connection:
            return list(
                connection.execute(
                    sa.select(chunks)
                    .where(chunks.c.topic_id == self.lease.topic_id, chunks.c.number > above)
                    .order_by(chunks.c.number)
                )
            )

    def _merge(self, old: Sequence[Row[Any]]) -> list[Row[Any]]:
        with self.database.read() as connection:
            topic = find_topic_by(connection, self.lease.holds())
        if topic is None:
            raise self._lost()
        last = self._chunks()[-1].number
        # Runs are neighbours, so nobody else's chunks lie between theirs.
        numbers = range(old[0].number, old[-1].number + 1)
        rows: list[ChunkRow] = []
        merged = scan(
            self.database,
            ChunkFiles(self.store),
            topic,
            Window(),
            keep=lambda chunk: chunk.number in numbers,
        )
        for number, batches in enumerate(_parts(merged, self.chunk_bytes), last + 1):
            with self.store.create(chunk_key(topic.folder, number, self.encoder.encoding)) as sink:
                encoded = self.encoder.encode(batches, sink)
            rows.append(
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
        with self.database.write() as connection:
            if not replace_chunks(
                connection, self.lease, topic.ontology_tag, numbers, rows, self.field_ids
            ):
                raise self._lost()
            write_topic_manifest(connection, self.store, topic, TopicState.UPLOADING)
        for chunk in old:
            self.store.delete(chunk_key(topic.folder, chunk.number, chunk.encoding))
        return self._chunks(above=last)

    @staticmethod
    def _lost() -> AbortedError:
        return AbortedError('The upload lost its lease: the topic was sealed or deleted meanwhile')


def _depth(found: Sequence[Row[Any]]) -> int:
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
