"""Messages one by one: out of a recording, or out of the archive on their way back to ROS."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import Self

from mosaico_ros.client.handlers.recording_handler import open_recording
from mosaico_ros.models.core.unmodeled import resolve_ontology_class
from mosaico_ros.protocol.errors import InvalidArgumentError, MosaicoError, NotFoundError
from mosaico_ros.ros_bridge.adapters.column_adapter import derived_adapter, mapped_adapter
from mosaico_ros.ros_bridge.adapters.maps import ColumnMap
from mosaico_ros.ros_bridge.bags import BagTopic, MessageGroup, open_bag
from mosaico_ros.ros_bridge.bridge import Adapter, ROSBridge
from mosaico_ros.ros_bridge.ros_message import ROSMessage
from mosaico_ros.ros_bridge.schema_metadata import RosSchemaMetadata
from mosaico_ros.ros_bridge.topic_decoder import TopicDecoder
from mosaico_ros.ros_bridge.topic_filter import TopicFilter
from mosaico_ros.ros_bridge.way_back import way_back

if TYPE_CHECKING:
    from rosbags.typesys import Stores
    from rosbags.typesys.store import Typestore

    from mosaico_ros.client.comm.mosaico_client import MosaicoClient
    from mosaico_ros.client.enums import SerializationFormat
    from mosaico_ros.client.handlers.sequence_reader import SequenceDataStreamer
    from mosaico_ros.models import Message


class TopicStatus(Enum):
    """Why a topic is not read."""

    FILTERED = 'Filtered'
    UNRESOLVED_ADAPTER = 'Unresolved adapter'
    NOT_IN_TYPESTORE = 'Not in typestore'


class _Loader:
    """Topics: which there are, which are read, and why the others are not."""

    def __init__(self, typestore_or_distro: Typestore | Stores | str | None) -> None:
        self._extra = getattr(typestore_or_distro, 'fielddefs', None)
        self._distro: Any = None if self._extra is not None else typestore_or_distro
        self._resolved: list[str] = []
        self._adapters: dict[str, Adapter] = {}
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

    def resolve_adapter(self, topic_name: str) -> Adapter | None:
        """The adapter of a topic that is read."""
        return self._adapters.get(topic_name)

    def _rejected_for(self, status: TopicStatus) -> list[str]:
        return [name for name, why in self._rejected.items() if why is status]

    def close(self) -> None:
        """Release what is open."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class ROSLoader(_Loader):
    """The messages of a recording, each as a dict, in the order of their record times.

    For looking at recordings and for loops of one's own; `RosbagInjector` is some hundred times
    as fast. The file is read twice: for its times, then for its messages.

    Parameters
    ----------
    file_path : str or Path
        What `open_bag` opens.
    typestore_or_distro : rosbags Typestore, Stores or str, optional
        Definitions for types of which the recording holds none.
    topics : str or list of str, optional
        Patterns; see `TopicFilter`.
    serialization_formats : dict, optional
        Message type to storage format, for types without an ontology class.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidArgumentError
        If it is not a recording, or no topic of it can be read.
    """

    ACCEPTED_EXTENSIONS = frozenset({'.bag', '.db3', '.mcap'})

    def __init__(
        self,
        file_path: str | Path,
        typestore_or_distro: Typestore | Stores | str | None = None,
        topics: str | list[str] | None = None,
        serialization_formats: dict[str, SerializationFormat] | None = None,
    ) -> None:
        super().__init__(typestore_or_distro)
        self._formats = serialization_formats or {}
        self._decoders: dict[str, TopicDecoder] = {}
        self._chosen = TopicFilter([topics] if isinstance(topics, str) else topics)
        self._bag = open_bag(file_path)
        self._groups: list[tuple[int, int]] | None = None
        for topic in self._bag.topics.values():
            self._accepts(topic)
        if self._bag.topics and not self._adapters:
            self.close()
            raise InvalidArgumentError(f'{file_path} holds no topic to read')

    @property
    def msg_types(self) -> list[str]:
        """Message types of `topics`."""
        return [self._decoders[name].msgtype for name in self._adapters]

    @property
    def duration(self) -> int:
        """Time between the first and the last message, ns."""
        groups = self._times()
        return max(high for _, high in groups) - min(low for low, _ in groups) if groups else 0

    def msg_count(self, topic: str | None = None) -> int:
        """Number of messages on a topic, or on all that are read."""
        names = self.topics if topic is None else [topic]
        if any(self._bag.topics[name].count is None for name in names):
            self._times()
        return sum(self._bag.topics[name].count or 0 for name in names)

    def __iter__(self) -> Iterator[tuple[ROSMessage, Exception | None]]:
        """Yield messages, and why one could not be read: that has no `data_field`."""
        # What any later group may hold of an earlier time has to be waited for.
        lows = [low for low, _ in self._times()]
        begins = np.minimum.accumulate([*lows, 2**63 - 1][::-1])[::-1].tolist()
        waiting: list[tuple[int, int, tuple[ROSMessage, Exception | None]]] = []
        number = itertools.count()
        for later, group in zip(begins[1:], self._bag.groups(self._accepts), strict=True):
            for one in self._decoded(group):
                heapq.heappush(waiting, (one[0].bag_timestamp_ns, next(number), one))
            while waiting and waiting[0][0] < later:
                yield heapq.heappop(waiting)[2]
        while waiting:
            yield heapq.heappop(waiting)[2]

    def close(self) -> None:
        """Close the recording."""
        self._bag.close()

    def _accepts(self, topic: BagTopic) -> bool:
        name = topic.name
        if name not in self._adapters and name not in self._rejected:
            self._resolved.append(name)
            if not self._chosen(name):
                self._rejected[name] = TopicStatus.FILTERED
            else:
                self._resolve(topic)
        return name in self._adapters

    def _resolve(self, topic: BagTopic) -> None:
        try:
            decoder = TopicDecoder(
                topic.msgtype,
                topic.definition,
                distro=self._distro or ('noetic' if topic.ros1 else self._bag.distro),
                ros1=topic.ros1,
                extra=self._extra,
                serialization_format=self._formats.get(topic.msgtype),
                topic=topic.name,
            )
        except MosaicoError:
            self._rejected[topic.name] = TopicStatus.UNRESOLVED_ADAPTER
            return
        self._decoders[topic.name] = decoder
        adapter = ROSBridge.get_default_adapter(decoder.msgtype)
        self._adapters[topic.name] = adapter or derived_adapter(
            decoder.definition, decoder.ontology_type
        )

    def _decoded(self, group: MessageGroup) -> list[tuple[ROSMessage, Exception | None]]:
        decoder = self._decoders[group.topic]
        known = decoder.malformed
        read = dict(decoder.messages(group.timestamps, group.payloads))
        reasons = ', '.join(decoder.problems) if decoder.malformed > known else ''
        error = InvalidArgumentError(f'a message of {group.topic} cannot be read: {reasons}')
        return [
            (read[i], None)
            if i in read
            else (ROSMessage(time, group.topic, decoder.msgtype, None), error)
            for i, time in enumerate(group.timestamps.tolist())
        ]

    def _times(self) -> list[tuple[int, int]]:
        """First and last time of each group of messages."""
        if self._groups is None:
            told = len(self._bag.problems)
            self._groups = [
                (int(group.timestamps.min()), int(group.timestamps.max()))
                for group in self._bag.groups(self._accepts)
            ]
            del self._bag.problems[told:]
        return self._groups


class MosaicoToROSLoader(_Loader):
    """The messages of a sequence in time order, and the adapters that make them ROS messages.

    Parameters
    ----------
    m_client : MosaicoClient
        Connected to the archive.
    typestore_or_distro : rosbags Typestore, Stores or str
        Definitions for types of which the archive has none. A type store learns those that it has.
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
        If no topic of it can become ROS messages.
    """

    def __init__(
        self,
        m_client: MosaicoClient,
        typestore_or_distro: Typestore | Stores | str,
        sequence_name: str,
        topics: list[str] | None = None,
        start_timestamp_ns: int | None = None,
        end_timestamp_ns: int | None = None,
    ) -> None:
        super().__init__(typestore_or_distro)
        self._store: Any = typestore_or_distro if self._extra is not None else None
        self._sequence = open_recording(m_client, sequence_name)
        self._window = start_timestamp_ns, end_timestamp_ns
        self._msgtypes: dict[str, str] = {}
        self._streamer: SequenceDataStreamer | None = None
        chosen = TopicFilter(topics)
        for name in self._sequence.topics:
            self._resolved.append(name)
            if chosen(name):
                self._resolve(name)
            else:
                self._rejected[name] = TopicStatus.FILTERED
        if not self._adapters:
            raise InvalidArgumentError(f'no topic of {sequence_name} can become ROS messages')

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
        """Message type that a topic becomes."""
        return self._msgtypes.get(topic_name)

    def resolve_metadata(self, topic_name: str) -> RosSchemaMetadata | None:
        """What the metadata of a topic that is read says about its messages."""
        if topic_name not in self._adapters:
            return None
        handler = self._sequence.get_topic_handler(topic_name)
        return RosSchemaMetadata.from_dict(handler.user_metadata)

    def __iter__(self) -> Iterator[tuple[str, Message]]:
        self.close()
        self._streamer = self._sequence.get_data_streamer(self.topics, *self._window)
        yield from self._streamer

    def close(self) -> None:
        """End the streams."""
        if self._streamer is not None:
            self._streamer.close()
            self._streamer = None

    def _resolve(self, name: str) -> None:
        handler = self._sequence.get_topic_handler(name)
        try:
            definition, way = way_back(handler, self._distro, self._extra)
        except NotFoundError:
            self._rejected[name] = TopicStatus.NOT_IN_TYPESTORE
            return
        except MosaicoError:
            self._rejected[name] = TopicStatus.UNRESOLVED_ADAPTER
            return
        self._msgtypes[name] = definition.msgtype
        if self._store is not None:
            missing = {k: v for k, v in definition.types.items() if k not in self._store.fielddefs}
            self._store.register(missing)
        if isinstance(way, ColumnMap):
            self._adapters[name] = mapped_adapter(way.ontology)
        elif way is not None:
            self._adapters[name] = way
        else:
            kind = resolve_ontology_class(handler.ontology_tag, handler.ontology_schema)
            self._adapters[name] = derived_adapter(definition, kind)
