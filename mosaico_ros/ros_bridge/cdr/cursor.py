"""Arithmetic of positions, for all rows of a batch at once."""

from __future__ import annotations

import numpy as np

from mosaico_ros.ros_bridge.cdr.layout import Block

#: Position relative to the first byte after the encapsulation: one number while it is the same in
#: all rows (the usual case, and then alignment and bounds cost nothing), else shape (n,) int64.
Cursor = int | np.ndarray


def running(counts: np.ndarray) -> np.ndarray:
    """Offsets of shape (n + 1,), int64, from counts."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def offsets_of(counts: Cursor, n: int) -> np.ndarray:
    """Offsets of shape (n + 1,), int64, from the counts of n rows."""
    if isinstance(counts, int):
        return np.arange(n + 1, dtype=np.int64) * counts
    return running(counts)


def aligned(rel: Cursor, align: int) -> Cursor:
    return rel if align == 1 else (rel + (align - 1)) & -align


def collapse(values: np.ndarray) -> Cursor:
    """One number, if all values agree."""
    if len(values) == 0:
        return 0
    first = values[0]
    return int(first) if (values == first).all() else values


def first_item(rel: Cursor, counts: Cursor, align: int) -> Cursor:
    """Position of the first item: padding is written only if there is one."""
    if align == 1:
        return rel
    if isinstance(counts, int):
        return aligned(rel, align) if counts else rel
    return np.where(counts > 0, aligned(rel, align), rel)


class Strided:
    """Items of one block each, at a constant distance.

    Attributes
    ----------
    stop : int or numpy.ndarray
        Position after the last item of each row.
    """

    def __init__(self, block: Block, rel: Cursor, counts: Cursor) -> None:
        self._stride = -(-block.size // block.align) * block.align
        self._start = first_item(rel, counts, block.align)
        self._counts = counts
        gap = self._stride - block.size
        self.stop: Cursor = self._start + counts * self._stride - gap * (counts > 0)

    def starts(self, n: int) -> np.ndarray:
        """Position of every item of n rows, shape (sum of counts,), int64."""
        start, counts = self._start, self._counts
        if isinstance(counts, int):
            origin = np.broadcast_to(np.asarray(start, np.int64), n)
            return (origin[:, None] + np.arange(counts) * self._stride).reshape(-1)
        offsets = running(counts)
        index = np.arange(int(offsets[-1])) - np.repeat(offsets[:-1], counts)
        return np.repeat(np.broadcast_to(start, n), counts) + index * self._stride
