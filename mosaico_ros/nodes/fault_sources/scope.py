"""Whose faults a node takes: where several robots share a graph, those of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Scope:
    """What is below a namespace; everything, below the root.

    Parameters
    ----------
    namespace
        Of the node: ``/``, or ``/r1``.
    robot_id
        Name of the robot, as hardware ids may have it.
    """

    namespace: str = '/'
    robot_id: str = ''

    @cached_property
    def _own(self) -> re.Pattern[str]:
        return re.compile(re.escape(self.namespace.strip('/')) + r'(?!\w)')

    def has(self, *names: str) -> bool:
        """Tell whether one of the names is of the robot.

        Names are those of nodes, topics, loggers (``r1.arm``) or statuses (``r1/arm: motor``), or
        the robot's own.
        """
        if self.namespace == '/':
            return True
        return any(
            name == self.robot_id or self._own.match(name.lstrip('/').replace('.', '/'))
            for name in names
        )

    def below(self, name: str) -> str:
        """Complete a glob that is not absolute; what is complete stays."""
        return name if name.startswith('/') else f'{self.namespace.rstrip("/")}/{name}'
