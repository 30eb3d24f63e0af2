"""Protobuf messages: the columns are those of the message type in the schema.

Numbers, text and bytes are columns of their type, enumerations their numbers, messages structs,
repeated fields lists, maps maps. What Arrow or Parquet cannot lay out - types that contain
themselves, messages without fields - is kept serialized.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.ros_bridge.cdr.cursor import running
from mosaico_ros.ros_bridge.channels.codec import Budget, ChannelCodec, Parsed, struct_array

_SCALARS = {
    FieldDescriptor.CPPTYPE_DOUBLE: pa.float64(),
    FieldDescriptor.CPPTYPE_FLOAT: pa.float32(),
    FieldDescriptor.CPPTYPE_INT32: pa.int32(),
    FieldDescriptor.CPPTYPE_INT64: pa.int64(),
    FieldDescriptor.CPPTYPE_UINT32: pa.uint32(),
    FieldDescriptor.CPPTYPE_UINT64: pa.uint64(),
    FieldDescriptor.CPPTYPE_BOOL: pa.bool_(),
    FieldDescriptor.CPPTYPE_ENUM: pa.int32(),
}
#: Makes messages of a column's values.
_Maker = Callable[[Any], Any]


class ProtobufCodec(ChannelCodec):
    """Messages of one type.

    Parameters
    ----------
    name
        Full name of the type, such as ``foxglove.PointCloud``.
    definition
        A serialized ``FileDescriptorSet`` with the type and all that it refers to.

    Raises
    ------
    InvalidArgumentError
        If the definition is damaged, or lacks a type.
    """

    def __init__(self, name: str, definition: bytes) -> None:
        pool = DescriptorPool()
        try:
            waiting = {file.name: file for file in FileDescriptorSet.FromString(definition).file}
            while waiting:
                _add(pool, waiting, next(iter(waiting)))
            descriptor = pool.FindMessageTypeByName(name)
            self._class: Any = GetMessageClass(descriptor)
            self._message = _Message(descriptor, (), Budget())
            # What does not fit together without being refused so far shows with the first message.
            self.serialize(self._message.array([self._class()]))
        except InvalidArgumentError:
            raise
        # The pool raises TypeError for what does not fit together.
        except (DecodeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise InvalidArgumentError(
                f'the definition of {name} cannot be read ({error})'
            ) from error
        self.struct = self._message.arrow

    def parse(self, payloads: Sequence[bytes]) -> Parsed:
        messages, rows, problems = [], [], Counter[str]()
        for i, payload in enumerate(payloads):
            try:
                messages.append(self._class.FromString(bytes(payload)))
                rows.append(i)
            except DecodeError:
                problems['not a message of its type'] += 1
        return Parsed(self._message.array(messages), np.array(rows, np.int64), problems)

    def serialize(self, values: pa.StructArray) -> list[bytes]:
        make = self._message.maker
        rows = values.to_pylist(maps_as_pydicts='strict')
        return [make(row).SerializeToString(deterministic=True) for row in rows]

    def native(self, payload: bytes) -> Any:
        return self._class.FromString(payload)

    def canonical(self, payload: bytes) -> bytes:
        try:
            message = self._class.FromString(bytes(payload))
        except DecodeError:
            return bytes(payload)
        found: bytes = message.SerializeToString(deterministic=True)
        return found


def _add(pool: DescriptorPool, waiting: dict[str, Any], name: str) -> None:
    """Add a file to a pool, and before it those that it needs."""
    file = waiting.pop(name)
    for needed in file.dependency:
        if needed in waiting:
            _add(pool, waiting, needed)
    pool.Add(file)


class _Message:
    """A message type laid out as a struct; ``above`` are the types that contain it."""

    def __init__(self, descriptor: Descriptor, above: tuple[str, ...], budget: Budget) -> None:
        self._class: Any = GetMessageClass(descriptor)
        inside = (*above, descriptor.full_name)
        self._fields = [_Field(field, inside, budget) for field in descriptor.fields]
        self.arrow = pa.struct(
            [pa.field(f.name, f.arrow, nullable=f.optional) for f in self._fields]
        )

    def array(self, messages: list[Any], valid: np.ndarray | None = None) -> pa.StructArray:
        arrays = [field.array(messages) for field in self._fields]
        return struct_array(len(messages), arrays, self.arrow, valid)

    def maker(self, row: dict[str, Any]) -> Any:
        members = {}
        for field in self._fields:
            value = row[field.name]
            if value is not None:
                members[field.name] = field.make(value)
        return self._class(**members)


class _Packed:
    """A message type kept serialized."""

    arrow = pa.binary()

    def __init__(self, descriptor: Descriptor) -> None:
        self._class: Any = GetMessageClass(descriptor)

    def array(self, messages: list[Any], valid: np.ndarray | None = None) -> pa.Array:
        there = [True] * len(messages) if valid is None else valid.tolist()
        pairs = zip(messages, there, strict=True)
        return pa.array(
            [m.SerializeToString(deterministic=True) if v else None for m, v in pairs], self.arrow
        )

    def maker(self, data: bytes) -> Any:
        return self._class.FromString(data)


class _Field:
    """A field of a message type as a column."""

    def __init__(self, field: FieldDescriptor, above: tuple[str, ...], budget: Budget) -> None:
        budget.take()
        self.name = field.name
        kind = field.message_type
        self._repeated = _is_repeated(field)
        self._map = self._repeated and kind is not None and kind.GetOptions().map_entry
        self.optional = bool(field.has_presence)
        self._inner = None if kind is None or self._map else _inner(kind, above, budget)
        if self._map:
            self._key = _Field(kind.fields_by_name['key'], above, budget)
            self._value = _Field(kind.fields_by_name['value'], above, budget)
            if not self._key.is_plain or self._value.is_many:
                raise InvalidArgumentError(f'{field.full_name} is no map')
            self.arrow: pa.DataType = pa.map_(self._key.arrow, self._value.arrow)
            return
        item = self._inner.arrow if self._inner else _scalar(field)
        self._item: pa.DataType = item
        self.arrow = pa.list_(item) if self._repeated else item

    @property
    def is_many(self) -> bool:
        """Whether there may be several values."""
        return bool(self._repeated)

    @property
    def is_plain(self) -> bool:
        """Whether it is one number, or text."""
        return not self._repeated and self._inner is None

    def array(self, messages: list[Any]) -> pa.Array:
        values = [getattr(message, self.name) for message in messages]
        if self._map:
            counts = np.fromiter(map(len, values), np.int64, len(values))
            keys = [key for value in values for key in value]
            items = [value[key] for value in values for key in value]
            return pa.MapArray.from_arrays(
                pa.array(running(counts).astype(np.int32)),
                self._key.items(keys),
                self._value.items(items),
            )
        if self._repeated:
            counts = np.fromiter(map(len, values), np.int64, len(values))
            offsets = pa.array(running(counts).astype(np.int32))
            return pa.ListArray.from_arrays(offsets, self._joined(values))
        if not self.optional:
            return pa.array(values, self._item)
        there = [message.HasField(self.name) for message in messages]
        if self._inner:
            return self._inner.array(values, np.array(there, bool))
        pairs = zip(values, there, strict=True)
        return pa.array([value if known else None for value, known in pairs], self._item)

    def items(self, values: list[Any]) -> pa.Array:
        """Array of values that are all there."""
        return self._inner.array(values) if self._inner else pa.array(values, self._item)

    def make(self, value: Any) -> Any:
        """What the constructor of the message takes for a column's value."""
        if self._map:
            return {key: self._value.make(item) for key, item in value.items()}
        if self._inner is None:
            return value
        make: _Maker = self._inner.maker
        return [make(one) for one in value] if self._repeated else make(value)

    def _joined(self, values: list[Any]) -> pa.Array:
        if self._inner is None and self._item not in (pa.string(), pa.binary()):
            dtype = np.dtype(self._item.to_pandas_dtype())
            pieces = [np.fromiter(value, dtype, len(value)) for value in values]
            return pa.array(np.concatenate([np.zeros(0, dtype), *pieces]), self._item)
        return self.items([one for value in values for one in value])


def _inner(kind: Descriptor, above: tuple[str, ...], budget: Budget) -> _Message | _Packed:
    if not kind.fields or kind.full_name in above:
        return _Packed(kind)
    return _Message(kind, above, budget)


def _is_repeated(field: FieldDescriptor) -> bool:
    if hasattr(field, 'is_repeated'):
        return bool(field.is_repeated)
    return bool(field.label == FieldDescriptor.LABEL_REPEATED)  # releases before 6.31


def _scalar(field: FieldDescriptor) -> pa.DataType:
    if field.type == FieldDescriptor.TYPE_STRING:
        return pa.string()
    return _SCALARS.get(field.cpp_type, pa.binary())
