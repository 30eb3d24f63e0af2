"""``mosaico record``: live topics into the archive, from a plain virtual environment."""

from __future__ import annotations

import sys
from typing import Any

import click

from mosaico_ros.cli.ros_node import (
    RosCommand,
    connection_parameters,
    connects_node,
    given_parameters,
)


@click.command('record', cls=RosCommand)
@click.argument('names', metavar='[TOPIC]...', nargs=-1)
@click.option('--topics', multiple=True, help='Topic name or glob to record; may be repeated.')
@click.option('--all', 'everything', is_flag=True, help='Record every visible topic.')
@click.option('--regex', help='Record topics in whose name this expression is found.')
@click.option('--types', multiple=True, help='Message type or glob to record; may be repeated.')
@click.option('--exclude', multiple=True, help='Topic name or glob not to record.')
@click.option('--hidden', is_flag=True, help='Also record hidden topics.')
@click.option('--name', help='Name of the recording; {date}, {time} and {host} are filled in.')
@click.option('--metadata', help='JSON object to note with the recording.')
@click.option('--duration', type=float, help='Stop by itself after this many seconds.')
@click.option('--rotate-sec', type=float, help='Begin another part after so many seconds.')
@click.option('--rotate-mb', type=float, help='Begin another part after so many MB of messages.')
@click.option('--start-paused', is_flag=True, help='Wait for ~/resume before keeping messages.')
@click.option(
    '--spool-dir', help='Folder for what the daemon has not yet.  [default: ~/.ros/mosaico_spool]'
)
@click.option('--json', 'as_json', is_flag=True, help='Report as one JSON object per line.')
@connects_node
def command(ros_arguments: list[str], **options: Any) -> int:
    """Record live ROS 2 topics until Ctrl-C, then close the recording.

    Messages are on the local disk within a second and stay there until the daemon has them: a
    daemon that is away, or comes later, costs nothing. The services ~/pause, ~/resume, ~/split
    and ~/stop control the recording, and what is sent to ~/metadata is kept with it.

    An API key is taken from MOSAICO_API_KEY. Further parameters of the recorder node follow
    after --ros-args, as for any node: --ros-args -p commit_period_sec:=1.0
    """
    overrides = parameters(
        options,
        terminal=sys.stdout.isatty(),
        elsewhere=bool({'--params-file', '-p', '--param'} & set(ros_arguments)),
    )
    from mosaico_ros.nodes.recorder import main

    return main(ros_arguments, overrides)


def parameters(
    options: dict[str, Any], *, terminal: bool, elsewhere: bool = False
) -> dict[str, Any]:
    """Translate the options into parameters of the recorder node.

    What is recorded may also be said `elsewhere`: by a params file or ROS arguments.

    Raises
    ------
    click.UsageError
        Nothing says which topics to record.
    """
    topics = (*options['topics'], *options['names'])
    narrowed = topics or options['regex'] or options['types']
    if not narrowed and not options['everything'] and not elsewhere:
        raise click.UsageError('say which topics: --topics NAME, --regex, --types or --all')
    if narrowed and options['everything']:
        raise click.UsageError('--all takes every topic: leave out --topics, --regex and --types')
    report = 'json' if options['as_json'] else 'live' if terminal else 'plain'
    values = {
        'topics': topics,
        'regex': options['regex'],
        'topic_types': options['types'],
        'exclude_topics': options['exclude'],
        'include_hidden_topics': options['hidden'],
        'sequence_name': options['name'],
        'metadata': options['metadata'],
        'duration_sec': options['duration'],
        'rotate_sec': options['rotate_sec'],
        'rotate_mb': options['rotate_mb'],
        'start_paused': options['start_paused'],
        'spool_dir': options['spool_dir'],
        'report': report,
        **connection_parameters(options),
    }
    return given_parameters(values)
