"""Which parts of an object are fetched, and what a reader of them gets."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from mosaico_ros.daemon.store.ranges import RangedSource, spans

MIB = 1 << 20


class Content:
    """An object in memory that counts what is fetched of it."""

    def __init__(self, size: int) -> None:
        self.data = random.Random(size).randbytes(size)
        self.fetched: list[tuple[int, int]] = []

    def part(self, start: int, stop: int) -> tuple[bytes, int]:
        self.fetched.append((start, stop))
        return self.data[start:stop], len(self.data)

    def tail(self, count: int) -> tuple[bytes, int]:
        return self.part(max(0, len(self.data) - count), len(self.data))


def test_neighbours_are_fetched_together_and_distant_ranges_are_not():
    assert spans([]) == []
    assert spans([(4, 1000), (1000, 2000), (2500, 3000)]) == [(4, 3000)]
    assert spans([(0, 10), (MIB, MIB + 10)]) == [(0, 10), (MIB, MIB + 10)]


def test_no_range_is_parted_and_spans_stay_small():
    ranges = [(at, at + 100_000) for at in range(0, 40 * MIB, 100_000)]
    ranges.append((ranges[-1][1], ranges[-1][1] + 9 * MIB))
    found = spans(ranges)
    assert all(any(a <= start and stop <= b for a, b in found) for start, stop in ranges)
    assert all(b - a <= 4 * MIB for a, b in found[:-1])
    assert found[0][1] - found[0][0] <= MIB  # the first rows come soon
    assert len(found) < 15


@pytest.mark.parametrize('planned', [True, False])
def test_any_read_gives_what_the_object_holds(planned):
    content = Content(9 * MIB + 17)
    rng = random.Random(1)
    ranges = sorted((at, at + rng.randrange(1, 400_000)) for at in rng.sample(range(9 * MIB), 30))
    with ThreadPoolExecutor(2) as pool:
        source = RangedSource(content, pool, (lambda: ranges) if planned else None)
        file = pa.PythonFile(source, mode='r')
        assert file.size() == len(content.data)
        reads = [*ranges, (0, 5), (len(content.data) - 5, len(content.data) + 100)]
        reads += [(at, at + rng.randrange(1, MIB)) for at in rng.sample(range(9 * MIB), 30)]
        for start, stop in reads:
            assert file.read_at(stop - start, start) == content.data[start:stop]
        file.close()


def test_reads_on_the_plan_fetch_each_span_once():
    content = Content(12 * MIB)
    ranges = [(at, at + 50_000) for at in range(0, 12 * MIB - 50_000, 50_000)]
    with ThreadPoolExecutor(2) as pool:
        source = RangedSource(content, pool, lambda: ranges)
        for start, stop in ranges:
            source.seek(start)
            assert source.read(stop - start) == content.data[start:stop]
        source.close()
    assert sorted(content.fetched) == spans(ranges)


def test_what_is_planned_after_a_look_at_the_end_is_fetched_by_spans():
    content = Content(12 * MIB)
    ranges: list[tuple[int, int]] = []
    with ThreadPoolExecutor(2) as pool:
        source = RangedSource(content, pool, lambda: ranges)
        source.seek(-1000, 2)
        assert source.read() == content.data[-1000:]
        for begin in (0, 6 * MIB):  # a first part of it, then another
            ranges[:] = [(at, at + 50_000) for at in range(begin, begin + MIB, 50_000)]
            for start, stop in ranges:
                source.seek(start)
                assert source.read(stop - start) == content.data[start:stop]
        source.close()
    assert len(content.fetched) == 1 + 2 * len(spans(ranges))


def test_a_small_object_takes_one_request_whatever_is_planned_of_it():
    content = Content(100_000)
    with ThreadPoolExecutor(1) as pool:
        ranges: list[tuple[int, int]] = []
        source = RangedSource(content, pool, lambda: ranges)
        ranges.append((4, 60_000))
        source.seek(4)
        assert source.read(50_000) == content.data[4:50_004]
    assert len(content.fetched) == 1


def test_end_of_an_object_is_fetched_once():
    content = Content(MIB)
    with ThreadPoolExecutor(1) as pool:
        source = RangedSource(content, pool)
        for count in (8, 60_000, 100_000):
            source.seek(-count, 2)
            assert source.read() == content.data[-count:]
    assert len(content.fetched) == 1
