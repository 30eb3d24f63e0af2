"""What the store itself says about sequences, sessions, topics and notifications.

Manifests are enough to rebuild a catalog, with the same ids: tickets stay good. They never hold
a uuid: those are authority to write. Each is written before the transaction that it belongs to
commits, so the store is never behind the catalog; a crash in between leaves it ahead. Only a
tombstone is written after it: what a failed deletion leaves must live.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog.resources import TopicState
from mosaico_ros.daemon.catalog.tables import chunks, topics
from mosaico_ros.daemon.store.base import Store, put_json
from mosaico_ros.protocol.errors import (
    DataLossError,
    InvalidArgumentError,
    MosaicoError,
    NotFoundError,
)
from mosaico_ros.protocol.locators import SessionLocator, TopicLocator
from mosaico_ros.protocol.serialization import SerializationFormat
from mosaico_ros.protocol.shapes import from_json, to_json

__all__ = [
    'StoredChunk',
    'StoredNotice',
    'StoredSequence',
    'StoredSession',
    'StoredTopic',
    'Tombstone',
    'TopicName',
    'as_in_catalog',
    'lists_more',
    'notice_key',
    'read_manifest',
    'read_schema',
    'session_key',
    'topic_manifest',
    'write_notice',
    'write_sequence_manifest',
    'write_session_manifest',
    'write_topic_manifest',
]

_T = TypeVar('_T')


@dataclass(frozen=True)
class StoredSequence:
    """A ``sequence.json``."""

    id: int
    name: str
    created_at_ns: int
    user_metadata: dict[str, Any]


@dataclass(frozen=True)
class TopicName:
    """A topic that a finalized session names."""

    id: int
    path: str
    state: TopicState
    folder: str


@dataclass(frozen=True)
class StoredSession:
    """A ``sessions/<ULID>.json``; topics are named once it is finalized."""

    id: int
    locator: SessionLocator
    created_at_ns: int
    completed_at_ns: int | None
    topics: list[TopicName] = field(default_factory=list)


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
    """A ``topic.json``; `session` is a ULID, `chunks` are `None` while none are listed."""

    id: int
    locator: TopicLocator
    session_id: int
    session: str
    ontology_tag: str
    serialization_format: SerializationFormat
    user_metadata: dict[str, Any]
    created_at_ns: int
    completed_at_ns: int | None
    state: TopicState
    chunks: list[StoredChunk] | None = None


@dataclass(frozen=True)
class StoredNotice:
    """A ``notices/<ULID>.json``."""

    ulid: str
    type: str
    message: str
    created_at_ns: int


@dataclass(frozen=True)
class Tombstone:
    """A ``tombstones/<folder name>.json``.

    Parameters
    ----------
    deleted
        Its locator, for people.
    folder
        What is gone; a session is named by its manifest's key without the ending.
    at_ns
        Since when.
    ids
        The highest ids that went with it, by table: a rebuilt catalog gives them to nobody.

    """

    deleted: str
    folder: str
    at_ns: int
    ids: dict[str, Any]


def session_key(sequence_folder: str, ulid: str) -> str:
    """Return the key of a session's manifest."""
    return f'{sequence_folder}/sessions/{ulid}.json'


def notice_key(folder: str, ulid: str) -> str:
    """Return the key of a notification on the sequence or topic of a folder."""
    return f'{folder}/notices/{ulid}.json'


def write_sequence_manifest(store: Store, folder: str, sequence: StoredSequence) -> None:
    """Store ``sequence.json``."""
    put_json(store, f'{folder}/sequence.json', to_json(sequence))


def write_session_manifest(
    connection: Connection, store: Store, session: Row[Any], completed_at_ns: int | None = None
) -> None:
    """Store the manifest of a session; when it is finalized, with the names of its topics."""
    found: list[TopicName] = []
    if completed_at_ns is not None:
        rows = connection.execute(
            sa.select(topics.c.id, topics.c.path, topics.c.state, topics.c.folder)
            .where(topics.c.session_id == session.id)
            .order_by(topics.c.id)
        )
        found = [TopicName(**row._mapping) for row in rows]
    manifest = StoredSession(
        session.id,
        SessionLocator(session.sequence, session.ulid),
        session.created_at_ns,
        completed_at_ns,
        found,
    )
    put_json(store, session_key(session.folder, session.ulid), to_json(manifest))


def as_in_catalog(stored: StoredSession, session: Row[Any]) -> StoredSession:
    """Return a session's manifest with what its row says; topics may be deleted since."""
    return replace(
        stored,
        id=session.id,
        created_at_ns=session.created_at_ns,
        completed_at_ns=session.completed_at_ns,
    )


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
    manifest = topic_manifest(connection, topic, state, completed_at_ns)
    put_json(store, f'{topic.folder}/topic.json', to_json(manifest))


def topic_manifest(
    connection: Connection, topic: Row[Any], state: TopicState, completed_at_ns: int | None
) -> StoredTopic:
    """Return what ``topic.json`` says of a topic in some state."""
    listed: list[StoredChunk] | None = None
    if state is not TopicState.CREATED:
        rows = connection.execute(
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
        listed = [StoredChunk(*row) for row in rows]
    return StoredTopic(
        topic.id,
        TopicLocator(topic.sequence, topic.path),
        topic.session_id,
        topic.ulid,
        topic.ontology_tag,
        SerializationFormat(topic.serialization_format),
        json.loads(topic.user_metadata),
        topic.created_at_ns,
        completed_at_ns,
        state,
        listed,
    )


def lists_more(store: Store, topic: Row[Any]) -> bool:
    """Whether ``topic.json`` lists more rows than the catalog knows: the catalog is older."""
    try:
        stored = read_manifest(store, f'{topic.folder}/topic.json', StoredTopic)
    except (NotFoundError, DataLossError):
        return False
    return sum(chunk.rows for chunk in stored.chunks or ()) > topic.rows


def write_notice(store: Store, folder: str, notice: StoredNotice) -> None:
    """Store a notification on the sequence or topic of a folder."""
    put_json(store, notice_key(folder, notice.ulid), to_json(notice))


def read_manifest(store: Store, key: str, kind: type[_T]) -> _T:
    """Return a manifest.

    Raises
    ------
    NotFoundError
        If it is not in the store.
    DataLossError
        If it is damaged.

    """
    try:
        with store.open(key) as file:
            body = json.loads(file.read())
        if not isinstance(body, dict):
            raise ValueError('it is no JSON object')
        return from_json(kind, body, key)
    except InvalidArgumentError as error:
        raise _damaged(key, error.message) from error
    except MosaicoError:
        raise
    except (ValueError, OSError, RecursionError, pa.ArrowException) as error:
        raise _damaged(key, str(error)) from error


def read_schema(store: Store, folder: str) -> pa.Schema:
    """Return the announced schema of a topic; errors as :func:`read_manifest`."""
    key = f'{folder}/schema.arrow'
    try:
        with store.open(key) as file:
            return pa.ipc.read_schema(pa.BufferReader(file.read()))
    except MosaicoError:
        raise
    except (ValueError, OSError, pa.ArrowException) as error:
        raise _damaged(key, str(error)) from error


def _damaged(key: str, how: str) -> DataLossError:
    return DataLossError(f'{key} is damaged: {how}', remedy='Restore it from a backup.')
