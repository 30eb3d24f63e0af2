"""User metadata that is known only at the end of an upload."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog.resources import TopicState, find_topic_by
from mosaico_ros.daemon.catalog.tables import sequences, topics
from mosaico_ros.daemon.manifests import (
    StoredSequence,
    write_sequence_manifest,
    write_topic_manifest,
)
from mosaico_ros.daemon.store.base import Store
from mosaico_ros.protocol.errors import FailedPreconditionError, NotFoundError
from mosaico_ros.protocol.locators import TopicLocator

__all__ = ['annotate']


def annotate(
    connection: Connection,
    store: Store,
    session: Row[Any],
    sequence: Mapping[str, Any],
    notes: Mapping[TopicLocator, Mapping[str, Any]],
) -> None:
    """Add to the user metadata of a session's sequence and topics.

    Parameters
    ----------
    connection
        A write transaction that has the sequence alone.
    store
        Of the archive.
    session
        The session's row.
    sequence, notes
        What to add to the sequence, and to topics.

    """
    if session.completed_at_ns is not None:
        raise FailedPreconditionError(
            f'The session {session.sequence}:{session.ulid} is finalized',
            remedy='Its metadata is fixed; a notification can still be added.',
        )
    found = {locator: _topic(connection, session, locator) for locator in notes}
    if sequence:
        _annotate_sequence(connection, store, session, sequence)
    for locator, topic in found.items():
        _annotate_topic(connection, store, topic, notes[locator])


def _topic(connection: Connection, session: Row[Any], locator: TopicLocator) -> Row[Any]:
    topic = None
    if locator.sequence == session.sequence:
        here = sa.and_(topics.c.session_id == session.id, topics.c.path == locator.path)
        topic = find_topic_by(connection, here, lock=True)
    if topic is None:
        raise NotFoundError(f'The session {session.sequence}:{session.ulid} has no {locator}')
    if topic.state == TopicState.UPLOADING:
        raise FailedPreconditionError(
            f'The topic {locator} is still being uploaded', remedy='End its upload first.'
        )
    return topic


def _annotate_sequence(
    connection: Connection, store: Store, session: Row[Any], note: Mapping[str, Any]
) -> None:
    here = sequences.c.id == session.sequence_id
    row = connection.execute(sa.select(sequences).where(here)).one()
    metadata = {**json.loads(row.user_metadata), **note}
    connection.execute(sequences.update().where(here).values(user_metadata=json.dumps(metadata)))
    write_sequence_manifest(
        store, row.folder, StoredSequence(row.id, row.name, row.created_at_ns, metadata)
    )


def _annotate_topic(
    connection: Connection, store: Store, topic: Row[Any], note: Mapping[str, Any]
) -> None:
    here = topics.c.id == topic.id
    metadata = json.dumps({**json.loads(topic.user_metadata), **note})
    connection.execute(topics.update().where(here).values(user_metadata=metadata))
    changed = find_topic_by(connection, here)
    assert changed is not None
    write_topic_manifest(
        connection, store, changed, TopicState(changed.state), changed.completed_at_ns
    )
