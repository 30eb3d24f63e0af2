"""The options by which the verbs of ``mosaicod`` get a daemon's settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import click

F = TypeVar('F', bound=Callable[..., Any])

_OPTIONS = [
    click.option('--host', help='Address to listen on.  [default: 127.0.0.1]'),
    click.option('--port', type=int, help='Port; 0 lets the system choose.  [default: 6726]'),
    click.option(
        '--data-dir',
        type=click.Path(path_type=Path),
        help='Folder of catalog and chunks.  [default: ~/.local/share/mosaico]',
    ),
    click.option('--db-url', help='Catalog database.  [default: SQLite in the data folder]'),
    click.option('--store-endpoint', help='Chunk store.  [default: the data folder]'),
    click.option(
        '--workers', type=int, help='Processes that serve the port together.  [default: 1]'
    ),
    click.option(
        '--tls',
        is_flag=True,
        default=None,
        help='Serve TLS with the PEM files in MOSAICOD_TLS_CERT_FILE and '
        'MOSAICOD_TLS_PRIVATE_KEY_FILE. MOSAICOD_TLS_CLIENT_CA_FILE makes it mutual: clients '
        'must show a certificate of these authorities.',
    ),
    click.option(
        '--api-key',
        'require_api_keys',
        is_flag=True,
        default=None,
        help='Refuse every call without a valid API key; `mosaicod api-key` makes them.',
    ),
    click.option(
        '--legacy-clients',
        is_flag=True,
        default=None,
        help='Answer as clients up to 0.4 need it; shows write capabilities to readers.',
    ),
    click.option(
        '--config', type=click.Path(path_type=Path), help='TOML file with any of the settings.'
    ),
    click.option('--log-level', help='error, warning, info or debug.  [default: warning]'),
    click.option('--log-format', help='pretty, plain or json.  [default: pretty]'),
]


def takes_settings(verb: F) -> F:
    """Give a verb `config` and the options that are settings, each `None` if it is not given."""
    decorated: Any = verb
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return cast('F', decorated)


def warn_of_unknown(environment: dict[str, str]) -> None:
    """Say on standard error which ``MOSAICOD_*`` variables have no effect."""
    from mosaico_ros.daemon.settings import unknown_variables

    for line in unknown_variables(environment):
        click.echo(f'mosaicod: warning: {line}', err=True)
