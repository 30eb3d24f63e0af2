"""Streaming several topics as one, in time order."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from mosaico_ros.client.handlers.table_output import to_numpy, to_pandas
from mosaico_ros.client.handlers.topic_reader import TopicDataStreamer
from mosaico_ros.protocol.errors import FailedPreconditionError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from typing_extensions import Self

    from mosaico_ros.models.core import Message

__all__ = ['SequenceDataStreamer']


class SequenceDataStreamer:
    """Messages of several topics merged by time.

    Iterating yields ``(topic name, message)``; equal times come in the daemon's order of topics.
    Not safe for several threads.
    """

    def __init__(self, sequence_name: str, topics: list[TopicDataStreamer]) -> None:
        self._sequence_name = sequence_name
        self._topics = topics
        self._merged = self._merge()
        self._ahead: tuple[str, Message] | None = None
        self._started = False
        self._open = True

    @property
    def topics(self) -> list[str]:
        """Names of the topics that are merged."""
        return [topic.name for topic in self._topics]

    @property
    def msg_count(self) -> int:
        """Messages inside the window, over all topics."""
        return sum(topic.msg_count or 0 for topic in self._topics)

    @property
    def timestamp_ns_min(self) -> int | None:
        """First time inside the window, `None` without messages."""
        times = [topic.timestamp_ns_min for topic in self._topics]
        return min((time for time in times if time is not None), default=None)

    @property
    def timestamp_ns_max(self) -> int | None:
        """Last time inside the window (inclusive), `None` without messages."""
        times = [topic.timestamp_ns_max for topic in self._topics]
        return max((time for time in times if time is not None), default=None)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[str, Message]:
        if self._ahead is not None:
            item, self._ahead = self._ahead, None
            return item
        self._check_open()
        return next(self._merged)

    def next_timestamp(self) -> int | None:
        """Return the time of the next message without taking it; `None` at the end."""
        if self._ahead is None:
            self._check_open()
            self._ahead = next(self._merged, None)
        return None if self._ahead is None else self._ahead[1].timestamp_ns

    def to_arrow(self) -> dict[str, pa.Table]:
        """Return the rows as one table per topic, keyed by topic name.

        Raises
        ------
        FailedPreconditionError
            Iteration has begun; the tables would lack what was already yielded.

        """
        self._check_open()
        if self._started:
            raise FailedPreconditionError(
                f'The streamer of {self._sequence_name} has been iterated',
                remedy='Make a new one for the columns.',
            )
        return {topic.name: topic.to_arrow() for topic in self._topics}

    def to_pandas(self) -> dict[str, pd.DataFrame]:
        """Return the rows as one data frame per topic, keyed by topic name.

        Raises
        ------
        FailedPreconditionError
            Iteration has begun.

        """
        return {name: to_pandas(table) for name, table in self.to_arrow().items()}

    def to_numpy(self) -> dict[str, dict[str, np.ndarray]]:
        """Return the rows as one dictionary of arrays per topic, keyed by topic name.

        Raises
        ------
        FailedPreconditionError
            Iteration has begun.

        """
        return {name: to_numpy(table) for name, table in self.to_arrow().items()}

    def close(self) -> None:
        """Cancel all streams; calling it again does nothing."""
        if self._open:
            self._open = False
            self._ahead = None
            for topic in self._topics:
                topic.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _merge(self) -> Iterator[tuple[str, Message]]:
        self._started = True
        # Heads only; the order number settles ties, so that messages are never compared.
        heap: list[tuple[int, int, str, list[Message], int, TopicDataStreamer]] = []
        for order, topic in enumerate(self._topics):
            messages = topic.take_decoded()
            if messages:
                heap.append((messages[0].timestamp_ns, order, topic.name, messages, 0, topic))
        heapq.heapify(heap)
        while heap:
            _, order, name, messages, at, topic = heap[0]
            # This topic goes on until the runner-up is due; only then the heap moves.
            limit = _runner_up(heap)
            end = len(messages)
            while True:
                yield name, messages[at]
                at += 1
                if at == end:
                    messages, at = topic.take_decoded(), 0
                    end = len(messages)
                    if not end:
                        heapq.heappop(heap)
                        break
                time = messages[at].timestamp_ns
                if limit is not None and (time, order) > limit:
                    heapq.heapreplace(heap, (time, order, name, messages, at, topic))
                    break

    def _check_open(self) -> None:
        if not self._open:
            raise FailedPreconditionError(
                f'The streamer of {self._sequence_name} is closed', remedy='Make a new one.'
            )


def _runner_up(
    heap: list[tuple[int, int, str, list[Message], int, TopicDataStreamer]],
) -> tuple[int, int] | None:
    """Return time and order of the second smallest entry."""
    if len(heap) == 1:
        return None
    second = heap[1] if len(heap) == 2 or heap[1][:2] < heap[2][:2] else heap[2]
    return second[0], second[1]
