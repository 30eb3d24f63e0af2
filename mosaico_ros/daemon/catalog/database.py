"""Opening the catalog's database, and transactions on it.

One code for SQLite and PostgreSQL. SQLite runs in WAL mode with ``synchronous=FULL``: a
committed transaction survives the loss of power. Its writers take the write lock when they
begin (``BEGIN IMMEDIATE``), so that two of them queue instead of failing half way.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from mosaico_ros.daemon.catalog.schema_version import ensure_current
from mosaico_ros.protocol.errors import InternalError, InvalidArgumentError, UnavailableError

__all__ = ['Database']

_BUSY_TIMEOUT_MS = 30_000


class Database:
    """Connections to the catalog, its schema brought up to date.

    Parameters
    ----------
    url
        ``sqlite:///path/to/file`` or ``postgresql://user:password@host/name``.

    Raises
    ------
    InvalidArgumentError
        If the URL names another kind of database, or the driver is not installed.
    UnavailableError
        If the database cannot be opened.
    FailedPreconditionError
        If a newer release has written the catalog.

    """

    def __init__(self, url: str) -> None:
        parsed = _parsed(url)
        self.is_sqlite = parsed.get_backend_name() == 'sqlite'
        self._write_lock = threading.Lock()
        try:
            if self.is_sqlite:
                self._reader = self._sqlite_engine(parsed, 'BEGIN')
                self._writer = self._sqlite_engine(parsed, 'BEGIN IMMEDIATE')
            else:
                self._reader = sa.create_engine(
                    parsed, pool_size=16, max_overflow=32, pool_pre_ping=True
                )
                self._writer = self._reader
            with self.write() as connection:
                ensure_current(connection)
        except OperationalError as error:
            raise UnavailableError(
                f'The catalog {parsed.render_as_string()} cannot be opened: {error.orig}',
                remedy='Check that the folder or server exists and may be written to.',
            ) from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection inside a read transaction: one consistent view."""
        with _translated(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection whose changes are durable when the block ends without error."""
        if self.is_sqlite:
            # Waiting for a lock of our own wakes at once; SQLite's busy handler polls.
            with self._write_lock, _translated(), self._writer.begin() as connection:
                yield connection
        else:
            with _translated(), self._writer.begin() as connection:
                yield connection

    def close(self) -> None:
        """Close all connections."""
        self._reader.dispose()
        self._writer.dispose()

    def _sqlite_engine(self, url: sa.URL, begin: str) -> Engine:
        engine = sa.create_engine(
            url,
            poolclass=sa.QueuePool,
            pool_size=1 if begin == 'BEGIN IMMEDIATE' else 16,
            max_overflow=-1,
            connect_args={'check_same_thread': False, 'timeout': _BUSY_TIMEOUT_MS / 1000},
        )

        @event.listens_for(engine, 'connect')
        def _configure(dbapi: Any, _record: Any) -> None:
            # The driver's own transaction control would commit behind our back.
            dbapi.isolation_level = None
            for pragma in (
                'journal_mode=WAL',
                'synchronous=FULL',
                'foreign_keys=ON',
                f'busy_timeout={_BUSY_TIMEOUT_MS}',
                'cache_size=-16384',
                'mmap_size=268435456',
                'temp_store=MEMORY',
            ):
                dbapi.execute(f'PRAGMA {pragma}')

        @event.listens_for(engine, 'begin')
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql(begin)

        return engine


def _parsed(url: str) -> sa.URL:
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError as error:
        raise InvalidArgumentError(
            f'The catalog URL {url!r} cannot be read',
            remedy='Write sqlite:///path/to/file or postgresql://user:password@host/name.',
        ) from error
    backend = parsed.get_backend_name()
    if backend == 'sqlite':
        if parsed.database in (None, '', ':memory:'):
            raise InvalidArgumentError(
                'The catalog cannot live in memory', remedy='Give sqlite:/// a file path.'
            )
        Path(str(parsed.database)).expanduser().parent.mkdir(parents=True, exist_ok=True)
        return parsed.set(
            drivername='sqlite', database=str(Path(str(parsed.database)).expanduser())
        )
    if backend in ('postgresql', 'postgres'):
        try:
            import psycopg  # noqa: F401
        except ImportError as error:
            raise InvalidArgumentError(
                'A PostgreSQL catalog needs the package psycopg',
                remedy="Install it with: pip install 'mosaico_ros[postgres]'",
            ) from error
        return parsed.set(drivername='postgresql+psycopg')
    raise InvalidArgumentError(
        f'The catalog URL names {backend!r}', remedy='Only sqlite and postgresql are supported.'
    )


@contextmanager
def _translated() -> Iterator[None]:
    """Turn faults of the database into errors that name it; leave constraint errors alone."""
    try:
        yield
    except sa.exc.IntegrityError:
        raise
    except OperationalError as error:
        raise UnavailableError(
            f'The catalog does not answer: {error.orig}',
            remedy='Check free space and that no other program holds it locked.',
        ) from error
    except DBAPIError as error:
        raise InternalError(f'The catalog refused a statement: {error.orig}') from error
