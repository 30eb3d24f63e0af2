"""From reports and messages to incidents, without a middleware."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from rosmessages import captured

from mosaico_ros.nodes import black_box
from mosaico_ros.nodes.accounting import TopicAccount
from mosaico_ros.nodes.black_box import BlackBox, Incident
from mosaico_ros.nodes.fault_notes import FaultNote
from mosaico_ros.nodes.fault_snapshot_parameters import FAULT_SNAPSHOT
from mosaico_ros.nodes.fault_sources import Watch
from mosaico_ros.nodes.faults import FaultEvent, Severity
from mosaico_ros.nodes.parameters import resolve
from mosaico_ros.nodes.parcel import Parcel
from mosaico_ros.nodes.ring import Ring
from mosaico_ros.nodes.snapshot_rules import SnapshotRules
from mosaico_ros.protocol.errors import ResourceExhaustedError


def until(ready: Callable[[], Any], what: str = 'it') -> None:
    deadline = time.monotonic() + 20
    while not ready():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


class Bench:
    """A black box that is fed by hand; what capture holds back comes with its cut."""

    def __init__(self, *, per_minute: int = 0, ahead: bool = False, **parameters: Any) -> None:
        settings = resolve(
            FAULT_SNAPSHOT,
            {'pre_sec': 5.0, 'post_sec': 0.1, 'cooldown_sec': 0.0, 'heal_count': 1, **parameters},
        )
        self.ready: list[Incident] = []
        self.said: list[str] = []
        self.notes: list[FaultNote] = []
        self.released = 0
        self.held_back: list[Parcel] = []
        self.latched: list[Parcel] = []
        self.account = TopicAccount('/a', 'std_msgs/msg/Empty')
        self.ring = Ring(10.0, 10**9, 10**9)
        self.box = BlackBox(
            'r1',
            self.ring,
            Watch([], self._tell),
            SnapshotRules(settings),
            pinned_bytes=100_000,
            per_minute=per_minute,
            write_ahead=ahead,
            released=self._release,
            latched=lambda: self.latched,
            cut=self._cut,
            silent=lambda: False,
            ready=self.ready.append,
            noted=self.notes.append,
            tell=self._tell,
        )
        self.box.start()

    def _tell(self, text: str, warning: bool = False) -> None:
        self.said.append(text)

    def _release(self, size: int) -> None:
        self.released += size

    def _cut(self, then: Callable[[list[Parcel]], None]) -> None:
        while self.held_back:
            self.box.put(self.held_back.pop(0))
        then(self.latched)

    def parcel(self, *stamps: int, size: int = 10) -> Parcel:
        rows = captured(stamps, [bytes(size)] * len(stamps))
        return Parcel(self.account, rows, size * len(stamps), time.monotonic())

    def fail(self, code: str = 'X', severity: Severity = Severity.ERROR) -> int:
        now = time.time_ns()
        self.box.report(FaultEvent(code, severity, 's', now))
        return now

    def heal(self, code: str = 'X') -> None:
        self.box.report(FaultEvent(code, Severity.ERROR, 's', time.time_ns(), failed=False))

    def stamps(self, incident: Incident) -> list[int]:
        return [s for rows in incident.window.rows('/a') for s in rows.column(0).to_pylist()]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Bench]]:
    # Nothing is on its way here that would have to be waited for.
    monkeypatch.setattr(black_box, '_PATIENCE', 0.0)
    made: list[Bench] = []

    def make(**parameters: Any) -> Bench:
        made.append(Bench(**parameters))
        return made[-1]

    yield make
    for each in made:
        each.box.finish(5)
        assert each.box.failure is None


def test_what_capture_still_holds_at_the_end_of_the_window_is_in_it(
    bench: Callable[..., Bench],
) -> None:
    box = bench()
    box.box.put(box.parcel(time.time_ns() - 10**8))
    stamp = box.fail()
    until(lambda: box.box.counts.snapshots)
    box.held_back.append(box.parcel(stamp + 1, stamp + 10**8, stamp + 10**8 + 1))
    until(lambda: box.ready)
    assert box.stamps(box.ready[0])[1:] == [stamp + 1, stamp + 10**8]  # both ends included
    assert box.released == 40


def test_a_fault_that_stands_gets_one_snapshot_and_the_next_after_it_is_over(
    bench: Callable[..., Bench],
) -> None:
    box = bench(post_sec=0.0)
    for _ in range(5):
        box.fail()
    until(lambda: box.ready)
    box.heal()
    box.heal()
    box.fail()
    until(lambda: len(box.ready) == 2)
    assert box.box.counts.reports == 6
    assert 'X is over' in box.said


def test_faults_whose_windows_overlap_are_one_incident(bench: Callable[..., Bench]) -> None:
    box = bench(pre_sec=0.5, post_sec=0.3)
    for code in 'ABC':
        box.fail(code)
    until(lambda: len(box.ready) == 3)
    first = box.ready[0].fault.snapshot_id
    assert {each.incident_id for each in box.ready} == {first}
    time.sleep(0.6)
    box.fail('D')
    until(lambda: len(box.ready) == 4)
    assert box.ready[3].incident_id == box.ready[3].fault.snapshot_id


def test_a_fault_that_lasts_too_long_is_one_of_the_moment_at_which_it_does(
    bench: Callable[..., Bench],
) -> None:
    box = bench(confirm_count=0, confirm_after_sec=0.5, pre_sec=0.2, post_sec=0.0)
    reported = box.fail()
    until(lambda: box.ready)
    event = box.ready[0].fault.event
    assert 0.4e9 < event.stamp - reported < 5e9
    assert event.extra['reported_ns'] == str(reported)
    assert box.ready[0].window.end_ns == event.stamp


def test_mild_faults_get_none_unless_asked_for(bench: Callable[..., Bench]) -> None:
    box = bench(min_severity='ERROR', overrides=['SOFT: min_severity=INFO'], post_sec=0.0)
    box.fail('HARD', Severity.WARN)
    box.fail('SOFT_SPOT', Severity.INFO)
    until(lambda: box.ready)
    assert [each.fault.event.fault_code for each in box.ready] == ['SOFT_SPOT']
    assert box.box.counts.mild == 1


def test_a_storm_of_faults_is_cut_and_told(bench: Callable[..., Bench]) -> None:
    box = bench(per_minute=3, post_sec=0.0)
    for number in range(10):
        box.fail(f'F{number}')
    until(lambda: box.box.counts.refused == 7)
    until(lambda: len(box.ready) == 3)
    assert sum('gets no snapshot: there were 3 within a minute' in each for each in box.said) == 7


def test_a_fault_that_gets_worse_gets_its_snapshot_then(bench: Callable[..., Bench]) -> None:
    box = bench(min_severity='ERROR', cooldown_sec=3600.0, post_sec=0.0)
    box.fail('MOTOR', Severity.WARN)
    box.fail('MOTOR', Severity.ERROR)
    until(lambda: box.ready)
    assert box.ready[0].fault.event.severity is Severity.ERROR
    assert [note.outcome for note in box.notes] == ['mild', 'snapshot']


def asked(severity: Severity = Severity.INFO) -> FaultEvent:
    return FaultEvent('MANUAL', severity, 'trigger', time.time_ns())


def test_a_snapshot_that_is_asked_for_does_not_count_with_the_storm(
    bench: Callable[..., Bench],
) -> None:
    box = bench(per_minute=1, post_sec=0.0)
    box.fail()
    wanted = [box.box.trigger(asked()).snapshot_id for _ in range(3)]
    until(lambda: len(box.ready) == 4)
    assert {each.fault.snapshot_id for each in box.ready if each.kind == 'manual'} == set(wanted)


def test_who_asks_for_a_snapshot_hears_that_there_is_no_memory_for_it(
    bench: Callable[..., Bench],
) -> None:
    box = bench(post_sec=0.0)
    box.ring._seconds = 0.0
    box.box.put(box.parcel(time.time_ns(), size=200_000))
    box.box.trigger(asked())
    until(lambda: box.ready)
    box.box.put(box.parcel(time.time_ns()))  # the ring lets go, the snapshot does not
    with pytest.raises(ResourceExhaustedError, match=r'no snapshot: .*ring_max_mb'):
        box.box.trigger(asked())


def test_windows_that_nobody_writes_do_not_fill_the_memory(bench: Callable[..., Bench]) -> None:
    box = bench(post_sec=0.0)
    box.ring._seconds = 0.2
    for number in range(20):
        box.box.put(box.parcel(time.time_ns(), size=50_000))
        box.fail(f'F{number}')
        until(lambda number=number: box.box.counts.reports == number + 1)
        time.sleep(0.06)
    assert box.box.counts.refused > 0
    assert box.ring.held <= box.ring.size + 100_000 + 250_000
    until(lambda: len(box.ready) == 20 - box.box.counts.refused)
    for incident in box.ready:
        box.ring.release(incident.window)
    box.fail('LAST')
    until(lambda: box.ready[-1].fault.event.fault_code == 'LAST')


def test_what_is_before_the_fault_comes_at_once_if_asked_for(bench: Callable[..., Bench]) -> None:
    box = bench(ahead=True, post_sec=0.4)
    before = time.time_ns() - 10**7
    box.held_back.append(box.parcel(before))
    stamp = box.fail()
    until(lambda: box.ready)
    assert (box.ready[0].complete, box.stamps(box.ready[0])) == (False, [before])
    assert len(box.ready) == 1
    box.box.put(box.parcel(stamp + 10**7))
    until(lambda: len(box.ready) == 2)
    assert (box.ready[1].complete, box.stamps(box.ready[1])) == (True, [before, stamp + 10**7])


def test_an_end_hands_on_what_is_open(bench: Callable[..., Bench]) -> None:
    box = bench(post_sec=3600.0)
    box.box.put(box.parcel(time.time_ns()))
    box.fail()
    box.box.finish(5)
    (incident,) = box.ready
    assert incident.complete
    assert len(box.stamps(incident)) == 1


def test_what_became_of_every_fault_is_noted(bench: Callable[..., Bench]) -> None:
    b = bench(confirm_count=2, cooldown_sec=60.0, min_severity='ERROR', per_minute=1)
    b.fail('NEAR')
    b.heal('NEAR')
    for code, severity in (
        ('REAL', Severity.ERROR),
        ('MILD', Severity.WARN),
        ('MORE', Severity.ERROR),
    ):
        b.fail(code, severity)
        b.fail(code, severity)
    b.heal('REAL')
    b.heal('REAL')
    b.heal('REAL')
    b.fail('REAL')
    b.fail('REAL')
    until(lambda: len(b.notes) == 6)
    assert [(note.event.fault_code, note.outcome, note.reports) for note in b.notes] == [
        ('NEAR', 'near_miss', 1),
        ('REAL', 'snapshot', 2),
        ('MILD', 'mild', 2),
        ('MORE', 'refused', 2),
        ('REAL', 'healed', 2),
        ('REAL', 'cooling', 2),
    ]
    assert all(bool(note.snapshot_id) == (note.outcome == 'snapshot') for note in b.notes)
