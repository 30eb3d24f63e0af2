"""Files that the catalog does not know (any more), and how they go.

A deletion takes effect in the catalog. Its folders are scheduled in the same transaction, with
the tombstones that a rebuild goes by: these are stored as soon as it is durable, never before, as
a deletion that fails must not bury what lives. Then each folder is marked with an object
``TO_DELETE`` for people to see, and its files stay for the retention: what was deleted by mistake
is not lost yet. Without a retention they go at once.

Every step can be repeated: whatever a crash leaves is done by the next cleanup.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mosaico_ros.daemon.catalog.chunks import lease_sealed
from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.dialects import insert_ignore, now_ns
from mosaico_ros.daemon.catalog.resources import SEALED, TopicState, find_topic_by
from mosaico_ros.daemon.catalog.tables import (
    chunks,
    notices,
    removals,
    sequences,
    sessions,
    topics,
)
from mosaico_ros.daemon.manifests import Tombstone, lists_more, write_topic_manifest
from mosaico_ros.daemon.store.base import Store, is_stored, put_json, tombstone_key
from mosaico_ros.protocol.shapes import to_json

__all__ = [
    'MARKER',
    'Removal',
    'batched',
    'holds_chunks',
    'known_folders',
    'schedule',
    'scheduled',
    'strays',
    'sweep',
    'was_deleted',
]

_log = logging.getLogger(__name__)
T = TypeVar('T')

#: Name of the object that marks a folder.
MARKER = 'TO_DELETE'

_BATCH = 500
_chunk = re.compile(r'.*/(\d{8,})\.(?:parquet|arrow)').fullmatch


def schedule(connection: Connection, folders: Mapping[str, Tombstone | None]) -> None:
    """Remember folders without rows, and the tombstones of those that this transaction deletes.

    Sessions and notifications stand by the keys of their objects without the ending.
    """
    if folders:
        marked = now_ns(connection)
        connection.execute(
            insert_ignore(connection, removals),
            [
                {
                    'folder': folder,
                    'marked_at_ns': marked,
                    'tombstone': None if stone is None else json.dumps(to_json(stone)),
                }
                for folder, stone in folders.items()
            ],
        )


class Removal:
    """Removes the files of an archive's deleted objects.

    Parameters
    ----------
    database, store
        The archive.
    retention_s
        Seconds for which files are kept.

    """

    def __init__(self, database: Database, store: Store, retention_s: float) -> None:
        self._database = database
        self._store = store
        self._retention_ns = int(retention_s * 1e9)

    def settle(self, folders: Collection[str], what: str) -> None:
        """Bury scheduled folders, then mark them, or remove them if nothing is to be kept.

        A fault here does not fail the deletion, which is durable already.
        """
        try:
            self.bury(folders)
            for folder in folders:
                if self._retention_ns and not _is_file(folder):
                    self._mark(folder, what)
                else:
                    self.purge(folder)
        except Exception:
            _log.exception('The files of %s wait for the next cleanup', what)

    def bury(self, folders: Collection[str] | None = None) -> None:
        """Store the tombstones of some scheduled folders, or all, that have none yet."""
        waiting = sa.select(removals).where(removals.c.tombstone.isnot(None))
        if folders is not None:
            waiting = waiting.where(removals.c.folder.in_(folders))
        with self._database.read() as connection:
            found = connection.execute(waiting).all()
        for row in found:
            put_json(self._store, tombstone_key(row.folder), json.loads(row.tombstone))
            with self._database.write() as connection:
                connection.execute(
                    removals.update().where(removals.c.id == row.id).values(tombstone=None)
                )

    def resume(self) -> None:
        """Go on with what a crash has left of deletions."""
        with self._database.read() as connection:
            cut_short = connection.execute(
                sa.select(removals.c.folder).where(removals.c.tombstone.isnot(None))
            )
            folders = list(cut_short.scalars())
        if not self._retention_ns:
            folders += self.due()
        self.settle(folders, 'deleted objects')

    def discard(self, folder: str, what: str) -> None:
        """Schedule a folder that has no rows any more and may have been made again, and settle."""
        with self._database.write() as connection:
            schedule(connection, {folder: None})
        self.settle([folder], what)

    def mark(self, folder: str) -> None:
        """Mark a folder that has no entry in the catalog, and schedule it."""
        # A mark without a row is made again; a row without a mark would surprise people.
        if not _is_file(folder):
            self._mark(folder, 'no entry in the catalog')
        with self._database.write() as connection:
            schedule(connection, {folder: None})

    def due(self) -> Iterator[str]:
        """Yield the folders that are to be purged now."""
        with self._database.read() as connection:
            oldest = now_ns(connection) - self._retention_ns
            found = connection.execute(
                sa.select(removals.c.folder)
                .where(removals.c.marked_at_ns <= oldest, removals.c.tombstone.is_(None))
                .order_by(removals.c.id)
            )
            folders = list(found.scalars())
        yield from folders

    def purge(self, folder: str) -> bool:
        """Remove a scheduled folder; only its mark if the catalog has an entry for it again."""
        with self._database.read() as connection:
            known = _is_known(connection, folder)
        if known:
            self._store.delete(f'{folder}/{MARKER}')
        elif _is_file(folder):
            self._store.delete(f'{folder}.json')
        else:
            self._store.delete_folder(folder)
        with self._database.write() as connection:
            connection.execute(removals.delete().where(removals.c.folder == folder))
        return not known

    def _mark(self, folder: str, what: str) -> None:
        with self._database.read() as connection:
            now = now_ns(connection)
        put_json(self._store, f'{folder}/{MARKER}', {'what': what, 'marked_at_ns': now})


def _is_file(folder: str) -> bool:
    return folder.rpartition('/')[0].endswith(('/sessions', '/notices'))


def _is_known(connection: Connection, folder: str) -> bool:
    if not _is_file(folder):
        return folder in known_folders(connection, [folder])
    table = sessions if folder.rpartition('/')[0].endswith('/sessions') else notices
    ulid = folder.rpartition('/')[2]
    return (
        connection.execute(sa.select(table.c.id).where(table.c.ulid == ulid)).first() is not None
    )


def known_folders(connection: Connection, folders: Sequence[str]) -> set[str]:
    """Return which of some folders of sequences and topics have an entry in the catalog."""
    return {
        found
        for table in (sequences, topics)
        for found in connection.execute(
            sa.select(table.c.folder).where(table.c.folder.in_(folders))
        ).scalars()
    }


def scheduled(connection: Connection, folders: Sequence[str]) -> set[str]:
    """Return which of some folders wait for their removal."""
    return {
        found
        for batch in batched(folders, _BATCH)
        for found in connection.execute(
            sa.select(removals.c.folder).where(removals.c.folder.in_(batch))
        ).scalars()
    }


def was_deleted(store: Store, folder: str) -> bool:
    """Whether a folder has a tombstone."""
    return is_stored(store, tombstone_key(folder))


def holds_chunks(store: Store, folder: str) -> bool:
    """Whether chunks lie directly inside a folder."""
    return any(_chunk(key) for key in store.keys(folder))


def strays(database: Database, store: Store, topic_id: int) -> dict[str, int]:
    """Return keys and numbers of the chunks in a sealed topic's folder that are not the topic's.

    Those of a writer that is about to record them are among them. There are none if the catalog
    misses chunks, or rows that ``topic.json`` lists: it is out of date, and they may count.
    """
    sealed = sa.and_(topics.c.id == topic_id, topics.c.state.in_(SEALED))
    with database.read() as connection:
        topic = connection.execute(sa.select(topics).where(sealed)).one_or_none()
    if topic is None:
        return {}
    before = _numbers(database, topic_id)
    found = {key: int(match[1]) for key in store.keys(topic.folder) if (match := _chunk(key))}
    # Listed first, looked up after: what is recorded meanwhile is known.
    known = _numbers(database, topic_id)
    unknown = {key: number for key, number in found.items() if number not in known}
    missing = (before & known).difference(found.values())
    if unknown and (missing or lists_more(store, topic)):
        _log.warning(
            '%d chunks in %s are kept: the catalog knows nothing of them, but misses others; '
            'if it was restored from a backup, `mosaicod rebuild` brings back what it has lost',
            len(unknown),
            topic.folder,
        )
        return {}
    return unknown


def sweep(database: Database, store: Store, topic_id: int, instance_id: int) -> list[str]:
    """Remove the chunks from a sealed topic's folder that are not the topic's; return them.

    Parameters
    ----------
    database, store
        The archive.
    topic_id
        The topic; nothing happens if it is gone or not sealed.
    instance_id
        This daemon.

    """
    found = strays(database, store, topic_id)
    if not found:
        return []
    with database.write() as connection:
        # Whoever was about to record one of them cannot any more, and names are never reused.
        lease = lease_sealed(connection, topic_id, instance_id)
    if lease is None:
        return []
    with database.write() as connection:
        topic = find_topic_by(connection, lease.holds(), lock=True)
        if topic is None:
            return []
        # The manifest of a switch that did not come to its commit names some of them.
        write_topic_manifest(
            connection, store, topic, TopicState(topic.state), topic.completed_at_ns
        )
    known = _numbers(database, topic_id)
    removed = [key for key, number in found.items() if number not in known]
    store.delete(*removed)
    return removed


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield items in lists of at most a size."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def _numbers(database: Database, topic_id: int) -> set[int]:
    with database.read() as connection:
        found = sa.select(chunks.c.number).where(chunks.c.topic_id == topic_id)
        return set(connection.execute(found).scalars())
