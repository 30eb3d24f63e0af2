"""Reading a topic back, while its chunks may be replaced: its rows, their number, equal parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeVar

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
from mosaico_ros.daemon.chunk_files import ChunkFiles
from mosaico_ros.daemon.leases import chunk_key
from mosaico_ros.daemon.time_order import ChunkSource, RowFilter, Window, merge, times_of
from mosaico_ros.protocol.errors import NotFoundError
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN

__all__ = ['count_rows', 'scan', 'stripes']

_T = TypeVar('_T')

# Less than that (as stored) is read sooner than a second connection is made.
_STRIPE_BYTES = 1 << 20
# Pieces per stripe from which on borders between them split the work well enough.
_PIECES = 8
# How long a reader goes on, at most, when its topic is deleted.
_LOOK_AGAIN_S = 1.0


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
    window, columns, row_filter
        As for :func:`merge`.
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
                    times = times_of(batch)
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
        times = times_of(batch)
        last = int(times[-1])
        if last != self._time:
            self._time, self._rows = last, 0
        self._rows += len(times) - int(np.searchsorted(times, last, 'left'))
        yield batch
