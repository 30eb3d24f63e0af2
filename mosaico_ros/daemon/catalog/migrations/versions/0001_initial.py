"""The first catalog: archive, sequences, sessions, topics, chunks, statistics."""

from __future__ import annotations

import sqlalchemy as sa

revision = '0001'
down_revision = None

# Spelled out here, not taken from the table definitions: those move on, this does not.
ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
TEXT = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')


def upgrade() -> None:
    """Create the tables."""
