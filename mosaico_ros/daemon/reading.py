"""What a ticket gives: a topic and its rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.resources import SEALED, find_topic_by
from mosaico_ros.daemon.catalog.tables import topics
from mosaico_ros.daemon.chunk_files import ChunkFiles
from mosaico_ros.daemon.descriptions import TopicDescription, describe_topic, stored_schema
from mosaico_ros.daemon.retrieval import scan
from mosaico_ros.daemon.time_order import Window
from mosaico_ros.protocol.errors import FailedPreconditionError, NotFoundError
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN
from mosaico_ros.protocol.projection import narrowed, narrowed_schema
from mosaico_ros.protocol.ticket import Ticket
from mosaico_ros.protocol.windows import check_window

__all__ = ['read', 'window_of']


def read(
    database: Database, files: ChunkFiles, ticket: Ticket
) -> tuple[TopicDescription, Iterator[pa.RecordBatch]]:
    """Return the topic of a ticket and its rows; see :meth:`Archive.read`."""
    window = window_of(ticket.start_ns, ticket.end_ns)
    with database.read() as connection:
        topic = find_topic_by(connection, topics.c.id == ticket.topic_id)
    if topic is None or (topic.sequence, topic.path) != (
        ticket.locator.sequence,
        ticket.locator.path,
    ):
        raise NotFoundError(
            f'The topic {ticket.locator} of this ticket was deleted',
            remedy='Ask for flight info again.',
        )
    stored = stored_schema(topic)
    if topic.state not in SEALED or stored is None:
        raise FailedPreconditionError(
            f'The topic {ticket.locator} is not complete yet; its state is {topic.state}',
            remedy='Read it when its upload has ended.',
        )
    described = describe_topic(topic)
    schema = stored if ticket.sidecars else described.schema
    assert schema is not None
    columns = None if len(schema) == len(stored) else schema.names
    if ticket.columns:
        schema = narrowed_schema(schema, ticket.columns)
        columns = [TIMESTAMP_COLUMN, *ticket.columns]
    batches = scan(database, files, topic, window, columns)
    rows = (narrowed(batch, schema) for batch in batches)
    return replace(described, schema=schema), rows


def window_of(start_ns: int | None, end_ns: int | None) -> Window:
    """Return the window [start_ns, end_ns).

    Raises
    ------
    InvalidArgumentError
        It is empty.

    """
    check_window(start_ns, end_ns)
    return Window(start_ns, end_ns)
