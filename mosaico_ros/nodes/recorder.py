"""The recorder node: live topics into the archive, until SIGINT or SIGTERM.

The main thread looks at the graph and serves the node's services, the drain thread takes
messages, and the sink's thread decodes and sends them. ``python -m mosaico_ros.nodes.recorder``,
``ros2 run mosaico_ros recorder`` and ``mosaico record`` are the same program.

Exit codes: 0 everything received is stored, 1 failed, 2 wrong use, 3 some topics were asked for
and could not be recorded.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mosaico_ros.nodes.recorder_parameters import RECORDER
from mosaico_ros.nodes.running import DONE, FAILED, run_node
from mosaico_ros.nodes.stop_signals import StopSignals
from mosaico_ros.protocol.errors import InvalidArgumentError

if TYPE_CHECKING:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient
    from mosaico_ros.nodes.parcel import Parcel
    from mosaico_ros.nodes.reports import RecordingState, Reporter

NODE_NAME = 'mosaico_recorder'
PARTIAL = 3

_MB = 1_000_000
# `ros2 launch` kills 10 s after it asked to stop; the closing has to fit well inside.
_DRAIN_PATIENCE = 1.5
_CLOSE_PATIENCE = 30.0
_TICK = 0.1
_SPIN_PERIOD = 0.3


def sequence_name(template: str, node_name: str, now: datetime) -> str:
    """Fill the placeholders of the `sequence_name` parameter.

    Raises
    ------
    InvalidArgumentError
        The template holds a placeholder that does not exist.
    """
    values = {
        'date': now.strftime('%Y%m%d'),
        'time': now.strftime('%H%M%S'),
        'host': platform.node() or 'localhost',
        'node': node_name,
    }
    try:
        return template.format_map(values)
    except (KeyError, ValueError, IndexError) as error:
        raise InvalidArgumentError(
            f'sequence_name {template!r} cannot be filled in: {error}',
            remedy='known placeholders: {date}, {time}, {host}, {node}',
        ) from error


def user_metadata(text: str) -> dict[str, Any]:
    """Read the `metadata` parameter.

    Raises
    ------
    InvalidArgumentError
        It is not a JSON object.
    """
    if not text:
        return {}
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidArgumentError(f'metadata is not JSON: {error}') from error
    if not isinstance(content, dict):
        raise InvalidArgumentError(f'metadata must be a JSON object, not {text!r}')
    return content


class Recorder:
    """One recording from the first look at the graph to the closed sequence.

    Parameters
    ----------
    node
        The rclpy node to subscribe with.
    settings
        Checked values of the `RECORDER` table.

    Raises
    ------
    InvalidArgumentError
        A setting is malformed.
    """

    def __init__(self, node: Any, settings: Mapping[str, Any], reporter: Reporter) -> None:
        from mosaico_ros.nodes.capture import Capture
        from mosaico_ros.nodes.inbox import FlushPolicy
        from mosaico_ros.nodes.sink import ArchiveSink

        self._node = node
        self._settings = settings
        self._reporter = reporter
        policy = FlushPolicy(
            settings['flush_rows'],
            int(settings['flush_size_mb'] * _MB),
            settings['commit_period_sec'],
        )
        self._capture = Capture(node, settings, policy, self._hand_over, reporter.event)
        self._sink = ArchiveSink(
            self._connect,
            sequence_name(settings['sequence_name'], node.get_name(), datetime.now()),
            self._sequence_metadata(),
            topic_metadata=self._capture.topic_details,
            released=self._capture.release,
            commit_period=settings['commit_period_sec'],
        )
        self._began = time.monotonic()

    def _connect(self) -> MosaicoClient:
        from mosaico_ros.client.comm.mosaico_client import MosaicoClient

        settings = self._settings
        return MosaicoClient.connect(
            settings['host'],
            settings['port'],
            timeout=settings['connect_timeout_sec'],
            enable_tls=settings['enable_tls'],
            tls_cert_path=settings['tls_cert_path'] or None,
            api_key=os.environ.get('MOSAICO_API_KEY'),
        )

    def _sequence_metadata(self) -> dict[str, Any]:
        from rclpy.utilities import get_rmw_implementation_identifier

        return {
            'recording': {
                'start_ns': time.time_ns(),
                'host': platform.node(),
                'node': self._node.get_fully_qualified_name(),
                'ros_distro': os.environ.get('ROS_DISTRO', 'unknown'),
                'rmw': get_rmw_implementation_identifier(),
                'software': f'mosaico_ros {_version()}',
                **self._capture.metadata(),
            },
            **user_metadata(self._settings['metadata']),
        }

    def _hand_over(self, parcel: Parcel) -> None:
        self._sink.put(parcel)

    def state(self, state: str) -> RecordingState:
        """Return where the recording stands."""
        from mosaico_ros.nodes.reports import RecordingState

        return RecordingState(
            sequence=self._sink.sequence_name,
            state=state,
            elapsed=time.monotonic() - self._began,
            pending_bytes=self._capture.pending_bytes,
            topics=self._capture.reports(),
        )

    def run(self, stop: StopSignals) -> int:
        """Record until told to stop; return the exit code."""
        self._sink.start()
        while not self._sink.ready.wait(_TICK):
            if stop:
                # Still connecting: nothing was created that would have to be closed.
                return DONE
        if self._sink.failure is not None:
            return self._fail()
        settings = self._settings
        self._reporter.event(
            f'recording into {self._sink.sequence_name} at {settings["host"]}:{settings["port"]}'
        )
        self._capture.start()
        self._record(stop)
        return self._close(stop)

    def _record(self, stop: StopSignals) -> None:
        from rclpy.executors import SingleThreadedExecutor

        executor = SingleThreadedExecutor(context=self._node.context)
        executor.add_node(self._node)
        settings = self._settings
        live = settings['report'] == 'live'
        report_period = 0.25 if live else settings['report_period_sec']
        self._began = now = time.monotonic()
        next_look, next_report, next_spin = now, now + report_period, now
        end = now + settings['duration_sec'] if settings['duration_sec'] else float('inf')
        while not stop and self._sink.is_alive() and self._capture.failure is None:
            now = time.monotonic()
            if now >= end:
                stop.request(f'{settings["duration_sec"]:g} s are over')
                break
            if now >= next_look:
                self._capture.look()
                next_look = now + self._capture.pause
            if now >= next_report:
                self._reporter.progress(self.state('recording'))
                next_report = now + report_period
            if not self._capture.parked:
                executor.spin_once(timeout_sec=_TICK)
                continue
            if now >= next_spin:
                executor.spin_once(timeout_sec=0)  # parameter services only
                next_spin = now + _SPIN_PERIOD
            stop.wait(max(0.0, min(now + _TICK, next_look, next_report, end) - time.monotonic()))
        if not self._capture.parked:
            deadline = time.monotonic() + _DRAIN_PATIENCE / 3
            while time.monotonic() < deadline:
                executor.spin_once(timeout_sec=0.02)
        executor.remove_node(self._node)
        executor.shutdown()

    def _close(self, stop: StopSignals) -> int:
        if stop:
            self._reporter.event(f'closing ({stop.received})')
        self._capture.finish(_DRAIN_PATIENCE)
        self._sink.finish()
        deadline = time.monotonic() + _CLOSE_PATIENCE
        while self._sink.is_alive() and time.monotonic() < deadline:
            self._sink.join(0.25)
        self._capture.close()
        if self._sink.is_alive():
            self._reporter.final(
                self.state('failed'),
                f'the daemon did not finish closing within {_CLOSE_PATIENCE:g} s; rows shown as '
                'stored are durable, the others may not be. The daemon seals the recording by '
                'itself when its lease runs out',
            )
            return FAILED
        if self._sink.failure is not None or self._capture.failure is not None:
            return self._fail()
        for name in self._capture.never_seen():
            self._reporter.event(f'{name} was asked for, but nobody published it', warning=True)
        if self._sink.empty:
            self._reporter.event(
                f'nothing was received: no recording {self._sink.sequence_name} is left behind',
                warning=True,
            )
        state = self.state('closed')
        self._reporter.final(state, '')
        return PARTIAL if any(topic.problem for topic in state.topics) else DONE

    def _fail(self) -> int:
        state = self.state('failed')
        error = self._sink.failure if self._sink.failure is not None else self._capture.failure
        self._reporter.final(state, self._explain(state, error))
        return FAILED

    def _explain(self, state: RecordingState, error: BaseException | None) -> str:
        where = f'{self._settings["host"]}:{self._settings["port"]}'
        if not state.topics:
            return f'cannot record to the daemon at {where}: {error}'
        received, stored = state.received, sum(topic.stored for topic in state.topics)
        while_doing = (
            f' while writing {self._sink.failed_topic}' if self._sink.failed_topic else ''
        )
        incomplete = [
            f'{topic.name} ({topic.received - topic.stored})'
            for topic in state.topics
            if topic.stored < topic.received
        ]
        return (
            f'the recording {state.sequence} broke off{while_doing}: {error}\n'
            f'  durable: {stored} of {received} messages received, acknowledged by the daemon '
            f'at {where}\n'
            f'  not acknowledged, taken for lost: {", ".join(incomplete) or "none"}\n'
            f'  what to do: start the daemon again (`mosaicod run`); it seals the interrupted '
            f'topics with every durable row, and `mosaico info {state.sequence}` shows them; '
            'then start a new recording'
        )


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version('mosaico_ros')
    except PackageNotFoundError:
        return 'from source'


def record(node: Any, stop: StopSignals) -> int:
    """Record as the node's parameters say until told to stop; return the exit code.

    Raises
    ------
    InvalidArgumentError
        A parameter is malformed.
    """
    from mosaico_ros.nodes.node_parameters import declare
    from mosaico_ros.nodes.reports import reporter

    settings = declare(node, RECORDER)
    shown = reporter(settings['report'])
    try:
        return Recorder(node, settings, shown).run(stop)
    finally:
        shown.close()


def main(
    ros_arguments: Sequence[str] | None = None, overrides: Mapping[str, Any] | None = None
) -> int:
    """Record as the parameters say; return the exit code.

    Parameters
    ----------
    ros_arguments
        Command line with ``--ros-args``; the process's own by default.
    overrides
        Parameter values by name that win over those of the command line.
    """
    return run_node(NODE_NAME, record, ros_arguments, overrides)


if __name__ == '__main__':
    sys.exit(main())
