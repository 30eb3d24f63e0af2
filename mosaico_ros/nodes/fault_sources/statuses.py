"""Faults in diagnostic statuses: those of ``/diagnostics``, and those that nodes report here.

A status is OK, or it is not: WARN, ERROR and STALE are the severities WARN, ERROR and CRITICAL,
as ros2_medkit's bridge has them. That a status is OK is told of those only that were not.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mosaico_ros.nodes.fault_sources.base import Source
from mosaico_ros.nodes.fault_sources.scope import Scope
from mosaico_ros.nodes.faults import FaultEvent, Severity, fault_code
from mosaico_ros.nodes.topic_selection import compiled
from mosaico_ros.protocol.errors import InvalidArgumentError

_ALL = Scope()
LEVELS = {'WARN': 1, 'ERROR': 2, 'STALE': 3}


class Diagnostics(Source):
    """Statuses on ``/diagnostics``.

    The fault code is made of the name of the status, the source is its hardware id.

    Parameters
    ----------
    topic
        Where they are published.
    level
        From which level on one is a fault: a key of `LEVELS`.
    pattern
        Regular expression searched in the names; empty takes all.
    stale_sec
        A status not heard of for so long, seconds, is a fault; 0 lets them be silent.
    own
        What the names of the node's own statuses begin with: they are no faults of the robot.
    scope
        Whose statuses count: by name or hardware id.
    """

    types = ('diagnostic_msgs/msg/DiagnosticArray',)

    def __init__(
        self,
        topic: str,
        level: str,
        pattern: str = '',
        stale_sec: float = 0.0,
        own: str = '',
        scope: Scope = _ALL,
    ) -> None:
        self.topics = (topic,)
        self._level = LEVELS[level]
        self._pattern = compiled('diagnostics_pattern', pattern)
        self._stale_ns = int(stale_sec * 1e9)
        self._own = own
        self._scope = scope
        self._taken: dict[str, bool] = {}
        self._failing: set[str] = set()
        self._heard: dict[str, int] = {}

    def watches(self, topic: str) -> bool:
        """Tell whether it is the topic of diagnostics."""
        return topic == self.topics[0]

    def examine(
        self, topic: str, stamps: np.ndarray, rows: pa.RecordBatch
    ) -> Iterator[FaultEvent]:
        """Yield statuses that are bad, and those that are not bad any more."""
        arrays = rows.column('status')
        times = stamps[pc.list_parent_indices(arrays).to_numpy()]
        statuses = pc.list_flatten(arrays)
        names = pc.struct_field(statuses, 'name')
        if self._stale_ns:
            self._note_heard(names, times)
        levels = pc.struct_field(statuses, 'level').to_numpy()
        told = levels >= self._level
        if self._failing:
            known = pc.is_in(names, pa.array(sorted(self._failing)))
            told |= known.to_numpy(zero_copy_only=False)
        for i in np.flatnonzero(told).tolist():
            status = statuses[i].as_py()
            name = status['name']
            if not (self._takes(name) and self._scope.has(name, status['hardware_id'])):
                continue
            failed = bool(levels[i] >= self._level)
            if failed:
                self._failing.add(name)
            yield FaultEvent(
                fault_code(name),
                Severity(min(int(levels[i]), 3)),
                status['hardware_id'] or name,
                int(times[i]),
                failed,
                status['message'],
                {'diagnostic': name, **_values(status)},
            )

    def tick(self, now_ns: int) -> Iterator[FaultEvent]:
        """Yield statuses that have fallen silent."""
        for name, heard in self._heard.items():
            if self._stale_ns and now_ns - heard >= self._stale_ns:
                # Told again and again, as a status would be that says so of itself.
                self._heard[name] = now_ns
                self._failing.add(name)
                yield FaultEvent(
                    fault_code(name),
                    Severity.CRITICAL,
                    name,
                    now_ns,
                    description=f'no status for {self._stale_ns / 1e9:g} s',
                    extra={'diagnostic': name},
                )

    def _note_heard(self, names: pa.Array, times: np.ndarray) -> None:
        for name in pc.unique(names).to_pylist():
            # Of other robots' statuses some are silent and some are not; their names must tell.
            if self._takes(name) and self._scope.has(name):
                self._heard[name] = int(times[-1])

    def _takes(self, name: str) -> bool:
        taken = self._taken.get(name)
        if taken is None:
            taken = not (self._own and name.startswith(self._own))
            if self._pattern is not None:
                taken = taken and self._pattern.search(name) is not None
            self._taken[name] = taken
        return taken


class Reports(Source):
    """What nodes report themselves, by `FaultReporter` or by hand.

    One ``diagnostic_msgs/DiagnosticStatus`` is one report: its name is the fault code, OK says
    that the test passed. A value with the key ``severity`` overrides that of the level.

    Parameters
    ----------
    topic
        Where they report.
    scope
        Whose reports count, as far as they say who they are by a full name.
    """

    types = ('diagnostic_msgs/msg/DiagnosticStatus',)

    def __init__(self, topic: str, scope: Scope = _ALL) -> None:
        self.topics = (topic,)
        self._scope = scope

    def watches(self, topic: str) -> bool:
        """Tell whether it is the topic of reports."""
        return topic == self.topics[0]

    def examine(
        self, topic: str, stamps: np.ndarray, rows: pa.RecordBatch
    ) -> Iterator[FaultEvent]:
        """Yield every report."""
        for stamp, status in zip(stamps.tolist(), rows.to_pylist(), strict=True):
            reporter = status['hardware_id']
            if reporter.startswith('/') and not self._scope.has(reporter):
                continue
            values = _values(status)
            try:
                severity = Severity.parse(values.pop('severity', str(min(status['level'], 3))))
            except InvalidArgumentError:
                severity = Severity.ERROR
            yield FaultEvent(
                fault_code(status['name']),
                severity,
                reporter or topic,
                stamp,
                status['level'] != 0,
                status['message'],
                values,
            )


def _values(status: dict) -> dict[str, str]:
    return {pair['key']: pair['value'] for pair in status['values']}
