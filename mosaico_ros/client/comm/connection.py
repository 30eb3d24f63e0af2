"""One connection to one daemon: the calls of the protocol, with errors translated."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from pyarrow import flight

from mosaico_ros.client.comm.flusher import Flusher
from mosaico_ros.client.comm.translation import translated
from mosaico_ros.client.enums import GRPCCompressionAlgorithm, GRPCCompressionLevel
from mosaico_ros.protocol import api_keys, codec, envelope, shapes
from mosaico_ros.protocol.bodies import InfoCommand, PutCommand
from mosaico_ros.protocol.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    UnavailableError,
)
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
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
    ('grpc.min_reconnect_backoff_ms', 100),
    ('grpc.max_reconnect_backoff_ms', 2000),
]
# Threads that read ahead, per client. More topics than threads take turns, batch by batch.
_READ_AHEAD_THREADS = 8


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

    Raises
    ------
    InvalidArgumentError
        The key cannot be sent.

    """

    host: str
    port: int
    tls: bool = False
    root_certificates: bytes | None = None
    api_key: str | None = field(default=None, repr=False)
    compression: GRPCCompression = GRPCCompression(GRPCCompressionAlgorithm.Null)

    def __post_init__(self) -> None:
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
            generic_options=_CHANNEL_OPTIONS + self.compression.channel_options(),
        )


class Connection:
    """The calls of the protocol over one Flight client; safe to share between threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.server: ServerInfo | None = None
        self.flusher = Flusher()
        self._flight = endpoint.open()
        self._headers = (
            [(API_KEY_HEADER, endpoint.api_key.encode())] if endpoint.api_key is not None else []
        )
        self._options = flight.FlightCallOptions(headers=self._headers)
        self._lock = threading.Lock()
        self._read_ahead: ThreadPoolExecutor | None = None
        self._closed = False

    @property
    def read_ahead(self) -> ThreadPoolExecutor:
        """Threads that fetch the next batches while the user works on the current ones."""
        with self._lock:
            if self._closed:
                raise FailedPreconditionError(
                    f'The client of {self.endpoint} is closed', remedy='Connect a new one.'
                )
            if self._read_ahead is None:
                self._read_ahead = ThreadPoolExecutor(_READ_AHEAD_THREADS, 'mosaico-read')
            return self._read_ahead

    def offers(self, extension: str) -> bool:
        """Whether the daemon announced an extension of the protocol."""
        return self.server is not None and extension in self.server.extensions

    def action(
        self, name: str, body: dict[str, Any], *, timeout: float | None = None
    ) -> dict[str, Any] | None:
        """Call an action and return its ``response``; `None` for actions without one."""
        data = b''.join(self._results(name, body, timeout))
        if not data:
            return None
        return envelope.open_envelope(name, data)

    def create(self, name: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Call an action that creates something; once more if its answer may have been lost.

        Only where the daemon tells a repetition from a second request.
        """
        if not self.offers(EXTENSION_TOKENS):
            return self.action(name, body)
        body = {**body, 'client_token': str(uuid.uuid4())}
        try:
            return self.action(name, body)
        except UnavailableError:
            return self.action(name, body)

    def pages(self, name: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Call an action that answers with one envelope per result; yield them as they come.

        Closing the iterator cancels the call.
        """
        for answer in self._results(name, body, None):
            response = envelope.open_envelope(name, answer)
            if response is not None:
                yield response

    def list_paths(self) -> Iterator[tuple[str, ...]]:
        """Yield the path of every Flight that the daemon lists."""
        with translated(peer=str(self.endpoint)):
            for info in self._client().list_flights(options=self._options):
                if info.descriptor.descriptor_type == flight.DescriptorType.PATH:
                    yield tuple(part.decode() for part in info.descriptor.path)

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
            names = list(columns)
        command = InfoCommand(locator, start_ns, end_ns, sidecars, stripes, names)
        with translated(peer=str(self.endpoint)):
            return self._client().get_flight_info(_command(command), self._options)

    def schema(self, locator: TopicLocator) -> pa.Schema:
        """Return the stored schema of a topic; empty if nothing was uploaded yet."""
        with translated(peer=str(self.endpoint)):
            return self._client().get_schema(_command(InfoCommand(locator)), self._options).schema

    def open_put(
        self, command: PutCommand, schema: pa.Schema
    ) -> tuple[flight.FlightStreamWriter, flight.FlightMetadataReader]:
        """Open an upload; the schema goes out at once."""
        with translated(str(command.resource_locator)):
            writer, reader = self._client().do_put(_command(command), schema, self._options)
            return writer, reader

    def open_get(self, ticket: flight.Ticket) -> flight.FlightStreamReader:
        """Open a download."""
        with translated(peer=str(self.endpoint)):
            return self._client().do_get(ticket, self._options)

    def close(self) -> None:
        """Stop the threads and close the channel; calling it again does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            read_ahead = self._read_ahead
        self.flusher.stop()
        if read_ahead is not None:
            read_ahead.shutdown(wait=True, cancel_futures=True)
        self._flight.close()

    def _client(self) -> flight.FlightClient:
        if self._closed:
            raise FailedPreconditionError(
                f'The client of {self.endpoint} is closed', remedy='Connect a new one.'
            )
        return self._flight

    def _results(self, name: str, body: dict[str, Any], timeout: float | None) -> Iterator[bytes]:
        options = self._options
        if timeout is not None:
            options = flight.FlightCallOptions(timeout=timeout, headers=self._headers)
        request = flight.Action(name, codec.encode(body))
        with translated(peer=str(self.endpoint)):
            for result in self._client().do_action(request, options):
                yield result.body.to_pybytes()


def _command(body: InfoCommand | PutCommand) -> flight.FlightDescriptor:
    sent = shapes.to_json(body)
    if isinstance(body, InfoCommand) and body.stripes == 1:
        del sent['stripes']  # what a daemon without the extension would be told
    data = {key: value for key, value in sent.items() if value is not False}
    return flight.FlightDescriptor.for_command(codec.encode(data))
