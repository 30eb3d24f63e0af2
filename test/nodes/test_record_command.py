"""``mosaico record``: the recorder node from the command line."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy')

from std_msgs.msg import String


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, '-m', 'mosaico_ros.cli.mosaico', 'record', *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_records_the_topics_given_and_prints_their_account(
    daemon: Any, robot: Any, ros_environment: dict[str, str]
) -> None:
    publishers = [robot.publisher(String, name) for name in ('/a', '/b', '/c')]
    process = start(
        ros_environment, '--topics', '/a', '/b', '--port', str(daemon.port), '--name', 'by_hand',
        '--metadata', '{"site": "hall 3"}', '--ros-args', '-r', '__node:=other',
    )  # fmt: skip
    robot.wait_matched(*publishers[:2])
    for publisher in publishers:
        robot.publish(publisher, [String(data='x')] * 3)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    rows = {line.split()[0]: line.split()[1:4] for line in output.splitlines() if line[:1] == '/'}
    assert rows == {'/a': ['3', '3', '0'], '/b': ['3', '3', '0']}
    assert 'closed by_hand' in output
    with daemon.client() as client:
        sequence = client.sequence_handler('by_hand')
        assert sorted(sequence.topics) == ['/a', '/b']
        assert sequence.user_metadata['site'] == 'hall 3'
        assert sequence.user_metadata['recording']['node'] == '/other'


def test_it_reports_as_json_lines(
    daemon: Any, robot: Any, ros_environment: dict[str, str]
) -> None:
    publisher = robot.publisher(String, '/chatter')
    process = start(
        ros_environment, '--all', '--json', '--duration', '5', '--port', str(daemon.port)
    )
    robot.wait_matched(publisher)
    robot.publish(publisher, [String(data='x')])
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    last = json.loads(output.splitlines()[-1])
    assert (last['state'], last['failure']) == ('closed', '')
    assert {topic['name']: topic['stored'] for topic in last['topics']}['/chatter'] == 1


def test_on_a_terminal_a_table_renews_itself(
    daemon: Any, robot: Any, ros_environment: dict[str, str], wait_for: Any
) -> None:
    publisher = robot.publisher(String, '/chatter')
    screen, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, '-m', 'mosaico_ros.cli.mosaico', 'record', '/chatter',
         '--port', str(daemon.port), '--name', 'on_screen'],
        env={**ros_environment, 'TERM': 'xterm', 'COLUMNS': '120', 'LINES': '40'},
        stdin=subprocess.DEVNULL, stdout=terminal, stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(terminal)
    os.set_blocking(screen, False)
    seen = b''

    def shown(*words: bytes) -> bool:
        nonlocal seen
        with contextlib.suppress(BlockingIOError, OSError):  # nothing new; or all is closed
            seen += os.read(screen, 1 << 20)
        return all(word in seen for word in words)

    robot.wait_matched(publisher)
    robot.publish(publisher, [String(data='x')] * 7)
    head = (b'rate', b'bandwidth', b'durable', b'spool', b'lost')
    wait_for(lambda: shown(b'on_screen', b'/chatter', b' Hz', b'7', *head), 'the table')
    process.send_signal(signal.SIGINT)
    wait_for(lambda: shown(b'closed on_screen') and process.poll() == 0, 'the end')
    os.close(screen)


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ((), 'say which topics'),
        (('--all', '--topics', '/imu'), '--all takes every topic'),
        (('--all', '--port', '99999'), 'parameter port'),
    ],
    ids=['nothing', 'contradiction', 'port'],
)
def test_wrong_use_is_refused(
    ros_environment: dict[str, str], arguments: tuple[str, ...], words: str
) -> None:
    process = start(ros_environment, *arguments)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert words in errors
    assert 'Traceback' not in errors


def test_without_rclpy_it_says_how_to_get_it(
    ros_environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / 'rclpy').mkdir()
    (tmp_path / 'rclpy' / '__init__.py').write_text("raise ImportError('not installed')\n")
    path = ros_environment.get('PYTHONPATH', '')
    process = start({**ros_environment, 'PYTHONPATH': f'{tmp_path}:{path}'}, '--all')
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "pip install 'mosaico_ros[ros]'" in errors
    assert 'source a ROS 2 installation' in errors
    assert 'Traceback' not in errors
