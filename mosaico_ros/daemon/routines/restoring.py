"""From what a store holds to the rows of a catalog."""

from __future__ import annotations

import json
import time
import uuid as uuid_module
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import fields as fields_of
from functools import partial

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mosaico_ros.daemon.catalog.chunks import (
    ChunkRow,
    FieldIds,
    Lease,
    commit_chunks,
    intern_schema,
)
from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.resources import TopicState
from mosaico_ros.daemon.catalog.tables import (
    sequences,
    sessions,
    topics,
)
from mosaico_ros.daemon.chunk_files import ChunkFiles
from mosaico_ros.daemon.inspection import inspect_chunk
from mosaico_ros.daemon.leases import chunk_key, seal_interrupted
from mosaico_ros.daemon.manifests import StoredChunk, StoredNotice, StoredSession, StoredTopic
from mosaico_ros.daemon.notices import add_notice, record_notice
from mosaico_ros.daemon.routines.claims import Rank, make_room
from mosaico_ros.daemon.routines.scanning import (
    Buried,
    FoundSequence,
    FoundTopic,
    ahead,
)
from mosaico_ros.daemon.store.base import Store, folder_ulid
from mosaico_ros.protocol.errors import DataLossError, NotFoundError
from mosaico_ros.protocol.locators import SessionLocator

__all__ = ['Restorer']

_SEALED = (TopicState.LOCKED, TopicState.INTERRUPTED)
_REASON = 'The catalog was rebuilt from the store before it had ended'


class Restorer:
    """Puts one sequence after the other into an empty catalog.

    Parameters
    ----------
    database, store
        Where to, and from where.
    pool
        Reads ahead.
    buried
        What stays deleted.
    instance_id
        Who does it; uploads that were open end in its name.

    """

    def __init__(
        self, database: Database, store: Store, pool: Executor, buried: Buried, instance_id: int
    ) -> None:
        self._database = database
        self._store = store
        self._pool = pool
        self._buried = buried
        self._instance_id = instance_id
        self._files = ChunkFiles(store, cache_bytes=1 << 20)
        self._field_ids = FieldIds()
        #: Locators of topics that were not finished.
        self.interrupted: list[str] = []
        #: What could not be read, or is missing.
        self.faults: list[str] = list(buried.faults)
        #: What stays away for a reason that is no fault.
        self.remarks: list[str] = []
        #: The highest id seen in each table.
        self.highest = {'sequences': 0, 'sessions': 0, 'topics': 0}
        for table, number in buried.ids.items():
            self.note_id(table, number)

    def restore(self, found: FoundSequence, advance: Callable[[int], None]) -> None:
        """Bring back a sequence with everything in it; `advance` is told of topics done."""
        manifest = found.manifest
        self.faults += found.faults
        if manifest is None:
            if not found.topics:
                self._left_over(found.folder)
            advance(len(found.topics))
            return
        if found.marked and not any(map(self._holds_rows, found.topics)):
            self.remarks.append(f'{found.folder} is marked for removal and holds no rows')
            advance(len(found.topics))
            return
        self.note_id('sequences', manifest.id)
        rank = bool(found.sessions or found.topics), folder_ulid(found.folder)
        same = sa.or_(sequences.c.id == manifest.id, sequences.c.name == manifest.name)
        with self._database.write() as connection:
            if not self._make_room(connection, sequences, same, rank, found.folder):
                advance(len(found.topics))
                return
            connection.execute(
                sequences.insert().values(
                    id=manifest.id,
                    name=manifest.name,
                    folder=found.folder,
                    created_at_ns=manifest.created_at_ns,
                    user_metadata=json.dumps(manifest.user_metadata),
                )
            )
            for session in found.sessions:
                self._insert_session(connection, manifest.id, session, named=False)
            self._notices(connection, manifest.id, None, found.notices)
            for session in found.sessions:
                if session.completed_at_ns is None:
                    message = (
                        f'The session {session.locator} was interrupted: the catalog was rebuilt '
                        'from the store before it was finalized. It cannot be continued; what '
                        'its topics hold stays readable.'
                    )
                    self._notify_once(connection, manifest.id, None, message, found.notices)
        for topic in ahead(self._pool, partial(FoundTopic.read, self._store), found.topics):
            self._topic(manifest.id, topic)
            advance(1)
        present = set(found.topics)
        for session in found.sessions:
            for name in session.topics:
                if name.folder not in present and not self._buried.holds(name.folder):
                    self.faults.append(
                        f'The topic {manifest.name}/{name.path} is lost: {name.folder} is missing'
                    )

    def _insert_session(
        self, connection: Connection, sequence_id: int, session: StoredSession, *, named: bool
    ) -> bool:
        """Insert a session unless it gives way; `named` says whether a topic names it."""
        self.note_id('sessions', session.id)
        ulid = session.locator.ulid
        rank = named or session.completed_at_ns is not None, ulid
        same = sa.or_(sessions.c.id == session.id, sessions.c.ulid == ulid)
        if not self._make_room(connection, sessions, same, rank, str(session.locator)):
            return False
        connection.execute(
            sessions.insert().values(
                id=session.id,
                sequence_id=sequence_id,
                ulid=ulid,
                uuid=str(uuid_module.uuid4()),
                created_at_ns=session.created_at_ns,
                completed_at_ns=session.completed_at_ns,
            )
        )
        return True

    # -- topics --------------------------------------------------------------------------------

    def _topic(self, sequence_id: int, found: FoundTopic) -> None:
        manifest = found.manifest
        self.faults += found.faults
        if manifest is None:
            if not found.chunks:
                self._left_over(found.folder)
            return
        if found.marked and not found.chunks:
            self.remarks.append(f'{found.folder} is marked for removal and holds no rows')
            return
        self.note_id('topics', manifest.id)
        used = found.schema is not None or found.chunks or manifest.state is TopicState.LOCKED
        rank = bool(used), folder_ulid(found.folder)
        path = manifest.locator.path
        same = sa.or_(
            topics.c.id == manifest.id,
            sa.and_(topics.c.sequence_id == sequence_id, topics.c.path == path),
        )
        with self._database.write() as connection:
            if not self._make_room(connection, topics, same, rank, found.folder):
                return
            if not self._find_session(connection, sequence_id, manifest):
                return
            schema_id = None if found.schema is None else intern_schema(connection, found.schema)
            # As an upload of our own, so that what it adds up to is what an upload would.
            lease = Lease(manifest.id, self._instance_id, 1)
            connection.execute(
                topics.insert().values(
                    id=manifest.id,
                    sequence_id=sequence_id,
                    session_id=manifest.session_id,
                    path=path,
                    uuid=str(uuid_module.uuid4()),
                    folder=found.folder,
                    ontology_tag=manifest.ontology_tag,
                    serialization_format=manifest.serialization_format.value,
                    user_metadata=json.dumps(manifest.user_metadata),
                    created_at_ns=manifest.created_at_ns,
                    state=TopicState.UPLOADING,
                    instance_id=lease.instance_id,
                    fence=lease.fence,
                    schema_id=schema_id,
                    rows=0,
                    bytes=0,
                    chunks=0,
                    longest_chunk=0,
                )
            )
            self._notices(connection, sequence_id, manifest.id, found.notices)
            lost = 0
            for row in self._inspected(found, manifest):
                if row is None:
                    lost += 1
                else:  # one by one: a topic may have more than fit into memory
                    tag = manifest.ontology_tag
                    commit_chunks(connection, lease, tag, [row], self._field_ids)
            if lost:
                message = (
                    f'{lost} of the {len(found.chunks)} chunks of {manifest.locator} are missing '
                    'or damaged in the store, as was found when the catalog was rebuilt. Their '
                    'rows are lost unless they are restored from a backup.'
                )
                self._notify_once(connection, sequence_id, manifest.id, message, found.notices)
            if manifest.state in _SEALED:
                connection.execute(
                    topics.update()
                    .where(lease.holds())
                    .values(state=manifest.state, completed_at_ns=manifest.completed_at_ns)
                )
            else:
                seal_interrupted(connection, self._store, lease, _REASON)
                self.interrupted.append(str(manifest.locator))

    def _find_session(
        self, connection: Connection, sequence_id: int, manifest: StoredTopic
    ) -> bool:
        """Make sure that a topic's session is there; its own manifest may be damaged."""
        found = sa.select(sessions.c.id).where(
            sessions.c.id == manifest.session_id, sessions.c.ulid == manifest.session
        )
        if connection.execute(found).first() is not None:
            return True
        locator = SessionLocator(manifest.locator.sequence, manifest.session)
        self.faults.append(
            f'The session {locator} comes back as its topics tell of it: its manifest is missing '
            'or damaged'
        )
        session = StoredSession(manifest.session_id, locator, manifest.created_at_ns, None)
        return self._insert_session(connection, sequence_id, session, named=True)

    def _inspected(self, found: FoundTopic, manifest: StoredTopic) -> Iterator[ChunkRow | None]:
        """Yield the rows of a topic's chunks; `None` for each that is lost."""
        if found.schema is None:
            yield from (None for _ in found.chunks)
            return
        listed = {chunk.number: chunk for chunk in manifest.chunks or ()}

        def inspect(chunk: tuple[int, str]) -> ChunkRow | Exception:
            key = chunk_key(found.folder, *chunk)
            try:
                return inspect_chunk(self._files, key, *chunk, found.schema)
            except (DataLossError, NotFoundError) as error:
                return error

        for item in ahead(self._pool, inspect, found.chunks):
            if isinstance(item, Exception):
                self.faults.append(str(item))
                yield None
                continue
            said = listed.get(item.number)
            if said is not None and said != _as_stored(item):
                self.faults.append(
                    f'{chunk_key(found.folder, item.number, item.encoding)} is not what '
                    'topic.json says of it'
                )
            yield item

    def _holds_rows(self, folder: str) -> bool:
        return bool(FoundTopic.read(self._store, folder).chunks)

    # -- in common -----------------------------------------------------------------------------

    def _notices(
        self,
        connection: Connection,
        sequence_id: int,
        topic_id: int | None,
        found: Iterable[StoredNotice],
    ) -> None:
        for notice in found:
            record_notice(connection, sequence_id, topic_id, notice)

    def _notify_once(
        self,
        connection: Connection,
        sequence_id: int,
        topic_id: int | None,
        message: str,
        known: list[StoredNotice],
    ) -> None:
        """Add a notification unless an earlier rebuild has."""
        if all(notice.message != message for notice in known):
            now = time.time_ns()
            add_notice(connection, self._store, sequence_id, topic_id, 'error', message, now)

    def _make_room(
        self,
        connection: Connection,
        table: sa.Table,
        same: sa.ColumnElement[bool],
        rank: Rank,
        what: str,
    ) -> bool:
        removed = make_room(connection, table, same, rank)
        has_content, _ = rank
        if removed is not None:
            for other in removed:
                self._left_over(other)
        elif has_content:
            self.faults.append(f'{what} stays away: it has the name or id of something else')
        else:
            self._left_over(what)
        return removed is not None

    def _left_over(self, what: str) -> None:
        self.remarks.append(f'{what} is left over from a creation that failed')

    def note_id(self, table: str, number: int) -> None:
        """Remember that an id was given out."""
        self.highest[table] = max(self.highest.get(table, 0), number)


def _as_stored(row: ChunkRow) -> StoredChunk:
    return StoredChunk(**{part.name: getattr(row, part.name) for part in fields_of(StoredChunk)})
