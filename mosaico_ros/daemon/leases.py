"""Who is writing, and what becomes of uploads whose writer is gone.

Every daemon keeps a row with a heartbeat. An upload belongs to the daemon that took it, under
a fencing counter that each chunk commit checks. When a daemon is dead (its process is gone, or
its heartbeat is older than the lease), any other, or its successor, seals its uploads with what
is durable: the counter moves on, so that a writer that comes back can add nothing.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog.chunks import Lease
from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.dialects import now_ns
from mosaico_ros.daemon.catalog.events import request_optimization, tell
from mosaico_ros.daemon.catalog.resources import (
    Lock,
    TopicState,
    find_topic_by,
    lock_sequence_of,
)
from mosaico_ros.daemon.catalog.tables import instances, topics
from mosaico_ros.daemon.encoding import ENCODINGS
from mosaico_ros.daemon.manifests import lists_more, write_topic_manifest
from mosaico_ros.daemon.notices import add_notice
from mosaico_ros.daemon.removal import sweep
from mosaico_ros.daemon.store.base import Store
from mosaico_ros.protocol.errors import FailedPreconditionError, MosaicoError
from mosaico_ros.protocol.locators import TopicLocator

__all__ = ['Instance', 'interrupt_upload', 'seal_interrupted', 'take_lease']

_log = logging.getLogger(__name__)


class Instance:
    """This daemon's row in the catalog, kept alive by a thread.

    Parameters
    ----------
    database, store
        The archive.
    lease_s
        Seconds without a heartbeat after which a daemon on another host counts as dead. One
        on the same host is known to be dead as soon as its process is gone.

    """

    def __init__(self, database: Database, store: Store, lease_s: float) -> None:
        self._database = database
        self._store = store
        self._lease_ns = int(lease_s * 1e9)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._unsealed: deque[tuple[Lease, str]] = deque()
        with database.write() as connection:
            row = connection.execute(
                instances.insert().values(
                    host=_host(),
                    pid=os.getpid(),
                    started=_process_start(os.getpid()) or '',
                    heartbeat_ns=now_ns(connection),
                )
            )
        key = row.inserted_primary_key
        assert key is not None
        self.id = int(key[0])

    def start(self) -> None:
        """Take over from dead daemons, then keep beating until :meth:`close`."""
        self.recover()
        self._thread = threading.Thread(target=self._beat, name='lease', daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop beating and leave the catalog."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with self._database.write() as connection:
            connection.execute(instances.delete().where(instances.c.id == self.id))

    def seal_later(self, lease: Lease, reason: str) -> None:
        """Interrupt an upload as soon as catalog and store allow it; they did not just now."""
        self._unsealed.append((lease, reason))

    def others(self) -> tuple[list[Row[Any]], list[Row[Any]]]:
        """Return the rows of the other daemons: those that live, and those that are dead."""
        with self._database.read() as connection:
            now = now_ns(connection)
            rows = connection.execute(sa.select(instances).where(instances.c.id != self.id)).all()
        dead = [row for row in rows if self._is_dead(row, now)]
        return [row for row in rows if row not in dead], dead

    def recover(self) -> int:
        """Seal the uploads of dead daemons; return how many there were."""
        _, dead = self.others()
        # One statement sees one state: an upload that begins meanwhile has its daemon's row.
        living = sa.select(instances.c.id).where(
            instances.c.id == topics.c.instance_id,
            instances.c.id.not_in([row.id for row in dead]),
        )
        with self._database.read() as connection:
            orphaned = connection.execute(
                sa.select(topics.c.id, topics.c.instance_id, topics.c.fence).where(
                    topics.c.state == TopicState.UPLOADING, ~living.exists()
                )
            ).all()
        for topic_id, instance_id, fence in orphaned:
            lease = Lease(topic_id, instance_id, fence)
            interrupt_upload(
                self._database, self._store, lease, 'The daemon that received it has ended'
            )
        if dead:
            with self._database.write() as connection:
                for row in dead:  # but not one that merely slept and has woken up
                    connection.execute(
                        instances.delete().where(
                            instances.c.id == row.id,
                            instances.c.heartbeat_ns == row.heartbeat_ns,
                        )
                    )
        return len(orphaned)

    def _is_dead(self, row: Row[Any], now_ns: int) -> bool:
        if row.host == _host():
            return _process_start(row.pid) != row.started
        return bool(row.heartbeat_ns < now_ns - self._lease_ns)

    def _beat(self) -> None:
        pause = max(0.05, self._lease_ns / 1e9 / 4)
        while not self._stop.wait(pause):
            try:
                with self._database.write() as connection:
                    beaten = connection.execute(
                        instances.update()
                        .where(instances.c.id == self.id)
                        .values(heartbeat_ns=now_ns(connection))
                    )
                if beaten.rowcount != 1:
                    _log.error('This daemon was taken for dead; its uploads were sealed')
                    self._rejoin()
                while self._unsealed:
                    interrupt_upload(self._database, self._store, *self._unsealed[0])
                    self._unsealed.popleft()
                self.recover()
            except MosaicoError:
                _log.exception('The heartbeat failed')

    def _rejoin(self) -> None:
        with self._database.write() as connection:
            connection.execute(
                instances.insert().values(
                    id=self.id,
                    host=_host(),
                    pid=os.getpid(),
                    started=_process_start(os.getpid()) or '',
                    heartbeat_ns=now_ns(connection),
                )
            )


def take_lease(connection: Connection, topic: Row[Any], instance_id: int, schema_id: int) -> Lease:
    """Begin the one upload of a topic.

    Raises
    ------
    FailedPreconditionError
        If the topic was or is being uploaded, or its session is finalized.

    """
    locator = f'{topic.sequence}/{topic.path}'
    if topic.session_completed_at_ns is not None:
        raise FailedPreconditionError(
            f'The session of {locator} is finalized', remedy='Create another session.'
        )
    taken = connection.execute(
        topics.update()
        .where(topics.c.id == topic.id, topics.c.state == TopicState.CREATED)
        .values(
            state=TopicState.UPLOADING,
            instance_id=instance_id,
            fence=topics.c.fence + 1,
            schema_id=schema_id,
        )
    )
    if taken.rowcount != 1:
        state = topic.state
        if state == TopicState.CREATED:  # another upload has begun since this was read
            state = TopicState.UPLOADING.value
        raise FailedPreconditionError(
            f'The topic {locator} has had its upload; its state is {state}',
            remedy='A topic is uploaded once; create another one for more data.',
        )
    return Lease(topic.id, instance_id, topic.fence + 1)


def interrupt_upload(database: Database, store: Store, lease: Lease, reason: str) -> bool:
    """Seal a topic with what is durable, and say so in a notification.

    Returns
    -------
    bool
        `False` if the lease was void already: somebody else has sealed or deleted the topic.

    """
    with database.write() as connection:
        topic = seal_interrupted(connection, store, lease, reason)
        if topic is None:
            return False
    # Whole chunks whose transaction never came.
    sweep(database, store, topic.id, lease.instance_id)
    return True


def seal_interrupted(
    connection: Connection, store: Store, lease: Lease, reason: str
) -> Row[Any] | None:
    """As :func:`interrupt_upload`, in the caller's transaction; return the topic's row."""
    lock_sequence_of(connection, lease.topic_id, Lock.SHARED)
    moved = connection.execute(
        topics.update()
        .where(lease.holds())
        .values(state=TopicState.INTERRUPTED, fence=topics.c.fence + 1)
    )
    if moved.rowcount != 1:
        return None
    topic = find_topic_by(connection, topics.c.id == lease.topic_id)
    assert topic is not None
    locator = TopicLocator(topic.sequence, topic.path)
    message = (
        f'The upload of {locator} was interrupted: {reason.rstrip(".")}. '
        f'{topic.rows} rows are durable; the topic is sealed with them and is not complete.'
    )
    now = time.time_ns()
    add_notice(connection, store, topic.sequence_id, topic.id, 'error', message, now)
    if not lists_more(store, topic):
        write_topic_manifest(connection, store, topic, TopicState.INTERRUPTED)
    tell(connection, 'topic_interrupted', now, message, topic_id=topic.id)
    request_optimization(connection, topic)
    _log.warning(message)
    return topic


def chunk_key(folder: str, number: int, encoding: str) -> str:
    """Return the store's key of a chunk."""
    return f'{folder}/{number:08d}.{ENCODINGS[encoding]}'


def _host() -> str:
    """Return what tells whether a process id means the same process here as there."""
    parts = [socket.gethostname()]
    try:
        parts.append(Path('/proc/sys/kernel/random/boot_id').read_text().strip())
        parts.append(os.readlink('/proc/self/ns/pid'))
    except OSError:  # not Linux
        pass
    return ' '.join(parts)


def _process_start(pid: int) -> str | None:
    """Return the start time of a process, so that a reused id is not taken for it."""
    try:
        with open(f'/proc/{pid}/stat', 'rb') as file:
            status, *rest = file.read().rpartition(b')')[2].split()
            return None if status in (b'Z', b'X') else rest[18].decode()
    except FileNotFoundError:
        pass
    except OSError:
        return None
    if os.path.exists('/proc/self/stat'):
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return ''
