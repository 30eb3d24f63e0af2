"""What a topic's columns do not say of its payloads, so that they come back bit for bit.

A payload is encoded again from its columns. Where that gives other bytes - values that the
ontology has no place for, garbage that a middleware left in padding, an encapsulation of its own -
the difference is kept in a sidecar column: a checksum of the payload, how many bytes at its
beginning and end are those of the encoded one, and the bytes in between. Where all that differs is
zeros at the end, as some middlewares fill up the last word, their number is kept, in one byte.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from enum import Enum

import numpy as np
import pyarrow as pa

from mosaico_ros.protocol.errors import DataLossError
from mosaico_ros.protocol.metadata import SIDECAR, SIDECAR_TRUE
from mosaico_ros.ros_bridge.cdr.columns import Bytes, Column, Group, Leaf
from mosaico_ros.ros_bridge.cdr.decoder import Buffer, Payloads


class Fidelity(Enum):
    """What of a payload can be had back from the archive."""

    #: What the ontology has a place for.
    COLUMNS = 'columns'
    #: Every value of the message.
    VALUES = 'values'
    #: Every byte, padding and encapsulation included.
    BYTES = 'bytes'


#: The sidecar column: null where the columns say it all.
RESIDUAL = pa.field('ros_residual', pa.binary(), metadata={SIDECAR: SIDECAR_TRUE})
#: CRC-32 of the payload, equal bytes at its beginning, equal bytes at its end.
_HEAD = struct.Struct('<III')
#: Zeros at the end that fill up a word are less than this.
_MOST_PADDING = 8


def differing(left: Column, right: Column) -> np.ndarray:
    """Rows whose values may differ, shape (n,); all of them where lists differ in length.

    Numbers are compared by their bits. Data that both share is not looked at.
    """
    n = len(left)
    if isinstance(left, Group) and isinstance(right, Group):
        found = np.zeros(n, bool)
        for name, member in left.members.items():
            found |= differing(member, right.members[name])
        return found
    if isinstance(left, Leaf) and isinstance(right, Leaf):
        unequal = _unequal(left.values, right.values)
        return np.asarray(unequal if unequal.ndim == 1 else unequal.any(axis=1))
    assert not isinstance(left, (Leaf, Group))
    assert not isinstance(right, (Leaf, Group))
    if not np.array_equal(left.offsets, right.offsets):
        return np.ones(n, bool)
    if isinstance(left, Bytes):
        assert isinstance(right, Bytes)
        items = _unequal(left.data, right.data)
    else:
        assert not isinstance(right, Bytes)
        items = differing(left.items, right.items)
    found = np.zeros(n, bool)
    found[np.searchsorted(left.offsets, np.flatnonzero(items), 'right') - 1] = True
    return found


def _unequal(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    if left.ctypes.data == right.ctypes.data and left.strides == right.strides:
        return np.zeros(len(left), bool)
    kind = f'u{left.dtype.itemsize}'
    return np.asarray(left.view(kind) != right.view(kind))


def residuals(encoded: Payloads, recorded: Sequence[Buffer]) -> list[bytes | None]:
    """What makes the recorded payloads of the encoded ones; None where they are equal."""
    found: list[bytes | None] = [None] * len(recorded)
    whole = Payloads.join(recorded)
    if np.array_equal(encoded.lengths, whole.lengths):
        unequal = np.flatnonzero(encoded.buffer != whole.buffer)
        rows = np.unique(np.searchsorted(encoded.offsets, unequal, 'right') - 1)
    else:
        rows = np.arange(len(recorded))
    for row in rows.tolist():
        ours, theirs = np.frombuffer(encoded[row], np.uint8), np.frombuffer(whole[row], np.uint8)
        if not np.array_equal(ours, theirs):
            found[row] = _residual(ours, theirs)
    return found


def padding(
    lengths: np.ndarray, index: np.ndarray, payloads: Payloads | Sequence[Buffer]
) -> list[bytes | None]:
    """What makes payloads of those lengths the recorded ones, where that is zeros at their end.

    ``index``, shape (n,), says which of the recorded payloads each row was.
    """
    if isinstance(payloads, Payloads):
        sizes = payloads.lengths
    else:
        sizes = np.fromiter(map(len, payloads), np.int64, len(payloads))
    extra = sizes[index] - lengths
    kept: list[bytes | None] = [None] * len(index)
    for row in np.flatnonzero((extra > 0) & (extra < _MOST_PADDING)).tolist():
        if not any(payloads[int(index[row])][-extra[row] :]):
            kept[row] = bytes([extra[row]])
    return kept


def _residual(ours: np.ndarray, theirs: np.ndarray) -> bytes:
    more = len(theirs) - len(ours)
    if (
        0 < more < _MOST_PADDING
        and np.array_equal(ours, theirs[:-more])
        and not theirs[-more:].any()
    ):
        return bytes([more])
    common = min(len(ours), len(theirs))
    unequal = ours[:common] != theirs[:common]
    head = int(unequal.argmax()) if unequal.any() else common
    left = common - head
    unequal = ours[len(ours) - left :][::-1] != theirs[len(theirs) - left :][::-1]
    tail = int(unequal.argmax()) if unequal.any() else left
    middle = theirs[head : len(theirs) - tail].tobytes()
    return _HEAD.pack(zlib.crc32(theirs.data), head, tail) + middle


def restored(encoded: Payloads, kept: pa.Array) -> Payloads:
    """The recorded payloads.

    Parameters
    ----------
    encoded
        The payloads as encoded from their columns.
    kept
        The sidecar column, shape (n,).

    Raises
    ------
    DataLossError
        If a payload is not the one that was recorded.
    """
    if kept.null_count == len(kept):
        return encoded
    offsets, lengths = encoded.offsets.copy(), encoded.lengths.copy()
    pieces = [encoded.buffer]
    end = len(encoded.buffer)
    for row in np.flatnonzero(kept.is_valid().to_numpy(zero_copy_only=False)).tolist():
        payload = _restored(np.frombuffer(encoded[row], np.uint8), kept[row].as_py())
        if payload is None:
            raise DataLossError(
                f'message {row} of the batch is not the one that was recorded',
                remedy='Export it with the release that recorded it.',
            )
        pieces.append(payload)
        offsets[row], lengths[row] = end, len(payload)
        end += len(payload)
    return Payloads(np.concatenate(pieces), offsets, lengths)


def _restored(ours: np.ndarray, residual: bytes) -> np.ndarray | None:
    if len(residual) == 1:
        return np.concatenate([ours, np.zeros(residual[0], np.uint8)])
    checksum, head, tail = _HEAD.unpack_from(residual)
    middle = np.frombuffer(residual, np.uint8, offset=_HEAD.size)
    payload = np.concatenate([ours[:head], middle, ours[len(ours) - tail :]])
    return payload if zlib.crc32(payload.data) == checksum else None
