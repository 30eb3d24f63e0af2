"""Memory for messages on their way, shared between topics, and what gives way when it is tight."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto


class Fate(Enum):
    """What is to become of messages just taken."""

    KEEP = auto()
    THIN = auto()  # every second one is kept
    DROP = auto()
    PAUSED = auto()


class Stage(Enum):
    """How tight memory is: the text is what happens then."""

    ROOMY = 'there is room again; everything is kept'
    THROTTLE = 'of topics that hold more than their share every second message is dropped'
    SHED = 'topics that hold more than their share, or of the lowest priority, are dropped'
    FULL = 'everything is dropped'


# From which part of the limit on a stage begins, and below which it ends.
_BEGINS = {Stage.THROTTLE: 0.75, Stage.SHED: 0.9, Stage.FULL: 1.0}
_ENDS = {Stage.THROTTLE: 0.65, Stage.SHED: 0.8, Stage.FULL: 0.97}
_ORDER = tuple(Stage)


@dataclass
class Holding:
    """The memory of one topic; each counter only grows and is written by one thread.

    A topic of higher priority is shed later.
    """

    name: str
    priority: int = 0
    taken: int = 0
    released: int = 0

    @property
    def bytes(self) -> int:
        """Bytes it holds now."""
        return self.taken - self.released


class Budget:
    """Bound of the bytes that wait in memory, over all topics.

    A topic's share is an equal part for each topic that holds something. Shares only count when
    memory is tight: then a topic over its share gives way first, so that a camera never evicts
    the rest.

    Parameters
    ----------
    limit
        Bytes.

    Attributes
    ----------
    stage
        How tight it is.
    peak
        Most bytes that waited at once, as seen once per round.
    changes
        What to tell the user about stages entered, oldest first; whoever tells it takes it out.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.stage = Stage.ROOMY
        self.peak = 0
        self.changes: deque[tuple[str, bool]] = deque()
        self._taken = 0
        self._released = 0
        self._share = limit
        self._alarm = int(limit * _BEGINS[Stage.THROTTLE])
        self._lowest: int | None = None
        self._holdings: list[Holding] = []
        self._handed: deque[tuple[Holding, int]] = deque()
        self._lock = threading.Lock()

    @property
    def pending(self) -> int:
        """Bytes taken from the middleware and not yet released."""
        return self._taken - self._released

    @property
    def tight(self) -> bool:
        """Tell whether messages may have to give way."""
        return self.stage is not Stage.ROOMY or self._taken - self._released >= self._alarm

    def open(self, name: str, priority: int = 0) -> Holding:
        """Return the holding of a new topic."""
        holding = Holding(name, priority)
        self._holdings.append(holding)
        return holding

    def charge(self, holding: Holding, size: int) -> None:
        """Note bytes taken; negative ones were dropped again."""
        holding.taken += size
        self._taken += size

    def handed(self, holding: Holding, size: int) -> None:
        """Note that a parcel of a topic was handed over; its bytes are released later."""
        self._handed.append((holding, size))

    def release(self, size: int) -> None:
        """Free bytes of what was handed over, in the order in which it was."""
        with self._lock:
            self._released += size
            while size > 0 and self._handed:
                holding, waiting = self._handed.popleft()
                freed = min(size, waiting)
                holding.released += freed
                size -= freed
                if freed < waiting:
                    self._handed.appendleft((holding, waiting - freed))

    def review(self) -> None:
        """Divide the memory between those who hold some now; called once per round."""
        pending = self.pending
        if pending > self.peak:
            self.peak = pending
        if self.tight:
            self._divide()
            self._restage()

    def fate(self, holding: Holding, size: int) -> Fate:
        """Decide about messages of a topic; their `size` is charged, but does not count yet."""
        if self.tight:
            self._restage(size)
        if self.stage is Stage.ROOMY:
            return Fate.KEEP
        if self.stage is Stage.FULL:
            return Fate.DROP
        greedy = holding.bytes - size > self._share
        if self.stage is Stage.THROTTLE:
            return Fate.THIN if greedy else Fate.KEEP
        return Fate.DROP if greedy or holding.priority == self._lowest else Fate.KEEP

    def _holders(self) -> list[Holding]:
        return [holding for holding in self._holdings if holding.bytes > 0]

    def _divide(self) -> None:
        self._share = self.limit // max(1, len(self._holders()))
        priorities = {holding.priority for holding in self._holdings}
        self._lowest = min(priorities) if len(priorities) > 1 else None

    def _restage(self, undecided: int = 0) -> None:
        fill = (self.pending - undecided) / self.limit
        before = rank = _ORDER.index(self.stage)
        while rank + 1 < len(_ORDER) and fill >= _BEGINS[_ORDER[rank + 1]]:
            rank += 1
        while rank > 0 and fill < _ENDS[_ORDER[rank]]:
            rank -= 1
        if rank != before:
            self.stage = _ORDER[rank]
            self._divide()
            self.changes.append((self._told(self._holders()), rank > before))

    def _told(self, holders: list[Holding]) -> str:
        largest = sorted(holders, key=lambda holding: -holding.bytes)[:3]
        return (
            f'memory for messages is {100 * self.pending / self.limit:.0f} % full: '
            f'{self.stage.value}'
            + (f'; most is held by {", ".join(each.name for each in largest)}' if largest else '')
        )
