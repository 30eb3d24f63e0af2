"""Archives to work on, and copies of them at a moment."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
from disk import copy_living
from sqlalchemy.engine import make_url

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.catalog.tables import metadata
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.daemon.store.s3 import S3Store

__all__ = ['Storage']


class Storage:
    """Where archives live that are worked on and examined.

    Parameters
    ----------
    folder
        Everything local goes there.
    remote
        The settings of PostgreSQL and S3, and ``objects``, the folder that the S3 server
        serves; `None` for SQLite and a folder.

    """

    def __init__(self, folder: Path, remote: dict[str, str] | None) -> None:
        self._folder = folder
        self._remote = dict(remote or {})
        self._served = Path(self._remote.pop('objects', ''))
        self.remote = bool(remote)
        self.work = folder / 'work'
        #: What the world has told.
        self.facts = folder / 'facts'
        self._base = folder / 'base'
        if remote:
            self._client = S3Store(
                remote['store_bucket'],
                endpoint=remote['store_endpoint'],
                access_key=remote['store_access_key'],
                secret_key=remote['store_secret_key'],
            ).client
        # Routines only as operations: what takes place must be the same each time.
        self.settings = Settings(
            data_dir=self._base,
            max_concurrent_writes=1,
            cleanup_time_interval=0,
            optimizer_time_interval=0,
            **self._remote,
        )
        child = os.fork()
        if child == 0:
            archive = Archive(self.settings)
            archive.start()
            archive.close()
            os._exit(0)
        os.waitpid(child, 0)

    def begin(self) -> None:
        """Make the archive to work on."""
        changes: dict[str, Any] = {'data_dir': self.work / 'data'}
        self.work.mkdir()
        if self.remote:
            changes |= self._clone(self._remote['db_url'], self._remote['store_bucket'])
        else:
            shutil.copytree(self._base, self.work / 'data')
        self.settings = replace(self.settings, **changes)
        self._copied = self.settings

    def copy_of(self, variant: str, step: int) -> Path:
        """Return the folder of what is left before a step."""
        return self._folder / f'{variant} {step}'

    def digest_of(self, variant: str, step: int) -> bytes:
        """Return a digest of all that is left but what was committed to the catalog."""
        digest = hashlib.sha256()
        roots = [self.work if self.remote else self.copy_of(variant, step)]
        if self.remote:
            roots.append(self._served / self.settings.store_bucket)
        found = [(path.relative_to(root), path) for root in roots for path in root.rglob('*')]
        for name, path in sorted(found):
            digest.update(f'{name}\0'.encode())
            if path.is_file() and not path.name.startswith('catalog.db'):
                digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.digest()

    def copy_living(self, step: int) -> None:
        """Copy what others see of the archive: what is left if its process is killed."""
        copy_living(self.work, self.copy_of('killed', step))
        if self.remote:
            changes = self._clone(self.settings.db_url, self.settings.store_bucket)
            self._copied = replace(self.settings, **changes)

    def remove_copies(self, step: int) -> None:
        """Remove what is left of the copies made at a step."""
        for variant in ('killed', 'power lost'):
            shutil.rmtree(self.copy_of(variant, step), ignore_errors=True)
        if self._copied is not self.settings:
            self._drop(self._copied)
            self._copied = self.settings

    def settings_of(self, variant: str, step: int) -> Settings:
        """Return the settings to open a copy with."""
        return replace(self._copied, data_dir=self.copy_of(variant, step) / 'data')

    def objects_of(self, variant: str, step: int) -> Path:
        """Return the folder in which the objects of a copy are files."""
        if self.remote:
            return self._served / self._copied.store_bucket
        return self.settings_of(variant, step).store_dir

    def close(self) -> None:
        """Remove what is left."""
        if self.remote:
            self._drop(self.settings)
        shutil.rmtree(self._folder)

    def _clone(self, db_url: str, store_bucket: str) -> dict[str, str]:
        """Copy a database and a bucket that may be in use; return the settings that changed."""
        name = f'point_{uuid.uuid4().hex}'
        empty = make_url(self._remote['db_url'])
        self._execute(f'CREATE DATABASE {name} TEMPLATE {empty.database}')
        url = empty.set(database=name).render_as_string(hide_password=False)
        if db_url != self._remote['db_url']:
            _copy_rows(db_url, url)
        bucket = name.replace('_', '-')
        self._client.create_bucket(Bucket=bucket)
        objects = self._served / store_bucket
        for path in (path for path in objects.rglob('*') if path.is_file()):
            key = str(path.relative_to(objects))
            self._client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
        return {'db_url': url, 'store_bucket': bucket}

    def _drop(self, settings: Settings) -> None:
        self._execute(f'DROP DATABASE {make_url(settings.db_url).database} WITH (FORCE)')

    def _execute(self, statement: str) -> None:
        server = make_url(self._remote['db_url']).set(database='postgres')
        with psycopg.connect(
            server.render_as_string(hide_password=False), autocommit=True
        ) as connection:
            connection.execute(statement)


def _copy_rows(source: str, target: str) -> None:
    """Make a database with the same tables hold what was committed to another one."""
    names = [table.name for table in metadata.sorted_tables]
    with psycopg.connect(source) as old, psycopg.connect(target) as new:
        old.execute("SET LOCAL lock_timeout = '10s'")
        old.execute('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ')
        new.execute('SET LOCAL session_replication_role = replica')  # in any order
        new.execute(f'TRUNCATE {", ".join(names)}')
        for name in names:
            with (
                old.cursor().copy(f'COPY {name} TO STDOUT') as rows,
                new.cursor().copy(f'COPY {name} FROM STDIN') as copied,
            ):
                for row in rows:
                    copied.write(row)
        for name, last in old.execute('SELECT sequencename, last_value FROM pg_sequences'):
            if last is not None:
                new.execute('SELECT setval(%s::regclass, %s)', (name, last))
