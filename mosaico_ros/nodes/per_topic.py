"""Numbers given per topic: ``/camera/*=5``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np

from mosaico_ros.nodes.topic_selection import matches
from mosaico_ros.protocol.errors import InvalidArgumentError

Number = TypeVar('Number', int, float)


class PerTopic(Generic[Number]):
    """A number for each topic whose name matches.

    Parameters
    ----------
    parameter
        Name of the parameter, for errors.
    entries
        ``name=number``; the name may be a glob. The first that matches counts.
    resolve
        Makes a full name of one that is not a glob.
    low
        The number must be larger.

    Raises
    ------
    InvalidArgumentError
        An entry is malformed.
    """

    def __init__(
        self,
        parameter: str,
        entries: Sequence[str],
        kind: Callable[[str], Number],
        *,
        resolve: Callable[[str], str],
        low: float = float('-inf'),
    ) -> None:
        self._numbers: list[tuple[str, Number]] = []
        for entry in entries:
            name, sign, text = entry.rpartition('=')
            try:
                number = kind(text)
            except ValueError:
                number = None
            if not (name and sign) or number is None or not low < number < float('inf'):
                raise InvalidArgumentError(
                    f'{parameter}: {entry!r} is not a name and a '
                    + ('whole number' if kind is int else 'number')
                    + (f' larger than {low:g}' if low > float('-inf') else ''),
                    remedy='write it like /camera/*=5',
                )
            self._numbers.append((resolve(name), number))

    def of(self, name: str) -> Number | None:
        """Return the number of a topic, or None."""
        for pattern, number in self._numbers:
            if matches(name, (pattern,)):
                return number
        return None


class Throttle:
    """Keep at most so many messages a second, by their stamps.

    The first message is kept, and a jump back in time begins anew.
    """

    def __init__(self, max_hz: float) -> None:
        self._period = round(1e9 / max_hz)
        self._last: int | None = None

    def keep(self, stamps: np.ndarray) -> np.ndarray:
        """Tell of each stamp (ns) whether its message is kept."""
        kept = np.zeros(len(stamps), bool)
        last, period = self._last, self._period
        for row, stamp in enumerate(stamps.tolist()):
            if last is None or not 0 <= stamp - last < period:
                kept[row] = True
                last = stamp
        self._last = last
        return kept
