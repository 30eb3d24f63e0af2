"""Notifications: rows of the catalog, and an object in the store for each."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog.creation import insert_once
from mosaico_ros.daemon.catalog.events import tell
from mosaico_ros.daemon.catalog.tables import notices, sequences, topics
from mosaico_ros.daemon.catalog.ulid import new_ulid
from mosaico_ros.daemon.manifests import StoredNotice, notice_key, write_notice
from mosaico_ros.daemon.store.base import Store

__all__ = ['add_notice', 'list_notices', 'purge_notices', 'record_notice']


def add_notice(
    connection: Connection,
    store: Store,
    sequence_id: int,
    topic_id: int | None,
    kind: str,
    message: str,
    now_ns: int,
    token: str | None = None,
) -> None:
    """Add a notification to a sequence or to one of its topics, once; see `insert_once`."""
    notice = StoredNotice(new_ulid(), kind, message, now_ns)
    if not record_notice(connection, sequence_id, topic_id, notice, token):
        return
    tell(connection, 'notification', now_ns, message, sequence_id=sequence_id, topic_id=topic_id)
    write_notice(store, _folder(connection, sequence_id, topic_id), notice)


def record_notice(
    connection: Connection,
    sequence_id: int,
    topic_id: int | None,
    notice: StoredNotice,
    token: str | None = None,
) -> bool:
    """Add the row of a notification, once; return whether it is new."""
    asked = {
        'sequence_id': sequence_id,
        'topic_id': topic_id,
        'type': notice.type,
        'message': notice.message,
    }
    own = {'ulid': notice.ulid, 'created_at_ns': notice.created_at_ns}
    _, is_new = insert_once(connection, notices, asked, own, token)
    return is_new


def list_notices(
    connection: Connection, sequence_id: int, topic_id: int | None, *, include_topics: bool = False
) -> list[Row]:
    """Return the notifications of exactly one target, oldest first, with the names of theirs.

    With `include_topics` those of a sequence's topics are among them.
    """
    wanted = _of(sequence_id, topic_id)
    if include_topics:
        wanted = notices.c.sequence_id == sequence_id
    return list(
        connection.execute(
            sa.select(notices, sequences.c.name.label('sequence'), topics.c.path)
            .join(sequences, sequences.c.id == notices.c.sequence_id)
            .outerjoin(topics, topics.c.id == notices.c.topic_id)
            .where(wanted)
            .order_by(notices.c.ulid, notices.c.id)
        )
    )


def purge_notices(
    connection: Connection, store: Store, sequence_id: int, topic_id: int | None
) -> None:
    """Delete the notifications of exactly one target; their objects first: none comes back."""
    folder = _folder(connection, sequence_id, topic_id)
    found = list_notices(connection, sequence_id, topic_id)
    store.delete(*(notice_key(folder, row.ulid) for row in found))
    connection.execute(notices.delete().where(_of(sequence_id, topic_id)))


def _folder(connection: Connection, sequence_id: int, topic_id: int | None) -> str:
    table, number = (sequences, sequence_id) if topic_id is None else (topics, topic_id)
    folder = connection.execute(sa.select(table.c.folder).where(table.c.id == number))
    return str(folder.scalar_one())


def _of(sequence_id: int, topic_id: int | None) -> sa.ColumnElement[bool]:
    return sa.and_(
        notices.c.sequence_id == sequence_id,
        notices.c.topic_id.is_(None) if topic_id is None else notices.c.topic_id == topic_id,
    )
