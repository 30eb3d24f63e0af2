"""Where SQLite and PostgreSQL differ: connections, queues of writers, clocks, error texts.

SQLite runs in WAL mode with ``synchronous=FULL``: a committed transaction survives the loss of
power. Its writers take the write lock when they begin (``BEGIN IMMEDIATE``), so that two of
them queue instead of failing half way.

PostgreSQL's writers run side by side, READ COMMITTED: what must not change meanwhile is locked
by row (``FOR UPDATE``, which SQLite leaves out), and what has no row yet by name
(:func:`queue_writers`). Readers see one snapshot (REPEATABLE READ, read only). Readers and
writers have connections of their own, so that no heartbeat waits behind slow queries.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from mosaico_ros.protocol.errors import (
    AbortedError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    MosaicoError,
    ResourceExhaustedError,
    UnavailableError,
)

__all__ = [
    'advance_ids',
    'insert_ignore',
    'is_one_of',
    'now_ns',
    'postgres_engines',
    'queue_writers',
    'sqlite_engines',
    'storable',
    'translated',
]

_BUSY_TIMEOUT_MS = 30_000
_POOL_SECONDS = 30
# A server that is gone without a word is noticed after about this long, on both sides: its
# locks must not outlive a daemon whose host has lost power.
_PROBE = {'idle': 20, 'interval': 5, 'count': 4}

#: Names to queue on; any distinct constants.
_QUEUES = {
    'schema': 0x6D6F7361,
    'identity': 0x6D6F7362,
    'fields': 0x6D6F7363,
    'layouts': 0x6D6F7364,
    'runs': 0x6D6F7365,
}


def sqlite_engines(url: sa.URL) -> tuple[Engine, Engine]:
    """Return the engines of readers and of the one writer."""
    return _sqlite_engine(url, 'BEGIN', 16), _sqlite_engine(url, 'BEGIN IMMEDIATE', 1)


def postgres_engines(url: sa.URL, connections: int) -> tuple[Engine, Engine]:
    """Return the engines of readers and writers, which never exceed `connections` together.

    Raises
    ------
    InvalidArgumentError
        If the driver is not installed.
    FailedPreconditionError
        If the database does not hold Unicode text.

    """
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise InvalidArgumentError(
            'A PostgreSQL catalog needs the package psycopg',
            remedy="Install it with: pip install 'mosaico_ros[postgres]'",
        ) from error
    url = url.set(drivername='postgresql+psycopg')
    writers = max(1, connections * 2 // 5)
    reader = _postgres_engine(
        url, connections - writers, isolation_level='REPEATABLE READ', postgresql_readonly=True
    )
    writer = _postgres_engine(url, writers, isolation_level='READ COMMITTED')
    with writer.connect() as connection:
        encoding = connection.exec_driver_sql('SHOW server_encoding').scalar_one()
    if encoding != 'UTF8':
        raise FailedPreconditionError(
            f'The database {url.database} has the encoding {encoding}',
            remedy="Create one with: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0.",
        )
    return reader, writer


def queue_writers(connection: Connection, name: str) -> None:
    """Wait until no other writer is past this point for the same name, until it commits."""
    if connection.dialect.name == 'postgresql':
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_QUEUES[name])))


def insert_ignore(connection: Connection, table: sa.Table) -> Any:
    """Return an insert that leaves rows with a taken key alone."""
    if connection.dialect.name == 'postgresql':
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    return insert(table).on_conflict_do_nothing()


def is_one_of(
    connection: Connection, column: sa.Column[int], ids: Sequence[int]
) -> sa.ColumnElement[bool]:
    """Return the condition that a column has one of many values, given as one parameter."""
    if connection.dialect.name == 'postgresql':
        return column == sa.any_(sa.literal(list(ids), sa.ARRAY(sa.BigInteger)))
    given = sa.func.json_each(json.dumps(list(ids))).table_valued('value')
    return column.in_(sa.select(given.c.value))


def storable(text: str) -> bool:
    """Whether the catalog could hold a text; PostgreSQL cannot even be asked for others."""
    return '\0' not in text


def advance_ids(connection: Connection, table: sa.Table, past: int) -> None:
    """Let no row get an id up to `past` any more, unless it is given one."""
    name = table.name
    if connection.dialect.name == 'postgresql':
        highest = sa.select(sa.func.coalesce(sa.func.max(table.c.id), 0)).scalar_subquery()
        next_id = sa.func.greatest(highest, past) + 1
        counter = sa.func.pg_get_serial_sequence(name, 'id')
        connection.execute(sa.select(sa.func.setval(counter, next_id, False)))
        return
    # Rows that were given an id have moved the counter already.
    given = {'name': name, 'past': past}
    moved = connection.execute(
        sa.text('UPDATE sqlite_sequence SET seq = max(seq, :past) WHERE name = :name'), given
    )
    if not moved.rowcount:
        connection.execute(sa.text('INSERT INTO sqlite_sequence VALUES (:name, :past)'), given)


def now_ns(connection: Connection) -> int:
    """Return the time by the clock that all daemons of the catalog share."""
    if connection.dialect.name != 'postgresql':
        return time.time_ns()
    seconds = connection.exec_driver_sql(
        'SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint'
    ).scalar_one()
    return int(seconds) * 1000


def translated(error: DBAPIError) -> MosaicoError:
    """Return the error to raise for a fault of the database."""
    cause = error.orig
    # SQLSTATE, which PostgreSQL's driver carries; its first two characters are the class.
    state = getattr(cause, 'sqlstate', None) or ''
    if state in ('40001', '40P01'):
        return AbortedError(
            f'The catalog gave up a transaction for another one: {cause}', remedy='Try again.'
        )
    if state.startswith('53'):
        return ResourceExhaustedError(
            f'The catalog is out of resources: {cause}',
            remedy='Free space, or admit more connections than all daemons have together '
            '(MOSAICOD_MAX_DB_CONNECTIONS each).',
        )
    if state.startswith('22') or 'NUL' in str(cause):
        return InvalidArgumentError(f'The catalog cannot hold a value: {cause}')
    if isinstance(error, sa.exc.OperationalError) or error.connection_invalidated:
        return UnavailableError(
            f'The catalog does not answer: {cause}',
            remedy='Check that its server runs and that free space is left, and for SQLite that '
            'no other program holds it locked.',
        )
    return InternalError(f'The catalog refused a statement: {cause}')


def _sqlite_engine(url: sa.URL, begin: str, size: int) -> Engine:
    engine = sa.create_engine(
        url,
        poolclass=sa.QueuePool,
        pool_size=size,
        max_overflow=-1,
        connect_args={'check_same_thread': False, 'timeout': _BUSY_TIMEOUT_MS / 1000},
    )

    @event.listens_for(engine, 'connect')
    def _configure(dbapi: Any, _record: Any) -> None:
        # The driver's own transaction control would commit behind our back.
        dbapi.isolation_level = None
        _enter_wal(dbapi)
        for pragma in (
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


def _enter_wal(dbapi: Any) -> None:
    """Enter WAL mode; when several do so at once on a new file, SQLite does not wait itself."""
    deadline = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            dbapi.execute('PRAGMA journal_mode=WAL')
            return
        except sqlite3.OperationalError as error:
            if 'locked' not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _postgres_engine(url: sa.URL, size: int, **options: Any) -> Engine:
    probe = {f'keepalives_{name}': value for name, value in _PROBE.items()}
    given = {'connect_timeout': 10, 'application_name': 'mosaicod', **probe}
    engine = sa.create_engine(
        url,
        pool_size=size,
        max_overflow=0,
        pool_timeout=_POOL_SECONDS,
        pool_pre_ping=True,
        # What the URL says comes first.
        connect_args={name: value for name, value in given.items() if name not in url.query},
    )

    @event.listens_for(engine, 'connect')
    def _configure(dbapi: Any, _record: Any) -> None:
        with dbapi.cursor() as cursor:
            for name, value in _PROBE.items():
                cursor.execute(f'SET tcp_keepalives_{name} = {value}')
        dbapi.commit()

    return engine.execution_options(**options)
