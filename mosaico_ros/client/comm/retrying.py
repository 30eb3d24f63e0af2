"""Trying again while the daemon is away."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from mosaico_ros.client.logging_config import get_logger
from mosaico_ros.protocol.errors import DeadlineExceededError, UnavailableError

__all__ = ['repeat']

logger = get_logger(__name__)

# A daemon that restarts is back after about a second; many clients must not knock in step.
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0

_T = TypeVar('_T')


def repeat(attempt: Callable[[float], _T], seconds: float, sleep: Callable[[float], object]) -> _T:
    """Do something that is safe to repeat, again for as long as the daemon is away.

    Only UNAVAILABLE is tried again: whatever else the daemon says, it would say again.

    Parameters
    ----------
    attempt
        Called with the seconds that are left.
    seconds
        How long to try.
    sleep
        Waits for some seconds, or less if there is no use in waiting any more.

    Raises
    ------
    UnavailableError
        The daemon did not come back in time.

    """
    deadline = time.monotonic() + seconds
    longest = _FIRST_PAUSE_S
    lost: UnavailableError | None = None
    while True:
        try:
            return attempt(deadline - time.monotonic())
        except UnavailableError as error:
            if lost is None:
                logger.warning('%s; trying again for %g s', error.message, seconds)
            lost = error
        except DeadlineExceededError:
            # A last attempt that had no time left says less than the ones before it.
            if lost is None:
                raise
        pause = random.uniform(longest / 2, longest)
        if time.monotonic() + pause >= deadline:
            raise UnavailableError(
                f'{lost.message} (tried for {seconds:g} s)',
                remedy=lost.remedy or 'Is it running? call_timeout of connect() allows more time.',
            ) from lost
        sleep(pause)
        longest = min(longest * 2, _LONGEST_PAUSE_S)
