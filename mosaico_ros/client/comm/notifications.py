"""Notifications: texts that the daemon keeps about a sequence or a topic."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import Any

from mosaico_ros.client.comm.connection import Connection
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator, parse_resource

__all__ = ['Notification', 'NotificationType', 'list_notifications', 'purge_notifications']


class NotificationType(Enum):
    """Kinds of notification; the protocol knows one."""

    Error = 'error'


@dataclass(frozen=True)
class Notification:
    """One notification.

    Parameters
    ----------
    sequence_name
        The sequence, or the sequence of the topic.
    type
        Its kind.
    message
        Free text, possibly of several lines.
    created_datetime
        When the daemon recorded it, in UTC.
    topic_name
        The topic with a leading slash, or `None` for a notification about a sequence.

    """

    sequence_name: str
    type: NotificationType
    message: str
    created_datetime: datetime
    topic_name: str | None = None

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Notification:
        """Read one entry of a ``*_notification_list`` answer."""
        locator = parse_resource(data['name'])
        topic = locator if isinstance(locator, TopicLocator) else None
        return cls(
            sequence_name=topic.sequence if topic else str(locator),
            type=NotificationType(data['notification_type']),
            message=data['msg'],
            created_datetime=_parse_time(data['created_datetime']),
            topic_name=topic.topic_name if topic else None,
        )


def list_notifications(
    connection: Connection, locator: SequenceLocator | TopicLocator, **options: bool
) -> list[Notification]:
    """Return the notifications about a sequence or topic, oldest first."""
    answer = connection.action(
        f'{_kind(locator)}_notification_list', {'locator': str(locator), **options}
    )
    return [Notification.from_dict(entry) for entry in (answer or {}).get('notifications', [])]


def purge_notifications(connection: Connection, locator: SequenceLocator | TopicLocator) -> None:
    """Delete the notifications about a sequence or topic."""
    connection.action(f'{_kind(locator)}_notification_purge', {'locator': str(locator)})


def _kind(locator: SequenceLocator | TopicLocator) -> str:
    return 'topic' if isinstance(locator, TopicLocator) else 'sequence'


def _parse_time(text: str) -> datetime:
    # Python before 3.11 reads three or six fraction digits only.
    head, dot, fraction = text.removesuffix(' UTC').partition('.')
    if dot:
        head = f'{head}.{fraction[:6]:0<6}'
    return datetime.fromisoformat(head).replace(tzinfo=timezone.utc)
