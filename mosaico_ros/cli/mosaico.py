"""The ``mosaico`` command: a group whose verbs are loaded only when they are used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

from mosaico_ros.protocol.errors import MosaicoError

# Verb -> what `mosaico --help` says of it. Each verb is the `command` of the module of its name,
# and stays unimported until it is called: `mosaico ls` must not pay for rclpy or rosbags.
VERBS = {
    'demo': 'Record a synthetic robot live, then query what was stored: the main job in one go.',
    'record': 'Record live ROS 2 topics until Ctrl-C.',
    'snapshot': 'Keep the seconds around each fault of a robot, until Ctrl-C.',
    'play': 'Publish what was recorded on ROS 2 topics again.',
    'daemon': 'Serve an archive as a ROS 2 node; without ROS: `mosaicod run`.',
    'ingest': 'Load ROS bags (.mcap, .db3, .bag) into the archive.',
    'verify': 'Say whether an ingested bag can be had back, so that the file may be deleted.',
    'export': 'Write a sequence as a rosbag2 recording, a ROS 1 bag, Parquet or CSV.',
    'ls': 'List the sequences of an archive.',
    'info': 'Describe one sequence and its topics.',
    'cat': 'Print the messages of a topic as JSON lines.',
    'query': "Find the data where a condition holds: 'IMU.acceleration.y > 8'.",
    'examples': 'Run one of the example programs, or list them.',
}


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command = importlib.import_module(f'.{name}', __package__).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section('Commands'):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=_Verbs, context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(package_name='mosaico_ros', prog_name='mosaico')
def mosaico() -> None:
    """Robot data as a database."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the ``mosaico`` command and return its exit code.

    0 done, 1 failed, 2 wrong use, 3 partly done, 130 interrupted.
    """
    try:
        result: Any = mosaico.main(args, prog_name='mosaico', standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo('interrupted', err=True)
        return 130
    except MosaicoError as error:
        click.echo(f'mosaico: {error}', err=True)
        return 1
    except BrokenPipeError:
        # `mosaico cat ... | head`: the reader has enough; keep the interpreter's exit silent too.
        sys.stdout = None
        return 0
    except OSError as error:  # of the files that the user named
        where = '' if error.filename is None else f'{error.filename}: '
        click.echo(f'mosaico: {where}{error.strerror or error}', err=True)
        return 1
    return result if isinstance(result, int) else 0


if __name__ == '__main__':
    sys.exit(main())
