"""Snapshots from the outbox into the archive, as any recording goes there.

Delivery can be repeated as often as it takes: the sequence has the snapshot's id in its name, and
the injector leaves alone what is complete and replaces what broke off.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from mosaico_ros.client.enums import SessionLevelErrorPolicy
from mosaico_ros.nodes.heap import give_back
from mosaico_ros.nodes.outbox import Entry, Outbox
from mosaico_ros.protocol.errors import (
    CancelledError,
    DeadlineExceededError,
    MosaicoError,
    UnavailableError,
)
from mosaico_ros.ros_bridge.injection_config import ROSInjectionConfig
from mosaico_ros.ros_bridge.injector import RosbagInjector

_log = logging.getLogger(__name__)

_FIRST_RETRY = 1.0
# Beside the ring there is to be little memory, and a snapshot is in no hurry.
_READ_AHEAD_BYTES = 8_000_000
_AWAY = (UnavailableError, DeadlineExceededError, CancelledError, ConnectionError)


class Delivery(threading.Thread):
    """The thread that brings snapshots into the archive, one at a time.

    While the daemon cannot be reached nothing else is tried; the pauses double. A snapshot that
    the daemon refuses waits the same way, and lets the others pass.

    Parameters
    ----------
    outbox
        Where they lie.
    send
        Brings one into the archive; returns when it is durable there, raises otherwise.
    retry_max_sec
        Longest pause between two attempts, seconds.
    on_delivered
        Called in this thread with each snapshot that has arrived.
    """

    def __init__(
        self,
        outbox: Outbox,
        send: Callable[[Entry], None],
        retry_max_sec: float,
        on_delivered: Callable[[Entry], None],
    ) -> None:
        super().__init__(name='snapshot-delivery', daemon=True)
        self._outbox = outbox
        self._send = send
        self._retry_max = retry_max_sec
        self._on_delivered = on_delivered
        self._woken = threading.Event()
        self._stopping = False
        self._pauses: dict[str, float] = {}
        self._due: dict[str, float] = {}
        #: Why the archive cannot be reached, or empty.
        self.problem = ''

    def wake(self) -> None:
        """Say that there is a new snapshot."""
        self._woken.set()

    def finish(self, patience: float) -> None:
        """Stop, and let what is on its way arrive, for at most `patience` seconds."""
        self._stopping = True
        self._woken.set()
        self.join(patience)

    def run(self) -> None:
        """Deliver until stopped."""
        pause = _FIRST_RETRY
        while not self._stopping:
            self._woken.clear()
            try:
                wait = self._round()
                pause = _FIRST_RETRY
                self.problem = ''
            except _AWAY as error:
                self.problem = str(error)
                wait = pause
                pause = min(pause * 2, self._retry_max)
                # News do not bring a daemon back.
                self._sleep(wait)
                continue
            except Exception as error:
                # The disk perhaps; nothing of it may end the delivery for good.
                _log.exception('delivering snapshots')
                self.problem = str(error)
                wait = pause
                pause = min(pause * 2, self._retry_max)
            self._woken.wait(wait)

    def _round(self) -> float:
        """Deliver what is due; return the seconds until something will be."""
        while (entry := self._next_due()) is not None:
            key = entry.snapshot_id
            try:
                self._send(entry)
            except _AWAY:
                raise
            except (MosaicoError, OSError) as error:
                pause = self._pauses.get(key, _FIRST_RETRY)
                self._pauses[key] = min(pause * 2, self._retry_max)
                self._due[key] = time.monotonic() + pause
                self._outbox.failed(entry, str(error))
                continue
            self._pauses.pop(key, None)
            self._due.pop(key, None)
            self._outbox.delivered(entry)
            self._on_delivered(entry)
            self._outbox.tidy()
        due = [self._due.get(entry.snapshot_id, 0.0) for entry in self._outbox.waiting()]
        return max(min(due) - time.monotonic(), 0.05) if due else self._retry_max

    def _next_due(self) -> Entry | None:
        """Look anew each time: sending takes long, and what came meanwhile may go first."""
        if self._stopping:
            return None
        now = time.monotonic()
        return next(
            (e for e in self._outbox.waiting() if self._due.get(e.snapshot_id, 0.0) <= now), None
        )

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < end:
            time.sleep(min(0.1, max(0.0, end - time.monotonic())))


def sender(settings: Mapping[str, Any], outbox: Outbox) -> Callable[[Entry], None]:
    """Return what brings a snapshot of the outbox to the daemon of the settings.

    It can be called again for the same snapshot whatever became of the call before.
    """

    def send(entry: Entry) -> None:
        injector = RosbagInjector(
            ROSInjectionConfig(
                file_path=outbox.folder / entry.file,
                sequence_name=entry.sequence_name,
                metadata=dict(entry.metadata),
                host=settings['host'],
                port=settings['port'],
                enable_tls=settings['enable_tls'],
                tls_cert_path=settings['tls_cert_path'] or None,
                mosaico_api_key=os.environ.get('MOSAICO_API_KEY'),
                log_level='WARNING',
                # What broke off must never look complete to the next attempt.
                on_error=SessionLevelErrorPolicy.Delete,
                resume=True,
                read_ahead_bytes=_READ_AHEAD_BYTES,
            )
        )
        injector.run()
        report = injector.report
        skipped = {name: each.skipped for name, each in report.topics.items() if each.skipped}
        for problem in [*report.problems, *(f'{name}: {why}' for name, why in skipped.items())]:
            _log.warning('%s: %s', entry.sequence_name, problem)
        # Between snapshots the robot has better use for the memory.
        give_back()

    return send
