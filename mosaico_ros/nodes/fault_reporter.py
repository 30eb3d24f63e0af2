"""Report faults from any Python node.

::

    from mosaico_ros.nodes.fault_reporter import FaultReporter
    from mosaico_ros.nodes.faults import Severity

    faults = FaultReporter(node)
    faults.failed('GRIPPER_SLIPS', Severity.WARN, 'the object moved 4 mm', object='bottle')
    faults.passed('GRIPPER_SLIPS')

A report is one ``diagnostic_msgs/DiagnosticStatus``, so that any language can make one.
"""

from __future__ import annotations

from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.qos import QoSProfile

from mosaico_ros.nodes.faults import Severity

#: Default of the fault snapshot's parameter `report_topic`.
REPORT_TOPIC = '/faults/report'


class FaultReporter:
    """Reports to the fault snapshot nodes of a robot.

    Parameters
    ----------
    node
        The rclpy node that reports.
    topic
        Where to.
    source
        Who reports; default is the full name of the node.
    """

    def __init__(self, node: Any, topic: str = REPORT_TOPIC, source: str = '') -> None:
        self._source = source or node.get_fully_qualified_name()
        # Reliable, and deep enough for a burst.
        self._publisher = node.create_publisher(DiagnosticStatus, topic, QoSProfile(depth=100))

    def failed(
        self,
        fault_code: str,
        severity: Severity = Severity.ERROR,
        description: str = '',
        **extra: Any,
    ) -> None:
        """Say that a fault is there.

        Parameters
        ----------
        fault_code
            What is wrong, such as ``MOTOR_OVERHEAT``.
        severity
            How bad it is.
        description
            For a person.
        **extra
            Further facts, kept with the snapshot as text.
        """
        self._report(fault_code, severity, description, extra)

    def passed(self, fault_code: str) -> None:
        """Say that the test of a fault found nothing."""
        self._report(fault_code, None, '', {})

    def _report(
        self, code: str, severity: Severity | None, description: str, extra: dict[str, Any]
    ) -> None:
        values = [KeyValue(key=key, value=str(value)) for key, value in extra.items()]
        level = 0
        if severity is not None:
            # There is no level for INFO: OK would say that it passed.
            level = max(int(severity), 1)
            values.append(KeyValue(key='severity', value=severity.name))
        self._publisher.publish(
            DiagnosticStatus(
                level=bytes([level]),
                name=code,
                message=description,
                hardware_id=self._source,
                values=values,
            )
        )
