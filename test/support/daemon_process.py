"""A daemon in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

from forks import Forked, nursery
from reservations import reserve_port

from mosaico_ros import MosaicoClient

__all__ = ['DaemonProcess']

READY = re.compile(r'ready on (grpc(?:\+tls)?)://(.+):(\d+) ')


class DaemonProcess:
    """A daemon in a process of its own, on a port of its own.

    After :meth:`kill` or :meth:`stop`, :meth:`start` serves the same data folder again, on the
    same port.
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
        self._reservation = reserve_port()
        self.port = self._reservation.number
        self.log = data_dir.parent / f'{data_dir.name}.log'
        self.process: Forked | None = None

    def start(self) -> None:
        """Start it and wait until it serves."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith('MOSAICOD_')}
        options = ['--port', self.port, '--data-dir', self.data_dir, '--log-level', 'debug']
        options += ['--log-format', 'plain', *self.options]
        reading, writing = os.pipe()
        with open(os.devnull) as nothing, self.log.open('a') as log, open(writing, 'w') as told:
            self.process = nursery().start(
                *('mosaicod', ['run', *options], inherited | self.environment),
                *(nothing.fileno(), told.fileno(), log.fileno()),
            )
        self._output = os.fdopen(reading)
        line = self._output.readline()
        ready = READY.search(line)
        if not ready:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f'The daemon did not start: {line!r}\n{self.log.read_text()}')

    @property
    def url(self) -> str:
        """Where Flight clients connect."""
        return f'grpc://{self.host}:{self.port}'

    def client(self) -> MosaicoClient:
        """A client of our SDK."""
        return MosaicoClient.connect(self.host, self.port, timeout=10)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """End it in order; return its exit code."""
        return self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Stop it (unless it is dead already) and serve the same folder again."""
        self.stop()
        self.start()

    def make_keys(self) -> dict[str, str]:
        """Make one token per permission, and some that are not valid any more; by kind."""
        from mosaico_ros.daemon.catalog.database import Database
        from mosaico_ros.daemon.keys import Keys
        from mosaico_ros.protocol.api_keys import ApiKeyToken, Permission

        database = Database(f'sqlite:///{self.data_dir}/catalog.db')
        keys = Keys(database)
        made = {permission.value: keys.create(permission).reveal() for permission in Permission}
        expires_at_ns = time.time_ns() + 1_000_000_000
        made['expired'] = keys.create(Permission.MANAGE, '', expires_at_ns).reveal()
        revoked = keys.create(Permission.MANAGE)
        keys.revoke(revoked.fingerprint)
        made['revoked'] = revoked.reveal()
        made['unknown'] = ApiKeyToken('0a' * 16).reveal()
        time.sleep(max(0, expires_at_ns - time.time_ns()) / 1e9)
        database.close()
        return made

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=20)
        self._output.close()
        return code
