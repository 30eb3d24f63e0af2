"""Decoded columns: plain numpy holders, and their derived Arrow form.

`Leaf.values` has shape (n,) for scalars and (n, k) for fixed arrays. Text, blobs and lists hold
``offsets`` of shape (n + 1,), int64, starting at 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from mosaico_ros.protocol.errors import ResourceExhaustedError
from mosaico_ros.ros_bridge.cdr.layout import Array, Node, Primitive, Struct, Text


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
        return pa.array([None], kind).take(pa.array(np.zeros(length, np.int64)))
    return _pooled_nulls(kind).slice(0, length)


# Small batches, as live topics have them, would spend half of their time making nulls.
_POOLED_NULLS = 8192


@lru_cache(maxsize=256)
def _pooled_nulls(kind: pa.DataType) -> pa.Array:
    return pa.array([None], kind).take(pa.array(np.zeros(_POOLED_NULLS, np.int64)))


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
