"""The sequence and topic sections of a query: which topics are looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog.dialects import storable
from mosaico_ros.daemon.catalog.tables import sequences, topics
from mosaico_ros.daemon.query.user_metadata import satisfies
from mosaico_ros.protocol.locators import TopicLocator
from mosaico_ros.protocol.query import (
    CatalogField,
    FieldCondition,
    Operator,
    SectionQuery,
    Sections,
)
from mosaico_ros.protocol.tags import tag_spellings

__all__ = ['Candidate', 'select_candidates']


# Beyond that, databases and drivers begin to refuse parameters.
_NAMES_IN_SQL = 10_000


@dataclass(frozen=True)
class Candidate:
    """A topic that may be found."""

    id: int
    sequence_id: int
    locator: TopicLocator
    tag: str


def select_candidates(
    connection: Connection, query: Sections, tags: tuple[str, ...] | None
) -> Iterator[Candidate]:
    """Yield the topics that pass the sections (and have one of some tags)."""
    selected = (
        sa.select(
            topics.c.id,
            topics.c.sequence_id,
            topics.c.path,
            topics.c.ontology_tag,
            topics.c.serialization_format,
            topics.c.created_at_ns,
            topics.c.user_metadata,
            sequences.c.name,
            sequences.c.created_at_ns.label('sequence_created_at_ns'),
        )
        .join(sequences, sequences.c.id == topics.c.sequence_id)
        .order_by(topics.c.sequence_id, topics.c.id)
    )
    if tags is not None:
        selected = selected.where(topics.c.ontology_tag.in_(tags))
    for column, section in ((sequences.c.name, query.sequence), (topics.c.path, query.topic)):
        for names in _exact_names(section):
            selected = selected.where(column.in_(names))
    passing: dict[int, bool] = {}
    rows: Iterator[Any] = connection.execution_options(yield_per=1000).execute(selected)
    for row in rows:
        if row.sequence_id not in passing:
            passing.clear()
            passing[row.sequence_id] = _sequence_passes(connection, row, query.sequence)
        if passing[row.sequence_id] and _topic_passes(row, query.topic):
            yield Candidate(
                row.id, row.sequence_id, TopicLocator(row.name, row.path), row.ontology_tag
            )


def _exact_names(section: SectionQuery) -> Iterator[list[str]]:
    """Yield names of which an object must have one, where they are few enough for SQL."""
    for item in section.fields:
        value = item.condition.value
        names = [str(name) for name in (value if isinstance(value, tuple) else (value,))]
        exact = item.condition.operator in (Operator.EQ, Operator.IN) and not item.negated
        if exact and item.field is CatalogField.NAME and len(names) <= _NAMES_IN_SQL:
            yield [name for name in names if storable(name)]


def _sequence_passes(connection: Connection, row: Row[Any], section: SectionQuery) -> bool:
    for item in section.fields:
        if item.field is CatalogField.CREATED_AT_NS:
            holds = item.condition.matches(row.sequence_created_at_ns)
        else:
            holds = item.matches_sequence_name(row.name)
        if holds is item.negated:
            return False
    if not section.user_metadata:
        return True
    stored = connection.execute(
        sa.select(sequences.c.user_metadata).where(sequences.c.id == row.sequence_id)
    ).scalar_one()
    metadata = json.loads(stored)
    return all(satisfies(metadata, item) is not item.negated for item in section.user_metadata)


def _topic_passes(row: Row[Any], section: SectionQuery) -> bool:
    if any(_topic_field_holds(row, item) is item.negated for item in section.fields):
        return False
    if not section.user_metadata:
        return True
    metadata = json.loads(row.user_metadata)
    return all(satisfies(metadata, item) is not item.negated for item in section.user_metadata)


def _topic_field_holds(row: Row[Any], item: FieldCondition) -> bool:
    if item.field is CatalogField.CREATED_AT_NS:
        return item.condition.matches(row.created_at_ns)
    if item.field is CatalogField.SERIALIZATION_FORMAT:
        return item.condition.matches(row.serialization_format)
    if item.field is CatalogField.ONTOLOGY_TAG:
        # IMU and imu are one type: excluded only if neither spelling is the excluded one.
        spellings = map(item.condition.matches, tag_spellings(row.ontology_tag))
        return all(spellings) if item.condition.operator is Operator.NEQ else any(spellings)
    return item.matches_topic_name(row.name, row.path)
