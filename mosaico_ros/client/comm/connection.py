"""One connection to one daemon: the calls of the protocol, with errors translated."""

from __future__ import annotations

import itertools
import threading
import uuid
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import pyarrow as pa
from pyarrow import flight

from mosaico_ros.client.comm.flusher import Flusher
from mosaico_ros.client.comm.retrying import repeat
from mosaico_ros.client.comm.translation import translated
from mosaico_ros.client.enums import GRPCCompressionAlgorithm, GRPCCompressionLevel
from mosaico_ros.protocol import api_keys, codec, envelope, shapes
from mosaico_ros.protocol.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    InvalidArgumentError,
)
from mosaico_ros.protocol.flights import InfoCommand, PutCommand
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN
from mosaico_ros.protocol.server_info import (
    EXTENSION_COLUMNS,
    EXTENSION_STRIPES,
    EXTENSION_TOKENS,
    ServerInfo,
)

__all__ = ['API_KEY_HEADER', 'Connection', 'Endpoint', 'GRPCCompression']

API_KEY_HEADER = api_keys.API_KEY_HEADER.encode('ascii')

_CHANNEL_OPTIONS = [
    # Clients of one process would share a TCP connection otherwise, and its flow control.
    ('grpc.use_local_subchannel_pool', 1),
    # A daemon under restart should be found as soon as it is back: gRPC's own default waits 1 s
    # after the first refused attempt and then up to 2 min.
    ('grpc.initial_reconnect_backoff_ms', 100),
    ('grpc.max_reconnect_backoff_ms', 2000),
    # How long one attempt may take, whatever the name: over a slow line the handshakes of TCP, TLS
    # and HTTP/2 take a second.
    ('grpc.min_reconnect_backoff_ms', 5000),
]
# Threads that read ahead, per client. More topics than threads take turns, batch by batch.
_READ_AHEAD_THREADS = 8
# Below this, pings come closer together than the daemon allows.
_SHORTEST_SILENCE_S = 2
# Actions that change nothing, or nothing the second time. Those that carry a client token can be
# repeated, too; `info` could, but is how a user asks whether the daemon is there.
_REPEATABLE_ACTIONS = frozenset(
    {
        'query',
        'session_annotate',
        'session_seal',  # whose second answer is the first one's
        'sequence_notification_list',
        'topic_notification_list',
    }
)

_T = TypeVar('_T')


@dataclass(frozen=True)
class GRPCCompression:
    """Compression of gRPC messages to the daemon.

    Parameters
    ----------
    algorithm
        What gRPC applies.
    level
        How hard it tries; gRPC's own choice by default.

    """

    algorithm: GRPCCompressionAlgorithm
    level: GRPCCompressionLevel | None = None

    def channel_options(self) -> list[tuple[str, int]]:
        """Return the gRPC channel arguments."""
        if self.algorithm is GRPCCompressionAlgorithm.Null:
            return []
        options = [
            ('grpc.compression_enabled', 1),
            ('grpc.default_compression_algorithm', self.algorithm.value),
        ]
        if self.level is not None:
            options.append(('grpc.default_compression_level', self.level.value))
        return options


@dataclass(frozen=True)
class Endpoint:
    """Where to connect, and how.

    Parameters
    ----------
    host, port
        Address of the daemon.
    tls
        Whether the connection is encrypted.
    root_certificates
        PEM text of the authorities to trust; those of the system by default.
    api_key
        Sent with every call.
    compression
        Of messages to the daemon.
    call_timeout
        Seconds after which a call is given up; those that are safe to repeat are repeated
        meanwhile if the daemon is away.
    silence_timeout
        Seconds without a sign of life after which a connection that is in use counts as lost.

    Raises
    ------
    InvalidArgumentError
        The key cannot be sent, or a time is too short.

    """

    host: str
    port: int
    tls: bool = False
    root_certificates: bytes | None = None
    api_key: str | None = field(default=None, repr=False)
    compression: GRPCCompression = GRPCCompression(GRPCCompressionAlgorithm.Null)
    call_timeout: float = 60
    silence_timeout: float = 60

    def __post_init__(self) -> None:
        if not self.call_timeout > 0:
            raise InvalidArgumentError(f'The call_timeout {self.call_timeout} is no time to wait')
        if not self.silence_timeout >= _SHORTEST_SILENCE_S:
            raise InvalidArgumentError(
                f'The silence_timeout {self.silence_timeout} is too short',
                remedy=f'Allow {_SHORTEST_SILENCE_S} s at least.',
            )
        key = self.api_key
        if key is not None and not (key.isascii() and key.isprintable() and key == key.strip()):
            raise InvalidArgumentError(
                'The API key holds characters that no key has',
                remedy='Was it read from a file with its line break? Strip it.',
            )

    def __str__(self) -> str:
        return f'{self.host}:{self.port}'

    def open(self) -> flight.FlightClient:
        """Return a Flight client; no network traffic happens yet."""
        host = f'[{self.host}]' if ':' in self.host else self.host
        return flight.FlightClient(
            f'{"grpc+tls" if self.tls else "grpc+tcp"}://{host}:{self.port}',
            tls_root_certs=self.root_certificates,
            generic_options=_CHANNEL_OPTIONS
            + self._keepalive_options()
            + self.compression.channel_options(),
        )

    def _keepalive_options(self) -> list[tuple[str, int]]:
        """Return the channel arguments that end the streams of a daemon that hangs.

        A stream has no deadline: it may be long, and slow for good reasons. But a daemon that
        answers no ping is gone, or the line is. The answer to a ping queues behind megabytes of
        rows, which on a slow line takes its time.
        """
        silence_ms = int(self.silence_timeout * 1000)
        return [
            ('grpc.keepalive_time_ms', silence_ms // 3),
            ('grpc.keepalive_timeout_ms', silence_ms * 2 // 3),  # nothing at all arrives
            ('grpc.http2.ping_timeout_ms', silence_ms),  # rows may, but no answer
            ('grpc.http2.max_pings_without_data', 0),
        ]


class Cancellable(Protocol):
    """What the client ends when it is closed."""

    def cancel(self) -> None:
        """End at once; may be called from any thread, and again."""


class Connection:
    """The calls of the protocol over one Flight client; safe to share between threads.

    Calls end within the endpoint's `call_timeout`, streams when the daemon falls silent.
    """

    def __init__(self, endpoint: Endpoint, server: ServerInfo | None = None) -> None:
        self.endpoint = endpoint
        self.server = server
        self.flusher = Flusher()
        self._flight: flight.FlightClient | None = endpoint.open()
        self._headers = (
            [(API_KEY_HEADER, endpoint.api_key.encode())] if endpoint.api_key is not None else []
        )
        self._options = flight.FlightCallOptions(headers=self._headers)
        self._lock = threading.Lock()
        self._streams: weakref.WeakSet[Cancellable] = weakref.WeakSet()
        self._readers: ThreadPoolExecutor | None = None
        self._closed = threading.Event()

    def offers(self, extension: str) -> bool:
        """Whether the daemon announced an extension of the protocol."""
        return self.server is not None and extension in self.server.extensions

    def read_ahead(self, read: Callable[[], _T]) -> Future[_T]:
        """Fetch something in another thread, while the user works on what is there."""
        with self._lock:
            self._check_open()
            if self._readers is None:
                self._readers = ThreadPoolExecutor(_READ_AHEAD_THREADS, 'mosaico-read')
            return self._readers.submit(read)

    def cancel_on_close(self, stream: Cancellable) -> None:
        """End a stream when the connection is closed, if it still exists then."""
        with self._lock:
            self._check_open()
            self._streams.add(stream)

    def action(
        self, name: str, body: dict[str, Any], *, timeout: float | None = None
    ) -> dict[str, Any] | None:
        """Call an action and return its ``response``; `None` for actions without one."""
        request = flight.Action(name, codec.encode(body))
        data = self._call(
            f'The action {name!r}',
            lambda options: b''.join(
                result.body.to_pybytes() for result in self._client().do_action(request, options)
            ),
            timeout,
            repeatable=name in _REPEATABLE_ACTIONS or 'client_token' in body,
        )
        return envelope.open_envelope(name, data) if data else None

    def create(
        self,
        name: str,
        body: dict[str, Any],
        *,
        timeout: float | None = None,
        token: str | None = None,
    ) -> dict[str, Any] | None:
        """Call an action that creates something, so that it is safe to repeat.

        Only where the daemon tells a repetition from a second request. `token` names the request
        for callers that may repeat it later themselves; without one, it gets a new name.
        """
        if self.offers(EXTENSION_TOKENS):
            body = {**body, 'client_token': token or str(uuid.uuid4())}
        return self.action(name, body, timeout=timeout)

    def pages(self, name: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Call an action that answers with one envelope per result; yield them as they come.

        It has no deadline, as nobody knows when they are wanted, and is repeated until the first
        has come. Closing the iterator cancels the call.
        """
        request = flight.Action(name, codec.encode(body))

        def begin(left: float) -> Iterator[bytes]:
            results = self._streamed(request)
            return itertools.chain(list(itertools.islice(results, 1)), results)

        for answer in repeat(begin, self.endpoint.call_timeout, self._closed.wait):
            response = envelope.open_envelope(name, answer)
            if response is not None:
                yield response

    def list_paths(self) -> list[tuple[str, ...]]:
        """Return the path of every Flight that the daemon lists."""

        def paths(options: flight.FlightCallOptions) -> list[tuple[str, ...]]:
            return [
                tuple(part.decode() for part in info.descriptor.path)
                for info in self._client().list_flights(options=options)
                if info.descriptor.descriptor_type == flight.DescriptorType.PATH
            ]

        return self._call('The list of sequences', paths)

    def flight_info(
        self,
        locator: SequenceLocator | TopicLocator,
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        sidecars: bool = False,
        stripes: int = 1,
        columns: Sequence[str] | None = None,
    ) -> flight.FlightInfo:
        """Resolve a sequence or topic, optionally cut to [start_ns, end_ns).

        A topic may come as up to `stripes` endpoints, and narrowed to `columns`, if the daemon
        offers that.
        """
        if not self.offers(EXTENSION_STRIPES):
            stripes = 1
        names = None
        if columns is not None and self.offers(EXTENSION_COLUMNS):
            # The times are needed to go on after a break.
            names = list(dict.fromkeys([TIMESTAMP_COLUMN, *columns]))
        command = _command(InfoCommand(locator, start_ns, end_ns, sidecars, stripes, names))
        return self._call(
            f'The description of {locator}',
            lambda options: self._client().get_flight_info(command, options),
        )

    def schema(self, locator: TopicLocator) -> pa.Schema:
        """Return the stored schema of a topic; empty if nothing was uploaded yet."""
        command = _command(InfoCommand(locator))
        return self._call(
            f'The schema of {locator}',
            lambda options: self._client().get_schema(command, options).schema,
        )

    def open_put(
        self, command: PutCommand, schema: pa.Schema
    ) -> tuple[flight.FlightStreamWriter, flight.FlightMetadataReader]:
        """Open an upload; the schema goes out at once."""
        with translated(str(command.resource_locator), str(self.endpoint)):
            writer, reader = self._client().do_put(_command(command), schema, self._options)
            return writer, reader

    def open_get(self, ticket: flight.Ticket, place: str) -> flight.FlightStreamReader:
        """Open a download; `place` begins the texts of errors."""
        with translated(place, str(self.endpoint)):
            return self._client().do_get(ticket, self._options)

    def close(self) -> None:
        """End the streams and threads, and close the channel; again it does nothing."""
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
            streams = list(self._streams)
        for stream in streams:
            stream.cancel()
        self.flusher.stop()
        if self._readers is not None:
            self._readers.shutdown(wait=True, cancel_futures=True)
        # Its own close() leaves the socket open until the object is gone.
        self._flight = None

    def _client(self) -> flight.FlightClient:
        client = self._flight
        self._check_open()
        assert client is not None
        return client

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise FailedPreconditionError(
                f'The client of {self.endpoint} is closed', remedy='Connect a new one.'
            )

    def _streamed(self, request: flight.Action) -> Iterator[bytes]:
        with translated(peer=str(self.endpoint)):
            for result in self._client().do_action(request, self._options):
                yield result.body.to_pybytes()

    def _call(
        self,
        what: str,
        call: Callable[[flight.FlightCallOptions], _T],
        timeout: float | None = None,
        *,
        repeatable: bool = True,
    ) -> _T:
        """Make a call that has a deadline; `what` it asks for begins the text about that."""
        seconds = self.endpoint.call_timeout if timeout is None else timeout

        def attempt(left: float) -> _T:
            options = flight.FlightCallOptions(timeout=left, headers=self._headers)
            try:
                with translated(peer=str(self.endpoint)):
                    return call(options)
            except DeadlineExceededError as error:
                if error.message != 'Deadline Exceeded':  # the daemon's own, which tells more
                    raise
                doubt = '' if repeatable else ' It may have been carried out all the same.'
                raise DeadlineExceededError(
                    f'{what} was not answered by the daemon at {self.endpoint} within '
                    f'{seconds:g} s',
                    remedy='Does it hang, or need longer? call_timeout of connect() allows more '
                    f'time.{doubt}',
                ) from error

        if not repeatable:
            return attempt(seconds)
        return repeat(attempt, seconds, self._closed.wait)


def _command(body: InfoCommand | PutCommand) -> flight.FlightDescriptor:
    sent = shapes.to_json(body)
    if isinstance(body, InfoCommand) and body.stripes == 1:
        del sent['stripes']  # what a daemon without the extension would be told
    data = {key: value for key, value in sent.items() if value is not False}
    return flight.FlightDescriptor.for_command(codec.encode(data))
