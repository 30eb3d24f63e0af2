"""``mosaico snapshot``: the fault snapshot node from the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy')

from sensor_msgs.msg import Temperature

RULE = '/motor: temperature > 90 -> code HOT severity WARN'


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, '-m', 'mosaico_ros.cli.mosaico', 'snapshot', *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_rule_given_by_hand_writes_a_file(
    robot: Any,
    ros_environment: dict[str, str],
    tmp_path: Path,
    wait_for: Callable[..., Any],
) -> None:
    publisher = robot.publisher(Temperature, '/motor')
    process = start(
        ros_environment, '/motor', '--rule', RULE, '--post', '0.1', '--robot', 'r7',
        '--files-only', '--folder', str(tmp_path),
        '--ros-args', '-p', 'segment_sec:=0.1', '-r', '__node:=watch',
    )  # fmt: skip
    robot.wait_matched(publisher)
    robot.publish(publisher, [Temperature(temperature=value) for value in (20.0, 95.0)])
    wait_for(lambda: any(tmp_path.glob('*.mcap')), 'the file')
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    (entry,) = tmp_path.glob('*.json')
    about = json.loads(entry.read_text())['metadata']
    assert (about['robot_id'], about['fault_code'], about['fault_severity']) == (
        'r7',
        'HOT',
        'WARNING',
    )


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (('--rule', 'nonsense'), 'is not a value rule'),
        (('--port', '99999'), 'parameter port'),
        (('--pre', 'long'), "'long' is not a valid float"),
    ],
    ids=['rule', 'port', 'pre'],
)
def test_wrong_use_is_refused(
    ros_environment: dict[str, str], tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    process = start(ros_environment, '--folder', str(tmp_path), *arguments)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert words in errors
    assert 'Traceback' not in errors
