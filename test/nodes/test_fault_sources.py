"""What notices faults: each source on messages as they come from the middleware."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from rosmessages import captured, message

from mosaico_ros.nodes.fault_snapshot_parameters import FAULT_SNAPSHOT
from mosaico_ros.nodes.fault_sources import Watch, sources
from mosaico_ros.nodes.fault_sources.medkit import _DEFINITION, FAULT_EVENT
from mosaico_ros.nodes.fault_sources.scope import Scope
from mosaico_ros.nodes.fault_sources.value_rules import ValueRule
from mosaico_ros.nodes.faults import FaultEvent, Severity
from mosaico_ros.nodes.parameters import resolve
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.ros_bridge.definitions import parse_definition

NODE = '/mosaico_fault_snapshot'


class Bench:
    """The sources that some parameters ask for, and what they say."""

    def __init__(self, scope: Scope = Scope(), **parameters: Any) -> None:  # noqa: B008
        self.told: list[str] = []
        found = sources(resolve(FAULT_SNAPSHOT, parameters), str, NODE, scope)
        self.watch = Watch(found, lambda text, warning=False: self.told.append(text))

    def hear(
        self, topic: str, msgtype: str, *messages: dict[str, Any], first: int = 1000, step: int = 1
    ) -> list[FaultEvent]:
        payloads = [message(msgtype, each) for each in messages]
        rows = captured([first + i * step for i in range(len(payloads))], payloads)
        return list(self.watch.examine(topic, msgtype, rows))


def status(name: str, level: int, **values: Any) -> dict[str, Any]:
    return {'name': name, 'level': level, **values}


def diagnose(bench: Bench, *statuses: dict[str, Any]) -> list[FaultEvent]:
    return bench.hear('/diagnostics', 'diagnostic_msgs/msg/DiagnosticArray', {'status': statuses})


def test_a_bad_status_is_a_fault_until_it_is_better() -> None:
    bench = Bench()
    facts = [{'key': 'celsius', 'value': '91'}]
    (event,) = diagnose(
        bench,
        status('arm: motor', 2, hardware_id='m1', message='hot', values=facts),
        status('base: motor', 0),
        status('arm: gripper', 1),
    )
    assert (event.fault_code, event.severity, event.source) == ('ARM_MOTOR', Severity.ERROR, 'm1')
    assert (event.stamp, event.failed, event.description) == (1000, True, 'hot')
    assert event.extra == {'diagnostic': 'arm: motor', 'celsius': '91'}
    (event,) = diagnose(bench, status('arm: motor', 1), status('base: motor', 0))
    assert (event.fault_code, event.failed) == ('ARM_MOTOR', False)


def test_statuses_are_chosen_by_level_and_name() -> None:
    bench = Bench(diagnostics_level='WARN', diagnostics_pattern='motor$')
    events = diagnose(bench, status('left motor', 1), status('left motor: bus', 2))
    assert [(each.fault_code, each.severity) for each in events] == [('LEFT_MOTOR', Severity.WARN)]
    assert not diagnose(Bench(diagnostics_level='STALE'), status('x', 2))


def test_the_node_does_not_take_its_own_troubles_for_the_robots() -> None:
    bench = Bench()
    own = NODE.lstrip('/')
    events = diagnose(bench, status(f'{own}: outbox', 2), status(f'{own}_2: outbox', 2))
    assert [each.fault_code for each in events] == ['MOSAICO_FAULT_SNAPSHOT_2_OUTBOX']


def test_a_status_that_falls_silent_is_a_fault() -> None:
    bench = Bench(diagnostics_stale_sec=5.0)
    diagnose(bench, status('lidar', 0))  # at 1000 ns
    assert not list(bench.watch.tick(4_000_000_000))
    (event,) = bench.watch.tick(5_100_000_000)
    assert (event.fault_code, event.severity, event.failed) == ('LIDAR', Severity.CRITICAL, True)
    assert not list(bench.watch.tick(6_000_000_000))  # told once per stale time
    (event,) = diagnose(bench, status('lidar', 0))
    assert (event.fault_code, event.failed) == ('LIDAR', False)


def test_log_lines_are_chosen_by_level_and_text() -> None:
    lines = [
        {'level': 50, 'name': 'nav', 'msg': 'gave up'},
        {'level': 40, 'name': 'arm', 'msg': 'E42 in joint 3', 'file': 'arm.cpp'},
        {'level': 40, 'name': 'arm', 'msg': 'never mind'},
        {'level': 50, 'name': NODE.lstrip('/'), 'msg': 'E13'},
    ]

    def heard(**parameters: Any) -> list[FaultEvent]:
        return Bench(**parameters).hear('/rosout', 'rcl_interfaces/msg/Log', *lines)

    (event,) = heard()
    assert (event.fault_code, event.severity, event.source) == ('LOG_NAV', 3, 'nav')
    (event,) = heard(rosout_level='ERROR', rosout_pattern=r'(?P<code>E\d+)')
    assert (event.fault_code, event.severity, event.stamp) == ('E42', Severity.ERROR, 1001)
    assert (event.description, event.extra['file']) == ('E42 in joint 3', 'arm.cpp')


def test_an_aborted_goal_is_told_once() -> None:
    bench = Bench()

    def goals(*states: int) -> list[FaultEvent]:
        return bench.hear(
            '/arm/move/_action/status',
            'action_msgs/msg/GoalStatusArray',
            {
                'status_list': [
                    {'status': state, 'goal_info': {'goal_id': {'uuid': [number] * 16}}}
                    for number, state in enumerate(states)
                ]
            },
        )

    assert not goals(2)  # executing
    (event,) = goals(6)
    assert (event.fault_code, event.failed) == ('ARM_MOVE_ABORTED', True)
    assert event.source == '/arm/move'
    assert not goals(6, 2, 5)  # the same, and a canceled one
    (event,) = goals(6, 4)
    assert (event.fault_code, event.failed) == ('ARM_MOVE_ABORTED', False)


def test_only_the_actions_asked_for_are_watched() -> None:
    bench = Bench(watched_actions=['/arm/*'])
    assert bench.watch.topics()[-1] == '/arm/*/_action/status'
    goals = {'status_list': [{'status': 6}]}
    assert not bench.hear('/base/go/_action/status', 'action_msgs/msg/GoalStatusArray', goals)


def test_a_report_has_any_severity_and_any_facts() -> None:
    bench = Bench()
    reports = [
        status('slip', 2, message='4 mm', hardware_id='/gripper'),
        status('slip', 1, values=[{'key': 'severity', 'value': 'INFO'}]),
        status('slip', 3, values=[{'key': 'object', 'value': 'bottle'}]),
        status('slip', 0),
    ]
    events = bench.hear('/faults/report', 'diagnostic_msgs/msg/DiagnosticStatus', *reports)
    assert [each.fault_code for each in events] == ['SLIP'] * 4
    assert [int(each.severity) for each in events[:3]] == [2, 0, 3]
    assert [each.failed for each in events] == [True, True, True, False]
    assert events[2].extra == {'object': 'bottle'}


def test_events_of_medkit_are_faults_that_are_made_sure_of() -> None:
    bench = Bench()
    types = parse_definition(_DEFINITION, FAULT_EVENT)

    def event(kind: str, state: str) -> bytes:
        return message(
            FAULT_EVENT,
            {
                'event_type': kind,
                'fault': {
                    'fault_code': 'MOTOR_OVERHEAT',
                    'severity': 2,
                    'description': 'hot',
                    'status': state,
                    'reporting_sources': ['/motor', '/driver'],
                },
            },
            types,
        )

    payloads = [
        event('fault_updated', 'PREFAILED'),
        event('fault_confirmed', 'CONFIRMED'),
        event('fault_updated', 'HEALED'),
        event('fault_cleared', 'CLEARED'),
    ]
    rows = captured(range(4), payloads)
    events = list(bench.watch.examine('/fault_manager/events', FAULT_EVENT, rows))
    assert [(each.stamp, each.failed) for each in events] == [(1, True), (2, False), (3, False)]
    assert all(each.decided for each in events)
    assert (events[0].fault_code, events[0].source) == ('MOTOR_OVERHEAT', '/motor,/driver')


def test_what_was_published_before_the_start_is_no_news() -> None:
    bench = Bench()
    payload = message('rcl_interfaces/msg/Log', {'level': 50, 'name': 'nav'})
    rows = captured([1, 2, 3], [payload] * 3, ros_latched=[True, None, False])
    events = bench.watch.examine('/rosout', 'rcl_interfaces/msg/Log', rows)
    assert [each.stamp for each in events] == [2, 3]


def test_of_several_robots_in_a_graph_only_the_own_ones_faults_are_taken() -> None:
    bench = Bench(Scope('/r1', 'rover 1'))
    events = diagnose(
        bench,
        status('r1/arm: motor', 2),
        status('r10/arm: motor', 2),
        status('battery', 2, hardware_id='rover 1'),
        status('battery', 2, hardware_id='rover 2'),
        status('r1: power', 2),
    )
    assert [each.extra['diagnostic'] for each in events] == [
        'r1/arm: motor',
        'battery',
        'r1: power',
    ]
    lines = [{'level': 50, 'name': name} for name in ('r1.arm', 'r1', 'r10.arm', 'arm')]
    events = bench.hear('/rosout', 'rcl_interfaces/msg/Log', *lines)
    assert [each.source for each in events] == ['r1.arm', 'r1']
    reports = [status('x', 2, hardware_id=name) for name in ('/r1/arm', '/r2/arm', 'gripper')]
    events = bench.hear('/faults/report', 'diagnostic_msgs/msg/DiagnosticStatus', *reports)
    assert [each.source for each in events] == ['/r1/arm', 'gripper']
    goals = {'status_list': [{'status': 6}]}
    kind = 'action_msgs/msg/GoalStatusArray'
    assert not bench.hear('/r2/go/_action/status', kind, goals)
    assert bench.hear('/r1/go/_action/status', kind, goals)


# --- value rules --------------------------------------------------------------------------------

DROP = '/imu: linear_acceleration.z < 2.0 -> code DROP severity 2'


def accelerations(*values: float) -> list[dict[str, Any]]:
    return [{'linear_acceleration': {'z': value}} for value in values]


def test_a_value_out_of_bounds_is_a_fault_until_it_is_back() -> None:
    bench = Bench(value_rules=[DROP])

    def heard(*values: float) -> list[tuple[int, bool]]:
        events = bench.hear('/imu', 'sensor_msgs/msg/Imu', *accelerations(*values))
        assert all(each.fault_code == 'DROP' and each.source == '/imu' for each in events)
        return [(each.stamp, each.failed) for each in events]

    assert heard(9.8, 9.8, 9.7) == []
    assert heard(9.8, 1.0, 0.5) == [(1001, True)]
    assert heard(0.5, 0.5, 9.8) == [(1002, False)]


@pytest.mark.parametrize('size', [1, 3, 100])
def test_how_it_lasts_is_told_by_the_messages_own_time(size: int) -> None:
    """However they come in batches."""
    bench = Bench(value_rules=[DROP])
    values = [9.8] * 7 + [1.0] * 12 + [9.8] * 11
    events = [
        event
        for begin in range(0, len(values), size)
        for event in bench.hear(
            '/imu',
            'sensor_msgs/msg/Imu',
            *accelerations(*values[begin : begin + size]),
            first=begin * 100_000_000,
            step=100_000_000,
        )
    ]
    assert [(each.stamp // 100_000_000, each.failed) for each in events] == [
        (7, True),
        (10, True),
        (15, True),
        (19, False),
        (20, False),
        (25, False),
    ]


@pytest.mark.parametrize(
    ('condition', 'expected'),
    [
        ('ranges[?] < 0.5', [True, False]),
        ('ranges[1] > 5 and header.frame_id == "front"', [False, True]),
        ('not (range_max >= 1) or ranges[!] > 1', [True, True]),
        ('range_max between 5 and 10', [False, True]),
        ("header.frame_id match 'fro*'", [False, True]),
    ],
)
def test_rules_are_written_as_queries_are(condition: str, expected: list[bool]) -> None:
    scans = [
        {'ranges': [0.2, 4.0], 'header': {'frame_id': 'back'}, 'range_max': 0.5},
        {'ranges': [2.0, 9.0], 'header': {'frame_id': 'front'}, 'range_max': 9.0},
    ]
    for scan, holds in zip(scans, expected, strict=True):
        bench = Bench(value_rules=[f'/scan: {condition} -> code NEAR'])
        events = bench.hear('/scan', 'sensor_msgs/msg/LaserScan', scan)
        assert [each.failed for each in events] == ([True] if holds else [])


@given(st.lists(st.lists(st.booleans(), max_size=40), max_size=5))
def test_what_a_rule_says_last_is_how_it_is(batches: list[list[bool]]) -> None:
    bench = Bench(value_rules=[DROP])
    failing = False
    for batch in batches:
        events = bench.hear(
            '/imu', 'sensor_msgs/msg/Imu', *accelerations(*(0.0 if bad else 9.8 for bad in batch))
        )
        assert len(events) <= 18
        for event in events:
            assert event.failed is batch[event.stamp - 1000]
            failing = event.failed
        assert failing is (batch[-1] if batch else failing)


def test_a_field_that_is_not_there_is_told_once_and_harms_nobody() -> None:
    bench = Bench(value_rules=['/imu: acceleration.z < 2 -> code X'])
    for _ in range(3):
        assert not bench.hear('/imu', 'sensor_msgs/msg/Imu', *accelerations(0.0))
    (told,) = bench.told
    assert 'no field acceleration.z' in told
    assert 'linear_acceleration' in told


@pytest.mark.parametrize(
    ('rule', 'reason'),
    [
        ('/imu linear_acceleration.z < 2', 'is not a value rule'),
        ('/imu: a < 2', 'is not a value rule'),
        ('/imu: a < -> code X', 'Expected a number'),
        ('/imu: a ! 2 -> code X', 'Unexpected character'),
        ('/imu: a < 2 -> code X severity awful', "'awful' is not a severity"),
    ],
)
def test_a_rule_that_is_none_is_refused_with_its_reason(rule: str, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        ValueRule.parse(rule)


# --- wrong use ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('parameters', 'reason'),
    [
        ({'sources': ['rosin']}, "'rosin' is unknown"),
        ({'rosout_pattern': '('}, 'rosout_pattern'),
        ({'diagnostics_pattern': '['}, 'diagnostics_pattern'),
    ],
)
def test_wrong_parameters_are_refused(parameters: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        Bench(**parameters)


def test_a_topic_of_another_type_is_told_once() -> None:
    bench = Bench()
    for _ in range(2):
        assert not bench.hear('/diagnostics', 'std_msgs/msg/String', {'data': 'fine'})
    (told,) = bench.told
    assert '/diagnostics is of type std_msgs/msg/String' in told
