"""Reading rows back: pruned by time, in time order, in bounded memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from sqlalchemy.engine import Row

from mosaico_ros.daemon.catalog.chunks import (
    ChunksReplacedError,
    check_unchanged,
    chunks_in_time,
)
from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.resources import find_topic_by
from mosaico_ros.daemon.catalog.tables import topics
from mosaico_ros.daemon.chunk_files import ChunkFiles, Footer, Times
from mosaico_ros.daemon.encoding import ROW_GROUP_ROWS
from mosaico_ros.daemon.leases import chunk_key
from mosaico_ros.protocol.errors import NotFoundError
from mosaico_ros.protocol.limits import INT64_MAX
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN

__all__ = ['ROW_GROUP_ROWS', 'Window', 'count_rows', 'merge', 'scan', 'stripes']

_T = TypeVar('_T')

# Less than that (as stored) is read sooner than a second connection is made.
_STRIPE_BYTES = 1 << 20
# Pieces per stripe from which on borders between them split the work well enough.
_PIECES = 8
# How long a reader goes on, at most, when its topic is deleted.
_LOOK_AGAIN_S = 1.0

#: Gives the rows of a batch to keep, as a mask; null counts as false.
RowFilter = Callable[[pa.RecordBatch], pa.Array]


class ReadableChunk(Protocol):
    """What :func:`scan` reads of a chunk, as :class:`OpenChunk` gives it."""

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
    """Where :func:`scan` finds chunks, as in :class:`ChunkFiles`."""

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


def scan(
    database: Database,
    files: ChunkSource,
    topic: Row[Any],
    window: Window,
    columns: Sequence[str] | None = None,
    row_filter: RowFilter | None = None,
    keep: Callable[[Row[Any]], bool] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield a topic's rows in time order; equal times in the order of arrival.

    If the topic's chunks are replaced meanwhile, reading goes on in the new ones after the last
    row that was passed on: they hold the same rows in the same order.

    Parameters
    ----------
    database, files
        The archive.
    topic
        The topic's row.
    window
        Times to read.
    columns
        Top-level columns or paths into structs; ``timestamp_ns`` must be among them. `None`
        for all.
    row_filter
        Rows to keep.
    keep
        Chunks to look at; the others hold no row that the filter keeps.

    Raises
    ------
    NotFoundError
        If the topic is deleted meanwhile.

    """
    place = _Place(window)
    look_again = time.monotonic() + _LOOK_AGAIN_S
    while True:
        chunks = chunks_in_time(database, topic, place.window.start_ns, window.end_ns)
        if keep is not None:
            chunks = filter(keep, chunks)
        try:
            for batch in merge(files, topic.folder, chunks, place.window, columns, row_filter):
                yield from place.passed(batch)
                # The files of what is deleted may stay; its readers need not.
                if time.monotonic() > look_again:
                    check_unchanged(database, topic)
                    look_again = time.monotonic() + _LOOK_AGAIN_S
            return
        except (ChunksReplacedError, NotFoundError):
            topic = _replaced(database, topic)
            keep = None  # knows the old ones
            place.resume()


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
    window, columns, row_filter
        As for :func:`scan`.

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


def count_rows(
    database: Database, files: ChunkFiles, topic: Row[Any], window: Window
) -> tuple[int, tuple[int, int] | None]:
    """Return the number of rows in a window, and the first and last time among them.

    Chunks and row groups inside the window are counted from what the catalog and the footers
    say; only those on its edges are read, and of them only the times.
    """
    return _of_one_state(database, topic, lambda now: _counted(database, files, now, window))


def _of_one_state(database: Database, topic: Row[Any], work: Callable[[Row[Any]], _T]) -> _T:
    """Do some work on a topic; again if its chunks are replaced meanwhile."""
    while True:
        try:
            return work(topic)
        except (ChunksReplacedError, NotFoundError):
            topic = _replaced(database, topic)


def _replaced(database: Database, topic: Row[Any]) -> Row[Any]:
    """Return the row of a topic whose chunks were replaced; else raise what is being handled."""
    with database.read() as connection:
        found = find_topic_by(connection, topics.c.id == topic.id)
    if found is None or found.fence == topic.fence:
        raise
    return found


def _counted(
    database: Database, files: ChunkFiles, topic: Row[Any], window: Window
) -> tuple[int, tuple[int, int] | None]:
    total = 0
    first: int | None = None
    last: int | None = None

    def add(rows: int, low: int, high: int) -> None:
        nonlocal total, first, last
        total += rows
        first = low if first is None else min(first, low)
        last = high if last is None else max(last, high)

    for chunk in chunks_in_time(database, topic, window.start_ns, window.end_ns):
        if window.covers(chunk.t_min, chunk.t_max):
            add(chunk.rows, chunk.t_min, chunk.t_max)
            continue
        key = chunk_key(topic.folder, chunk.number, chunk.encoding)
        with files.open(key, chunk.encoding) as opened:
            footer = opened.footer
            for group in footer.groups_in(window.start_ns, window.end_ns):
                low, high = int(footer.first[group]), int(footer.last[group])
                if window.covers(low, high):
                    add(int(footer.rows[group]), low, high)
                    continue
                for batch in opened.batches([group], [TIMESTAMP_COLUMN]):
                    times = _times(batch)
                    inside = times[window.cut(times)]
                    if len(inside):
                        add(len(inside), int(inside[0]), int(inside[-1]))
    return total, None if first is None or last is None else (first, last)


def stripes(
    database: Database, files: ChunkFiles, topic: Row[Any], window: Window, count: int
) -> list[Window]:
    """Split a window into up to `count` with about equally many rows.

    Borders are where a chunk or row group begins, so that few are read twice. As windows are
    half-open, rows of equal times stay together whatever the border, and their order is kept.
    """
    return _of_one_state(
        database, topic, lambda now: _striped(database, files, now, window, count)
    )


def _striped(
    database: Database, files: ChunkFiles, topic: Row[Any], window: Window, count: int
) -> list[Window]:
    found = list(chunks_in_time(database, topic, window.start_ns, window.end_ns))
    pieces = [(chunk.t_min, chunk.rows) for chunk in found]
    if len(found) < count * _PIECES:
        pieces = []
        for chunk in found:
            key = chunk_key(topic.folder, chunk.number, chunk.encoding)
            with files.open(key, chunk.encoding) as opened:
                footer = opened.footer
            groups = footer.groups_in(window.start_ns, window.end_ns)
            pieces += [(int(footer.first[group]), int(footer.rows[group])) for group in groups]
    pieces.sort()
    before = np.cumsum([0, *(rows for _, rows in pieces)])
    count = min(count, topic.bytes * int(before[-1]) // max(1, topic.rows) // _STRIPE_BYTES)
    if count < 2:
        return [window]
    shares = [before[-1] * part // count for part in range(1, count)]
    starts = {pieces[at][0] for at in np.searchsorted(before[:-1], shares) if at < len(pieces)}
    lowest = pieces[0][0] if window.start_ns is None else window.start_ns
    bounds = [window.start_ns, *sorted(at for at in starts if at > lowest), window.end_ns]
    return [Window(start, end) for start, end in pairwise(bounds)]


class _Place:
    """How far a reader has come: up to which time, and how many rows of that time."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self._time: int | None = None
        self._rows = 0
        self._skip = 0

    def resume(self) -> None:
        """Begin again at that time; the rows of it that were passed on are left out."""
        if self._time is not None:
            self.window = Window(self._time, self.window.end_ns)
            self._skip = self._rows

    def passed(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Yield what is new of a batch, and count it."""
        skipped = min(self._skip, batch.num_rows)
        if skipped:
            self._skip -= skipped
            batch = batch.slice(skipped)
        if not batch.num_rows:
            return
        times = _times(batch)
        last = int(times[-1])
        if last != self._time:
            self._time, self._rows = last, 0
        self._rows += len(times) - int(np.searchsorted(times, last, 'left'))
        yield batch


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
            times = _times(batch)
            self.bound = int(times[-1])
            inside = self._window.cut(times)
            if inside.stop - inside.start != len(times):
                batch = batch.slice(inside.start, inside.stop - inside.start)
                times = times[inside]
            if self._filter is not None and len(times):
                mask = self._filter(batch)
                if mask.true_count != len(times):
                    batch = batch.filter(mask, null_selection_behavior='drop')
                    times = _times(batch)
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


def _times(batch: pa.RecordBatch) -> Times:
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
