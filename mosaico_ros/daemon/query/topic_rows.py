"""The rows of one topic that satisfy conditions: their times, for clusters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy.engine import Row

from mosaico_ros.daemon.catalog.resources import SEALED, find_topic
from mosaico_ros.daemon.chunk_files import Footer, Times
from mosaico_ros.daemon.query.budget import Alive
from mosaico_ros.daemon.query.engine import QueryEngine
from mosaico_ros.daemon.query.evaluation import ChunkRef, Tally
from mosaico_ros.daemon.query.pruning import Conditions, candidate_chunks, undecided
from mosaico_ros.daemon.retrieval import scan
from mosaico_ros.daemon.time_order import Window
from mosaico_ros.protocol.locators import TopicLocator
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN
from mosaico_ros.protocol.query import OntologyCondition

__all__ = ['TopicRows', 'tag_of']

_MATCH = 'match'


def tag_of(engine: QueryEngine, locator: TopicLocator) -> str:
    """Return the ontology tag of a topic; NotFoundError if there is none."""
    with engine.database.read() as connection:
        return str(find_topic(connection, locator).ontology_tag)


@dataclass
class TopicRows:
    """Rows of a topic in a window that satisfy all conditions.

    Parameters
    ----------
    engine
        The archive's.
    locator
        The topic; NotFoundError at the first row if there is none.
    conditions, window
        What the rows satisfy, and where they lie.
    alive
        Whether somebody still waits for them.

    """

    engine: QueryEngine
    locator: TopicLocator
    conditions: Sequence[OntologyCondition]
    window: Window
    alive: Alive

    def matching_range(self) -> tuple[int, int] | None:
        """Return the first and the last time; opens only the chunks on the edges."""
        found = self._candidates()
        with self.engine.places.hold(1, self.alive):
            return self.engine.evaluator.matching_range(
                list(found.chunks.values()), self.window, Tally(), self.alive
            )

    def matching_times(self) -> Iterator[Times]:
        """Yield all times, ascending."""
        found = self._candidates()
        if not found.chunks:
            return
        for batch in scan(
            self.engine.database,
            _JudgingFiles(self.engine, found, self.alive),
            found.topic,
            self.window,
            row_filter=lambda batch: batch.column(_MATCH),
            keep=lambda chunk: chunk.number in found.chunks,
        ):
            yield batch.column(TIMESTAMP_COLUMN).to_numpy()

    def _candidates(self) -> _Candidates:
        with self.engine.database.read() as connection:
            topic = find_topic(connection, self.locator)
            resolved = self.engine.resolved(connection, topic.schema_id, self.conditions)
            if resolved is None or topic.state not in SEALED:
                return _Candidates(topic, {}, ())
            found = {}
            for row in connection.execute(
                candidate_chunks(connection, [topic.ontology_tag], resolved, [topic.id])
            ):
                judged = undecided(row, resolved)
                if judged is not None:
                    found[row.number] = self.engine.reference(connection, row, judged[0])
            return _Candidates(topic, found, resolved)


@dataclass(frozen=True)
class _Candidates:
    """A topic's row, its chunks that may hold such rows by number, and what rows must satisfy."""

    topic: Row[Any]
    chunks: dict[int, ChunkRef]
    conditions: Conditions


class _JudgingFiles:
    """Chunks as :func:`scan` reads them, of which only times and matches are held."""

    def __init__(self, engine: QueryEngine, found: _Candidates, alive: Alive) -> None:
        self._engine = engine
        self._chunks = {chunk.key: chunk for chunk in found.chunks.values()}
        # For chunks that have taken the place of those: no bound has been held against them.
        self._any = replace(next(iter(found.chunks.values())), conditions=found.conditions)
        self._alive = alive

    def open(self, key: str, encoding: str) -> _JudgedChunk:
        chunk = self._chunks.get(key) or replace(self._any, key=key, encoding=encoding)
        return _JudgedChunk(self._engine, chunk, self._alive)


class _JudgedChunk:
    def __init__(self, engine: QueryEngine, chunk: ChunkRef, alive: Alive) -> None:
        self._engine = engine
        self._chunk = chunk
        self._alive = alive
        self._opened = engine.files.open(chunk.key, chunk.encoding, partly=True)

    @property
    def footer(self) -> Footer:
        return self._opened.footer

    def close(self) -> None:
        self._opened.close()

    def batches(
        self, groups: Sequence[int], columns: Sequence[str] | None
    ) -> Iterator[pa.RecordBatch]:
        for times, match in self._engine.evaluator.judged(
            self._chunk, self._opened, groups, Tally(), self._alive, self._engine.places
        ):
            yield pa.RecordBatch.from_arrays(
                [pa.array(times), pa.array(np.asarray(match))], [TIMESTAMP_COLUMN, _MATCH]
            )
