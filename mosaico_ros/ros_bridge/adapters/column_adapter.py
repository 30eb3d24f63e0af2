"""Column maps and derived models as adapters, one message at a time, beside those of users."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from mosaico_ros.models.core import columns
from mosaico_ros.protocol.errors import InvalidArgumentError, NotFoundError
from mosaico_ros.ros_bridge.adapter_base import ROSAdapterBase
from mosaico_ros.ros_bridge.adapters import ADAPTERS
from mosaico_ros.ros_bridge.adapters.maps import ColumnMap, default_map, ontology_maps
from mosaico_ros.ros_bridge.cdr.columns import (
    Group,
    column_of,
    derived_array,
    derived_type,
    number_array,
)
from mosaico_ros.ros_bridge.cdr.layout import Array, Node, Primitive, Sequence, Struct
from mosaico_ros.ros_bridge.definitions import Definition, find_definition, full_name, typestore
from mosaico_ros.ros_bridge.topic_encoder import TopicEncoder

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

    from mosaico_ros.models import Serializable


def rows_of(
    times: np.ndarray, members: Group, column_map: ColumnMap | None, kind: type[Serializable]
) -> pa.RecordBatch:
    """Rows of an ontology type from the members of messages.

    Parameters
    ----------
    times
        Record times, shape (n,), int64, ns.
    members
        As the decoder gives them.
    column_map
        What makes the ontology's columns of them; None for a type derived from the definition.
    kind
        The ontology type.
    """
    struct = kind.arrow_struct()
    if column_map is None:
        rows = derived_array(members, struct)
    else:
        rows = column_map.word.emit(members, struct)
    arrays = [number_array(times, pa.int64()), *(rows.field(i) for i in range(struct.num_fields))]
    return pa.RecordBatch.from_arrays(arrays, schema=columns.writer_schema(kind))


class ColumnAdapter(ROSAdapterBase[Any]):
    """What a column map does, for one message; subclasses are made by `mapped_adapter`.

    A subclass of such a class that leaves `from_dict` and `translate` alone works on columns when
    it is registered, or chosen for a topic.
    """

    _maps: ClassVar[Mapping[str, ColumnMap | None]] = {}
    _definitions: ClassVar[Mapping[str, Definition]] = {}

    @classmethod
    def column_map(cls, msgtype: str) -> ColumnMap | None:
        """The map of a message type, unless it is not all that the class does with it."""
        alone = all(
            getattr(cls, name).__func__ is getattr(ColumnAdapter, name).__func__
            for name in ('from_dict', 'translate')
        )
        return cls._maps.get(msgtype) if alone else None

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> Any:
        """Build the ontology object from the members of a message.

        Raises
        ------
        InvalidArgumentError
            If the members are those of none of the types accepted.
        """
        problem = ''
        for name in cls.ros_msg_types():
            for definition in cls._candidates(name):
                try:
                    row = _fitted(definition.tree, ros_data, '')
                except InvalidArgumentError as error:
                    problem = problem or str(error)
                    continue
                values = pa.array([row], derived_type(definition.tree))
                members = column_of(definition.tree, values, 1)
                assert isinstance(members, Group)
                kind, found = cls.ontology_data_type(), cls._maps[name]
                for reason in found.refused(members) if found else ():
                    raise InvalidArgumentError(f'a message of {name} is refused: {reason}')
                batch = rows_of(np.zeros(1, np.int64), members, found, kind)
                return columns.decode(kind, batch)[0].data
        raise InvalidArgumentError(f'no message of {cls.ros_msgtype}: {problem}')

    @classmethod
    def to_ros(cls, data: Any, typestore: Typestore, ros_msg_type: str | None = None) -> Any:
        """Build the ROS message of an ontology object, or of what a message holds.

        Raises
        ------
        InvalidArgumentError
            If it is of another ontology type, or another message type is wanted.
        NotFoundError
            If the type store does not know the message type.
        """
        from mosaico_ros.models import Message

        content, _ = cls.unpack_mosaico_msg(data)
        name = full_name(ros_msg_type) if ros_msg_type else cls.get_default_ros_msg()
        if name not in cls._maps:
            raise InvalidArgumentError(f'{cls.__name__} makes no {name}, but {cls.ros_msgtype}')
        if name not in typestore.fielddefs:
            raise NotFoundError(f'the type store does not know {name}')
        encoder = TopicEncoder(Definition(name, typestore.fielddefs), cls._maps[name])
        batch = columns.encode(cls.ontology_data_type(), [Message(data=content, timestamp_ns=0)])
        _, _, payloads = encoder.encode(batch)
        return typestore.deserialize_cdr(bytes(payloads[0]), name)

    @classmethod
    def _candidates(cls, name: str) -> Iterator[Definition]:
        """Definitions that the members of a message may follow: ROS 2, then ROS 1."""
        if name in cls._definitions:
            yield cls._definitions[name]
            return
        with suppress(NotFoundError):
            yield find_definition(name)
        # Installed packages are of ROS 2 and would come first.
        older = typestore('noetic').fielddefs
        if name in older:
            yield Definition(name, older, ros1=True)


@cache
def mapped_adapter(ontology: str) -> type[ColumnAdapter]:
    """The adapter that stands for all column maps to an ontology class, given by its name."""
    first = default_map(ontology)
    assert first is not None
    maps = {found.msgtype: found for found in (first, *ontology_maps(ontology))}
    names = {made: name for name, made in ADAPTERS.items()}
    name = names.get(ontology, f'{ontology}Adapter')
    return _adapter(name, first.ontology_type, maps, {})


def derived_adapter(definition: Definition, kind: type[Serializable]) -> type[ColumnAdapter]:
    """An adapter for a type that was derived from a message definition."""
    name, maps = definition.msgtype, {definition.msgtype: None}
    return _adapter(f'{kind.__name__}Adapter', kind, maps, {name: definition})


def _adapter(
    name: str,
    kind: type[Serializable],
    maps: Mapping[str, ColumnMap | None],
    definitions: Mapping[str, Definition],
) -> type[ColumnAdapter]:
    content = {
        '__module__': __name__,
        '__doc__': f'{", ".join(maps)} as {kind.__name__}.',
        'ros_msgtype': tuple(maps),
        '__mosaico_ontology_type__': kind,
        '_maps': maps,
        '_definitions': definitions,
    }
    return type(name, (ColumnAdapter,), content)


def _fitted(node: Node, value: Any, path: str) -> Any:
    """The value in the form that Arrow takes.

    Raises
    ------
    InvalidArgumentError
        If it has not exactly the members of the definition.
    """
    if isinstance(node, Struct):
        wanted = [name for name, _ in node.members]
        if not isinstance(value, Mapping) or set(value) != set(wanted):
            given = list(value) if isinstance(value, Mapping) else type(value).__name__
            raise InvalidArgumentError(f'{path or "it"} has {given}, not {wanted}')
        return {name: _fitted(inner, value[name], name) for name, inner in node.members}
    if isinstance(node, Sequence) and node.item == Primitive('u1'):
        return bytes(value)
    if isinstance(node, (Array, Sequence)) and isinstance(node.item, Struct):
        return [_fitted(node.item, item, path) for item in value]
    return value
