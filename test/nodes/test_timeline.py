"""Windows of recorded time laid end to end."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from mosaico_ros.nodes.timeline import Segment, Timeline
from mosaico_ros.protocol.errors import InvalidArgumentError

WINDOWS = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(1, 50)), min_size=1, max_size=6
).map(lambda spans: [Segment(start, start + length) for start, length in spans])


def disjoint(segments: list[Segment]) -> list[Segment]:
    """In order of time, without overlaps."""
    kept: list[Segment] = []
    for segment in sorted(segments, key=lambda segment: segment.start_ns):
        if not kept or segment.start_ns >= kept[-1].end_ns:
            kept.append(segment)
    return kept


@given(WINDOWS.map(disjoint), st.data())
def test_positions_and_recorded_times_are_each_others_inverse(
    segments: list[Segment], data: st.DataObject
) -> None:
    timeline = Timeline(segments)
    position = data.draw(st.integers(0, timeline.duration_ns - 1))
    recorded = timeline.recorded(position)
    assert any(each.start_ns <= recorded < each.end_ns for each in segments)
    assert timeline.position(recorded) == position


@given(WINDOWS, st.data())
def test_what_is_left_and_cut_is_the_same_stretch_of_time(
    segments: list[Segment], data: st.DataObject
) -> None:
    timeline = Timeline(segments)
    offset = data.draw(st.integers(0, timeline.duration_ns - 1))
    length = data.draw(st.integers(1, timeline.duration_ns - offset))
    cut = timeline.cut(offset, length)
    assert cut.duration_ns == length
    every = [timeline.recorded(position) for position in range(timeline.duration_ns)]
    assert [cut.recorded(p) for p in range(length)] == every[offset : offset + length]
    told = [
        segment.start_ns + i
        for segment, _ in timeline.left(offset)
        for i in range(segment.end_ns - segment.start_ns)
    ]
    assert told == every[offset:]
    assert next(timeline.left(offset))[1] == offset


def test_a_time_in_a_gap_is_what_follows_it() -> None:
    timeline = Timeline([Segment(100, 110), Segment(200, 220)])
    assert timeline.position(150) == 10
    assert timeline.recorded(10) == 200
    assert timeline.position(99) is None
    assert timeline.position(220) is None


def test_nothing_to_play_is_said() -> None:
    with pytest.raises(InvalidArgumentError, match='no message'):
        Timeline([Segment(5, 5)])
    with pytest.raises(InvalidArgumentError, match='no message'):
        Timeline([Segment(0, 10)]).cut(10, None)
