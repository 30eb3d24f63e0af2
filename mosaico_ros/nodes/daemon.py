"""The daemon node: the archive served from inside a ROS process.

It is ``mosaicod run`` with its main settings as ROS parameters, so that launch files can start
and stop the archive with the robot. The rest of the settings come from the environment as ever.

Exit codes: 0 stopped when asked, 1 failed, 2 wrong use.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from mosaico_ros.nodes.daemon_parameters import DAEMON, given_settings
from mosaico_ros.nodes.running import DONE, run_node
from mosaico_ros.nodes.stop_signals import StopSignals

NODE_NAME = 'mosaico_daemon'

# Parameters are served, nothing else: there is no hurry.
_TICK = 0.2


def serve(node: Any, stop: StopSignals) -> int:
    """Serve until told to stop; return the exit code.

    Raises
    ------
    MosaicoError
        The settings are not usable, or the archive or the port cannot be opened.
    """
    from rclpy.executors import SingleThreadedExecutor

    from mosaico_ros.daemon import settings as daemon_settings
    from mosaico_ros.daemon.app import Daemon
    from mosaico_ros.daemon.process import logs
    from mosaico_ros.nodes.node_parameters import declare

    settings = daemon_settings.load(os.environ, given_settings(declare(node, DAEMON)))
    logs.configure(settings.log_level, settings.log_format)
    daemon = Daemon(settings)
    if settings.workers > 1:
        node.get_logger().warning(
            'the setting "workers" has no effect here: a node is one process'
        )
    node.get_logger().info(f'serving on {daemon.url} (data: {settings.location})')
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    try:
        while not stop:
            executor.spin_once(timeout_sec=0)
            stop.wait(_TICK)
    finally:
        daemon.stop()
        executor.shutdown()
    node.get_logger().info(f'stopped ({stop.received})')
    return DONE


def main(ros_arguments: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; return the exit code.

    Parameters
    ----------
    ros_arguments
        Command line with ``--ros-args``; the process's own by default.
    """
    return run_node(NODE_NAME, serve, ros_arguments)


if __name__ == '__main__':
    sys.exit(main())
