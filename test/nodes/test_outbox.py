"""Snapshots on the disk: what survives, what is delivered, and what stays."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mosaico_ros.nodes.outbox import Entry, Outbox, Retention
from mosaico_ros.nodes.snapshot_delivery import Delivery
from mosaico_ros.protocol.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    UnavailableError,
)

ALL = Retention()


def entry(number: int, **values: Any) -> Entry:
    made = Entry(
        f'{number:016x}', f'fault_{number}', f'fault_{number}.mcap', {'robot_id': 'r1'}, number, 2
    )
    return replace(made, **values)


class Bench:
    """An outbox whose complaints are kept."""

    def __init__(self, folder: Path, retention: Retention = ALL) -> None:
        self.said: list[str] = []
        self.folder = folder
        self.retention = retention
        self.open()

    def open(self) -> Outbox:
        if hasattr(self, 'outbox'):
            self.outbox.close()
        self.outbox = Outbox(
            self.folder, self.retention, lambda text, warning=False: self.said.append(text)
        )
        return self.outbox

    def add(self, new: Entry, size: int = 10) -> Entry:
        self.outbox.partial(new.file).write_bytes(bytes(size))
        return self.outbox.add(new)

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.name != '.lock')


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / 'deep' / 'outbox')


def test_what_is_added_is_there_after_a_restart(bench: Bench) -> None:
    added = bench.add(entry(1))
    assert added.size == 10
    assert bench.open().waiting() == [added]
    bench.outbox.delivered(added)
    assert bench.open().waiting() == []
    assert bench.outbox.entries()[0].delivered_ns is not None
    assert not bench.said


def test_a_crash_at_any_step_leaves_all_of_a_snapshot_or_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crashed(BaseException):
        pass

    for step in range(20):
        left = step

        def dying(original: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal left
                if left == 0:
                    raise Crashed
                left -= 1
                return original(*args, **kwargs)

            return call

        snapshot = entry(step)
        with monkeypatch.context() as patch:
            patch.setattr(Path, 'rename', dying(Path.rename))
            patch.setattr('os.fsync', dying(__import__('os').fsync))
            try:
                bench.add(snapshot)
                crashed = False
            except Crashed:
                crashed = True
        outbox = bench.open()
        there = snapshot.snapshot_id in {each.snapshot_id for each in outbox.waiting()}
        assert there or crashed
        for each in outbox.waiting():
            assert (bench.folder / each.file).stat().st_size == 10
        assert len(bench.files) == 2 * len(outbox.waiting())
        if not crashed:
            assert step > 2
            return
    pytest.fail('the last step was not reached')


def test_a_file_that_was_cut_off_is_thrown_away_and_told(bench: Bench) -> None:
    bench.outbox.partial('fault_9.mcap').write_bytes(b'half')
    bench.open()
    assert bench.files == []
    assert 'cut off' in bench.said[0]


def test_the_same_snapshot_is_taken_once(bench: Bench) -> None:
    first = bench.add(entry(1))
    bench.outbox.delivered(first)
    again = bench.add(entry(1), size=99)
    assert again.delivered_ns is not None
    assert bench.outbox.waiting() == []
    assert bench.files == ['0000000000000001.json', 'fault_1.mcap']


def test_the_whole_snapshot_replaces_what_was_written_ahead(bench: Bench) -> None:
    bench.add(entry(1, complete=False))
    assert bench.outbox.waiting() == []
    bench.add(entry(1), size=30)
    (waiting,) = bench.outbox.waiting()
    assert (waiting.size, (bench.folder / waiting.file).stat().st_size) == (30, 30)
    bench.add(entry(1, complete=False), size=10)  # too late
    assert bench.outbox.waiting() == [waiting]
    assert bench.files == ['0000000000000001.json', 'fault_1.mcap']


def test_what_was_written_ahead_is_delivered_if_nothing_better_came(bench: Bench) -> None:
    bench.add(entry(1, complete=False))
    bench.add(entry(2, complete=False))
    assert bench.outbox.settle(entry(2).snapshot_id) == bench.outbox.waiting()[0]
    assert not bench.said
    bench.open()
    assert [each.stamp_ns for each in bench.outbox.waiting()] == [1, 2]
    assert 'fault_1 ends with the process' in bench.said[0]


def test_a_crash_while_the_whole_snapshot_replaces_the_one_ahead_leaves_either(
    bench: Bench,
) -> None:
    bench.add(entry(1, complete=False), size=10)
    bench.outbox.partial('fault_1.mcap').write_bytes(bytes(7))  # still being written
    (half,) = bench.open().waiting()
    assert (half.size, (bench.folder / half.file).stat().st_size) == (10, 10)
    bench.add(entry(2, complete=False), size=10)
    whole = entry(2, size=30)
    bench.outbox.partial(whole.file).write_bytes(bytes(30))
    bench.outbox._write(whole)  # and then the power went
    (_, there) = bench.open().waiting()
    assert (there.size, (bench.folder / there.file).stat().st_size) == (30, 30)
    assert len(bench.files) == 4


def test_faults_go_first_and_in_order(bench: Bench) -> None:
    for new in (
        entry(1, kind='manual'),
        entry(4),
        entry(3, kind='medkit'),
        entry(2, severity=0),
    ):
        bench.add(new)
    assert [each.stamp_ns for each in bench.outbox.waiting()] == [2, 4, 3, 1]


@pytest.mark.parametrize(
    ('retention', 'left'),
    [
        (Retention(keep_count=2), [4, 5]),
        (Retention(keep_bytes=35), [3, 4, 5]),
        (Retention(keep_sec=0.0), []),
        (Retention(limit_bytes=45), [2, 3, 4, 5]),
    ],
    ids=['count', 'bytes', 'age', 'limit'],
)
def test_delivered_snapshots_stay_as_long_as_asked_for(
    tmp_path: Path, retention: Retention, left: list[int]
) -> None:
    bench = Bench(tmp_path, replace(retention, limit_bytes=10**9))
    for number in range(1, 6):
        bench.outbox.delivered(bench.add(entry(number)))
    bench.retention = retention
    bench.open()
    assert [each.stamp_ns for each in bench.outbox.entries()] == left
    assert not bench.said
    assert len(bench.files) == 2 * len(left)


def test_what_is_not_delivered_goes_only_when_the_disk_would_be_full_and_is_told(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, Retention(keep_count=0, keep_bytes=0, keep_sec=0.0, limit_bytes=30))
    bench.add(entry(1, severity=3))
    bench.add(entry(2, severity=1))
    bench.add(entry(3, severity=2))
    assert not bench.said
    bench.add(entry(4, severity=2))
    assert [each.stamp_ns for each in bench.outbox.waiting()] == [1, 3, 4]  # the mildest went
    bench.add(entry(5, severity=2))
    assert [each.stamp_ns for each in bench.outbox.waiting()] == [1, 4, 5]  # then the oldest
    assert bench.outbox.state().discarded == 2
    assert 'fault_2 is deleted before it was delivered' in bench.said[0]


def test_room_is_made_of_what_is_delivered_only(bench: Bench) -> None:
    bench.outbox.delivered(bench.add(entry(1)))
    bench.add(entry(2))
    assert bench.outbox.make_room()
    assert not bench.outbox.make_room()
    assert [each.stamp_ns for each in bench.outbox.entries()] == [2]


def test_two_processes_do_not_share_a_folder(bench: Bench) -> None:
    with pytest.raises(FailedPreconditionError, match='used by another process'):
        Outbox(bench.folder, ALL)
    bench.outbox.close()
    Outbox(bench.folder, ALL).close()


def test_an_entry_that_is_none_is_told_and_left_alone(bench: Bench) -> None:
    (bench.folder / 'notes.json').write_text('{"hello": 1}')
    bench.add(entry(1))
    assert len(bench.open().waiting()) == 1
    assert 'notes.json is no entry' in bench.said[0]
    assert (bench.folder / 'notes.json').exists()


# --- delivery -----------------------------------------------------------------------------------


class Archive:
    """Takes snapshots, unless told to be away or to refuse some."""

    def __init__(self) -> None:
        self.away = False
        self.refused: set[str] = set()
        self.got: list[str] = []
        self.attempts = 0

    def send(self, snapshot: Entry) -> None:
        self.attempts += 1
        if self.away:
            raise UnavailableError('nobody answers')
        if snapshot.sequence_name in self.refused:
            raise InvalidArgumentError('refused')
        self.got.append(snapshot.sequence_name)


@pytest.fixture
def delivering(bench: Bench) -> Any:
    archive = Archive()
    arrived: list[str] = []
    delivery = Delivery(bench.outbox, archive.send, 0.2, lambda e: arrived.append(e.sequence_name))
    yield archive, delivery, arrived
    delivery.finish(5.0)
    assert not delivery.is_alive()


def until(ready: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_snapshots_wait_for_the_daemon_and_arrive_in_order(bench: Bench, delivering: Any) -> None:
    archive, delivery, arrived = delivering
    archive.away = True
    bench.add(entry(1))
    delivery.start()
    until(lambda: delivery.problem)
    bench.add(entry(3))
    bench.add(entry(2))
    delivery.wake()
    archive.away = False
    until(lambda: len(arrived) == 3)
    assert archive.got == arrived == ['fault_1', 'fault_2', 'fault_3']
    assert not bench.outbox.waiting()
    until(lambda: not delivery.problem)
    bench.add(entry(4))
    delivery.wake()
    until(lambda: len(arrived) == 4)


def test_one_that_is_refused_lets_the_others_pass_and_says_why(
    bench: Bench, delivering: Any
) -> None:
    archive, delivery, arrived = delivering
    archive.refused = {'fault_1'}
    for number in (1, 2, 3):
        bench.add(entry(number))
    delivery.start()
    until(lambda: len(arrived) == 2)
    until(lambda: bench.outbox.state().stuck)
    assert bench.outbox.state().stuck == ['fault_1: refused']
    archive.refused = set()
    until(lambda: len(arrived) == 3)
    assert not bench.outbox.state().stuck


def test_stopping_does_not_wait_for_a_pause(bench: Bench) -> None:
    archive = Archive()
    archive.away = True
    away = Delivery(bench.outbox, archive.send, 60.0, print)
    bench.add(entry(1))
    away.start()
    until(lambda: away.problem)
    started = time.monotonic()
    away.finish(60.0)
    assert time.monotonic() - started < 20.0
    assert not away.is_alive()
