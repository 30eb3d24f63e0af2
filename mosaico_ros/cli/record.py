"""``mosaico record``: live topics into the archive, from a plain virtual environment."""

from __future__ import annotations

import sys
from typing import Any

import click


class _RosArguments(click.Command):
    """Command that leaves everything from ``--ros-args`` on to rclpy."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Split off the ROS part before click looks at the rest."""
        begin = args.index('--ros-args') if '--ros-args' in args else len(args)
        ctx.obj = ['mosaico', *args[begin:]]
        return super().parse_args(ctx, args[:begin])


@click.command('record', cls=_RosArguments)
@click.argument('names', metavar='[TOPIC]...', nargs=-1)
@click.option('--topics', multiple=True, help='Topic name or glob to record; may be repeated.')
@click.option('--all', 'everything', is_flag=True, help='Record every visible topic.')
@click.option('--regex', help='Record topics in whose name this expression is found.')
@click.option('--types', multiple=True, help='Message type or glob to record; may be repeated.')
@click.option('--exclude', multiple=True, help='Topic name or glob not to record.')
@click.option('--hidden', is_flag=True, help='Also record hidden topics.')
@click.option('--name', help='Name of the recording; {date}, {time} and {host} are filled in.')
@click.option('--metadata', help='JSON object to note with the recording.')
@click.option('--host', envvar='MOSAICO_HOST', help='Host of the daemon.  [default: 127.0.0.1]')
@click.option('--port', envvar='MOSAICO_PORT', type=int, help='Its port.  [default: 6726]')
@click.option('--tls', is_flag=True, envvar='MOSAICO_TLS', help='Connect with TLS.')
@click.option(
    '--tls-cert',
    envvar=['MOSAICO_TLS_CERT_FILE', 'MOSAICO_CERT_PATH'],
    help='PEM file of the certificate authority (turns TLS on).',
)
@click.option('--duration', type=float, help='Stop by itself after this many seconds.')
@click.option('--json', 'as_json', is_flag=True, help='Report as one JSON object per line.')
@click.pass_context
def command(ctx: click.Context, **options: Any) -> None:
    """Record live ROS 2 topics until Ctrl-C, then close the recording.

    An API key is taken from MOSAICO_API_KEY. Further parameters of the recorder node follow
    after --ros-args, as for any node: --ros-args -p commit_period_sec:=1.0
    """
    overrides = parameters(options, terminal=sys.stdout.isatty())
    from mosaico_ros.nodes.recorder import main

    ctx.exit(main(ctx.obj, overrides))


def parameters(options: dict[str, Any], *, terminal: bool) -> dict[str, Any]:
    """Translate the options into parameters of the recorder node.

    Raises
    ------
    click.UsageError
        Nothing says which topics to record.
    """
    topics = (*options['topics'], *options['names'])
    narrowed = topics or options['regex'] or options['types']
    if not narrowed and not options['everything']:
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
        'host': options['host'],
        'port': options['port'],
        'enable_tls': options['tls'],
        'tls_cert_path': options['tls_cert'],
        'duration_sec': options['duration'],
        'report': report,
    }
    return {name: value for name, value in values.items() if value}
