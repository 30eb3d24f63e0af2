"""Daemons and commands as forks of one process that has imported everything."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

__all__ = ['Forked', 'nursery']


class Nursery:
    """The process whose forks are the daemons and commands of a worker; see ``nursery.py``."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        inherited = {k: v for k, v in os.environ.items() if not k.startswith('MOSAICOD_')}
        program = Path(__file__).with_name('nursery.py')
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(program)], stdin=theirs, env=inherited
            )
        self._answers = self._socket.makefile()
        self._turn = threading.Lock()

    def start(
        self,
        program: str,
        arguments: Iterable[object],
        environment: dict[str, str],
        *streams: int,
        folder: Path | str = '.',
    ) -> Forked:
        """Start ``mosaico`` or ``mosaicod`` on three descriptors."""
        told, code = os.pipe()
        asked = [program, [*map(str, arguments)], environment, str(Path(folder).absolute())]
        request = json.dumps(asked).encode() + b'\n'
        with self._turn:
            sent = socket.send_fds(self._socket, [request], [*streams, code])
            self._socket.sendall(request[sent:])
            pid = int(self._answers.readline())
        os.close(code)
        return Forked(pid, told)

    def end(self) -> None:
        self._answers.close()
        self._socket.close()
        self._process.wait()


class Forked:
    """A process of another one's, used like a :class:`subprocess.Popen`."""

    def __init__(self, pid: int, code: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._code = code

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._code], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired('mosaicod', timeout or 0)
            self.returncode = int(os.read(self._code, 20) or -signal.SIGKILL)
            os.close(self._code)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # just ended; its code is on the way
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@functools.cache
def nursery() -> Nursery:
    """Return the nursery of this worker."""
    made = Nursery()
    atexit.register(made.end)
    return made
