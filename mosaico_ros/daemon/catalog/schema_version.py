"""Bringing a catalog's tables to the version that this code needs.

The version is read by plain SQL; Alembic is imported only when it differs, so that a daemon
over a current catalog starts without it. A new catalog is created from the table definitions
and stamped; a test holds that equal to what the migrations give.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mosaico_ros.daemon.catalog import tables
from mosaico_ros.daemon.catalog.dialects import queue_writers
from mosaico_ros.protocol.errors import FailedPreconditionError

__all__ = ['HEAD', 'ensure_current', 'migrate']

#: The revision whose schema equals :mod:`mosaico_ros.daemon.catalog.tables`.
HEAD = '0004'

_version = sa.Table(
    'alembic_version', sa.MetaData(), sa.Column('version_num', sa.String(32), primary_key=True)
)


def ensure_current(connection: Connection) -> None:
    """Create or migrate the tables, inside the caller's write transaction.

    Raises
    ------
    FailedPreconditionError
        If the catalog was written by a newer release.

    """
    queue_writers(connection, 'schema')
    found = _stored_version(connection)
    if found == HEAD:
        return
    if found is None:
        tables.metadata.create_all(connection, checkfirst=False)
        _version.create(connection, checkfirst=True)
        connection.execute(_version.insert().values(version_num=HEAD))
        return
    migrate(connection, found)


def migrate(connection: Connection, found: str | None) -> None:
    """Run the migrations from revision `found` (`None`: an empty database) to :data:`HEAD`."""
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option('script_location', 'mosaico_ros.daemon.catalog:migrations')
    scripts = ScriptDirectory.from_config(config)
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        raise FailedPreconditionError(
            f'The catalog has schema version {found}, this release knows up to {HEAD}',
            remedy='Use the newer release that wrote it.',
        )
    with EnvironmentContext(
        config, scripts, fn=lambda revision, _context: scripts._upgrade_revs(HEAD, revision)
    ) as environment:
        environment.configure(connection=connection, target_metadata=tables.metadata)
        environment.run_migrations()


def _stored_version(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table(_version.name):
        return None
    return connection.execute(sa.select(_version.c.version_num)).scalar_one_or_none()
