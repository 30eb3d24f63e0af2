"""Rows of sequences, sessions and topics.

Functions here run inside a transaction of the caller and touch nothing but the catalog.

Whoever changes what a sequence consists of locks its row before anything else and reads
afterwards: those who add share it, those who delete or finalize have it alone. A topic's row is
locked after its sequence's, never before, so that nobody waits in a circle.
"""

from __future__ import annotations

import time
import uuid as uuid_module
from collections.abc import Iterator
from enum import Enum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog.creation import insert_once
from mosaico_ros.daemon.catalog.events import tell
from mosaico_ros.daemon.catalog.tables import (
    schemas,
    sequences,
    sessions,
    topics,
)
from mosaico_ros.daemon.catalog.ulid import new_ulid
from mosaico_ros.protocol.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from mosaico_ros.protocol.locators import SequenceLocator, SessionLocator, TopicLocator

__all__ = ['SEALED', 'Lock', 'TopicState']


class TopicState(str, Enum):
    """Life of a topic; data can be read once it is sealed."""

    CREATED = 'created'
    UPLOADING = 'uploading'
    #: Sealed with what was durable when its upload broke off; never complete.
    INTERRUPTED = 'interrupted'
    LOCKED = 'locked'


#: The states in which data can be read and no row is added any more.
SEALED = (TopicState.LOCKED, TopicState.INTERRUPTED)


class Lock(Enum):
    """How a writer locks a sequence against others."""

    SHARED = 'shared'
    ALONE = 'alone'


def lock_sequences(connection: Connection, selected: sa.Select[Any], lock: Lock) -> None:
    """Wait for the rows that a query selects; what is read after that is not outdated."""
    connection.execute(selected.with_for_update(read=lock is Lock.SHARED, of=sequences))


def lock_sequence_of(connection: Connection, topic_id: int, lock: Lock) -> None:
    """Wait for the sequence of a topic; nothing happens if the topic does not exist."""
    selected = sa.select(sequences.c.id).join(topics, topics.c.sequence_id == sequences.c.id)
    lock_sequences(connection, selected.where(topics.c.id == topic_id), lock)


def checked_uuid(text: str, what: str) -> str:
    """Return the canonical text of a UUID.

    Raises
    ------
    InvalidArgumentError
        If it is none.

    """
    try:
        return str(uuid_module.UUID(text))
    except (ValueError, AttributeError, TypeError):
        raise InvalidArgumentError(
            f'{str(text)[:60]!r} is not the uuid of a {what}',
            remedy=f'Use the uuid that the creation of the {what} returned.',
        ) from None


def find_sequence(
    connection: Connection, locator: SequenceLocator, lock: Lock | None = None
) -> Row[Any]:
    """Return the row of a sequence; NotFoundError if there is none."""
    if lock is not None:
        named = sa.select(sequences.c.id).where(sequences.c.name == locator.name)
        lock_sequences(connection, named, lock)
    row = connection.execute(
        sa.select(sequences).where(sequences.c.name == locator.name)
    ).one_or_none()
    if row is None:
        raise NotFoundError(f'The sequence {locator} does not exist')
    return row


def insert_sequence(
    connection: Connection,
    locator: SequenceLocator,
    user_metadata: str,
    own: dict[str, Any],
    token: str | None,
) -> tuple[Row[Any], bool]:
    """Insert a sequence, once; see :func:`insert_once`.

    Raises
    ------
    AlreadyExistsError
        If the name is taken; of several racing creators exactly one wins.

    """
    asked = {'name': locator.name, 'user_metadata': user_metadata}
    row, is_new = insert_once(connection, sequences, asked, own, token)
    if row is None:
        raise AlreadyExistsError(
            f'The sequence {locator} already exists',
            remedy='Choose another name, or add a session to it.',
        )
    return row, is_new


def list_sequences(connection: Connection) -> Iterator[str]:
    """Yield the names of all sequences in the order of creation."""
    found = connection.execution_options(yield_per=1000).execute(
        sa.select(sequences.c.name).order_by(sequences.c.id)
    )
    yield from found.scalars()


def insert_session(
    connection: Connection, sequence: SequenceLocator, token: str | None
) -> tuple[str, bool]:
    """Insert a session, once; return its uuid, and whether it is new."""
    parent = find_sequence(connection, sequence, Lock.SHARED)
    own = {
        'ulid': new_ulid(),
        'uuid': str(uuid_module.uuid4()),
        'created_at_ns': time.time_ns(),
    }
    row, is_new = insert_once(connection, sessions, {'sequence_id': parent.id}, own, token)
    assert row is not None  # nothing that a client names has to be unique
    return row.uuid, is_new


def find_session(
    connection: Connection,
    *,
    uuid: str | None = None,
    locator: SessionLocator | None = None,
    lock: Lock | None = None,
) -> Row[Any]:
    """Return the row of a session with its sequence's name and folder, by either handle."""
    if uuid is not None:
        named = sessions.c.uuid == checked_uuid(uuid, 'session')
        missing = f'No session has the uuid {uuid}'
    elif locator is not None:
        named = sa.and_(sessions.c.ulid == locator.ulid, sequences.c.name == locator.sequence)
        missing = f'The session {locator} does not exist'
    else:
        raise InvalidArgumentError('No session is named', remedy='Give its locator or its uuid.')
    source = sequences.join(sessions, sequences.c.id == sessions.c.sequence_id)
    if lock is not None:
        selected = sa.select(sequences.c.id).select_from(source).where(named)
        lock_sequences(connection, selected, lock)
    row = connection.execute(
        sa.select(sessions, sequences.c.name.label('sequence'), sequences.c.folder.label('folder'))
        .select_from(source)
        .where(named)
    ).one_or_none()
    if row is None:
        raise NotFoundError(missing)
    return row


def sessions_of_sequence(connection: Connection, sequence_id: int) -> list[Row[Any]]:
    """Return the sessions of a sequence by their creation."""
    return list(
        connection.execute(
            sa.select(sessions)
            .where(sessions.c.sequence_id == sequence_id)
            .order_by(sessions.c.id)
        )
    )


def count_open_sessions(connection: Connection, since_ns: int) -> int:
    """Return how many sessions created since then are not finalized."""
    found = connection.scalar(
        sa.select(sa.func.count()).where(
            sessions.c.created_at_ns >= since_ns, sessions.c.completed_at_ns.is_(None)
        )
    )
    return found or 0


def _topic_query() -> sa.Select[Any]:
    return (
        sa.select(
            topics,
            sequences.c.name.label('sequence'),
            sessions.c.ulid,
            sessions.c.completed_at_ns.label('session_completed_at_ns'),
            schemas.c.ipc.label('schema'),
        )
        .join(sequences, sequences.c.id == topics.c.sequence_id)
        .join(sessions, sessions.c.id == topics.c.session_id)
        .outerjoin(schemas, schemas.c.id == topics.c.schema_id)
    )


def find_topic(
    connection: Connection, locator: TopicLocator, lock: Lock | None = None
) -> Row[Any]:
    """Return the row of a topic, its schema's bytes included; NotFoundError if none.

    `lock` is for its sequence.
    """
    if lock is not None:
        named = sa.select(sequences.c.id).where(sequences.c.name == locator.sequence)
        lock_sequences(connection, named, lock)
    row = connection.execute(
        _topic_query().where(sequences.c.name == locator.sequence, topics.c.path == locator.path)
    ).one_or_none()
    if row is None:
        raise NotFoundError(f'The topic {locator} does not exist')
    return row


def find_topic_by(
    connection: Connection, condition: sa.ColumnElement[bool], *, lock: bool = False
) -> Row[Any] | None:
    """Return the row of the topic that satisfies a condition on :data:`topics`, if any.

    With `lock` nobody else changes it until the end of the transaction.
    """
    if lock:
        connection.execute(sa.select(topics.c.id).where(condition).with_for_update())
    return connection.execute(_topic_query().where(condition)).one_or_none()


def topics_of_sequence(connection: Connection, sequence_id: int) -> list[Row[Any]]:
    """Return the topics of a sequence by creation of their session, then their own."""
    return list(
        connection.execute(
            _topic_query()
            .where(topics.c.sequence_id == sequence_id)
            .order_by(topics.c.session_id, topics.c.id)
        )
    )


def insert_topic(
    connection: Connection,
    locator: TopicLocator,
    session: Row[Any],
    asked: dict[str, Any],
    own: dict[str, Any],
    token: str | None,
) -> tuple[Row[Any], bool]:
    """Insert a topic without data, once; see :func:`insert_once`.

    Raises
    ------
    FailedPreconditionError
        If the session is finalized.
    AlreadyExistsError
        If any session of the sequence has such a topic.

    """
    row, is_new = insert_once(
        connection,
        topics,
        {
            'sequence_id': session.sequence_id,
            'session_id': session.id,
            'path': locator.path,
            **asked,
        },
        {
            'state': TopicState.CREATED,
            'fence': 0,
            'rows': 0,
            'bytes': 0,
            'chunks': 0,
            'longest_chunk': 0,
            **own,
        },
        token,
    )
    # A repetition is answered even so: what it asks for was done before.
    if session.completed_at_ns is not None and (row is None or is_new):
        raise FailedPreconditionError(
            f'The session {session.sequence}:{session.ulid} is finalized, '
            f'{locator} cannot be created in it',
            remedy='Create another session of the sequence.',
        )
    if row is None:
        raise AlreadyExistsError(
            f'The topic {locator} already exists',
            remedy='Choose another topic name, or delete it first.',
        )
    return row, is_new


def finalize_session(connection: Connection, session: Row[Any], now_ns: int) -> None:
    """Mark a session as complete.

    A topic that never had an upload, or has one going on, stands in the way. An interrupted
    topic does not: it stays visible as incomplete, and its session can still be ended.

    Raises
    ------
    FailedPreconditionError
        Already finalized, no topics, or an unfinished one.

    """
    name = f'{session.sequence}:{session.ulid}'
    if session.completed_at_ns is not None:
        raise FailedPreconditionError(f'The session {name} is already finalized')
    states = connection.execute(
        sa.select(topics.c.path, topics.c.state)
        .where(topics.c.session_id == session.id)
        .order_by(topics.c.id)
    ).all()
    if not states:
        raise FailedPreconditionError(
            f'The session {name} has no topics', remedy='Upload a topic, or delete the session.'
        )
    for path, state in states:
        if state in (TopicState.CREATED, TopicState.UPLOADING):
            what = 'has no data yet' if state == TopicState.CREATED else 'is still being uploaded'
            raise FailedPreconditionError(
                f'The session {name} cannot be finalized: the topic {session.sequence}/{path} '
                f'{what}',
                remedy='End its upload, or delete the topic.',
            )
    done = connection.execute(
        sessions.update()
        .where(sessions.c.id == session.id, sessions.c.completed_at_ns.is_(None))
        .values(completed_at_ns=now_ns)
    )
    if done.rowcount != 1:
        raise FailedPreconditionError(f'The session {name} is already finalized')
    tell(connection, 'session_finalized', now_ns, session_id=session.id)


def highest_ids(connection: Connection, sequence_id: int) -> dict[str, int]:
    """Return the highest ids that go with a sequence, by table."""
    found = {'sequences': sequence_id}
    for table in (sessions, topics):
        highest = connection.execute(
            sa.select(sa.func.max(table.c.id)).where(table.c.sequence_id == sequence_id)
        ).scalar()
        if highest is not None:
            found[table.name] = int(highest)
    return found
