"""What writers of new sequences and of additions have in common: one session."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mosaico_ros.client.comm.connection import Connection
from mosaico_ros.client.enums import (
    SessionLevelErrorPolicy,
    SessionStatus,
    TopicLevelErrorPolicy,
)
from mosaico_ros.client.handlers.app_metadata import read_sequence, read_topics
from mosaico_ros.client.handlers.topic_writer import TopicWriter
from mosaico_ros.client.handlers.upload import Upload
from mosaico_ros.client.logging_config import get_logger
from mosaico_ros.client.progress import Meter
from mosaico_ros.protocol import codec, metadata
from mosaico_ros.protocol.errors import (
    AlreadyExistsError,
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    MosaicoError,
    UnavailableError,
    UnimplementedError,
)
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
from mosaico_ros.protocol.server_info import EXTENSION_ANNOTATE

if TYPE_CHECKING:
    from typing_extensions import Self

    from mosaico_ros.models.core import Serializable

__all__ = ['BaseSessionWriter', 'check_user_metadata']

logger = get_logger(__name__)

# How long a notification waits for a daemon that is away: one that restarts is back by then, and
# the failure that it tells of should not be raised much later.
_NOTIFY_S = 5.0


def check_user_metadata(value: dict[str, Any]) -> dict[str, Any]:
    """Return user metadata that the wire can carry.

    Raises
    ------
    InvalidArgumentError
        Not a dictionary with text keys, or a value that JSON cannot hold; names its place.

    """
    if not isinstance(value, dict):
        raise InvalidArgumentError(
            f'The metadata is a {type(value).__name__}', remedy='Give a dictionary.'
        )
    codec.check_json(value, 'metadata')
    return value


class BaseSessionWriter(ABC):
    """One session of uploads, opened and closed by a ``with`` block."""

    def __init__(
        self,
        connection: Connection,
        sequence: SequenceLocator,
        on_error: SessionLevelErrorPolicy,
        token: str | None = None,
    ) -> None:
        self._connection = connection
        self._token = token
        self._sequence = sequence
        self._on_error = on_error
        self._status = SessionStatus.Null
        self._session_uuid: str | None = None
        self._session_locator: str | None = None
        self._writers: dict[str, TopicWriter] = {}
        self._lock = threading.Lock()
        self._lost = False
        self._meter = Meter(f'Writing {sequence}')

    @property
    def sequence_name(self) -> str:
        """Name of the sequence that is written to."""
        return str(self._sequence)

    @property
    def session_status(self) -> SessionStatus:
        """Where the session stands."""
        return self._status

    @property
    def session_locator(self) -> str:
        """``<sequence>:<ULID>``.

        Raises
        ------
        FailedPreconditionError
            Outside the ``with`` block.

        """
        self._check_entered()
        return self._session_locator or ''

    @property
    def session_uuid(self) -> str:
        """The authority to write to the session; keep it secret.

        Raises
        ------
        FailedPreconditionError
            Outside the ``with`` block.

        """
        self._check_entered()
        assert self._session_uuid is not None
        return self._session_uuid

    @abstractmethod
    def _begin(self) -> None:
        """Prepare the sequence."""

    @abstractmethod
    def _remove_sequence(self) -> None:
        """Remove what :meth:`_begin` made, if it made something."""

    def __enter__(self) -> Self:
        if self._status is not SessionStatus.Null:
            raise FailedPreconditionError(
                f'The writer of {self._sequence} was used before', remedy='Make a new one.'
            )
        self._begin()
        try:
            answer = self._connection.create(
                'session_create',
                {'locator': str(self._sequence)},
                token=self._token and f'{self._token}/session',
            )
            if not answer or 'uuid' not in answer:
                raise InternalError(f'The daemon opened no session on {self._sequence}')
        except MosaicoError:
            if self._on_error is SessionLevelErrorPolicy.Delete:
                self._quietly('remove the sequence', self._remove_sequence)
            raise
        self._session_uuid = answer['uuid']
        self._session_locator = answer.get('locator')
        self._status = SessionStatus.Pending
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._meter.close()
        if error is not None:
            self._fail(error)
            return
        failure: Exception | None = None
        for writer in self._writers.values():
            writer.end()
        for writer in self._writers.values():
            try:
                writer.close()
            except Exception as broken:
                # One broken topic must not cost the others their rows.
                logger.error('Topic %s could not be closed: %s', writer.name, broken)
                failure = failure or broken
            finally:
                self._connection.flusher.remove(writer)
        if failure is None:
            try:
                self._finalize()
            except MosaicoError as refused:
                failure = refused
        if failure is not None:
            self._fail(failure)
            raise failure
        self._status = SessionStatus.Finalized

    def topic_create(
        self,
        topic_name: str,
        metadata: dict[str, Any] | None = None,
        ontology_type: type[Serializable] | None = None,
        on_error: TopicLevelErrorPolicy = TopicLevelErrorPolicy.Raise,
        *,
        schema: pa.Schema | None = None,
    ) -> TopicWriter:
        """Create a topic and open its upload.

        Parameters
        ----------
        topic_name
            For example ``/arm/imu``.
        metadata
            JSON-like dictionary, kept with the topic.
        ontology_type
            Type of the topic's messages.
        on_error
            What the writer's own ``with`` block does with errors.
        schema
            The ontology's writer schema with sidecar columns behind it, for
            :meth:`TopicWriter.push_batch`. Sidecars are left out if the daemon does not take them;
            :attr:`TopicWriter.schema` says which columns the topic has.

        Raises
        ------
        FailedPreconditionError
            Outside the ``with`` block.
        InvalidArgumentError
            A bad name, bad metadata, a type that is not an ontology type, a foreign schema.
        AlreadyExistsError
            The sequence has such a topic.

        """
        self._check_entered()
        locator = TopicLocator.join(str(self._sequence), topic_name)
        user_metadata = check_user_metadata({} if metadata is None else metadata)
        stream_schema = self._stream_schema(locator, ontology_type, schema)
        assert ontology_type is not None  # _stream_schema refuses it
        return self._create(
            topic_name, locator, user_metadata, ontology_type, stream_schema, on_error
        )

    def annotate(
        self,
        metadata: dict[str, Any] | None = None,
        topics: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        """Add to user metadata what is known only now; keys that exist are replaced.

        Parameters
        ----------
        metadata
            For the sequence.
        topics
            For topics of this session, by name; their writers have to be closed.

        Raises
        ------
        FailedPreconditionError
            A topic is still being written, or this is outside the ``with`` block.
        UnimplementedError
            The daemon does not offer this.

        """
        self._check_entered()
        if not self._connection.offers(EXTENSION_ANNOTATE):
            raise UnimplementedError('The daemon does not let metadata be added later')
        self._connection.action(
            'session_annotate',
            {
                'session_uuid': self._session_uuid,
                'user_metadata': check_user_metadata(metadata or {}),
                'topics': [
                    {
                        'locator': str(TopicLocator.join(str(self._sequence), name)),
                        'user_metadata': check_user_metadata(note),
                    }
                    for name, note in (topics or {}).items()
                ],
            },
        )

    def get_topic_writer(self, topic_name: str) -> TopicWriter | None:
        """Return this session's writer of a topic; slashes around the name do not matter."""
        return self._writers.get(_key(topic_name))

    def topic_writer_exists(self, topic_name: str) -> bool:
        """Whether this session writes such a topic."""
        return _key(topic_name) in self._writers

    def list_topic_writers(self) -> list[str]:
        """Return the names of this session's topics, as they were given."""
        return [writer.name for writer in self._writers.values()]

    def _create(
        self,
        name: str,
        locator: TopicLocator,
        user_metadata: dict[str, Any],
        ontology_type: type[Serializable],
        schema: pa.Schema,
        on_error: TopicLevelErrorPolicy,
    ) -> TopicWriter:
        with self._lock:
            if locator.path in self._writers:
                raise AlreadyExistsError(
                    f'This session already writes the topic {locator}',
                    remedy='get_topic_writer returns its writer.',
                )
            answer = self._connection.create(
                'topic_create',
                {
                    'session_uuid': self._session_uuid,
                    'locator': str(locator),
                    'serialization_format': ontology_type.serialization_format().value,
                    'ontology_tag': ontology_type.ontology_tag(),
                    'user_metadata': user_metadata,
                },
            )
            if not answer or 'uuid' not in answer:
                raise InternalError(f'The daemon created no topic {locator}')
            try:
                upload = Upload(self._connection, locator, answer['uuid'], schema)
            except MosaicoError:
                self._quietly(
                    'remove the topic',
                    lambda: self._connection.action('topic_delete', {'locator': str(locator)}),
                )
                raise
            writer = TopicWriter(
                name,
                ontology_type,
                upload,
                on_error,
                lambda text: self._notify_topic(locator, text),
                self._meter,
            )
            self._writers[locator.path] = writer
        self._connection.flusher.add(writer)
        return writer

    def _stream_schema(
        self,
        locator: TopicLocator,
        ontology_type: type[Serializable] | None,
        wanted: pa.Schema | None,
    ) -> pa.Schema:
        from mosaico_ros.models.core import Serializable, columns

        if not (isinstance(ontology_type, type) and issubclass(ontology_type, Serializable)):
            raise InvalidArgumentError(
                f'The ontology_type of topic {locator} is {ontology_type!r}',
                remedy='Give a class derived from Serializable, for example IMU.',
            )
        own = columns.writer_schema(ontology_type)
        if wanted is None:
            return own
        fields = list(wanted)
        head, tail = fields[: len(own)], fields[len(own) :]
        if not pa.schema(head).equals(own) or not all(
            metadata.is_sidecar(field.metadata) for field in tail
        ):
            raise InvalidArgumentError(
                f'The schema given for topic {locator} is not that of {ontology_type.__name__}',
                remedy="It must begin with the ontology's columns; further ones need the field "
                'metadata that marks a sidecar.',
            )
        return pa.schema([*own, *tail]) if self._connection.offers('sidecars') else own

    def _check_entered(self) -> None:
        if self._status is not SessionStatus.Pending:
            raise FailedPreconditionError(
                f'The writer of {self._sequence} is not open', remedy='Use it in a with block.'
            )

    def _fail(self, error: BaseException) -> None:
        """Apply the session's policy; the caller lets the error propagate."""
        keep = self._on_error is SessionLevelErrorPolicy.Report
        for writer in self._writers.values():
            try:
                writer.close_after(error, keep_rows=keep)
            except Exception as broken:
                logger.error('Topic %s could not be closed: %s', writer.name, broken)
            self._connection.flusher.remove(writer)
        if keep:
            text = f'The session {self._session_locator} of {self._sequence} failed.\n{error!r}'
            self._quietly('notify', lambda: self._notify_sequence(text))
            self._quietly('finalize the session', self._finalize)
        else:
            self._quietly('delete the session', self._delete_session)
            self._quietly('delete the sequence', self._remove_sequence)
        if self._lost:
            logger.error(
                '%s: the daemon is away, so the session %s stays open',
                self._sequence,
                self._session_locator,
            )
        self._status = SessionStatus.Error

    def _finalize(self) -> None:
        request = {'session_uuid': self._session_uuid}
        try:
            self._connection.action('session_finalize', request)
        except UnavailableError:
            if not self._finalized():  # it may be only the answer that was lost
                self._connection.action('session_finalize', request)

    def _finalized(self) -> bool:
        info = self._connection.flight_info(self._sequence)
        own = self._session_locator or self._session_uuid
        sessions = read_sequence(info, read_topics(info)).sessions
        return any(session.locator == own and session.locked for session in sessions)

    def _delete_session(self) -> None:
        # Daemons before 0.5 name sessions by their uuid alone.
        key = 'locator' if self._session_locator else 'session_uuid'
        self._connection.action(
            'session_delete', {key: self._session_locator or self._session_uuid}
        )

    def _notify_topic(self, locator: TopicLocator, text: str) -> None:
        self._quietly('notify', lambda: self._notify('topic', str(locator), text))

    def _notify_sequence(self, text: str) -> None:
        self._notify('sequence', str(self._sequence), text)

    def _notify(self, kind: str, locator: str, text: str) -> None:
        self._connection.create(
            f'{kind}_notification_create',
            {'locator': locator, 'notification_type': 'error', 'msg': text},
            timeout=_NOTIFY_S,
        )

    def _quietly(self, what: str, call: Callable[[], object]) -> None:
        """Call the daemon for the clean-up; a failure there must not hide what caused it."""
        if self._lost:  # a hundred topics need not each find out
            return
        try:
            call()
        except Exception as error:
            self._lost = isinstance(error, (UnavailableError, DeadlineExceededError))
            logger.error('%s: could not %s: %s', self._sequence, what, error)


def _key(topic_name: str) -> str:
    return '/'.join(part for part in topic_name.split('/') if part)
