"""Numbers that the tests of a machine share: ports, ROS domains."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterable, Iterator

__all__ = ['Reservation', 'reserve_port']


class Reservation:
    """The first free number of a range; no other process of the tests gets it while this lives."""

    def __init__(self, kind: str, numbers: Iterable[int]) -> None:
        self._lock = socket.socket(socket.AF_UNIX)
        for self.number in numbers:
            # A name without a file, which the system forgets with the process.
            with contextlib.suppress(OSError):
                self._lock.bind(f'\0mosaico_ros_test_{kind}_{self.number}')
                return
        raise RuntimeError(f'Every {kind} for tests is taken by other runs')

    def end(self) -> None:
        """Let others have it."""
        self._lock.close()


def reserve_port() -> Reservation:
    """Reserve a port on which nobody listens.

    The system never gives it to a connection, as it does with ports from 32768 on: it is still
    free when a daemon that was killed comes back to it.
    """

    def unused() -> Iterator[int]:
        for port in random.Random().sample(range(15_000, 32_000), 1_000):
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind(('127.0.0.1', port))
                yield port

    return Reservation('port', unused())
