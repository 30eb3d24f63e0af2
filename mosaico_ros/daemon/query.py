"""Queries: pruned in SQL, rows evaluated only where bounds cannot decide.

A topic qualifies for the conditions of one tag if one of its rows satisfies all of them. The
chunks that can hold such a row come from one range scan over the statistics; with a single
condition most of them are decided by a bound that satisfies it, and no file is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon import statistics
from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.resources import TopicState, find_topic
from mosaico_ros.daemon.catalog.tables import (
    chunks,
    fields,
    schemas,
    stats,
    topics,
)
from mosaico_ros.daemon.chunk_files import ChunkFiles, Times
from mosaico_ros.daemon.columns import Kind, leaves
from mosaico_ros.daemon.leases import chunk_key
from mosaico_ros.daemon.predicates import ResolvedCondition, resolve
from mosaico_ros.daemon.retrieval import Window, scan
from mosaico_ros.daemon.sections import Candidate, candidates_by_id, select_candidates
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN
from mosaico_ros.protocol.query import (
    OntologyCondition,
    Query,
)
from mosaico_ros.protocol.tags import tag_spellings

__all__ = ['QueryEngine', 'QueryItem', 'QueryTopic']

_READABLE = (TopicState.LOCKED, TopicState.INTERRUPTED)
# Beyond this many topics the range scan over all of them is cheaper than naming them.
_NAMED_TOPICS = 400


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

    """

    locator: TopicLocator
    ontology_tag: str
    timestamp_range: tuple[int, int] | None = None


@dataclass(frozen=True)
class QueryItem:
    """A sequence that a query found, with at least one topic."""

    sequence: SequenceLocator
    topics: list[QueryTopic]


class QueryEngine:
    """Answers queries over one archive."""

    def __init__(self, database: Database, files: ChunkFiles) -> None:
        self.database = database
        self._files = files
        self._schemas: dict[int, pa.Schema] = {}

    def run(self, query: Query) -> list[QueryItem]:
        """Return what satisfies a query, in the order of creation; nothing if it is empty."""
        if not query:
            return []
        if not query.ontology:
            with self.database.read() as connection:
                return _items([(c, None) for c in select_candidates(connection, query, None)])
        groups: dict[tuple[str, ...], list[OntologyCondition]] = {}
        for condition in query.ontology:
            key = tuple(sorted(tag_spellings(condition.tag)))
            groups.setdefault(key, []).append(condition)
        found: dict[int, tuple[Candidate, tuple[int, int] | None]] = {}
        remaining: set[int] | None = None  # sequences that satisfy every group so far
        for tags, conditions in groups.items():
            hits = self._qualifying(query, tags, conditions, remaining)
            remaining = {candidate.sequence_id for candidate, _ in hits}
            if not remaining:
                return []
            found.update({candidate.id: (candidate, times) for candidate, times in hits})
        return _items(
            [
                found[topic_id]
                for topic_id in sorted(found)
                if remaining is not None and found[topic_id][0].sequence_id in remaining
            ]
        )

    def matching_times(
        self,
        locator: TopicLocator,
        conditions: Sequence[OntologyCondition],
        window: Window,
    ) -> Iterator[Times]:
        """Yield, ascending, the times of a topic's rows that satisfy all conditions.

        Raises
        ------
        NotFoundError
            If there is no such topic.

        """
        with self.database.read() as connection:
            topic = find_topic(connection, locator)
            resolved = self._resolved(connection, topic.schema_id, conditions)
            may_match = (
                None
                if resolved is None
                else _prune(connection, (topic.ontology_tag,), resolved, [topic.id])
            )
            if may_match is None or topic.state not in _READABLE:
                return
            kept = set(connection.execute(may_match.with_only_columns(chunks.c.id)).scalars())
        assert resolved is not None
        for batch in scan(
            self.database,
            self._files,
            topic,
            window,
            _read_paths(resolved),
            _row_filter(resolved),
            lambda chunk: chunk.id in kept,
        ):
            yield batch.column(TIMESTAMP_COLUMN).to_numpy()

    def tag_of(self, locator: TopicLocator) -> str:
        """Return the ontology tag of a topic; NotFoundError if there is none."""
        with self.database.read() as connection:
            return str(find_topic(connection, locator).ontology_tag)

    # -- inside ------------------------------------------------------------------------------

    def _qualifying(
        self,
        query: Query,
        tags: tuple[str, ...],
        conditions: list[OntologyCondition],
        in_sequences: set[int] | None,
    ) -> list[tuple[Candidate, tuple[int, int] | None]]:
        with self.database.read() as connection:
            candidates: dict[int, Candidate] | None = None
            named: list[int] | None = None
            if query.sequence or query.topic or in_sequences is not None:
                candidates = {
                    candidate.id: candidate
                    for candidate in select_candidates(connection, query, tags)
                    if in_sequences is None or candidate.sequence_id in in_sequences
                }
                if not candidates:
                    return []
                if len(candidates) <= _NAMED_TOPICS:
                    named = list(candidates)
            qualified: dict[int, tuple[int, int] | None] = {}
            for schema_ids, resolved in self._resolutions(connection, tags, conditions):
                selected = _prune(connection, tags, resolved, named, schema_ids)
                if selected is None:
                    continue
                rows = connection.execute(selected.order_by(chunks.c.topic_id, chunks.c.t_min))
                for topic_id, group in groupby(rows, key=lambda row: row.topic_id):
                    if candidates is not None and topic_id not in candidates:
                        continue
                    if not query.include_timestamp_range:
                        if any(self._holds_match(chunk, resolved) for chunk in group):
                            qualified[topic_id] = None
                    else:
                        times = self._matching_range(list(group), resolved)
                        if times is not None:
                            qualified[topic_id] = times
            if candidates is None:
                candidates = candidates_by_id(connection, list(qualified))
        return [(candidates[topic_id], times) for topic_id, times in qualified.items()]

    def _resolutions(
        self, connection: Connection, tags: tuple[str, ...], conditions: list[OntologyCondition]
    ) -> Iterator[tuple[list[int], tuple[ResolvedCondition, ...]]]:
        """Yield what the conditions mean for each schema of these tags, equal ones together."""
        used = connection.execute(
            sa.select(topics.c.schema_id)
            .where(topics.c.ontology_tag.in_(tags), topics.c.schema_id.isnot(None))
            .distinct()
        ).scalars()
        meanings: dict[tuple[ResolvedCondition, ...], list[int]] = {}
        for schema_id in list(used):
            resolved = self._resolved(connection, schema_id, conditions)
            if resolved is not None:
                meanings.setdefault(resolved, []).append(schema_id)
        for resolved, schema_ids in meanings.items():
            yield schema_ids, resolved

    def _resolved(
        self,
        connection: Connection,
        schema_id: int | None,
        conditions: Sequence[OntologyCondition],
    ) -> tuple[ResolvedCondition, ...] | None:
        if schema_id is None:
            return None
        schema = self._schemas.get(schema_id)
        if schema is None:
            ipc = connection.execute(
                sa.select(schemas.c.ipc).where(schemas.c.id == schema_id)
            ).scalar_one()
            schema = pa.ipc.read_schema(pa.BufferReader(ipc))
            if len(self._schemas) > 1000:
                self._schemas.clear()
            self._schemas[schema_id] = schema
        resolved = [resolve(condition, schema) for condition in conditions]
        return None if None in resolved else tuple(resolved)  # type: ignore[arg-type]

    def _holds_match(self, chunk: Row[Any], resolved: tuple[ResolvedCondition, ...]) -> bool:
        if all(condition.any_row for condition in resolved):
            return True
        if len(resolved) == 1 and _decided(chunk, resolved[0]):
            return True
        row_filter = _row_filter(resolved)
        return any(row_filter(batch).true_count for batch in self._candidate_rows(chunk, resolved))

    def _matching_range(
        self, group: list[Row[Any]], resolved: tuple[ResolvedCondition, ...]
    ) -> tuple[int, int] | None:
        """Return the first and last matching time, reading from both ends only."""
        first: int | None = None
        for chunk in sorted(group, key=lambda row: row.t_min):
            if first is not None and chunk.t_min >= first:
                break
            for times in self._times_in(chunk, resolved):
                first = int(times[0]) if first is None else min(first, int(times[0]))
                break
        last: int | None = None
        for chunk in sorted(group, key=lambda row: row.t_max, reverse=True):
            if last is not None and chunk.t_max <= last:
                break
            for times in self._times_in(chunk, resolved):
                last = int(times[-1]) if last is None else max(last, int(times[-1]))
        return None if first is None or last is None else (first, last)

    def _times_in(
        self, chunk: Row[Any], resolved: tuple[ResolvedCondition, ...]
    ) -> Iterator[Times]:
        row_filter = _row_filter(resolved)
        for batch in self._candidate_rows(chunk, resolved):
            times = batch.column(TIMESTAMP_COLUMN).filter(row_filter(batch)).to_numpy()
            if len(times):
                yield times

    def _candidate_rows(
        self, chunk: Row[Any], resolved: tuple[ResolvedCondition, ...]
    ) -> Iterator[pa.RecordBatch]:
        """Yield the row groups of a chunk that may hold a match."""
        key = chunk_key(chunk.folder, chunk.number, chunk.encoding)
        footer = self._files.footer(key, chunk.encoding)
        groups: Sequence[int] = range(len(footer.rows))
        if footer.parquet is not None and len(footer.rows) > 1:
            known = leaves(self._schemas[chunk.schema_id])
            columns = [
                (condition, index, leaf)
                for condition in resolved
                if condition.bounded
                for index, leaf in enumerate(known)
                if leaf.path == condition.leaf_path
            ]
            groups = [
                group
                for group in groups
                if all(
                    condition.may_match(
                        statistics.from_footer(
                            leaf, [footer.parquet.row_group(group).column(index)]
                        )
                    )
                    for condition, index, leaf in columns
                )
            ]
        return self._files.batches(key, chunk.encoding, groups, _read_paths(resolved))


def _items(
    found: Sequence[tuple[Candidate, tuple[int, int] | None]],
) -> list[QueryItem]:
    by_sequence: dict[int, QueryItem] = {}
    for candidate, times in sorted(found, key=lambda hit: (hit[0].sequence_id, hit[0].id)):
        item = by_sequence.setdefault(
            candidate.sequence_id, QueryItem(SequenceLocator(candidate.locator.sequence), [])
        )
        item.topics.append(QueryTopic(candidate.locator, candidate.tag, times))
    return list(by_sequence.values())


def _read_paths(resolved: Sequence[ResolvedCondition]) -> list[str]:
    paths = {condition.read_path for condition in resolved if not condition.any_row}
    return [TIMESTAMP_COLUMN, *sorted(paths - {TIMESTAMP_COLUMN})]


def _row_filter(
    resolved: Sequence[ResolvedCondition],
) -> Callable[[pa.RecordBatch], pa.Array]:
    def row_filter(batch: pa.RecordBatch) -> pa.Array:
        return reduce(pc.and_, (condition.mask(batch) for condition in resolved))

    return row_filter


# -- SQL -----------------------------------------------------------------------------------------


def _prune(
    connection: Connection,
    tags: tuple[str, ...],
    resolved: Sequence[ResolvedCondition],
    topic_ids: list[int] | None,
    schema_ids: list[int] | None = None,
) -> sa.Select[Any] | None:
    """Return the query for the chunks that may hold a matching row; `None` if none can."""
    source = chunks.join(topics, topics.c.id == chunks.c.topic_id)
    where: list[sa.ColumnElement[bool]] = [topics.c.state.in_(_READABLE)]
    bounds: list[sa.ColumnElement[Any]] = []
    for position, condition in enumerate(resolved):
        if condition.leaf_path == TIMESTAMP_COLUMN:
            if condition.bounded:
                where.append(condition.may_match_sql(chunks.c.t_min, chunks.c.t_max))
            if not bounds and len(resolved) == 1:
                bounds = [chunks.c.t_min, chunks.c.t_max, sa.true()]
            continue
        if not condition.bounded:
            continue
        ids = list(
            connection.execute(
                sa.select(fields.c.id).where(
                    fields.c.ontology_tag.in_(tags), fields.c.path == condition.leaf_path
                )
            ).scalars()
        )
        if not ids:
            return None
        found = stats.alias(f's{position}')
        source = source.join(found, found.c.chunk_id == chunks.c.id)
        text = condition.kind is Kind.TEXT
        low = found.c.min_text if text else found.c.min_num
        high = found.c.max_text if text else found.c.max_num
        where += [found.c.field_id.in_(ids), condition.may_match_sql(low, high)]
        if len(resolved) == 1:
            bounds = [low, high, found.c.exact]
    lowest, highest, certain = bounds or (sa.null(), sa.null(), sa.false())
    where.append(topics.c.ontology_tag.in_(tags))
    if topic_ids is not None:
        where.append(chunks.c.topic_id.in_(topic_ids))
    if schema_ids is not None:
        where.append(topics.c.schema_id.in_(schema_ids))
    return (
        sa.select(
            chunks.c.id,
            chunks.c.topic_id,
            chunks.c.number,
            chunks.c.encoding,
            chunks.c.t_min,
            chunks.c.t_max,
            topics.c.folder,
            topics.c.schema_id,
            lowest.label('low'),
            highest.label('high'),
            certain.label('exact'),
        )
        .select_from(source)
        .where(*where)
    )


def _decided(chunk: Row[Any], condition: ResolvedCondition) -> bool:
    return condition.must_match(chunk.low, chunk.high, bool(chunk.exact))
