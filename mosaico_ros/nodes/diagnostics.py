"""How a node says how it is: `diagnostic_msgs/DiagnosticArray` on ``/diagnostics``.

The package ``diagnostic_updater`` does the same, but only a full ROS installation has it.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


class Level(IntEnum):
    """How bad it is, as in ``DiagnosticStatus``; stale is for the aggregator to say."""

    OK = 0
    WARN = 1  # a backlog grows, something is throttled, room gets short
    ERROR = 2  # data is being lost, or the node cannot do its work


@dataclass(frozen=True)
class Status:
    """How one side of a node is.

    ``name`` is what is looked at (``store``); ``values`` are figures, told as text. What is not
    known is told as ``unknown``: give None, never 0.
    """

    name: str
    level: Level
    message: str
    values: Mapping[str, Any] = field(default_factory=dict)


def shown(value: Any) -> str:
    """Return a figure as text; floats with what a person wants to read of them."""
    if value is None:
        return 'unknown'
    return f'{value:.6g}' if isinstance(value, float) else str(value)


def hardware_id(robot_id: str, namespace: str) -> str:
    """Return the robot's name: as given, else of the node's namespace, else the host's."""
    return robot_id or namespace.strip('/') or platform.node() or 'localhost'


class DiagnosticsPublisher:
    """Publishes what a node says of itself.

    Parameters
    ----------
    node
        The rclpy node.
    robot_id
        Parameter of that name.
    ask
        Returns the statuses of the moment; called in the thread that calls :meth:`publish`.
    """

    def __init__(self, node: Any, robot_id: str, ask: Callable[[], Iterable[Status]]) -> None:
        from diagnostic_msgs.msg import DiagnosticArray

        self._node = node
        self._ask = ask
        self._hardware_id = hardware_id(robot_id, node.get_namespace())
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)

    def publish(self) -> None:
        """Publish once, if somebody listens."""
        if not self._publisher.get_subscription_count():
            return
        from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        name = self._node.get_fully_qualified_name().lstrip('/')
        message.status = [
            DiagnosticStatus(
                level=bytes([status.level]),
                name=f'{name}: {status.name}',
                message=status.message,
                hardware_id=self._hardware_id,
                values=[
                    KeyValue(key=key, value=shown(value)) for key, value in status.values.items()
                ],
            )
            for status in self._ask()
        ]
        self._publisher.publish(message)
