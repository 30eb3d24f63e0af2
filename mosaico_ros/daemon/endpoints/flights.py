"""Flights: describing and reading what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pyarrow as pa

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.calls import Descriptor, Endpoint, Flight
from mosaico_ros.daemon.descriptions import SequenceDescription, TopicDescription
from mosaico_ros.protocol import codec, flights, metadata, shapes, windows
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.locators import TopicLocator
from mosaico_ros.protocol.ticket import Ticket

__all__ = ['Flights']

_EMPTY = pa.schema([])


class Flights:
    """GetFlightInfo, GetSchema, ListFlights and DoGet.

    Parameters
    ----------
    archive
        What is described and read.
    legacy_clients
        Show session uuids and endpoint locations, as clients up to 0.4 need them.

    """

    def __init__(self, archive: Archive, legacy_clients: bool) -> None:
        self._archive = archive
        self._legacy = legacy_clients

    def list_flights(self, criteria: bytes) -> Iterator[Flight]:
        """Yield one flight per sequence, its name as the only path component.

        Raises
        ------
        InvalidArgumentError
            If the criteria are neither empty nor ``/``.

        """
        if criteria not in (b'', b'/'):
            raise InvalidArgumentError(
                f'The criteria {criteria[:80]!r} are not understood',
                remedy='Leave them empty to list all sequences; search with the action query.',
            )
        for locator in self._archive.list_sequences():
            yield Flight(Descriptor(path=(locator.name,)), _EMPTY)

    def get_flight_info(self, descriptor: Descriptor) -> Flight:
        """Describe a sequence, with one endpoint per topic, or a topic, with its stripes."""
        command = _info_command(descriptor)
        locator = command.resource_locator
        window = command.timestamp_ns_start, command.timestamp_ns_end
        if isinstance(locator, TopicLocator):
            topic = self._archive.describe_topic(locator, *window)
            parts = [window]
            columns = tuple(command.columns or ())
            if command.stripes > 1:
                parts = self._archive.stripe_topic(locator, *window, command.stripes)
            return Flight(
                descriptor,
                _topic_schema(topic),
                tuple(self._endpoint(topic, part, command.sidecars, columns) for part in parts),
                total_records=_rows(topic),
                total_bytes=topic.bytes,
            )
        sequence = self._archive.describe_sequence(locator, *window)
        return Flight(
            descriptor,
            _EMPTY.with_metadata(
                metadata.schema_metadata(metadata.CONTEXT_SEQUENCE, {}, sequence.user_metadata)
            ),
            tuple(self._endpoint(topic, window, command.sidecars) for topic in sequence.topics),
            codec.encode(shapes.to_json(self._sequence_info(sequence))),
            sum(map(_rows, sequence.topics)),
            sum(topic.bytes for topic in sequence.topics),
        )

    def get_schema(self, descriptor: Descriptor) -> pa.Schema:
        """Return a topic's announced schema; without fields before the upload."""
        locator = _info_command(descriptor).resource_locator
        if not isinstance(locator, TopicLocator):
            raise InvalidArgumentError(
                f'{locator} is a sequence and has no schema', remedy='Name one of its topics.'
            )
        return _topic_schema(self._archive.describe_topic(locator))

    def do_get(self, data: bytes) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """Return schema and rows that a ticket stands for."""
        topic, batches = self._archive.read(Ticket.decode(data))
        return _topic_schema(topic), batches

    def _endpoint(
        self,
        topic: TopicDescription,
        window: tuple[int | None, int | None],
        sidecars: bool,
        columns: tuple[str, ...] = (),
    ) -> Endpoint:
        ticket = Ticket(topic.locator, topic.topic_id, *window, sidecars, columns)
        return Endpoint(
            ticket.encode(),
            codec.encode(shapes.to_json(_topic_info(topic))),
            (f'mosaico:{topic.locator}',) if self._legacy else (),
        )

    def _sequence_info(self, sequence: SequenceDescription) -> flights.SequenceInfo:
        return flights.SequenceInfo(
            sequence.locator,
            sequence.created_at_ns,
            sequence.user_metadata,
            [
                flights.SessionInfo(
                    session.locator,
                    session.created_at_ns,
                    session.completed_at_ns,
                    session.locked,
                    session.topics,
                    # The authority to write; readers see it in legacy mode only.
                    UUID(session.uuid) if self._legacy else None,
                )
                for session in sequence.sessions
            ],
        )


def _info_command(descriptor: Descriptor) -> flights.InfoCommand:
    if descriptor.command is None:
        raise InvalidArgumentError(
            'The descriptor is a path', remedy='Send a command: {"resource_locator": "..."}.'
        )
    body = codec.decode_object(descriptor.command, 'the descriptor')
    return shapes.from_json(flights.InfoCommand, body, 'the descriptor')


def _range(interval: tuple[int, int] | None) -> windows.TimeRange | None:
    return None if interval is None else windows.TimeRange(*interval)


def _rows(topic: TopicDescription) -> int:
    return topic.rows if topic.window_rows is None else topic.window_rows


def _topic_info(topic: TopicDescription) -> flights.TopicInfo:
    interval = _range(topic.interval)
    window = None
    if topic.window_rows is not None:
        window = flights.WindowInfo(_range(topic.window_interval), topic.window_rows)
    return flights.TopicInfo(
        topic.locator,
        topic.session_locator,
        topic.created_at_ns,
        topic.completed_at_ns,
        topic.locked,
        topic.ontology_tag,
        topic.serialization_format,
        topic.user_metadata,
        flights.DataInfo(interval, topic.rows, topic.bytes, topic.chunks),
        flights.LegacyInfo(topic.chunks, topic.bytes, interval),
        window,
    )


def _topic_schema(topic: TopicDescription) -> pa.Schema:
    """Add what clients before 0.7 read from the schema to what the uploader put there."""
    schema = _EMPTY if topic.schema is None else topic.schema
    properties: dict[str, Any] = {
        'ontology_tag': topic.ontology_tag,
        'serialization_format': topic.serialization_format.value,
        'message_count': topic.rows,
    }
    if topic.interval is not None:
        properties['timestamp_ns_min'], properties['timestamp_ns_max'] = topic.interval
    added = metadata.schema_metadata(metadata.CONTEXT_TOPIC, properties, topic.user_metadata)
    return schema.with_metadata((schema.metadata or {}) | added)
