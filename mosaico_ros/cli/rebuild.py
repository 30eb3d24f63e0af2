"""``mosaicod rebuild``: a new catalog for a store."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from mosaico_ros.cli.progress import progress_of
from mosaico_ros.cli.settings_options import with_settings

if TYPE_CHECKING:
    from mosaico_ros.daemon.settings import Settings


@click.command()
@click.option('--json', 'as_json', is_flag=True, help='Print what came back as one JSON object.')
@with_settings
def rebuild(settings: Settings, as_json: bool) -> int:
    """Rebuild the catalog from the store alone, into an empty database.

    Stop all daemons of the archive first; what else has a store on S3 open cannot be known.
    Sequences, sessions, topics, their data, metadata and notifications come back as they were.
    What was not finished comes back as interrupted, what was deleted stays deleted. API keys
    are in the database alone and do not come back: make new ones with `mosaicod api-key create`.

    Whatever cannot be read is named, and the exit code is 1; everything else is there. Broken
    off, the rebuild starts over when it is run again.
    """
    from mosaico_ros.daemon.routines.rebuild import rebuild as run

    with progress_of('topics') as progress:
        report = run(settings, progress)
    if as_json:
        click.echo(json.dumps(asdict(report)))
    else:
        click.echo(
            f'The catalog is rebuilt: {report.sequences} sequences, {report.sessions} sessions, '
            f'{report.topics} topics, {report.chunks} chunks, {report.notices} notifications.'
        )
        click.echo('API keys are not in the store; `mosaicod api-key create` makes new ones.')
        for locator in report.interrupted:
            click.echo(f'not finished, now interrupted: {locator}')
    for line in report.remarks:
        click.echo(f'mosaicod: left out: {line}', err=True)
    for line in report.faults:
        click.echo(f'mosaicod: {line}', err=True)
    return 1 if report.faults else 0
