"""Adapters that users write for JSON and protobuf channels: one message at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from mosaico_ros.protocol.errors import AlreadyExistsError, InvalidArgumentError
from mosaico_ros.ros_bridge.adapting import translated, unpacked
from mosaico_ros.ros_bridge.channels.codec import Channel
from mosaico_ros.ros_bridge.packaged_adapters import load_packaged_adapters
from mosaico_ros.ros_bridge.schema_metadata import McapSchemaMetadata

if TYPE_CHECKING:
    from mosaico_ros.models import Header, Message, Serializable

OntologyT = TypeVar('OntologyT', bound='Serializable')
AdapterT = TypeVar('AdapterT', bound='type[MCAPAdapterBase[Any]]')
_ENCODINGS = ('jsonschema', 'protobuf')
_registered: dict[str, type[MCAPAdapterBase[Any]]] = {}


def compute_mcap_msg_type(schema_name: str, schema_encoding: str) -> str:
    """One word for a message type: schemas of one name may be in different languages."""
    return f'{schema_name}__{schema_encoding}'


@dataclass(frozen=True)
class MCAPMessage:
    """One decoded message of a channel, with its place in the recording.

    Attributes
    ----------
    channel_name, channel_encoding, schema_name, schema_encoding : str
        Where it stood, and what it is.
    data_field : dict or None
        Members by name; those that were not set are None.
    log_time_ns, publish_time_ns : int
        When it was recorded and published, ns.
    """

    channel_name: str
    channel_encoding: str
    schema_name: str
    schema_encoding: str
    data_field: dict[str, Any] | None
    log_time_ns: int
    publish_time_ns: int

    @classmethod
    def of(
        cls, channel: Channel, data: dict[str, Any] | None, log_time: int, publish_time: int
    ) -> MCAPMessage:
        """A message of a channel."""
        return cls(
            channel.name,
            channel.encoding,
            channel.schema_name,
            channel.schema_encoding,
            data,
            log_time,
            publish_time,
        )


@dataclass(frozen=True)
class McapReturnType:
    """A serialized message, and when it was published (ns; None if nobody knows)."""

    data_bytes: bytes
    publish_time_ns: int | None = None


class MCAPAdapterBase(Generic[OntologyT]):
    """Translates messages of one schema to one ontology type.

    Subclasses set the class attributes and implement `from_dict`, and `to_mcap` for the way back.

    Attributes
    ----------
    schema_name, schema_encoding : str
        The schema: its name, and ``jsonschema`` or ``protobuf``.
    __mosaico_ontology_type__ : type
        What `from_dict` returns.
    """

    schema_name: ClassVar[str]
    schema_encoding: ClassVar[str]
    __mosaico_ontology_type__: ClassVar[type[Any]]

    @classmethod
    def from_dict(cls, mcap_data: dict[str, Any], publish_time_ns: int) -> OntologyT:
        """Build the ontology object from the members of a message."""
        raise NotImplementedError(f'{cls.__name__} has to implement from_dict()')

    @classmethod
    def to_mcap(cls, mosaico_data: OntologyT) -> tuple[Any, int | None]:
        """Build the message of an ontology object; exports of such topics need it.

        Returns
        -------
        tuple
            A dict (JSON) or a protobuf message, and when it was published.
        """
        raise NotImplementedError(f'{cls.__name__} has no to_mcap()')

    @classmethod
    def has_way_back(cls) -> bool:
        """Whether `to_mcap` is implemented."""
        return cls.to_mcap.__func__ is not MCAPAdapterBase.to_mcap.__func__  # type: ignore[attr-defined]

    @classmethod
    def translate(cls, msg: MCAPMessage, **kwargs: Any) -> Message:
        """Wrap the translated object with the message's record time.

        Raises
        ------
        InvalidArgumentError
            If the message has no data, or `from_dict` fails on it.
        """
        name, recorded = msg.channel_name, msg.log_time_ns
        return translated(cls, name, recorded, msg.data_field, msg.publish_time_ns, **kwargs)

    @classmethod
    def to_native(cls, mosaico_data: Message | OntologyT, **kwargs: Any) -> McapReturnType:
        """Serialize what `to_mcap` makes of an ontology object, or of what a message holds."""
        data, _ = cls.unpack_mosaico_msg(mosaico_data)
        made, published = cls.to_mcap(data, **kwargs)
        if isinstance(made, dict):
            return McapReturnType(json.dumps(made).encode(), published)
        return McapReturnType(made.SerializeToString(deterministic=True), published)

    @classmethod
    def unpack_mosaico_msg(cls, mosaico_msg: Message | OntologyT) -> tuple[OntologyT, Header]:
        """The ontology object that a message holds, or that is given itself, and its header."""
        return unpacked(cls, mosaico_msg)

    @classmethod
    def is_mcap_type_valid(cls, encoding_to_validate: str, schema_name_to_validate: str) -> bool:
        """Whether a schema is the one accepted."""
        return (schema_name_to_validate, encoding_to_validate) == (
            cls.schema_name,
            cls.schema_encoding,
        )

    @classmethod
    def schema_metadata(
        cls, channel_name: str, channel_encoding: str, schema_def: str
    ) -> dict[str, Any]:
        """Facts about a channel, as they stand in the metadata of topics."""
        return McapSchemaMetadata(
            schema_name=cls.schema_name,
            schema_encoding=cls.schema_encoding,
            schema_def=schema_def,
            channel_name=channel_name,
            channel_encoding=channel_encoding,
        ).to_dict()

    @classmethod
    def ontology_data_type(cls) -> type[OntologyT]:
        """Ontology class that the adapter produces."""
        return cls.__mosaico_ontology_type__


def register_default_adapter(cls: AdapterT) -> AdapterT:
    """Class decorator: use this adapter for its schema.

    Raises
    ------
    InvalidArgumentError
        If it names no schema, or one in a language that is not read.
    AlreadyExistsError
        If another adapter is registered for the schema.
    """
    encoding = getattr(cls, 'schema_encoding', None)
    if encoding not in _ENCODINGS or not getattr(cls, 'schema_name', ''):
        raise InvalidArgumentError(
            f'{cls.__name__} has to set schema_name, and schema_encoding to one of {_ENCODINGS}'
        )
    key = compute_mcap_msg_type(cls.schema_name, cls.schema_encoding)
    holder = _registered.get(key)
    if holder is not None and holder.__qualname__ != cls.__qualname__:
        raise AlreadyExistsError(f'{holder.__name__} is already registered for {cls.schema_name}')
    _registered[key] = cls
    return cls


def registered_adapter(channel: Channel) -> type[MCAPAdapterBase[Any]] | None:
    """Adapter that a user registered for the schema of a channel."""
    return MCAPBridge.get_default_adapter(channel.schema_name, channel.schema_encoding)


class MCAPBridge:
    """Which adapter serves what, and single messages through them."""

    @classmethod
    def get_default_adapters(cls) -> dict[str, type[MCAPAdapterBase[Any]]]:
        """All adapters, by `compute_mcap_msg_type`."""
        load_packaged_adapters()
        return dict(_registered)

    @classmethod
    def get_default_adapter(
        cls, schema_name: str, schema_encoding: str
    ) -> type[MCAPAdapterBase[Any]] | None:
        """The adapter of a schema; None if messages of it become a derived type."""
        key = compute_mcap_msg_type(schema_name, schema_encoding)
        return cls.get_default_adapters().get(key)

    @classmethod
    def is_msgtype_adapted(cls, mcap_msg_type: str) -> bool:
        """Whether there is an adapter for what `compute_mcap_msg_type` returns."""
        return mcap_msg_type in cls.get_default_adapters()

    @classmethod
    def is_adapted(cls, mosaico_cls: type[Serializable]) -> bool:
        """Whether messages become objects of an ontology class."""
        adapters = cls.get_default_adapters().values()
        return any(adapter.ontology_data_type() is mosaico_cls for adapter in adapters)

    @classmethod
    def from_mcap_message(cls, mcap_msg: MCAPMessage, **kwargs: Any) -> Message | None:
        """Translate one message; None if its schema has no adapter."""
        adapter = cls.get_default_adapter(mcap_msg.schema_name, mcap_msg.schema_encoding)
        return None if adapter is None else adapter.translate(mcap_msg, **kwargs)
