"""Opening the catalog's database, and transactions on it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from mosaico_ros.daemon.catalog.dialects import postgres_engines, sqlite_engines, translated
from mosaico_ros.daemon.catalog.schema_version import ensure_current
from mosaico_ros.daemon.process import metrics
from mosaico_ros.durable import make_folder
from mosaico_ros.protocol.errors import (
    InvalidArgumentError,
    ResourceExhaustedError,
    UnavailableError,
)

__all__ = ['Database']


class Database:
    """Connections to the catalog, its schema brought up to date.

    Parameters
    ----------
    url
        ``sqlite:///path/to/file`` or ``postgresql://user:password@host/name``.
    max_connections
        Connections to PostgreSQL at once; readers and writers share them out.
    tells_news
        Whether somebody wants to hear of what changes; see
        :mod:`mosaico_ros.daemon.catalog.events`.

    Raises
    ------
    InvalidArgumentError
        If the URL names another kind of database, or the driver is not installed.
    UnavailableError
        If the database cannot be opened.
    FailedPreconditionError
        If a newer release has written the catalog, or it cannot hold Unicode.

    """

    def __init__(self, url: str, max_connections: int = 10, tells_news: bool = False) -> None:
        parsed = _parsed(url)
        self.is_sqlite = parsed.get_backend_name() == 'sqlite'
        self._file = str(parsed.database)
        self._write_lock = threading.Lock()
        #: Set when a transaction of this process has left work for the routines.
        self.has_events = threading.Event()
        try:
            if self.is_sqlite:
                make_folder(Path(self._file).parent)
                self._reader, self._writer = sqlite_engines(parsed)
            else:
                self._reader, self._writer = postgres_engines(parsed, max_connections)
            self._writer = self._writer.execution_options(tells_news=tells_news)
            with self._writer.begin() as connection:
                ensure_current(connection)
        except (OperationalError, OSError) as error:
            reason = error.orig if isinstance(error, OperationalError) else error.strerror
            raise UnavailableError(
                f'The catalog {parsed.set(query={})} cannot be opened: '
                f'{" ".join(str(reason).split())}',
                remedy='Check that the folder or server exists and may be written to.',
            ) from error
        except DBAPIError as error:
            raise translated(error) from error

    def check(self) -> None:
        """Make sure that the catalog is still there.

        Raises
        ------
        UnavailableError
            The file is gone: what open connections still write would go with it.

        """
        if self.is_sqlite and not Path(self._file).exists():
            raise UnavailableError(f'The catalog {self._file} was removed')

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection inside a read transaction: one consistent view."""
        with (
            _translated(),
            self._reader.connect() as connection,
            metrics.CATALOG_CONNECTIONS.held('reading'),
        ):
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection whose changes are durable when the block ends without error."""
        # Waiting for a lock of our own wakes at once; SQLite's busy handler polls.
        turn = self._write_lock if self.is_sqlite else nullcontext()
        with (
            turn,
            _translated(),
            self._writer.begin() as connection,
            metrics.CATALOG_CONNECTIONS.held('writing'),
        ):
            yield connection
            has_events = connection.info.pop('has_events', False)
        if has_events:
            self.has_events.set()

    def close(self) -> None:
        """Close all connections."""
        self._reader.dispose()
        self._writer.dispose()


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
        file = Path(str(parsed.database)).expanduser()
        return parsed.set(drivername='sqlite', database=str(file))
    if backend in ('postgresql', 'postgres'):
        return parsed.set(drivername='postgresql')
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
    except DBAPIError as error:
        raise translated(error) from error
    except sa.exc.TimeoutError as error:
        raise ResourceExhaustedError(
            'No connection to the catalog has become free',
            remedy='Try again later, or raise MOSAICOD_MAX_DB_CONNECTIONS.',
        ) from error
