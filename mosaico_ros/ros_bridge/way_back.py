"""What a stored topic was made of, and by what: the two things that its way back needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.fingerprint import fingerprint
from mosaico_ros.protocol.tags import same_tag
from mosaico_ros.ros_bridge.adapter_base import (
    ROSAdapterBase,
    default_adapter,
    registered_adapter,
)
from mosaico_ros.ros_bridge.adapters.maps import ColumnMap, column_maps, default_map
from mosaico_ros.ros_bridge.definitions import Definition, Types, find_definition
from mosaico_ros.ros_bridge.stored_names import stored_names

if TYPE_CHECKING:
    from rosbags.typesys import Stores

    from mosaico_ros.client.handlers.recording_handler import RecordedTopicHandler
    from mosaico_ros.models import Serializable

#: What makes messages of rows: a per-message adapter, a map, or None for rows that have the
#: members of the message.
Way = ColumnMap | type[ROSAdapterBase[Any]] | None


def way_back(
    handler: RecordedTopicHandler, distro: Stores | str | None = None, extra: Types | None = None
) -> tuple[Definition, Way]:
    """Message type of a topic, and what made its rows of messages.

    Parameters
    ----------
    handler
        The topic.
    distro
        Distribution whose type set is the last resort.
    extra
        Definitions registered by the user, in rosbags' form.

    Raises
    ------
    NotFoundError
        If there is no definition of the type.
    InvalidArgumentError
        If no message type is known for the rows, or they were made by an adapter that has no way
        back or is not there.
    """
    about = handler.user_metadata.get('_ros_', {})
    msgtype = about.get('msgtype')
    if msgtype is None:
        return _default(handler.ontology_tag, distro, extra)
    definition = find_definition(
        msgtype,
        about.get('msgdef'),
        distro=distro,
        ros1=about.get('serialization') == 'ros1',
        extra=extra,
    )
    stored = fingerprint(handler.ontology_schema)

    def made(ontology: type[Serializable]) -> bool:
        tagged = same_tag(ontology.ontology_tag(), handler.ontology_tag)
        return tagged and ontology.fingerprint() == stored

    adapter = registered_adapter(definition.msgtype)
    if adapter is not None and made(adapter.ontology_data_type()):
        if not adapter.has_way_back():
            raise InvalidArgumentError(
                f'its adapter {adapter.__name__} has no to_ros', remedy='implement it'
            )
        return definition, adapter
    for found in column_maps(definition.msgtype):
        if made(found.ontology_type):
            return definition, found
    derived = {field.name for field in handler.ontology_schema}
    names = stored_names([name for name, _ in definition.tree.members])
    if not set(names.values()) <= derived:
        raise InvalidArgumentError(
            f'{handler.ontology_tag} was made of {definition.msgtype} by an adapter that is '
            'not registered',
            remedy='export it by a program that imports the adapter',
        )
    return definition, None


def _default(tag: str, distro: Stores | str | None, extra: Types | None) -> tuple[Definition, Way]:
    """The way of rows that no ROS message made."""
    adapter = default_adapter(tag)
    if adapter is not None and adapter.has_way_back():
        msgtype = adapter.get_default_ros_msg()
        return find_definition(msgtype, distro=distro, extra=extra), adapter
    found = default_map(tag)
    if found is None:
        raise InvalidArgumentError(
            f'no message type is known for {tag}',
            remedy='it was not made by ROS; export it as parquet',
        )
    return find_definition(found.msgtype, distro=distro), found
