"""``mosaicod store-optimizer``: rewrite small chunks into large ones, once or again and again."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from mosaico_ros.cli.settings_options import with_settings
from mosaico_ros.protocol.errors import InvalidArgumentError

if TYPE_CHECKING:
    from mosaico_ros.daemon.routines.optimizer import Optimized
    from mosaico_ros.daemon.settings import Settings


@click.command('store-optimizer')
@click.option(
    '--time-interval',
    metavar='DURATION',
    help='Go on, this often: seconds, or 90s, 15m, 1h.  [default: run once]',
)
@click.option(
    '--max-chunk-size',
    type=click.IntRange(min=1),
    metavar='BYTES',
    help='Size in memory of the chunks to write.  [default: as uploads do]',
)
@click.option('--json', 'as_json', is_flag=True, help='One JSON object per run.')
@with_settings
def store_optimizer(
    settings: Settings, time_interval: str | None, max_chunk_size: int | None, as_json: bool
) -> int:
    """Rewrite the many small chunks of topics into few large ones.

    The first run looks at every topic whose upload has ended, the next ones at new topics.
    Daemons, uploads and readers go on meanwhile; chunks that were replaced are kept ten more
    minutes for their readers, then a daemon or the next run removes them.
    """
    from mosaico_ros.daemon.catalog.runs import take_turn
    from mosaico_ros.daemon.process.serving import stop_on_signals
    from mosaico_ros.daemon.routines.by_hand import opened
    from mosaico_ros.daemon.routines.optimizer import OPTIMIZER, Optimizer

    pause = None if time_interval is None else _seconds(time_interval)
    stop = stop_on_signals()
    size = max_chunk_size or settings.optimizer_max_chunk_size or settings.chunk_bytes
    with opened(settings) as archive:
        optimizer = Optimizer(archive.database, archive.store, archive.instance_id, size, stop)
        again = True
        while not stop.is_set():
            done = take_turn(
                archive.database,
                OPTIMIZER,
                archive.instance_id,
                lambda: optimizer.run(again=again),  # noqa: B023 - called at once
            )
            _show(done, as_json)
            again = again and done is None
            if pause is None:
                return 1 if done is None else 0
            stop.wait(pause)
    return 0


def _seconds(text: str) -> float:
    from mosaico_ros.daemon.settings import load

    try:
        return load({}, {'optimizer_time_interval': text}).optimizer_time_interval
    except InvalidArgumentError as error:
        raise click.UsageError(str(error)) from error


def _show(done: Optimized | None, as_json: bool) -> None:
    if done is None:
        click.echo('Another daemon is optimizing this archive.', err=True)
    elif as_json:
        click.echo(json.dumps(asdict(done)))
    else:
        click.echo(f'{done}.')
