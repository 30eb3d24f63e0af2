"""Messages of one JSON or protobuf channel to rows of its ontology type, and back."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mosaico_ros.models.core import columns
from mosaico_ros.models.core.unmodeled import resolve_ontology_class
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.fingerprint import fingerprint
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN, is_sidecar
from mosaico_ros.protocol.serialization import SerializationFormat
from mosaico_ros.protocol.tags import same_tag
from mosaico_ros.ros_bridge.cdr.columns import pieces_array
from mosaico_ros.ros_bridge.cdr.decoder import Buffer, Payloads
from mosaico_ros.ros_bridge.channels.adapter_base import (
    MCAPAdapterBase,
    MCAPMessage,
    registered_adapter,
)
from mosaico_ros.ros_bridge.channels.codec import Channel, ChannelCodec, codec_for
from mosaico_ros.ros_bridge.residual import RESIDUAL, Fidelity, residuals, restored
from mosaico_ros.ros_bridge.schema_metadata import McapSchemaMetadata
from mosaico_ros.ros_bridge.stored_names import stored_names

if TYPE_CHECKING:
    from mosaico_ros.client.handlers.recording_handler import RecordedTopicHandler
    from mosaico_ros.models import Message, Serializable

#: When a message was published, ns: a column like the others here, as published clients have it.
PUBLISH_TIME = pa.field('publish_time_ns', pa.int64())

Adapter = type[MCAPAdapterBase[Any]]


class ChannelDecoder:
    """Decodes the messages of one channel, a batch at a time; `TopicDecoder` for what is not ROS.

    The ontology type is that of a given or registered adapter, or one derived from the schema,
    which keeps every field and the time of publication; its tag is the last part of the schema's
    name.

    Parameters
    ----------
    channel : Channel
        What the file says of it.
    adapter : type, optional
        Per-message adapter to use whatever is registered.
    serialization_format : SerializationFormat, optional
        Storage hint for a derived type.
    fidelity : Fidelity
        What of a message can be had back; ``VALUES`` looks at each one whose bytes come back
        otherwise, whether they mean the same.

    Attributes
    ----------
    ontology_type : type
        The `Serializable` subclass.
    schema : pyarrow.Schema
        What `decode` returns.
    problems : Counter
        Number of messages left out, by reason.

    Raises
    ------
    InvalidArgumentError
        If there is no codec for the channel, or its schema cannot be read.
    """

    #: JSON and protobuf refuse text that is not UTF-8.
    invalid_text = 0

    def __init__(
        self,
        channel: Channel,
        *,
        adapter: Adapter | None = None,
        serialization_format: SerializationFormat | None = None,
        fidelity: Fidelity = Fidelity.COLUMNS,
    ) -> None:
        self.channel = channel
        self.problems: Counter[str] = Counter()
        self._codec = codec_for(channel)
        self._adapter = adapter or registered_adapter(channel)
        self._fidelity = fidelity
        self.ontology_type = self._choose_type(serialization_format)
        self._encoder = ChannelEncoder(channel, self._codec, self._adapter)
        self.schema: pa.Schema = columns.writer_schema(self.ontology_type)
        if fidelity is not Fidelity.COLUMNS:
            self.schema = self.schema.append(RESIDUAL)

    @property
    def malformed(self) -> int:
        """Number of messages left out."""
        return sum(self.problems.values())

    def metadata(self) -> dict[str, Any]:
        """Topic metadata: how the rows came from the channel, under the key ``_mcap_``."""
        return channel_metadata(self.channel).to_dict()

    def decode(
        self,
        timestamps_ns: np.ndarray,
        payloads: Sequence[Buffer] | Payloads,
        beside: Sequence[pa.Array] = (),
    ) -> pa.RecordBatch:
        """Rows of the messages that could be decoded, in the order given.

        Parameters
        ----------
        timestamps_ns : numpy.ndarray
            Record times, shape (n,), int64.
        payloads : sequence of bytes, or Payloads
            The messages.
        beside : sequence of pyarrow.Array
            Times of publication, null where they are the record times; none at all if all are.
        """
        recorded = [bytes(payload) for payload in payloads]
        parsed = self._codec.parse(recorded)
        self.problems += parsed.problems
        times = pa.array(np.ascontiguousarray(timestamps_ns, np.int64))
        published = pc.coalesce(beside[0], times) if beside else times
        rows = pa.array(parsed.rows)
        times, published, index = times.take(rows), published.take(rows), parsed.rows
        if self._adapter is None:
            arrays = [times, *parsed.values.flatten(), published]
            schema = columns.writer_schema(self.ontology_type)
            batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
        else:
            batch, index = self._translated(parsed.values, times, published, index)
        if self._fidelity is Fidelity.COLUMNS:
            return batch
        kept = self._residuals(batch, [recorded[i] for i in index.tolist()])
        return batch.append_column(RESIDUAL, pieces_array(kept, RESIDUAL.type))

    def dicts(self, payloads: Sequence[Buffer] | Payloads) -> dict[int, dict[str, Any]]:
        """The members of the messages that could be decoded, by their place in what is given."""
        parsed = self._codec.parse([bytes(payload) for payload in payloads])
        self.problems += parsed.problems
        rows = parsed.values.to_pylist(maps_as_pydicts='strict')
        return dict(zip(parsed.rows.tolist(), rows, strict=True))

    def _choose_type(self, serialization_format: SerializationFormat | None) -> type[Serializable]:
        if self._adapter is not None:
            return self._adapter.ontology_data_type()
        return resolve_ontology_class(
            self.channel.type_name,
            derived_struct(self._codec),
            serialization_format=serialization_format,
        )

    def _residuals(self, batch: pa.RecordBatch, recorded: list[bytes]) -> list[bytes | None]:
        if self._adapter is not None and not self._adapter.has_way_back():
            encoded = [b''] * len(recorded)
        else:
            encoded = self._encoder.serialize(batch)
        kept = residuals(Payloads.join(encoded), recorded)
        if self._fidelity is Fidelity.VALUES:
            meaning = self._codec.canonical
            for i, residual in enumerate(kept):
                if residual is not None and meaning(encoded[i]) == meaning(recorded[i]):
                    kept[i] = None
        return kept

    def _translated(
        self, values: pa.StructArray, times: pa.Array, published: pa.Array, index: np.ndarray
    ) -> tuple[pa.RecordBatch, np.ndarray]:
        """The per-message path: the adapter makes objects of dicts."""
        assert self._adapter is not None
        messages: list[Message] = []
        translated = []
        rows = values.to_pylist(maps_as_pydicts='strict')
        told = zip(index.tolist(), rows, times.to_pylist(), published.to_pylist(), strict=True)
        for i, row, log_time, publish_time in told:
            message = MCAPMessage.of(self.channel, row, log_time, publish_time)
            try:
                messages.append(self._adapter.translate(message))
                translated.append(i)
            except Exception as error:
                self.problems[str(error)] += 1
        return columns.encode(self.ontology_type, messages), np.array(translated, np.int64)


class ChannelEncoder:
    """Encodes the rows of one channel, a batch at a time.

    Parameters
    ----------
    channel : Channel
        What the rows came of.
    codec : ChannelCodec
        Its codec.
    adapter : type, optional
        The per-message adapter that made the rows.
    """

    def __init__(
        self, channel: Channel, codec: ChannelCodec, adapter: Adapter | None = None
    ) -> None:
        self.channel = channel
        self.codec = codec
        self.adapter = adapter

    def encode(self, rows: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray, Payloads]:
        """Record times, times of publication (both ns), and messages.

        Parameters
        ----------
        rows
            With the residuals, if it has them, the messages are the recorded ones.

        Raises
        ------
        DataLossError
            If the residuals belong to other messages.
        """
        payloads = Payloads.join(self.serialize(rows))
        if RESIDUAL.name in rows.schema.names:
            payloads = restored(payloads, rows.column(RESIDUAL.name))
        times = rows.column(TIMESTAMP_COLUMN)
        published = times
        if PUBLISH_TIME.name in rows.schema.names:
            published = pc.coalesce(rows.column(PUBLISH_TIME.name), times)
        numbers = [one.to_numpy(zero_copy_only=False) for one in (times, published)]
        return numbers[0], numbers[1], payloads

    def serialize(self, rows: pa.RecordBatch) -> list[bytes]:
        """The messages as made of the columns alone."""
        kept = [field.name for field in rows.schema if not is_sidecar(field.metadata)]
        if self.adapter is not None:
            kind = self.adapter.ontology_data_type()
            messages = columns.decode(kind, rows.select(kept))
            return [self.adapter.to_native(message).data_bytes for message in messages]
        arrays = [rows.column(name) for name in _stored_names(self.codec.struct).values()]
        values = pa.StructArray.from_arrays(arrays, fields=list(self.codec.struct))
        return self.codec.serialize(values)


def derived_adapter(channel: Channel, kind: type[Serializable]) -> Adapter:
    """An adapter, one message at a time, for a type that was derived from a channel's schema."""
    codec = codec_for(channel)
    encoder = ChannelEncoder(channel, codec)
    names = _stored_names(codec.struct)

    class DerivedAdapter(MCAPAdapterBase[Any]):
        schema_name = channel.schema_name
        schema_encoding = channel.schema_encoding
        __mosaico_ontology_type__ = kind

        @classmethod
        def from_dict(cls, mcap_data: dict[str, Any], publish_time_ns: int) -> Any:
            stored = {names[name]: value for name, value in mcap_data.items()}
            return kind(raw_data={**stored, PUBLISH_TIME.name: publish_time_ns})

        @classmethod
        def to_mcap(cls, mosaico_data: Any) -> tuple[Any, int | None]:
            from mosaico_ros.models import Message

            rows = columns.encode(kind, [Message(data=mosaico_data, timestamp_ns=0)])
            (payload,) = encoder.serialize(rows)
            return codec.native(payload), mosaico_data.raw_data.get(PUBLISH_TIME.name)

    return DerivedAdapter


def channel_of(handler: RecordedTopicHandler) -> ChannelEncoder | None:
    """What makes messages of the rows of a topic; None if it did not come from such a channel.

    Raises
    ------
    InvalidArgumentError
        If the metadata is damaged, or an adapter made the rows that is not there or has no way
        back.
    """
    if McapSchemaMetadata.KEY not in handler.user_metadata:
        return None
    facts = McapSchemaMetadata.from_dict(handler.user_metadata).fields
    text = facts['schema_def']
    try:
        definition = (
            base64.b64decode(text) if facts['schema_encoding'] == 'protobuf' else text.encode()
        )
    except ValueError as error:
        raise InvalidArgumentError(f'its schema is damaged ({error})') from error
    channel = Channel(
        facts['channel_name'],
        facts['channel_encoding'],
        facts['schema_name'],
        facts['schema_encoding'],
        definition,
        facts.get('channel_metadata') or {},
    )
    codec = codec_for(channel)
    stored = fingerprint(handler.ontology_schema)
    adapter = registered_adapter(channel)
    if adapter is not None:
        kind = adapter.ontology_data_type()
        if same_tag(kind.ontology_tag(), handler.ontology_tag) and kind.fingerprint() == stored:
            if not adapter.has_way_back():
                raise InvalidArgumentError(
                    f'its adapter {adapter.__name__} has no to_mcap', remedy='implement it'
                )
            return ChannelEncoder(channel, codec, adapter)
    if not {field.name for field in derived_struct(codec)} <= {
        field.name for field in handler.ontology_schema
    }:
        raise InvalidArgumentError(
            f'{handler.ontology_tag} was made of {channel.schema_name} by an adapter that is not '
            'registered',
            remedy='export it by a program that imports the adapter',
        )
    return ChannelEncoder(channel, codec)


def channel_metadata(channel: Channel) -> McapSchemaMetadata:
    """What the metadata of a topic says about its channel."""
    if channel.schema_encoding == 'protobuf':
        text = base64.b64encode(channel.schema_def).decode()
    else:
        text = channel.schema_def.decode(errors='replace')
    found = McapSchemaMetadata(
        schema_name=channel.schema_name,
        schema_encoding=channel.schema_encoding,
        schema_def=text,
        channel_name=channel.name,
        channel_encoding=channel.encoding,
    )
    return found.update(channel_metadata=channel.metadata) if channel.metadata else found


def derived_struct(codec: ChannelCodec) -> pa.StructType:
    """Layout of the rows of a channel without adapter."""
    names = _stored_names(codec.struct)
    return pa.struct(
        [*(field.with_name(names[field.name]) for field in codec.struct), PUBLISH_TIME]
    )


def _stored_names(struct: pa.StructType) -> dict[str, str]:
    return stored_names([field.name for field in struct], [PUBLISH_TIME.name])
