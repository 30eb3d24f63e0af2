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

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import sqlalchemy as sa

from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.dialects import advance_ids, queue_writers
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
from mosaico_ros.daemon.leases import Instance
from mosaico_ros.daemon.routines.restoring import Restorer
from mosaico_ros.daemon.routines.scanning import (
    WORKERS,
    Buried,
    FoundSequence,
    ahead,
)
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.daemon.store.base import Store
from mosaico_ros.daemon.store.opening import open_existing_store
from mosaico_ros.protocol.errors import FailedPreconditionError

__all__ = ['RebuildReport', 'rebuild']

#: Told how many topics are done, and of how many.
Progress = Callable[[int, int], None]


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
                return _fill(database, store, instance.id, progress)
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


def _fill(database: Database, store: Store, instance_id: int, progress: Progress) -> RebuildReport:
    with ThreadPoolExecutor(WORKERS, thread_name_prefix='rebuild') as pool:
        buried = Buried(store, pool)
        restorer = Restorer(database, store, pool, buried, instance_id)
        folders = [name for name in store.folders('sequences') if not buried.holds(name)]

        def count_topics(folder: str) -> int:
            return sum(not buried.holds(name) for name in store.folders(f'{folder}/topics'))

        done, total = 0, sum(ahead(pool, count_topics, folders))
        progress(done, total)

        def advance(count: int) -> None:
            nonlocal done
            done += count
            progress(done, total)

        for found in ahead(pool, partial(FoundSequence.read, store, buried=buried), folders):
            restorer.restore(found, advance)
    report = RebuildReport(
        interrupted=restorer.interrupted, faults=restorer.faults, remarks=restorer.remarks
    )
    with database.write() as connection:
        for table in (sequences, sessions, topics):
            # Whatever could not be read may have had the next ones.
            advance_ids(connection, table, restorer.highest[table.name] + len(report.faults))
        for table in (sequences, sessions, topics, chunks, notices):
            count = sa.select(sa.func.count()).select_from(table)
            setattr(report, table.name, connection.execute(count).scalar_one())
        connection.execute(archive.update().values(rebuild_began_ns=None))
    return report
