"""Threads that decode and send, while the caller reads on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType

from mosaico_ros.ros_bridge.bags import MessageGroup

#: Waiting for the daemon (a topic being created or sealed, flow control) is most of what a worker
#: does, so a few more than there are processors.
WORKERS = 4
WAITING_BYTES = 64 << 20


class LaneWorkers:
    """Hands groups of messages to threads, every topic always to the same one, in order.

    Used as a context manager: at the end of the block all work is done, or, if the block or a
    worker failed, given up; in either case no thread is left.

    Parameters
    ----------
    store : callable
        Called with each group.
    finish : callable
        Called with each topic's name when its last group is stored.
    waiting_bytes : int
        Bytes of payload that may wait between reading and sending; a group more than that may.
    """

    def __init__(
        self,
        store: Callable[[MessageGroup], None],
        finish: Callable[[str], None],
        waiting_bytes: int = WAITING_BYTES,
    ) -> None:
        self._store = store
        self._finish = finish
        self._waiting_bytes = waiting_bytes
        self._queues: list[queue.SimpleQueue[MessageGroup | None]] = []
        self._threads: list[threading.Thread] = []
        self._worker_of: dict[str, int] = {}
        self._room = threading.Condition()
        self._waiting = 0
        self._error: BaseException | None = None
        self._given_up = False

    def put(self, group: MessageGroup) -> None:
        """Queue a group; waits while too much is queued.

        Raises
        ------
        BaseException
            Whatever a worker failed with.
        """
        with self._room:
            while self._waiting >= self._waiting_bytes and self._error is None:
                self._room.wait()
            if self._error is not None:
                raise self._error
            self._waiting += group.nbytes
        number = self._worker_of.setdefault(group.topic, len(self._worker_of) % WORKERS)
        while len(self._threads) <= number:
            self._start()
        self._queues[number].put(group)

    def __enter__(self) -> LaneWorkers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._given_up = error is not None
        for waiting in self._queues:
            waiting.put(None)
        try:
            self._join()
        except BaseException:  # Ctrl-C, while the last groups are sent
            self._given_up = True
            self._join()
            raise
        if error is None and self._error is not None:
            raise self._error

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _start(self) -> None:
        number = len(self._threads)
        self._queues.append(queue.SimpleQueue())
        thread = threading.Thread(
            target=self._work, args=(number,), name=f'bag-lane-{number}', daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _work(self, number: int) -> None:
        while (group := self._queues[number].get()) is not None:
            self._guarded(self._store, group)
            with self._room:
                self._waiting -= group.nbytes
                self._room.notify()
        for topic, worker in self._worker_of.items():
            if worker == number:
                self._guarded(self._finish, topic)

    def _guarded(self, call: Callable[..., None], argument: object) -> None:
        if self._given_up or self._error is not None:
            return
        try:
            call(argument)
        except BaseException as error:
            with self._room:
                self._error = self._error or error
                self._room.notify()
