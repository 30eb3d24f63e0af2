"""A new archive for each point, made by copying an empty one."""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.settings import Settings

__all__ = ['Storage']


class Storage:
    """Where archives live that are stopped.

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
        #: What a loss of power leaves of it.
        self.durable = folder / 'durable'
        self._base = folder / 'base'
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

    def begin_point(self) -> None:
        """Make the archive of the next point."""
        self._changes: dict[str, Any] = {'data_dir': self.work / 'data'}
        if self.remote:
            self.work.mkdir()
            self._clone()
        else:
            shutil.copytree(self._base, self.work / 'data')
        self.settings = replace(self.settings, **self._changes)

    def end_point(self) -> None:
        """Remove the archive."""
        shutil.rmtree(self.work)
        shutil.rmtree(self.durable, ignore_errors=True)
        if self.remote:
            self._execute(f'DROP DATABASE {self._database} WITH (FORCE)')

    def settings_of(self, variant: str) -> Settings:
        """Return the settings to open what is left with."""
        work = self.durable if variant == 'power lost' else self.work
        return replace(self.settings, data_dir=work / 'data')

    def objects_of(self, variant: str) -> Path:
        """Return the folder in which the objects that are left are files."""
        if self.remote:
            return self._served / self.settings.store_bucket
        return self.settings_of(variant).store_dir

    def close(self) -> None:
        """Remove what is left."""
        shutil.rmtree(self._folder)

    def _clone(self) -> None:
        import boto3
        from sqlalchemy.engine import make_url

        self._database = f'point_{uuid.uuid4().hex}'
        source = make_url(self._remote['db_url'])
        self._execute(f'CREATE DATABASE {self._database} TEMPLATE {source.database}')
        url = source.set(database=self._database)
        bucket = self._database.replace('_', '-')
        client = boto3.client(
            's3',
            endpoint_url=self._remote['store_endpoint'],
            aws_access_key_id=self._remote['store_access_key'],
            aws_secret_access_key=self._remote['store_secret_key'],
            region_name='us-east-1',
        )
        client.create_bucket(Bucket=bucket)
        base = self._served / self._remote['store_bucket']
        for path in (path for path in base.rglob('*') if path.is_file()):
            client.put_object(
                Bucket=bucket, Key=str(path.relative_to(base)), Body=path.read_bytes()
            )
        client.close()
        self._changes |= {
            'db_url': url.render_as_string(hide_password=False),
            'store_bucket': bucket,
        }

    def _execute(self, statement: str) -> None:
        import psycopg
        from sqlalchemy.engine import make_url

        server = make_url(self._remote['db_url']).set(database='postgres')
        with psycopg.connect(
            server.render_as_string(hide_password=False), autocommit=True
        ) as connection:
            connection.execute(statement)
