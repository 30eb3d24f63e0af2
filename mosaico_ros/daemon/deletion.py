"""Deleting: the rows go, and a tombstone for each folder is scheduled with them."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog.resources import highest_ids
from mosaico_ros.daemon.catalog.tables import sequences, sessions, topics
from mosaico_ros.daemon.manifests import Tombstone, session_key
from mosaico_ros.daemon.removal import schedule

__all__ = ['delete_sequence', 'delete_session', 'delete_topic']


def delete_sequence(connection: Connection, sequence: Row[Any]) -> list[str]:
    """Delete a sequence with everything in it; return the folders to settle after the commit."""
    ids = highest_ids(connection, sequence.id)
    connection.execute(sequences.delete().where(sequences.c.id == sequence.id))
    return _bury(connection, Tombstone(sequence.name, sequence.folder, time.time_ns(), ids))


def delete_session(connection: Connection, session: Row[Any]) -> list[str]:
    """Delete a session with its topics; return the folders to settle after the commit."""
    now = time.time_ns()
    found = connection.execute(
        sa.select(topics.c.id, topics.c.path, topics.c.folder).where(
            topics.c.session_id == session.id
        )
    ).all()
    connection.execute(sessions.delete().where(sessions.c.id == session.id))
    name = f'{session.sequence}:{session.ulid}'
    manifest = session_key(session.folder, session.ulid).removesuffix('.json')
    return _bury(
        connection,
        Tombstone(name, manifest, now, {'sessions': session.id}),
        *(
            Tombstone(f'{session.sequence}/{topic.path}', topic.folder, now, {'topics': topic.id})
            for topic in found
        ),
    )


def delete_topic(connection: Connection, topic: Row[Any]) -> list[str]:
    """Delete a topic with its data; return the folders to settle after the commit."""
    connection.execute(topics.delete().where(topics.c.id == topic.id))
    name = f'{topic.sequence}/{topic.path}'
    return _bury(connection, Tombstone(name, topic.folder, time.time_ns(), {'topics': topic.id}))


def _bury(connection: Connection, *stones: Tombstone) -> list[str]:
    schedule(connection, {stone.folder: stone for stone in stones})
    return [stone.folder for stone in stones]
