"""That a catalog and a store belong together: both carry the id of their archive."""

from __future__ import annotations

import time

import sqlalchemy as sa

from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.dialects import queue_writers
from mosaico_ros.daemon.catalog.tables import archive
from mosaico_ros.daemon.store.base import Store, store_id_of
from mosaico_ros.protocol.errors import FailedPreconditionError, NotFoundError

__all__ = ['check_identity', 'recheck_identity']


def check_identity(database: Database, store: Store) -> None:
    """Check that a catalog belongs to a store; a new one does from now on.

    Raises
    ------
    FailedPreconditionError
        If it belongs to another store, is new over a store that holds sequences, or is being
        rebuilt.

    """
    with database.write() as connection:
        queue_writers(connection, 'identity')
        row = connection.execute(sa.select(archive)).one_or_none()
        if row is None:
            if next(store.folders('sequences'), None) is not None:
                raise FailedPreconditionError(
                    'The catalog is new, but the store holds sequences',
                    remedy='Check the settings of both. If the catalog is lost, run '
                    '"mosaicod rebuild".',
                )
            connection.execute(
                archive.insert().values(id=1, store_id=store.id, created_at_ns=time.time_ns())
            )
        elif row.store_id != store.id:
            raise FailedPreconditionError(
                f'The catalog belongs to the store {row.store_id}, not to {store.id}',
                remedy='Check the settings of catalog and store; they must be of one archive.',
            )
        elif row.rebuild_began_ns is not None:
            raise _unfinished()


def recheck_identity(database: Database, store: Store) -> None:
    """Check that catalog and store still are what they were when they were opened.

    Both may have been put in another's place, or emptied, under a running daemon.

    Raises
    ------
    FailedPreconditionError
        If they do not belong together (any more).

    """
    try:
        with store.open('store.json') as file:
            found = store_id_of(file.read(), 'The store')
    except NotFoundError:
        found = 'nobody'
    with database.read() as connection:
        row = connection.execute(sa.select(archive)).one_or_none()
    known = 'nobody' if row is None else row.store_id
    if not known == found == store.id:
        raise FailedPreconditionError(
            f'The catalog belongs to the store {known}, the store is {found}',
            remedy='One of them was exchanged under the running daemon; restart it.',
        )
    if row is not None and row.rebuild_began_ns is not None:
        raise _unfinished()


def _unfinished() -> FailedPreconditionError:
    return FailedPreconditionError(
        'The catalog is being rebuilt from its store, or that was broken off',
        remedy='Wait for its end, or run "mosaicod rebuild" again.',
    )
