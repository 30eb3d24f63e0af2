"""The catalog's database: versions, settings, and PostgreSQL where it can be had."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from mosaico_ros.daemon.catalog import schema_version
from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.tables import metadata, sequences
from mosaico_ros.daemon.keys import KeyGate, Keys
from mosaico_ros.protocol.api_keys import Permission
from mosaico_ros.protocol.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    PermissionDeniedError,
    UnavailableError,
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
            # Once, two creations could have the same token.
            again = row | {'name': 'b', 'token': 'again'}
            connection.execute(sequences.insert().values([row | {'token': 'again'}, again]))
            assert 'api_keys' not in described(connection)
        engine.dispose()
    database = Database(url)
    with database.read() as connection:
        assert 'api_keys' in described(connection)
        assert connection.execute(sa.select(sequences.c.name)).scalars().all() == ['a', 'b']
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


def test_folders_of_a_new_catalog_survive_a_loss_of_power(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync

    def noted(descriptor: int) -> None:
        synced.append(os.readlink(f'/proc/self/fd/{descriptor}'))
        fsync(descriptor)

    monkeypatch.setattr(os, 'fsync', noted)
    Database(f'sqlite:///{tmp_path}/some/where/catalog.db').close()
    assert synced == [str(tmp_path), str(tmp_path / 'some')]


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
        ('sqlite:////proc/nowhere/x.db', UnavailableError, 'proc.*cannot be opened'),
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


# -- PostgreSQL ----------------------------------------------------------------------------------


def test_migrations_give_the_same_tables_on_postgresql(postgres):
    def described(url: str) -> dict[str, list[tuple[str, ...]]]:
        engine = sa.create_engine(url.replace('postgresql:', 'postgresql+psycopg:'))
        with engine.connect() as connection:
            columns = connection.exec_driver_sql(
                'select table_name, column_name, data_type, is_nullable, collation_name '
                'from information_schema.columns '
                "where table_schema = current_schema() and table_name != 'alembic_version'"
            ).all()
            indexes = connection.exec_driver_sql(
                "select tablename, regexp_replace(indexdef, 'ON [^ ]+\\.', 'ON ') "
                'from pg_indexes '
                "where schemaname = current_schema() and tablename != 'alembic_version'"
            ).all()
        engine.dispose()
        return {'columns': sorted(map(repr, columns)), 'indexes': sorted(map(repr, indexes))}

    new, migrated = postgres(), postgres()
    Database(new).close()
    engine = sa.create_engine(migrated.replace('postgresql:', 'postgresql+psycopg:'))
    with engine.begin() as connection:
        schema_version.migrate(connection, None)
    engine.dispose()
    assert len(described(new)['columns']) > 50
    assert described(new) == described(migrated)


def test_daemons_that_start_at_once_share_one_new_postgresql_catalog(postgres):
    url = postgres()
    with ThreadPoolExecutor(6) as pool:
        for _ in pool.map(lambda _: Database(url).close(), range(6)):
            pass


def test_postgresql_catalog_of_a_newer_release_is_refused(postgres):
    url = postgres()
    database = Database(url)
    with database.write() as connection:
        connection.execute(sa.text("update alembic_version set version_num = '9999'"))
    database.close()
    with pytest.raises(FailedPreconditionError, match=r'9999.*newer release'):
        Database(url)


def test_connections_stay_within_their_number(postgres):
    database = Database(f'{postgres()}&application_name=counted', 5)
    most = 0

    def use(at: int) -> None:
        nonlocal most
        with database.write() if at % 2 else database.read() as connection:
            connection.exec_driver_sql('select pg_sleep(0.02)')
            found = connection.exec_driver_sql(
                "select count(*) from pg_stat_activity where application_name = 'counted'"
            )
            most = max(most, found.scalar_one())

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(use, range(40)))
    assert most == 5
    database.close()


def test_readers_of_postgresql_see_one_state_and_change_nothing(postgres):
    database = Database(postgres())
    row = {'folder': 'f', 'created_at_ns': 1, 'user_metadata': '{}'}
    with database.read() as reader:
        assert reader.execute(sa.select(sequences.c.name)).all() == []
        with database.write() as connection:
            connection.execute(sequences.insert().values(name='a', **row))
        assert reader.execute(sa.select(sequences.c.name)).all() == []
        with pytest.raises(sa.exc.DBAPIError, match='read-only'):
            reader.execute(sequences.insert().values(name='b', **row))
    with database.read() as reader:
        assert reader.execute(sa.select(sequences.c.name)).scalars().all() == ['a']
    database.close()


def test_missing_driver_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'psycopg', None)
    with pytest.raises(InvalidArgumentError, match=r"pip install 'mosaico_ros\[postgres\]'"):
        Database('postgresql://host/x')


def test_api_keys_on_postgresql(postgres):
    database = Database(postgres())
    keys = Keys(database)
    kept, gone = (keys.create(Permission.WRITE, 'für Ü') for _ in range(2))
    gate = KeyGate(keys)
    gate.admit(kept.reveal(), Permission.WRITE, 'DoPut')
    keys.revoke(gone.fingerprint)
    with pytest.raises(PermissionDeniedError):
        gate.admit(gone.reveal(), Permission.READ, 'DoGet')
    assert [(key.fingerprint, key.description) for key in keys.find_all()] == [
        (kept.fingerprint, 'für Ü')
    ]
    assert keys.purge() == 0
    assert keys.purge(everything=True) == 1
    database.close()
