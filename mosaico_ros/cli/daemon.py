"""``mosaico daemon``: the daemon as a ROS node, from a plain virtual environment."""

from __future__ import annotations

from typing import Any

import click

from mosaico_ros.cli.ros_node import RosCommand, given_parameters


@click.command('daemon', cls=RosCommand)
@click.option('--host', help='Address to listen on.  [default: 127.0.0.1]')
@click.option('--port', type=int, help='Port; 0 lets the system choose.  [default: 6726]')
@click.option('--data-dir', help='Folder of the archive.  [default: ~/.local/share/mosaico]')
@click.option('--log-level', help='error, warning, info or debug.  [default: warning]')
def command(ros_arguments: list[str], **options: Any) -> int:
    """Serve an archive as a ROS 2 node, with parameters, life cycle and diagnostics.

    Without ROS, `mosaicod run` does the same. Further settings come from the environment
    (MOSAICOD_*), or are parameters: --ros-args -p lease_seconds:=60.0
    """
    from mosaico_ros.nodes.daemon import main

    return main(ros_arguments, given_parameters(options))
