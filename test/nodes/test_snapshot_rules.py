"""What the parameters say of a fault by its code, and how snapshots are called."""

from __future__ import annotations

from typing import Any

import pytest

from mosaico_ros.nodes.fault_snapshot_parameters import FAULT_SNAPSHOT
from mosaico_ros.nodes.faults import Fault, FaultEvent, Severity, fault_code
from mosaico_ros.nodes.parameters import resolve
from mosaico_ros.nodes.snapshot_rules import SnapshotRules
from mosaico_ros.nodes.snapshot_writer import SnapshotNames
from mosaico_ros.protocol.errors import InvalidArgumentError


def rules(**parameters: Any) -> SnapshotRules:
    return SnapshotRules(resolve(FAULT_SNAPSHOT, parameters))


def test_the_longest_beginning_of_a_code_decides() -> None:
    found = rules(
        confirm_count=2,
        overrides=[
            'MOTOR_: confirm_count=5 pre_sec=2.5',
            'MOTOR_LEFT: bypass_severity=never min_severity=error',
        ],
    )
    assert found.of('GRIPPER').debounce.confirm_count == 2
    assert found.of('MOTOR_RIGHT').debounce.confirm_count == 5
    assert found.of('MOTOR_RIGHT').pre_sec == 2.5
    left = found.of('MOTOR_LEFT_HOT')
    assert (left.debounce.confirm_count, left.debounce.bypass_severity) == (2, None)
    assert left.debounce.min_severity is Severity.ERROR


@pytest.mark.parametrize(
    ('override', 'reason'),
    [
        ('MOTOR_', 'says nothing'),
        (': confirm_count=1', 'says nothing'),
        ('M: confirm=1', "'confirm=1' in 'M: confirm=1' is not NAME=VALUE"),
        ('M: confirm_count=many', 'is no number'),
        ('M: confirm_count=-1', 'at least 0'),
        ('M: bypass_severity=awful', 'must be one of'),
        ('M: pre_sec=100', 'the ring holds 15 s'),
    ],
)
def test_overrides_that_mean_nothing_are_refused(override: str, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        rules(overrides=[override])


def test_a_name_holds_what_the_template_says_and_only_what_the_archive_takes() -> None:
    metadata = {
        'source_pipeline': 'mosaico_ros',
        'robot_id': 'hall 3/r1',
        'fault_code': 'DROP',
        'fault_severity': 'ERROR',
        'captured_at_seconds': 1700000000.5,
        'snapshot_id': 'abc',
    }
    names = SnapshotNames('{source}_{robot_id}_{fault_code}_{seconds}_{snapshot_id}')
    assert names.name(metadata) == 'mosaico_ros_hall_3_r1_DROP_1700000000_abc'


@pytest.mark.parametrize(
    ('template', 'reason'),
    [('fault_{robot}_{snapshot_id}', 'cannot be filled in'), ('{robot_id}', 'lacks')],
)
def test_templates_of_no_use_are_refused(template: str, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        SnapshotNames(template)


def test_a_snapshot_is_known_by_robot_code_and_stamp() -> None:
    def snapshot_id(robot: str, code: str, stamp: int) -> str:
        event = FaultEvent(code, Severity.ERROR, 's', stamp)
        return Fault(robot, event, ('s',)).snapshot_id

    ids = {
        snapshot_id(robot, code, stamp)
        for robot in ('r1', 'r2')
        for code in ('A', 'B')
        for stamp in (1, 2)
    }
    assert len(ids) == 8
    assert snapshot_id('r1', 'A', 1) in ids


@pytest.mark.parametrize(
    ('text', 'code'),
    [('left motor: temperature', 'LEFT_MOTOR_TEMPERATURE'), ('E42', 'E42'), ('***', 'UNNAMED')],
)
def test_a_code_is_made_of_any_text(text: str, code: str) -> None:
    assert fault_code(text) == code
