"""Stop on SIGINT and SIGTERM without being killed half way through closing.

rclpy's own handlers invalidate the context at once, so that nothing can be flushed, and a
second Ctrl-C during the closing kills the process. It is common: a terminal sends Ctrl-C to the
whole process group, and ``ros2 launch`` sends SIGINT as well.
"""

from __future__ import annotations

import contextlib
import signal
from queue import Empty, SimpleQueue
from types import FrameType, TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Context in which SIGINT and SIGTERM ask to stop instead of interrupting.

    On leaving, both stay ignored: the process is about to end by itself. Only the main thread
    may enter.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        # Unlike an event it can be used by a handler that interrupts a wait at any instant.
        self._told: SimpleQueue[None] = SimpleQueue()

    def __bool__(self) -> bool:
        return self.received is not None

    def wait(self, seconds: float) -> bool:
        """Wait until told to stop, at most so long; tell whether that is so.

        A signal ends this wait at once. It does not end a wait inside rcl, so that the main
        thread must not stay there for long.
        """
        if not self:
            with contextlib.suppress(Empty):
                self._told.get(timeout=seconds)
        return bool(self)

    def request(self, reason: str) -> None:
        """Ask to stop for another reason than a signal."""
        if self.received is None:
            self.received = reason
        self._told.put(None)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.request(signal.Signals(number).name)

    def __enter__(self) -> StopSignals:
        for number in _SIGNALS:
            signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
