"""The ring of segments, and windows over it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, strategies as st

from mosaico_ros.nodes.parcel import CAPTURED
from mosaico_ros.nodes.ring import Ring, Segment, Window

_PAYLOAD = 1000


def rows(stamps: list[int], size: int = _PAYLOAD) -> pa.RecordBatch:
    count = len(stamps)
    columns = [pa.array(stamps, pa.int64())]
    columns += [pa.nulls(count, field.type) for field in list(CAPTURED)[1:-1]]
    columns.append(pa.array([bytes(size)] * count, pa.large_binary()))
    return pa.RecordBatch.from_arrays(columns, schema=CAPTURED)


def stamps_of(window: Window, topic: str = '/a') -> list[int]:
    return [stamp for part in window.rows(topic) for stamp in part.column(0).to_pylist()]


def big_ring(seconds: float = 1e9) -> Ring:
    return Ring(seconds, 10**12, 10**12)


def test_a_window_is_cut_exactly_and_copies_nothing() -> None:
    ring = big_ring()
    for start in range(0, 100, 10):
        ring.put(Segment('/a', rows(list(range(start, start + 10))), start / 10))
    window = ring.open(25, 47)
    assert stamps_of(window) == list(range(25, 48))
    original = window.segments['/a'][0].rows.column(CAPTURED.names[-1])
    cut = next(iter(window.rows('/a'))).column(CAPTURED.names[-1])
    assert cut.buffers()[2].address == original.buffers()[2].address


def test_overlapping_windows_each_get_all_of_theirs_and_share_the_memory() -> None:
    ring = big_ring(seconds=5.0)
    for i in range(20):
        ring.put(Segment('/a', rows([i]), float(i)))
    first = ring.open(15, 25)
    one = ring.held
    second = ring.open(16, 26)
    assert ring.held == one  # nothing twice
    for i in range(20, 60):
        ring.put(Segment('/a', rows([i]), float(i)))
        if i == 25:
            ring.close(first)
    ring.close(second)
    assert stamps_of(first) == list(range(15, 26))
    assert stamps_of(second) == list(range(16, 27))
    ring.release(first)
    assert stamps_of(second) == list(range(16, 27))
    ring.release(second)
    assert ring.held == ring.size


def test_the_oldest_goes_after_its_time() -> None:
    ring = Ring(5.0, 10**12, 10**12)
    for i in range(100):
        ring.put(Segment('/a', rows([i]), float(i)))
    window = ring.open(0, 1000)
    assert stamps_of(window) == list(range(94, 100))
    assert not window.cut_short  # old, not starved


def test_a_topic_that_fell_silent_is_forgotten_too() -> None:
    ring = Ring(5.0, 10**12, 10**12)
    ring.put(Segment('/silent', rows([0]), 0.0))
    for i in range(10):
        ring.put(Segment('/a', rows([i]), float(i)))
    assert ring.topics()['/silent'] == (0.0, 0)


def test_a_greedy_topic_gives_first_and_its_window_says_so() -> None:
    small, large = rows([0]).nbytes, rows([0], 100_000).nbytes
    ring = Ring(1e9, 10**12, 10 * large + 100 * small)
    for i in range(100):
        ring.put(Segment('/imu', rows([i]), float(i)))
        ring.put(Segment('/camera', rows([i], 100_000), float(i)))
    window = ring.open(0, 1000)
    assert stamps_of(window, '/imu') == list(range(100))
    assert stamps_of(window, '/camera') == list(range(90, 100))
    assert window.cut_short == {'/camera'}
    assert ring.open(95, 1000).cut_short == set()


def test_losses_are_those_around_the_window() -> None:
    ring = big_ring()
    for i, lost in enumerate([0, 2, 2, 5, 7, 7]):
        ring.put(Segment('/a', rows([i * 10]), float(i), lost))
    window = ring.open(20, 40)  # segments 2, 3, 4
    assert window.lost('/a') == 5
    assert window.lost('/unheard') == 0
    ring.put(Segment('/b', rows([25]), 6.0, None))
    assert window.lost('/b') is None


@given(
    st.lists(
        st.tuples(st.sampled_from('abc'), st.integers(1, 6), st.integers(1, 20)), max_size=60
    ),
    st.lists(st.tuples(st.integers(0, 60), st.integers(-40, 40), st.integers(0, 80)), max_size=8),
    st.integers(2_000, 60_000),
    st.integers(2_000, 120_000),
)
def test_bounds_hold_and_windows_have_what_the_ring_had_and_gets(
    puts: list[tuple[str, int, int]],
    opens: list[tuple[int, int, int]],
    topic_bytes: int,
    total_bytes: int,
) -> None:
    ring = Ring(5.0, topic_bytes, total_bytes)
    clock = {'a': 0, 'b': 0, 'c': 0}
    everything: dict[str, list[int]] = {'a': [], 'b': [], 'c': []}
    windows: list[tuple[Window, dict[str, set[int]]]] = []
    for step, (topic, count, gap) in enumerate(puts):
        for at, before, length in opens:
            if at == step:
                start = max(clock.values()) + before
                known = {name: {s for r in ring.open(-(10**9), 10**9).segments.get(name, ())
                                for s in r.stamps.tolist()} for name in 'abc'}  # fmt: skip
                windows.append((ring.open(start, start + length), known))
        stamps = [clock[topic] + gap * (i + 1) for i in range(count)]
        clock[topic] = stamps[-1]
        everything[topic] += stamps
        for _, known in windows:
            known[topic].update(stamps)
        ring.put(Segment(topic, rows(stamps, 500), step * 0.1))
        assert ring.size <= total_bytes
        assert ring.held >= ring.size
        held = ring.topics()
        for name, (_, size) in held.items():
            single = max((len(s.rows) for s in ring._tracks[name].segments), default=0)
            assert size <= topic_bytes or len(ring._tracks[name].segments) == 1, single
    for window, known in windows:
        for name in 'abc':
            expected = [s for s in everything[name]
                        if s in known[name] and window.start_ns <= s <= window.end_ns]  # fmt: skip
            assert stamps_of(window, name) == expected
    assert np.all(np.diff([0, *everything['a']]) > 0)
