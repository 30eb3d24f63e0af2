"""Ending calls whose client takes nothing of their answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ['Untaken']


class Untaken:
    """The messages that gRPC has not been able to send yet, one per call at most.

    A thread that sends cannot look at the clock, so another one cancels its call.

    Parameters
    ----------
    seconds
        How long a message may wait for its client; 0 for ever.

    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._offers: dict[Any, float] = {}
        if seconds:
            threading.Thread(target=self._watch, name='untaken', daemon=True).start()

    @contextmanager
    def offered(self, context: Any) -> Iterator[None]:
        """Note that a call is offering a message for as long as the block lasts."""
        self._offers[context] = time.monotonic()
        try:
            yield
        finally:
            del self._offers[context]

    def _watch(self) -> None:
        while True:
            time.sleep(min(self._seconds / 4, 10.0))
            oldest = time.monotonic() - self._seconds
            for context, since in list(self._offers.items()):
                if since < oldest:
                    context.cancel()
