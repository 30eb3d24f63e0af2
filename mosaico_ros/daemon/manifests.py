"""What the store itself says about sequences, sessions and topics.

Manifests are enough to rebuild a catalog. They never hold a uuid: those are authority to write.
"""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog.resources import TopicState
from mosaico_ros.daemon.catalog.tables import chunks, topics
from mosaico_ros.daemon.store.base import Store, put_json, tombstone_key

__all__ = [
    'write_sequence_manifest',
    'write_session_manifest',
    'write_tombstone',
    'write_topic_manifest',
]


def write_sequence_manifest(
    store: Store, folder: str, name: str, created_at_ns: int, user_metadata: str
) -> None:
    """Store ``sequence.json``."""
    put_json(
        store,
        f'{folder}/sequence.json',
        {
            'name': name,
            'created_at_ns': created_at_ns,
            'user_metadata': json.loads(user_metadata),
        },
    )


def write_session_manifest(
    connection: Connection, store: Store, session: Row[Any], completed_at_ns: int
) -> None:
    """Store the manifest of a session that is being finalized, with the names of its topics."""
    found = connection.execute(
        sa.select(topics.c.id, topics.c.path, topics.c.state, topics.c.folder)
        .where(topics.c.session_id == session.id)
        .order_by(topics.c.id)
    )
    put_json(
        store,
        f'{session.folder}/sessions/{session.ulid}.json',
        {
            'id': session.id,
            'locator': f'{session.sequence}:{session.ulid}',
            'created_at_ns': session.created_at_ns,
            'completed_at_ns': completed_at_ns,
            'topics': [
                {'id': row.id, 'path': row.path, 'state': row.state, 'folder': row.folder}
                for row in found
            ],
        },
    )


def write_topic_manifest(
    connection: Connection,
    store: Store,
    topic: Row[Any],
    state: TopicState,
    completed_at_ns: int | None = None,
) -> None:
    """Store ``topic.json``, with the list of chunks if the topic is sealed."""
    manifest: dict[str, Any] = {
        'id': topic.id,
        'locator': f'{topic.sequence}/{topic.path}',
        'session': topic.ulid,
        'ontology_tag': topic.ontology_tag,
        'serialization_format': topic.serialization_format,
        'user_metadata': json.loads(topic.user_metadata),
        'created_at_ns': topic.created_at_ns,
        'completed_at_ns': completed_at_ns,
        'state': state.value,
    }
    if state in (TopicState.LOCKED, TopicState.INTERRUPTED):
        found = connection.execute(
            sa.select(
                chunks.c.number,
                chunks.c.encoding,
                chunks.c.rows,
                chunks.c.bytes,
                chunks.c.t_min,
                chunks.c.t_max,
            )
            .where(chunks.c.topic_id == topic.id)
            .order_by(chunks.c.number)
        )
        manifest['chunks'] = [dict(row._mapping) for row in found]
    put_json(store, f'{topic.folder}/topic.json', manifest)


def write_tombstone(store: Store, folder: str, what: str, now_ns: int) -> None:
    """Record that a folder was deleted, before its files go."""
    put_json(store, tombstone_key(folder), {'deleted': what, 'folder': folder, 'at_ns': now_ns})
