"""The demonstration, end to end: real daemon, recorder and robot."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy')


def start(data_dir: Path, *options: str) -> subprocess.Popen[str]:
    command = ['mosaico_ros.cli.mosaico', 'demo', '--data-dir', str(data_dir), *options]
    return subprocess.Popen(
        [sys.executable, '-m', *command],
        # A user's own settings must not reach the demo's processes.
        env={**os.environ, 'ROS_DOMAIN_ID': '0', 'MOSAICOD_DB_URL': 'postgresql://nowhere/x'},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(data_dir: Path, *options: str) -> tuple[int, str, str]:
    process = start(data_dir, *options)
    try:
        output, errors = process.communicate(timeout=180)
    finally:
        process.kill()
    return process.returncode, output, errors


def processes_of(data_dir: Path) -> list[str]:
    """Command lines of live processes that name the folder."""
    found = []
    for entry in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            line = entry.read_bytes().replace(b'\0', b' ').decode()
        except OSError:
            continue
        if str(data_dir) in line:
            found.append(line)
    return found


def try_what_it_suggests(output: str, port: int) -> None:
    """Serve the data again and run the three commands, as they are printed."""
    serve, *commands = re.findall(r'^   (mosaicod? .*)$', output, re.M)
    assert len(commands) == 3
    environment = os.environ | {'MOSAICOD_PORT': str(port), 'MOSAICO_PORT': str(port)}

    def spelled(command: str) -> list[str]:
        name, *arguments = shlex.split(command)
        return [sys.executable, '-m', f'mosaico_ros.cli.{name}', *arguments]

    with subprocess.Popen(spelled(serve), env=environment, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        assert b'ready' in daemon.stdout.readline()
        info, cat, query = (
            subprocess.run(
                spelled(command), env=environment, check=True, capture_output=True, text=True
            ).stdout
            for command in commands
        )
        daemon.terminate()
    assert '/lidar/points' in info
    assert cat.count('"acceleration"') == 5
    # The recording, its bag, both snapshots, the replay; windows may be divided on a busy machine.
    assert len(set(re.findall(r'demo_[0-9_]+(?:bump_[0-9a-f]+|bag|replay)?', query))) == 5


@pytest.mark.slow
def test_the_demo_proves_itself_twice_in_one_folder(tmp_path: Path, free_port: int) -> None:
    code, output, errors = run(tmp_path / 'data', '--seconds', '4')
    assert code == 0, output + errors
    for words in ('/imu', '800', 'IMU.acceleration.y > 8', 'Nothing was lost', 'mosaicod run'):
        assert words in output
    assert '✗' not in output
    try_what_it_suggests(output, free_port)

    code, output, errors = run(tmp_path / 'data', '--seconds', '4', '--json')
    assert code == 0, output + errors
    result: dict[str, Any] = json.loads(output)
    counts = {topic['name']: topic['stored'] for topic in result['topics']}
    assert counts['/imu'] == 800
    assert counts['/lidar/points'] == 20
    assert len(counts) == 8
    assert [window['messages'] for window in result['windows']] == [30, 40]
    assert [copy['what'] for copy in result['copies']] == [
        'fault HARD_BUMP',
        'fault HARD_BUMP',
        'played and recorded again',
        'exported to a bag and ingested',
    ]
    assert sorted(result['found'].values()) == [1, 1, 1, 2, 2]
    assert len({entry.name for entry in (tmp_path / 'data' / 'demo').iterdir()}) == 2
    assert processes_of(tmp_path) == []


@pytest.mark.slow
def test_one_withheld_message_fails_the_demo_and_names_the_topic(tmp_path: Path) -> None:
    code, output, errors = run(tmp_path / 'data', '--seconds', '3', '--suppress', '/odom')
    assert code == 1, output + errors
    assert '/odom: 150 messages published, 149 stored' in output
    assert output.count('✗') == 1, output


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM], ids=str)
def test_an_interrupt_leaves_no_process_behind(tmp_path: Path, number: signal.Signals) -> None:
    data_dir = tmp_path / 'data'
    process = start(data_dir, '--seconds', '60')
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not any(
            'demo.robot' in line for line in processes_of(data_dir)
        ):
            time.sleep(0.05)
        assert len(processes_of(data_dir)) >= 3
        process.send_signal(number)
        time.sleep(0.1)
        process.send_signal(number)
        assert process.wait(30) == 130
    finally:
        process.kill()
    assert processes_of(data_dir) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    code, _, errors = run(tmp_path / 'file' / 'data')
    assert code == 1
    assert str(tmp_path / 'file' / 'data') in errors
    assert 'Traceback' not in errors
