"""The options by which every verb finds its daemon."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

if TYPE_CHECKING:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient

F = TypeVar('F', bound=Callable[..., Any])

_OPTIONS = [
    click.option(
        '--host',
        default='127.0.0.1',
        show_default=True,
        envvar='MOSAICO_HOST',
        help='Host of the daemon.',
    ),
    click.option(
        '--port',
        default=6726,
        show_default=True,
        envvar='MOSAICO_PORT',
        help='Port of the daemon.',
    ),
    click.option(
        '--api-key', envvar='MOSAICO_API_KEY', help='API key, if the daemon asks for one.'
    ),
    click.option('--tls', is_flag=True, envvar='MOSAICO_TLS', help='Connect with TLS.'),
    click.option(
        '--tls-cert',
        type=click.Path(exists=True, dir_okay=False),
        envvar=['MOSAICO_TLS_CERT_FILE', 'MOSAICO_CERT_PATH'],
        help='PEM file of the certificate authority (turns TLS on).',
    ),
]


def addressed(command: F) -> F:
    """Give a verb the options `host`, `port`, `api_key`, `tls` and `tls_cert`."""
    decorated: Any = command
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return cast('F', decorated)


def connects(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb these options and, as its first argument, an open client.

    The client is closed when the verb returns.
    """

    @addressed
    @functools.wraps(command)
    def run(
        *, host: str, port: int, api_key: str | None, tls: bool, tls_cert: str | None, **rest: Any
    ) -> Any:
        # gRPC's own lines about a failed handshake say less than our error.
        os.environ.setdefault('GRPC_VERBOSITY', 'NONE')
        from mosaico_ros.client.comm.mosaico_client import MosaicoClient

        with MosaicoClient.connect(
            host, port, enable_tls=tls, tls_cert_path=tls_cert, api_key=api_key
        ) as client:
            return command(client, **rest)

    return run


def open_topic(client: MosaicoClient, locator: str) -> Any:
    """Handler of the topic that ``SEQUENCE/TOPIC`` names.

    Raises
    ------
    click.BadParameter
        The text has no topic part.
    NotFoundError
        There is no such topic.
    """
    from mosaico_ros.client.handlers.recording_handler import open_recording
    from mosaico_ros.protocol.errors import NotFoundError

    sequence, _, topic = locator.strip('/').partition('/')
    if not topic:
        raise click.BadParameter(f'{locator!r} names no topic: write SEQUENCE/TOPIC')
    recording = open_recording(client, sequence)
    if f'/{topic}' not in recording.topics:
        raise NotFoundError(
            f'there is no topic {topic!r} in sequence {sequence!r}',
            remedy=f'`mosaico info {sequence}` lists its topics',
        )
    return recording.get_topic_handler(topic)
