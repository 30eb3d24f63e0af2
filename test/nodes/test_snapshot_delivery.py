"""Snapshots of several robots in one archive: delivered once, and found by what happened."""

from __future__ import annotations

import errno
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from rosmessages import captured, message

from mosaico_ros import IMU, QueryOntologyCatalog, QuerySequence
from mosaico_ros.nodes import snapshot_writer
from mosaico_ros.nodes.black_box import Incident
from mosaico_ros.nodes.fault_snapshot_parameters import FAULT_SNAPSHOT
from mosaico_ros.nodes.faults import Fault, FaultEvent, Severity
from mosaico_ros.nodes.outbox import Entry, Outbox, Retention
from mosaico_ros.nodes.parameters import resolve
from mosaico_ros.nodes.ring import Ring, Segment
from mosaico_ros.nodes.snapshot_delivery import sender
from mosaico_ros.nodes.snapshot_rules import SnapshotRules
from mosaico_ros.nodes.snapshot_writer import SnapshotNames, SnapshotWriter
from mosaico_ros.protocol.errors import MosaicoError

_SETTINGS = resolve(FAULT_SNAPSHOT, {})
_DAY = 86_400
IMU_TYPE = 'sensor_msgs/msg/Imu'
IMAGE_TYPE = 'sensor_msgs/msg/Image'


class Fleet:
    """Robots whose snapshots go through the writer, the outbox and the injector."""

    def __init__(self, daemon: Any, folder: Path) -> None:
        self.outbox = Outbox(folder, Retention())
        self.send = sender({**_SETTINGS, 'host': daemon.host, 'port': daemon.port}, self.outbox)
        self.said: list[str] = []

    def snapshot(
        self,
        robot: str,
        code: str,
        severity: Severity,
        days_ago: float,
        *,
        turning: float,
        picture_bytes: int = 0,
        ahead: bool = False,
    ) -> Any:
        """Write a snapshot of a robot that turns at so many rad/s, with pictures if asked.

        With `ahead`, what is before the fault is written before it.
        """
        now = time.time_ns() - int(days_ago * _DAY * 1e9)
        ring = Ring(1e9, 10**9, 10**9)
        readings = [
            message(IMU_TYPE, {'angular_velocity': {'z': turning}, 'orientation': {'w': 1.0}})
        ] * 20
        stamps = [now - 10**9 + i * 10**8 for i in range(20)]
        ring.put(Segment('/imu', captured(stamps, readings), 0.0))
        types = {'/imu': IMU_TYPE}
        if picture_bytes:
            types['/camera'] = IMAGE_TYPE
            noise = np.random.default_rng(1)
            for i in range(100):
                image = message(
                    IMAGE_TYPE, {'data': noise.integers(0, 255, picture_bytes, np.uint8)}
                )
                ring.put(Segment('/camera', captured([now + i], [image]), 0.0))
        rule = SnapshotRules(_SETTINGS).of(code)
        window = ring.open(now - 10**10, now + 5 * 10**9)
        ring.close(window)
        fault = Fault(robot, FaultEvent(code, severity, '/imu', now), ('/imu',))
        incident = Incident(fault, 'fault', fault.snapshot_id, rule, window, [], {}, 0.0, types)
        stored: list[Entry] = []
        writer = SnapshotWriter(
            self.outbox,
            ring,
            SnapshotNames(_SETTINGS['sequence_name']),
            {'software_version': '1'},
            {},
            topic_details=lambda _: {},
            missing=lambda: [],
            stored=stored.append,
            tell=lambda text, warning=False: self.said.append(text),
        )
        writer.start()
        if ahead:
            start = ring.open(window.start_ns, now)
            ring.close(start)
            writer.put(replace(incident, window=start, complete=False))
        writer.put(incident)
        writer.finish(20)
        assert ring.held == ring.size
        self.failed = writer.failed
        return stored[0] if stored else None


@pytest.fixture
def fleet(daemon: Any, tmp_path: Path) -> Fleet:
    return Fleet(daemon, tmp_path / 'outbox')


def test_one_question_finds_the_robots_that_stood_still(daemon: Any, fleet: Fleet) -> None:
    error, warning = Severity.ERROR, Severity.WARN
    for robot, code, severity, days_ago, turning in (
        ('r1', 'DROP', error, 1.0, 0.001),
        ('r2', 'DROP', Severity.CRITICAL, 2.0, 0.0),
        ('rotating', 'DROP', error, 1.0, 1.5),
        ('mild', 'DROP', warning, 1.0, 0.0),
        ('other', 'MOTOR_HOT', error, 1.0, 0.0),
        ('old', 'DROP', error, 30.0, 0.0),
    ):
        fleet.send(fleet.snapshot(robot, code, severity, days_ago, turning=turning))
    last_week = time.time() - 7 * _DAY
    with daemon.client() as client:
        found = client.query(
            QuerySequence()
            .with_user_metadata('fault_severity_int', geq=2)
            .with_user_metadata('fault_code', eq='DROP')
            .with_user_metadata('captured_at_seconds', geq=last_week),
            QueryOntologyCatalog(IMU.Q.angular_velocity.z.between([-0.02, 0.02])),
        )
        robots = {
            client.sequence_handler(item.sequence.name).user_metadata['robot_id'] for item in found
        }
    assert robots == {'r1', 'r2'}


def test_delivering_again_changes_nothing(daemon: Any, fleet: Fleet) -> None:
    entry = fleet.snapshot('r1', 'DROP', Severity.ERROR, 0.0, turning=0.0)
    fleet.send(entry)
    with daemon.client() as client:
        before = client.sequence_handler(entry.sequence_name)
        # Killed between the daemon's word and the note of it: the entry still waits.
        fleet.outbox.close()
        for again in Outbox(fleet.outbox.folder, Retention()).waiting():
            fleet.send(again)
        after = client.sequence_handler(entry.sequence_name)
        assert client.list_sequences().count(entry.sequence_name) == 1
        assert [s.created_timestamp for s in after.sessions] == [
            s.created_timestamp for s in before.sessions
        ]
        stream = client.topic_handler(entry.sequence_name, '/imu').get_data_streamer()
        assert len(list(stream)) == 20


def test_an_upload_that_broke_off_is_replaced(
    make_daemon: Any, tmp_path: Path, wait_for: Callable[..., Any]
) -> None:
    daemon = make_daemon(MOSAICOD_LEASE_SECONDS='1')
    fleet = Fleet(daemon, tmp_path / 'outbox')
    entry = fleet.snapshot('r1', 'DROP', Severity.ERROR, 0.0, turning=0.0, picture_bytes=300_000)

    def attempt() -> bool:
        try:
            fleet.send(entry)
        except MosaicoError:
            return False
        return True

    uploading = threading.Thread(target=attempt)
    uploading.start()
    with daemon.client() as client:
        wait_for(client.list_sequences, 'the beginning of the upload')
    daemon.kill()
    daemon.start()
    uploading.join(100)
    # Either it noticed and gave up, or the client bore it; then the archive knows the snapshot.
    wait_for(attempt, 'the delivery')
    with daemon.client() as client:
        assert client.list_sequences() == [entry.sequence_name]
        handler = client.topic_handler(entry.sequence_name, '/camera')
        assert handler.message_count == 100
        assert handler.locked


class Disk:
    """A disk that is full for some writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, full: list[bool]) -> None:
        write = snapshot_writer.write_snapshot

        def writing(*args: Any) -> int:
            if full and full.pop(0):
                args[0].write_bytes(b'half')
                raise OSError(errno.ENOSPC, 'No space left on device')
            return write(*args)

        monkeypatch.setattr(snapshot_writer, 'write_snapshot', writing)


def test_on_a_full_disk_copies_of_what_was_delivered_make_room(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = fleet.snapshot('r1', 'DROP', Severity.ERROR, 1.0, turning=0.0)
    fleet.outbox.delivered(old)
    waiting = fleet.snapshot('r1', 'DROP', Severity.ERROR, 0.5, turning=0.0)
    Disk(monkeypatch, [True])
    new = fleet.snapshot('r1', 'DROP', Severity.ERROR, 0.0, turning=0.0)
    assert fleet.outbox.entries() == [waiting, new]
    assert not fleet.said


def test_where_only_the_seconds_before_the_fault_could_be_written_these_are_delivered(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    Disk(monkeypatch, [False, True])
    entry = fleet.snapshot('r1', 'DROP', Severity.ERROR, 0.0, turning=0.0, ahead=True)
    assert fleet.outbox.waiting() == [entry]
    assert entry.metadata['window_complete'] is False
    assert fleet.failed == 1
    assert 'only the seconds before the fault are kept' in fleet.said[0]


def test_what_cannot_be_written_at_all_is_told_and_leaves_nothing(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    Disk(monkeypatch, [True])
    assert fleet.snapshot('r1', 'DROP', Severity.ERROR, 0.0, turning=0.0) is None
    assert fleet.failed == 1
    assert 'No space left' in fleet.said[0]
    assert [path.name for path in fleet.outbox.folder.iterdir()] == ['.lock']
