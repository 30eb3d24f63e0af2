"""Messages one by one: what loaders of all encodings have in common."""

from __future__ import annotations

import heapq
import itertools
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from typing_extensions import Self

from mosaico_ros.client.handlers.recording_handler import open_recording
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.ros_bridge.bags import BagTopic, MessageGroup, open_bag
from mosaico_ros.ros_bridge.topic_filter import TopicFilter

if TYPE_CHECKING:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient
    from mosaico_ros.client.handlers.recording_handler import RecordedTopicHandler
    from mosaico_ros.client.handlers.sequence_reader import SequenceDataStreamer
    from mosaico_ros.models import Message

MessageT = TypeVar('MessageT')
AdapterT = TypeVar('AdapterT')


class TopicStatus(Enum):
    """Why a topic is not read."""

    FILTERED = 'Filtered'
    UNRESOLVED_ADAPTER = 'Unresolved adapter'
    NOT_IN_TYPESTORE = 'Not in typestore'


class Loader(ABC, Generic[AdapterT]):
    """Topics: which there are, which are read, and why the others are not."""

    def __init__(self) -> None:
        self._resolved: list[str] = []
        self._adapters: dict[str, AdapterT] = {}
        self._rejected: dict[str, TopicStatus] = {}

    @property
    def topics(self) -> list[str]:
        """Topics that are read."""
        return list(self._adapters)

    @property
    def resolved_topics(self) -> list[str]:
        """Topics that there are."""
        return list(self._resolved)

    @property
    def rejected_topics(self) -> list[tuple[str, TopicStatus]]:
        """Topics that are not read, and why."""
        return list(self._rejected.items())

    @property
    def filtered_topics(self) -> list[str]:
        """Topics that no pattern asks for."""
        return self._rejected_for(TopicStatus.FILTERED)

    @property
    def unresolved_adapter_topics(self) -> list[str]:
        """Topics that nothing can translate."""
        return self._rejected_for(TopicStatus.UNRESOLVED_ADAPTER)

    def resolve_adapter(self, topic_name: str) -> AdapterT | None:
        """The adapter of a topic that is read."""
        return self._adapters.get(topic_name)

    @abstractmethod
    def close(self) -> None:
        """Release what is open."""

    def _rejected_for(self, status: TopicStatus) -> list[str]:
        return [name for name, why in self._rejected.items() if why is status]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class BagLoader(Loader[AdapterT], Generic[AdapterT, MessageT]):
    """The messages of a recording in the order of their record times.

    For looking at recordings and for loops of one's own; `RosbagInjector` is some hundred times
    as fast. The file is read twice: for its times, then for its messages.

    Parameters
    ----------
    file_path : str or Path
        What `open_bag` opens.
    topics : str or list of str, optional
        Patterns; see `TopicFilter`.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidArgumentError
        If it is not a recording, or no topic of it can be read.
    """

    def __init__(self, file_path: str | Path, topics: str | list[str] | None) -> None:
        super().__init__()
        self._chosen = TopicFilter([topics] if isinstance(topics, str) else topics)
        self._bag = open_bag(file_path)
        self._groups: list[tuple[int, int]] | None = None
        self._counts: Counter[str] = Counter()
        for topic in self._bag.topics.values():
            self._accepts(topic)
        if self._bag.topics and not self._adapters:
            self.close()
            raise InvalidArgumentError(f'{file_path} holds no topic to read')

    @property
    def duration(self) -> int:
        """Time between the first and the last message, ns."""
        groups = self._times()
        return max(high for _, high in groups) - min(low for low, _ in groups) if groups else 0

    def msg_count(self, topic: str | None = None) -> int:
        """Number of messages on a topic, or on all that are read."""
        names = self.topics if topic is None else [topic]
        counts = [self._bag.topics[name].count for name in names]
        if None not in counts:
            return sum(filter(None, counts))
        self._times()
        return sum(self._counts[name] for name in names)

    def __iter__(self) -> Iterator[tuple[MessageT, Exception | None]]:
        """Yield messages, and why one could not be read: that has no `data_field`."""
        # What any later group may hold of an earlier time has to be waited for.
        lows = [low for low, _ in self._times()]
        begins = np.minimum.accumulate([*lows, 2**63 - 1][::-1])[::-1].tolist()
        waiting: list[tuple[int, int, tuple[MessageT, Exception | None]]] = []
        number = itertools.count()
        for later, group in zip(begins[1:], self._bag.groups(self._accepts), strict=True):
            for time, one in zip(group.timestamps.tolist(), self._decoded(group), strict=True):
                heapq.heappush(waiting, (time, next(number), one))
            while waiting and waiting[0][0] < later:
                yield heapq.heappop(waiting)[2]
        while waiting:
            yield heapq.heappop(waiting)[2]

    def close(self) -> None:
        """Close the recording."""
        self._bag.close()

    @abstractmethod
    def _resolve(self, topic: BagTopic) -> AdapterT | None:
        """The adapter of a topic; None if its messages cannot be read."""

    @abstractmethod
    def _decoded(self, group: MessageGroup) -> list[tuple[MessageT, Exception | None]]:
        """The messages of a group, and for each why it could not be read."""

    def _accepts(self, topic: BagTopic) -> bool:
        name = topic.key
        if name not in self._adapters and name not in self._rejected:
            self._resolved.append(name)
            if not self._chosen(topic.name):
                self._rejected[name] = TopicStatus.FILTERED
            elif (adapter := self._resolve(topic)) is not None:
                self._adapters[name] = adapter
            else:
                self._rejected[name] = TopicStatus.UNRESOLVED_ADAPTER
        return name in self._adapters

    def _times(self) -> list[tuple[int, int]]:
        """First and last time of each group of messages."""
        if self._groups is None:
            told = len(self._bag.problems)
            self._groups = []
            for group in self._bag.groups(self._accepts):
                self._groups.append((int(group.timestamps.min()), int(group.timestamps.max())))
                self._counts[group.topic] += len(group.timestamps)
            del self._bag.problems[told:]
        return self._groups


class SequenceLoader(Loader[AdapterT]):
    """The messages of a sequence in time order, and the adapters that make native ones of them.

    Parameters
    ----------
    m_client : MosaicoClient
        Connected to the archive.
    sequence_name : str
        The sequence.
    topics : list of str, optional
        Patterns; see `TopicFilter`.
    start_timestamp_ns, end_timestamp_ns : int, optional
        Record times from (inclusive) and to (exclusive).

    Raises
    ------
    NotFoundError
        If there is no such sequence.
    InvalidArgumentError
        If no topic of it can become native messages.
    """

    def __init__(
        self,
        m_client: MosaicoClient,
        sequence_name: str,
        topics: list[str] | None,
        start_timestamp_ns: int | None,
        end_timestamp_ns: int | None,
    ) -> None:
        super().__init__()
        self._sequence = open_recording(m_client, sequence_name)
        self._window = start_timestamp_ns, end_timestamp_ns
        self._native: dict[str, str] = {}
        self._streamer: SequenceDataStreamer | None = None
        chosen = TopicFilter(topics)
        for name in self._sequence.topics:
            self._resolved.append(name)
            found: Any = TopicStatus.FILTERED
            if chosen(name):
                found = self._resolve(self._sequence.get_topic_handler(name))
            if isinstance(found, TopicStatus):
                self._rejected[name] = found
            else:
                self._adapters[name], self._native[name] = found
        if not self._adapters:
            raise InvalidArgumentError(f'no topic of {sequence_name} can become native messages')

    @property
    def msg_types(self) -> list[str]:
        """Ontology tags of `topics`."""
        return [self._sequence.get_topic_handler(name).ontology_tag for name in self.topics]

    @property
    def duration(self) -> int:
        """Time between the first and the last message of the sequence, ns."""
        first, last = self._sequence.timestamp_ns_min, self._sequence.timestamp_ns_max
        return 0 if first is None or last is None else last - first

    def msg_count(self, topic: str | None = None) -> int:
        """Number of messages on a topic, or on all that are read, whatever their time."""
        if topic is not None and topic not in self._adapters:
            raise InvalidArgumentError(f'{topic} is not read; those that are: {self.topics}')
        names = self.topics if topic is None else [topic]
        return sum(self._sequence.get_topic_handler(n).message_count or 0 for n in names)

    def resolve_native_msg_type(self, topic_name: str) -> str | None:
        """Type of the native messages of a topic."""
        return self._native.get(topic_name)

    def __iter__(self) -> Iterator[tuple[str, Message]]:
        self.close()
        self._streamer = self._sequence.get_data_streamer(self.topics, *self._window)
        yield from self._streamer

    def close(self) -> None:
        """End the streams."""
        if self._streamer is not None:
            self._streamer.close()
            self._streamer = None

    @abstractmethod
    def _resolve(self, handler: RecordedTopicHandler) -> tuple[AdapterT, str] | TopicStatus:
        """The adapter of a topic and the type of its native messages, or why there is none."""
