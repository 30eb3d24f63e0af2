"""``mosaicod api-key``: the API keys of a catalog, whether or not a daemon is running on it."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from mosaico_ros.cli import rendering
from mosaico_ros.cli.settings_options import with_settings
from mosaico_ros.protocol.api_keys import Permission, parse_fingerprint
from mosaico_ros.protocol.errors import FailedPreconditionError, InvalidArgumentError

if TYPE_CHECKING:
    from mosaico_ros.daemon.catalog.api_keys import StoredKey
    from mosaico_ros.daemon.keys import Keys
    from mosaico_ros.daemon.settings import Settings

_as_json = click.option('--json', 'as_json', is_flag=True, help='One JSON object per key.')


def _on_catalog(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options that find the catalog and, as first argument, its keys.

    Only the verb `create` may make a catalog: keys may come before the daemon's first start,
    but a catalog to look into that does not exist is a mistyped one.
    """

    @functools.wraps(verb)
    def run(settings: Settings, **arguments: Any) -> Any:
        from mosaico_ros.daemon.catalog.database import Database
        from mosaico_ros.daemon.keys import Keys

        catalog = settings.data_dir / 'catalog.db'
        if verb.__name__ != 'create' and not settings.db_url and not catalog.exists():
            raise FailedPreconditionError(
                f'There is no catalog {catalog}', remedy='Name it with --data-dir or --db-url.'
            )
        database = Database(settings.database_url)
        try:
            return verb(Keys(database), **arguments)
        finally:
            database.close()

    return with_settings(run)


@click.group('api-key')
def api_key() -> None:
    """Manage API keys, which `mosaicod run --api-key` demands of every call.

    The commands work on the catalog itself and need no daemon; running daemons follow within
    a second. A FINGERPRINT is the last 8 digits of a key.
    """


@api_key.command()
@click.option(
    '--permissions',
    required=True,
    type=click.Choice([permission.value for permission in Permission]),
    help='What the key may do; each includes those before it.',
)
@click.option('-d', '--description', default='', help='What the key is for.')
@click.option(
    '--expires-in',
    metavar='DURATION',
    help='ISO 8601 duration, like P1Y2M3D or PT12H; calendar years and months.',
)
@click.option(
    '--expires-at', metavar='INSTANT', help='RFC 3339 date-time, like 2026-03-27T12:20:00Z.'
)
@_on_catalog
def create(
    keys: Keys, permissions: str, description: str, expires_in: str | None, expires_at: str | None
) -> None:
    """Create a key and print it, this once: only a hash of it is kept."""
    from mosaico_ros.protocol.instants import add_duration, parse_instant

    if expires_in is not None and expires_at is not None:
        raise click.UsageError('--expires-in and --expires-at exclude each other')
    expires_at_ns = None
    try:
        if expires_in is not None:
            expires_at_ns = add_duration(time.time_ns(), expires_in)
        elif expires_at is not None:
            expires_at_ns = parse_instant(expires_at)
    except InvalidArgumentError as error:
        raise click.UsageError(str(error)) from error
    token = keys.create(Permission(permissions), description, expires_at_ns)
    # The key alone on standard output, so that a script can catch it.
    click.echo(token.reveal())
    until = 'never expires' if expires_at_ns is None else f'expires {_moment(expires_at_ns)}'
    click.echo(
        f'Key {token.fingerprint} permits {permissions} and {until}. Store it now: it cannot be '
        'shown again.',
        err=True,
    )


@api_key.command()
@click.argument('fingerprint')
@_as_json
@_on_catalog
def status(keys: Keys, fingerprint: str, as_json: bool) -> None:
    """Show what a key may do, and until when."""
    shown = _shown(keys.get(_checked(fingerprint)))
    if as_json:
        click.echo(json.dumps(shown))
        return
    for name in ('fingerprint', 'permissions', 'state', 'description'):
        click.echo(f'{name + ":":13}{shown[name]}')
    click.echo(f'{"created:":13}{_moment(shown["created_at_ns"])}')
    click.echo(f'{"expires:":13}{_moment(shown["expires_at_ns"])}')


@api_key.command('list')
@_as_json
@_on_catalog
def list_all(keys: Keys, as_json: bool) -> None:
    """List all keys, expired ones included, oldest first."""
    found = [_shown(key) for key in keys.find_all()]
    if as_json:
        for shown in found:
            click.echo(json.dumps(shown))
        return
    if not found:
        click.echo('There are no API keys. `mosaicod api-key create` makes one.')
        return
    from rich.console import Console

    Console(markup=False).print(
        rendering.table(
            ('fingerprint', 'permissions', 'state', 'created', 'expires', 'for'),
            [
                (
                    shown['fingerprint'],
                    shown['permissions'],
                    shown['state'],
                    _moment(shown['created_at_ns']),
                    _moment(shown['expires_at_ns']),
                    shown['description'],
                )
                for shown in found
            ],
        ),
    )


@api_key.command()
@click.argument('fingerprint')
@_on_catalog
def revoke(keys: Keys, fingerprint: str) -> None:
    """Revoke a key: no daemon accepts it any more."""
    keys.revoke(_checked(fingerprint))
    click.echo(f'Key {fingerprint} is revoked.')


@api_key.command()
@click.option('-A', '--all', 'everything', is_flag=True, help='Remove every key, expired or not.')
@click.option('-y', '--yes', is_flag=True, help='With -A: do not ask.')
@_on_catalog
def purge(keys: Keys, everything: bool, yes: bool) -> int:
    """Remove the keys that have expired."""
    if everything and not yes:
        count = len(keys.find_all())
        click.echo(f'This revokes all {count} keys, those in use included.', err=True)
        if not click.confirm('Go on?', err=True):
            click.echo('Nothing was removed.')
            return 1
    click.echo(f'{keys.purge(everything=everything)} keys removed.')
    return 0


def _checked(fingerprint: str) -> str:
    try:
        return parse_fingerprint(fingerprint)
    except InvalidArgumentError as error:
        raise click.UsageError(str(error)) from None


def _shown(key: StoredKey) -> dict[str, Any]:
    return {
        'fingerprint': key.fingerprint,
        'permissions': key.permission.value,
        'description': key.description,
        'state': 'expired' if key.expired(time.time_ns()) else 'valid',
        'created_at_ns': key.created_at_ns,
        'expires_at_ns': key.expires_at_ns,
    }


def _moment(stamp_ns: int | None) -> str:
    if stamp_ns is None:
        return 'never'
    return f'{rendering.moment(stamp_ns).partition(".")[0]} UTC'
