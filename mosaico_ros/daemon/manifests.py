"""What the store itself says about sequences, sessions, topics and notifications.

Manifests are enough to rebuild a catalog, with the same ids: tickets stay good. They never hold
a uuid: those are authority to write. Each is written before the transaction that it belongs to
commits, so the store is never behind the catalog; a crash in between leaves it ahead.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog.resources import TopicState
from mosaico_ros.daemon.catalog.tables import chunks, topics
from mosaico_ros.daemon.store.base import Store, put_json, tombstone_key

__all__ = [
    'StoredChunk',
    'StoredNotice',
    'StoredSequence',
    'StoredSession',
    'StoredTopic',
    'Tombstone',
    'notice_key',
    'session_key',
    'write_notice',
    'write_sequence_manifest',
    'write_session_manifest',
    'write_tombstone',
    'write_topic_manifest',
]


@dataclass(frozen=True)
class StoredSequence:
    """A ``sequence.json``."""

    id: int
    name: str
    created_at_ns: int
    user_metadata: dict[str, Any]


@dataclass(frozen=True)
class StoredSession:
    """A ``sessions/<ULID>.json``; `topics` are folders, listed once it is finalized."""

    id: int
    ulid: str
    created_at_ns: int
    completed_at_ns: int | None
    topics: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredChunk:
    """A chunk that ``topic.json`` lists."""

    number: int
    encoding: str
    rows: int
    bytes: int
    t_min: int
    t_max: int


@dataclass(frozen=True)
class StoredTopic:
    """A ``topic.json``; `session` is a ULID, `chunks` are `None` while not listed."""

    id: int
    path: str
    session_id: int
    session: str
    ontology_tag: str
    serialization_format: str
    user_metadata: dict[str, Any]
    created_at_ns: int
    completed_at_ns: int | None
    state: TopicState
    chunks: tuple[StoredChunk, ...] | None


@dataclass(frozen=True)
class StoredNotice:
    """A ``notices/<ULID>.json``."""

    ulid: str
    type: str
    message: str
    created_at_ns: int


@dataclass(frozen=True)
class Tombstone:
    """What was deleted, and the highest ids that went with it, by table."""

    folder: str
    ids: dict[str, int]


def session_key(sequence_folder: str, ulid: str) -> str:
    """Return the key of a session's manifest."""
    return f'{sequence_folder}/sessions/{ulid}.json'


def notice_key(folder: str, ulid: str) -> str:
    """Return the key of a notification on the sequence or topic of a folder."""
    return f'{folder}/notices/{ulid}.json'


def write_sequence_manifest(store: Store, folder: str, sequence: StoredSequence) -> None:
    """Store ``sequence.json``."""
    put_json(
        store,
        f'{folder}/sequence.json',
        {
            'id': sequence.id,
            'name': sequence.name,
            'created_at_ns': sequence.created_at_ns,
            'user_metadata': sequence.user_metadata,
        },
    )


def write_session_manifest(
    connection: Connection, store: Store, session: Row[Any], completed_at_ns: int | None = None
) -> None:
    """Store the manifest of a session; when it is finalized, with the names of its topics."""
    manifest: dict[str, Any] = {
        'id': session.id,
        'locator': f'{session.sequence}:{session.ulid}',
        'created_at_ns': session.created_at_ns,
        'completed_at_ns': completed_at_ns,
    }
    if completed_at_ns is not None:
        found = connection.execute(
            sa.select(topics.c.id, topics.c.path, topics.c.state, topics.c.folder)
            .where(topics.c.session_id == session.id)
            .order_by(topics.c.id)
        )
        manifest['topics'] = [dict(row._mapping) for row in found]
    put_json(store, session_key(session.folder, session.ulid), manifest)


def write_topic_manifest(
    connection: Connection,
    store: Store,
    topic: Row[Any],
    state: TopicState,
    completed_at_ns: int | None = None,
) -> None:
    """Store ``topic.json``, with the list of chunks unless its upload has not begun.

    Of a topic that is being uploaded it is written only when all its rows are durable and their
    chunks are about to be replaced by others.
    """
    manifest: dict[str, Any] = {
        'id': topic.id,
        'locator': f'{topic.sequence}/{topic.path}',
        'session_id': topic.session_id,
        'session': topic.ulid,
        'ontology_tag': topic.ontology_tag,
        'serialization_format': topic.serialization_format,
        'user_metadata': json.loads(topic.user_metadata),
        'created_at_ns': topic.created_at_ns,
        'completed_at_ns': completed_at_ns,
        'state': state.value,
    }
    if state is not TopicState.CREATED:
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


def write_notice(store: Store, folder: str, notice: StoredNotice) -> None:
    """Store a notification on the sequence or topic of a folder."""
    put_json(
        store,
        notice_key(folder, notice.ulid),
        {
            'type': notice.type,
            'message': notice.message,
            'created_at_ns': notice.created_at_ns,
        },
    )


def write_tombstone(
    store: Store, folder: str, what: str, now_ns: int, ids: dict[str, int]
) -> None:
    """Record that a folder was deleted, before its files go.

    Parameters
    ----------
    store, folder
        What was deleted; a session is named by its manifest's key without the ending.
    what
        Its locator, for people.
    now_ns
        When.
    ids
        The highest ids that go with it, by table: a rebuilt catalog gives them to nobody.

    """
    put_json(
        store,
        tombstone_key(folder),
        {'deleted': what, 'folder': folder, 'at_ns': now_ns, 'ids': ids},
    )
