"""What actions are asked with.

``shapes.from_json`` and ``shapes.to_json`` translate between these and JSON objects.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from uuid import UUID

from mosaico_ros.protocol.api_keys import Permission, parse_fingerprint
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.limits import MAX_TAG_LENGTH, MAX_TOKEN_LENGTH
from mosaico_ros.protocol.locators import SequenceLocator, SessionLocator, TopicLocator
from mosaico_ros.protocol.serialization import SerializationFormat
from mosaico_ros.protocol.windows import TimeRange, check_window


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
