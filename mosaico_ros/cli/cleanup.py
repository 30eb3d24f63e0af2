"""``mosaicod cleanup``: one run of the cleanup, by hand."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from mosaico_ros.cli.settings_options import with_settings
from mosaico_ros.protocol.errors import FailedPreconditionError

if TYPE_CHECKING:
    from mosaico_ros.daemon.settings import Settings


@click.command()
@click.option('--dry-run', is_flag=True, help='Only say what would be done.')
@click.option(
    '--force',
    is_flag=True,
    help='Mark whatever the catalog does not know: data that was never deleted, too, and more '
    'than MOSAICOD_CLEANUP_MAX_SHARE of all folders.',
)
@click.option('--json', 'as_json', is_flag=True, help='One JSON object.')
@with_settings
def cleanup(settings: Settings, dry_run: bool, force: bool, as_json: bool) -> int:
    """Remove the files of what was deleted, and what crashes have left.

    Folders without an entry in the catalog are marked with an object TO_DELETE. They are removed
    by the first run after MOSAICOD_CLEANUP_RETENTION_DURATION. Manifests of sessions and
    notifications that say something else than the catalog are written again. A running daemon
    does the same every MOSAICOD_CLEANUP_TIME_INTERVAL.
    """
    from mosaico_ros.daemon.catalog.runs import take_turn
    from mosaico_ros.daemon.routines.by_hand import opened
    from mosaico_ros.daemon.routines.cleanup import CLEANUP, Cleanup

    with opened(settings) as archive:
        routine = Cleanup(
            archive.database,
            archive.store,
            archive.instance_id,
            settings.cleanup_retention_duration,
            settings.cleanup_max_share,
            threading.Event(),
        )
        if dry_run:
            done = routine.run(force=force, dry_run=True)
        else:
            ran = take_turn(
                archive.database,
                CLEANUP,
                archive.instance_id,
                lambda: routine.run(force=force),
            )
            if ran is None:
                raise FailedPreconditionError(
                    'Another daemon is cleaning up this archive', remedy='Wait for its end.'
                )
            done = ran
    if as_json:
        click.echo(json.dumps({'dry_run': dry_run, **asdict(done)}))
        return 0
    for what, names in asdict(done).items():
        for name in names:
            click.echo(f'{what:12} {name}')
    click.echo(f'{"Would be: " if dry_run else ""}{done}.')
    return 0
