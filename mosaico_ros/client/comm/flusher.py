"""The clock that sends what slow topics have buffered."""

from __future__ import annotations

import threading
import weakref
from typing import Protocol

__all__ = ['Flusher']

#: A message waits at most about this long in the client. One second keeps a 1 Hz topic's batches
#: at one row and makes a recording visible at the daemon while it runs; shorter periods only cost
#: more, smaller batches.
FLUSH_PERIOD_S = 1.0


class Flushable(Protocol):
    def flush_from_clock(self) -> None:
        """Send what is buffered; must not raise."""


class Flusher:
    """One thread per client that flushes all its topic writers once per period.

    The thread starts with the first writer and lives until :meth:`stop`. Writers are held
    weakly, so that one that was dropped without being closed is not kept alive.
    """

    def __init__(self, period_s: float = FLUSH_PERIOD_S) -> None:
        self._period_s = period_s
        self._writers: weakref.WeakSet[Flushable] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, writer: Flushable) -> None:
        """Begin to flush a writer."""
        with self._lock:
            self._writers.add(writer)
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(
                    target=self._run, name='mosaico-flush', daemon=True
                )
                self._thread.start()

    def remove(self, writer: Flushable) -> None:
        """Stop flushing a writer."""
        with self._lock:
            self._writers.discard(writer)

    def stop(self) -> None:
        """End the thread; waits for a flush under way."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._period_s):
            with self._lock:
                writers = list(self._writers)
            for writer in writers:
                writer.flush_from_clock()
