"""A node as a program: how it begins, what it says of errors, and how it ends.

Nothing here needs rclpy before the node begins, so that its absence can be said in a sentence.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from mosaico_ros.nodes.diagnostics import Status
from mosaico_ros.nodes.parameters import ParameterSpec
from mosaico_ros.nodes.stop_signals import StopSignals
from mosaico_ros.protocol.errors import InvalidArgumentError, MosaicoError

#: Exit codes of every node; further ones are a node's own.
DONE, FAILED, WRONG_USE = 0, 1, 2

NO_RCLPY = (
    'a node needs rclpy, which is not installed here: source a ROS 2 installation '
    "(. /opt/ros/<distro>/setup.bash), or install the wheels with `pip install 'mosaico_ros[ros]'`"
)


class Work:
    """What a managed node does; the transitions of its life cycle call the methods.

    A step that raises leaves the node unconfigured: `cleanup` is called, and it can be configured
    again. See `mosaico_ros.nodes.lifecycle` for the threads.

    Parameters
    ----------
    node
        The rclpy node.
    settings
        Checked values of its parameter table; read anew by each configuration.
    stop
        To be watched by whatever waits; ``stop.request(reason)`` ends the node.

    Attributes
    ----------
    period
        Seconds between two ticks.
    exit_code
        Of the process, if nothing was raised.
    """

    period = 0.2
    exit_code = DONE

    def __init__(self, node: Any, settings: Mapping[str, Any], stop: StopSignals) -> None:
        self.node = node
        self.settings = settings
        self.stop = stop

    def configure(self) -> None:
        """Get ready."""

    def activate(self) -> None:
        """Begin; on an error, close what was opened here."""

    def tick(self) -> None:
        """Do what is to be done now and then while active."""

    def deactivate(self) -> None:
        """Pause so that :meth:`activate` can go on, with nothing lost."""

    def cleanup(self) -> None:
        """Let go of everything, whatever step was the last and even if that failed half way."""

    def diagnose(self) -> Iterable[Status]:
        """Say how it goes, in any state; called in the main thread."""
        return ()


def exit_code_of(error: BaseException | None) -> int:
    """Return the exit code of a node that ends by an error."""
    return WRONG_USE if isinstance(error, InvalidArgumentError) else FAILED


def program(
    name: str,
    table: Sequence[ParameterSpec],
    make: Callable[[Any, Mapping[str, Any], StopSignals], Work],
) -> Program:
    """Return the ``main`` of a node.

    Parameters
    ----------
    name
        Name of the node, unless the command line remaps it.
    table
        Its parameters; ends with those of `MANAGED`.
    make
        Makes the work: its class. The errors of the library that the work raises are told on
        standard error.
    """

    def main(
        ros_arguments: Sequence[str] | None = None, overrides: Mapping[str, Any] | None = None
    ) -> int:
        return _run(name, table, make, ros_arguments, overrides)

    return main


class Program(Protocol):
    """Runs a node until SIGINT or SIGTERM and returns the exit code.

    `ros_arguments` is a command line with ``--ros-args``, the process's own by default;
    `overrides` are parameter values by name that win over those of the command line.
    """

    def __call__(
        self,
        ros_arguments: Sequence[str] | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> int: ...


def _run(
    name: str,
    table: Sequence[ParameterSpec],
    make: Callable[[Any, Mapping[str, Any], StopSignals], Work],
    ros_arguments: Sequence[str] | None,
    overrides: Mapping[str, Any] | None,
) -> int:
    with StopSignals() as stop:
        try:
            import rclpy
        except ImportError as error:
            return _told(f'{NO_RCLPY} ({error})', FAILED)
        from rclpy.signals import SignalHandlerOptions

        from mosaico_ros.nodes.lifecycle import ManagedNode, live
        from mosaico_ros.nodes.node_parameters import as_overrides, declare

        try:
            rclpy.init(
                args=None if ros_arguments is None else list(ros_arguments),
                signal_handler_options=SignalHandlerOptions.NO,
            )
        except Exception as error:  # rclpy raises several unrelated classes here
            return _told(f'cannot start the node: {error}', WRONG_USE)
        node = None
        try:
            node = ManagedNode(name, parameter_overrides=as_overrides(overrides or {}))
            settings = declare(node, table)
            return live(node, make(node, settings, stop), table, stop)
        except MosaicoError as error:
            return _told(str(error), exit_code_of(error))
        finally:
            if node is not None:
                node.destroy_node()
            rclpy.try_shutdown()


def _told(problem: str, code: int) -> int:
    print(f'ERROR: {problem}', file=sys.stderr)
    return code
