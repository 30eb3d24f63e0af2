"""The first catalog: archive, sequences, sessions, topics, chunks, statistics."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0001'
down_revision = None

# Spelled out here, not taken from the table definitions: those move on, this does not.
ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
TEXT = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        'archive',
        sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('store_id', sa.String(length=36), nullable=False),
        sa.Column('created_at_ns', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('id'),
    )
    op.create_table(
        'fields',
        sa.Column('id', ID, autoincrement=True, nullable=False),
        sa.Column('ontology_tag', TEXT, nullable=False),
        sa.Column('path', TEXT, nullable=False),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('ontology_tag', 'path'),
        sqlite_autoincrement=True,
    )
    op.create_table(
        'instances',
        sa.Column('id', ID, autoincrement=True, nullable=False),
        sa.Column('host', sa.Text(), nullable=False),
        sa.Column('pid', sa.BigInteger(), nullable=False),
        sa.Column('started', sa.Text(), nullable=False),
        sa.Column('heartbeat_ns', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('id'),
        sqlite_autoincrement=True,
    )
    op.create_table(
        'removals',
        sa.Column('id', ID, autoincrement=True, nullable=False),
        sa.Column('folder', sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint('id'),
        sqlite_autoincrement=True,
    )
    op.create_table(
        'schemas',
        sa.Column('id', ID, autoincrement=True, nullable=False),
        sa.Column('digest', sa.String(length=64), nullable=False),
        sa.Column('ipc', sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('digest'),
        sqlite_autoincrement=True,
    )
    op.create_table(
        'sequences',
        sa.Column('id', ID, autoincrement=True, nullable=False),
        sa.Column('name', TEXT, nullable=False),
        sa.Column('folder', sa.Text(), nullable=False),
        sa.Column('created_at_ns', sa.BigInteger(), nullable=False),
        sa.Column('user_metadata', sa.Text(), nullable=False),
        sa.Column('token', sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('name'),
        sqlite_autoincrement=True,
    )
    op.create_table(
        'sessions',
        sa.Column('id', ID, autoincrement=True, nullable=False),
        sa.Column('sequence_id', ID, nullable=False),
        sa.Column('ulid', sa.String(length=26), nullable=False),
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('created_at_ns', sa.BigInteger(), nullable=False),
        sa.Column('completed_at_ns', sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(['sequence_id'], ['sequences.id'], ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('ulid'),
        sa.UniqueConstraint('uuid'),
        sqlite_autoincrement=True,
    )
    op.create_index('sessions_of_sequence', 'sessions', ['sequence_id'], unique=False)
    op.create_table(
        'topics',
        sa.Column('id', ID, autoincrement=True, nullable=False),
        sa.Column('sequence_id', ID, nullable=False),
        sa.Column('session_id', ID, nullable=False),
        sa.Column('path', TEXT, nullable=False),
        sa.Column('uuid', sa.String(length=36), nullable=False),
        sa.Column('folder', sa.Text(), nullable=False),
        sa.Column('ontology_tag', TEXT, nullable=False),
        sa.Column('serialization_format', sa.String(length=16), nullable=False),
        sa.Column('user_metadata', sa.Text(), nullable=False),
        sa.Column('created_at_ns', sa.BigInteger(), nullable=False),
        sa.Column('completed_at_ns', sa.BigInteger(), nullable=True),
        sa.Column('state', sa.String(length=16), nullable=False),
        sa.Column('instance_id', ID, nullable=True),
        sa.Column('fence', sa.BigInteger(), nullable=False),
        sa.Column('schema_id', ID, nullable=True),
        sa.Column('rows', sa.BigInteger(), nullable=False),
        sa.Column('bytes', sa.BigInteger(), nullable=False),
        sa.Column('chunks', sa.BigInteger(), nullable=False),
        sa.Column('t_min', sa.BigInteger(), nullable=True),
        sa.Column('t_max', sa.BigInteger(), nullable=True),
        sa.Column('longest_chunk', sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ['schema_id'],
            ['schemas.id'],
        ),
        sa.ForeignKeyConstraint(['sequence_id'], ['sequences.id'], ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['session_id'], ['sessions.id'], ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('sequence_id', 'path'),
        sa.UniqueConstraint('uuid'),
        sqlite_autoincrement=True,
    )
    op.create_index('topics_in_state', 'topics', ['state', 'instance_id'], unique=False)
    op.create_index('topics_of_session', 'topics', ['session_id'], unique=False)
    op.create_index('topics_of_tag', 'topics', ['ontology_tag', 'schema_id'], unique=False)
    op.create_table(
        'chunks',
        sa.Column('id', ID, autoincrement=True, nullable=False),
        sa.Column('topic_id', ID, nullable=False),
        sa.Column('number', sa.BigInteger(), nullable=False),
        sa.Column('encoding', sa.String(length=16), nullable=False),
        sa.Column('rows', sa.BigInteger(), nullable=False),
        sa.Column('bytes', sa.BigInteger(), nullable=False),
        sa.Column('t_min', sa.BigInteger(), nullable=False),
        sa.Column('t_max', sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(['topic_id'], ['topics.id'], ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('topic_id', 'number'),
        sqlite_autoincrement=True,
    )
    op.create_index(
        'chunks_in_time', 'chunks', ['topic_id', 't_min', 'number', 't_max'], unique=False
    )
    op.create_table(
        'notices',
        sa.Column('id', ID, autoincrement=True, nullable=False),
        sa.Column('sequence_id', ID, nullable=False),
        sa.Column('topic_id', ID, nullable=True),
        sa.Column('type', sa.String(length=32), nullable=False),
        sa.Column('message', sa.Text(), nullable=False),
        sa.Column('created_at_ns', sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(['sequence_id'], ['sequences.id'], ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['topic_id'], ['topics.id'], ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id'),
        sqlite_autoincrement=True,
    )
    op.create_index('notices_of_sequence', 'notices', ['sequence_id', 'topic_id'], unique=False)
    op.create_index('notices_of_topic', 'notices', ['topic_id'], unique=False)
    op.create_table(
        'stats',
        sa.Column('chunk_id', ID, nullable=False),
        sa.Column('field_id', ID, nullable=False),
        sa.Column('min_num', sa.Double(), nullable=True),
        sa.Column('max_num', sa.Double(), nullable=True),
        sa.Column('min_text', TEXT, nullable=True),
        sa.Column('max_text', TEXT, nullable=True),
        sa.Column('exact', sa.Boolean(), nullable=False),
        sa.Column('nulls', sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(['chunk_id'], ['chunks.id'], ondelete='CASCADE'),
        sa.ForeignKeyConstraint(
            ['field_id'],
            ['fields.id'],
        ),
        sa.PrimaryKeyConstraint('chunk_id', 'field_id'),
        sqlite_with_rowid=False,
    )
    op.create_index('stats_above', 'stats', ['field_id', 'max_num', 'min_num'], unique=False)
    op.create_index('stats_below', 'stats', ['field_id', 'min_num', 'max_num'], unique=False)
    op.create_index(
        'stats_text',
        'stats',
        ['field_id', 'min_text'],
        unique=False,
        sqlite_where=sa.text('min_text IS NOT NULL'),
        postgresql_where=sa.text('min_text IS NOT NULL'),
    )
