"""Counts the durable steps of this process, and ends it before one of them.

A step is a file or folder synced, a name made, changed or removed, a request that changes the
bucket, and a commit, which counts before and after. Python's audit events show every change of
a name, whoever makes it; only syncs, commits and requests are wrapped.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from disk import Disk
from sqlalchemy.engine.default import DefaultDialect

__all__ = ['Steps']

_NAMES = {'os.rename', 'os.remove', 'os.mkdir', 'os.rmdir', 'os.link', 'os.truncate'}
_REQUESTS = ('Put', 'Create', 'Upload', 'Complete', 'Abort', 'Delete', 'Copy')


class Steps:
    """The steps of this process below one folder, and those that leave it.

    Parameters
    ----------
    root
        The folder of the archive.
    stop_at
        The step that never happens.
    on_stop
        Called then, with what has happened; must end the process.

    """

    def __init__(
        self, root: Path, stop_at: int, on_stop: Callable[[dict[str, Any]], None]
    ) -> None:
        self.disk = Disk(root)
        self._root = str(root)
        self._stop_at = stop_at
        self._on_stop = on_stop
        self._lock = threading.RLock()
        self._seen = {'name': 0, 'sync': 0, 'commit': 0, 'nothing': 0}
        self._stopping = False
        self._trail: list[str] = []
        sys.addaudithook(self._audit)
        self._wrap_sync()
        self._wrap_commit()
        self._wrap_requests()

    def step(self, kind: str, what: str) -> None:
        """Count a step that is about to happen, or end the process."""
        with self._lock:
            if self._stopping:
                return
            if len(self._trail) + 1 == self._stop_at:
                self.stop(what)
            self._trail.append(what)
            self._seen[kind] += 1

    def stop(self, before: str) -> None:
        """End the process now; other threads stand still at their next step."""
        with self._lock:
            self._stopping = True
            self._on_stop(self._seen | {'before': before, 'trail': self._trail})

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _NAMES:
            path = os.fsdecode(arguments[0]) if not isinstance(arguments[0], int) else ''
            folder = arguments[-1]
            if not os.path.isabs(path) and isinstance(folder, int) and folder > 0:
                path = os.path.join(os.readlink(f'/proc/self/fd/{folder}'), path)
            if event == 'os.remove' and not os.path.lexists(path):
                return
            if path.startswith(self._root):
                self.step('name', f'{event} {path.removeprefix(self._root)}')

    def _wrap_sync(self) -> None:
        fsync = os.fsync

        def synced(descriptor: int) -> None:
            path = os.readlink(f'/proc/self/fd/{descriptor}')
            self.step('sync', f'fsync {path.removeprefix(self._root)}')
            fsync(descriptor)
            with self._lock:
                self.disk.synced(descriptor)

        os.fsync = synced

    def _wrap_commit(self) -> None:
        commit = DefaultDialect.do_commit

        def committed(dialect: Any, connection: Any) -> None:
            self.step('commit', 'commit')
            commit(dialect, connection)
            self.step('nothing', 'after commit')

        DefaultDialect.do_commit = committed  # type: ignore[method-assign]

    def _wrap_requests(self) -> None:
        from botocore.client import BaseClient

        call = BaseClient._make_api_call

        def called(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
            if operation.startswith(_REQUESTS):
                self.step('name', f'{operation} {arguments.get("Key", "")}')
            return call(client, operation, arguments)

        BaseClient._make_api_call = called
