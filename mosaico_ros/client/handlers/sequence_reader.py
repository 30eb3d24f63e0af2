"""Streaming several topics as one, in time order."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import repeat
from operator import attrgetter
from types import TracebackType
from typing import TYPE_CHECKING

from mosaico_ros.client.handlers.table_output import to_numpy, to_pandas
from mosaico_ros.client.handlers.topic_reader import TopicDataStreamer
from mosaico_ros.protocol.errors import FailedPreconditionError, MosaicoError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from typing_extensions import Self

    from mosaico_ros.models.core import Message

__all__ = ['SequenceDataStreamer']

_time_of = attrgetter('timestamp_ns')


class SequenceDataStreamer:
    """Messages of several topics merged by time.

    Iterating yields ``(topic name, message)``; equal times come in the daemon's order of topics.
    Not safe for several threads; only :meth:`close` may be called from any, and ends what another
    one is waiting for.
    """

    def __init__(self, sequence_name: str, topics: list[TopicDataStreamer]) -> None:
        self._sequence_name = sequence_name
        self._topics = topics
        self._merged = self._merge()
        self._ahead: tuple[str, Message] | None = None
        self._started = False
        self._failure: MosaicoError | None = None
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
        try:
            return next(self._merged)
        except MosaicoError as error:
            self._failure = error  # the generator has ended, which must not pass for the end
            raise

    def next_timestamp(self) -> int | None:
        """Return the time of the next message without taking it; `None` at the end."""
        if self._ahead is None:
            self._check_open()
            self._ahead = next(self, None)
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
        ahead = [(topic, topic.take_decoded()) for topic in self._topics]
        while ahead := [(topic, messages) for topic, messages in ahead if messages]:
            # All that comes before the first of these slices ends is at hand: one sort merges it.
            ends = [messages[-1].timestamp_ns for _, messages in ahead]
            end = min(ends)
            first = ends.index(end)
            due: list[tuple[str, Message]] = []
            for order, (topic, messages) in enumerate(ahead):
                # Of equal times those of earlier topics come first, and more may follow in the
                # topic whose slice ends.
                cut = bisect_right if order <= first else bisect_left
                count = cut(messages, end, key=_time_of)
                due += zip(repeat(topic.name), messages[:count])
                ahead[order] = topic, messages[count:]
            times = [message.timestamp_ns for _, message in due]
            yield from map(due.__getitem__, sorted(range(len(due)), key=times.__getitem__))
            ahead = [(topic, messages or topic.take_decoded()) for topic, messages in ahead]

    def _check_open(self) -> None:
        if not self._open:
            raise FailedPreconditionError(
                f'The streamer of {self._sequence_name} is closed', remedy='Make a new one.'
            )
        if self._failure is not None:
            raise self._failure
