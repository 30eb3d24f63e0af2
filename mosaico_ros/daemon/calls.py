"""What the transport asks of the daemon, in plain types.

The transport knows gRPC and Flight, the endpoints know the archive; these types are all they
share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from mosaico_ros.protocol.api_keys import Permission


@dataclass(frozen=True)
class Descriptor:
    """A Flight descriptor: `command` bytes, or `path` components; the other is `None`."""

    command: bytes | None = None
    path: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Endpoint:
    """One readable part of a flight; no locations means "use this connection"."""

    ticket: bytes
    app_metadata: bytes
    locations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Flight:
    """What GetFlightInfo and ListFlights return; unknown totals are -1."""

    descriptor: Descriptor
    schema: pa.Schema
    endpoints: tuple[Endpoint, ...] = ()
    app_metadata: bytes = b''
    total_records: int = -1
    total_bytes: int = -1


class Put(Protocol):
    """One upload in progress. Exactly one of `finish` and `interrupt` ends it."""

    #: Whether `send` may be called: the client wants to hear of rows becoming durable.
    acknowledges: bool
    #: Whether the client has said that nothing follows; then no doubt is left at the end.
    ended: bool

    def append(self, batch: pa.RecordBatch | None, app_metadata: bytes) -> None:
        """Take one message of the stream: a batch, application metadata, or both."""

    def settle(self) -> None:
        """Make durable what has arrived, without completing the upload yet."""

    def finish(self) -> None:
        """Complete the upload."""

    def interrupt(self, reason: str) -> None:
        """End the upload without completing it."""


class Gate(Protocol):
    """Who may call what."""

    def admit(self, token: str | None, needed: Permission, call: str) -> None:
        """Let `call` pass, or raise PermissionDeniedError.

        `token` is what the caller sent as API key. Cheap: long calls ask at every message.
        """


class OpenGate:
    """The gate of a daemon that demands no API keys."""

    def admit(self, token: str | None, needed: Permission, call: str) -> None:
        """Let everybody pass."""


class Calls(Protocol):
    """The calls that the transport serves; errors are :class:`MosaicoError`."""

    def check(self) -> None:
        """Raise what keeps the daemon from serving, if anything does."""

    def action_types(self) -> Iterable[tuple[str, str]]:
        """Name and description of each action."""

    def permission(self, action: str) -> Permission:
        """What performing an action needs; an unknown one, what any call needs."""

    def do_action(self, name: str, body: bytes, alive: Callable[[], bool]) -> Iterator[bytes]:
        """Perform an action; one ``Result`` body per item.

        `alive` tells whether the caller still waits.
        """

    def list_flights(self, criteria: bytes) -> Iterator[Flight]:
        """List what can be read."""

    def get_flight_info(self, descriptor: Descriptor) -> Flight:
        """Describe a sequence or a topic."""

    def get_schema(self, descriptor: Descriptor) -> pa.Schema:
        """Return the schema of a topic."""

    def do_get(self, ticket: bytes) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """Read a topic."""

    def begin_put(
        self, descriptor: Descriptor, schema: pa.Schema, send: Callable[[bytes], None]
    ) -> Put:
        """Begin an upload; `send` takes ``PutResult.app_metadata``, from any thread."""
