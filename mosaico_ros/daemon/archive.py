"""The archive: everything that the daemon's endpoints can do, without any wire in sight."""

from __future__ import annotations

import json
import time
import uuid as uuid_module
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from mosaico_ros.daemon.annotating import annotate
from mosaico_ros.daemon.catalog import resources
from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.resources import Lock, TopicState
from mosaico_ros.daemon.chunk_files import ChunkFiles
from mosaico_ros.daemon.deletion import delete_sequence, delete_session, delete_topic
from mosaico_ros.daemon.descriptions import (
    Notification,
    SequenceDescription,
    TopicDescription,
    describe_notice,
    describe_sequence,
    describe_topic,
)
from mosaico_ros.daemon.identity import check_identity, recheck_identity
from mosaico_ros.daemon.ingest import Ingest, IngestLimits
from mosaico_ros.daemon.keys import Keys
from mosaico_ros.daemon.layouts import notify_new_layouts
from mosaico_ros.daemon.leases import Instance
from mosaico_ros.daemon.manifests import (
    StoredSequence,
    write_sequence_manifest,
    write_session_manifest,
    write_topic_manifest,
)
from mosaico_ros.daemon.notices import add_notice, list_notices, purge_notices
from mosaico_ros.daemon.process import metrics
from mosaico_ros.daemon.query import windows
from mosaico_ros.daemon.query.budget import Alive
from mosaico_ros.daemon.query.engine import QueryEngine, QueryLimits, QueryPage, forever
from mosaico_ros.daemon.query.windows import Cluster, ClusterRequest
from mosaico_ros.daemon.reading import read, window_of
from mosaico_ros.daemon.removal import Removal, sweep
from mosaico_ros.daemon.retrieval import count_rows, stripes
from mosaico_ros.daemon.routines.runner import Routines
from mosaico_ros.daemon.sealing import seal_session
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.daemon.store.base import Store, sequence_folder, topic_folder
from mosaico_ros.daemon.store.opening import open_store
from mosaico_ros.daemon.upload import Upload
from mosaico_ros.protocol.errors import (
    InvalidArgumentError,
    PermissionDeniedError,
)
from mosaico_ros.protocol.locators import SequenceLocator, SessionLocator, TopicLocator
from mosaico_ros.protocol.query import Query
from mosaico_ros.protocol.serialization import SerializationFormat
from mosaico_ros.protocol.ticket import Ticket

__all__ = ['Archive']

NOTIFICATION_TYPES = ('error',)


class Archive:
    """A catalog and a store, opened together.

    Parameters
    ----------
    settings
        Where they are, and how chunks are cut.

    Raises
    ------
    UnavailableError
        If the database or the data folder cannot be used.
    FailedPreconditionError
        If catalog and store do not belong together, or a newer release wrote them.

    """

    def __init__(self, settings: Settings) -> None:
        self._store: Store = open_store(settings)
        try:
            self._database = Database(
                settings.database_url, settings.max_db_connections, bool(settings.webhook_url)
            )
            check_identity(self._database, self._store)
        except BaseException:
            self._store.close()
            raise
        #: The API keys of this archive.
        self.keys = Keys(self._database)
        self._instance = Instance(self._database, self._store, settings.lease_seconds)
        self._removal = Removal(self._database, self._store, settings.cleanup_retention_duration)
        self._routines = Routines(self._database, self._store, self._instance, settings)
        self._ingest = Ingest(
            self._database,
            self._store,
            self._instance,
            self._removal,
            IngestLimits(
                chunk_bytes=settings.chunk_bytes,
                chunk_age_s=settings.max_chunk_age_seconds,
                encoders=settings.max_concurrent_writes or settings.parallelism,
                buffered_bytes=settings.max_buffered_size_in_bytes,
            ),
        )
        self._files = ChunkFiles(self._store)
        self._closed = False
        self._queries = QueryEngine(
            self._database,
            self._files,
            QueryLimits(
                places=settings.max_concurrent_chunk_queries,
                memory=settings.query_engine_memory_pool_size,
                threads=settings.parallelism,
            ),
        )

    def start(self) -> None:
        """Seal the uploads of dead daemons, remove leftovers, accept uploads, begin routines."""
        self._store.remove_leftovers()
        self._instance.start()
        self._ingest.start()
        self._removal.resume()
        self._routines.start()

    def close(self) -> None:
        """Seal open uploads with what was received, then let go of everything."""
        if self._closed:
            return
        self._closed = True
        self._routines.stop()
        self._ingest.close()
        self._queries.close()
        self._routines.join()
        self._instance.close()
        self._store.close()
        self._database.close()

    def check(self) -> None:
        """Make sure that catalog and store answer, and still belong together.

        Raises
        ------
        MosaicoError
            They do not; says which, and why.

        """
        self._database.check()
        recheck_identity(self._database, self._store)

    def open_sessions(self, since_ns: int) -> int:
        """Return how many sessions created since then are not finalized."""
        with self._database.read() as connection:
            return resources.count_open_sessions(connection, since_ns)

    # -- sequences ---------------------------------------------------------------------------

    def create_sequence(
        self, locator: SequenceLocator, user_metadata: dict[str, Any], token: str | None = None
    ) -> None:
        """Create a sequence; with the same client token a repetition succeeds too.

        Here and in the other creations, a repetition asks for the same in every part.

        Raises
        ------
        InvalidArgumentError
            The token was used for another request.
        AlreadyExistsError
            If the name is taken.

        """
        own = {'folder': sequence_folder(locator.name), 'created_at_ns': time.time_ns()}
        with self._database.write() as connection:
            row, is_new = resources.insert_sequence(
                connection, locator, json.dumps(user_metadata), own, token
            )
            if is_new:
                write_sequence_manifest(
                    self._store,
                    row.folder,
                    StoredSequence(row.id, row.name, row.created_at_ns, user_metadata),
                )

    def delete_sequence(self, locator: SequenceLocator) -> None:
        """Delete a sequence with all sessions, topics, data and notifications."""
        with self._database.write() as connection:
            sequence = resources.find_sequence(connection, locator, Lock.ALONE)
            buried = delete_sequence(connection, sequence)
        self._removal.settle(buried, str(locator))

    def list_sequences(self) -> list[SequenceLocator]:
        """Return all sequences in the order of creation."""
        with self._database.read() as connection:
            return [SequenceLocator(name) for name in resources.list_sequences(connection)]

    def describe_sequence(
        self, locator: SequenceLocator, start_ns: int | None = None, end_ns: int | None = None
    ) -> SequenceDescription:
        """Return a sequence with its sessions and topics.

        Parameters
        ----------
        locator
            The sequence.
        start_ns, end_ns
            Count rows in [start_ns, end_ns) too; `None` leaves a side open.

        """
        with self._database.read() as connection:
            row = resources.find_sequence(connection, locator)
            sessions = resources.sessions_of_sequence(connection, row.id)
            topics = resources.topics_of_sequence(connection, row.id)
        described = [self._describe(topic, start_ns, end_ns) for topic in topics]
        return describe_sequence(row, sessions, described)

    # -- sessions ----------------------------------------------------------------------------

    def create_session(
        self, sequence: SequenceLocator, token: str | None = None
    ) -> tuple[str, SessionLocator]:
        """Create a session; return its uuid, the authority to write, and its locator."""
        with self._database.write() as connection:
            uuid, is_new = resources.insert_session(connection, sequence, token)
            session = resources.find_session(connection, uuid=uuid)
            if is_new:
                write_session_manifest(connection, self._store, session)
        return uuid, SessionLocator(sequence.name, session.ulid)

    def finalize_session(self, uuid: str) -> None:
        """Make a session immutable; say so where a topic is unlike others of its tag.

        Raises
        ------
        NotFoundError
            No session has the uuid.
        FailedPreconditionError
            It is finalized, has no topics, or one without data or still being uploaded.

        """
        now = time.time_ns()
        with self._database.write() as connection:
            session = resources.find_session(connection, uuid=uuid, lock=Lock.ALONE)
            resources.finalize_session(connection, session, now)
            write_session_manifest(connection, self._store, session, now)
            # Last, as it may queue behind other finalizations, until this transaction ends.
            notify_new_layouts(connection, self._store, session, now)

    def annotate_session(
        self,
        uuid: str,
        sequence: dict[str, Any],
        notes: dict[TopicLocator, dict[str, Any]],
    ) -> None:
        """Add to user metadata while a session is open; keys that exist are replaced.

        Parameters
        ----------
        uuid
            The session's.
        sequence
            For its sequence.
        notes
            For its topics.

        Raises
        ------
        NotFoundError
            No session has the uuid, or a topic is not in it.
        FailedPreconditionError
            The session is finalized, or a topic is being uploaded.

        """
        with self._database.write() as connection:
            session = resources.find_session(connection, uuid=uuid, lock=Lock.ALONE)
            annotate(connection, self._store, session, sequence, notes)

    def seal_session(self, uuid: str) -> tuple[dict[TopicLocator, int], bool]:
        """End a session as it stands.

        Returns
        -------
        rows : dict of TopicLocator to int
            The durable rows of each topic that is left; nothing is added to them any more.
        finalized : bool
            Whether the session is; it is not if no topic is left, and can be used on.

        Raises
        ------
        NotFoundError
            No session has the uuid.

        """
        with self._database.write() as connection:
            session = resources.find_session(connection, uuid=uuid, lock=Lock.ALONE)
            sealed = seal_session(connection, self._store, session, time.time_ns())
        for topic_id in sealed.interrupted:
            sweep(self._database, self._store, topic_id, self._instance.id)
        self._removal.settle(list(sealed.buried), f'{session.sequence}:{session.ulid}')
        return dict(sealed.rows), sealed.finalized

    def delete_session(
        self, locator: SessionLocator | None = None, uuid: str | None = None
    ) -> None:
        """Delete an open or finalized session with its topics; the sequence stays."""
        with self._database.write() as connection:
            session = resources.find_session(
                connection, uuid=uuid, locator=locator, lock=Lock.ALONE
            )
            buried = delete_session(connection, session)
        self._removal.settle(buried, f'{session.sequence}:{session.ulid}')

    # -- topics ------------------------------------------------------------------------------

    def create_topic(
        self,
        session_uuid: str,
        locator: TopicLocator,
        ontology_tag: str,
        serialization_format: SerializationFormat,
        user_metadata: dict[str, Any],
        token: str | None = None,
    ) -> str:
        """Create a topic in an open session; return its uuid, the authority to upload.

        Raises
        ------
        NotFoundError
            No session has the uuid.
        PermissionDeniedError
            The session belongs to another sequence than the locator names.
        FailedPreconditionError
            The session is finalized.
        AlreadyExistsError
            Any session of the sequence has such a topic.
        InvalidArgumentError
            The tag is empty, or the token was used for another request.

        """
        if not ontology_tag:
            raise InvalidArgumentError('The ontology tag is empty')
        with self._database.write() as connection:
            session = resources.find_session(connection, uuid=session_uuid, lock=Lock.SHARED)
            if session.sequence != locator.sequence:
                raise PermissionDeniedError(
                    f'The session does not belong to the sequence {locator.sequence}',
                    remedy='Create a session of that sequence.',
                )
            row, is_new = resources.insert_topic(
                connection,
                locator,
                session,
                {
                    'ontology_tag': ontology_tag,
                    'serialization_format': SerializationFormat(serialization_format).value,
                    'user_metadata': json.dumps(user_metadata),
                },
                {
                    'uuid': str(uuid_module.uuid4()),
                    'folder': topic_folder(session.folder, locator.path),
                    'created_at_ns': time.time_ns(),
                },
                token,
            )
            if is_new:
                topic = resources.find_topic(connection, locator)
                write_topic_manifest(connection, self._store, topic, TopicState.CREATED)
        return str(row.uuid)

    def delete_topic(self, locator: TopicLocator) -> None:
        """Delete a topic with its data and notifications."""
        with self._database.write() as connection:
            topic = resources.find_topic(connection, locator, Lock.ALONE)
            buried = delete_topic(connection, topic)
        self._removal.settle(buried, str(locator))

    def describe_topic(
        self, locator: TopicLocator, start_ns: int | None = None, end_ns: int | None = None
    ) -> TopicDescription:
        """Return a topic; with `start_ns` or `end_ns` also the rows in [start_ns, end_ns)."""
        with self._database.read() as connection:
            topic = resources.find_topic(connection, locator)
        return self._describe(topic, start_ns, end_ns)

    def _describe(self, topic: Any, start_ns: int | None, end_ns: int | None) -> TopicDescription:
        if start_ns is None and end_ns is None:
            return describe_topic(topic)
        window = window_of(start_ns, end_ns)
        return describe_topic(topic, count_rows(self._database, self._files, topic, window))

    def stripe_topic(
        self, locator: TopicLocator, start_ns: int | None, end_ns: int | None, count: int
    ) -> list[tuple[int | None, int | None]]:
        """Return up to `count` windows that together are [start_ns, end_ns), of equal work."""
        with self._database.read() as connection:
            topic = resources.find_topic(connection, locator)
        parts = stripes(self._database, self._files, topic, window_of(start_ns, end_ns), count)
        return [(part.start_ns, part.end_ns) for part in parts]

    # -- data --------------------------------------------------------------------------------

    def begin_upload(
        self,
        locator: TopicLocator,
        topic_uuid: str,
        schema: pa.Schema,
        acks: Callable[[int], None] | None = None,
    ) -> Upload:
        """Begin the one upload of a topic; see :meth:`Ingest.begin`.

        Whoever gets an error from the upload must still call its ``abort``.
        """
        return self._ingest.begin(locator, topic_uuid, schema, acks)

    def read(self, ticket: Ticket) -> tuple[TopicDescription, Iterator[pa.RecordBatch]]:
        """Return a topic and its rows in the ticket's window, in time order.

        The described schema is that of the rows: with sidecars if the ticket asks for them.
        Batches are never empty. The transport joins and cuts them to what it sends.

        Raises
        ------
        NotFoundError
            The topic of the ticket was deleted; also while reading, if it is deleted then.
        FailedPreconditionError
            The topic is not complete yet.
        InvalidArgumentError
            It has no such column.

        """
        return read(self._database, self._files, ticket)

    def query(self, query: Query, alive: Alive = forever) -> QueryPage:
        """Return the sequences and topics that satisfy a query; see :meth:`QueryEngine.run`."""
        with metrics.QUERY_SECONDS.timed():
            return self._queries.run(query, alive)

    def clusterize(self, request: ClusterRequest, alive: Alive = forever) -> Iterator[Cluster]:
        """Yield the clusters of a topic's matching rows; see :func:`windows.clusterize`."""
        return windows.clusterize(self._queries, request, alive)

    def intersect(
        self,
        requests: list[ClusterRequest],
        intersect_dt_ns: int = 0,
        alive: Alive = forever,
    ) -> Iterator[Cluster]:
        """Yield the times in which clusters of all topics overlap."""
        return windows.intersect(self._queries, requests, intersect_dt_ns, alive)

    # -- notifications -----------------------------------------------------------------------

    def notify(
        self,
        target: SequenceLocator | TopicLocator,
        kind: str,
        message: str,
        token: str | None = None,
    ) -> None:
        """Attach a notification to a sequence or topic.

        Raises
        ------
        InvalidArgumentError
            If the type is not ``error``, the only one that published clients read, or the token
            was used for another request.

        """
        if kind not in NOTIFICATION_TYPES:
            raise InvalidArgumentError(
                f'The notification type {kind[:40]!r} is unknown', remedy='Use "error".'
            )
        with self._database.write() as connection:
            sequence_id, topic_id = self._target(connection, target, Lock.SHARED)
            now = time.time_ns()
            add_notice(connection, self._store, sequence_id, topic_id, kind, message, now, token)

    def notifications(
        self, target: SequenceLocator | TopicLocator, *, include_topics: bool = False
    ) -> list[Notification]:
        """Return the notifications of exactly this target, oldest first.

        With `include_topics` those of a sequence's topics are among them.
        """
        with self._database.read() as connection:
            found = self._target(connection, target)
            rows = list_notices(connection, *found, include_topics=include_topics)
        return [describe_notice(row) for row in rows]

    def purge_notifications(self, target: SequenceLocator | TopicLocator) -> None:
        """Delete the notifications of exactly this target."""
        with self._database.write() as connection:
            found = self._target(connection, target, Lock.SHARED)
            purge_notices(connection, self._store, *found)

    # -- inside ------------------------------------------------------------------------------

    @staticmethod
    def _target(
        connection: sa.Connection,
        target: SequenceLocator | TopicLocator,
        lock: Lock | None = None,
    ) -> tuple[int, int | None]:
        if isinstance(target, TopicLocator):
            topic = resources.find_topic(connection, target, lock)
            return topic.sequence_id, topic.id
        return resources.find_sequence(connection, target, lock).id, None
