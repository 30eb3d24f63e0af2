"""The catalog's database: versions, settings, and PostgreSQL where it can be had."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from mosaico_ros.daemon.catalog import schema_version
from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.tables import metadata, sequences
from mosaico_ros.protocol.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    UnavailableError,
)
from mosaico_ros.protocol.locators import SequenceLocator
from mosaico_ros.protocol.query import parse

SCHEMA = pa.schema(
    [pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64()), ('t', pa.string())]
)


def described(connection: sa.Connection) -> dict[str, list[str]]:
    """Return the words that define every table and index, in no order."""
    rows = connection.exec_driver_sql(
        "select name, sql from sqlite_master where sql is not null and name != 'alembic_version'"
    )
    return {name: sorted(re.findall(r'\w+', sql)) for name, sql in rows}


def test_new_catalog_equals_the_migrated_one(tmp_path):
    database = Database(f'sqlite:///{tmp_path}/new.db')
    with database.read() as connection:
        new = described(connection)
    migrated = sa.create_engine(f'sqlite:///{tmp_path}/migrated.db')
    with migrated.begin() as connection:
        schema_version.migrate(connection, None)
        assert schema_version._stored_version(connection) == schema_version.HEAD
        old = described(connection)
    assert set(metadata.tables) < set(new)
    assert new == old
    database.close()


def test_catalog_of_an_older_release_is_migrated(tmp_path, monkeypatch):
    url = f'sqlite:///{tmp_path}/catalog.db'
    row = {'name': 'a', 'folder': 'f', 'created_at_ns': 1, 'user_metadata': '{}'}
    with monkeypatch.context() as past:
        past.setattr(schema_version, 'HEAD', '0001')
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            schema_version.migrate(connection, None)
            connection.execute(sequences.insert().values(row))
            assert 'api_keys' not in described(connection)
        engine.dispose()
    database = Database(url)
    with database.read() as connection:
        assert 'api_keys' in described(connection)
        assert connection.execute(sa.select(sequences.c.name)).scalars().all() == ['a']
        assert schema_version._stored_version(connection) == schema_version.HEAD
    database.close()


def test_current_catalog_is_opened_without_alembic(tmp_path):
    url = f'sqlite:///{tmp_path}/catalog.db'
    Database(url).close()
    code = (
        'import sys; from mosaico_ros.daemon.catalog.database import Database; '
        f'Database({url!r}).close(); print("alembic" in sys.modules)'
    )
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == 'False'


def test_catalog_of_a_newer_release_is_refused(tmp_path):
    url = f'sqlite:///{tmp_path}/catalog.db'
    database = Database(url)
    with database.write() as connection:
        connection.execute(sa.text("update alembic_version set version_num = '9999'"))
    database.close()
    with pytest.raises(FailedPreconditionError, match=r'9999.*newer release'):
        Database(url)


def test_daemons_that_start_at_once_share_one_new_catalog(tmp_path):
    url = f'sqlite:///{tmp_path}/catalog.db'
    errors: list[Exception] = []

    def open_it() -> None:
        try:
            Database(url).close()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_sqlite_is_opened_for_durability(tmp_path):
    database = Database(f'sqlite:///{tmp_path}/catalog.db')
    with database.write() as connection:
        pragma = {
            name: connection.exec_driver_sql(f'pragma {name}').scalar_one()
            for name in ('journal_mode', 'synchronous', 'foreign_keys')
        }
        assert pragma == {'journal_mode': 'wal', 'synchronous': 2, 'foreign_keys': 1}
    database.close()


def test_writer_that_fails_leaves_nothing(tmp_path):
    database = Database(f'sqlite:///{tmp_path}/catalog.db')
    row = {'name': 'a', 'folder': 'f', 'created_at_ns': 1, 'user_metadata': '{}'}
    with pytest.raises(sa.exc.IntegrityError), database.write() as connection:  # noqa: PT012
        connection.execute(sequences.insert().values(row))
        connection.execute(sequences.insert().values(row))
    with database.read() as connection:
        assert connection.execute(sa.select(sequences)).all() == []
    database.close()


@pytest.mark.parametrize(
    ('url', 'error', 'why'),
    [
        ('mysql://host/x', InvalidArgumentError, 'mysql'),
        ('no url at all', InvalidArgumentError, 'cannot be read'),
        ('sqlite://', InvalidArgumentError, 'memory'),
        ('sqlite:////proc/nowhere/x.db', (UnavailableError, OSError), 'proc'),
    ],
)
def test_unusable_urls_are_explained(url, error, why):
    with pytest.raises(error, match=why):
        Database(url)


def test_password_is_not_shown_in_errors():
    pytest.importorskip('psycopg', reason='psycopg is not installed')
    with pytest.raises(UnavailableError) as caught:
        Database('postgresql://me:secret@127.0.0.1:1/x')
    assert 'secret' not in str(caught.value)


@pytest.fixture(scope='module')
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a PostgreSQL server of our own, plain ``postgresql://``."""
    pytest.importorskip('psycopg', reason='psycopg is not installed')
    pgserver = pytest.importorskip('pgserver', reason='pgserver is not installed')
    try:
        server = pgserver.get_server(tmp_path_factory.mktemp('postgres'))
    except Exception as error:
        pytest.skip(f'PostgreSQL does not start here: {error}')
    yield server.get_uri()
    server.cleanup()


def test_the_same_code_runs_on_postgresql(postgres_url, filled, open_archive, tmp_path: Path):
    filled.archive.close()
    filled.archive = open_archive(db_url=postgres_url, data_dir=tmp_path / 'pg')
    session = filled.session(metadata={'site': {'hall': 'B'}})
    data = pa.table([[3, 1, 2], [0.5, 9.0, 1.0], ['a', 'b\0c', 'ü']], schema=SCHEMA)
    locator = filled.write([data, data.slice(0, 1)], session=session)
    filled.archive.finalize_session(session)
    with pytest.raises(AlreadyExistsError):
        filled.archive.create_sequence(SequenceLocator('run'), {})
    with pytest.raises(AlreadyExistsError):
        filled.write(data)
    assert filled.read(locator, 2, 4)['timestamp_ns'].to_pylist() == [2, 3, 3]
    for query, hit in (
        ({'ontology': {'IMU.x': {'$gt': 5}}}, True),
        ({'ontology': {'IMU.x': {'$gt': 5}, 'IMU.timestamp_ns': {'$geq': 2}}}, False),
        ({'ontology': {'IMU.t': {'$match': 'b*'}}}, True),
        ({'ontology': {'IMU.t': {'$gt': 'zz'}}}, True),
        ({'sequence': {'user_metadata': {'site.hall': {'$eq': 'B'}}}}, True),
    ):
        assert bool(filled.archive.query(parse(query))) is hit, query
    filled.archive.notify(locator, 'error', 'x')
    upload_locator, uuid = filled.create('run/open')
    upload = filled.archive.begin_upload(upload_locator, uuid, SCHEMA)
    upload.append(data.to_batches()[0])
    filled.archive.close()
    filled.archive = open_archive(db_url=postgres_url, data_dir=tmp_path / 'pg')
    assert filled.archive.describe_topic(upload_locator).interrupted
    filled.archive.delete_sequence(SequenceLocator('run'))
    assert filled.archive.list_sequences() == []
