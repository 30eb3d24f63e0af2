"""Faults of ros2_medkit: the events of its fault manager, which has counted them already."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from mosaico_ros.nodes.fault_sources.base import Source
from mosaico_ros.nodes.fault_sources.scope import Scope
from mosaico_ros.nodes.faults import FaultEvent, Severity
from mosaico_ros.ros_bridge.definitions import Types, parse_definition

_ALL = Scope()
#: Value of ``pipeline`` in the extra facts of its faults.
MEDKIT = 'ros2_medkit'
FAULT_EVENT = 'ros2_medkit_msgs/msg/FaultEvent'

# The layout of ros2_medkit_msgs 0.6, for robots whose package lacks its .msg files.
_DEFINITION = """\
string event_type
ros2_medkit_msgs/Fault fault
builtin_interfaces/Time timestamp
================================================================================
MSG: ros2_medkit_msgs/Fault
string fault_code
uint8 severity
string description
builtin_interfaces/Time first_occurred
builtin_interfaces/Time last_occurred
builtin_interfaces/Time last_passed
uint32 occurrence_count
string status
string[] reporting_sources
"""


class Medkit(Source):
    """Events on ``/fault_manager/events``.

    A confirmed fault is one here too; a cleared or healed one has passed.

    Parameters
    ----------
    topic
        Where the fault manager publishes.
    scope
        Whose faults count, as far as their reporters have full names.
    """

    types = (FAULT_EVENT,)

    def __init__(self, topic: str, scope: Scope = _ALL) -> None:
        self.topics = (topic,)
        self._scope = scope

    @property
    def definitions(self) -> Types:
        """Layout of the event."""
        return parse_definition(_DEFINITION, FAULT_EVENT)

    def watches(self, topic: str) -> bool:
        """Tell whether it is the topic of events."""
        return topic == self.topics[0]

    def examine(
        self, topic: str, stamps: np.ndarray, rows: pa.RecordBatch
    ) -> Iterator[FaultEvent]:
        """Yield faults that were confirmed, cleared or healed."""
        for stamp, event in zip(stamps.tolist(), rows.to_pylist(), strict=True):
            fault = event['fault']
            failed = event['event_type'] == 'fault_confirmed'
            if not failed and fault['status'] not in ('CLEARED', 'HEALED'):
                continue
            named = [each for each in fault['reporting_sources'] if each.startswith('/')]
            if named and not self._scope.has(*named):
                continue
            reporters = ','.join(fault['reporting_sources'])
            yield FaultEvent(
                fault['fault_code'],
                Severity(min(fault['severity'], 3)),
                reporters or topic,
                stamp,
                failed,
                fault['description'],
                {
                    'pipeline': MEDKIT,
                    'medkit_status': fault['status'],
                    'medkit_occurrences': str(fault['occurrence_count']),
                    'medkit_event_ns': str(_nanoseconds(event['timestamp'])),
                },
                decided=True,
            )


def _nanoseconds(time: dict[str, int]) -> int:
    return time['sec'] * 10**9 + time['nanosec']
