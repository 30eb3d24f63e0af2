"""Read ahead in a thread of its own, as far as memory allows."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator

from mosaico_ros.nodes.playback import Batch


class ReadAhead:
    """A feed that a thread fills.

    Parameters
    ----------
    batches
        What is read, in that thread.
    wake
        Called when there is something to take, or the end.
    max_bytes
        Payloads that may wait; at least one batch always may.
    """

    def __init__(self, batches: Iterator[Batch], wake: Callable[[], None], max_bytes: int) -> None:
        self._wake = wake
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Batch, int]] = deque()
        self._bytes = 0
        self._closed = self._done = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(
            target=self._read, args=(batches,), name='read-ahead', daemon=True
        )
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether everything was taken.

        Raises
        ------
        MosaicoError
            What the reading failed of.
        """
        with self._changed:
            if self._waiting or not self._done:
                return False
            if self._failure is not None:
                raise self._failure
            return True

    def take(self) -> Batch | None:
        """Return the next messages, None if none are there now."""
        with self._changed:
            if not self._waiting:
                return None
            batch, size = self._waiting.popleft()
            self._bytes -= size
            self._changed.notify_all()
            return batch

    def close(self) -> None:
        """Stop reading; what is being read is let go of by the thread, as soon as it can."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def _read(self, batches: Iterator[Batch]) -> None:
        try:
            for batch in batches:
                size = sum(map(len, batch.payloads))
                with self._changed:
                    self._changed.wait_for(
                        lambda size=size: (  # type: ignore[misc]
                            self._closed
                            or not self._bytes
                            or self._bytes + size <= self._max_bytes
                        )
                    )
                    if self._closed:
                        return
                    self._waiting.append((batch, size))
                    self._bytes += size
                self._wake()
        except BaseException as error:
            self._failure = error
        finally:
            close = getattr(batches, 'close', None)
            if close is not None:
                close()
            with self._changed:
                self._done = True
            self._wake()
