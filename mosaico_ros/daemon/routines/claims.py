"""Who may have a name or an id that two things in a store claim.

A creation writes its manifest before it commits, so one that failed has left something that
never counted, and its name was free for the next one (on SQLite its id, too).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog.resources import TopicState
from mosaico_ros.daemon.catalog.tables import sessions, topics
from mosaico_ros.daemon.store.base import folder_ulid

__all__ = ['Rank', 'make_room']

#: Whether something has content, and when it was made: of two claims the higher one counts.
Rank = tuple[bool, str]


def make_room(
    connection: Connection, table: sa.Table, same: sa.ColumnElement[bool], rank: Rank
) -> list[str] | None:
    """Remove the rows that give way to a newcomer.

    Parameters
    ----------
    connection, table
        Where it is to come in: sequences, sessions or topics.
    same
        Condition for the rows that claim the same.
    rank
        The newcomer's.

    Returns
    -------
    list[str] or None
        Folders (of sessions: ULIDs) of what was removed; `None` if the newcomer gives way.

    """
    clashing = connection.execute(sa.select(table).where(same)).all()
    if any(_rank_of(connection, table, row) >= rank for row in clashing):
        return None
    for row in clashing:
        connection.execute(table.delete().where(table.c.id == row.id))
    return [row.ulid if table is sessions else row.folder for row in clashing]


def _rank_of(connection: Connection, table: sa.Table, row: Row[Any]) -> Rank:
    if table is topics:
        return row.schema_id is not None or row.state == TopicState.LOCKED, folder_ulid(row.folder)
    if table is sessions:
        used = sa.select(topics.c.id).where(topics.c.session_id == row.id).limit(1)
        content = row.completed_at_ns is not None or connection.execute(used).first() is not None
        return content, row.ulid
    used = sa.select(sessions.c.id).where(sessions.c.sequence_id == row.id).limit(1)
    return connection.execute(used).first() is not None, folder_ulid(row.folder)
