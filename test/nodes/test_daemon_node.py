"""The daemon as a ROS node."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy')

from mosaico_ros import Message, MosaicoClient
from mosaico_ros.models import String

SCRIPTS = Path(__file__).parents[2] / 'scripts'


def start(environment: dict[str, str], *parameters: str) -> subprocess.Popen[str]:
    flags = [part for parameter in parameters for part in ('-p', parameter)]
    return subprocess.Popen(
        [sys.executable, '-X', 'faulthandler', str(SCRIPTS / 'daemon'), '--ros-args', *flags],
        env={**environment, 'PYTHONPATH': ':'.join(filter(None, sys.path))},
        stderr=subprocess.PIPE,
        text=True,
    )


def errors_of(node: subprocess.Popen[str]) -> str:
    """What a node that must end by itself says on its way; where it stands if it does not."""
    try:
        return node.communicate(timeout=90)[1]
    except subprocess.TimeoutExpired:
        node.send_signal(signal.SIGABRT)
        pytest.fail(f'the node does not end:\n{node.communicate()[1]}')


def by_command(environment: dict[str, str], *parameters: str) -> subprocess.Popen[str]:
    """Start it as ``mosaico daemon``, the first parameter as an option."""
    name, _, value = parameters[0].partition(':=')
    rest = [part for parameter in parameters[1:] for part in ('-p', parameter)]
    return subprocess.Popen(
        [
            sys.executable, '-m', 'mosaico_ros.cli.mosaico', 'daemon', f'--{name}', value,
            '--ros-args', *rest,
        ],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ('begin', 'signals'),
    [(start, (signal.SIGINT, signal.SIGINT)), (by_command, (signal.SIGTERM,))],
    ids=['ros2 run', 'mosaico daemon'],
)
def test_it_serves_until_a_signal_and_ends_cleanly(
    ros_environment: dict[str, str], tmp_path: Path, free_port: int, begin: Any, signals: Any
) -> None:
    node = begin(ros_environment, f'port:={free_port}', f'data_dir:={tmp_path / "archive"}')
    try:
        with MosaicoClient.connect('127.0.0.1', free_port, timeout=20) as client:
            assert client.list_sequences() == []
        for number in signals:
            node.send_signal(number)
            time.sleep(0.05)
        assert node.wait(10) == 0
    finally:
        node.kill()
    assert (tmp_path / 'archive').is_dir()


def test_a_port_in_use_is_said(
    ros_environment: dict[str, str], tmp_path: Path, daemon: Any
) -> None:
    node = start(ros_environment, f'port:={daemon.port}', f'data_dir:={tmp_path / "archive"}')
    errors = errors_of(node)
    assert node.returncode == 1
    assert str(daemon.port) in errors
    assert 'Traceback' not in errors


def test_a_wrong_parameter_is_refused_by_name(ros_environment: dict[str, str]) -> None:
    node = start(ros_environment, 'max_chunk_age_seconds:=0.0')
    errors = errors_of(node)
    assert node.returncode == 2
    assert 'max_chunk_age_seconds' in errors


def test_uploads_can_end_that_are_stopped_with_it(
    ros_environment: dict[str, str], tmp_path: Path, free_port: int, wait_for: Any
) -> None:
    node = start(
        ros_environment,
        f'port:={free_port}',
        f'data_dir:={tmp_path / "archive"}',
        'linger_sec:=20.0',
        'shutdown_grace:=0.0',
    )
    try:
        # As long as one upload is open, the daemon is there for whatever else comes.
        with (
            MosaicoClient.connect('127.0.0.1', free_port, timeout=20) as client,
            client.sequence_create('long', {}) as long,
        ):
            held = long.topic_create('/text', {}, String)
            held.push(Message(timestamp_ns=1, data=String(data='open')))
            held.flush()
            with client.sequence_create('run', {}) as sequence:
                writer = sequence.topic_create('/text', {}, String)
                writer.push(Message(timestamp_ns=1, data=String(data='before')))
                writer.commit()
                wait_for(lambda: writer.durable_rows, 'the first row')
                node.send_signal(signal.SIGINT)
                time.sleep(0.5)
                writer.push(Message(timestamp_ns=2, data=String(data='after')))
            (session,) = client.sequence_handler('run').sessions
            assert session.locked
            rows = client.topic_handler('run', '/text').get_data_streamer()
            assert [row.data.data for row in rows] == ['before', 'after']
        begun = time.monotonic()
        assert node.wait(20) == 0
        assert time.monotonic() - begun < 10
    finally:
        node.kill()
