"""Faults: what every source reports, and what a snapshot is taken of.

Whatever notices a fault (a diagnostic status, a log line, an aborted action, a value out of
bounds, another node, a person) says it as one `FaultEvent`; the debouncer makes a `Fault` of
enough of them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from mosaico_ros.protocol.errors import InvalidArgumentError


class Severity(IntEnum):
    """How bad a fault is; the numbers are those of ros2_medkit."""

    INFO = 0
    WARN = 1
    ERROR = 2
    CRITICAL = 3

    @property
    def label(self) -> str:
        """Name in the metadata of a snapshot, as existing queries spell it."""
        return 'WARNING' if self is Severity.WARN else self.name

    @classmethod
    def parse(cls, text: str) -> Severity:
        """Read a name or a number.

        Raises
        ------
        InvalidArgumentError
            It is neither.
        """
        word = text.strip().upper()
        if word == 'WARNING':
            return cls.WARN
        for severity in cls:
            if word in (severity.name, str(severity.value)):
                return severity
        raise InvalidArgumentError(
            f'{text!r} is not a severity', remedy='write INFO, WARN, ERROR or CRITICAL, or 0 to 3'
        )


@dataclass(frozen=True)
class FaultEvent:
    """One report about a fault.

    Attributes
    ----------
    fault_code
        What is wrong, such as ``MOTOR_OVERHEAT``.
    severity
        How bad it is; without meaning where it passed.
    source
        Who reports it: the node, the hardware, or the rule.
    stamp
        When, ns since the epoch, on the time axis of the captured messages.
    failed
        Whether the fault is there; False says that its test passed.
    description
        For a person.
    extra
        Further facts, kept with the snapshot.
    decided
        Whether the source has made sure already: nothing is counted or waited for.
    """

    fault_code: str
    severity: Severity
    source: str
    stamp: int
    failed: bool = True
    description: str = ''
    extra: Mapping[str, str] = field(default_factory=dict)
    decided: bool = False


@dataclass(frozen=True)
class Fault:
    """A fault of which a snapshot is to be taken: the event that confirmed it, and who told.

    Attributes
    ----------
    robot_id
        The robot it happened on.
    event
        The report that confirmed it.
    reporting_sources
        All who reported it since it was last healed, in the order in which they first did.
    reports
        How many reports that took.
    """

    robot_id: str
    event: FaultEvent
    reporting_sources: tuple[str, ...]
    reports: int = 1

    @property
    def snapshot_id(self) -> str:
        """The same for the same robot, code and stamp, whoever computes it: 16 hex digits."""
        text = '\0'.join((self.robot_id, self.event.fault_code, str(self.event.stamp)))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def fault_code(text: str) -> str:
    """Make a fault code of any text: ``left motor: temperature`` is LEFT_MOTOR_TEMPERATURE."""
    return re.sub(r'[^A-Za-z0-9]+', '_', text).strip('_').upper() or 'UNNAMED'
