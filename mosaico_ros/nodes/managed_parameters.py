"""Parameters that every managed node has; a node's own table ends with them."""

from __future__ import annotations

from mosaico_ros.nodes.parameters import Changes, ParameterSpec

MANAGED = (
    ParameterSpec(
        'autostart',
        True,
        'Configure and activate at the start. False leaves that to the lifecycle services, for '
        'example to a lifecycle manager that brings up nodes in order.',
        changes=Changes.NEVER,
    ),
    ParameterSpec(
        'robot_id',
        '',
        'Name of the robot: the hardware id of diagnostics. Empty means the namespace of the '
        'node, and the host name where it has none.',
        changes=Changes.NEVER,
    ),
    ParameterSpec(
        'diagnostics_period_sec',
        1.0,
        'How often to publish on /diagnostics, seconds; aggregators take what is silent for some '
        'seconds for stale. 0 publishes nothing.',
        low=0.0,
        high=3600.0,
        changes=Changes.NEVER,
    ),
)
