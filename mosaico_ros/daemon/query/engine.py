"""Queries: pruned in SQL, rows evaluated only where bounds cannot decide.

A query is taken apart into alternatives, whose answers are united. In each, a topic qualifies
for the conditions of one tag if one of its rows satisfies all of them. The chunks that can hold
such a row come from one range scan over the statistics; most of them are decided by their
bounds, and no file is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.dialects import storable
from mosaico_ros.daemon.catalog.tables import chunks, schemas, topics
from mosaico_ros.daemon.chunk_files import ChunkFiles
from mosaico_ros.daemon.columns import KnownSchema
from mosaico_ros.daemon.encoding import ROW_GROUP_ROWS
from mosaico_ros.daemon.leases import chunk_key
from mosaico_ros.daemon.query.budget import Alive, Budget
from mosaico_ros.daemon.query.evaluation import ChunkRef, Evaluator
from mosaico_ros.daemon.query.paging import page
from mosaico_ros.daemon.query.plan import GroupPlan, Plan
from mosaico_ros.daemon.query.pruning import Conditions, candidate_chunks, chunks_in_all, undecided
from mosaico_ros.daemon.query.sections import Candidate, select_candidates
from mosaico_ros.daemon.time_order import Window
from mosaico_ros.protocol.errors import CancelledError, NotFoundError
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
from mosaico_ros.protocol.query import (
    OntologyCondition,
    Query,
    Sections,
    Where,
    alternatives,
    rows_tree,
)
from mosaico_ros.protocol.query.predicates import resolve
from mosaico_ros.protocol.tags import same_tag, tag_spellings

__all__ = ['QueryEngine', 'QueryItem', 'QueryLimits', 'QueryPage', 'QueryTopic', 'forever']

# Beyond this many topics the range scan over all of them is cheaper than naming them.
_NAMED_TOPICS = 400
# Undecided chunks that are remembered before they are looked into.
_PENDING_CHUNKS = 4096
# A chunk may be deleted between the catalog's word of it and its reading.
_ATTEMPTS = 3
# A chunk from which on most of the work is done outside of the interpreter.
_LARGE_ROWS = 10 * ROW_GROUP_ROWS

Range = tuple[int, int]
#: What one row has to satisfy.
_Row = tuple[OntologyCondition, ...]
#: A topic, and its chunks that bounds left open.
_Pending = tuple[Candidate, list[ChunkRef]]


@dataclass(frozen=True)
class QueryTopic:
    """A topic that a query found.

    Parameters
    ----------
    locator, ontology_tag
        The topic.
    timestamp_range
        First and last time of the rows that satisfy the ontology conditions, both inclusive;
        `None` unless it was asked for and there are such conditions.
    rows
        For queries with a tree: conditions that those rows satisfy.

    """

    locator: TopicLocator
    ontology_tag: str
    timestamp_range: Range | None = None
    rows: Where | None = None


@dataclass(frozen=True)
class QueryItem:
    """A sequence that a query found, with at least one topic."""

    sequence: SequenceLocator
    topics: list[QueryTopic]


class QueryPage(list[QueryItem]):
    """What a query found, in its order.

    Parameters
    ----------
    items
        The sequences.
    next_cursor
        Where the next page begins; `None` if nothing follows.
    plan
        How it was found.

    """

    def __init__(self, items: Sequence[QueryItem], next_cursor: str | None, plan: Plan) -> None:
        super().__init__(items)
        self.next_cursor = next_cursor
        self.plan = plan


@dataclass(frozen=True)
class QueryLimits:
    """What queries may take, all together.

    Parameters
    ----------
    places
        Queries that read chunks at once.
    memory
        Bytes that they hold; 0 means no limit.
    threads
        Chunks looked into at once.

    """

    places: int = 4
    memory: int = 0
    threads: int = 2


def forever() -> bool:
    """Tell that the caller stays."""
    return True


class QueryEngine:
    """Answers queries over one archive."""

    def __init__(self, database: Database, files: ChunkFiles, limits: QueryLimits) -> None:
        self.database = database
        self.files = files
        self.places = Budget(limits.places)
        self.evaluator = Evaluator(files, Budget(limits.memory))
        self._threads = ThreadPoolExecutor(limits.threads, thread_name_prefix='query')
        self._schemas: dict[int, KnownSchema] = {}

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def run(self, query: Query, alive: Alive = forever) -> QueryPage:
        """Return what satisfies a query; nothing if it is empty.

        Parameters
        ----------
        query
            The query.
        alive
            Whether somebody still waits for the answer.

        Raises
        ------
        InvalidArgumentError
            The cursor is not one of this query, or `where` has too many alternatives.
        ResourceExhaustedError
            A row group alone is larger than the memory pool.
        CancelledError
            The caller has gone.

        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return _Run(self, query, alive).page()
            except NotFoundError:
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError('unreachable')

    def resolved(
        self,
        connection: Connection,
        schema_id: int | None,
        conditions: Sequence[OntologyCondition],
    ) -> Conditions | None:
        """Return what conditions mean for a schema; `None` if no row of it can match."""
        if schema_id is None:
            return None
        if schema_id not in self._schemas:
            ipc = connection.execute(
                sa.select(schemas.c.ipc).where(schemas.c.id == schema_id)
            ).scalar_one()
            schema = pa.ipc.read_schema(pa.BufferReader(ipc))
            if len(self._schemas) > 1000:
                self._schemas.clear()
            self._schemas[schema_id] = KnownSchema(schema)
        schema = self._schemas[schema_id].schema
        resolved = [resolve(condition, schema) for condition in conditions]
        return None if None in resolved else tuple(resolved)  # type: ignore[arg-type]

    def reference(self, connection: Connection, chunk: Row[Any], left: Conditions) -> ChunkRef:
        """Return how to look into a chunk for the conditions that its bounds left open."""
        if chunk.schema_id not in self._schemas:
            self.resolved(connection, chunk.schema_id, ())
        key = chunk_key(chunk.folder, chunk.number, chunk.encoding)
        known = self._schemas[chunk.schema_id]
        return ChunkRef(key, chunk.encoding, chunk.rows, chunk.t_min, chunk.t_max, known, left)

    def look_into(
        self, work: Callable[[_Pending], Any], pending: Sequence[_Pending]
    ) -> Iterator[Any]:
        """Yield the results of some work on the chunks of each topic, in order."""
        # Of small chunks on a local disk threads would fight for the interpreter, no more.
        pays = self.files.waits or any(
            chunk.rows > _LARGE_ROWS for _, chunks_of in pending for chunk in chunks_of
        )
        if pays and len(pending) > 1:
            return self._threads.map(work, pending)
        return map(work, pending)


class _Run:
    """One query on its way."""

    def __init__(self, engine: QueryEngine, query: Query, alive: Alive) -> None:
        self._engine = engine
        self._query = query
        self._alive = alive
        self._plan = Plan()

    def page(self) -> QueryPage:
        found: dict[int, tuple[Candidate, Range | None, list[_Row]]] = {}
        for way in alternatives(self._query) if self._query else ():
            for candidate, times in self._answer(way):
                _, known, ways = found.get(candidate.id, (None, None, []))
                row = tuple(c for c in way.ontology if same_tag(c.tag, candidate.tag))
                found[candidate.id] = (
                    candidate,
                    _spanning(known, times),
                    [*ways, row] if row else ways,
                )
        by_sequence: dict[int, QueryItem] = {}
        for topic_id in sorted(found):
            candidate, times, ways = found[topic_id]
            rows = rows_tree(ways) if ways and self._query.where is not None else None
            item = by_sequence.setdefault(
                candidate.sequence_id, QueryItem(SequenceLocator(candidate.locator.sequence), [])
            )
            item.topics.append(QueryTopic(candidate.locator, candidate.tag, times, rows))
        with self._plan.timed('page'):
            order, cursor = page(self._engine.database, self._query, by_sequence)
        return QueryPage([by_sequence[number] for number in order], cursor, self._plan)

    def _answer(self, way: Sections) -> list[tuple[Candidate, Range | None]]:
        plans = self._plan.alternative()
        if not way.ontology:
            with self._plan.timed('sections'), self._engine.database.read() as connection:
                return [(found, None) for found in select_candidates(connection, way, None)]
        groups: dict[tuple[str, ...], list[OntologyCondition]] = {}
        for condition in way.ontology:
            key = tuple(sorted(filter(storable, tag_spellings(condition.tag))))
            groups.setdefault(key, []).append(condition)
        found: dict[int, tuple[Candidate, Range | None]] = {}
        remaining: set[int] | None = None  # sequences that satisfy every group so far
        for tags, conditions in groups.items():
            plan = GroupPlan(tags, conditions)
            plans.append(plan)
            hits = self._qualifying(way, plan, remaining)
            remaining = {candidate.sequence_id for candidate, _ in hits}
            if not remaining:
                return []
            found.update({candidate.id: (candidate, times) for candidate, times in hits})
        return [hit for hit in found.values() if hit[0].sequence_id in (remaining or ())]

    def _qualifying(
        self, way: Sections, plan: GroupPlan, in_sequences: set[int] | None
    ) -> list[tuple[Candidate, Range | None]]:
        with self._plan.timed('statistics'), self._engine.database.read() as connection:
            passing: set[int] | None = None
            named: list[int] | None = None
            if way.sequence or way.topic or in_sequences is not None:
                with self._plan.timed('sections'):
                    passing = {
                        candidate.id
                        for candidate in select_candidates(connection, way, tuple(plan.tags))
                        if in_sequences is None or candidate.sequence_id in in_sequences
                    }
                plan.topics = len(passing)
                if not passing:
                    return []
                if len(passing) <= _NAMED_TOPICS:
                    named = list(passing)
            if self._query.explain:
                plan.chunks = chunks_in_all(connection, plan.tags, named)
            qualified: list[tuple[Candidate, Range | None]] = []
            for schema_ids, resolved in self._resolutions(connection, plan):
                selected = candidate_chunks(connection, plan.tags, resolved, named, schema_ids)
                rows = connection.execute(selected.order_by(chunks.c.topic_id, chunks.c.t_min))
                qualified += self._decide(connection, rows, resolved, plan, passing)
        return qualified

    def _resolutions(
        self, connection: Connection, plan: GroupPlan
    ) -> Iterator[tuple[list[int], Conditions]]:
        """Yield what the conditions mean for each schema of these tags, equal ones together."""
        used = connection.execute(
            sa.select(topics.c.schema_id)
            .where(topics.c.ontology_tag.in_(plan.tags), topics.c.schema_id.isnot(None))
            .distinct()
        ).scalars()
        meanings: dict[Conditions, list[int]] = {}
        for schema_id in list(used):
            resolved = self._engine.resolved(connection, schema_id, plan.conditions)
            if resolved is not None:
                meanings.setdefault(resolved, []).append(schema_id)
        for resolved, schema_ids in meanings.items():
            yield schema_ids, resolved

    def _decide(
        self,
        connection: Connection,
        rows: Any,
        resolved: Conditions,
        plan: GroupPlan,
        passing: set[int] | None,
    ) -> Iterator[tuple[Candidate, Range | None]]:
        """Yield the topics with a match, and the times of the first and the last if asked for."""
        wants_times = self._query.include_timestamp_range
        pending: list[_Pending] = []
        waiting = 0
        for topic_id, group in groupby(rows, key=lambda row: row.topic_id):
            if passing is not None and topic_id not in passing:
                continue
            if not self._alive():
                raise CancelledError('The caller went away')
            open_chunks: list[ChunkRef] = []
            hit = False
            for row in group:
                plan.candidates += 1
                judged = undecided(row, resolved)
                if judged is None or (judged[1] and not wants_times):
                    plan.decided += 1
                    hit = hit or judged is not None
                elif not hit:
                    left = judged[0]
                    plan.decided += not left
                    open_chunks.append(self._engine.reference(connection, row, left))
            locator = TopicLocator(row.name, row.path)
            candidate = Candidate(topic_id, row.sequence_id, locator, row.ontology_tag)
            if hit:
                yield candidate, None
            elif open_chunks:
                pending.append((candidate, open_chunks))
                waiting += len(open_chunks)
            if waiting >= _PENDING_CHUNKS:
                yield from self._look_into(pending, plan)
                pending, waiting = [], 0
        if pending:
            yield from self._look_into(pending, plan)

    def _look_into(
        self, pending: list[_Pending], plan: GroupPlan
    ) -> Iterator[tuple[Candidate, Range | None]]:
        evaluator = self._engine.evaluator

        def any_match(item: _Pending) -> bool:
            return any(evaluator.any_match(chunk, plan.read, self._alive) for chunk in item[1])

        def times(item: _Pending) -> Range | None:
            return evaluator.matching_range(item[1], Window(), plan.read, self._alive)

        with self._plan.timed('rows'), self._engine.places.hold(1, self._alive):
            work: Callable[[Any], Any] = any_match
            if self._query.include_timestamp_range:
                work = times
            results = list(self._engine.look_into(work, pending))
        for (candidate, _), result in zip(pending, results, strict=True):
            if result:
                yield candidate, None if result is True else result


def _spanning(one: Range | None, other: Range | None) -> Range | None:
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), max(one[1], other[1])
