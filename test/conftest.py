"""Fixtures for all tests: real daemons, each a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

READY = re.compile(r'ready on (grpc(?:\+tls)?)://(.+):(\d+) ')


class DaemonProcess:
    """A daemon in a process of its own, on a port that the system chose.

    After :meth:`kill` or :meth:`stop`, :meth:`start` serves the same data folder again, on the
    same port unless it is taken meanwhile.
    """

    host = '127.0.0.1'

    def __init__(
        self,
        data_dir: Path,
        options: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.options = options
        self.environment = environment or {}
        self.port = 0
        self.log = data_dir.parent / f'{data_dir.name}.log'
        self.process: subprocess.Popen[str] | None = None

    def start(self, port: int = 0) -> None:
        """Start it and wait until it serves."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith('MOSAICOD_')}
        with self.log.open('a') as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, '-m', 'mosaico_ros.cli.mosaicod', 'run'),
                    *('--port', str(port), '--data-dir', str(self.data_dir)),
                    *('--log-level', 'debug', '--log-format', 'plain', *self.options),
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=inherited | self.environment,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        ready = READY.search(line)
        if not ready:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f'The daemon did not start: {line!r}\n{self.log.read_text()}')
        self.port = int(ready.group(3))

    @property
    def url(self) -> str:
        """Where Flight clients connect."""
        return f'grpc://{self.host}:{self.port}'

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """End it in order; return its exit code."""
        return self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Stop it (unless it is dead already) and serve the same folder on the same port."""
        self.stop()
        self.start(self.port)

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=20)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


@pytest.fixture
def make_daemon(tmp_path: Path) -> Iterator[Callable[..., DaemonProcess]]:
    """``make_daemon('--option', VARIABLE='value')`` starts a daemon in a fresh folder."""
    with contextlib.ExitStack() as stack:
        count = 0

        def make(*options: str, **environment: str) -> DaemonProcess:
            nonlocal count
            count += 1
            process = DaemonProcess(tmp_path / f'archive{count}', options, environment)
            process.start()
            stack.callback(process.kill)
            return process

        yield make


@pytest.fixture
def daemon(make_daemon: Callable[..., DaemonProcess]) -> DaemonProcess:
    """A daemon of this test alone, with default settings."""
    return make_daemon()


@pytest.fixture(scope='session')
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """One daemon for all tests of a worker that keep to sequence names of their own."""
    process = DaemonProcess(tmp_path_factory.mktemp('shared') / 'archive')
    process.start()
    yield process
    process.kill()
