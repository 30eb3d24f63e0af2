"""Disposable daemons: a place of their own, and nothing left of them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.flight as flight
import pytest

READY = re.compile(r'ready on (grpc://127\.0\.0\.1:(\d+)) \(data: (.+?)[;)]')
COMMAND = [sys.executable, '-m', 'mosaico_ros.cli.mosaicod', 'run', '--ephemeral']


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``start(*options, **environment)`` starts one whose temporary folder is the test's."""
    started: list[subprocess.Popen[str]] = []

    def run(*options: str, **environment: str) -> subprocess.Popen[str]:
        own = {k: v for k, v in os.environ.items() if not k.startswith('MOSAICOD_')}
        started.append(
            subprocess.Popen(
                [*COMMAND, *options],
                env=own | {'TMPDIR': str(tmp_path)} | environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def ready(process: subprocess.Popen[str]) -> tuple[str, int, Path]:
    """Address, port and folder, from the line that tells them."""
    assert process.stdout is not None
    found = READY.search(process.stdout.readline())
    assert found
    return found[1], int(found[2]), Path(found[3])


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_it_is_new_and_gone_on_exit(start, tmp_path, number):
    process = start(*(('--workers', '2') if number == signal.SIGTERM else ()))
    url, port, folder = ready(process)
    assert port != 6726
    assert folder.is_relative_to(tmp_path)
    with flight.connect(url) as client:
        assert list(client.list_flights()) == []
        list(client.do_action(flight.Action('sequence_create', b'{"locator": "s"}')))
        assert len(list(client.list_flights())) == 1
    assert list(folder.glob('store/sequences/*'))
    process.send_signal(number)
    _, said = process.communicate(timeout=15)
    assert process.returncode == 0, said
    assert list(tmp_path.iterdir()) == []


def test_a_given_port_is_kept(start, free_port):
    assert ready(start('--port', str(free_port)))[1] == free_port


def test_the_next_one_removes_what_a_killed_one_left_and_nothing_else(start):
    killed, living = start(), start()
    left, used = ready(killed)[2], ready(living)[2]
    killed.kill()
    killed.wait()
    assert left.exists()
    ready(start())
    assert not left.exists()
    assert used.exists()


@pytest.mark.parametrize(
    ('options', 'environment', 'named'),
    [
        (('--data-dir', 'x'), {}, '--data-dir'),
        (('--db-url', 'sqlite:///x'), {}, '--db-url'),
        (('--store-endpoint', 'file:///x'), {}, '--store-endpoint'),
        ((), {'MOSAICOD_DB_URL': 'sqlite:///x'}, 'MOSAICOD_DB_URL'),
    ],
)
def test_places_contradict_it(start, tmp_path, options, environment, named):
    process = start(*options, **environment)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 2
    assert f'which contradicts {named}. Leave one or the other out' in error
    assert list(tmp_path.iterdir()) == []
