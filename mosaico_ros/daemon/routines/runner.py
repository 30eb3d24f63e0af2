"""The thread in which a daemon does what nobody waits for: events, cleanup, optimizer."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.events import (
    NEWS,
    OPTIMIZE,
    SWEEP,
    Event,
    claim,
    complete,
    postpone,
)
from mosaico_ros.daemon.catalog.runs import take_turn
from mosaico_ros.daemon.leases import Instance
from mosaico_ros.daemon.process import metrics
from mosaico_ros.daemon.removal import sweep
from mosaico_ros.daemon.routines.cleanup import CLEANUP, Cleanup
from mosaico_ros.daemon.routines.news import post
from mosaico_ros.daemon.routines.optimizer import OPTIMIZER, Optimizer
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.daemon.store.base import Store
from mosaico_ros.protocol.errors import CancelledError, MosaicoError

__all__ = ['Routines']

_log = logging.getLogger(__name__)

# Events of this daemon wake it; those of others, and those that waited, are found this soon.
_POLL_S = 1.0
_AFTER_FAULT_S = 10.0
# A routine's turn is looked for several times an interval, this often at least.
_CHECKS, _LONGEST_CHECK_S = 4, 60.0
_END_S = 0.5


@dataclass
class _Routine:
    name: str
    interval_s: float
    work: Callable[[], object]
    next_check: float = 0.0

    def wait(self) -> None:
        """Put off the next check, by chance, so that daemons do not ask all at once."""
        pause = min(self.interval_s / _CHECKS, _LONGEST_CHECK_S)
        self.next_check = time.monotonic() + pause * random.uniform(0.5, 1.5)


class Routines:
    """Does a daemon's part of an archive's routines.

    Parameters
    ----------
    database, store
        The archive.
    instance
        This daemon.
    settings
        Which routines to do, and how often.

    """

    def __init__(
        self, database: Database, store: Store, instance: Instance, settings: Settings
    ) -> None:
        self._database = database
        self._store = store
        self._instance = instance
        self._webhook = settings.webhook_url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name='routines', daemon=True)
        cleanup = Cleanup(
            database,
            store,
            instance.id,
            settings.cleanup_retention_duration,
            settings.cleanup_max_share,
            self._stop,
        )
        self._optimizer = Optimizer(
            database,
            store,
            instance.id,
            settings.optimizer_max_chunk_size or settings.chunk_bytes,
            self._stop,
        )
        self._routines = [
            routine
            for routine in (
                _Routine(CLEANUP, settings.cleanup_time_interval, cleanup.run),
                _Routine(OPTIMIZER, settings.optimizer_time_interval, self._optimizer.run),
            )
            if routine.interval_s
        ]
        self._optimizes = bool(settings.optimizer_time_interval)

    def start(self) -> None:
        """Start the thread."""
        for routine in self._routines:
            routine.wait()
        self._thread.start()

    def stop(self) -> None:
        """Have the thread end at the next step; returns at once."""
        self._stop.set()
        self._database.has_events.set()

    def join(self) -> None:
        """Wait for the thread, briefly: whatever it is at can be done again."""
        if self._thread.is_alive():
            self._thread.join(_END_S)

    # -- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._work_off_events()
                for routine in self._routines:
                    if time.monotonic() >= routine.next_check and not self._stop.is_set():
                        routine.wait()
                        self._take_turn(routine)
            except CancelledError:
                return
            except Exception:
                if self._stop.is_set():
                    return
                _log.exception('The routines have to wait')
                self._stop.wait(_AFTER_FAULT_S)
            self._database.has_events.wait(_POLL_S)
            self._database.has_events.clear()

    def _take_turn(self, routine: _Routine) -> None:
        try:
            done = take_turn(
                self._database,
                routine.name,
                self._instance.id,
                routine.work,
                routine.interval_s,
            )
        except CancelledError:
            raise
        except Exception as error:
            metrics.ROUTINE_RUNS.add(1, routine.name, 'failed')
            if isinstance(error, MosaicoError):
                _log.error('The routine %r failed: %s', routine.name, error)
            else:
                _log.exception('The routine %r failed', routine.name)
        else:
            if done is not None:
                metrics.ROUTINE_RUNS.add(1, routine.name, 'done')
                _log.info('The routine %r is done: %s', routine.name, done)

    def _work_off_events(self) -> None:
        kinds = {OPTIMIZE, SWEEP} | ({NEWS} if self._webhook else set())
        while kinds and not self._stop.is_set():
            event = claim(self._database, self._instance.id, kinds)
            if event is None:
                return
            try:
                self._handle(event)
            except CancelledError:
                raise  # it stays claimed until this daemon is gone
            except Exception as error:
                if not isinstance(error, MosaicoError):
                    _log.exception('The work %r failed', event.kind)
                postpone(self._database, event, str(error))
                kinds.discard(event.kind)  # the others of its kind would most likely fail, too
            else:
                complete(self._database, event)

    def _handle(self, event: Event) -> None:
        if event.kind == NEWS:
            post(self._webhook, event.payload)
        elif event.kind == SWEEP:
            sweep(self._database, self._store, event.payload['topic_id'], self._instance.id)
        elif self._optimizes:
            self._optimizer.optimize(event.payload['topic_id'])
