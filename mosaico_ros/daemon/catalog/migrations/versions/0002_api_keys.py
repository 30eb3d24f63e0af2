"""API keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'

ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade() -> None:
    """Create the table of keys."""
    op.create_table(
        'api_keys',
        sa.Column('id', ID, autoincrement=True, nullable=False),
        sa.Column('fingerprint', sa.String(length=8), nullable=False),
        sa.Column('permission', sa.String(length=16), nullable=False),
        sa.Column('description', sa.Text(), nullable=False),
        sa.Column('created_at_ns', sa.BigInteger(), nullable=False),
        sa.Column('expires_at_ns', sa.BigInteger(), nullable=True),
        sa.Column('salt', sa.LargeBinary(), nullable=False),
        sa.Column('digest', sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('fingerprint'),
        sqlite_autoincrement=True,
    )
