"""Playing under a clock of the test: what is published when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from mosaico_ros.nodes.playback import Batch, Playback, SteadyClock
from mosaico_ros.nodes.playback_source import merge
from mosaico_ros.nodes.player_controls import controls
from mosaico_ros.nodes.read_ahead import ReadAhead
from mosaico_ros.nodes.stop_signals import StopSignals
from mosaico_ros.nodes.timeline import Segment, Timeline
from mosaico_ros.protocol.errors import UnavailableError

S = 1_000_000_000
START = 5000 * S


class Clock(SteadyClock):
    """Time that passes only while somebody waits; what is planned happens on the way."""

    def __init__(self) -> None:
        self.time = 77 * S
        self.begin = self.time
        self._plans: list[tuple[int, Callable[[], Any]]] = []

    def plan(self, seconds: float, action: Callable[[], Any]) -> None:
        self._plans.append((self.begin + round(seconds * S), action))
        self._plans.sort(key=lambda plan: plan[0])

    def now(self) -> int:
        return self.time

    def wait(self, changed: threading.Condition, timeout_ns: int | None) -> None:
        until = None if timeout_ns is None else self.time + timeout_ns
        if self._plans and (until is None or self._plans[0][0] <= until):
            self.time, action = self._plans.pop(0)
            action()
            return
        assert until is not None, 'it would wait for ever'
        self.time = until


class Messages:
    """A feed of batches of two messages."""

    def __init__(self, positions: Sequence[int], begin: int) -> None:
        rows = [row for row, position in enumerate(positions) if position >= begin]
        self._batches = [
            Batch(
                np.array([positions[row] for row in part], np.int64),
                np.zeros(len(part), np.int64),
                [str(row).encode() for row in part],
            )
            for part in (rows[at : at + 2] for at in range(0, len(rows), 2))
        ]

    def take(self) -> Batch | None:
        return self._batches.pop(0) if self._batches else None

    @property
    def ended(self) -> bool:
        return not self._batches

    def close(self) -> None:
        self._batches = []


@dataclass
class Stage:
    """A playback of messages at the seconds given, and all that it does, by seconds."""

    seconds: Sequence[float]
    options: dict[str, Any] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    played: list[tuple[float, int]] = field(default_factory=list)
    told: list[tuple[float, float]] = field(default_factory=list)
    paced: int = 0

    def __post_init__(self) -> None:
        positions = [round(each * S) for each in self.seconds]
        timeline = Timeline([Segment(START, START + positions[-1] + 1)])
        self.playback = Playback(
            timeline,
            lambda begin, wake: Messages(positions, begin),
            self,
            clock=self.clock,
            **self.options,
        )

    def _now(self) -> float:
        return (self.clock.time - self.clock.begin) / S

    def publish(self, track: int, payload: bytes) -> None:
        self.played.append((self._now(), int(payload)))

    def keep_pace(self, track: int) -> None:
        self.paced += 1

    def tell_time(self, recorded_ns: int) -> None:
        self.told.append((self._now(), (recorded_ns - START) / S))

    def run(self) -> list[tuple[float, int]]:
        self.playback.run()
        return self.played


def test_each_message_comes_at_its_time() -> None:
    stage = Stage([0, 0.5, 0.5, 2, 3])
    assert stage.run() == [(0, 0), (0.5, 1), (0.5, 2), (2, 3), (3, 4)]
    assert stage.playback.finished
    figures = stage.playback.lateness.figures()
    assert (figures.count, figures.max) == (5, 0)


@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=30).map(sorted),
    st.sampled_from([0.1, 0.5, 1.0, 3.0, 10.0]),
)
def test_the_rate_divides_every_distance(milliseconds: list[int], rate: float) -> None:
    stage = Stage([each / 1000 for each in milliseconds], {'rate': rate})
    played = stage.run()
    assert [row for _, row in played] == list(range(len(milliseconds)))
    for (when, _), each in zip(played, milliseconds, strict=True):
        assert when == pytest.approx(each / 1000 / rate, abs=1e-8)


def test_rate_0_waits_for_nothing() -> None:
    stage = Stage([0, 100, 200], {'rate': 0.0})
    assert stage.run() == [(0, 0), (0, 1), (0, 2)]
    assert stage.paced == 3
    assert stage.playback.lateness.figures().count == 0


def test_a_pause_moves_what_follows() -> None:
    stage = Stage([0, 1, 2])
    stage.clock.plan(0.25, stage.playback.pause)
    stage.clock.plan(5.25, stage.playback.resume)
    assert stage.run() == [(0, 0), (6, 1), (7, 2)]


def test_it_begins_paused() -> None:
    stage = Stage([0, 1], {'paused': True})
    stage.clock.plan(3, stage.playback.resume)
    assert stage.run() == [(3, 0), (4, 1)]


def test_another_rate_counts_from_then_on() -> None:
    stage = Stage([0, 4, 8])
    stage.clock.plan(2, lambda: stage.playback.set_rate(2.0))
    assert stage.run() == [(0, 0), (3, 1), (5, 2)]


def test_seeking_goes_on_from_there_both_ways() -> None:
    stage = Stage([0, 1, 2, 10, 11])
    answers: list[bool] = []
    stage.clock.plan(0.5, lambda: answers.append(stage.playback.seek(START + 9 * S)))
    stage.clock.plan(1.7, lambda: answers.append(stage.playback.seek(START + 1 * S)))
    stage.clock.plan(1.8, lambda: answers.append(stage.playback.seek(START - 1)))
    assert stage.run() == [(0, 0), (1.5, 3), (1.7, 1), (2.7, 2), (10.7, 3), (11.7, 4)]
    assert answers == [True, True, False]


def test_seeking_while_paused_stays_paused() -> None:
    stage = Stage([0, 1, 2], {'paused': True})
    stage.clock.plan(1, lambda: stage.playback.seek(START + 2 * S))
    stage.clock.plan(3, stage.playback.resume)
    assert stage.run() == [(3, 2)]


def test_a_loop_begins_again_until_it_is_stopped() -> None:
    stage = Stage([0, 1, 2], {'loop': True})
    stage.clock.plan(4.5, stage.playback.stop)
    assert stage.run() == [(0, 0), (1, 1), (2, 2), (2, 0), (3, 1), (4, 2), (4, 0)]
    assert not stage.playback.finished


def test_stopped_it_can_go_on() -> None:
    stage = Stage([0, 1, 2])
    stage.clock.plan(0.5, stage.playback.stop)
    assert stage.run() == [(0, 0)]
    assert stage.run() == [(0, 0)]
    stage.clock.time += 10 * S
    stage.playback.allow()
    assert stage.run() == [(0, 0), (11, 1), (12, 2)]


def test_the_time_told_is_that_of_the_recording() -> None:
    stage = Stage([0, 2], {'clock_period_ns': S // 2, 'rate': 2.0})
    stage.clock.plan(0.25, stage.playback.pause)
    stage.clock.plan(1.6, stage.playback.resume)
    stage.run()
    assert stage.told == [(0, 0), (0.5, 0.5), (1.0, 0.5), (1.5, 0.5), (2.0, 1.3)]
    assert stage.played == [(0, 0), (2.35, 1)]


def test_what_is_late_to_be_read_keeps_its_spacing() -> None:
    stage = Stage([0, 1, 2, 3])
    batches = Messages([0, 1 * S, 2 * S, 3 * S], 0)
    late = [batches._batches[0], None, batches._batches[1]]

    class Slow:
        ended = False

        def take(self) -> Batch | None:
            if not late:
                self.ended = True
                return None
            return late.pop(0)

        def close(self) -> None:
            pass

    stage.playback._open_feed = lambda begin, wake: Slow()
    stage.clock.plan(6, lambda: None)  # the feed wakes it up
    assert stage.run() == [(0, 0), (1, 1), (6, 2), (7, 3)]
    assert stage.playback.stalled_ns == 4 * S
    assert stage.playback.lateness.figures().max == 0


def test_steps_play_one_message_each() -> None:
    played: list[int] = []

    class Sink:
        def publish(self, track: int, payload: bytes) -> None:
            played.append(int(payload))

        def keep_pace(self, track: int) -> None:
            pass

        def tell_time(self, recorded_ns: int) -> None:
            pass

    playback = Playback(
        Timeline([Segment(START, START + 6)]),
        lambda begin, wake: Messages([0, 1, 2, 3, 4, 5], begin),
        Sink(),
        paused=True,
    )
    thread = threading.Thread(target=playback.run)
    assert not playback.step()  # nobody plays yet
    thread.start()
    try:
        while not playback._running:
            time.sleep(0.001)
        for count in (1, 2):
            assert playback.step()
            assert played == list(range(count))
            assert playback.recorded_ns == START + count - 1
        assert playback.step(3) == 3
        assert played == [0, 1, 2, 3, 4]
        answers = {each.name: each.answer for each in controls(playback, StopSignals())}
        assert answers['burst'](SimpleNamespace(num_messages=0)) == {'actually_burst': 1}
    finally:
        thread.join(10)
    assert played == [0, 1, 2, 3, 4, 5]
    assert not playback.step()


# --- reading -------------------------------------------------------------------------------------


def batches(sizes: Sequence[int]) -> Iterator[Batch]:
    for number, size in enumerate(sizes):
        one = np.array([number], np.int64)
        yield Batch(one, one * 0, [bytes(size)])


def test_reading_ahead_ends_where_memory_does(wait_for: Any) -> None:
    read: list[int] = []

    def source() -> Iterator[Batch]:
        for batch in batches([100] * 10):
            read.append(1)
            yield batch

    feed = ReadAhead(source(), lambda: None, max_bytes=250)
    # Two wait, and the third is in the reader's hand.
    wait_for(lambda: len(read) == 3, 'reading ahead')
    assert feed.take() is not None
    wait_for(lambda: len(read) == 4, 'reading on')
    taken = 1
    while not feed.ended:
        taken += feed.take() is not None
    assert taken == 10


def test_one_batch_is_read_however_large_it_is(wait_for: Any) -> None:
    feed = ReadAhead(batches([1000]), lambda: None, max_bytes=10)
    assert len(wait_for(feed.take, 'the batch').payloads[0]) == 1000


def test_what_the_reading_fails_of_is_told_after_what_was_read(wait_for: Any) -> None:
    def source() -> Iterator[Batch]:
        yield from batches([1])
        raise UnavailableError('the daemon is gone')

    feed = ReadAhead(source(), lambda: None, max_bytes=10)
    assert wait_for(feed.take, 'the batch')
    with pytest.raises(UnavailableError, match='gone'):
        wait_for(lambda: feed.ended, 'the failure')


def test_closing_ends_the_reader(wait_for: Any) -> None:
    closed: list[int] = []

    def source() -> Iterator[Batch]:
        try:
            yield from batches([100] * 10)
        finally:
            closed.append(1)

    feed = ReadAhead(source(), lambda: None, max_bytes=150)
    assert wait_for(feed.take, 'a batch')
    feed.close()
    wait_for(lambda: closed, 'the end of the reader')


@given(
    st.lists(st.lists(st.integers(0, 60), max_size=12).map(sorted), min_size=1, max_size=5),
    st.integers(1, 4),
)
def test_topics_are_merged_by_time(topics: list[list[int]], size: int) -> None:
    opened: list[int] = []

    def reader(track: int) -> Callable[[], Iterator[tuple[np.ndarray, list[bytes]]]]:
        def rows() -> Iterator[tuple[np.ndarray, list[bytes]]]:
            opened.append(track)
            times = topics[track]
            for at in range(0, len(times), size):
                part = times[at : at + size]
                yield np.array(part, np.int64), [b'%d %d' % (track, each) for each in part]

        return rows

    sources = [(times[0] if times else 0, i, reader(i)) for i, times in enumerate(topics)]
    merged = [
        (int(when), int(track), payload)
        for times, tracks, payloads in merge(sources)
        for when, track, payload in zip(times, tracks, payloads, strict=True)
    ]
    assert [each[0] for each in merged] == sorted(each for times in topics for each in times)
    for track, times in enumerate(topics):
        assert [when for when, number, _ in merged if number == track] == times
    for when, track, payload in merged:
        assert payload == b'%d %d' % (track, when)
    assert sorted(opened) == list(range(len(topics)))
