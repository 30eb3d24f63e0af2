"""How a daemon introduces itself: the answer of ``info``, and of ``version``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mosaico_ros.protocol import shapes

#: Generation of the wire protocol; published clients show it, none compares it.
PROTOCOL_VERSION = '0.7.0'

#: Put acknowledgements: see :class:`mosaico_ros.protocol.flights.PutCommand`.
EXTENSION_ACKS = 'acks'
#: Sidecar columns: see :data:`mosaico_ros.protocol.metadata.SIDECAR`.
EXTENSION_SIDECARS = 'sidecars'
#: Striped reads: see :class:`mosaico_ros.protocol.flights.InfoCommand`.
EXTENSION_STRIPES = 'stripes'
#: Repeatable creations: see :class:`mosaico_ros.protocol.requests.Creation`.
EXTENSION_TOKENS = 'tokens'
#: Notifications of all topics at once: see
#: :class:`mosaico_ros.protocol.requests.SequenceNotificationQuery`.
EXTENSION_NOTIFICATIONS = 'notifications'
#: Rows narrowed to some columns: see :class:`mosaico_ros.protocol.flights.InfoCommand`.
EXTENSION_COLUMNS = 'columns'
#: Tickets that clients may cut, to go on where a read stream broke off: see
#: :mod:`mosaico_ros.protocol.ticket`.
EXTENSION_TICKETS = 'tickets'
#: OR, NOT, order, paging and plans of queries: see :mod:`mosaico_ros.protocol.query.where`.
EXTENSION_QUERY = 'query'
#: Sessions ended as they stand: see :class:`mosaico_ros.protocol.requests.SessionSeal`.
EXTENSION_SEAL = 'seal'
#: User metadata added later: see :class:`mosaico_ros.protocol.requests.SessionAnnotate`.
EXTENSION_ANNOTATE = 'annotate'


@dataclass(frozen=True)
class SemVer:
    """A semantic version in parts."""

    major: int
    minor: int
    patch: int
    pre: str = ''

    @classmethod
    def of(cls, version: str) -> SemVer:
        """Read ``major.minor.patch`` with an optional ``-pre``."""
        numbers, _, pre = version.partition('-')
        major, minor, patch = (int(part) for part in numbers.split('.'))
        return cls(major, minor, patch, pre)


@dataclass(frozen=True)
class ServerConfig:
    """Message sizes in bytes; clients cut their batches by the first."""

    grpc_max_decode_message_size: int
    grpc_max_encode_message_size: int
    grpc_target_encode_message_size: int


@dataclass(frozen=True)
class ServerIdentity:
    """Which program answers; an own key, ignored by published clients."""

    name: str
    version: str


@dataclass(frozen=True)
class ServerInfo:
    """Answer of ``info``."""

    version: str
    semver: SemVer
    config: ServerConfig
    server: ServerIdentity | None = None
    extensions: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, config: ServerConfig, server: ServerIdentity) -> ServerInfo:
        """Describe a daemon that offers everything of this package."""
        extensions = [
            EXTENSION_ACKS,
            EXTENSION_SIDECARS,
            EXTENSION_STRIPES,
            EXTENSION_TOKENS,
            EXTENSION_NOTIFICATIONS,
            EXTENSION_COLUMNS,
            EXTENSION_TICKETS,
            EXTENSION_QUERY,
            EXTENSION_SEAL,
            EXTENSION_ANNOTATE,
        ]
        return cls(PROTOCOL_VERSION, SemVer.of(PROTOCOL_VERSION), config, server, extensions)

    def version_json(self) -> dict[str, Any]:
        """Answer of ``version``, as clients up to 0.6 ask for it."""
        body = shapes.to_json(self)
        return {'version': body['version'], 'semver': body['semver']}
