"""The second step of a query: which chunks can hold a match, by their statistics alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog.resources import SEALED
from mosaico_ros.daemon.catalog.tables import chunks, fields, stats, topics
from mosaico_ros.daemon.columns import Kind
from mosaico_ros.daemon.query.bounds import (
    Bounds,
    Verdict,
    described,
    limits,
    may_match_sql,
    prunes,
    verdict,
)
from mosaico_ros.daemon.query.predicates import ResolvedCondition
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN

__all__ = ['Conditions', 'candidate_chunks', 'chunks_in_all', 'undecided']

# Rows counted on each side of a range, to see which one is shorter.
_PROBE = 4096

# What is selected of bounds, for each condition, behind the columns of the chunk.
_NAMES = Bounds._fields[:4]
_PLAIN_COLUMNS = 8

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

    Its rows carry the bounds of each condition's column, for :func:`undecided`.
    """
    source = chunks.join(topics, topics.c.id == chunks.c.topic_id)
    where = _of_topics(tags, topic_ids, schema_ids)
    bounds: list[sa.ColumnElement[Any]] = []
    for at, condition in enumerate(conditions):
        found = Bounds(sa.null(), sa.null(), sa.false(), sa.literal(1))
        if condition.leaf_path == TIMESTAMP_COLUMN:
            found = Bounds(chunks.c.t_min, chunks.c.t_max, sa.true(), sa.literal(0))
        elif described(condition):
            ids = list(
                connection.execute(
                    sa.select(fields.c.id).where(
                        fields.c.ontology_tag.in_(tags), fields.c.path == condition.leaf_path
                    )
                ).scalars()
            )
            alias = stats.alias(f's{at}')
            source = source.join(alias, alias.c.chunk_id == chunks.c.id)
            where.append(alias.c.field_id.in_(ids))
            low, high = alias.c.min_num, alias.c.max_num
            if condition.kind is Kind.TEXT:
                low, high = alias.c.min_text, alias.c.max_text
            found = Bounds(low, high, alias.c.exact, alias.c.nulls, alias.c.marks)
        if prunes(condition):
            steered = found
            if condition.kind is not Kind.TEXT and condition.leaf_path != TIMESTAMP_COLUMN:
                steered = _steered(connection, ids, condition, found)
            where.append(may_match_sql(condition, steered))
        bounds += [
            column.label(f'{name}{at}') for name, column in zip(_NAMES, found, strict=False)
        ]
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
            *bounds,
        )
        .select_from(source)
        .where(*where)
    )


def _steered(
    connection: Connection, ids: Sequence[int], condition: ResolvedCondition, found: Bounds
) -> Bounds:
    """Hide the bound that rules out fewer chunks from the planner.

    A range that is limited on both sides can be scanned by either bound. Planners know
    nothing of the values of one field, and the wrong choice costs as much as no index.
    """
    low_limit, high_limit = limits(condition)
    if low_limit is None or high_limit is None:
        return found

    def count(side: sa.ColumnElement[bool]) -> int:
        some = sa.select(stats.c.chunk_id).where(stats.c.field_id.in_(ids), side).limit(_PROBE)
        counted = sa.select(sa.func.count()).select_from(some.subquery())
        return int(connection.execute(counted).scalar_one())

    if count(stats.c.max_num >= low_limit) <= count(stats.c.min_num <= high_limit):
        return found._replace(low=found.low + 0.0)
    return found._replace(high=found.high + 0.0)


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
