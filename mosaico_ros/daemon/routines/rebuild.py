"""Rebuilding a catalog from its store.

Every sequence, session and topic comes back with the id that it had, so that tickets stay good,
and every chunk with the statistics that its object gives again. What has a tombstone stays
deleted, and no id that it had is given out again. What was not finished comes back as
interrupted: nobody holds the authority to go on, as uuids are not in the store. API keys are
not, either.

A crash may have left the store ahead of the catalog, by things whose creation never counted.
Where such a leftover has the name or id of something else, it is the one without content, or
else the older one, and stays away.
"""

from __future__ import annotations

import json
import time
import uuid as uuid_module
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields as fields_of
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog.chunks import (
    ChunkRow,
    FieldIds,
    Lease,
    commit_chunk,
    intern_schema,
)
from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.dialects import advance_ids, queue_writers
from mosaico_ros.daemon.catalog.resources import TopicState
from mosaico_ros.daemon.catalog.tables import (
    archive,
    chunks,
    fields,
    notices,
    schemas,
    sequences,
    sessions,
    stats,
    topics,
)
from mosaico_ros.daemon.chunk_files import ChunkFiles
from mosaico_ros.daemon.inspection import inspect_chunk
from mosaico_ros.daemon.leases import Instance, chunk_key, seal_interrupted
from mosaico_ros.daemon.manifests import StoredChunk, StoredNotice, StoredSession, StoredTopic
from mosaico_ros.daemon.notices import add_notice, record_notice
from mosaico_ros.daemon.routines.scanning import (
    WORKERS,
    Buried,
    FoundSequence,
    FoundTopic,
    ahead,
)
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.daemon.store.base import Store, folder_ulid
from mosaico_ros.daemon.store.opening import open_existing_store
from mosaico_ros.protocol.errors import DataLossError, FailedPreconditionError, NotFoundError
from mosaico_ros.protocol.locators import SessionLocator

__all__ = ['RebuildReport', 'rebuild']

#: Told how many topics are done, and of how many.
Progress = Callable[[int, int], None]
#: Whether something has content, and when it was made: the higher one counts.
_Rank = tuple[bool, str]

_SEALED = (TopicState.LOCKED, TopicState.INTERRUPTED)
_REASON = 'The catalog was rebuilt from the store before it had ended'


@dataclass
class RebuildReport:
    """What came back.

    Parameters
    ----------
    sequences, sessions, topics, chunks, notices
        How many.
    interrupted
        Locators of topics that were not finished.
    faults
        What could not be read, or is missing; all else is there.
    remarks
        What was left out for a reason that is no fault.

    """

    sequences: int = 0
    sessions: int = 0
    topics: int = 0
    chunks: int = 0
    notices: int = 0
    interrupted: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def rebuild(settings: Settings, progress: Progress) -> RebuildReport:
    """Fill an empty catalog with everything that its store holds.

    A rebuild that was broken off starts over; daemons refuse the catalog until it has ended.

    Raises
    ------
    FailedPreconditionError
        There is no store, the catalog holds something or belongs to another store, or a daemon
        uses one of them.

    """
    store = open_existing_store(settings)
    try:
        if store.is_shared():
            raise _in_use(f'The store in {settings.location}')
        database = Database(settings.database_url, settings.max_db_connections)
        try:
            instance = Instance(database, store, settings.lease_seconds)
            try:
                _begin(database, store, instance)
                instance.start()
                return _Rebuild(database, store, instance.id, progress).run()
            finally:
                instance.close()
        finally:
            database.close()
    finally:
        store.close()


def _begin(database: Database, store: Store, instance: Instance) -> None:
    living, _ = instance.others()
    if living:
        raise _in_use('The catalog')
    with database.write() as connection:
        queue_writers(connection, 'identity')
        row = connection.execute(sa.select(archive)).one_or_none()
        if row is not None and row.store_id != store.id:
            raise FailedPreconditionError(
                f'The catalog belongs to the store {row.store_id}, not to {store.id}',
                remedy='Name a new database with --db-url or --data-dir.',
            )
        known = connection.execute(sa.select(sa.func.count()).select_from(sequences)).scalar_one()
        if known and (row is None or row.rebuild_began_ns is None):
            raise FailedPreconditionError(
                f'The catalog is not empty: it knows {known} sequences',
                remedy='Only an empty one is rebuilt. Name a new database with --db-url, or move '
                'the file catalog.db away.',
            )
        # What an attempt that was broken off has left.
        for table in (stats, chunks, notices, topics, sessions, sequences, fields, schemas):
            connection.execute(table.delete())
        connection.execute(archive.delete())
        now = time.time_ns()
        connection.execute(
            archive.insert().values(
                id=1, store_id=store.id, created_at_ns=now, rebuild_began_ns=now
            )
        )


def _in_use(what: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        f'{what} is in use', remedy='Stop the daemons and other commands on it first.'
    )


class _Rebuild:
    """One rebuild, under way."""

    def __init__(
        self, database: Database, store: Store, instance_id: int, progress: Progress
    ) -> None:
        self._database = database
        self._store = store
        self._files = ChunkFiles(store, cache_bytes=1 << 20)
        self._instance_id = instance_id
        self._progress = progress
        self._field_ids = FieldIds()
        self._highest = {'sequences': 0, 'sessions': 0, 'topics': 0}
        self._report = RebuildReport()
        self._done = self._total = 0

    def run(self) -> RebuildReport:
        """Scan the store; return what was found."""
        report = self._report
        with ThreadPoolExecutor(WORKERS, thread_name_prefix='rebuild') as pool:
            self._pool = pool
            self._buried = Buried(self._store, pool)
            report.faults += self._buried.faults
            for name, highest in self._buried.ids.items():
                self._note_id(name, highest)
            folders = [
                folder
                for folder in self._store.folders('sequences')
                if not self._buried.holds(folder)
            ]
            self._total = sum(ahead(pool, self._count_topics, folders))
            self._progress(0, self._total)
            for folder in folders:
                self._sequence(FoundSequence.read(self._store, folder, self._buried))
        with self._database.write() as connection:
            for table in (sequences, sessions, topics):
                # Whatever could not be read may have had the next ones.
                past = self._highest[table.name] + len(report.faults)
                advance_ids(connection, table, past)
            self._count(connection)
            connection.execute(archive.update().values(rebuild_began_ns=None))
        return report

    def _count(self, connection: Connection) -> None:
        for table in (sequences, sessions, topics, chunks, notices):
            count = sa.select(sa.func.count()).select_from(table)
            setattr(self._report, table.name, connection.execute(count).scalar_one())

    def _count_topics(self, folder: str) -> int:
        found = self._store.folders(f'{folder}/topics')
        return sum(not self._buried.holds(topic) for topic in found)

    # -- sequences and sessions ----------------------------------------------------------------

    def _sequence(self, found: FoundSequence) -> None:
        report, manifest = self._report, found.manifest
        report.faults += found.faults
        if manifest is None:
            if not found.topics:
                self._left_over(found.folder)
            self._advance(len(found.topics))
            return
        if found.marked and not any(map(self._holds_rows, found.topics)):
            report.remarks.append(f'{found.folder} is marked for removal and holds no rows')
            self._advance(len(found.topics))
            return
        self._note_id('sequences', manifest.id)
        rank = bool(found.sessions or found.topics), folder_ulid(found.folder)
        same = sa.or_(sequences.c.id == manifest.id, sequences.c.name == manifest.name)
        with self._database.write() as connection:
            if not self._make_room(connection, sequences, same, rank, found.folder):
                self._advance(len(found.topics))
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
            self._advance(1)
        present = set(found.topics)
        for session in found.sessions:
            for name in session.topics:
                if name.folder not in present and not self._buried.holds(name.folder):
                    report.faults.append(
                        f'The topic {manifest.name}/{name.path} is lost: {name.folder} is missing'
                    )

    def _insert_session(
        self, connection: Connection, sequence_id: int, session: StoredSession, *, named: bool
    ) -> bool:
        """Insert a session unless it gives way; `named` says whether a topic names it."""
        self._note_id('sessions', session.id)
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
        report, manifest = self._report, found.manifest
        report.faults += found.faults
        if manifest is None:
            if not found.chunks:
                self._left_over(found.folder)
            return
        if found.marked and not found.chunks:
            report.remarks.append(f'{found.folder} is marked for removal and holds no rows')
            return
        self._note_id('topics', manifest.id)
        used = found.schema is not None or manifest.state is TopicState.LOCKED
        rank = used, folder_ulid(found.folder)
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
            for row in self._inspected(found):
                if row is None:
                    lost += 1
                else:
                    commit_chunk(connection, lease, manifest.ontology_tag, row, self._field_ids)
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
                report.interrupted.append(str(manifest.locator))

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
        self._report.faults.append(
            f'The session {locator} comes back as its topics tell of it: its manifest is missing '
            'or damaged'
        )
        session = StoredSession(manifest.session_id, locator, manifest.created_at_ns, None)
        return self._insert_session(connection, sequence_id, session, named=True)

    def _inspected(self, found: FoundTopic) -> Iterator[ChunkRow | None]:
        """Yield the rows of a topic's chunks; `None` for each that is lost."""
        listed = (
            {}
            if found.manifest is None
            else {chunk.number: chunk for chunk in found.manifest.chunks or ()}
        )

        def inspect(chunk: tuple[int, str]) -> ChunkRow | Exception:
            key = chunk_key(found.folder, *chunk)
            try:
                return inspect_chunk(self._files, key, *chunk, found.schema)
            except (DataLossError, NotFoundError) as error:
                return error

        if found.schema is None:
            return
        for item in ahead(self._pool, inspect, found.chunks):
            if isinstance(item, Exception):
                self._report.faults.append(str(item))
                yield None
                continue
            said = listed.get(item.number)
            if said is not None and said != _as_stored(item):
                self._report.faults.append(
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
        rank: _Rank,
        what: str,
    ) -> bool:
        """Whether something may come in; what it clashes with and is less goes out."""
        clashing = connection.execute(sa.select(table).where(same)).all()
        ranks = [_rank_of(connection, table, row) for row in clashing]
        if ranks and max(ranks) >= rank:
            has_content, _ = rank
            if has_content:
                self._report.faults.append(
                    f'{what} stays away: it has the name or id of something else'
                )
            else:
                self._left_over(what)
            return False
        for row in clashing:
            self._left_over(row.ulid if table is sessions else row.folder)
            connection.execute(table.delete().where(table.c.id == row.id))
        return True

    def _left_over(self, what: str) -> None:
        self._report.remarks.append(f'{what} is left over from a creation that failed')

    def _note_id(self, table: str, number: int) -> None:
        self._highest[table] = max(self._highest.get(table, 0), number)

    def _advance(self, count: int) -> None:
        self._done += count
        self._progress(self._done, self._total)


def _rank_of(connection: Connection, table: sa.Table, row: Row[Any]) -> _Rank:
    if table is topics:
        return row.schema_id is not None or row.state == TopicState.LOCKED, folder_ulid(row.folder)
    if table is sessions:
        used = sa.select(topics.c.id).where(topics.c.session_id == row.id).limit(1)
        content = row.completed_at_ns is not None or connection.execute(used).first() is not None
        return content, row.ulid
    used = sa.select(sessions.c.id).where(sessions.c.sequence_id == row.id).limit(1)
    return connection.execute(used).first() is not None, folder_ulid(row.folder)


def _as_stored(row: ChunkRow) -> StoredChunk:
    return StoredChunk(**{part.name: getattr(row, part.name) for part in fields_of(StoredChunk)})
