"""What verbs have in common that run a node: its ROS arguments, and its way to the daemon."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import click

F = TypeVar('F', bound=Callable[..., Any])

_OPTIONS = [
    click.option(
        '--params-file',
        'params_files',
        multiple=True,
        type=click.Path(exists=True, dir_okay=False),
        help='YAML file of ROS parameters; may be repeated. Options win over it.',
    ),
    click.option(
        '--remap',
        '-r',
        'remaps',
        multiple=True,
        metavar='FROM:=TO',
        help='ROS remapping of a topic, of __ns or of __node; may be repeated.',
    ),
]
_CONNECTION = [
    click.option(
        '--host', envvar='MOSAICO_HOST', help='Host of the daemon.  [default: 127.0.0.1]'
    ),
    click.option('--port', envvar='MOSAICO_PORT', type=int, help='Its port.  [default: 6726]'),
    click.option('--tls', is_flag=True, envvar='MOSAICO_TLS', help='Connect with TLS.'),
    click.option(
        '--tls-cert',
        envvar=['MOSAICO_TLS_CERT_FILE', 'MOSAICO_CERT_PATH'],
        help='PEM file of the certificate authority (turns TLS on).',
    ),
]


class RosCommand(click.Command):
    """Command with the options ``--params-file`` and ``--remap``, and ROS arguments at the end.

    Everything from ``--ros-args`` on is left to rclpy. What is for rclpy is the command's first
    argument, as a command line.
    """

    def __init__(self, name: str, *, callback: Callable[..., Any], **options: Any) -> None:
        def run(params_files: tuple[str, ...], remaps: tuple[str, ...], **rest: Any) -> Any:
            given = click.get_current_context().obj
            files = [part for file in params_files for part in ('--params-file', file)]
            rules = [part for rule in remaps for part in ('-r', rule)]
            return callback(['mosaico', '--ros-args', *files, *rules, *given], **rest)

        super().__init__(name, callback=run, **options)
        for option in _OPTIONS:
            option(self)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Split off the ROS part before click looks at the rest."""
        begin = args.index('--ros-args') if '--ros-args' in args else len(args)
        ctx.obj = args[begin:]
        return super().parse_args(ctx, args[:begin])


def connects_node(command: F) -> F:
    """Give a verb the options `host`, `port`, `tls` and `tls_cert` of the node's connection."""
    decorated: Any = command
    for option in reversed(_CONNECTION):
        decorated = option(decorated)
    return cast('F', decorated)


def given_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as parameters of the node; those left away stay with files and defaults."""
    return {
        name: value
        for name, value in values.items()
        if value is not None and value is not False and value not in ((), '')
    }


def connection_parameters(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of :func:`connects_node` as parameters of the node."""
    return {
        'host': options['host'],
        'port': options['port'],
        'enable_tls': options['tls'],
        'tls_cert_path': options['tls_cert'],
    }
