"""What layouts the topics of an ontology tag have, and what to say about a new one.

Nobody declares layouts; the archive learns them. A layout (the fingerprint of a schema) is
known for a tag, in either of its spellings, as soon as a finalized session holds a topic with
it. The first topic of a tag teaches without a word. Each later layout gets one notification per
topic of the session that brings it, and counts as known from then on: a type that evolves is
mentioned once, a writer that mixes up its tags is noticed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog.dialects import queue_writers
from mosaico_ros.daemon.catalog.tables import schemas, sessions, topics
from mosaico_ros.daemon.columns import difference
from mosaico_ros.daemon.descriptions import without_sidecars
from mosaico_ros.daemon.notices import add_notice
from mosaico_ros.daemon.store.base import Store
from mosaico_ros.protocol.tags import tag_spellings

__all__ = ['notify_new_layouts']

_LISTED = 5


def notify_new_layouts(
    connection: Connection, store: Store, session: Row[Any], now_ns: int
) -> None:
    """Attach a notification to each topic of a session whose layout is new for its tag.

    Parameters
    ----------
    connection
        Transaction that finalizes the session.
    store
        Of the archive.
    session
        The session's row.
    now_ns
        Time of the notifications.

    """
    found: Sequence[Any] = connection.execute(
        sa.select(topics.c.id, topics.c.path, topics.c.ontology_tag, schemas.c.fingerprint)
        .join(schemas, schemas.c.id == topics.c.schema_id)
        .where(topics.c.session_id == session.id)
        .order_by(topics.c.id)
    ).all()
    pairs = dict.fromkeys((_tag(row), row.fingerprint) for row in found)
    if all(_is_known(connection, session.id, *pair) for pair in pairs):
        return
    # Of sessions that bring the first layouts of a tag at the same time only one teaches.
    queue_writers(connection, 'layouts')
    for tag in dict.fromkeys(tag for tag, _ in pairs):
        mine = [row for row in found if _tag(row) == tag]
        known = _known(connection, session.id, tag)
        if not known:
            teacher = mine[0].fingerprint
            known[teacher] = sum(row.fingerprint == teacher for row in mine)
        for row in mine:
            if row.fingerprint not in known:
                message = _message(connection, session, row, known)
                target = session.sequence_id, row.id
                add_notice(connection, store, *target, 'error', message, now_ns)


def _tag(row: Row[Any]) -> str:
    """Return one name for both spellings of a topic's tag."""
    return min(tag_spellings(row.ontology_tag))


def _others(session_id: int, tag: str) -> sa.Select[Any]:
    return (
        sa.select(topics.c.id)
        .join(sessions, sessions.c.id == topics.c.session_id)
        .where(
            topics.c.ontology_tag.in_(tag_spellings(tag)),
            sessions.c.id != session_id,
            sessions.c.completed_at_ns.is_not(None),
        )
    )


def _is_known(connection: Connection, session_id: int, tag: str, fingerprint: str) -> bool:
    alike = sa.select(schemas.c.id).where(schemas.c.fingerprint == fingerprint)
    one = _others(session_id, tag).where(topics.c.schema_id.in_(alike)).limit(1)
    return connection.execute(one).first() is not None


def _known(connection: Connection, session_id: int, tag: str) -> Counter[str]:
    """Return how many topics of finalized sessions have each layout of a tag."""
    counted = (
        _others(session_id, tag)
        .join(schemas, schemas.c.id == topics.c.schema_id)
        .with_only_columns(schemas.c.fingerprint, sa.func.count().label('topics'))
        .group_by(schemas.c.fingerprint)
    )
    return Counter({row.fingerprint: row.topics for row in connection.execute(counted)})


def _message(
    connection: Connection, session: Row[Any], topic: Row[Any], known: Counter[str]
) -> str:
    usual = known.most_common(_LISTED)
    listed = ', '.join(f'{mark} ({count} topics)' for mark, count in usual)
    if len(known) > _LISTED:
        listed += f' and {len(known) - _LISTED} more'
    differs = difference(_schema(connection, topic.fingerprint), _schema(connection, usual[0][0]))
    return (
        f'The topic {session.sequence}/{topic.path} has a layout that is new for the tag '
        f'{topic.ontology_tag}: {topic.fingerprint}. Known are {listed}; against '
        f'{usual[0][0]}: {differs}. Clients take it for another type. If the data means '
        'something else, write it under another tag; if the writer is wrong, delete the topic '
        'and write it again; if the type has evolved, nothing is to be done.'
    )


def _schema(connection: Connection, fingerprint: str) -> pa.Schema:
    ipc = connection.execute(
        sa.select(schemas.c.ipc).where(schemas.c.fingerprint == fingerprint).limit(1)
    ).scalar_one()
    return without_sidecars(pa.ipc.read_schema(pa.BufferReader(ipc)))
