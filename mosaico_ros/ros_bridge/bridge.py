"""Adapters by message type and by ontology type, and single messages through them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mosaico_ros.protocol.tags import same_tag
from mosaico_ros.ros_bridge.adapter_base import (
    ROSAdapterBase,
    default_adapter,
    registered_adapter,
    registered_adapters,
)
from mosaico_ros.ros_bridge.adapters.column_adapter import mapped_adapter
from mosaico_ros.ros_bridge.adapters.maps import column_map, mapped_types
from mosaico_ros.ros_bridge.definitions import typestore

if TYPE_CHECKING:
    from rosbags.typesys import Stores

    from mosaico_ros.models import Message, Serializable
    from mosaico_ros.ros_bridge.ros_message import ROSMessage

Adapter = type[ROSAdapterBase[Any]]


class ROSBridge:
    """Which adapter serves what: those that users registered, then those built in.

    For single messages; `RosbagInjector` and `TopicDecoder` work on columns.
    """

    @classmethod
    def get_default_adapters(cls) -> dict[str, Adapter]:
        """All adapters, by message type."""
        built_in = {name: cls.get_default_adapter(name) for name in mapped_types()}
        return {**{k: v for k, v in built_in.items() if v is not None}, **registered_adapters()}

    @classmethod
    def get_default_adapter(cls, ros_msg_type: str) -> Adapter | None:
        """The adapter of a message type; None if messages of it become a derived type."""
        registered = registered_adapter(ros_msg_type)
        if registered is not None:
            return registered
        found = column_map(ros_msg_type)
        return None if found is None else mapped_adapter(found.ontology)

    @classmethod
    def get_default_mosaico_adapters(cls) -> dict[str, Adapter]:
        """The adapters that make messages of ontology types, by tag."""
        tags = {a.ontology_data_type().ontology_tag() for a in cls.get_default_adapters().values()}
        found = {tag: cls.get_default_mosaico_adapter(tag) for tag in sorted(tags)}
        return {tag: adapter for tag, adapter in found.items() if adapter is not None}

    @classmethod
    def get_default_mosaico_adapter(cls, mosaico_type: str) -> Adapter | None:
        """The adapter that makes messages of an ontology type, by its tag in either spelling."""
        registered = default_adapter(mosaico_type)
        if registered is not None:
            return registered
        for name in mapped_types():
            found = column_map(name)
            if found is not None and same_tag(found.ontology, mosaico_type):
                return mapped_adapter(found.ontology)
        return None

    @classmethod
    def is_msgtype_adapted(cls, ros_msg_type: str) -> bool:
        """Whether a message type has an adapter."""
        return cls.get_default_adapter(ros_msg_type) is not None

    @classmethod
    def is_mosaico_type_adapted(cls, mosaico_type: str) -> bool:
        """Whether messages can be made of an ontology type, given by its tag."""
        return cls.get_default_mosaico_adapter(mosaico_type) is not None

    @classmethod
    def is_adapted(cls, mosaico_cls: type[Serializable]) -> bool:
        """Whether messages become objects of an ontology class."""
        adapters = cls.get_default_adapters().values()
        return any(adapter.ontology_data_type() is mosaico_cls for adapter in adapters)

    @classmethod
    def from_ros_message(cls, ros_msg: ROSMessage, **kwargs: Any) -> Message | None:
        """Translate one message; None if its type has no adapter.

        Raises
        ------
        InvalidArgumentError
            If the adapter refuses it.
        """
        adapter = cls.get_default_adapter(ros_msg.msg_type)
        return None if adapter is None else adapter.translate(ros_msg, **kwargs)

    @classmethod
    def from_mosaico_message(
        cls, mosaico_msg: Message, store: Stores | str, ros_msg_type: str | None = None
    ) -> Any | None:
        """Make a ROS message, an object of rosbags' type store; None without an adapter.

        Parameters
        ----------
        mosaico_msg
            What to make it of.
        store
            Distribution, such as ``humble``.
        ros_msg_type
            Which of the adapter's types; its default without.
        """
        adapter = cls.get_default_mosaico_adapter(mosaico_msg.ontology_tag())
        if adapter is None:
            return None
        return adapter.to_native(
            mosaico_msg, typestore=typestore(store), ros_msg_type=ros_msg_type
        )
