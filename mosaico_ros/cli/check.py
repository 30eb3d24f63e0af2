"""``mosaicod check``: does the catalog say what the store holds?"""

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
@click.option('--deep', is_flag=True, help='Read every chunk too: checksums, rows, statistics.')
@click.option('--json', 'as_json', is_flag=True, help='Print what was found as one JSON object.')
@with_settings
def check(settings: Settings, deep: bool, as_json: bool) -> int:
    """Compare the catalog with the store and name every difference; nothing is changed.

    Daemons may go on working. The exit code is 0 without differences, else 1. Folders that were
    deleted and wait for their removal are no difference.
    """
    from mosaico_ros.daemon.routines.check import check as run

    with progress_of('sequences') as progress:
        report = run(settings, progress, deep=deep)
    if as_json:
        click.echo(json.dumps(asdict(report)))
    else:
        for found in report.differences:
            click.echo(f'{found.kind:8} {found.where}: {found.message}')
        click.echo(
            f'{len(report.differences)} differences in {report.sequences} sequences, '
            f'{report.topics} topics, {report.chunks} chunks; {report.waiting} deleted folders '
            'wait for their removal.'
        )
    return 1 if report.differences else 0
