"""A recording in parts, read as one.

A recorder that rotates, or that had to go on after an outage, leaves several sequences with the
same ``recording_id`` in their metadata, numbered by ``part``. Within a topic each part goes on
after the last row of the one before; latched messages, which every part repeats with their
original times, count once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence as AbstractSequence
from typing import TYPE_CHECKING, Any

from mosaico_ros.client.handlers.app_metadata import TopicEntry, span, total
from mosaico_ros.client.handlers.sequence_handler import SequenceHandler
from mosaico_ros.client.handlers.sequence_reader import SequenceDataStreamer
from mosaico_ros.client.handlers.topic_handler import TopicHandler
from mosaico_ros.client.handlers.topic_reader import TopicDataStreamer
from mosaico_ros.client.progress import Meter
from mosaico_ros.protocol.errors import InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from mosaico_ros.client.comm.mosaico_client import MosaicoClient
    from mosaico_ros.client.enums import SerializationFormat

__all__ = [
    'PART',
    'RECORDING_ID',
    'RecordedTopicHandler',
    'RecordingHandler',
    'joined',
    'open_recording',
    'recording_id',
]

#: Keys of a sequence's user metadata.
RECORDING_ID, PART = 'recording_id', 'part'


class RecordedTopicHandler:
    """One topic of a recording; made by `RecordingHandler.get_topic_handler`.

    What is told of the topic beyond times and counts is that of its first part.
    """

    def __init__(self, parts: list[TopicHandler]) -> None:
        self._parts = parts
        self._first = parts[0]

    @property
    def name(self) -> str:
        """Name of the topic, with a leading slash."""
        return self._first.name

    @property
    def parts(self) -> list[TopicHandler]:
        """The topic in each sequence that has it, in order."""
        return list(self._parts)

    @property
    def user_metadata(self) -> dict[str, Any]:
        """What was given as `metadata` when the topic was created."""
        return self._first.user_metadata

    @property
    def ontology_tag(self) -> str:
        """Ontology tag of the topic."""
        return self._first.ontology_tag

    @property
    def ontology_schema(self) -> pa.StructType:
        """Arrow layout of the messages' data, without ``timestamp_ns``."""
        return self._first.ontology_schema

    @property
    def serialization_format(self) -> SerializationFormat:
        """Storage hint of the topic."""
        return self._first.serialization_format

    @property
    def locked(self) -> bool:
        """Whether the uploads of all parts are complete."""
        return all(part.locked for part in self._parts)

    @property
    def chunks_number(self) -> int | None:
        """Stored chunks."""
        return total(part.chunks_number for part in self._parts)

    @property
    def total_size_bytes(self) -> int:
        """Stored size in bytes."""
        return sum(part.total_size_bytes for part in self._parts)

    @property
    def message_count(self) -> int | None:
        """Stored messages; `None` if the daemon does not tell."""
        return total(entry.row_count for entry in self._entries(None, None))

    @property
    def timestamp_ns_min(self) -> int | None:
        """Time of the first message, `None` without messages."""
        return span(self._parts)[0]

    @property
    def timestamp_ns_max(self) -> int | None:
        """Time of the last message, `None` without messages."""
        return span(self._parts)[1]

    def get_data_streamer(
        self,
        start_timestamp_ns: int | None = None,
        end_timestamp_ns: int | None = None,
        columns: AbstractSequence[str] | None = None,
        *,
        sidecars: bool = False,
    ) -> TopicDataStreamer:
        """Stream the topic's messages; see `TopicHandler.get_data_streamer`."""
        columns = [columns] if isinstance(columns, str) else columns
        entries = list(
            self._entries(start_timestamp_ns, end_timestamp_ns, columns=columns, sidecars=sidecars)
        )
        # A streamer needs one entry even where there is no row; no request for the others.
        entries = [entry for entry in entries if entry.row_count != 0] or entries[:1]
        meter = Meter(f'Reading {self.name}', total(entry.row_count for entry in entries))
        return self._first.stream(entries, meter, columns)

    def to_arrow(
        self,
        start_timestamp_ns: int | None = None,
        end_timestamp_ns: int | None = None,
        columns: AbstractSequence[str] | None = None,
    ) -> pa.Table:
        """Return the rows of [start, end) as one table; see `TopicHandler.to_arrow`."""
        with self.get_data_streamer(start_timestamp_ns, end_timestamp_ns, columns) as streamer:
            return streamer.to_arrow()

    def to_pandas(
        self,
        start_timestamp_ns: int | None = None,
        end_timestamp_ns: int | None = None,
        columns: AbstractSequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return the rows as a flat data frame; see `TopicHandler.to_pandas`."""
        with self.get_data_streamer(start_timestamp_ns, end_timestamp_ns, columns) as streamer:
            return streamer.to_pandas()

    def to_numpy(
        self,
        start_timestamp_ns: int | None = None,
        end_timestamp_ns: int | None = None,
        columns: AbstractSequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Return the rows as one array per column; see `TopicHandler.to_numpy`."""
        with self.get_data_streamer(start_timestamp_ns, end_timestamp_ns, columns) as streamer:
            return streamer.to_numpy()

    def _entries(
        self, start_ns: int | None, end_ns: int | None, **options: Any
    ) -> Iterator[TopicEntry]:
        floor = start_ns
        for number, part in enumerate(self._parts):
            if number and floor is not None and end_ns is not None and floor >= end_ns:
                return
            first, last = part.timestamp_ns_min, part.timestamp_ns_max
            whole = end_ns is None and (floor is None or (first is not None and first >= floor))
            if whole and not options:
                yield part.entry
            else:
                yield part.entries(floor, end_ns, **options)[0]
            if last is not None:
                floor = last + 1 if floor is None else max(floor, last + 1)


class RecordingHandler:
    """A recording, whatever the number of its parts; made by ``MosaicoClient.recording_handler``.

    Any sequence that is not part of a recording is one of a single part.
    """

    def __init__(self, parts: list[SequenceHandler]) -> None:
        self._parts = parts

    @property
    def name(self) -> str:
        """Name of the first part."""
        return self._parts[0].name

    @property
    def parts(self) -> list[SequenceHandler]:
        """The sequences it consists of, in order."""
        return list(self._parts)

    @property
    def topics(self) -> list[str]:
        """Names of all topics, with a leading slash, in order of appearance."""
        return list(dict.fromkeys(topic for part in self._parts for topic in part.topics))

    @property
    def user_metadata(self) -> dict[str, Any]:
        """Metadata of the first part, without what numbers the parts."""
        metadata = self._parts[0].user_metadata
        return {key: value for key, value in metadata.items() if key != PART}

    @property
    def total_size_bytes(self) -> int:
        """Stored size of all parts, in bytes."""
        return sum(part.total_size_bytes for part in self._parts)

    @property
    def timestamp_ns_min(self) -> int | None:
        """Time of the first message of all topics, `None` without messages."""
        return span(self._parts)[0]

    @property
    def timestamp_ns_max(self) -> int | None:
        """Time of the last message of all topics, `None` without messages."""
        return span(self._parts)[1]

    def get_topic_handler(self, topic_name: str) -> RecordedTopicHandler:
        """Return the handler of a topic.

        Raises
        ------
        InvalidArgumentError
            No part has such a topic.

        """
        name = '/' + topic_name.strip('/')
        parts = [part.get_topic_handler(name) for part in self._parts if name in part.topics]
        if not parts:
            raise InvalidArgumentError(
                f'The recording {self.name} has no topic {name}',
                remedy=f'It has {", ".join(self.topics) or "none"}.',
            )
        return RecordedTopicHandler(parts)

    def get_data_streamer(
        self,
        topics: AbstractSequence[str] = (),
        start_timestamp_ns: int | None = None,
        end_timestamp_ns: int | None = None,
    ) -> SequenceDataStreamer:
        """Stream several topics merged by time; see `SequenceHandler.get_data_streamer`."""
        names = [topics] if isinstance(topics, str) else topics
        chosen = [self.get_topic_handler(name) for name in names or self.topics]
        if not names:
            chosen = [topic for topic in chosen if topic.locked]
        return SequenceDataStreamer(
            self.name,
            [topic.get_data_streamer(start_timestamp_ns, end_timestamp_ns) for topic in chosen],
        )


def joined(sequences: Iterable[SequenceHandler]) -> list[RecordingHandler]:
    """Return sequences as recordings, in the order in which the first of each comes."""
    recordings: dict[tuple[str, str], list[SequenceHandler]] = {}
    for sequence in sequences:
        identity = recording_id(sequence)
        key = ('', sequence.name) if identity is None else (RECORDING_ID, identity)
        recordings.setdefault(key, []).append(sequence)
    return [
        RecordingHandler(sorted(parts, key=lambda part: part.user_metadata.get(PART, 0)))
        for parts in recordings.values()
    ]


def recording_id(sequence: SequenceHandler) -> str | None:
    """Return the recording that a sequence is a part of; `None` if it is none."""
    metadata = sequence.user_metadata
    identity, part = metadata.get(RECORDING_ID), metadata.get(PART)
    return identity if isinstance(identity, str) and isinstance(part, int) else None


def open_recording(client: MosaicoClient, name: str) -> RecordingHandler:
    """Return ``client.recording_handler(name)``.

    Raises
    ------
    NotFoundError
        There is no such sequence.

    """
    handler = client.recording_handler(name)
    if handler is None:
        raise NotFoundError(
            f'There is no sequence {name!r}', remedy='`mosaico ls` lists those that are there.'
        )
    return handler
