"""Watches the durable steps of this process, and holds it before each of them.

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
    before_step
        Called before each step, with what is durable and what has happened; the steps of
        other threads wait meanwhile.

    """

    def __init__(self, root: Path, before_step: Callable[[Disk, dict[str, Any]], None]) -> None:
        self.disk = Disk(root)
        self._root = str(root)
        self._before_step = before_step
        self._lock = threading.RLock()
        self._commits = 0
        self._trail: list[str] = []
        sys.addaudithook(self._audit)
        self._wrap_sync()
        self._wrap_commit()
        self._wrap_requests()

    def step(self, what: str) -> None:
        """Note a step that is about to happen."""
        with self._lock:
            self.hold(what)
            self._trail.append(what)
            self._commits += what == 'commit'

    def hold(self, before: str) -> None:
        """Let what is there now be examined."""
        with self._lock:
            point = {'step': len(self._trail) + 1, 'before': before, 'trail': self._trail[-6:]}
            self._before_step(self.disk, point | {'commits': self._commits})

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _NAMES:
            path = os.fsdecode(arguments[0]) if not isinstance(arguments[0], int) else ''
            folder = arguments[-1]
            if not os.path.isabs(path) and isinstance(folder, int) and folder > 0:
                path = os.path.join(os.readlink(f'/proc/self/fd/{folder}'), path)
            if event == 'os.remove' and not os.path.lexists(path):
                return
            if path.startswith(self._root):
                self.step(f'{event} {path.removeprefix(self._root)}')

    def _wrap_sync(self) -> None:
        fsync = os.fsync

        def synced(descriptor: int) -> None:
            path = os.readlink(f'/proc/self/fd/{descriptor}')
            self.step(f'fsync {path.removeprefix(self._root)}')
            fsync(descriptor)
            with self._lock:
                self.disk.synced(descriptor)

        os.fsync = synced

    def _wrap_commit(self) -> None:
        commit = DefaultDialect.do_commit

        def committed(dialect: Any, connection: Any) -> None:
            self.step('commit')
            commit(dialect, connection)
            self.step('after commit')

        DefaultDialect.do_commit = committed  # type: ignore[method-assign]

    def _wrap_requests(self) -> None:
        from botocore.client import BaseClient

        call = BaseClient._make_api_call

        def called(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
            if operation.startswith(_REQUESTS):
                self.step(f'{operation} {arguments.get("Key", "")}')
            return call(client, operation, arguments)

        BaseClient._make_api_call = called
