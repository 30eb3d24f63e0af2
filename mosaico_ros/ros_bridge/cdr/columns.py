"""Columns of messages: plain numpy holders, to Arrow and back.

Between numpy and Arrow only buffers are passed: ``pa.array``, ``pa.scalar`` and ``Array.to_numpy``
import pandas where it is installed, which takes longer than loading a small bag.

`Leaf.values` has shape (n,) for scalars and (n, k) for fixed arrays. Text, blobs and lists hold
``offsets`` of shape (n + 1,), int64, starting at 0.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mosaico_ros.protocol.errors import InvalidArgumentError, ResourceExhaustedError
from mosaico_ros.ros_bridge.cdr.cursor import running
from mosaico_ros.ros_bridge.cdr.layout import Array, Node, Primitive, Sequence, Struct, Text


@dataclass
class Leaf:
    """Numbers or booleans in native byte order."""

    values: np.ndarray

    def __len__(self) -> int:
        return len(self.values)


@dataclass
class Bytes:
    """Text (valid UTF-8) or blobs: ``data`` of dtype uint8 cut by ``offsets``."""

    offsets: np.ndarray
    data: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass
class List:
    """Items of each row: ``items[offsets[i]:offsets[i + 1]]``."""

    offsets: np.ndarray
    items: Column

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass
class Group:
    """Members of a structure, all of the same length."""

    members: dict[str, Column]
    length: int

    def __len__(self) -> int:
        return self.length


Column = Leaf | Bytes | List | Group


# --- to Arrow -----------------------------------------------------------------------------------


def offsets_buffer(offsets: np.ndarray) -> pa.Buffer:
    """Narrow offsets to Arrow's 32 bits.

    Raises
    ------
    ResourceExhaustedError
        If the column holds 2 GiB or more in one batch.
    """
    if offsets[-1] > np.iinfo(np.int32).max:
        raise ResourceExhaustedError(
            f'a column of {offsets[-1]} items does not fit one Arrow batch',
            remedy='decode fewer messages per call',
        )
    return pa.py_buffer(offsets.astype(np.int32))


def bitmap(valid: np.ndarray | None) -> pa.Buffer | None:
    """Arrow validity bitmap of a boolean array of shape (n,); None stays None."""
    if valid is None or valid.all():
        return None
    return pa.py_buffer(np.packbits(valid, bitorder='little'))


def number_array(
    values: np.ndarray, kind: pa.DataType, valid: np.ndarray | None = None
) -> pa.Array:
    """Arrow array over numpy values of shape (n,), cast to ``kind`` where the types differ."""
    if pa.types.is_boolean(kind):
        data = pa.py_buffer(np.packbits(values != 0, bitorder='little'))
    else:
        dtype = np.dtype(kind.to_pandas_dtype())
        data = pa.py_buffer(np.ascontiguousarray(values, dtype=dtype))
    return pa.Array.from_buffers(kind, len(values), [bitmap(valid), data])


def bytes_array(column: Bytes, kind: pa.DataType, valid: np.ndarray | None = None) -> pa.Array:
    """String or binary array without copying the data."""
    buffers = [bitmap(valid), offsets_buffer(column.offsets), pa.py_buffer(column.data)]
    return pa.Array.from_buffers(kind, len(column), buffers)


def pieces_array(pieces: Collection[bytes | None], kind: pa.DataType) -> pa.Array:
    """String or binary array of separate pieces; None is null."""
    sizes = np.fromiter((len(piece or b'') for piece in pieces), np.int64, len(pieces))
    valid = np.fromiter((piece is not None for piece in pieces), bool, len(pieces))
    data = np.frombuffer(b''.join(filter(None, pieces)), np.uint8)
    return bytes_array(Bytes(running(sizes), data), kind, valid)


def list_array(
    offsets: np.ndarray, items: pa.Array, kind: pa.DataType, valid: np.ndarray | None = None
) -> pa.Array:
    """List array over ready items; null rows may still own items, which nobody sees."""
    buffers = [bitmap(valid), offsets_buffer(offsets)]
    return pa.Array.from_buffers(kind, len(offsets) - 1, buffers, children=[items])


def fixed_list_array(
    items: pa.Array, kind: pa.FixedSizeListType, valid: np.ndarray | None = None
) -> pa.Array:
    """Fixed-size list array; ``items`` holds ``list_size`` values per row."""
    length = len(items) // kind.list_size
    return pa.Array.from_buffers(kind, length, [bitmap(valid)], children=[items])


def struct_array(
    length: int,
    children: list[pa.Array],
    kind: pa.StructType,
    valid: np.ndarray | None = None,
) -> pa.Array:
    """Struct array; children of a null row keep their values, which nobody sees."""
    return pa.Array.from_buffers(kind, length, [bitmap(valid)], children=children)


def null_array(length: int, kind: pa.DataType) -> pa.Array:
    """Array of nulls whose members, where it is a struct, keep what their fields promise.

    ``pa.nulls`` makes the members null too, and Parquet refuses that for not-nullable ones.
    """
    if length > _POOLED_NULLS:
        return _nulls(length, kind)
    return _pooled_nulls(kind).slice(0, length)


# Small batches, as live topics have them, would spend half of their time making nulls.
_POOLED_NULLS = 8192


@lru_cache(maxsize=256)
def _pooled_nulls(kind: pa.DataType) -> pa.Array:
    return _nulls(_POOLED_NULLS, kind)


def _nulls(length: int, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_struct(kind):
        return pa.nulls(length, kind)
    return _zeros(length, kind, np.zeros(length, bool))


def _zeros(length: int, kind: pa.DataType, valid: np.ndarray | None = None) -> pa.Array:
    """Array of zeros, empty texts and empty lists."""
    if pa.types.is_struct(kind):
        children = [_zeros(length, member.type) for member in kind]
        return struct_array(length, children, kind, valid)
    if pa.types.is_fixed_size_list(kind):
        return fixed_list_array(_zeros(length * kind.list_size, kind.value_type), kind)
    nulls = pa.nulls(length, kind)
    if pa.types.is_list(kind):
        return list_array(np.zeros(length + 1, np.int64), nulls.values, kind)
    return pa.Array.from_buffers(kind, length, [None, *nulls.buffers()[1:]])


def without_nulls(array: pa.Array) -> pa.Array:
    """The array with zeros, empty texts and empty lists in place of its nulls."""
    return pc.coalesce(array, _zeros(len(array), array.type)) if array.null_count else array


def values_of(array: pa.Array) -> np.ndarray:
    """Numbers or booleans of an Arrow array, shape (n,); zeros in place of its nulls."""
    array = without_nulls(array)
    data = array.buffers()[1] or b''
    if pa.types.is_boolean(array.type):
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder='little')
        return bits[array.offset : array.offset + len(array)].astype(bool)
    values = np.frombuffer(data, np.dtype(array.type.to_pandas_dtype()))
    return values[array.offset : array.offset + len(array)]


# --- the derived form: every field of the message -----------------------------------------------


def derived_type(node: Node) -> pa.DataType:
    """Arrow type that keeps every field of a definition.

    Members are nullable, as published clients derive them; sequences of bytes become ``binary``
    (one buffer) where those use ``list<uint8>``.
    """
    if isinstance(node, Primitive):
        if node.code == 'b1':
            return pa.bool_()
        return pa.from_numpy_dtype(np.dtype(node.code))
    if isinstance(node, Text):
        return pa.string()
    if isinstance(node, Struct):
        return pa.struct([pa.field(name, derived_type(member)) for name, member in node.members])
    if isinstance(node, Array):
        item = derived_type(node.item)
        return pa.list_(item, node.count) if node.count else pa.list_(item)
    if node.item == Primitive('u1'):
        return pa.binary()
    return pa.list_(derived_type(node.item))


def derived_array(column: Column, kind: pa.DataType) -> pa.Array:
    """Arrow array of a column in its derived type."""
    if isinstance(column, Group):
        children = [
            derived_array(member, kind.field(i).type)
            for i, member in enumerate(column.members.values())
        ]
        return struct_array(len(column), children, kind)
    if isinstance(column, Bytes):
        return bytes_array(column, kind)
    if isinstance(column, Leaf):
        if column.values.ndim == 1:
            return number_array(column.values, kind)
        items = number_array(column.values.reshape(-1), kind.value_type)
        return fixed_list_array(items, kind)
    items = derived_array(column.items, kind.value_type)
    if pa.types.is_fixed_size_list(kind):
        return fixed_list_array(items, kind)
    return list_array(column.offsets, items, kind)


# --- from Arrow ---------------------------------------------------------------------------------


def column_of(node: Node, array: pa.Array | None, length: int) -> Column:
    """Column of a node from Arrow values: what is null, or not there at all, is zero or empty.

    Parameters
    ----------
    node
        What the message definition says.
    array
        Values of shape (length,) in any form that holds them: members of structures are found by
        name, whose letters ROS 1 and ROS 2 have in different cases, numbers may be wider than the
        node's, blobs may be lists of integers. None for a member that the archive does not have.

    Raises
    ------
    InvalidArgumentError
        If a number does not fit the definition, or the forms do not agree at all.
    """
    if isinstance(node, Struct):
        inside = (
            {} if array is None else dict(zip(_names(node, array), array.flatten(), strict=True))
        )
        folded = {name.lower(): member for name, member in inside.items()}
        members = {
            name: column_of(m, inside.get(name, folded.get(name.lower())), length)
            for name, m in node.members
        }
        return Group(members, length)
    if isinstance(node, Primitive):
        return Leaf(_numbers(node, array, length))
    if isinstance(node, Text):
        return _bytes(array, pa.string(), length)
    if isinstance(node, Array) and node.count:
        return _fixed(node, array, length)
    if node.item == Primitive('u1') and (array is None or not _is_list(array.type)):
        return _bytes(array, pa.binary(), length)
    if array is None:
        return _shaped(node, np.zeros(length + 1, np.int64), column_of(node.item, None, 0))
    if not _is_list(array.type):
        raise _disagreement(node, array)
    offsets = list_offsets(array)
    return _shaped(node, offsets, column_of(node.item, array.flatten(), int(offsets[-1])))


def list_offsets(array: pa.Array) -> np.ndarray:
    """Where the items of each row begin in ``array.flatten()``, shape (n + 1,)."""
    return running(values_of(pc.list_value_length(array)))


def _shaped(node: Array | Sequence, offsets: np.ndarray, items: Column) -> Column:
    """A list, or a blob where the items are the bytes of one."""
    if isinstance(node, Sequence) and node.item == Primitive('u1') and isinstance(items, Leaf):
        return Bytes(offsets, items.values)
    return List(offsets, items)


def _fixed(node: Array, array: pa.Array | None, length: int) -> Column:
    """Rows without value own no items: zeros are put in their places."""
    if array is not None and not _is_list(array.type):
        raise _disagreement(node, array)
    if array is None or array.null_count == length:
        return _rows_of(node, column_of(node.item, None, length * node.count), length)
    counts = values_of(pc.list_value_length(array).drop_null())
    wrong = counts[counts != node.count]
    if len(wrong):
        raise InvalidArgumentError(
            f'a list of {wrong[0]} items where the definition has {node.count}'
        )
    items = array.flatten()
    if not array.null_count:
        return _rows_of(node, column_of(node.item, items, len(items)), length)
    present = values_of(array.is_valid())
    if isinstance(node.item, Primitive):
        values = np.zeros((length, node.count), node.item.code)
        values[present] = _numbers(node.item, items, len(items)).reshape(-1, node.count)
        return Leaf(values)
    index = ((np.cumsum(present) - 1)[:, None] * node.count + np.arange(node.count)).reshape(-1)
    items = items.take(number_array(index, pa.int64(), np.repeat(present, node.count)))
    return _rows_of(node, column_of(node.item, items, len(items)), length)


def _rows_of(node: Array, items: Column, length: int) -> Column:
    if isinstance(items, Leaf):
        return Leaf(items.values.reshape(length, node.count))
    return List(np.arange(length + 1, dtype=np.int64) * node.count, items)


def _numbers(node: Primitive, array: pa.Array | None, length: int) -> np.ndarray:
    dtype = np.dtype(node.code)
    if array is None:
        return np.zeros(length, dtype)
    if not (pa.types.is_primitive(array.type) or pa.types.is_boolean(array.type)):
        raise _disagreement(node, array)
    values = values_of(array)
    # Integers of one width hold each other's bits: the ontology has some signed where ROS has not.
    narrower = values.dtype.kind == 'f' or values.dtype.itemsize > dtype.itemsize
    if dtype.kind in 'iu' and narrower and len(values):
        limits = np.iinfo(dtype)
        low, high = values.min(), values.max()
        if not limits.min <= low <= high <= limits.max or (values % 1).any():
            raise InvalidArgumentError(f'values from {low} to {high} do not fit {dtype.name}')
    return values.astype(dtype, copy=False)


def _bytes(array: pa.Array | None, kind: pa.DataType, length: int) -> Bytes:
    if array is None:
        return Bytes(np.zeros(length + 1, np.int64), np.empty(0, np.uint8))
    if array.type != kind:
        try:
            array = array.cast(kind)
        except pa.ArrowException:
            raise InvalidArgumentError(f'{array.type} where the definition has {kind}') from None
    array = without_nulls(array)
    _, offsets, data = array.buffers()
    if offsets is None or data is None:
        return _bytes(None, kind, length)
    cuts = np.frombuffer(offsets, np.int32)[array.offset : array.offset + length + 1]
    first, last = int(cuts[0]), int(cuts[-1])
    return Bytes(cuts.astype(np.int64) - first, np.frombuffer(data, np.uint8)[first:last])


def _names(node: Struct, array: pa.Array) -> list[str]:
    if not pa.types.is_struct(array.type):
        raise _disagreement(node, array)
    return [field.name for field in array.type]


def _is_list(kind: pa.DataType) -> bool:
    return (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _disagreement(node: Node, array: pa.Array) -> InvalidArgumentError:
    return InvalidArgumentError(f'{array.type} where the definition has {derived_type(node)}')
