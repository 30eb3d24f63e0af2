"""What became of the reports about faults, on a topic: a recorder makes a history of it.

Snapshots are of what was confirmed. What nearly was, came back too soon or was too mild leaves no
snapshot, and is what somebody who sets a threshold wants to look at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mosaico_ros.nodes.faults import FaultEvent


@dataclass(frozen=True)
class FaultNote:
    """What became of a fault at one moment.

    Attributes
    ----------
    outcome
        ``snapshot``, ``cooling``, ``mild``, ``refused``, ``healed`` or ``near_miss``.
    event
        The report that decided it.
    sources
        Who had reported it.
    reports
        How many failed reports there were.
    snapshot_id
        Of the snapshot, if there is one.
    """

    outcome: str
    event: FaultEvent
    sources: tuple[str, ...]
    reports: int
    snapshot_id: str = ''


def status(note: FaultNote, robot_id: str) -> Any:
    """Return a note as a ``diagnostic_msgs/msg/DiagnosticStatus``; its name is the fault code."""
    from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

    event = note.event
    values = {
        'outcome': note.outcome,
        'severity': event.severity.label,
        'reports': note.reports,
        'sources': ','.join(note.sources),
        'stamp_ns': event.stamp,
        'snapshot_id': note.snapshot_id,
        **event.extra,
    }
    # OK would say that it passed, and what is above ERROR that it is stale.
    level = 0 if note.outcome == 'healed' else min(max(event.severity, 1), 2)
    return DiagnosticStatus(
        level=bytes([level]),
        name=event.fault_code,
        message=event.description,
        hardware_id=robot_id,
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )
