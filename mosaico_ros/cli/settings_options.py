"""Options of the ``mosaicod`` verbs, and the settings they give."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mosaico_ros.protocol.errors import InvalidArgumentError

__all__ = ['takes_settings', 'warn_of_unknown', 'with_settings']

_PLACE = [
    click.option(
        '--data-dir',
        type=click.Path(path_type=Path),
        help='Folder of the catalog, and of the store.  [default: ~/.local/share/mosaico]',
    ),
    click.option('--db-url', help='Catalog database.  [default: SQLite in the data folder]'),
    click.option('--store-endpoint', help='Chunk store.  [default: the data folder]'),
    click.option(
        '--config', type=click.Path(path_type=Path), help='TOML file with any of the settings.'
    ),
    click.option('--log-level', help='error, warning, info or debug.  [default: warning]'),
    click.option('--log-format', help='pretty, plain or json.  [default: pretty]'),
]
_SERVICE = [
    click.option('--host', help='Address to listen on.  [default: 127.0.0.1]'),
    click.option('--port', type=int, help='Port; 0 lets the system choose.  [default: 6726]'),
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
]


def with_settings(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options that name an archive and, as first argument, its settings."""

    @functools.wraps(verb)
    def run(*, config: Path | None, **arguments: Any) -> Any:
        from mosaico_ros.daemon.process import logs
        from mosaico_ros.daemon.settings import load

        given = {
            name: arguments.pop(name)
            for name in ('data_dir', 'db_url', 'store_endpoint', 'log_level', 'log_format')
        }
        try:
            settings = load(os.environ, given, config)
        except InvalidArgumentError as error:
            raise click.UsageError(str(error)) from error
        logs.configure(settings.log_level, settings.log_format)
        return verb(settings, **arguments)

    return _with(run, _PLACE)


def takes_settings(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb all options that are settings, `None` if not given, and `config`."""
    return _with(verb, [*_SERVICE, *_PLACE])


def warn_of_unknown() -> None:
    """Say on standard error which ``MOSAICOD_*`` variables have no effect."""
    from mosaico_ros.daemon.settings import unknown_variables

    for line in unknown_variables(os.environ):
        click.echo(f'mosaicod: warning: {line}', err=True)


def _with(verb: Callable[..., Any], options: list[Callable[..., Any]]) -> Callable[..., Any]:
    for option in reversed(options):
        verb = option(verb)
    return verb
