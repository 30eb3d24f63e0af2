"""The second step of a query: which chunks can hold a match, by their statistics alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog.dialects import is_one_of
from mosaico_ros.daemon.catalog.resources import SEALED
from mosaico_ros.daemon.catalog.tables import chunks, fields, sequences, stats, topics
from mosaico_ros.daemon.query.bounds import (
    Bounds,
    Verdict,
    described,
    limits,
    may_match_sql,
    prunes,
    verdict,
)
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN
from mosaico_ros.protocol.query.kinds import Kind
from mosaico_ros.protocol.query.predicates import ResolvedCondition

__all__ = ['Conditions', 'candidate_chunks', 'chunks_in_all', 'undecided']

# So many chunks are named: they are found by their ids, whatever a planner thinks of the rest.
_NAMED_CHUNKS = 4096
# With so few nothing is gained by looking for fewer.
_FEW_CHUNKS = 128

# Conditions of which bounds are looked at: each joins a table, and databases join only so many.
_JUDGED = 32

# What is selected of bounds, for each condition, behind what says which chunk of which topic.
_NAMES = Bounds._fields[:4]
_PLAIN_COLUMNS = 12

#: Conditions on one tag, resolved against one schema; all must hold in one row.
Conditions = tuple[ResolvedCondition, ...]


def candidate_chunks(
    connection: Connection,
    tags: Sequence[str],
    conditions: Conditions,
    topic_ids: Sequence[int] | None = None,
    schema_ids: Sequence[int] | None = None,
) -> sa.Select[Any]:
    """Return the query for the chunks that may hold a matching row.

    Its rows name the topic, and carry the bounds of each condition's column, for
    :func:`undecided`.
    """
    conditions = conditions[:_JUDGED]
    source = chunks.join(topics, topics.c.id == chunks.c.topic_id)
    source = source.join(sequences, sequences.c.id == topics.c.sequence_id)
    where = _of_topics(tags, topic_ids, schema_ids)
    field_ids = _field_ids(connection, tags, conditions)
    sides: list[_Side] = []
    pruning: list[tuple[ResolvedCondition, Bounds]] = []
    bounds: list[sa.ColumnElement[Any]] = []
    for at, condition in enumerate(conditions):
        found = Bounds(sa.null(), sa.null(), sa.false(), sa.literal(1))
        if condition.leaf_path == TIMESTAMP_COLUMN:
            found = Bounds(chunks.c.t_min, chunks.c.t_max, sa.true(), sa.literal(0))
        elif described(condition):
            ids = field_ids[condition.leaf_path]
            alias = stats.alias(f's{at}')
            source = source.join(alias, alias.c.chunk_id == chunks.c.id)
            where.append(alias.c.field_id.in_(ids))
            found = _bounds_in(alias, condition)
            if prunes(condition):
                sides += _sides(condition, ids, everywhere=topic_ids is None)
        if prunes(condition):
            pruning.append((condition, found))
        bounds += [
            column.label(f'{name}{at}') for name, column in zip(_NAMES, found, strict=False)
        ]
    fewest = _fewest(connection, sides)
    if fewest is not None:
        where.append(is_one_of(connection, chunks.c.id, fewest))
        pruning = [(condition, _unindexed(condition, found)) for condition, found in pruning]
    where += [may_match_sql(condition, found) for condition, found in pruning]
    return (
        sa.select(
            chunks.c.topic_id,
            chunks.c.number,
            chunks.c.encoding,
            chunks.c.rows,
            chunks.c.t_min,
            chunks.c.t_max,
            topics.c.folder,
            topics.c.schema_id,
            topics.c.sequence_id,
            topics.c.path,
            topics.c.ontology_tag,
            sequences.c.name,
            *bounds,
        )
        .select_from(source)
        .where(*where)
    )


def _field_ids(
    connection: Connection, tags: Sequence[str], conditions: Conditions
) -> dict[str, list[int]]:
    """Return which fields have the statistics of the conditions' columns, by path."""
    found: dict[str, list[int]] = {
        condition.leaf_path: []
        for condition in conditions
        if described(condition) and condition.leaf_path != TIMESTAMP_COLUMN
    }
    if found:
        rows = connection.execute(
            sa.select(fields.c.path, fields.c.id).where(
                fields.c.ontology_tag.in_(tags), fields.c.path.in_(list(found))
            )
        )
        for path, number in rows:
            found[path].append(number)
    return found


class _Side(NamedTuple):
    """A range of an index on the statistics of some fields, and the bound that it is sorted by."""

    field_ids: Sequence[int]
    bound: sa.Column[Any]
    inside: sa.ColumnElement[bool]


def _sides(condition: ResolvedCondition, ids: Sequence[int], everywhere: bool) -> Iterator[_Side]:
    """Yield ranges in which all statistics of matching chunks lie."""
    low_limit, high_limit = limits(condition)
    if condition.kind is Kind.TEXT:
        # Its index knows one of the bounds only: too long a way to the chunks of a few topics.
        if everywhere and (low_limit, high_limit) != (None, None):
            inside = may_match_sql(condition, _bounds_in(stats, condition))
            yield _Side(ids, stats.c.min_text, inside)
        return
    if low_limit is not None:
        yield _Side(ids, stats.c.max_num, stats.c.max_num >= low_limit)
    if high_limit is not None:
        yield _Side(ids, stats.c.min_num, stats.c.min_num <= high_limit)


def _fewest(connection: Connection, sides: Iterable[_Side]) -> Sequence[int] | None:
    """Return the chunks inside the shortest of some ranges; `None` if each is long.

    Planners know nothing of the values of one field. Left to them, the wrong one of two bounds
    is scanned, or all chunks are to find a few. Asked for the order of an index, they take it.
    """
    fewest: Sequence[int] | None = None
    for side in sides:
        limit = _NAMED_CHUNKS if fewest is None else len(fewest)
        some = sa.select(stats.c.chunk_id).where(side.inside).order_by(side.bound)
        found: list[int] = []
        for field_id in side.field_ids:
            of_field = some.where(stats.c.field_id == field_id).limit(limit - len(found))
            found += connection.execute(of_field).scalars()
        if len(found) < limit:
            fewest = found
        if fewest is not None and len(fewest) <= _FEW_CHUNKS:
            break
    return fewest


def _unindexed(condition: ResolvedCondition, found: Bounds) -> Bounds:
    """Return bounds that planners look up by no index, which would be the longer way."""
    if condition.leaf_path == TIMESTAMP_COLUMN:
        return found
    nothing = '' if condition.kind is Kind.TEXT else 0.0
    return found._replace(low=found.low + nothing, high=found.high + nothing)


def _bounds_in(table: sa.FromClause, condition: ResolvedCondition) -> Bounds:
    low, high = table.c.min_num, table.c.max_num
    if condition.kind is Kind.TEXT:
        low, high = table.c.min_text, table.c.max_text
    return Bounds(low, high, table.c.exact, table.c.nulls, table.c.marks)


def chunks_in_all(
    connection: Connection, tags: Sequence[str], topic_ids: Sequence[int] | None
) -> int:
    """Count the chunks that would have to be read without statistics."""
    return int(
        connection.execute(
            sa.select(sa.func.count())
            .select_from(chunks.join(topics, topics.c.id == chunks.c.topic_id))
            .where(*_of_topics(tags, topic_ids, None))
        ).scalar_one()
    )


def undecided(chunk: Row[Any], conditions: Conditions) -> tuple[Conditions, bool] | None:
    """Judge a chunk of :func:`candidate_chunks` by its bounds.

    Returns
    -------
    tuple or None
        The conditions that do not hold for every row of the chunk, and whether it certainly
        holds a row that satisfies all; `None` if it certainly holds none.

    """
    left: list[ResolvedCondition] = []
    some = True
    for at, condition in enumerate(conditions):
        found = Verdict.OPEN
        if at < _JUDGED:
            first = _PLAIN_COLUMNS + at * len(_NAMES)
            found = verdict(condition, Bounds(*chunk[first : first + len(_NAMES)]))
        if found is Verdict.NONE:
            return None
        if found is not Verdict.ALL:
            left.append(condition)
            some = some and found is Verdict.SOME and len(left) == 1
    return tuple(left), some


def _of_topics(
    tags: Sequence[str], topic_ids: Sequence[int] | None, schema_ids: Sequence[int] | None
) -> list[sa.ColumnElement[bool]]:
    where: list[sa.ColumnElement[bool]] = [
        topics.c.state.in_(SEALED),
        topics.c.ontology_tag.in_(tags),
    ]
    if topic_ids is not None:
        where.append(chunks.c.topic_id.in_(topic_ids))
    if schema_ids is not None:
        where.append(topics.c.schema_id.in_(schema_ids))
    return where
