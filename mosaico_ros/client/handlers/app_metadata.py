"""What the daemon tells about sequences and topics in the ``app_metadata`` of a FlightInfo."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from pyarrow import flight

from mosaico_ros.client.enums import SerializationFormat
from mosaico_ros.models.platform import Sequence, Session, Topic
from mosaico_ros.protocol import codec
from mosaico_ros.protocol.errors import InternalError
from mosaico_ros.protocol.locators import TopicLocator

__all__ = ['TopicEntry', 'read_sequence', 'read_topics', 'span', 'total']


@dataclass(frozen=True)
class TopicEntry:
    """One endpoint of a FlightInfo.

    Parameters
    ----------
    locator
        The topic.
    ticket
        Fetches its rows, cut to the window that was asked for.
    topic
        What the catalog knows about it.
    row_count
        Rows inside the window; `None` if the daemon does not tell.
    timestamp_ns_min, timestamp_ns_max
        First and last time inside the window, both inclusive; `None` without rows.
    completed_timestamp
        When the upload ended; `None` while it runs.

    """

    locator: TopicLocator
    ticket: flight.Ticket
    topic: Topic
    row_count: int | None
    timestamp_ns_min: int | None
    timestamp_ns_max: int | None
    completed_timestamp: int | None


def total(counts: Iterable[int | None]) -> int | None:
    """Return the sum, `None` if one of them is not known."""
    known = list(counts)
    return None if None in known else sum(count for count in known if count is not None)


class Timed(Protocol):
    """Whatever has a first and a last time: an entry, or a handler."""

    @property
    def timestamp_ns_min(self) -> int | None: ...

    @property
    def timestamp_ns_max(self) -> int | None: ...


def span(timed: Iterable[Timed]) -> tuple[int | None, int | None]:
    """Return the first and the last time of all, both `None` without rows."""
    times = [(each.timestamp_ns_min, each.timestamp_ns_max) for each in timed]
    return (
        min((first for first, _ in times if first is not None), default=None),
        max((last for _, last in times if last is not None), default=None),
    )


def read_topics(info: flight.FlightInfo) -> list[TopicEntry]:
    """Read the endpoints of a FlightInfo, in the daemon's order."""
    return [_read_topic(endpoint) for endpoint in info.endpoints]


def read_sequence(info: flight.FlightInfo, entries: list[TopicEntry]) -> Sequence:
    """Read the sequence that a FlightInfo describes; `entries` are its endpoints."""
    data = codec.decode_object(info.app_metadata, 'the description of a sequence')
    try:
        return Sequence(
            user_metadata=data.get('user_metadata') or {},
            created_timestamp=data['created_at_ns'],
            name=data['resource_locator'],
            total_size_bytes=sum(entry.topic.total_size_bytes for entry in entries),
            sessions=[_read_session(session) for session in data.get('sessions') or ()],
        )
    except (KeyError, TypeError) as error:
        raise InternalError(f'The daemon described a sequence without {error}') from error


def _read_session(data: dict[str, Any]) -> Session:
    return Session(
        # Daemons before 0.5 name a session by its uuid alone.
        locator=data.get('locator') or data['uuid'],
        created_timestamp=data['created_at_ns'],
        locked=data['locked'],
        completed_timestamp=data.get('completed_at_ns'),
        topics=[TopicLocator.parse(text).topic_name for text in data.get('topics') or ()],
    )


def _read_topic(endpoint: flight.FlightEndpoint) -> TopicEntry:
    data = codec.decode_object(endpoint.app_metadata, 'the description of a topic')
    try:
        locator = TopicLocator.parse(data['resource_locator'])
        stored = data.get('data_info')
        if stored is None:  # daemons before 0.7
            stored = data['info']
            interval, rows = stored.get('timestamp'), None
            chunks = stored['chunks_number']
        else:
            interval, rows = stored.get('interval'), stored.get('total_row_count')
            chunks = stored['total_chunks_count']
        window = data.get('time_window_info')
        if window is not None:
            interval, rows = window.get('interval'), window['row_count']
        return TopicEntry(
            locator=locator,
            ticket=endpoint.ticket,
            topic=Topic(
                user_metadata=data.get('user_metadata') or {},
                name=locator.topic_name,
                sequence_name=locator.sequence,
                created_timestamp=data['created_at_ns'],
                ontology_tag=data['ontology_tag'],
                chunks_number=chunks,
                serialization_format=SerializationFormat(data['serialization_format'].lower()),
                locked=data['locked'],
                total_size_bytes=stored['total_bytes'],
            ),
            row_count=rows,
            timestamp_ns_min=interval['start_ns'] if interval else None,
            timestamp_ns_max=interval['end_ns'] if interval else None,
            completed_timestamp=data.get('completed_at_ns'),
        )
    except (KeyError, TypeError) as error:
        raise InternalError(f'The daemon described a topic without {error}') from error
