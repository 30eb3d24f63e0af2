"""What actions answer.

``shapes.from_json`` and ``shapes.to_json`` translate between these and JSON objects.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
from mosaico_ros.protocol.windows import TimeRange


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
