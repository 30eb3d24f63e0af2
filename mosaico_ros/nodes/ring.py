"""The last seconds of all topics: immutable segments, bounded in time and bytes.

A window of time over the ring holds references to segments, never copies: overlapping windows
share them, and what a window holds stays when the ring lets go of it. The ring takes in new
segments all the time; a window that reaches into the future gets those too.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

# Seconds between two looks at all topics.
_SWEEP = 0.2


@dataclass(frozen=True, eq=False)
class Segment:
    """Messages of one topic, some tenths of a second of them.

    Attributes
    ----------
    topic
        Name of the topic.
    rows
        With the schema `parcel.CAPTURED`, at least one; stamps strictly increasing, and above
        those of the topic's segments before.
    arrived
        When the ring got it, seconds of a monotonic clock.
    lost
        Messages of the topic known to be lost until then, since the start; None if the
        middleware cannot tell.
    """

    topic: str
    rows: pa.RecordBatch
    arrived: float
    lost: int | None = 0
    stamps: np.ndarray = field(init=False, repr=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, 'stamps', self.rows.column(0).to_numpy())
        object.__setattr__(self, 'size', self.rows.nbytes)

    @property
    def first(self) -> int:
        """Stamp of the first message, ns."""
        return int(self.stamps[0])

    @property
    def last(self) -> int:
        """Stamp of the last message, ns."""
        return int(self.stamps[-1])


class Window:
    """The segments that touch a span of time, both ends included.

    Attributes
    ----------
    start_ns, end_ns
        The span.
    segments
        By topic, in order.
    cut_short
        Topics of which the ring had let go of messages inside the window already, for want of
        memory.
    """

    def __init__(self, start_ns: int, end_ns: int) -> None:
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.segments: dict[str, list[Segment]] = {}
        self.cut_short: set[str] = set()
        self._lost_before: dict[str, int | None] = {}

    def touches(self, segment: Segment) -> bool:
        """Whether messages of the segment may lie in the window."""
        return segment.last >= self.start_ns and segment.first <= self.end_ns

    def rows(self, topic: str) -> Iterator[pa.RecordBatch]:
        """Yield the messages of a topic that lie in the window, without copying them."""
        for segment in self.segments.get(topic, ()):
            begin = int(np.searchsorted(segment.stamps, self.start_ns, 'left'))
            end = int(np.searchsorted(segment.stamps, self.end_ns, 'right'))
            if end > begin:
                yield segment.rows.slice(begin, end - begin)

    def lost(self, topic: str) -> int | None:
        """Return how many messages of a topic were lost around the window, None if unknown.

        Losses show when a later message arrives; those of the first and the last segment count
        whole.
        """
        segments = self.segments.get(topic)
        if not segments:
            return 0
        before, after = self._lost_before.get(topic, 0), segments[-1].lost
        return None if before is None or after is None else after - before

    def before(self, topic: str, lost: int | None) -> None:
        """Note what was lost before the first segment of a topic."""
        self._lost_before.setdefault(topic, lost)


@dataclass
class _Track:
    """The segments of one topic."""

    segments: deque[Segment] = field(default_factory=deque)
    size: int = 0
    # Of the newest segment let go of.
    lost_before: int | None = 0
    # Stamp of the newest message let go of to save memory, ns.
    starved_until: int = -(2**63)


class Ring:
    """The last seconds of all topics.

    Safe to use from several threads.

    Parameters
    ----------
    seconds
        How long a segment stays at least, if memory allows.
    topic_bytes
        Bound of one topic.
    total_bytes
        Bound of all; the topic that has most gives first.

    Attributes
    ----------
    high_water
        Most bytes ever held, by the ring and windows together.
    """

    def __init__(self, seconds: float, topic_bytes: int, total_bytes: int) -> None:
        self._seconds = seconds
        self._topic_bytes = topic_bytes
        self._total_bytes = total_bytes
        self._tracks: dict[str, _Track] = {}
        self._windows: list[Window] = []
        self._references: dict[Segment, int] = {}
        self._size = 0
        self._held = 0
        self._next_sweep = 0.0
        self._lock = threading.Lock()
        self.high_water = 0

    @property
    def size(self) -> int:
        """Bytes in the ring."""
        return self._size

    @property
    def held(self) -> int:
        """Bytes in the ring and in windows, each segment counted once."""
        return self._held

    def put(self, segment: Segment) -> None:
        """Take a segment in, and let go of what is too old or too much."""
        with self._lock:
            track = self._tracks.setdefault(segment.topic, _Track())
            for window in self._windows:
                if window.touches(segment):
                    before = track.segments[-1].lost if track.segments else track.lost_before
                    window.before(segment.topic, before)
                    self._hold(segment)
                    window.segments.setdefault(segment.topic, []).append(segment)
            track.segments.append(segment)
            track.size += segment.size
            self._size += segment.size
            self._hold(segment)
            self.high_water = max(self.high_water, self._held)
            self._forget(track, segment.arrived)
            if segment.arrived >= self._next_sweep:
                # Topics that have fallen silent.
                self._next_sweep = segment.arrived + _SWEEP
                for each in self._tracks.values():
                    self._forget(each, segment.arrived)
            while track.size > self._topic_bytes and len(track.segments) > 1:
                self._starve(track)
            while self._size > self._total_bytes:
                largest = max(self._tracks.values(), key=lambda each: each.size)
                if not largest.segments:
                    break
                self._starve(largest)

    def open(self, start_ns: int, end_ns: int) -> Window:
        """Return a window that has what the ring has, and gets what is still to come."""
        window = Window(start_ns, end_ns)
        with self._lock:
            for topic, track in self._tracks.items():
                before = track.lost_before
                for segment in track.segments:
                    if window.touches(segment):
                        window.before(topic, before)
                        self._hold(segment)
                        window.segments.setdefault(topic, []).append(segment)
                    before = segment.lost
                if track.starved_until >= start_ns:
                    window.cut_short.add(topic)
            self._windows.append(window)
        return window

    def close(self, window: Window) -> None:
        """Let a window get no more."""
        with self._lock:
            self._windows.remove(window)

    def release(self, window: Window) -> None:
        """Let go of what a closed window holds."""
        with self._lock:
            for segments in window.segments.values():
                for segment in segments:
                    self._drop(segment)
            window.segments = {}

    def topics(self) -> dict[str, tuple[float, int]]:
        """Return seconds (between the first and the last stamp) and bytes held, by topic."""
        with self._lock:
            return {
                topic: (
                    (track.segments[-1].last - track.segments[0].first) / 1e9
                    if track.segments
                    else 0.0,
                    track.size,
                )
                for topic, track in self._tracks.items()
            }

    def _forget(self, track: _Track, now: float) -> None:
        while track.segments and track.segments[0].arrived < now - self._seconds:
            self._pop(track)

    def _starve(self, track: _Track) -> None:
        track.starved_until = max(track.starved_until, self._pop(track).last)

    def _pop(self, track: _Track) -> Segment:
        segment = track.segments.popleft()
        track.size -= segment.size
        track.lost_before = segment.lost
        self._size -= segment.size
        self._drop(segment)
        return segment

    def _hold(self, segment: Segment) -> None:
        count = self._references.get(segment, 0)
        self._references[segment] = count + 1
        if not count:
            self._held += segment.size

    def _drop(self, segment: Segment) -> None:
        count = self._references[segment] - 1
        if count:
            self._references[segment] = count
        else:
            del self._references[segment]
            self._held -= segment.size
