"""The ``mosaicod`` command: run the daemon, see to its archive and its API keys."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from mosaico_ros.cli.api_keys import api_key
from mosaico_ros.cli.check import check
from mosaico_ros.cli.cleanup import cleanup
from mosaico_ros.cli.config import config
from mosaico_ros.cli.ping import ping
from mosaico_ros.cli.rebuild import rebuild
from mosaico_ros.cli.run import run
from mosaico_ros.cli.store_optimizer import store_optimizer
from mosaico_ros.protocol.errors import MosaicoError


@click.group(context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(package_name='mosaico_ros', prog_name='mosaicod')
def mosaicod() -> None:
    """The Mosaico daemon: stores robot data and answers queries."""


mosaicod.add_command(run)
mosaicod.add_command(config)
mosaicod.add_command(ping)
mosaicod.add_command(api_key)
mosaicod.add_command(check)
mosaicod.add_command(rebuild)
mosaicod.add_command(cleanup)
mosaicod.add_command(store_optimizer)


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
