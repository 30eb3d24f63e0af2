"""JSON and protobuf messages one by one: out of an MCAP file, or out of the archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mosaico_ros.models.core.unmodeled import resolve_ontology_class
from mosaico_ros.protocol.errors import InvalidArgumentError, MosaicoError
from mosaico_ros.ros_bridge.bags import BagTopic, MessageGroup
from mosaico_ros.ros_bridge.channels.adapter_base import (
    MCAPAdapterBase,
    MCAPMessage,
    registered_adapter,
)
from mosaico_ros.ros_bridge.channels.channel_decoder import (
    ChannelDecoder,
    channel_of,
    derived_adapter,
)
from mosaico_ros.ros_bridge.loading import BagLoader, SequenceLoader, TopicStatus
from mosaico_ros.ros_bridge.schema_metadata import McapSchemaMetadata

if TYPE_CHECKING:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient
    from mosaico_ros.client.enums import SerializationFormat
    from mosaico_ros.client.handlers.recording_handler import RecordedTopicHandler

Adapter = type[MCAPAdapterBase[Any]]


class MCAPLoader(BagLoader[Adapter, MCAPMessage]):
    """The JSON and protobuf messages of an MCAP file, each as a dict; see `BagLoader`.

    Parameters
    ----------
    file_path
        As in `BagLoader`.
    channels : str or list of str, optional
        Patterns; see `TopicFilter`.
    serialization_formats : dict, optional
        Channel to storage format, for those without an ontology class.
    """

    def __init__(
        self,
        file_path: str | Path,
        channels: str | list[str] | None = None,
        serialization_formats: dict[str, SerializationFormat] | None = None,
    ) -> None:
        self._formats = serialization_formats or {}
        self._decoders: dict[str, ChannelDecoder] = {}
        super().__init__(file_path, channels)

    @property
    def channel_types(self) -> list[tuple[str, str]]:
        """Names of the schemas of `topics`, and in which language they are."""
        found = [self._decoders[name].channel for name in self._adapters]
        return [(channel.schema_name, channel.schema_encoding) for channel in found]

    def _resolve(self, topic: BagTopic) -> Adapter | None:
        if topic.channel is None:
            return None
        try:
            decoder = ChannelDecoder(
                topic.channel, serialization_format=self._formats.get(topic.name)
            )
        except InvalidArgumentError:
            return None
        self._decoders[topic.key] = decoder
        adapter = registered_adapter(topic.channel)
        return adapter or derived_adapter(topic.channel, decoder.ontology_type)

    def _decoded(self, group: MessageGroup) -> list[tuple[MCAPMessage, Exception | None]]:
        decoder = self._decoders[group.topic]
        known = decoder.malformed
        read = decoder.dicts(group.payloads)
        reasons = ', '.join(decoder.problems) if decoder.malformed > known else ''
        error = InvalidArgumentError(f'a message of {group.topic} cannot be read: {reasons}')
        times = zip(group.timestamps.tolist(), group.published.tolist(), strict=True)
        return [
            (MCAPMessage.of(decoder.channel, read.get(i), *both), None if i in read else error)
            for i, both in enumerate(times)
        ]


class MosaicoToMCAPLoader(SequenceLoader[Adapter]):
    """The messages of a sequence that were JSON or protobuf; see `SequenceLoader`."""

    def __init__(
        self,
        m_client: MosaicoClient,
        sequence_name: str,
        topics: list[str] | None = None,
        start_timestamp_ns: int | None = None,
        end_timestamp_ns: int | None = None,
    ) -> None:
        super().__init__(m_client, sequence_name, topics, start_timestamp_ns, end_timestamp_ns)

    def resolve_metadata(self, topic_name: str) -> McapSchemaMetadata | None:
        """What the metadata of a topic that is read says about its channel."""
        if topic_name not in self._adapters:
            return None
        handler = self._sequence.get_topic_handler(topic_name)
        return McapSchemaMetadata.from_dict(handler.user_metadata)

    def _resolve(self, handler: RecordedTopicHandler) -> tuple[Adapter, str] | TopicStatus:
        try:
            encoder = channel_of(handler)
        except MosaicoError:
            return TopicStatus.UNRESOLVED_ADAPTER
        if encoder is None:
            return TopicStatus.UNRESOLVED_ADAPTER
        channel = encoder.channel
        kind = resolve_ontology_class(handler.ontology_tag, handler.ontology_schema)
        return encoder.adapter or derived_adapter(channel, kind), channel.schema_name
