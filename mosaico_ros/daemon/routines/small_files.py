"""Manifests of sessions and objects of notifications: do they say what the catalog says?

They are written, and notifications removed, before the transaction that they belong to commits.
Where that never came, as its daemon was killed, the store is ahead, and the catalog counts. Not
so where it is the catalog that has lost something: what says more than a crash leaves is kept.
That is the manifest of a finalized session without a row, and one that finalizes an open session
with topics that the catalog does not know as they are named.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.dialects import now_ns
from mosaico_ros.daemon.catalog.resources import Lock, lock_sequences
from mosaico_ros.daemon.catalog.tables import notices, sequences, sessions, topics
from mosaico_ros.daemon.catalog.ulid import ulid_time_ns
from mosaico_ros.daemon.manifests import (
    StoredNotice,
    StoredSession,
    as_in_catalog,
    notice_key,
    read_manifest,
    session_key,
    write_notice,
    write_session_manifest,
)
from mosaico_ros.daemon.removal import scheduled, was_deleted
from mosaico_ros.daemon.routines.scanning import ahead
from mosaico_ros.daemon.store.base import Store, is_stored
from mosaico_ros.protocol.errors import DataLossError, NotFoundError

__all__ = ['Compared', 'SmallFiles']

_log = logging.getLogger(__name__)


@dataclass
class Compared:
    """Where the small files of a sequence and its topics differ from the catalog.

    Parameters
    ----------
    abandoned
        Without an entry in the catalog: a creation or deletion was cut short. Keys without
        their ending, as in :mod:`mosaico_ros.daemon.removal`.
    unexplained
        Finalized sessions without an entry, named likewise: the catalog has lost them.
    outdated
        Keys of what is missing, or says something else.

    """

    abandoned: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)


@dataclass
class _Entries:
    """What the catalog knows of a sequence, by the keys of its small files."""

    sessions: dict[str, Row[Any]] = field(default_factory=dict)
    notices: dict[str, Row[Any]] = field(default_factory=dict)
    #: States of topics, by folder.
    topics: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, connection: Connection, folder: str) -> _Entries:
        """Read them of the sequence in a folder."""
        in_sequence = sequences.c.folder == folder
        of_sessions = (
            sa.select(sessions, sequences.c.name.label('sequence'), sequences.c.folder)
            .join(sequences, sequences.c.id == sessions.c.sequence_id)
            .where(in_sequence)
        )
        of_notices = (
            sa.select(notices, sa.func.coalesce(topics.c.folder, sequences.c.folder).label('home'))
            .join(sequences, sequences.c.id == notices.c.sequence_id)
            .outerjoin(topics, topics.c.id == notices.c.topic_id)
            .where(in_sequence)
        )
        of_topics = (
            sa.select(topics.c.folder, topics.c.state)
            .join(sequences, sequences.c.id == topics.c.sequence_id)
            .where(in_sequence)
        )
        return cls(
            {session_key(folder, row.ulid): row for row in connection.execute(of_sessions)},
            {notice_key(row.home, row.ulid): row for row in connection.execute(of_notices)},
            {row.folder: row.state for row in connection.execute(of_topics)},
        )


class SmallFiles:
    """Compares the small files of an archive, and puts them right.

    Parameters
    ----------
    database, store
        The archive.
    pool
        Reads ahead.

    """

    def __init__(self, database: Database, store: Store, pool: Executor) -> None:
        self._database = database
        self._store = store
        self._pool = pool

    def compare(self, folder: str, topic_folders: Iterable[str], young_ns: int) -> Compared:
        """Find what differs in the folders of a sequence and of its topics.

        Parameters
        ----------
        folder
            The sequence's.
        topic_folders
            Those of topics that the catalog knows.
        young_ns
            Age in ns up to which something may be about to get its entry.

        """
        homes = [f'{folder}/sessions']
        homes += [f'{home}/notices' for home in (folder, *topic_folders)]
        # Listed first, looked up after: what is recorded meanwhile is known.
        listed = {
            key
            for keys in ahead(self._pool, lambda home: list(self._store.keys(home)), homes)
            for key in keys
        }
        with self._database.read() as connection:
            entries = _Entries.read(connection, folder)
            strange = sorted(listed - entries.sessions.keys() - entries.notices.keys())
            names = [key.removesuffix('.json') for key in strange]
            waiting = scheduled(connection, names)
            oldest = now_ns(connection) - young_ns
        compared = Compared()
        for name in names:
            made = ulid_time_ns(name.rpartition('/')[2])
            if name in waiting or made is None or made > oldest:
                continue
            lost = '/sessions/' in name and self._is_lost(name)
            (compared.unexplained if lost else compared.abandoned).append(name)
        doubtful = [*entries.sessions, *(entries.notices.keys() - listed)]
        outdated = ahead(self._pool, partial(self._is_outdated, entries), doubtful)
        compared.outdated = [key for key, found in zip(doubtful, outdated, strict=True) if found]
        return compared

    def mend(self, folder: str, keys: Collection[str]) -> list[str]:
        """Store what the catalog says where it is still outdated; return those keys.

        Parameters
        ----------
        folder
            The sequence's.
        keys
            What :meth:`compare` found.

        """
        with self._database.write() as connection:
            # Whoever finalizes, notifies or purges is done then, or sees what is stored here.
            named = sa.select(sequences.c.id).where(sequences.c.folder == folder)
            lock_sequences(connection, named, Lock.ALONE)
            entries = _Entries.read(connection, folder)
            mended = [key for key in keys if self._is_outdated(entries, key)]
            for key in mended:
                if key in entries.sessions:
                    row = entries.sessions[key]
                    write_session_manifest(connection, self._store, row, row.completed_at_ns)
                else:
                    row = entries.notices[key]
                    notice = StoredNotice(row.ulid, row.type, row.message, row.created_at_ns)
                    write_notice(self._store, row.home, notice)
        return mended

    def _is_lost(self, session: str) -> bool:
        """Whether a manifest without an entry says what only the loss of its entry explains."""
        if was_deleted(self._store, session):
            return False
        try:
            manifest = read_manifest(self._store, f'{session}.json', StoredSession)
        except NotFoundError:
            return False
        except DataLossError:
            return True
        return manifest.completed_at_ns is not None

    def _is_outdated(self, entries: _Entries, key: str) -> bool:
        if key in entries.notices:
            return not is_stored(self._store, key)
        row = entries.sessions.get(key)
        if row is None:
            return False
        try:
            stored = read_manifest(self._store, key, StoredSession)
        except (NotFoundError, DataLossError):
            return True
        if stored == as_in_catalog(stored, row):
            return False
        more = [
            topic
            for topic in stored.topics
            if entries.topics.get(topic.folder) != topic.state
            and not was_deleted(self._store, topic.folder)
        ]
        if row.completed_at_ns is None and more:
            _log.warning(
                '%s is kept: it finalizes the session with the topic %s, of which the catalog '
                'knows less; `mosaicod rebuild` brings back what a catalog has lost',
                key,
                more[0].path,
            )
            return False
        return True
