"""ROS messages one by one: out of a recording, or out of the archive on their way back to ROS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mosaico_ros.models.core.unmodeled import resolve_ontology_class
from mosaico_ros.protocol.errors import InvalidArgumentError, MosaicoError, NotFoundError
from mosaico_ros.ros_bridge.adapters.column_adapter import derived_adapter, mapped_adapter
from mosaico_ros.ros_bridge.adapters.maps import ColumnMap
from mosaico_ros.ros_bridge.bags import BagTopic, MessageGroup
from mosaico_ros.ros_bridge.bridge import Adapter, ROSBridge
from mosaico_ros.ros_bridge.loading import BagLoader, SequenceLoader, TopicStatus
from mosaico_ros.ros_bridge.ros_message import ROSMessage
from mosaico_ros.ros_bridge.schema_metadata import RosSchemaMetadata
from mosaico_ros.ros_bridge.topic_decoder import TopicDecoder
from mosaico_ros.ros_bridge.way_back import way_back

if TYPE_CHECKING:
    from rosbags.typesys import Stores
    from rosbags.typesys.store import Typestore

    from mosaico_ros.client.comm.mosaico_client import MosaicoClient
    from mosaico_ros.client.enums import SerializationFormat
    from mosaico_ros.client.handlers.recording_handler import RecordedTopicHandler


class ROSLoader(BagLoader[Adapter, ROSMessage]):
    """The ROS messages of a recording, each as a dict; see `BagLoader`.

    Parameters
    ----------
    file_path, topics
        As in `BagLoader`.
    typestore_or_distro : rosbags Typestore, Stores or str, optional
        Definitions for types of which the recording holds none.
    serialization_formats : dict, optional
        Message type to storage format, for types without an ontology class.
    """

    ACCEPTED_EXTENSIONS = frozenset({'.bag', '.db3', '.mcap'})

    def __init__(
        self,
        file_path: str | Path,
        typestore_or_distro: Typestore | Stores | str | None = None,
        topics: str | list[str] | None = None,
        serialization_formats: dict[str, SerializationFormat] | None = None,
    ) -> None:
        self._extra, self._distro = _definitions(typestore_or_distro)
        self._formats = serialization_formats or {}
        self._decoders: dict[str, TopicDecoder] = {}
        super().__init__(file_path, topics)

    @property
    def msg_types(self) -> list[str]:
        """Message types of `topics`."""
        return [self._decoders[name].msgtype for name in self._adapters]

    def _resolve(self, topic: BagTopic) -> Adapter | None:
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
            return None
        self._decoders[topic.key] = decoder
        adapter = ROSBridge.get_default_adapter(decoder.msgtype)
        return adapter or derived_adapter(decoder.definition, decoder.ontology_type)

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


class MosaicoToROSLoader(SequenceLoader[Adapter]):
    """The messages of a sequence, and the adapters that make ROS messages; see `SequenceLoader`.

    Parameters
    ----------
    m_client, sequence_name, topics, start_timestamp_ns, end_timestamp_ns
        As in `SequenceLoader`.
    typestore_or_distro : rosbags Typestore, Stores or str
        Definitions for types of which the archive has none. A type store learns those that it has.
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
        self._extra, self._distro = _definitions(typestore_or_distro)
        self._store: Any = None if self._extra is None else typestore_or_distro
        super().__init__(m_client, sequence_name, topics, start_timestamp_ns, end_timestamp_ns)

    def resolve_metadata(self, topic_name: str) -> RosSchemaMetadata | None:
        """What the metadata of a topic that is read says about its messages."""
        if topic_name not in self._adapters:
            return None
        handler = self._sequence.get_topic_handler(topic_name)
        return RosSchemaMetadata.from_dict(handler.user_metadata)

    def _resolve(self, handler: RecordedTopicHandler) -> tuple[Adapter, str] | TopicStatus:
        try:
            definition, way = way_back(handler, self._distro, self._extra)
        except NotFoundError:
            return TopicStatus.NOT_IN_TYPESTORE
        except MosaicoError:
            return TopicStatus.UNRESOLVED_ADAPTER
        if self._store is not None:
            missing = {k: v for k, v in definition.types.items() if k not in self._store.fielddefs}
            self._store.register(missing)
        if isinstance(way, ColumnMap):
            return mapped_adapter(way.ontology), definition.msgtype
        if way is not None:
            return way, definition.msgtype
        kind = resolve_ontology_class(handler.ontology_tag, handler.ontology_schema)
        return derived_adapter(definition, kind), definition.msgtype


def _definitions(typestore_or_distro: Any) -> tuple[Any, Any]:
    """Definitions of a type store, or the distribution that was named."""
    extra = getattr(typestore_or_distro, 'fielddefs', None)
    return extra, (typestore_or_distro if extra is None else None)
