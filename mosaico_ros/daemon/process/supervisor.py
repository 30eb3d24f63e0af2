"""Several daemons on one port: processes of their own, replaced when they die.

The supervisor serves nothing itself. It keeps the port, so that it stays theirs while none of
them lives and is refused to strangers; the kernel hands each connection to one of them. To the
archive they are daemons as on several hosts: what one of them leaves, the others take over.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from mosaico_ros.daemon.process.ports import reserved
from mosaico_ros.daemon.settings import PREFIX, Settings, as_environment
from mosaico_ros.protocol.errors import FailedPreconditionError

__all__ = ['supervise']

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
# One that has served this long did not die of what killed the one before.
_STEADY_SECONDS = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_STARTS = 5
# What a worker takes beyond the grace: sealing, closing and ending, see `app` and `serving`.
_STOP_SECONDS = 6.0


class _Worker:
    """One place among the workers, and the process in it."""

    def __init__(self, settings: Settings) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
        self._environment = inherited | as_environment(settings)
        self._pause = _FIRST_PAUSE
        self._failed_starts = 0
        self.start()

    def start(self) -> None:
        """Start a process."""
        self._started_at = time.monotonic()
        self._due_at: float | None = None
        self.ready = threading.Event()
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'mosaico_ros.daemon.process.worker'],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
            # A terminal's Ctrl-C is for the supervisor, which passes it on once.
            start_new_session=True,
        )
        threading.Thread(target=self._await_ready, args=(self.process, self.ready)).start()

    def tend(self) -> None:
        """Replace a dead process when it is time.

        Raises
        ------
        FailedPreconditionError
            It has died again and again before it could serve.

        """
        code = self.process.poll()
        if code is None:
            return
        now = time.monotonic()
        if self._due_at is None:
            self._failed_starts = 0 if self.ready.is_set() else self._failed_starts + 1
            if self._failed_starts == _STARTS:
                raise FailedPreconditionError(
                    f'A worker cannot start: it has ended {_STARTS} times before it could serve',
                    remedy='The lines above tell why.',
                )
            if now - self._started_at > _STEADY_SECONDS:
                self._pause = _FIRST_PAUSE
            _log.error(
                'Worker %d has ended with %d; another one follows in %g s',
                self.process.pid,
                code,
                self._pause,
            )
            self._due_at = now + self._pause
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        if now >= self._due_at:
            self.close()
            self.start()

    def close(self) -> None:
        """Let go of a process that has ended."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    @staticmethod
    def _await_ready(process: subprocess.Popen[bytes], ready: threading.Event) -> None:
        assert process.stdout is not None
        if process.stdout.readline():
            ready.set()


def supervise(
    settings: Settings, stop: threading.Event, announce: Callable[[Settings], None]
) -> int:
    """Keep ``settings.workers`` processes serving until told to stop.

    Parameters
    ----------
    settings
        What to serve.
    stop
        Ends it.
    announce
        Called once all workers serve, with the port as it was chosen.

    Returns
    -------
    int
        0 if all have ended in order, else 1.

    Raises
    ------
    FailedPreconditionError
        The port cannot be opened, or a worker cannot start.

    """
    workers: list[_Worker] = []
    with ExitStack() as stack:
        port = stack.enter_context(reserved(settings.host, settings.port))
        settings = replace(settings, port=port)
        codes: list[int] = []
        stack.callback(lambda: codes.extend(_end(workers, settings.shutdown_grace)))
        for number in range(settings.workers):
            metrics_port = settings.metrics_port and settings.metrics_port + number
            workers.append(_Worker(replace(settings, metrics_port=metrics_port)))
            # The first one alone: if the archive cannot be opened, that is said once.
            if number == 0 and not _await_first(workers[0], stop):
                return workers[0].process.returncode or 0
        announced = False
        while not stop.wait(_POLL_SECONDS):
            for worker in workers:
                worker.tend()
            if not announced and all(worker.ready.is_set() for worker in workers):
                announce(settings)
                announced = True
    return int(any(codes))


def _await_first(worker: _Worker, stop: threading.Event) -> bool:
    """Wait until a worker serves; `False` if it ended instead, or was told to stop."""
    while not worker.ready.wait(_POLL_SECONDS):
        if stop.is_set() or worker.process.poll() is not None:
            return False
    return True


def _end(workers: list[_Worker], grace: float) -> list[int]:
    """End all workers in order, or by force when it takes too long; return their codes."""
    # Those that have just died or are still starting have nothing to end.
    serving = [
        worker for worker in workers if worker.ready.is_set() and worker.process.poll() is None
    ]
    for worker in workers:
        worker.process.terminate()
    deadline = time.monotonic() + grace + _STOP_SECONDS
    codes = []
    for worker in workers:
        try:
            code = worker.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _log.error('Worker %d did not stop in time', worker.process.pid)
            worker.process.kill()
            code = worker.process.wait()
        worker.close()
        if worker in serving:
            codes.append(code)
            if code:
                _log.error('Worker %d has ended with %d', worker.process.pid, code)
    return codes
