"""How a node of this package is a managed node: the work of a node, driven by its life cycle.

What a node does is a :class:`~mosaico_ros.nodes.running.Work`. This module puts it under
rclpy's lifecycle node, whose standard services (``~/change_state`` and its kin, so also ``ros2
lifecycle set``) configure, activate, deactivate, clean up and shut down. With the parameter
``autostart``, which is the default, the node configures and activates itself: neither ``mosaico
record`` nor a launch file needs a lifecycle manager. A node is such a class and one line::

    class Recording(Work):
        def configure(self):   # check the settings, reach the daemon, subscribe parked
        def activate(self):    # begin to write
        def tick(self):        # every `period` seconds while active: look at the graph, report
        def deactivate(self):  # drain, flush, seal; sets `exit_code`
        def cleanup(self):     # let go of all of it

    main = program('mosaico_recorder', RECORDER, Recording)

Threads: services, subscriptions and timers run in the node's service thread, and so do the
transitions that a service asks for. `tick`, the transitions of autostart and those of the end run
in the main thread, which never waits inside rcl and thus notices a signal at once. One lock keeps
transitions and ticks apart, so that a work needs none against itself; what its own callbacks
share with them is its own care. The service thread runs until the work has been cleaned up.
"""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import SetParametersResult
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from mosaico_ros.nodes.diagnostics import DiagnosticsPublisher, Level, Status
from mosaico_ros.nodes.node_parameters import read, refusal
from mosaico_ros.nodes.parameters import ParameterSpec
from mosaico_ros.nodes.running import Work, exit_code_of
from mosaico_ros.nodes.stop_signals import StopSignals
from mosaico_ros.protocol.errors import MosaicoError

# A node that died is in the graph for up to 20 s, and may have been started again meanwhile.
_NAMESAKES_AFTER = 30.0


class ManagedNode(LifecycleNode):
    """A lifecycle node that has a work done; see :func:`live`."""

    def __init__(self, name: str, **arguments: Any) -> None:
        super().__init__(name, **arguments)
        self._lock = threading.Lock()
        self._work: Work | None = None
        self._table: Sequence[ParameterSpec] = ()
        self._stop: StopSignals | None = None
        self._configured = False
        self._active = False
        self._closing = False
        #: What the last transition that failed, failed of.
        self.failure: Exception | None = None
        for service in self.services:
            if service.srv_type is ChangeState:
                service.callback = self._answering(service.callback)

    def take_up(self, work: Work, table: Sequence[ParameterSpec], stop: StopSignals) -> None:
        """Have the transitions drive a work from now on, by the parameters of a table."""
        self._work, self._table, self._stop = work, table, stop
        self.add_on_set_parameters_callback(self._admit)

    def _admit(self, wanted: Sequence[Any]) -> SetParametersResult:
        reason = refusal(self._table, wanted, configured=self._configured)
        return SetParametersResult(successful=not reason, reason=reason)

    def _answering(self, answer: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """Answer also requests that the state does not allow: Jazzy's rclpy raises instead."""

        def change_state(request: Any, response: Any) -> Any:
            try:
                return answer(request, response)
            except RuntimeError as error:
                self.get_logger().error(f'no such transition now: {error}')
                response.success = False
                return response

        return change_state

    # --- transitions ----------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Configure the work."""
        return self._step('configure', state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Activate the work."""
        return self._step('activate', state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Deactivate the work."""
        return self._step('deactivate', state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Clean the work up."""
        return self._step('cleanup', state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the work, and with it the process."""
        with self._lock:
            done = self._release()
            if self._stop is not None:
                self._stop.request('shut down')
        return TransitionCallbackReturn.SUCCESS if done else TransitionCallbackReturn.ERROR

    def on_error(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything after a failed transition: the node can be configured again."""
        with self._lock:
            self._release()
        return TransitionCallbackReturn.SUCCESS

    def _step(self, name: str, state: LifecycleState) -> TransitionCallbackReturn:
        with self._lock:
            if self._closing:
                return TransitionCallbackReturn.FAILURE
            if not self._attempt(name):
                return TransitionCallbackReturn.ERROR
            # Publishers that the work made as lifecycle publishers follow its state.
            return getattr(super(), f'on_{name}')(state)

    def _attempt(self, name: str) -> bool:
        """Have the work take a step; say on the log what goes wrong, as rclpy does not."""
        work = self._work
        assert work is not None
        # What fails half way is not active, but may hold something.
        if name in ('configure', 'cleanup'):
            self._configured = name == 'configure'
        else:
            self._active = False
        try:
            if name == 'configure':
                work.settings = read(self, self._table)
            getattr(work, name)()
        except Exception as error:
            self.failure = error
            text = str(error) if isinstance(error, MosaicoError) else traceback.format_exc()
            self.get_logger().error(f'cannot {name}: {text}')
            return False
        if name == 'activate':
            self._active = True
        return True

    def _release(self) -> bool:
        done = True
        if self._active:
            done = self._attempt('deactivate')
        if self._configured:
            done = self._attempt('cleanup') and done
        return done

    # --- the main thread's part -----------------------------------------------------------------

    def start(self) -> bool:
        """Configure and activate; tell whether both went well."""
        succeeded = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == succeeded and self.trigger_activate() == succeeded

    def tick(self) -> None:
        """Have an active work do what it does now and then."""
        with self._lock:
            if self._active and self._work is not None:
                self._work.tick()

    def diagnose(self) -> Iterable[Status]:
        """Return what the work says of itself; a mistake there does not end the work."""
        with self._lock:
            try:
                return list(self._work.diagnose()) if self._work is not None else ()
            except Exception as error:
                return [Status('diagnostics', Level.ERROR, f'cannot be told: {error!r}')]

    def close(self) -> bool:
        """End the work and refuse further transitions; tell whether it ended well."""
        with self._lock:
            self._closing = True
            return self._release()


def live(
    node: ManagedNode,
    work: Work,
    table: Sequence[ParameterSpec],
    stop: StopSignals,
) -> int:
    """Run a managed node until it is told to stop; return the exit code.

    Parameters
    ----------
    node
        A node without a work.
    work
        What it does.
    table
        Its parameters, those of `MANAGED` among them.
    stop
        Ends it.
    """
    logger = node.get_logger()
    settings = work.settings
    node.take_up(work, table, stop)
    if settings['autostart'] and not node.start():
        return exit_code_of(node.failure)
    diagnostics = DiagnosticsPublisher(node, settings['robot_id'], node.diagnose)
    ended = threading.Event()
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    thread = threading.Thread(
        target=_serve, args=(executor, ended, logger.error), name='services', daemon=True
    )
    thread.start()
    failure: Exception | None = None
    try:
        _work(node, work, stop, diagnostics, settings['diagnostics_period_sec'])
    except Exception as error:
        failure = error
        text = str(error) if isinstance(error, MosaicoError) else traceback.format_exc()
        logger.error(f'broke off: {text}')
    if not node.close():
        failure = failure or node.failure
    ended.set()
    executor.shutdown(timeout_sec=1.0)
    thread.join(1.0)
    with contextlib.suppress(RuntimeError):  # finalized already
        node.trigger_shutdown()
    logger.info(f'stopped ({stop.received or "failed"})')
    return work.exit_code if failure is None else exit_code_of(failure)


def _work(
    node: ManagedNode,
    work: Work,
    stop: StopSignals,
    diagnostics: DiagnosticsPublisher,
    diagnostics_period: float,
) -> None:
    due = time.monotonic() if diagnostics_period else float('inf')
    look_around = time.monotonic() + _NAMESAKES_AFTER
    while not stop:
        node.tick()
        if time.monotonic() >= look_around:
            look_around = float('inf')
            warn_of_namesakes(node)
        if time.monotonic() >= due:
            diagnostics.publish()
            due = time.monotonic() + diagnostics_period
        stop.wait(max(0.0, min(work.period, due - time.monotonic())))


def warn_of_namesakes(node: Any) -> None:
    """Say so if another node in the graph has the name of this one."""
    name = node.get_name(), node.get_namespace()
    if node.get_node_names_and_namespaces().count(name) > 1:
        node.get_logger().warning(
            f'another node is called {node.get_fully_qualified_name()}, too: a service call or a '
            'parameter may reach either of them. Give one another name (-r __node:=NAME) or '
            'namespace (-r __ns:=/NAMESPACE)'
        )


def _serve(
    executor: SingleThreadedExecutor, ended: threading.Event, tell: Callable[[str], Any]
) -> None:
    while not ended.is_set():
        try:
            executor.spin()
        except ExternalShutdownException:
            return
        except Exception:  # no callback is worth the end of the node
            tell(f'a callback failed:\n{traceback.format_exc()}')
