"""A bound on what several callers hold at once, given out in the order of asking."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mosaico_ros.protocol.errors import CancelledError

__all__ = ['Alive', 'Budget']

#: Tells whether the caller is still there; what nobody waits for any more is given up.
Alive = Callable[[], bool]

# How soon it is noticed that a waiting caller has gone.
_POLL_SECONDS = 0.1


class Budget:
    """Counts of something: places, or bytes.

    Parameters
    ----------
    limit
        What is there in all; 0 means no limit.

    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, amount: int, alive: Alive) -> Iterator[None]:
        """Hold an amount, at most the limit, inside the block; wait for it in line.

        Raises
        ------
        CancelledError
            If the caller has gone while waiting.

        """
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                while self._waiting[0] is not ticket or self._lacks(amount):
                    if not alive():
                        raise CancelledError('The caller went away before it was served')
                    self._changed.wait(_POLL_SECONDS)
                self._held += amount
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._held -= amount
                self._changed.notify_all()

    def _lacks(self, amount: int) -> bool:
        return bool(self.limit) and self._held + amount > self.limit
