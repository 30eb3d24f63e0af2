"""Which messages were heard before and which never arrived, by the publishers' own numbers."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

# More gaps than this in the numbers of one publisher are not told apart any more: the oldest is
# given up. What is still to fill a gap comes within a few messages.
_MAX_RUNS = 1000
# How many messages back a repetition is recognised where publishers have no numbers or no names;
# the fewer while there is one subscription, so that only what is latched can come again.
_RECENT = 4096
_RECENT_OF_ONE = 512
# So much of a payload is looked at to tell messages apart, beside its length, bytes.
_LOOKED_AT = 4096


class Runs:
    """A set of numbers that are mostly consecutive, as runs."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._given_up = 0

    @property
    def missing(self) -> int:
        """How many numbers between the first and the last are not in the set."""
        gaps = sum(self._starts[1:]) - sum(self._ends[:-1]) - max(0, len(self._ends) - 1)
        return gaps + self._given_up

    def add(self, first: int, last: int) -> list[tuple[int, int]]:
        """Add ``first`` to ``last``, both inclusive; return the runs of them that are new."""
        starts, ends = self._starts, self._ends
        if ends and first == ends[-1] + 1:
            ends[-1] = last
            return [(first, last)]
        low, high = bisect_left(ends, first - 1), bisect_right(starts, last + 1)
        new = []
        at = first
        for start, end in zip(starts[low:high], ends[low:high], strict=True):
            if start > at:
                new.append((at, start - 1))
            at = max(at, end + 1)
        if at <= last:
            new.append((at, last))
        joined = (min([first, *starts[low:high]]), max([last, *ends[low:high]]))
        starts[low:high], ends[low:high] = [joined[0]], [joined[1]]
        while len(starts) > _MAX_RUNS:
            self._given_up += starts[1] - ends[0] - 1
            del starts[1], ends[0]
        return new

    def follow(self, first: int, last: int) -> bool:
        """Add numbers if they follow on the last one; tell whether they do."""
        if not self._ends or first != self._ends[-1] + 1:
            return False
        self._ends[-1] = last
        return True


class _Recent:
    """The last few thousand keys."""

    def __init__(self) -> None:
        self._young: set[int] = set()
        self._old: set[int] = set()

    def knew(self, key: int, horizon: int) -> bool:
        """Tell whether the key was among the last `horizon`, and remember it."""
        if key in self._young:
            return True
        known = key in self._old
        self._young.add(key)
        if len(self._young) >= horizon:
            self._young, self._old = set(), self._young
        return known


class Publications:
    """What was heard of one topic, over all subscriptions to it.

    rmw numbers publications per publisher. Kilted and newer say which publisher a message comes
    from; Iron and Jazzy number without naming the publisher, which counts losses exactly as long
    as there is one per topic; Humble does not number at all. What was published before the first
    message received is not a loss, and a loss shows only when a later message arrives: what is
    missing after the last one cannot be known.
    """

    def __init__(self) -> None:
        self._runs: dict[bytes | None, Runs] = {}
        self._recent = _Recent()
        self._ambiguous = False

    def several_publishers(self) -> None:
        """Note that a topic has more than one publisher, so that unnamed numbers mean nothing."""
        self._ambiguous = True

    @property
    def lost(self) -> int | None:
        """Messages lost in transport so far, or None where that cannot be known."""
        if not self._runs or (self._ambiguous and None in self._runs):
            return None
        return sum(runs.missing for runs in self._runs.values())

    def news(
        self,
        publishers: Sequence[bytes | None],
        numbers: np.ndarray,
        sources: np.ndarray,
        payloads: Sequence[bytes],
        *,
        repeated: bool,
    ) -> np.ndarray | None:
        """Note messages and tell which of them had not been heard before.

        Parameters
        ----------
        publishers
            Identifier of each message's publisher; None where the rmw names none.
        numbers
            The publisher's number of each, int64; negative where the rmw does not number.
        sources
            When each was sent, ns, int64; 0 where unknown.
        repeated
            Whether the same message can come twice, because there are several subscriptions.

        Returns
        -------
        numpy.ndarray or None
            True for each message that is new; None if all are.
        """
        new = np.ones(len(numbers), bool)
        for publisher, rows in _by_publisher(publishers):
            of_publisher = numbers[rows]
            if of_publisher[0] >= 0:
                heard = self._heard(publisher, of_publisher)
                if publisher is not None:
                    new[rows] = heard
                    continue
            horizon = _RECENT if repeated else _RECENT_OF_ONE
            keys = _keys(of_publisher, sources[rows], payloads, rows)
            known = [key is not None and self._recent.knew(key, horizon) for key in keys]
            if repeated:
                new[rows] = np.logical_not(known)
        return None if new.all() else new

    def follow(self, publisher: bytes, first: int, last: int) -> bool:
        """Note all of some numbers if they follow on a publisher's last; tell whether they do."""
        runs = self._runs.get(publisher)
        return runs is not None and runs.follow(first, last)

    def _heard(self, publisher: bytes | None, numbers: np.ndarray) -> np.ndarray:
        runs = self._runs.setdefault(publisher, Runs())
        first, last = int(numbers[0]), int(numbers[-1])
        new = np.zeros(len(numbers), bool)
        if last - first == len(numbers) - 1 and bool((np.diff(numbers) == 1).all()):
            for start, end in runs.add(first, last):
                new[start - first : end - first + 1] = True
            return new
        different, index = np.unique(numbers, return_index=True)
        breaks = np.flatnonzero(np.diff(different) != 1) + 1
        for start, end in pairwise([0, *breaks.tolist(), len(different)]):
            base = int(different[start])
            for one, other in runs.add(base, int(different[end - 1])):
                new[index[start + one - base : start + other - base + 1]] = True
        return new


def _by_publisher(publishers: Sequence[bytes | None]) -> list[tuple[bytes | None, np.ndarray]]:
    count = len(publishers)
    if list(publishers).count(publishers[0]) == count:
        return [(publishers[0], np.arange(count))]
    rows: dict[bytes | None, list[int]] = {}
    for row, publisher in enumerate(publishers):
        rows.setdefault(publisher, []).append(row)
    return [(publisher, np.array(where)) for publisher, where in rows.items()]


def _keys(
    numbers: np.ndarray, sources: np.ndarray, payloads: Sequence[bytes], rows: np.ndarray
) -> list[int | None]:
    # Without the time of sending equal messages cannot be told from repeated ones: all are kept.
    return [
        hash((source, number if number >= 0 else _looks(payloads[row]))) if source else None
        for number, source, row in zip(
            numbers.tolist(), sources.tolist(), rows.tolist(), strict=True
        )
    ]


def _looks(payload: bytes) -> tuple[int, bytes]:
    return len(payload), payload[:_LOOKED_AT]
