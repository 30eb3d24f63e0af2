"""Payloads of a batch in one buffer, and the checked gathers on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mosaico_ros.ros_bridge.cdr.cursor import Cursor, running

#: Longer pieces are copied one by one (memory speed), shorter ones by an index per byte.
_PIECEWISE_BYTES = 128


class MalformedRows(Exception):
    """Rows whose payload contradicts the definition; ``rows`` index the batch."""

    def __init__(self, rows: np.ndarray, reason: str) -> None:
        super().__init__(reason)
        self.rows = rows
        self.reason = reason


@dataclass(frozen=True)
class Lifted:
    """One blob of every row, left where it was received.

    ``removed``, shape (n,), int64: bytes that the buffer lacks at the blob's place; a multiple of
    8, so that the alignment of what follows is the same.
    """

    pieces: Sequence[memoryview]
    removed: np.ndarray

    def take(self, index: np.ndarray) -> Lifted:
        return Lifted([self.pieces[i] for i in index.tolist()], self.removed[index])

    def joined(self) -> tuple[np.ndarray, np.ndarray]:
        """Offsets (n + 1,) and bytes: the only copy that is made of them."""
        sizes = np.fromiter(map(len, self.pieces), np.int64, len(self.pieces))
        return running(sizes), np.frombuffer(b''.join(self.pieces), np.uint8)


@dataclass
class Rows:
    """Where each row's bytes are.

    ``base`` and ``length``, shape (n,), int64: first byte after the encapsulation, and number of
    bytes from there. ``origin``: row of the batch that each row belongs to (None: itself); items
    of sequences are rows too. ``lifted``: blobs that were taken out of the buffer beforehand, by
    the slot they belong to.
    """

    buffer: np.ndarray
    base: np.ndarray
    length: np.ndarray
    origin: np.ndarray | None = None
    lifted: dict[int, Lifted] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.base)

    @cached_property
    def shortest(self) -> int:
        return int(self.length.min()) if len(self.length) else 0

    @cached_property
    def pitch(self) -> int | None:
        """Constant distance of the rows, if there is one: then a block needs no gather at all."""
        if len(self.base) < 2:
            return None
        step = int(self.base[1] - self.base[0])
        return step if step > 0 and bool((np.diff(self.base) == step).all()) else None

    @cached_property
    def view(self) -> memoryview:
        return self.buffer.data

    def keep(self, index: np.ndarray) -> Rows:
        """Some rows, as a batch of their own."""
        lifted = {slot: blobs.take(index) for slot, blobs in self.lifted.items()}
        return Rows(self.buffer, self.base[index], self.length[index], lifted=lifted)

    def take(self, index: np.ndarray) -> Rows:
        """Some rows, which stay rows of this batch; blobs lifted are not among them."""
        origin = index if self.origin is None else self.origin[index]
        return Rows(self.buffer, self.base[index], self.length[index], origin)

    def repeat(self, counts: Cursor) -> Rows:
        """Rows of items: every row as often as it has items."""
        origin = np.arange(len(self)) if self.origin is None else self.origin
        return Rows(
            self.buffer,
            np.repeat(self.base, counts),
            np.repeat(self.length, counts),
            np.repeat(origin, counts),
        )

    def reject(self, bad: np.ndarray, reason: str) -> MalformedRows:
        index = np.flatnonzero(bad)
        return MalformedRows(index if self.origin is None else self.origin[index], reason)

    def require(self, stop: Cursor) -> None:
        """Raise `MalformedRows` unless every payload reaches ``stop``."""
        if isinstance(stop, int) and (len(self) == 0 or stop <= self.shortest):
            return
        bad = self.length < stop
        if bad.any():
            raise self.reject(bad, 'payload ends before its last field')

    def matrix(self, rel: Cursor, size: int) -> np.ndarray:
        """Bytes ``[rel, rel + size)`` of every row, shape (n, size), uint8.

        The caller has checked the bounds with `require`.
        """
        n = len(self)
        if n == 0 or size == 0:
            return np.empty((n, size), np.uint8)
        if isinstance(rel, int) and self.pitch is not None:
            start = int(self.base[0]) + rel
            return np.ndarray((n, size), np.uint8, self.buffer, start, (self.pitch, 1))
        # A view that overlaps itself byte by byte: indexing it copies `size` bytes per row.
        sliding: np.ndarray = np.ndarray(
            (len(self.buffer) - size + 1,), f'V{size}', self.buffer, 0, (1,)
        )
        return sliding[self.base + rel].view(np.uint8).reshape(n, size)

    def cut(self, rel: Cursor, sizes: Cursor) -> tuple[np.ndarray, np.ndarray]:
        """Pieces of ``sizes`` bytes at ``rel``, laid end to end: offsets (n + 1,) and bytes.

        A single piece is not copied but shared with the buffer.
        """
        n = len(self)
        if n == 1:
            only = sizes if isinstance(sizes, int) else int(sizes[0])
            first = int(self.base[0]) + (rel if isinstance(rel, int) else int(rel[0]))
            return np.array([0, only]), self.buffer[first : first + only]
        if isinstance(sizes, int):
            offsets = np.arange(n + 1, dtype=np.int64) * sizes
            return offsets, np.ascontiguousarray(self.matrix(rel, sizes)).reshape(-1)
        offsets = running(sizes)
        total = int(offsets[-1])
        start = self.base + rel
        if total > _PIECEWISE_BYTES * n:
            data = np.empty(total, np.uint8)
            for i, (at, size) in enumerate(zip(start.tolist(), sizes.tolist(), strict=True)):
                to = offsets[i]
                data[to : to + size] = self.buffer[at : at + size]
            return offsets, data
        index = np.arange(total)
        index += np.repeat(start - offsets[:-1], sizes)
        return offsets, self.buffer[index]
