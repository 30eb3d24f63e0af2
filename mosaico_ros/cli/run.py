"""``mosaicod run``: serve an archive."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mosaico_ros.cli.settings_options import takes_settings, warn_of_unknown
from mosaico_ros.protocol.errors import InvalidArgumentError

if TYPE_CHECKING:
    from mosaico_ros.daemon.settings import Settings


@click.command()
@takes_settings
@click.option(
    '--ephemeral',
    is_flag=True,
    help='Serve a new, empty archive in a temporary folder, on a free port unless one is given; '
    'it is gone when the daemon ends.',
)
def run(config: Path | None, ephemeral: bool, **options: Any) -> None:
    """Serve until SIGINT or SIGTERM.

    Every setting has an environment variable too, MOSAICOD_ and its name in capitals (--api-key:
    MOSAICOD_REQUIRE_API_KEYS); `mosaicod config` shows them all. A line on standard output says
    when and where the daemon is ready.
    """
    from mosaico_ros.daemon.process.ephemeral import ephemeral_options, temporary_folder
    from mosaico_ros.daemon.process.serving import end
    from mosaico_ros.daemon.settings import load

    with temporary_folder() if ephemeral else nullcontext() as folder:
        try:
            if folder is not None:
                options = ephemeral_options(folder, os.environ, options, config)
            settings = load(os.environ, options, config)
        except InvalidArgumentError as error:
            raise click.UsageError(str(error)) from error
        code = _serve(settings)
    click.echo('mosaicod stopped', err=True)
    end(code)


def _serve(settings: Settings) -> int:
    from mosaico_ros.daemon.process import logs
    from mosaico_ros.daemon.process.serving import serve, stop_on_signals

    logs.configure(settings.log_level, settings.log_format)
    warn_of_unknown()
    # Handlers first: a signal during start must end it in order, too.
    stop = stop_on_signals()
    if settings.workers == 1:
        serve(settings, stop, _announce)
        return 0
    from mosaico_ros.daemon.process.supervisor import supervise

    return supervise(settings, stop, _announce)


def _announce(settings: Settings) -> None:
    from mosaico_ros.protocol.version import package_version

    workers = f'; {settings.workers} workers' if settings.workers > 1 else ''
    click.echo(
        f'mosaicod {package_version()} ready on {settings.url} '
        f'(data: {settings.location}{workers})'
    )
