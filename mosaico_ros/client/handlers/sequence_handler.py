"""What the archive knows about one sequence, and the way to its topics."""

from __future__ import annotations

import weakref
from collections.abc import Sequence as AbstractSequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from mosaico_ros.client.comm.connection import Connection
from mosaico_ros.client.enums import SessionLevelErrorPolicy
from mosaico_ros.client.handlers.app_metadata import (
    TopicEntry,
    read_sequence,
    read_topics,
    span,
)
from mosaico_ros.client.handlers.sequence_reader import SequenceDataStreamer
from mosaico_ros.client.handlers.sequence_updater import SequenceUpdater
from mosaico_ros.client.handlers.topic_handler import TopicHandler
from mosaico_ros.client.handlers.topic_reader import TopicDataStreamer
from mosaico_ros.client.logging_config import get_logger
from mosaico_ros.client.progress import Meter
from mosaico_ros.protocol.errors import InvalidArgumentError, NotFoundError
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from mosaico_ros.models.platform import Session

__all__ = ['SequenceHandler']

logger = get_logger(__name__)


class SequenceHandler:
    """A snapshot of one sequence's catalog entry; made by ``MosaicoClient.sequence_handler``.

    Properties describe the moment of :meth:`reload`; streamers ask the daemon anew.
    """

    def __init__(self, connection: Connection, locator: SequenceLocator) -> None:
        self._connection = connection
        self._locator = locator
        self._streamers: weakref.WeakSet[SequenceDataStreamer] = weakref.WeakSet()
        self._topic_handlers: dict[TopicLocator, TopicHandler] = {}
        self._read()

    @property
    def name(self) -> str:
        """Name of the sequence."""
        return self._sequence.name

    @property
    def topics(self) -> list[str]:
        """Names of all topics, with a leading slash, in order of creation."""
        return self._sequence.topics

    @property
    def sessions(self) -> list[Session]:
        """The uploads that the sequence consists of."""
        return self._sequence.sessions

    @property
    def user_metadata(self) -> dict[str, Any]:
        """What was given as `metadata` when the sequence was created."""
        return self._sequence.user_metadata

    @property
    def created_timestamp(self) -> int:
        """When the sequence was created, in nanoseconds since 1970."""
        return self._sequence.created_timestamp

    @property
    def created_datetime(self) -> datetime:
        """When the sequence was created, in UTC."""
        return datetime.fromtimestamp(self.created_timestamp / 1e9, timezone.utc)

    @property
    def updated_timestamps(self) -> list[int]:
        """When each session began, in nanoseconds since 1970."""
        return self._sequence.updated_timestamps

    @property
    def total_size_bytes(self) -> int:
        """Stored size of all topics, in bytes."""
        return self._sequence.total_size_bytes

    @property
    def timestamp_ns_min(self) -> int | None:
        """Time of the first message of all topics, `None` without messages."""
        return span(self._entries.values())[0]

    @property
    def timestamp_ns_max(self) -> int | None:
        """Time of the last message of all topics, `None` without messages."""
        return span(self._entries.values())[1]

    def get_topic_handler(self, topic_name: str, force_new_instance: bool = False) -> TopicHandler:
        """Return the handler of a topic, which begins with what this handler knows of it.

        Parameters
        ----------
        topic_name
            With or without a leading slash.
        force_new_instance
            Ask the daemon anew.

        Raises
        ------
        InvalidArgumentError
            The sequence had no such topic when this handler read it.

        """
        locator = self._topic(topic_name)
        handler = self._topic_handlers.get(locator)
        if handler is None or force_new_instance:
            entry = None if force_new_instance else self._entries.get(locator)
            handler = TopicHandler(self._connection, locator, entry)
            self._topic_handlers[locator] = handler
        return handler

    def get_data_streamer(
        self,
        topics: AbstractSequence[str] = (),
        start_timestamp_ns: int | None = None,
        end_timestamp_ns: int | None = None,
    ) -> SequenceDataStreamer:
        """Stream several topics merged by time.

        Parameters
        ----------
        topics
            Names of topics; all by default. While a recording runs, "all" means those that are
            complete.
        start_timestamp_ns
            First time to read, inclusive; the beginning by default.
        end_timestamp_ns
            Time to stop before (exclusive); the end by default.

        Raises
        ------
        InvalidArgumentError
            An unknown topic, or the start is not before the end.
        FailedPreconditionError
            The upload of a topic asked for by name is not complete yet.

        """
        streamer = self._streamer(topics, start_timestamp_ns, end_timestamp_ns)
        self._streamers.add(streamer)
        return streamer

    def to_arrow(
        self,
        topics: AbstractSequence[str] = (),
        start_timestamp_ns: int | None = None,
        end_timestamp_ns: int | None = None,
    ) -> dict[str, pa.Table]:
        """Return the rows of [start, end), one table per topic name."""
        with self._streamer(topics, start_timestamp_ns, end_timestamp_ns) as streamer:
            return streamer.to_arrow()

    def to_pandas(
        self,
        topics: AbstractSequence[str] = (),
        start_timestamp_ns: int | None = None,
        end_timestamp_ns: int | None = None,
    ) -> dict[str, pd.DataFrame]:
        """Return the rows of [start, end), one flat data frame per topic name."""
        with self._streamer(topics, start_timestamp_ns, end_timestamp_ns) as streamer:
            return streamer.to_pandas()

    def to_numpy(
        self,
        topics: AbstractSequence[str] = (),
        start_timestamp_ns: int | None = None,
        end_timestamp_ns: int | None = None,
    ) -> dict[str, dict[str, np.ndarray]]:
        """Return the rows of [start, end), one dictionary of arrays per topic name."""
        with self._streamer(topics, start_timestamp_ns, end_timestamp_ns) as streamer:
            return streamer.to_numpy()

    def update(
        self, on_error: SessionLevelErrorPolicy = SessionLevelErrorPolicy.Report
    ) -> SequenceUpdater:
        """Add topics to the sequence: a writer for a ``with`` block."""
        return SequenceUpdater(self._connection, self._locator, on_error)

    def reload(self) -> bool:
        """Read the catalog entry again; `False` if the sequence is gone."""
        try:
            self._read()
        except NotFoundError:
            return False
        return True

    def close(self) -> None:
        """Close the streamers and topic handlers made by this handler."""
        for streamer in list(self._streamers):
            streamer.close()
        handlers, self._topic_handlers = self._topic_handlers, {}
        for handler in handlers.values():
            handler.close()

    def _read(self) -> None:
        info = self._connection.flight_info(self._locator)
        entries = read_topics(info)
        self._entries = {entry.locator: entry for entry in entries}
        self._sequence = read_sequence(info, entries)

    def _topic(self, name: str) -> TopicLocator:
        locator = TopicLocator.join(str(self._locator), name)
        if locator.topic_name not in self.topics:
            raise InvalidArgumentError(
                f'The sequence {self._locator} has no topic {locator.topic_name}',
                remedy=f'It has {", ".join(self.topics) or "none"}; reload() reads it again.',
            )
        return locator

    def _streamer(
        self, topics: AbstractSequence[str], start_ns: int | None, end_ns: int | None
    ) -> SequenceDataStreamer:
        wanted = {self._topic(name) for name in ([topics] if isinstance(topics, str) else topics)}
        info = self._connection.flight_info(self._locator, start_ns, end_ns)
        chosen: list[TopicEntry] = []
        for entry in read_topics(info):
            if wanted:
                if entry.locator in wanted:
                    chosen.append(entry)
            elif entry.topic.locked:
                chosen.append(entry)
            else:
                logger.info('%s is still being written; left out', entry.locator)
        # No request for topics without a row in the window.
        chosen = [entry for entry in chosen if entry.timestamp_ns_min is not None]
        rows = sum(entry.row_count or 0 for entry in chosen)
        meter = Meter(f'Reading {self._locator}', rows or None)
        return SequenceDataStreamer(
            self.name, [TopicDataStreamer(self._connection, [entry], meter) for entry in chosen]
        )
