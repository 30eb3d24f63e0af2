"""Client tokens of everything that clients create."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'


def upgrade() -> None:
    """Let sessions, topics and notifications have tokens; each names one request."""
    # Those of sequences could be used again; nobody repeats a request from before an update.
    op.execute('UPDATE sequences SET token = NULL')
    for table in ('sessions', 'topics', 'notices'):
        op.add_column(table, sa.Column('token', sa.Text(), nullable=True))
    for table in ('sequences', 'sessions', 'topics', 'notices'):
        op.create_index(f'{table}_by_token', table, ['token'], unique=True)
