"""Faults of actions: goals that were aborted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mosaico_ros.nodes.fault_sources.base import Source
from mosaico_ros.nodes.faults import FaultEvent, Severity, fault_code

_SUCCEEDED, _ABORTED = 4, 6
_SUFFIX = '/_action/status'
# A status is repeated with every change of any goal until its goal is forgotten.
_REMEMBERED_GOALS = 10_000


class Actions(Source):
    """Goals that end as ABORTED; one that succeeds says that the fault passed.

    The fault code is the action's name and ABORTED.

    Parameters
    ----------
    names
        Full names of actions, or globs.
    """

    types = ('action_msgs/msg/GoalStatusArray',)

    def __init__(self, names: Sequence[str]) -> None:
        self.topics = tuple(f'{name.rstrip("/")}{_SUFFIX}' for name in names)
        self._told: dict[bytes, None] = {}

    def watches(self, topic: str) -> bool:
        """Tell whether it is the status of one of the actions."""
        return any(fnmatchcase(topic, pattern) for pattern in self.topics)

    def examine(
        self, topic: str, stamps: np.ndarray, rows: pa.RecordBatch
    ) -> Iterator[FaultEvent]:
        """Yield goals that have ended since the last look."""
        lists = rows.column('status_list')
        times = stamps[pc.list_parent_indices(lists).to_numpy()]
        goals = pc.list_flatten(lists)
        states = pc.struct_field(goals, 'status').to_numpy()
        action = topic.removesuffix(_SUFFIX)
        for i in np.flatnonzero((states == _ABORTED) | (states == _SUCCEEDED)).tolist():
            goal = bytes(goals[i]['goal_info']['goal_id']['uuid'].as_py())
            if goal in self._told:
                continue
            self._told[goal] = None
            if len(self._told) > _REMEMBERED_GOALS:
                del self._told[next(iter(self._told))]
            failed = bool(states[i] == _ABORTED)
            yield FaultEvent(
                fault_code(f'{action} aborted'),
                Severity.ERROR,
                action,
                int(times[i]),
                failed,
                f'a goal of {action} was aborted' if failed else '',
                {'goal_id': goal.hex()},
            )
