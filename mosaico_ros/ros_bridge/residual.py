"""What a topic's columns do not say of its payloads, so that they come back bit for bit.

A payload is encoded again from its columns. Where that gives other bytes - values that the
ontology has no place for, garbage that a middleware left in padding, an encapsulation of its own -
the difference is kept in a sidecar column: a checksum of the payload, how many bytes at its
beginning and end are those of the encoded one, and the bytes in between. Where all that differs is
zeros at the end, as some middlewares fill up the last word, their number is kept, in one byte.

Text that is not UTF-8, and bytes behind the last member that are no padding (the publisher's
definition has more members than the recorded one), are values too.
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
#: Zeros at the end that fill up a word are less than this; what else may fill it, less than that.
_MOST_PADDING = 8
_MOST_GARBAGE = 4
_REPLACED = '\N{REPLACEMENT CHARACTER}'.encode()


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


def beyond(payload: Buffer, encoded: Buffer) -> bool:
    """Whether a payload holds values that its encoded columns do not: bytes at the end, or text.

    Both are laid out alike.
    """
    if _surplus(payload, len(payload) - len(encoded)):
        return True
    found = bytes(encoded).count(_REPLACED)
    return found > 0 and found != bytes(payload).count(_REPLACED)


def endings(
    lengths: np.ndarray, index: np.ndarray, payloads: Payloads | Sequence[Buffer]
) -> tuple[list[bytes | None], np.ndarray]:
    """What payloads have behind their members.

    Parameters
    ----------
    lengths
        Bytes that the members of each row take, shape (n,).
    index
        Which of the payloads each row was, shape (n,).
    payloads
        The recorded ones.

    Returns
    -------
    tuple
        The residual of each row that is padded with zeros, else None; and the rows in which there
        is more than padding.
    """
    if isinstance(payloads, Payloads):
        sizes = payloads.lengths
    else:
        sizes = np.fromiter(map(len, payloads), np.int64, len(payloads))
    extra = sizes[index] - lengths
    kept: list[bytes | None] = [None] * len(index)
    more = []
    for row in np.flatnonzero(extra > 0).tolist():
        payload, count = payloads[int(index[row])], int(extra[row])
        if _surplus(payload, count):
            more.append(row)
        elif not any(payload[-count:]):
            kept[row] = bytes([count])
    return kept, np.array(more, np.int64)


def _surplus(payload: Buffer, count: int) -> bool:
    """Whether that many bytes at the end of a payload are more than padding."""
    if count < _MOST_GARBAGE:
        return False
    return count >= _MOST_PADDING or any(payload[-count:])


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
