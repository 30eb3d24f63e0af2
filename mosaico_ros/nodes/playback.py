"""Play a timeline: every message at its time, at any rate, under control from other threads.

Nothing here knows ROS or the archive: messages come from a feed and go to a sink.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mosaico_ros.nodes.lateness import Lateness
from mosaico_ros.nodes.timeline import Timeline

_STEP_PATIENCE = 5.0


@dataclass(frozen=True)
class Batch:
    """Messages in the order in which they are played.

    ``positions`` (ns, ascending) and ``tracks`` (numbers of the topics) have shape (n,), int64.
    """

    positions: np.ndarray
    tracks: np.ndarray
    payloads: Sequence[bytes]


class Feed(Protocol):
    """Messages from some position on."""

    def take(self) -> Batch | None:
        """Return the next messages, None if none are there now."""

    @property
    def ended(self) -> bool:
        """Whether no more will come."""

    def close(self) -> None:
        """Stop reading."""


#: Opens a feed at a position; it calls the function whenever there may be something to take.
OpenFeed = Callable[[int, Callable[[], None]], Feed]


class Sink(Protocol):
    """Where messages go to."""

    def publish(self, track: int, payload: bytes) -> None:
        """Publish one message."""

    def keep_pace(self, track: int) -> None:
        """Wait until whoever listens to a track can take more of it; at rate 0 only."""

    def tell_time(self, recorded_ns: int) -> None:
        """Publish what time it is in the recording."""


class SteadyClock:
    """The time that passes; tests bring their own."""

    def now(self) -> int:
        """Return a time in ns that never jumps."""
        return time.monotonic_ns()

    def wait(self, changed: threading.Condition, timeout_ns: int | None) -> None:
        """Wait until something changed, at most so long."""
        changed.wait(None if timeout_ns is None else timeout_ns / 1e9)


class Playback:
    """Plays until the end, or until it is stopped; all methods may be called from any thread.

    Parameters
    ----------
    timeline
        What is played.
    open_feed
        Where messages come from.
    sink
        Where they go to.
    rate
        How many times faster than recorded; 0 is as fast as possible.
    paused
        Begin paused.
    loop
        Begin again at the end.
    clock_period_ns
        How often to tell the time; 0 is never. While paused the time told stands still.
    clock
        The time.

    Attributes
    ----------
    lateness
        How far from their times messages were published, at rates above 0.
    stalled_ns
        How long playback stood still because what was next had not been read yet.
    counts
        Messages published, by track.
    """

    def __init__(
        self,
        timeline: Timeline,
        open_feed: OpenFeed,
        sink: Sink,
        *,
        rate: float = 1.0,
        paused: bool = False,
        loop: bool = False,
        clock_period_ns: int = 0,
        clock: SteadyClock | None = None,
    ) -> None:
        self.timeline = timeline
        self._open_feed = open_feed
        self._sink = sink
        self._loop = loop
        self._clock = clock or SteadyClock()
        self._clock_period = clock_period_ns
        self._changed = threading.Condition(threading.RLock())
        self._rate = rate
        self._paused = paused
        self._running = False
        self._stopped = False
        self._finished = False
        self._steps_asked = self._steps_done = 0
        # Position `_anchor` was, or will be, at the wall time `_since`; None while time stands.
        self._anchor = 0
        self._since: int | None = None
        self._sought: int | None = 0
        self._feed: Feed | None = None
        self._batch: Batch | None = None
        self._row = 0
        self._starved = False
        self._played_before = 0
        self._next_tick = 0
        self.lateness = Lateness()
        self.stalled_ns = 0
        self.counts: dict[int, int] = {}

    # --- control --------------------------------------------------------------------------------

    @property
    def paused(self) -> bool:
        """Whether it is paused."""
        return self._paused

    @property
    def rate(self) -> float:
        """How many times faster than recorded; 0 is as fast as possible."""
        return self._rate

    @property
    def finished(self) -> bool:
        """Whether everything was played."""
        return self._finished

    @property
    def position(self) -> int:
        """Where it is, ns."""
        with self._changed:
            if self._sought is not None:
                return self._sought
            return self._position(self._clock.now())

    @property
    def recorded_ns(self) -> int:
        """Recorded time at which it is."""
        return self.timeline.recorded(self.position)

    def pause(self) -> None:
        """Stand still."""
        with self._changed:
            self._hold(self._clock.now())
            self._paused = True
            self._changed.notify_all()

    def resume(self) -> None:
        """Go on."""
        with self._changed:
            self._paused = False
            self._changed.notify_all()

    def set_rate(self, rate: float) -> None:
        """Go on at another rate."""
        with self._changed:
            self._hold(self._clock.now())
            self._rate = rate
            self._changed.notify_all()

    def seek(self, recorded_ns: int) -> bool:
        """Go on at a recorded time; tell whether that is within what is played."""
        position = self.timeline.position(recorded_ns)
        if position is None:
            return False
        with self._changed:
            self._sought = position
            self._changed.notify_all()
        return True

    def step(self, count: int = 1) -> int:
        """Play some messages at once while paused; return how many were."""
        with self._changed:
            if not self._paused or not self._running:
                return 0
            before = self._steps_done
            self._steps_asked = before + count
            self._changed.notify_all()
            while self._running and self._steps_done < self._steps_asked:
                if not self._changed.wait(_STEP_PATIENCE):
                    break  # nothing more comes
            self._steps_asked = self._steps_done
            return self._steps_done - before

    def allow(self) -> None:
        """Let :meth:`run` go on after :meth:`stop`; to be called before it."""
        with self._changed:
            self._stopped = False

    def stop(self) -> None:
        """Have :meth:`run` return, or not begin, until :meth:`allow`."""
        with self._changed:
            self._hold(self._clock.now())
            self._stopped = True
            self._changed.notify_all()

    def close(self) -> None:
        """Stop for good."""
        with self._changed:
            self.stop()
            self._close_feed()

    # --- playing --------------------------------------------------------------------------------

    def run(self) -> None:
        """Play until everything is played, or :meth:`stop`.

        Raises
        ------
        MosaicoError
            What the feed cannot read.
        """
        self._running = True
        try:
            while self._play_next():
                pass
        finally:
            with self._changed:
                self._running = False
                self._changed.notify_all()

    def _play_next(self) -> bool:
        """Wait for what is next and do it; tell whether to go on."""
        with self._changed:
            now = self._clock.now()
            if self._stopped:
                return False
            if self._sought is not None:
                self._restart(self._sought)
            due = self._due(now)
            if self._finished:
                return False
            # No time is told while nothing is there to play: it might have to go back.
            tick = self._next_tick if self._clock_period and not self._starved else None
            if tick is not None and now >= tick:
                following = tick + self._clock_period
                self._next_tick = following if following > now else now + self._clock_period
                recorded = self.timeline.recorded(self._position(now))
                message = None
            elif due is None or due > now:
                times = [each for each in (tick, due) if each is not None]
                self._clock.wait(self._changed, max(0, min(times) - now) if times else None)
                return True
            else:
                message = self._advance(now, due)
        if message is None:
            self._sink.tell_time(recorded)
            return True
        track, payload = message
        if not self._rate:
            self._sink.keep_pace(track)
        self._sink.publish(track, payload)
        if self._steps_done < self._steps_asked:
            with self._changed:
                self._steps_done += 1
                self._changed.notify_all()
        return True

    def _due(self, now: int) -> int | None:
        """When the next message is to be published; None if that is not known yet."""
        if self._batch is None and not self._fetch(now):
            return None
        if self._steps_done < self._steps_asked:
            return now
        if self._paused:
            return None
        if not self._rate:
            return now
        if self._since is None:
            self._since = now
        assert self._batch is not None
        ahead = int(self._batch.positions[self._row]) - self._anchor
        return self._since + round(ahead / self._rate)

    def _fetch(self, now: int) -> bool:
        """Have a batch; tell whether there is one."""
        assert self._feed is not None
        while (batch := self._feed.take()) is None:
            if not self._feed.ended:
                self._starved = True
                return False
            if not self._loop or self._played == self._played_before:
                self._finished = True
                return False
            self._restart(0)
        self._batch, self._row = batch, 0
        if self._starved:
            self._starved = False
            ahead = self._position(now) - int(batch.positions[0])
            if ahead > 0 and self._since is not None:
                # Time went on while this was being read: take it back, and keep the spacing.
                self.stalled_ns += round(ahead / self._rate)
                self._anchor, self._since = int(batch.positions[0]), now
        return True

    def _advance(self, now: int, due: int) -> tuple[int, bytes]:
        batch = self._batch
        assert batch is not None
        row = self._row
        position = int(batch.positions[row])
        if self._paused or not self._rate:
            self._anchor, self._since = max(self._anchor, position), None
        else:
            self.lateness.add(now - due)
        track = int(batch.tracks[row])
        self.counts[track] = self.counts.get(track, 0) + 1
        self._row += 1
        if self._row == len(batch.positions):
            self._batch = None
        return track, batch.payloads[row]

    def _position(self, now: int) -> int:
        if self._since is None:
            return self._anchor
        return self._anchor + round(max(0, now - self._since) * self._rate)

    def _hold(self, now: int) -> None:
        self._anchor, self._since = self._position(now), None

    @property
    def _played(self) -> int:
        return sum(self.counts.values())

    def _restart(self, position: int) -> None:
        self._close_feed()
        self._sought, self._finished = None, False
        self._anchor, self._since = position, None
        self._starved, self._played_before = False, self._played
        self._feed = self._open_feed(position, self._wake)

    def _close_feed(self) -> None:
        feed, self._feed, self._batch = self._feed, None, None
        if feed is not None:
            feed.close()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
