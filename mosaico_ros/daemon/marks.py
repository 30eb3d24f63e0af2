"""Marks: one bit for the hash of each value, where a chunk's column holds few.

Bounds say little about equality where values are codes or names: of two of them all those
between pass. One look at the marks tells most of them apart.
"""

from __future__ import annotations

import zlib

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ['MOST_VALUES', 'mark', 'marks_of']

#: Of more values so many bits are set that nothing is told apart.
MOST_VALUES = 16
# 63, so that the mask fits into a signed integer and is never negative.
_BITS = 63
# A column of many values shows them early, one of few is counted whole.
_FIRST_ROWS, _ROWS = 256, 1 << 16


def mark(value: int | str) -> int:
    """Return the mask with the bit of one value; the same in every process, for ever."""
    return 1 << zlib.crc32(str(value).encode()) % _BITS


def marks_of(values: pa.ChunkedArray) -> int | None:
    """Return the bits of all values of a column of integers or text, `None` if they are many."""
    distinct: set[int | str] = set()
    for chunk in values.chunks:
        at, step = 0, _FIRST_ROWS
        while at < len(chunk):
            distinct.update(pc.unique(chunk.slice(at, step)).drop_null().to_pylist())
            if len(distinct) > MOST_VALUES:
                return None
            at, step = at + step, _ROWS
    bits = 0
    for value in distinct:
        bits |= mark(value)
    return bits
