"""The rows of chunks in time order, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa

from mosaico_ros.daemon.chunk_files import Footer, Times
from mosaico_ros.daemon.leases import chunk_key
from mosaico_ros.protocol.limits import INT64_MAX
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN

__all__ = [
    'ChunkSource',
    'RowFilter',
    'StoredChunk',
    'Window',
    'merge',
    'times_of',
]

#: Gives the rows of a batch to keep, as a mask; null counts as false.
RowFilter = Callable[[pa.RecordBatch], pa.Array]


class ReadableChunk(Protocol):
    """What :func:`merge` reads of a chunk, as :class:`OpenChunk` gives it."""

    @property
    def footer(self) -> Footer:
        """What is known without decoding rows."""

    def batches(
        self, groups: Sequence[int], columns: Sequence[str] | None
    ) -> Iterator[pa.RecordBatch]:
        """Yield all rows of some row groups, with the times at least."""

    def close(self) -> None:
        """Let go of it."""


class ChunkSource(Protocol):
    """Where :func:`merge` finds chunks, as in :class:`ChunkFiles`."""

    def open(self, key: str, encoding: str) -> ReadableChunk:
        """Return a chunk to read."""


@dataclass(frozen=True)
class Window:
    """The times [start_ns, end_ns); `None` leaves a side open."""

    start_ns: int | None = None
    end_ns: int | None = None

    def cut(self, times: Times) -> slice:
        """Return which of some ascending times lie in the window."""
        low = 0 if self.start_ns is None else int(np.searchsorted(times, self.start_ns, 'left'))
        high = len(times)
        if self.end_ns is not None:
            high = int(np.searchsorted(times, self.end_ns, 'left'))
        return slice(low, max(low, high))

    def covers(self, first: int, last: int) -> bool:
        """Whether times from `first` to `last` all lie in the window."""
        return (self.start_ns is None or self.start_ns <= first) and (
            self.end_ns is None or last < self.end_ns
        )


class StoredChunk(Protocol):
    """What is known of a chunk in the store."""

    @property
    def number(self) -> int:
        """Its place in the order of arrival."""

    @property
    def encoding(self) -> str:
        """How it is encoded."""

    @property
    def t_min(self) -> int:
        """Its first time."""

    @property
    def t_max(self) -> int:
        """Its last time."""


def merge(
    files: ChunkSource,
    folder: str,
    chunks: Iterator[StoredChunk],
    window: Window,
    columns: Sequence[str] | None = None,
    row_filter: RowFilter | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of some chunks in time order; equal times in the order of arrival.

    Chunks that do not overlap are passed on as they are read; those that do are merged, one
    row group of each in memory.

    Parameters
    ----------
    files, folder
        Where they are.
    chunks
        The chunks by first timestamp, then arrival.
    window
        Times to read.
    columns
        Top-level columns or paths into structs; ``timestamp_ns`` must be among them. `None`
        for all.
    row_filter
        Rows to keep.

    """
    waiting = _Peekable(chunks)
    active: list[_Cursor] = []
    while True:
        if not active:
            if waiting.head is None:
                return
            active.append(_Cursor(files, folder, waiting.take(), window, columns, row_filter))
        active = [cursor for cursor in active if cursor.load()]
        if not active:
            continue
        first = min(cursor.first for cursor in active)
        if waiting.head is not None and waiting.head.t_min <= first:
            active.append(_Cursor(files, folder, waiting.take(), window, columns, row_filter))
            continue
        horizon = None if waiting.head is None else waiting.head.t_min
        if len(active) == 1:
            yield from active[0].take_before(horizon)
            continue
        bounds = [cursor.bound for cursor in active if cursor.more]
        if horizon is not None:
            bounds.append(horizon)
        before = min(bounds) if bounds else None
        active.sort(key=lambda cursor: cursor.number)
        pieces = [piece for cursor in active for piece in cursor.take_before(before)]
        if pieces:
            yield from _sorted(pieces)
        else:
            # Equal times fill whole batches: those of the earliest arrival come first.
            earliest = next(cursor for cursor in active if cursor.first == first)
            yield from earliest.take_before(None if first == INT64_MAX else first + 1)


class _Peekable:
    def __init__(self, source: Iterator[StoredChunk]) -> None:
        self._source = source
        self.head: StoredChunk | None = next(source, None)

    def take(self) -> StoredChunk:
        taken, self.head = self.head, next(self._source, None)
        assert taken is not None
        return taken


@dataclass
class _Part:
    batch: pa.RecordBatch
    times: Times
    at: int = field(default=0)


class _Cursor:
    """The rows of one chunk inside a window, read on demand."""

    def __init__(
        self,
        files: ChunkSource,
        folder: str,
        chunk: StoredChunk,
        window: Window,
        columns: Sequence[str] | None,
        row_filter: RowFilter | None,
    ) -> None:
        key = chunk_key(folder, chunk.number, chunk.encoding)
        opened = files.open(key, chunk.encoding)
        footer = opened.footer
        groups = footer.groups_in(window.start_ns, window.end_ns)
        self.number = chunk.number
        self._window = window
        self._filter = row_filter
        self._left = int(footer.rows[groups].sum())
        self._batches = _rows(opened, groups, columns)
        self._parts: deque[_Part] = deque()
        #: Rows still to be read are not before this time; only meaningful while `more`.
        self.bound = int(chunk.t_min)

    @property
    def more(self) -> bool:
        """Whether rows are still to be read from the chunk."""
        return self._left > 0

    @property
    def first(self) -> int:
        """Time of the next row; only after a successful :meth:`load`."""
        part = self._parts[0]
        return int(part.times[part.at])

    def load(self) -> bool:
        """Make sure that a row is at hand; `False` if the chunk is used up."""
        while not self._parts:
            if not self.more:
                return False
            batch = next(self._batches)
            self._left -= batch.num_rows
            times = times_of(batch)
            self.bound = int(times[-1])
            inside = self._window.cut(times)
            if inside.stop - inside.start != len(times):
                batch = batch.slice(inside.start, inside.stop - inside.start)
                times = times[inside]
            if self._filter is not None and len(times):
                mask = self._filter(batch)
                if mask.true_count != len(times):
                    batch = batch.filter(mask, null_selection_behavior='drop')
                    times = times_of(batch)
            if len(times):
                self._parts.append(_Part(batch, times))
        return True

    def take_before(self, before: int | None) -> Iterator[pa.RecordBatch]:
        """Yield and remove the rows at hand that are earlier than `before`."""
        while self._parts:
            part = self._parts[0]
            end = len(part.times)
            if before is not None:
                end = int(np.searchsorted(part.times, before, 'left'))
            if end > part.at:
                whole = part.at == 0 and end == len(part.times)
                yield part.batch if whole else part.batch.slice(part.at, end - part.at)
                part.at = end
            if part.at < len(part.times):
                return
            self._parts.popleft()


def _rows(
    chunk: ReadableChunk, groups: Sequence[int], columns: Sequence[str] | None
) -> Iterator[pa.RecordBatch]:
    """Yield rows of a chunk, which is let go of with the last or with this generator."""
    with closing(chunk):
        yield from chunk.batches(groups, columns)


def times_of(batch: pa.RecordBatch) -> Times:
    """Return the times of a batch's rows."""
    times: Times = batch.column(TIMESTAMP_COLUMN).to_numpy()
    return times


def _sorted(pieces: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Merge ascending pieces; of equal times the earlier piece comes first."""
    if len(pieces) == 1:
        yield pieces[0]
        return
    table = pa.Table.from_batches(pieces).combine_chunks()
    order = np.argsort(table.column(TIMESTAMP_COLUMN).to_numpy(), kind='stable')
    yield from table.take(pa.array(order)).combine_chunks().to_batches()
