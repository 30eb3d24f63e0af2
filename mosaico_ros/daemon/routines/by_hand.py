"""Routines that somebody runs by hand, beside the daemons of an archive or without any."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.identity import check_identity
from mosaico_ros.daemon.leases import Instance
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.daemon.store.base import Store
from mosaico_ros.daemon.store.opening import open_store
from mosaico_ros.protocol.errors import FailedPreconditionError

__all__ = ['Opened', 'opened']


@dataclass(frozen=True)
class Opened:
    """An archive, and who works on it."""

    database: Database
    store: Store
    instance_id: int


@contextmanager
def opened(settings: Settings) -> Iterator[Opened]:
    """Open an existing archive and count as one of its daemons, for as long as the block runs.

    Raises
    ------
    FailedPreconditionError
        If there is no catalog, or it does not belong to the store.

    """
    catalog = settings.data_dir / 'catalog.db'
    if not settings.db_url and not catalog.exists():
        raise FailedPreconditionError(
            f'There is no catalog {catalog}', remedy='Name it with --data-dir or --db-url.'
        )
    with ExitStack() as stack:
        store = open_store(settings)
        stack.callback(store.close)
        database = Database(
            settings.database_url, settings.max_db_connections, bool(settings.webhook_url)
        )
        stack.callback(database.close)
        check_identity(database, store)
        instance = Instance(database, store, settings.lease_seconds)
        stack.callback(instance.close)
        instance.start()
        yield Opened(database, store, instance.id)
