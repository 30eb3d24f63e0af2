"""Routines and their events, fingerprints of schemas, marks of few values, rebuilding."""

from __future__ import annotations

import pyarrow as pa
import sqlalchemy as sa
from alembic import op

from mosaico_ros.protocol.fingerprint import schema_fingerprint

revision = '0003'
down_revision = '0002'

ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade() -> None:
    """Create the tables of routines; compute the fingerprints of known schemas."""
    op.create_table(
        'runs',
        sa.Column('id', ID, autoincrement=True, nullable=False),
        sa.Column('routine', sa.String(length=32), nullable=False),
        sa.Column('instance_id', ID, nullable=False),
        sa.Column('started_at_ns', sa.BigInteger(), nullable=False),
        sa.Column('ended_at_ns', sa.BigInteger(), nullable=True),
        sa.Column('state', sa.String(length=16), nullable=False),
        sa.Column('outcome', sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint('id'),
        sqlite_autoincrement=True,
    )
    op.create_index('runs_of_routine', 'runs', ['routine', 'id'], unique=False)
    op.create_table(
        'events',
        sa.Column('id', ID, autoincrement=True, nullable=False),
        sa.Column('kind', sa.String(length=32), nullable=False),
        sa.Column('key', sa.Text(), nullable=False),
        sa.Column('payload', sa.Text(), nullable=False),
        sa.Column('created_at_ns', sa.BigInteger(), nullable=False),
        sa.Column('due_at_ns', sa.BigInteger(), nullable=False),
        sa.Column('attempts', sa.Integer(), nullable=False),
        sa.Column('instance_id', ID, nullable=True),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('kind', 'key'),
        sqlite_autoincrement=True,
    )
    op.create_index('events_due', 'events', ['kind', 'due_at_ns'], unique=False)
    op.add_column('archive', sa.Column('rebuild_began_ns', sa.BigInteger(), nullable=True))
    op.add_column(
        'notices', sa.Column('ulid', sa.String(length=26), nullable=False, server_default='')
    )
    op.add_column('topics', sa.Column('optimized_at_ns', sa.BigInteger(), nullable=True))
    op.add_column('stats', sa.Column('marks', sa.BigInteger(), nullable=True))
    op.add_column(
        'removals',
        sa.Column('marked_at_ns', sa.BigInteger(), nullable=False, server_default='0'),
    )
    op.add_column(
        'schemas',
        sa.Column('fingerprint', sa.String(length=10), nullable=False, server_default=''),
    )
    op.create_index('sequences_by_folder', 'sequences', ['folder'], unique=False)
    op.create_index('topics_by_folder', 'topics', ['folder'], unique=False)
    op.add_column('removals', sa.Column('tombstone', sa.Text(), nullable=True))
    op.create_index('removals_by_folder', 'removals', ['folder'], unique=True)
    connection = op.get_bind()
    schemas = sa.table('schemas', sa.column('id'), sa.column('ipc'), sa.column('fingerprint'))
    for number, ipc in connection.execute(sa.select(schemas.c.id, schemas.c.ipc)).all():
        schema = pa.ipc.read_schema(pa.BufferReader(ipc))
        connection.execute(
            schemas.update()
            .where(schemas.c.id == number)
            .values(fingerprint=schema_fingerprint(schema))
        )
