"""``mosaico demo``: the main job in one command."""

from __future__ import annotations

from pathlib import Path

import click


@click.command('demo')
@click.option(
    '--data-dir',
    type=click.Path(file_okay=False, path_type=Path),
    default=Path('mosaico-data'),
    show_default=True,
    help='Folder for the archive; kept afterwards.',
)
@click.option(
    '--seconds',
    type=click.FloatRange(min=3, max=600),
    default=10.0,
    show_default=True,
    help='How long the robot runs.',
)
@click.option('--suppress', metavar='TOPIC', hidden=True, help='Withhold one message of a topic.')
@click.option('--json', 'as_json', is_flag=True, help='Print one JSON object at the end.')
@click.pass_context
def command(
    ctx: click.Context, data_dir: Path, seconds: float, suppress: str | None, as_json: bool
) -> None:
    """Record a synthetic robot live and prove that nothing was lost.

    Starts a daemon, a recorder, fault snapshots and a robot on real ROS 2 topics, each in its own
    process; then plays a part of the recording back, and takes all of it out as a bag and in
    again. Exit code 0 means that every message, every value and both of the robot's acceleration
    spikes were found in the archive, and that all copies are equal.
    """
    import importlib.util

    from mosaico_ros.demo.runner import DemoOptions, run
    from mosaico_ros.demo.screen import JsonScreen, TextScreen
    from mosaico_ros.nodes.running import NO_RCLPY

    if importlib.util.find_spec('rclpy') is None:
        raise click.ClickException(NO_RCLPY)
    try:
        screen = JsonScreen() if as_json else TextScreen()
        ctx.exit(run(DemoOptions(data_dir, seconds, suppress), screen))
    except KeyboardInterrupt:
        click.echo('\ninterrupted; all nodes are stopped', err=True)
        ctx.exit(130)
