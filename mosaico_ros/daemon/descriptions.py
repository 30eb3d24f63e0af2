"""What the archive tells about its sequences and topics."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from sqlalchemy.engine import Row

from mosaico_ros.daemon.catalog.resources import TopicState
from mosaico_ros.daemon.columns import public_columns
from mosaico_ros.protocol.locators import SequenceLocator, SessionLocator, TopicLocator
from mosaico_ros.protocol.serialization import SerializationFormat

__all__ = [
    'Notification',
    'SequenceDescription',
    'SessionDescription',
    'TopicDescription',
    'describe_notice',
    'describe_sequence',
    'describe_topic',
    'stored_schema',
    'without_sidecars',
]


@dataclass(frozen=True)
class TopicDescription:
    """A topic; times in nanoseconds since 1970, intervals inclusive.

    Parameters
    ----------
    topic_id
        Internal id for tickets; never reused.
    locked, interrupted
        Whether the upload is complete, or was sealed before its end. Both are readable.
    rows, bytes, chunks
        Totals of what is durable; bytes as stored.
    interval
        First and last ``timestamp_ns``; `None` without rows.
    window_interval, window_rows
        The same for the window asked for; `None` if none was.
    schema
        The announced schema without sidecar columns; `None` before the upload.

    """

    topic_id: int
    locator: TopicLocator
    session_locator: SessionLocator
    created_at_ns: int
    completed_at_ns: int | None
    locked: bool
    interrupted: bool
    ontology_tag: str
    serialization_format: SerializationFormat
    user_metadata: dict[str, Any]
    rows: int
    bytes: int
    chunks: int
    interval: tuple[int, int] | None
    schema: pa.Schema | None
    window_interval: tuple[int, int] | None = None
    window_rows: int | None = None


@dataclass(frozen=True)
class SessionDescription:
    """A session; its uuid is authority to write and is shown in legacy mode only."""

    locator: SessionLocator
    uuid: str
    created_at_ns: int
    completed_at_ns: int | None
    locked: bool
    topics: list[TopicLocator] = field(default_factory=list)


@dataclass(frozen=True)
class SequenceDescription:
    """A sequence with its sessions and topics, each in the order of creation."""

    locator: SequenceLocator
    created_at_ns: int
    user_metadata: dict[str, Any]
    sessions: list[SessionDescription]
    topics: list[TopicDescription]

    @property
    def name(self) -> str:
        """The sequence's name."""
        return self.locator.name


@dataclass(frozen=True)
class Notification:
    """Something that happened to a sequence or a topic."""

    target: SequenceLocator | TopicLocator
    type: str
    message: str
    created_at_ns: int


def stored_schema(topic: Row[Any]) -> pa.Schema | None:
    """Return the announced schema, sidecars included; `None` before the upload."""
    if topic.schema is None:
        return None
    return pa.ipc.read_schema(pa.BufferReader(topic.schema))


def without_sidecars(schema: pa.Schema) -> pa.Schema:
    """Return the schema that everybody sees."""
    return pa.schema([schema.field(i) for i in public_columns(schema)], schema.metadata)


def describe_topic(
    topic: Row[Any], counted: tuple[int, tuple[int, int] | None] | None = None
) -> TopicDescription:
    """Make the description of a topic's row, with what was counted in a window."""
    schema = stored_schema(topic)
    return TopicDescription(
        topic_id=topic.id,
        locator=TopicLocator(topic.sequence, topic.path),
        session_locator=SessionLocator(topic.sequence, topic.ulid),
        created_at_ns=topic.created_at_ns,
        completed_at_ns=topic.completed_at_ns,
        locked=topic.state == TopicState.LOCKED,
        interrupted=topic.state == TopicState.INTERRUPTED,
        ontology_tag=topic.ontology_tag,
        serialization_format=SerializationFormat(topic.serialization_format),
        user_metadata=json.loads(topic.user_metadata),
        rows=topic.rows,
        bytes=topic.bytes,
        chunks=topic.chunks,
        interval=None if topic.t_min is None else (topic.t_min, topic.t_max),
        schema=None if schema is None else without_sidecars(schema),
        window_rows=None if counted is None else counted[0],
        window_interval=None if counted is None else counted[1],
    )


def describe_sequence(
    sequence: Row[Any], sessions: Iterable[Row[Any]], topics: list[TopicDescription]
) -> SequenceDescription:
    """Make the description of a sequence's row, and of the rows of its sessions."""
    return SequenceDescription(
        locator=SequenceLocator(sequence.name),
        created_at_ns=sequence.created_at_ns,
        user_metadata=json.loads(sequence.user_metadata),
        sessions=[
            SessionDescription(
                locator=SessionLocator(sequence.name, session.ulid),
                uuid=session.uuid,
                created_at_ns=session.created_at_ns,
                completed_at_ns=session.completed_at_ns,
                locked=session.completed_at_ns is not None,
                topics=[
                    topic.locator for topic in topics if topic.session_locator.ulid == session.ulid
                ],
            )
            for session in sessions
        ],
        topics=topics,
    )


def describe_notice(notice: Row[Any]) -> Notification:
    """Make the description of a notification's row, which names its sequence and topic."""
    target = (
        SequenceLocator(notice.sequence)
        if notice.path is None
        else TopicLocator(notice.sequence, notice.path)
    )
    return Notification(target, notice.type, notice.message, notice.created_at_ns)
