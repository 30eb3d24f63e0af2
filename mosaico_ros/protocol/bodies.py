"""Typed bodies of actions, descriptors and app_metadata.

``shapes.from_json`` and ``shapes.to_json`` translate between these and JSON objects.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from uuid import UUID

from mosaico_ros.protocol.api_keys import Permission, parse_fingerprint
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.limits import (
    MAX_COLUMN_PATH_BYTES,
    MAX_STRIPES,
    MAX_TAG_LENGTH,
    MAX_TOKEN_LENGTH,
)
from mosaico_ros.protocol.locators import (
    SequenceLocator,
    SessionLocator,
    TopicLocator,
)
from mosaico_ros.protocol.serialization import SerializationFormat

# --- Requests of actions ------------------------------------------------------------------


@dataclass(frozen=True)
class Empty:
    """No parameters: ``info``, ``version``."""


@dataclass(frozen=True)
class Creation:
    """What all requests to create something have.

    `client_token` (an extension) makes the call repeatable after a lost answer: a second call
    with the same token and otherwise the same body creates nothing more and is answered as the
    first. A token names one request, so it has to be new each time, such as a random UUID.
    """

    client_token: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        token = self.client_token
        if token is not None and not 0 < len(token) <= MAX_TOKEN_LENGTH:
            raise InvalidArgumentError(
                f"The field 'client_token' has {len(token)} characters",
                remedy=f'Give 1 to {MAX_TOKEN_LENGTH}, for example a random UUID.',
            )


@dataclass(frozen=True)
class SequenceCreate(Creation):
    """``sequence_create``."""

    locator: SequenceLocator
    user_metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SessionCreate(Creation):
    """``session_create``."""

    locator: SequenceLocator


@dataclass(frozen=True)
class SequenceRef:
    """``sequence_delete`` and ``sequence_notification_purge``."""

    locator: SequenceLocator


@dataclass(frozen=True)
class SequenceNotificationQuery:
    """``sequence_notification_list``; `include_topics` (an extension) adds those of all topics."""

    locator: SequenceLocator
    include_topics: bool = False


@dataclass(frozen=True)
class TopicRef:
    """``topic_delete``, ``topic_notification_list`` and ``_purge``."""

    locator: TopicLocator


@dataclass(frozen=True)
class SessionFinalize:
    """``session_finalize``."""

    session_uuid: UUID


@dataclass(frozen=True)
class SessionSeal:
    """``session_seal`` (an extension): end a session as it stands; safe to repeat.

    For a writer that lost sight of its uploads. Those under way are interrupted, so that nothing
    more of them becomes durable; topics without a durable row go, and the session is finalized
    unless none is left.
    """

    session_uuid: UUID


@dataclass(frozen=True)
class TopicNote:
    """User metadata to add to a topic."""

    locator: TopicLocator
    user_metadata: dict[str, Any]


@dataclass(frozen=True)
class SessionAnnotate:
    """``session_annotate`` (an extension): add to user metadata while a session is open.

    For what is known only at the end. Keys that exist already are replaced. `user_metadata` is
    for the sequence; `topics` are of the session, and not being uploaded.
    """

    session_uuid: UUID
    user_metadata: dict[str, Any] = field(default_factory=dict)
    topics: list[TopicNote] = field(default_factory=list)


@dataclass(frozen=True)
class SessionDelete:
    """``session_delete``: by locator, or by uuid as clients up to 0.4 do."""

    locator: SessionLocator | None = None
    session_uuid: UUID | None = None

    def __post_init__(self) -> None:
        if self.locator is None and self.session_uuid is None:
            raise InvalidArgumentError(
                'session_delete names no session', remedy="Give 'locator' or 'session_uuid'."
            )


@dataclass(frozen=True)
class TopicCreate(Creation):
    """``topic_create``. Any tag of at most 255 characters is accepted."""

    session_uuid: UUID
    locator: TopicLocator
    serialization_format: SerializationFormat
    ontology_tag: str
    user_metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.ontology_tag:
            raise InvalidArgumentError(f'The ontology tag of {self.locator} is empty')
        if len(self.ontology_tag) > MAX_TAG_LENGTH:
            raise InvalidArgumentError(
                f'The ontology tag of {self.locator} has {len(self.ontology_tag)} characters',
                remedy=f'It may have at most {MAX_TAG_LENGTH}.',
            )


class NotificationType(str, Enum):
    """Kinds of notifications; published clients know only this one."""

    ERROR = 'error'


@dataclass(frozen=True)
class SequenceNotificationCreate(Creation):
    """``sequence_notification_create``."""

    locator: SequenceLocator
    notification_type: NotificationType
    msg: str


@dataclass(frozen=True)
class TopicNotificationCreate(Creation):
    """``topic_notification_create``."""

    locator: TopicLocator
    notification_type: NotificationType
    msg: str


@dataclass(frozen=True)
class TimeRange:
    """A span of ``timestamp_ns``; whether the end counts is said where it is used."""

    start_ns: int
    end_ns: int


@dataclass(frozen=True)
class Clusterize:
    """``topic_filter_clusterize``; conditions are not yet parsed.

    `timestamp_range` is half-open. `where`, an extension, holds conditions on rows as a tree.
    """

    locator: TopicLocator
    clustering_dt_ns: int
    ontology: dict[str, Any]
    timestamp_range: TimeRange | None = None
    where: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.clustering_dt_ns < 0:
            raise InvalidArgumentError(
                f"The field 'clustering_dt_ns' is negative: {self.clustering_dt_ns}"
            )
        if not self.ontology and self.where is None:
            raise InvalidArgumentError(
                f"The field 'ontology' names no condition on {self.locator}",
                remedy='Clusters are made of rows that satisfy at least one condition.',
            )
        window = self.timestamp_range
        if window is not None:
            check_window(window.start_ns, window.end_ns)


@dataclass(frozen=True)
class Intersect:
    """``topic_filter_intersect``."""

    topics: list[Clusterize]
    intersect_dt_ns: int = 0

    def __post_init__(self) -> None:
        if self.intersect_dt_ns < 0:
            raise InvalidArgumentError(
                f"The field 'intersect_dt_ns' is negative: {self.intersect_dt_ns}"
            )
        if len(self.topics) < 2:
            raise InvalidArgumentError("The field 'topics' needs at least two topics")
        sequences = sorted({topic.locator.sequence for topic in self.topics})
        if len(sequences) > 1:
            raise InvalidArgumentError(
                f"The field 'topics' spans the sequences {', '.join(sequences)}",
                remedy='Intersect topics of one sequence.',
            )


@dataclass(frozen=True)
class ApiKeyCreate:
    """``api_key_create``; without `expires_at_ns` the key never expires."""

    permissions: Permission
    description: str = ''
    expires_at_ns: int | None = None


@dataclass(frozen=True)
class ApiKeyRef:
    """``api_key_status`` and ``api_key_revoke``."""

    api_key_fingerprint: str

    def __post_init__(self) -> None:
        parse_fingerprint(self.api_key_fingerprint)


# --- Descriptors --------------------------------------------------------------------------


@dataclass(frozen=True)
class PutCommand:
    """Descriptor of DoPut; `acks` (an extension) asks for acknowledgements of durable rows."""

    resource_locator: TopicLocator
    topic_uuid: UUID
    acks: bool = False


@dataclass(frozen=True)
class InfoCommand:
    """Descriptor of GetFlightInfo and GetSchema; the window is [start, end).

    `sidecars` (an extension) asks for sidecar columns. `stripes` (an extension) allows a topic to
    come as up to so many endpoints, to be read in parallel: of about equal work, all rows of one
    before those of the next. Each carries the ``app_metadata`` of the whole: what is stored of
    the topic and counted in the window asked for, not in the stripe. Sequences are not striped.
    `columns` (an extension) narrows the rows of a topic to some columns, or paths into structs;
    of a sequence, topics are read whole.
    """

    resource_locator: SequenceLocator | TopicLocator
    timestamp_ns_start: int | None = None
    timestamp_ns_end: int | None = None
    sidecars: bool = False
    stripes: int = 1
    columns: list[str] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.stripes <= MAX_STRIPES:
            raise InvalidArgumentError(
                f"The field 'stripes' is {self.stripes}", remedy=f'Ask for 1 to {MAX_STRIPES}.'
            )
        for column in self.columns or ():
            if len(column.encode()) > MAX_COLUMN_PATH_BYTES:
                raise InvalidArgumentError(f'The column name {column[:80]!r}... is too long')
        if isinstance(self.resource_locator, SessionLocator):
            raise InvalidArgumentError(
                f'{self.resource_locator} is a session', remedy='Name a sequence or a topic.'
            )
        check_window(self.timestamp_ns_start, self.timestamp_ns_end)


def check_window(start_ns: int | None, end_ns: int | None) -> None:
    """Check that a half-open window is not empty.

    Raises
    ------
    InvalidArgumentError
        If both bounds are given and start >= end.

    """
    if start_ns is not None and end_ns is not None and start_ns >= end_ns:
        raise InvalidArgumentError(
            f'The window [{start_ns}, {end_ns}) is empty',
            remedy='The end is exclusive and must be after the start.',
        )


# --- app_metadata in DoPut (extension "acks") ------------------------------------------------


@dataclass(frozen=True)
class PutMark:
    """Per-message app_metadata of our client.

    `commit`: make everything up to and including this batch durable now. `end` with `rows`:
    the upload is complete and has this many rows.
    """

    commit: bool = False
    end: bool = False
    rows: int | None = None


@dataclass(frozen=True)
class PutAck:
    """PutResult.app_metadata: so many rows of this upload survive a crash from now on."""

    durable_rows: int


# --- Answers --------------------------------------------------------------------------------


@dataclass(frozen=True)
class SessionCreated:
    """Answer of ``session_create``; published clients accept exactly these keys."""

    uuid: UUID
    locator: SessionLocator


@dataclass(frozen=True)
class TopicCreated:
    """Answer of ``topic_create``; published clients accept exactly this key."""

    uuid: UUID


@dataclass(frozen=True)
class Notification:
    """One entry of a notification list.

    `created_datetime` reads ``YYYY-MM-DD HH:MM:SS.ffffff UTC``.
    """

    name: str
    notification_type: str
    msg: str
    created_datetime: str


@dataclass(frozen=True)
class NotificationList:
    """Answer of ``*_notification_list``, oldest first."""

    notifications: list[Notification]


@dataclass(frozen=True)
class QueryTopicItem:
    """One topic of a query answer.

    `timestamp_range` is inclusive at both ends. `rows`, only of queries with ``where``, is the
    tree of conditions by which its rows matched; ``topic_filter_*`` take it as `where`.
    """

    locator: TopicLocator
    ontology_tag: str | None = None
    timestamp_range: tuple[int, int] | None = None
    rows: dict[str, Any] | None = None


@dataclass(frozen=True)
class QueryItem:
    """One sequence of a query answer, with at least one topic."""

    sequence: SequenceLocator
    topics: list[QueryTopicItem]


@dataclass(frozen=True)
class QueryAnswer:
    """Answer of ``query``; with a limit also where to go on, and the plan if asked for."""

    items: list[QueryItem]
    next_cursor: str | None = None
    plan: dict[str, Any] | None = None


@dataclass(frozen=True)
class TopicRows:
    """A topic and its durable rows."""

    locator: TopicLocator
    rows: int


@dataclass(frozen=True)
class SessionSealed:
    """Answer of ``session_seal``: what is durable, for good.

    A session without any topic left is not `finalized`, and can be used on.
    """

    topics: list[TopicRows]
    finalized: bool


@dataclass(frozen=True)
class Cluster:
    """One page of ``topic_filter_*``; both ends of `ts` are inclusive."""

    ts: TimeRange
    id: int


@dataclass(frozen=True)
class ApiKeyCreated:
    """Answer of ``api_key_create``: the only place where a whole token appears."""

    api_key_token: str = field(repr=False)


@dataclass(frozen=True)
class ApiKeyStatus:
    """Answer of ``api_key_status``; a null expiry is sent, not left out."""

    api_key_fingerprint: str
    created_at_ns: int
    expires_at_ns: int | None
    description: str


# --- app_metadata of GetFlightInfo -----------------------------------------------------------


@dataclass(frozen=True)
class DataInfo:
    """Statistics of a whole topic; the interval is inclusive, `None` without rows."""

    interval: TimeRange | None
    total_row_count: int
    total_bytes: int
    total_chunks_count: int


@dataclass(frozen=True)
class WindowInfo:
    """Statistics of the requested window; first and last row inside it, inclusive."""

    interval: TimeRange | None
    row_count: int


@dataclass(frozen=True)
class LegacyInfo:
    """Statistics as clients up to 0.6 and PlotJuggler read them."""

    chunks_number: int
    total_bytes: int
    timestamp: TimeRange | None


@dataclass(frozen=True)
class TopicInfo:
    """app_metadata of an endpoint."""

    resource_locator: TopicLocator
    session_locator: SessionLocator | None
    created_at_ns: int
    completed_at_ns: int | None
    locked: bool
    ontology_tag: str
    serialization_format: SerializationFormat
    user_metadata: dict[str, Any]
    data_info: DataInfo
    info: LegacyInfo
    time_window_info: WindowInfo | None = None


@dataclass(frozen=True)
class SessionInfo:
    """One session in the app_metadata of a sequence; `uuid` only in legacy mode."""

    locator: SessionLocator
    created_at_ns: int
    completed_at_ns: int | None
    locked: bool
    topics: list[TopicLocator]
    uuid: UUID | None = None


@dataclass(frozen=True)
class SequenceInfo:
    """app_metadata of the FlightInfo of a sequence."""

    resource_locator: SequenceLocator
    created_at_ns: int
    user_metadata: dict[str, Any]
    sessions: list[SessionInfo]
