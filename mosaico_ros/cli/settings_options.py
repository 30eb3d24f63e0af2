"""Options of the ``mosaicod`` verbs that work on an archive, and the settings they give."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mosaico_ros.protocol.errors import InvalidArgumentError

__all__ = ['with_settings']

_OPTIONS = [
    click.option(
        '--data-dir',
        type=click.Path(path_type=Path),
        help='Folder of the catalog, and of the store.  [default: ~/.local/share/mosaico]',
    ),
    click.option('--db-url', help='Catalog database.  [default: SQLite in the data folder]'),
    click.option(
        '--config', type=click.Path(path_type=Path), help='TOML file with any of the settings.'
    ),
    click.option('--log-level', help='error, warning, info or debug.  [default: warning]'),
    click.option('--log-format', help='pretty, plain or json.  [default: pretty]'),
]


def with_settings(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options that name an archive and, as first argument, its settings."""

    @functools.wraps(verb)
    def run(*, config: Path | None, **arguments: Any) -> Any:
        from mosaico_ros.daemon import logs
        from mosaico_ros.daemon.settings import load

        given = {
            name: arguments.pop(name) for name in ('data_dir', 'db_url', 'log_level', 'log_format')
        }
        try:
            settings = load(os.environ, given, config)
        except InvalidArgumentError as error:
            raise click.UsageError(str(error)) from error
        logs.configure(settings.log_level, settings.log_format)
        return verb(settings, **arguments)

    decorated: Callable[..., Any] = run
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated
