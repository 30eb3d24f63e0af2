"""The client: what a program holds to talk to one daemon."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mosaico_ros.client.comm.connecting import connect, probe, read_certificate
from mosaico_ros.client.comm.connection import Connection, Endpoint, GRPCCompression
from mosaico_ros.client.comm.handler_cache import HandlerCache
from mosaico_ros.client.comm.notifications import (
    Notification,
    list_notifications,
    purge_notifications,
)
from mosaico_ros.client.enums import GRPCCompressionAlgorithm, SessionLevelErrorPolicy
from mosaico_ros.client.handlers.recording_handler import (
    PART,
    RECORDING_ID,
    RecordingHandler,
    joined,
    recording_id,
)
from mosaico_ros.client.handlers.sequence_handler import SequenceHandler
from mosaico_ros.client.handlers.sequence_updater import SequenceUpdater
from mosaico_ros.client.handlers.sequence_writer import SequenceWriter
from mosaico_ros.client.handlers.topic_handler import TopicHandler
from mosaico_ros.client.query.asking import ask, one_query
from mosaico_ros.client.query.plan import QueryPlan
from mosaico_ros.client.query.response import QueryResponse
from mosaico_ros.protocol import shapes
from mosaico_ros.protocol.answers import SessionSealed
from mosaico_ros.protocol.errors import InvalidArgumentError, NotFoundError, UnimplementedError
from mosaico_ros.protocol.locators import SequenceLocator, SessionLocator, TopicLocator
from mosaico_ros.protocol.server_info import (
    EXTENSION_NOTIFICATIONS,
    EXTENSION_SEAL,
    ServerInfo,
)

if TYPE_CHECKING:
    from mosaico_ros.client.query.builders import Query, QueryBuilder
    from mosaico_ros.models.core.combining import Combination

__all__ = ['DEFAULT_PORT', 'MosaicoClient']

DEFAULT_PORT = 6726


class MosaicoClient:
    """Connection to one daemon; made by :meth:`connect`, safe to share between threads.

    Examples
    --------
    >>> with MosaicoClient.connect('localhost') as client:
    ...     with client.sequence_create('run_a', {'robot': 'r2'}) as sequence:
    ...         imu = sequence.topic_create('/imu', ontology_type=IMU)
    ...         imu.push(Message(timestamp_ns=1, data=IMU(...)))

    """

    _guard = object()

    def __init__(self, *, connection: Connection, guard: object = None) -> None:
        if guard is not self._guard:
            raise RuntimeError(
                'MosaicoClient is not made directly. Use MosaicoClient.connect(host, port).'
            )
        self._connection = connection
        self._sequences: HandlerCache[SequenceLocator, SequenceHandler] = HandlerCache(
            lambda locator: SequenceHandler(connection, locator)
        )
        self._topics: HandlerCache[TopicLocator, TopicHandler] = HandlerCache(
            lambda locator: TopicHandler(connection, locator)
        )

    @classmethod
    def connect(
        cls,
        host: str,
        port: int = DEFAULT_PORT,
        timeout: float = 5,
        enable_tls: bool = False,
        compression: (GRPCCompressionAlgorithm | GRPCCompression) = GRPCCompressionAlgorithm.Null,
        tls_cert_path: str | os.PathLike[str] | None = None,
        api_key: str | None = None,
        *,
        call_timeout: float = 60,
        silence_timeout: float = 60,
    ) -> MosaicoClient:
        """Connect to a daemon.

        Parameters
        ----------
        host, port
            Address of the daemon.
        timeout
            Seconds to wait for a daemon that is not there yet.
        enable_tls
            Encrypt, and trust the authorities of the system.
        compression
            Of messages to the daemon; for slow links.
        tls_cert_path
            PEM file with the certificate authorities to trust; implies `enable_tls`.
        api_key
            Token that the daemon checks at every call.
        call_timeout
            Seconds after which a call is given up with :class:`DeadlineExceededError`. If the
            daemon is away, calls that are safe to repeat are repeated for so long, and streams
            that are read go on where they broke off if it is back by then.
        silence_timeout
            Seconds without a sign of life after which the daemon, or the line to it, counts as
            lost while something is read or written. A daemon that is only slow gives signs; on a
            slow line they queue behind megabytes of rows.

        Raises
        ------
        UnavailableError
            Nobody answers within `timeout`, or the encrypted connection fails (at once).
        PermissionDeniedError
            The daemon refuses the key (at once).
        InvalidArgumentError
            The certificate file cannot be used, the key cannot be sent, or a time is too short.

        """
        if isinstance(compression, GRPCCompressionAlgorithm):
            compression = GRPCCompression(compression)
        endpoint = Endpoint(
            host=host,
            port=port,
            tls=enable_tls or tls_cert_path is not None,
            root_certificates=read_certificate(tls_cert_path),
            api_key=api_key,
            compression=compression,
            call_timeout=call_timeout,
            silence_timeout=silence_timeout,
        )
        return cls(connection=connect(endpoint, timeout), guard=cls._guard)

    @classmethod
    def from_env(
        cls,
        host: str,
        port: int = DEFAULT_PORT,
        timeout: float = 5,
        *,
        call_timeout: float = 60,
        silence_timeout: float = 60,
    ) -> MosaicoClient:
        """Connect with the credentials in the environment.

        ``MOSAICO_API_KEY`` holds the key; ``MOSAICO_TLS_CERT_FILE`` (or ``MOSAICO_CERT_PATH``)
        names the file of certificate authorities. Each may be missing. Everything else is as in
        :meth:`connect`.
        """
        certificate = os.environ.get('MOSAICO_TLS_CERT_FILE') or os.environ.get(
            'MOSAICO_CERT_PATH'
        )
        return cls.connect(
            host,
            port,
            timeout,
            tls_cert_path=certificate or None,
            api_key=os.environ.get('MOSAICO_API_KEY') or None,
            call_timeout=call_timeout,
            silence_timeout=silence_timeout,
        )

    def info(self) -> ServerInfo:
        """Ask the daemon for its version, message sizes and extensions.

        Raises
        ------
        UnavailableError
            The daemon is gone.

        """
        return probe(self._connection)

    def version(self) -> str:
        """Return the daemon's version text."""
        return self.info().version

    def list_sequences(self) -> list[str]:
        """Return the names of all sequences."""
        return [part for path in self._connection.list_paths() for part in path]

    def sequence_exists(self, sequence_name: str) -> bool:
        """Whether the archive has such a sequence; trouble with the daemon raises."""
        return self._exists(SequenceLocator.parse(sequence_name))

    def topic_exists(self, sequence_name: str, topic_name: str) -> bool:
        """Whether the archive has such a topic; trouble with the daemon raises."""
        return self._exists(TopicLocator.join(sequence_name, topic_name))

    def sequence_handler(self, sequence_name: str) -> SequenceHandler | None:
        """Return the handler of a sequence, `None` if there is none.

        A second call returns the same handler, with its snapshot; ``reload()`` renews it.
        """
        return self._sequences.find(SequenceLocator.parse(sequence_name))

    def topic_handler(self, sequence_name: str, topic_name: str) -> TopicHandler | None:
        """Return the handler of a topic, `None` if there is none; see `sequence_handler`."""
        return self._topics.find(TopicLocator.join(sequence_name, topic_name))

    def recording_handler(self, name: str) -> RecordingHandler | None:
        """Return the handler of a recording with all its parts, `None` if there is none.

        Parameters
        ----------
        name
            Name of its first part. That of a later part means this part alone, as the name of
            any other sequence does.

        """
        from mosaico_ros.client.query.builders import QuerySequence

        first = self.sequence_handler(name)
        if first is None:
            return None
        first.reload()
        recording = recording_id(first)
        if recording is None or first.user_metadata[PART] != 1:
            return RecordingHandler([first])
        found = self.query(QuerySequence().with_user_metadata(RECORDING_ID, eq=recording))
        later = [item.sequence.name for item in found if item.sequence.name != first.name]
        parts = [part for part in map(self.sequence_handler, later) if part is not None]
        for each in parts:
            each.reload()
        return joined([first, *parts])[0]

    def clear_sequence_handlers_cache(self) -> None:
        """Close and forget all sequence handlers."""
        self._sequences.close()

    def clear_topic_handlers_cache(self) -> None:
        """Close and forget all topic handlers."""
        self._topics.close()

    def sequence_create(
        self,
        sequence_name: str | None = None,
        metadata: dict[str, Any] | None = None,
        on_error: SessionLevelErrorPolicy = SessionLevelErrorPolicy.Report,
        *,
        name: str | None = None,
        token: str | None = None,
    ) -> SequenceWriter:
        """Return a writer of a new sequence, for a ``with`` block; nothing is sent before it.

        Parameters
        ----------
        sequence_name
            ASCII letters, digits, ``-`` and ``_``; begins with a letter or digit.
        metadata
            JSON-like dictionary, kept with the sequence and queryable.
        on_error
            What happens if the block fails.
        name
            The same as `sequence_name`.
        token
            A unique name of this creation, such as a UUID. A writer with the same token and
            otherwise the same arguments, in this process or a later one, is given the sequence
            and session that the first one made, finished or not; where it stood,
            :meth:`session_seal` tells. Needs a daemon that offers ``tokens``.

        Raises
        ------
        InvalidArgumentError
            A bad name, or metadata that JSON cannot hold.

        """
        if (sequence_name is None) == (name is None):
            raise InvalidArgumentError(
                'sequence_create needs one name', remedy='Give sequence_name.'
            )
        locator = SequenceLocator.parse(sequence_name if name is None else name)  # type: ignore[arg-type]
        return SequenceWriter(
            self._connection, locator, {} if metadata is None else metadata, on_error, token
        )

    def sequence_update(
        self,
        sequence_name: str,
        on_error: SessionLevelErrorPolicy = SessionLevelErrorPolicy.Report,
    ) -> SequenceUpdater:
        """Return a writer that adds topics to an existing sequence, for a ``with`` block."""
        return SequenceUpdater(self._connection, SequenceLocator.parse(sequence_name), on_error)

    def sequence_delete(self, sequence_name: str) -> None:
        """Delete a sequence with all its sessions, topics and notifications.

        Raises
        ------
        NotFoundError
            There is no such sequence.

        """
        locator = SequenceLocator.parse(sequence_name)
        self._connection.action('sequence_delete', {'locator': str(locator)})
        self._sequences.close(lambda key: key == locator)
        self._topics.close(lambda key: key.sequence == locator.name)

    def session_seal(self, session_uuid: str) -> tuple[dict[str, int], bool]:
        """End a session as it stands, after its writer lost the connection; safe to repeat.

        Uploads under way are interrupted, also those that the daemon has not noticed to be
        broken. Topics without a durable row are removed.

        Parameters
        ----------
        session_uuid
            ``session_uuid`` of its writer.

        Returns
        -------
        rows : dict of str to int
            The durable rows by topic name, with a leading slash; they are the first ones pushed,
            and no more will become durable.
        finalized : bool
            Whether the session is; one without any topic left stays open.

        Raises
        ------
        NotFoundError
            There is no such session, any more.
        UnimplementedError
            The daemon does not offer this.

        """
        if not self._connection.offers(EXTENSION_SEAL):
            raise UnimplementedError('The daemon cannot tell what is durable of a broken session')
        answer = self._connection.action('session_seal', {'session_uuid': session_uuid})
        sealed = shapes.from_json(SessionSealed, answer or {}, 'the answer of session_seal')
        return {topic.locator.topic_name: topic.rows for topic in sealed.topics}, sealed.finalized

    def session_delete(self, locator: str) -> None:
        """Delete a session with its topics; the sequence stays.

        Parameters
        ----------
        locator
            ``<sequence>:<ULID>``, or the uuid of a session of daemons before 0.5.

        Raises
        ------
        NotFoundError
            There is no such session.

        """
        if ':' in locator:
            self._connection.action(
                'session_delete', {'locator': str(SessionLocator.parse(locator))}
            )
        else:
            self._connection.action('session_delete', {'session_uuid': locator})

    def list_sequence_notifications(
        self, sequence_name: str, *, include_topics: bool = False
    ) -> list[Notification]:
        """Return the notifications about a sequence, oldest first.

        Parameters
        ----------
        sequence_name
            The sequence.
        include_topics
            Return those about its topics too.

        """
        locator = SequenceLocator.parse(sequence_name)
        if not include_topics:
            return list_notifications(self._connection, locator)
        if self._connection.offers(EXTENSION_NOTIFICATIONS):
            return list_notifications(self._connection, locator, include_topics=True)
        found = list_notifications(self._connection, locator)
        for name in SequenceHandler(self._connection, locator).topics:
            topic = TopicLocator.join(str(locator), name)
            found += list_notifications(self._connection, topic)
        return sorted(found, key=lambda note: note.created_datetime)

    def clear_sequence_notifications(self, sequence_name: str) -> None:
        """Delete the notifications about a sequence."""
        purge_notifications(self._connection, SequenceLocator.parse(sequence_name))

    def list_topic_notifications(self, sequence_name: str, topic_name: str) -> list[Notification]:
        """Return the notifications about a topic, oldest first."""
        return list_notifications(self._connection, TopicLocator.join(sequence_name, topic_name))

    def clear_topic_notifications(self, sequence_name: str, topic_name: str) -> None:
        """Delete the notifications about a topic."""
        purge_notifications(self._connection, TopicLocator.join(sequence_name, topic_name))

    def query(
        self,
        *queries: QueryBuilder | Combination,
        query: Query | None = None,
        order_by: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> QueryResponse:
        """Find sequences and topics; all conditions of all builders must hold.

        Parameters
        ----------
        *queries
            At most one each of :class:`QuerySequence`, :class:`QueryTopic`,
            :class:`QueryOntologyCatalog`; builders combined by ``&``, ``|`` and ``~``.
        query
            The same as one object, instead.
        order_by
            Order of the sequences: ``created`` (the default), ``name`` or ``start_time``, with
            ``-`` in front for the reverse.
        limit
            Sequences in the answer, at most.
        cursor
            Where to go on: ``next_cursor`` of the last response to the same query.

        Raises
        ------
        InvalidArgumentError
            Nothing given, both forms given, a kind twice, or a condition the daemon refuses.
        UnimplementedError
            The daemon, being a published one, lacks what the query needs.

        """
        wanted = one_query(queries, query)
        body, answer = ask(self._connection, wanted, order=order_by, limit=limit, cursor=cursor)
        return QueryResponse.from_answer(answer, self._connection, body)

    def query_pages(
        self,
        *queries: QueryBuilder | Combination,
        query: Query | None = None,
        order_by: str | None = None,
        page_size: int = 1000,
    ) -> Iterator[QueryResponse]:
        """Yield what :meth:`query` finds page by page, never holding more than one.

        Sequences that come or go meanwhile neither hide nor repeat others. The daemon answers
        anew for each page, so they should not be small.

        Parameters
        ----------
        *queries, query, order_by
            As in :meth:`query`.
        page_size
            Sequences per page, at most.

        """
        wanted = one_query(queries, query)
        cursor: str | None = None
        while True:
            page = self.query(query=wanted, order_by=order_by, limit=page_size, cursor=cursor)
            if page:
                yield page
            cursor = page.next_cursor
            if cursor is None:
                return

    def explain(
        self, *queries: QueryBuilder | Combination, query: Query | None = None
    ) -> QueryPlan:
        """Ask a query for how it is answered: what is pruned, what is opened, how long it takes.

        Parameters and errors as in :meth:`query`.

        Examples
        --------
        >>> print(client.explain(QueryOntologyCatalog(IMU.Q.acceleration.x > 5)))

        """
        _, answer = ask(self._connection, one_query(queries, query), explain=True)
        return QueryPlan.from_dict(answer['plan'])

    def close(self) -> None:
        """Close handlers, streamers and the connection; calling it again does nothing."""
        self.clear_sequence_handlers_cache()
        self.clear_topic_handlers_cache()
        self._connection.close()

    def __enter__(self) -> MosaicoClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f'<MosaicoClient {self._connection.endpoint}>'

    def _exists(self, locator: SequenceLocator | TopicLocator) -> bool:
        try:
            self._connection.flight_info(locator)
        except NotFoundError:
            return False
        return True
