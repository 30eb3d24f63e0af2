"""The life cycle of a node, driven by its services from outside; the node is the daemon's."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition, TransitionEvent
from lifecycle_msgs.srv import GetState

from mosaico_ros.client.comm.mosaico_client import MosaicoClient
from mosaico_ros.nodes.lifecycle import warn_of_namesakes
from mosaico_ros.protocol.errors import MosaicoError

NAME = 'mosaico_daemon'


@pytest.fixture
def start(
    ros_environment: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start daemon nodes by parameters."""
    started: list[subprocess.Popen[str]] = []

    def start(*remaps: str, **parameters: Any) -> subprocess.Popen[str]:
        values = {'data_dir': str(tmp_path / 'archive'), **parameters}
        flags = [
            part for key, value in values.items() for part in ('-p', f'{key}:={json.dumps(value)}')
        ]
        process = subprocess.Popen(
            [sys.executable, '-m', 'mosaico_ros.nodes.daemon', '--ros-args', *flags, *remaps],
            env=ros_environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def state(operator: Any) -> str:
    return str(operator.call(GetState, f'/{NAME}/get_state').current_state.label)


def test_a_manager_takes_the_node_through_its_life(
    operator: Any, start: Any, free_port: int
) -> None:
    node = start(autostart=False, port=free_port)
    events = operator.listen(TransitionEvent, f'/{NAME}/transition_event')
    assert state(operator) == 'unconfigured'
    assert operator.change(f'/{NAME}', Transition.TRANSITION_CONFIGURE)
    with pytest.raises(MosaicoError):
        MosaicoClient.connect('127.0.0.1', free_port, timeout=0.3)
    for _ in range(2):  # an archive that was closed can be served again
        assert operator.change(f'/{NAME}', Transition.TRANSITION_ACTIVATE)
        with MosaicoClient.connect('127.0.0.1', free_port, timeout=20) as client:
            assert client.list_sequences() == []
        assert operator.change(f'/{NAME}', Transition.TRANSITION_DEACTIVATE)
    assert state(operator) == 'inactive'
    assert operator.change(f'/{NAME}', Transition.TRANSITION_CLEANUP)
    assert state(operator) == 'unconfigured'
    assert operator.change(f'/{NAME}', Transition.TRANSITION_CONFIGURE)
    assert operator.change(f'/{NAME}', Transition.TRANSITION_ACTIVATE)
    assert operator.change(f'/{NAME}', Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert node.wait(20) == 0
    operator.wait(
        lambda: any(event.goal_state.label == 'finalized' for event in events), 'the last event'
    )


def test_a_transition_that_fails_is_told_and_can_be_tried_again(
    operator: Any, start: Any, free_port: int, daemon: Any
) -> None:
    node = start(autostart=False, port=daemon.port)
    assert operator.change(f'/{NAME}', Transition.TRANSITION_CONFIGURE)
    assert not operator.change(f'/{NAME}', Transition.TRANSITION_ACTIVATE)
    assert state(operator) == 'unconfigured'
    assert operator.change(f'/{NAME}', Transition.TRANSITION_CONFIGURE)
    node.send_signal(signal.SIGTERM)
    _, errors = node.communicate(timeout=20)
    assert node.returncode == 0
    assert 'cannot activate: ' in errors
    assert str(daemon.port) in errors


def test_two_nodes_of_one_name_are_told(
    robot: Any, operator: Any, wait_for: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    import rclpy

    warn_of_namesakes(robot.node)
    twin = rclpy.create_node(robot.node.get_name(), context=operator.node.context)
    try:
        wait_for(lambda: warn_of_namesakes(robot.node) or capfd.readouterr().err, 'the warning')
    finally:
        twin.destroy_node()


def test_a_request_that_does_not_fit_leaves_the_node_alone(
    operator: Any, start: Any, free_port: int
) -> None:
    start(port=free_port)
    assert not operator.change(f'/{NAME}', Transition.TRANSITION_CONFIGURE)
    assert state(operator) == 'active'


def test_diagnostics_say_how_the_daemon_is(
    operator: Any, start: Any, free_port: int, tmp_path: Path
) -> None:
    heard = operator.listen(DiagnosticArray, '/diagnostics')
    start('-r', '__ns:=/rover_7', port=free_port, diagnostics_period_sec=0.2)
    statuses = operator.wait(
        lambda: {
            status.name: status
            for array in heard
            for status in array.status
            if 'throughput' in array.status[0].name
        },
        'a word on the throughput',
    )
    assert {name.removeprefix(f'rover_7/{NAME}: ') for name in statuses} == {
        'throughput', 'queue', 'catalog and store', 'disk'
    }  # fmt: skip
    for status in statuses.values():
        assert status.hardware_id == 'rover_7'
        assert status.level == b'\x00', status.message
    disk = {value.key: value.value for value in statuses[f'rover_7/{NAME}: disk'].values}
    assert disk['folder'] == str(tmp_path / 'archive' / 'store')
    assert int(disk['free_bytes']) > 0
