"""What an application sees on its terminal, and what never reaches a pipe."""

from __future__ import annotations

import logging
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from rich.console import Console

from mosaico_ros import get_logger, setup_sdk_logging

ROOT = Path(__file__).parents[2]
SLOW = """
import sys, time
import numpy as np
from mosaico_ros import Integer64, MosaicoClient, setup_sdk_logging
port, sequence, pretty = int(sys.argv[1]), sys.argv[2], sys.argv[3] == 'pretty'
setup_sdk_logging(pretty=pretty)
with MosaicoClient.connect('127.0.0.1', port) as client:
    with client.sequence_create(sequence) as writing:
        writer = writing.topic_create('n', ontology_type=Integer64)
        for start in range(0, 60_000, 10_000):
            times = np.arange(start, start + 10_000)
            writer.push_batch({'timestamp_ns': times, 'data': times})
            time.sleep(0.4)
    for batch in client.topic_handler(sequence, 'n').get_data_streamer().batches():
        time.sleep(0.4)
    client.topic_handler(sequence, 'missing')
print('done')
"""


def run(daemon, name: str, pretty: str, terminal: bool) -> str:
    """Run the slow program; return what it writes to its standard error."""
    arguments = [sys.executable, '-c', SLOW, str(daemon.port), name, pretty]
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'TERM': 'xterm', 'COLUMNS': '120'}
    if not terminal:
        environment['FORCE_COLOR'] = '1'  # as continuous integration sets it: still no terminal
        done = subprocess.run(arguments, capture_output=True, env=environment, timeout=60)
        assert done.stdout == b'done\n', done.stderr
        return done.stderr.decode()
    outer, inner = pty.openpty()
    seen: list[bytes] = []

    def collect() -> None:
        try:
            while data := os.read(outer, 65536):
                seen.append(data)
        except OSError:  # how a terminal tells that its other end is closed
            pass

    reader = threading.Thread(target=collect)
    reader.start()
    done = subprocess.run(
        arguments, stdout=subprocess.PIPE, stderr=inner, env=environment, timeout=60
    )
    os.close(inner)
    reader.join()
    os.close(outer)
    assert done.stdout == b'done\n', b''.join(seen)
    return b''.join(seen).decode()


def test_long_work_has_bars_on_a_terminal_that_asked_for_them(shared_daemon, name):
    text = run(shared_daemon, name, 'pretty', terminal=True)
    assert f'Writing {name}' in text
    assert f'Reading {name}/n' in text
    assert '60,000 rows' in text
    hidden, shown = text.count('\x1b[?25l'), text.count('\x1b[?25h')
    assert hidden == shown == 2  # the cursor is back
    assert run(shared_daemon, f'{name}-plain', 'plain', terminal=True).find('rows') == -1


def test_a_pipe_gets_log_lines_only(shared_daemon, name):
    text = run(shared_daemon, name, 'pretty', terminal=False)
    assert 'Writing' not in text
    assert 'Reading' not in text
    assert '\x1b[?25l' not in text


@pytest.fixture
def logger():
    logger = logging.getLogger('mosaico_ros')
    before = logger.handlers[:], logger.level, logger.propagate
    yield logger
    setup_sdk_logging()
    logger.handlers[:], logger.level, logger.propagate = before


def test_logging_is_silent_until_asked_and_then_said_once(logger, capsys):
    get_logger().warning('early')
    assert capsys.readouterr().err == ''
    setup_sdk_logging('WARNING')
    setup_sdk_logging('WARNING')
    get_logger().info('small')
    get_logger('mosaico_ros.client').warning('large')
    err = capsys.readouterr().err
    assert err.count('large') == 1
    assert 'small' not in err
    assert 'WARNING' in err
    setup_sdk_logging(logging.DEBUG)
    get_logger().debug('detail')
    assert 'detail' in capsys.readouterr().err


def test_records_reach_the_root_logger_only_if_asked(logger, caplog):
    setup_sdk_logging(propagate=False)
    get_logger().warning('kept')
    setup_sdk_logging(propagate=True)
    get_logger().warning('passed')
    assert [record.message for record in caplog.records] == ['passed']


def test_pretty_lines_go_to_the_console_given(logger, tmp_path):
    with open(tmp_path / 'log', 'w+') as file:
        setup_sdk_logging(pretty=True, console=Console(file=file, width=200))
        get_logger('mosaico_ros.x').warning('[red]hello[/red]')
        file.seek(0)
        line = file.read()
    assert 'WARNING' in line
    assert 'mosaico_ros.x: [red]hello[/red]' in line  # a message is no markup
