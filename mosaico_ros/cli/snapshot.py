"""``mosaico snapshot``: the seconds around each fault, from a plain virtual environment."""

from __future__ import annotations

from typing import Any

import click

from mosaico_ros.cli.ros_node import (
    RosCommand,
    connection_parameters,
    connects_node,
    given_parameters,
)


@click.command('snapshot', cls=RosCommand)
@click.argument('topics', metavar='[TOPIC]...', nargs=-1)
@click.option('--pre', type=float, help='Seconds before a fault to keep.  [default: 10]')
@click.option('--post', type=float, help='Seconds after a fault to keep.  [default: 5]')
@click.option(
    '--rule',
    'rules',
    multiple=True,
    metavar='RULE',
    help='Condition on a message field that is a fault; may be repeated.',
)
@click.option('--robot', help='Name of the robot.  [default: namespace or host name]')
@click.option('--folder', type=click.Path(file_okay=False), help='Where snapshots lie.')
@click.option('--files-only', is_flag=True, help='Write files, deliver nothing to a daemon.')
@connects_node
def command(ros_arguments: list[str], **options: Any) -> int:
    """Hold the last seconds of TOPICs (all by default) and keep them when something goes wrong.

    Faults come from ros2_medkit, /diagnostics, /rosout, aborted actions, nodes that report them,
    the service ~/trigger, and rules:

    \b
    mosaico snapshot --rule '/imu: linear_acceleration.z < 2 -> code DROP severity ERROR'

    Further parameters of the fault_snapshot node follow after --ros-args, as for any node:
    --ros-args -p rosout_level:=ERROR
    """
    overrides = parameters(options)
    from mosaico_ros.nodes.fault_snapshot import main

    return main(ros_arguments, overrides)


def parameters(options: dict[str, Any]) -> dict[str, Any]:
    """Translate the options into parameters of the fault snapshot node."""
    values = given_parameters(
        {
            'topics': options['topics'],
            'pre_sec': options['pre'],
            'post_sec': options['post'],
            'value_rules': options['rules'],
            'robot_id': options['robot'],
            'snapshot_dir': options['folder'],
            **connection_parameters(options),
        }
    )
    # The ring holds 15 s unless more is asked for.
    if options['pre'] is not None and options['pre'] > 10:
        values['ring_sec'] = options['pre'] + 5
    if options['files_only']:
        values['deliver'] = False
    return values
