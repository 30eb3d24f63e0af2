"""``mosaicod config``: the settings in effect, and where each comes from."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import click

from mosaico_ros.cli.settings_options import takes_settings, warn_of_unknown
from mosaico_ros.protocol.errors import InvalidArgumentError

_HIDDEN = '***'


@click.command()
@takes_settings
@click.option('--json', 'as_json', is_flag=True, help='One JSON object per setting.')
def config(config: Path | None, as_json: bool, **options: Any) -> None:
    """Show the settings that `run` would have with the same options, secrets masked."""
    from mosaico_ros.daemon.settings import load, sources, variable

    try:
        settings = load(os.environ, options, config)
    except InvalidArgumentError as error:
        raise click.UsageError(str(error)) from error
    warn_of_unknown()
    origins = sources(os.environ, options, config)
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if not field.repr:
            value = _masked(value)
        if isinstance(value, Path):
            value = str(value)
        if as_json:
            click.echo(
                json.dumps(
                    {
                        'name': field.name,
                        'variable': variable(field.name),
                        'value': value,
                        'source': origins[field.name],
                    }
                )
            )
        else:
            # As the TOML file spells it.
            click.echo(f'{field.name} = {json.dumps(value)}  # {origins[field.name]}')


def _masked(value: str) -> str:
    """Hide a secret; of a URL, all that may hold one."""
    if '://' not in value:
        return value and _HIDDEN
    parts = urlsplit(value)
    user, at, host = parts.netloc.rpartition('@')
    if ':' in user:
        user = f'{user.partition(":")[0]}:{_HIDDEN}'
    # The path of a database is its name; that of a web address may well be a secret.
    path = f'/{_HIDDEN}' if parts.scheme in ('http', 'https') else parts.path
    return urlunsplit((parts.scheme, user + at + host, path, parts.query and _HIDDEN, ''))
