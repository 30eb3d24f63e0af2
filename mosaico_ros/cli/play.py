"""``mosaico play``: what the archive holds, on live ROS 2 topics again."""

from __future__ import annotations

from typing import Any

import click

from mosaico_ros.cli.ros_node import (
    RosCommand,
    connection_parameters,
    connects_node,
    given_parameters,
)


class _Instant(click.ParamType):
    """Nanoseconds since 1970, or a date-time with its offset from UTC."""

    name = 'instant'

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        from mosaico_ros.protocol.errors import InvalidArgumentError
        from mosaico_ros.protocol.instants import parse_instant

        if str(value).isdecimal():
            return int(value)
        try:
            return parse_instant(value)
        except InvalidArgumentError as error:
            self.fail(str(error), param, ctx)


@click.command('play', cls=RosCommand)
@click.argument('sequences', metavar='[SEQUENCE]...', nargs=-1)
@click.option('--topics', multiple=True, metavar='GLOB', help='Topics to play; !GLOB removes.')
@click.option('--exclude', multiple=True, metavar='GLOB', help='Topics not to play.')
@click.option('--start', type=_Instant(), help='First recorded time: ns, or 2026-03-27T12:20:00Z.')
@click.option('--end', type=_Instant(), help='Last recorded time, included.')
@click.option('--start-offset', type=float, help='Leave out so many seconds at the beginning.')
@click.option('--duration', type=float, help='Play so many recorded seconds.')
@click.option(
    '--where', metavar='EXPRESSION', help='Only the windows where this holds, one after another.'
)
@click.option('--around', type=float, help='Seconds around each window of --where.  [default: 2]')
@click.option('--rate', type=float, help='Times faster than recorded; 0: as fast as possible.')
@click.option('--loop', '-l', is_flag=True, help='Begin again at the end.')
@click.option('--paused', '-p', is_flag=True, help='Begin paused.')
@click.option('--clock', type=float, metavar='HZ', help='Publish the recorded time on /clock.')
@click.option('--discovery', type=float, help='Seconds to wait for subscribers.  [default: 3]')
@click.option('--json', 'as_json', is_flag=True, help='Report as one JSON object per line.')
@connects_node
def command(ros_arguments: list[str], **options: Any) -> int:
    """Publish recorded topics again, with their types, qualities of service and timing.

    \b
    mosaico play first_drive
    mosaico play first_drive --topics '/camera/*' --rate 2 --remap /imu:=/old/imu
    mosaico play monday tuesday --clock 100
    mosaico play --where 'IMU.acceleration.y > 8' --around 5

    Several sequences are merged by their recorded times. Without one, --where looks in the whole
    archive. An API key is taken from MOSAICO_API_KEY. ROS arguments follow after --ros-args.

    Exit code: 0 all is played or it was stopped, 1 failed, 2 wrong use, 3 topics were left out.
    """
    from mosaico_ros.nodes.player import main

    return main(ros_arguments, parameters(options))


def parameters(options: dict[str, Any]) -> dict[str, Any]:
    """Translate the options into parameters of the player node."""
    values = {
        'sequences': options['sequences'],
        'topics': options['topics'],
        'exclude_topics': options['exclude'],
        'start_ns': options['start'],
        'end_ns': options['end'],
        'start_offset_sec': options['start_offset'],
        'duration_sec': options['duration'],
        'where': options['where'],
        'around_sec': options['around'],
        'rate': options['rate'],
        'loop': options['loop'],
        'start_paused': options['paused'],
        'clock_hz': options['clock'],
        'discovery_sec': options['discovery'],
        'report': 'json' if options['as_json'] else None,
        **connection_parameters(options),
    }
    return given_parameters(values)
