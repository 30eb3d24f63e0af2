"""An archive in a process that will be stopped, and what it has told about itself by then.

Facts go to a file, one JSON line each: ``[verb, argument]`` before a call, ``["done", result]``
after it has returned, ``["durable", [topic, rows]]`` for each acknowledgement. How long the file
was at a step is what was acknowledged by then.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.events import SWEEP, topics_to_sweep
from mosaico_ros.daemon.catalog.tables import events, metadata
from mosaico_ros.daemon.removal import sweep
from mosaico_ros.daemon.routines import cleanup
from mosaico_ros.daemon.routines.cleanup import Cleaned, Cleanup
from mosaico_ros.daemon.routines.optimizer import Optimizer
from mosaico_ros.daemon.routines.rebuild import rebuild
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.daemon.upload import Upload
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
from mosaico_ros.protocol.serialization import SerializationFormat

__all__ = ['SCHEMA', 'World', 'clean_up', 'rows', 'sweep_all', 'time_of']

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.int64())])
_MODULUS = 10_007


def time_of(x: Any, stride: int) -> Any:
    """Return the timestamp of the x-th row; a large stride makes all chunks overlap."""
    return x * stride % _MODULUS


def rows(first: int, count: int, stride: int) -> pa.RecordBatch:
    """Return the rows of a topic from the first-th on."""
    x = np.arange(first, first + count)
    return pa.record_batch([time_of(x, stride), x], schema=SCHEMA)


class World:
    """What an operation works with.

    Parameters
    ----------
    settings
        Where the archive is.
    facts
        Descriptor of the file, opened for appending.
    enumerate_from_here
        Called when the preparation has ended.

    """

    def __init__(
        self, settings: Settings, facts: int, enumerate_from_here: Callable[[], None]
    ) -> None:
        self.settings = settings
        self.enumerate_from_here = enumerate_from_here
        self._facts = facts

    @cached_property
    def archive(self) -> Archive:
        """The archive, opened when first needed."""
        archive = Archive(self.settings)
        archive.start()
        return archive

    def tell(self, verb: str, argument: Any) -> None:
        """Tell a fact."""
        os.write(self._facts, json.dumps([verb, argument]).encode() + b'\n')

    def create_sequence(self, name: str = 'run') -> None:
        """Create a sequence."""
        self.tell('create_sequence', name)
        self.archive.create_sequence(SequenceLocator(name), {'of': name})
        self.tell('done', None)

    def create_session(self, sequence: str = 'run') -> str:
        """Return the uuid of a new session."""
        self.tell('create_session', sequence)
        uuid, locator = self.archive.create_session(SequenceLocator(sequence))
        self.tell('done', [uuid, str(locator)])
        return uuid

    def create_topic(self, name: str, session: str, stride: int = 1) -> str:
        """Return the uuid of a new topic."""
        self.tell('create_topic', [name, session, stride])
        uuid = self.archive.create_topic(
            session,
            TopicLocator.parse(name),
            'IMU',
            SerializationFormat.Default,
            {'stride': stride},
        )
        self.tell('done', uuid)
        return uuid

    def begin(self, name: str, uuid: str) -> Upload:
        """Begin the upload of a topic."""
        self.tell('begin', name)
        upload = self.archive.begin_upload(
            TopicLocator.parse(name),
            uuid,
            SCHEMA,
            lambda durable: self.tell('durable', [name, durable]),
        )
        self.tell('done', None)
        return upload

    def upload(
        self, name: str, session: str, *, chunks: int = 2, stride: int = 1, size: int = 10
    ) -> None:
        """Upload a topic, each chunk committed, and finish it."""
        upload = self.begin(name, self.create_topic(name, session, stride))
        for number in range(chunks):
            upload.append(rows(number * size, size, stride))
            upload.commit()
        self.finish(name, upload)

    def finish(self, name: str, upload: Upload) -> None:
        """Lock a topic."""
        self.tell('finish', name)
        upload.finish()
        self.tell('done', None)

    def filled(self, sequence: str = 'run', *topics: str) -> str:
        """Make a sequence with a session and topics; return the session's uuid."""
        self.create_sequence(sequence)
        session = self.create_session(sequence)
        for topic in topics:
            self.upload(f'{sequence}/{topic}', session)
        return session

    def finalize(self, session: str) -> None:
        """Finalize a session."""
        self.tell('finalize', session)
        self.archive.finalize_session(session)
        self.tell('done', None)

    def delete_sequence(self, name: str) -> None:
        """Delete a sequence."""
        self.tell('delete_sequence', name)
        self.archive.delete_sequence(SequenceLocator(name))
        self.tell('done', None)

    def delete_session(self, session: str) -> None:
        """Delete a session with its topics."""
        self.tell('delete_session', session)
        self.archive.delete_session(uuid=session)
        self.tell('done', None)

    def delete_topic(self, name: str) -> None:
        """Delete a topic."""
        self.tell('delete_topic', name)
        self.archive.delete_topic(TopicLocator.parse(name))
        self.tell('done', None)

    def notify(self, target: str, message: str) -> None:
        """Attach a notification."""
        self.tell('notify', [target, message])
        self.archive.notify(_target(target), 'error', message)
        self.tell('done', None)

    def purge(self, target: str) -> None:
        """Delete the notifications of a target."""
        self.tell('purge', target)
        self.archive.purge_notifications(_target(target))
        self.tell('done', None)

    def clean_up(self) -> None:
        """Clean up twice: what was marked is removed by the next one."""
        self.tell('routine', 'cleanup')
        for _ in range(2):
            clean_up(self.archive)
        self.tell('done', None)

    def optimize(self) -> None:
        """Optimize all topics, and sweep what was kept for readers."""
        self.tell('routine', 'optimizer')
        archive = self.archive
        optimizer = Optimizer(
            archive._database, archive._store, archive._instance.id, 1 << 20, threading.Event()
        )
        optimizer.run()
        sweep_all(archive)
        self.tell('done', None)

    def rebuild(self) -> None:
        """Lose everything in the catalog, then rebuild it."""
        self.archive.close()
        database = Database(self.settings.database_url)
        with database.write() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())
        database.close()
        self.enumerate_from_here()
        self.tell('routine', 'rebuild')
        rebuild(self.settings, lambda done, total: None)
        self.tell('done', None)

    def in_a_process_that_dies(self, work: Callable[[World], None]) -> None:
        """Work on the archive in another process, which ends without closing it."""
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            try:
                work(World(self.settings, self._facts, lambda: None))
            finally:
                os._exit(0)
        os.waitpid(child, 0)


def clean_up(archive: Archive) -> Cleaned:
    """Clean up once; folders count as old, and what was deleted is kept no longer."""
    cleanup._YOUNG_NS = 0
    routine = Cleanup(
        archive._database, archive._store, archive._instance.id, 0, 1, threading.Event()
    )
    return routine.run()


def sweep_all(archive: Archive) -> None:
    """Remove the chunks that were replaced, as if their readers were done."""
    with archive._database.read() as connection:
        waiting = topics_to_sweep(connection)
    for topic_id in sorted(waiting):
        sweep(archive._database, archive._store, topic_id, archive._instance.id)
    with archive._database.write() as connection:
        connection.execute(events.delete().where(events.c.kind == SWEEP))


def _target(name: str) -> SequenceLocator | TopicLocator:
    return TopicLocator.parse(name) if '/' in name else SequenceLocator(name)
