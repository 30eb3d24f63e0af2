"""The ``mosaicod`` command: run the daemon, manage its API keys."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from mosaico_ros.cli.api_keys import api_key
from mosaico_ros.protocol.errors import MosaicoError

if TYPE_CHECKING:
    from mosaico_ros.daemon.settings import Settings

# What the process may take to end after the daemon has stopped, before it is made to.
_EXIT_SECONDS = 0.3


@click.group(context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(package_name='mosaico_ros', prog_name='mosaicod')
def mosaicod() -> None:
    """The Mosaico daemon: stores robot data and answers queries."""


mosaicod.add_command(api_key)


@mosaicod.command()
@click.option('--host', help='Address to listen on.  [default: 127.0.0.1]')
@click.option('--port', type=int, help='Port; 0 lets the system choose.  [default: 6726]')
@click.option(
    '--data-dir',
    type=click.Path(path_type=Path),
    help='Folder of catalog and chunks.  [default: ~/.local/share/mosaico]',
)
@click.option('--db-url', help='Catalog database.  [default: SQLite in the data folder]')
@click.option(
    '--tls',
    is_flag=True,
    default=None,
    help='Serve TLS with the PEM files in MOSAICOD_TLS_CERT_FILE and '
    'MOSAICOD_TLS_PRIVATE_KEY_FILE. MOSAICOD_TLS_CLIENT_CA_FILE makes it mutual: clients must '
    'show a certificate of these authorities.',
)
@click.option(
    '--api-key',
    'require_api_keys',
    is_flag=True,
    default=None,
    help='Refuse every call without a valid API key; `mosaicod api-key` makes them.',
)
@click.option(
    '--legacy-clients',
    is_flag=True,
    default=None,
    help='Answer as clients up to 0.4 need it; shows write capabilities to readers.',
)
@click.option(
    '--config', type=click.Path(path_type=Path), help='TOML file with any of the settings.'
)
@click.option('--log-level', help='error, warning, info or debug.  [default: warning]')
@click.option('--log-format', help='pretty, plain or json.  [default: pretty]')
def run(config: Path | None, **options: Any) -> int:
    """Serve until SIGINT or SIGTERM.

    Every setting has an environment variable too, MOSAICOD_ and its name in capitals (--api-key:
    MOSAICOD_REQUIRE_API_KEYS). A line on standard output says when and where the daemon is ready.
    """
    from mosaico_ros.daemon.settings import load
    from mosaico_ros.protocol.errors import InvalidArgumentError

    try:
        settings = load(os.environ, options, config)
    except InvalidArgumentError as error:
        raise click.UsageError(str(error)) from error
    return _serve(settings, os.environ)


def _serve(settings: Settings, environment: Mapping[str, str]) -> int:
    from mosaico_ros.daemon import logs
    from mosaico_ros.daemon.settings import unknown_variables

    logs.configure(settings.log_level, settings.log_format)
    for line in unknown_variables(environment):
        click.echo(f'mosaicod: warning: {line}', err=True)
    # Handlers first: a signal during start must end it in order, too.
    wanted = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if wanted.is_set():  # the second time, at once
            os._exit(128 + number)
        wanted.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    # gRPC's own lines about a port in use say less than our error.
    os.environ.setdefault('GRPC_VERBOSITY', 'NONE')
    from mosaico_ros.daemon.app import Daemon, package_version

    daemon = Daemon(settings)
    click.echo(f'mosaicod {package_version()} ready on {daemon.url} (data: {settings.location})')
    sys.stdout.flush()
    while not wanted.wait(3600):
        pass
    daemon.stop()
    click.echo('mosaicod stopped', err=True)
    # The interpreter waits for its threads; one stuck in the store must not keep the process.
    deadline = threading.Timer(_EXIT_SECONDS, os._exit, (0,))
    deadline.daemon = True
    deadline.start()
    return 0


def main(args: Sequence[str] | None = None) -> int:
    """Run the ``mosaicod`` command and return its exit code: 0 done, 1 failed, 2 wrong use."""
    try:
        result: Any = mosaicod.main(args, prog_name='mosaicod', standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except MosaicoError as error:
        click.echo(f'mosaicod: {error}', err=True)
        return 1
    return result if isinstance(result, int) else 0


if __name__ == '__main__':
    sys.exit(main())
