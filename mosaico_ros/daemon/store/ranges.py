"""Reading an object by parts: few requests, the next one under way while the last is decoded.

Whoever opens a chunk knows from its footer which bytes will be read. Ranges that lie close
together become one span, a span is fetched with one request, and those that follow are fetched
ahead. Reads off the plan are served by a window of their own.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Protocol

import pyarrow as pa

__all__ = ['ByteRange', 'PartReader', 'RangedSource', 'ReadPlan', 'spans']

#: Start and end of some bytes, the end exclusive.
ByteRange = tuple[int, int]
#: Gives what will be read, ascending; nothing as long as that is not known.
ReadPlan = Callable[[], Sequence[ByteRange]]

#: Bytes that are cheaper to read and drop than another request is.
_GAP = 256 << 10
#: Spans grow from the first size to the last, so that the first rows come soon.
_FIRST_SPAN, _LARGEST_SPAN = 1 << 20, 4 << 20
_AHEAD = 2
#: Footers of chunks fit into this.
_TAIL = 128 << 10
_WINDOW = 256 << 10


class PartReader(Protocol):
    """Fetches parts of one object."""

    def part(self, start: int, stop: int) -> tuple[bytes, int]:
        """Return the bytes in [start, stop), cut at the object's end, and the object's size."""

    def tail(self, count: int) -> tuple[bytes, int]:
        """Return the last bytes, all if there are fewer, and the object's size."""


def spans(ranges: Sequence[ByteRange]) -> list[ByteRange]:
    """Return what to fetch for some ascending ranges; each lies in one span as a whole."""
    merged: list[ByteRange] = []
    largest = _FIRST_SPAN
    for start, stop in ranges:
        if merged:
            first, last = merged[-1]
            if start - last <= _GAP and stop - first <= largest:
                merged[-1] = first, max(last, stop)
                continue
            largest = min(largest * 2, _LARGEST_SPAN)
        merged.append((start, stop))
    return merged


class RangedSource:
    """A file object over the parts of an object, for :class:`pyarrow.PythonFile`.

    Parameters
    ----------
    reader
        Fetches parts.
    executor
        Runs what is fetched ahead.
    plan
        What will be read; `None` if that is never known. The first part is fetched at once, so
        that a missing object is known when it is opened; without one the end. The plan is asked
        again when something is read that was not on it.

    """

    def __init__(
        self, reader: PartReader, executor: Executor, plan: ReadPlan | None = None
    ) -> None:
        self._reader = reader
        self._executor = executor
        self._lock = threading.Lock()
        self._plan = plan
        self._at = 0
        self._held: dict[int, bytes | Future[tuple[bytes, int]]] = {}
        self._make_plan()
        if self._spans:
            self._window_start, self._window = 0, b''
            first, self._size = reader.part(*self._spans[0])
            self._held[0] = first
        else:
            self._window, self._size = reader.tail(_TAIL)
            self._window_start = self._size - len(self._window)
        self.closed = False

    def close(self) -> None:
        """Drop what was fetched."""
        with self._lock:
            self._drop_spans()
            self._window = b''
            self.closed = True

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read at any place."""
        return True

    def tell(self) -> int:
        """Return the place of the next read."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a place; `whence` as everywhere."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def read(self, count: int = -1) -> bytes:
        """Return the next bytes."""
        return self.read_buffer(count).to_pybytes()

    def read_buffer(self, count: int = -1) -> pa.Buffer:
        """Return the next bytes without a copy."""
        with self._lock:
            start = self._at
            stop = self._size if count < 0 else min(start + count, self._size)
            if start >= stop:
                return pa.py_buffer(b'')
            first, data = self._around(start, stop)
            self._at = stop
            return pa.py_buffer(data).slice(start - first, stop - start)

    def _around(self, start: int, stop: int) -> tuple[int, bytes]:
        """Return bytes that hold [start, stop), and where they begin."""
        if self._window_start <= start < stop <= self._window_start + len(self._window):
            return self._window_start, self._window
        index = self._span_around(start, stop)
        if index < 0 and self._plan is not None:
            self._drop_spans()
            self._make_plan()
            index = self._span_around(start, stop)
        if index >= 0:
            return self._spans[index][0], self._planned(index)
        self._window, _ = self._reader.part(start, max(stop, start + _WINDOW))
        self._window_start = start
        return self._window_start, self._window

    def _span_around(self, start: int, stop: int) -> int:
        index = bisect_right(self._starts, start) - 1
        return index if index >= 0 and stop <= self._spans[index][1] else -1

    def _make_plan(self) -> None:
        self._spans = spans(self._plan()) if self._plan is not None else []
        self._starts = [start for start, _ in self._spans]

    def _drop_spans(self) -> None:
        for part in self._held.values():
            if isinstance(part, Future):
                part.cancel()
        self._held.clear()

    def _planned(self, index: int) -> bytes:
        # Reads ascend, but for neighbours: what lies further back is not needed again.
        for passed in [held for held in self._held if held < index - 1]:
            del self._held[passed]
        for ahead in range(index + 1, min(index + 1 + _AHEAD, len(self._spans))):
            if ahead not in self._held:
                self._held[ahead] = self._executor.submit(self._reader.part, *self._spans[ahead])
        part = self._held.get(index)
        if part is None:
            part, _ = self._reader.part(*self._spans[index])
        elif isinstance(part, Future):
            part, _ = part.result()
        self._held[index] = part
        return part
