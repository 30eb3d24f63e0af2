"""Which topics give way while the spool fills up, so that those that matter go on for longer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum


class Stage(Enum):
    """How full the spool is: the text is what happens then."""

    ROOMY = 'there is room again, and everything is kept'
    GREEDY = 'of the lowest topic_priority, topics that hold more than their share are dropped'
    SHED = 'topics that hold more than their share, or of the lowest topic_priority, are dropped'
    FULL = 'everything is dropped until there is room'


# From which part on a stage begins, and below which it ends. Full is what does not fit.
_BEGINS = {Stage.GREEDY: 0.8, Stage.SHED: 0.9}
_ENDS = {Stage.GREEDY: 0.7, Stage.SHED: 0.85, Stage.FULL: 0.98}
_ORDER = tuple(Stage)


class SpoolRoom:
    """Decides which topics are still spooled.

    A topic's share is an equal part of what the spool holds, for each topic in it: a camera that
    has filled most of it gives way to what needs little.

    Parameters
    ----------
    priority
        Returns the priority of a topic by its name.

    Attributes
    ----------
    stage
        How full it is.
    changes
        What to tell the user about stages entered, oldest first; whoever tells it takes it out.
    """

    def __init__(self, priority: Callable[[str], int]) -> None:
        self._priority = priority
        self._shed: frozenset[str] = frozenset()
        self.stage = Stage.ROOMY
        self.changes: deque[tuple[str, bool]] = deque()

    def drops(self, topic: str) -> bool:
        """Tell whether a topic is to give way now."""
        return self.stage is Stage.FULL or topic in self._shed

    def review(self, fill: float, holdings: Mapping[str, int]) -> None:
        """Decide anew.

        Parameters
        ----------
        fill
            The part of the room that is used, 0 to 1.
        holdings
            Bytes in the spool by name of the topic.
        """
        rank = _ORDER.index(self.stage)
        while rank > 0 and fill < _ENDS[_ORDER[rank]]:
            rank -= 1
        while _BEGINS.get(_ORDER[min(rank + 1, 3)], 2.0) <= fill:
            rank += 1
        self._shed = self._giving_way(_ORDER[rank], holdings)
        self._enter(_ORDER[rank], fill)

    def overflow(self) -> None:
        """Note that something did not fit."""
        self._enter(Stage.FULL, 1.0)

    def _giving_way(self, stage: Stage, holdings: Mapping[str, int]) -> frozenset[str]:
        if stage is Stage.ROOMY or not holdings:
            return frozenset()
        share = sum(holdings.values()) / len(holdings)
        greedy = {name for name, size in holdings.items() if size > share}
        priorities = {name: self._priority(name) for name in holdings}
        lowest = min(priorities.values())
        least = {name for name, priority in priorities.items() if priority == lowest}
        if stage is Stage.GREEDY:
            return frozenset(greedy & least)
        return frozenset(greedy | least if len(least) < len(holdings) else greedy)

    def _enter(self, stage: Stage, fill: float) -> None:
        if stage is self.stage:
            return
        worse = _ORDER.index(stage) > _ORDER.index(self.stage)
        self.stage = stage
        named = ', '.join(sorted(self._shed)[:3]) if stage in _BEGINS else ''
        self.changes.append(
            (
                f'the spool is {100 * fill:.0f} % full: {stage.value}'
                + (f'; now {named}' if named else ''),
                worse,
            )
        )
