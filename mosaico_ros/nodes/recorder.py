"""The recorder node: live topics into the archive, until SIGINT or SIGTERM.

What is captured goes to a spool on the local disk first and leaves it when the archive has it, so
that neither the daemon's absence nor the death of this process costs what was captured before.
``python -m mosaico_ros.nodes.recorder``, ``ros2 run mosaico_ros recorder`` and ``mosaico record``
are the same program.

Configured means that the settings are sound, and what dead recorders have left is being
delivered; a recording lasts from activation to deactivation.

Exit codes: 0 everything received is stored, 1 failed, 2 wrong use, 3 some topics were asked for
and could not be recorded, 4 some messages are still in the spool: the next recorder delivers them.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mosaico_ros.nodes.diagnostics import Level, Status, hardware_id
from mosaico_ros.nodes.recorder_parameters import RECORDER
from mosaico_ros.nodes.running import DONE, FAILED, Work, program
from mosaico_ros.nodes.stop_signals import StopSignals
from mosaico_ros.nodes.user_metadata import user_metadata
from mosaico_ros.protocol.errors import InvalidArgumentError, ResourceExhaustedError
from mosaico_ros.protocol.locators import SequenceLocator
from mosaico_ros.protocol.version import package_version

if TYPE_CHECKING:
    from mosaico_ros.nodes.recording import LiveRecording
    from mosaico_ros.nodes.recovery import Recovery
    from mosaico_ros.nodes.reports import Reporter

PARTIAL, KEPT = 3, 4

_LIVE_PERIOD = 0.25
# How often to look whether there is room for a recording, seconds.
_ROOM_PERIOD = 1.0


def sequence_name(template: str, node_name: str, now: datetime) -> str:
    """Fill the placeholders of the `sequence_name` parameter.

    Raises
    ------
    InvalidArgumentError
        The template holds a placeholder that does not exist, or what no sequence may be called.
    """
    from mosaico_ros.ros_bridge.ingest_plan import sequence_name_for

    values = {
        'date': now.strftime('%Y%m%d'),
        'time': now.strftime('%H%M%S'),
        'host': sequence_name_for(platform.node() or 'localhost'),
        'node': node_name,
    }
    try:
        name = template.format_map(values)
    except (KeyError, ValueError, IndexError) as error:
        raise InvalidArgumentError(
            f'sequence_name {template!r} cannot be filled in: {error}',
            remedy='known placeholders: {date}, {time}, {host}, {node}',
        ) from error
    return str(SequenceLocator(name))


class Recorder(Work):
    """Recordings, one per activation."""

    period = 0.1
    _reporter: Reporter
    _recording: LiveRecording | None = None
    _recovery: Recovery | None = None
    _next_report = _next_attempt = 0.0
    _wait_for_room = _told_full = False
    _services: Sequence[Any] = ()
    _notes: Any = None

    def __init__(self, node: Any, settings: Mapping[str, Any], stop: StopSignals) -> None:
        super().__init__(node, settings, stop)
        # The exit code and the spool of each recording.
        self._ended: list[tuple[int, Path]] = []

    def configure(self) -> None:
        """Check the settings, and begin to deliver what dead recorders have left.

        Raises
        ------
        InvalidArgumentError
            A setting is malformed.
        """
        from diagnostic_msgs.msg import KeyValue

        from mosaico_ros.nodes.control_services import offer
        from mosaico_ros.nodes.heap import bound_heap
        from mosaico_ros.nodes.recorder_controls import controls
        from mosaico_ros.nodes.reports import reporter

        bound_heap()
        settings = self.settings
        sequence_name(settings['sequence_name'], self.node.get_name(), datetime.now())
        user_metadata(settings['metadata'])
        self._reporter = reporter(settings['report'])
        self._recover()
        self._services = offer(self.node, controls(lambda: self._recording, self.stop))
        self._notes = self.node.create_subscription(
            KeyValue, '~/metadata', self._note, 100, raw=True
        )

    def _recover(self) -> None:
        from mosaico_ros.nodes.recording import batches, connector, daemon_address, spool_root
        from mosaico_ros.nodes.recovery import Recovery

        settings = self.settings
        self._recovery = Recovery(
            spool_root(settings),
            daemon_address(settings),
            connector(settings),
            self._reporter.event,
            **batches(settings),
        )
        self._recovery.start()

    def _note(self, payload: bytes, info: Any) -> None:
        recording = self._recording
        if recording is not None:
            recording.mark(payload, info)

    def activate(self) -> None:
        """Begin a recording, or wait until what dead recorders have left makes room for it.

        Raises
        ------
        ResourceExhaustedError
            The disk of the spool is full, and nothing that is being delivered will change that.
        """
        self._wait_for_room = False
        left = any(code == KEPT for code, _ in self._ended)
        if left and (self._recovery is None or not self._recovery.is_alive()):
            self._recover()
        try:
            self._begin()
        except ResourceExhaustedError as error:
            if self._recovery is None or not self._recovery.is_alive():
                raise
            if not self._told_full:
                self._told_full = True
                self._reporter.event(
                    f'{error}. Recording begins when there is room: what earlier recorders have '
                    'left is delivered first',
                    warning=True,
                )
            self._wait_for_room = True
            self._next_attempt = time.monotonic() + _ROOM_PERIOD

    def _begin(self) -> None:
        from mosaico_ros.nodes.recording import LiveRecording

        settings = self.settings
        name = sequence_name(settings['sequence_name'], self.node.get_name(), datetime.now())
        self._recording = recording = LiveRecording(
            self.node, settings, name, self._metadata, self._reporter.event
        )
        try:
            recording.start()
        except BaseException:
            recording.close()
            self._recording = None
            raise
        self._next_report = time.monotonic() + self._report_period

    @property
    def _report_period(self) -> float:
        live = self.settings['report'] == 'live'
        return _LIVE_PERIOD if live else float(self.settings['report_period_sec'])

    def _metadata(self, capture: Mapping[str, Any]) -> dict[str, Any]:
        from rclpy.utilities import get_rmw_implementation_identifier

        settings = self.settings
        software = settings['software_version']
        return {
            'robot_id': hardware_id(settings['robot_id'], self.node.get_namespace()),
            **({'software_version': software} if software else {}),
            'recording': {
                'start_ns': time.time_ns(),
                'host': platform.node(),
                'node': self.node.get_fully_qualified_name(),
                'ros_distro': os.environ.get('ROS_DISTRO', 'unknown'),
                'rmw': get_rmw_implementation_identifier(),
                'software': f'mosaico_ros {package_version()}',
                **capture,
            },
            **user_metadata(settings['metadata']),
        }

    def tick(self) -> None:
        """Look at the graph, at the bounds of the recording, and report."""
        recording = self._recording
        if recording is None:
            if self._wait_for_room and time.monotonic() >= self._next_attempt:
                self.activate()
            return
        reason = recording.tick()
        if reason:
            self.stop.request(reason)
        now = time.monotonic()
        if now >= self._next_report:
            self._reporter.progress(recording.state('recording'))
            self._next_report = now + self._report_period

    def deactivate(self) -> None:
        """End the recording, and say what became of it."""
        recording, self._recording = self._recording, None
        self._wait_for_room = self._told_full = False
        if recording is None:
            return
        if self.stop:
            self._reporter.event(f'closing ({self.stop.received})')
        recording.close()
        self._ended.append((self._report_end(recording), recording.spool_folder))

    def cleanup(self) -> None:
        """Stop delivering what dead recorders have left; the next start goes on with it."""
        for service in self._services:
            self.node.destroy_service(service)
        if self._notes is not None:
            self.node.destroy_subscription(self._notes)
        self._services, self._notes = (), None
        if self._recovery is not None:
            self._recovery.stop()
            self._recovery = None
            self._reporter.close()
        # Of all recordings of the process; what one had to keep may have been delivered since.
        codes = {code for code, spool in self._ended if code != KEPT or spool.exists()}
        self.exit_code = next((each for each in (FAILED, KEPT, PARTIAL) if each in codes), DONE)

    def _report_end(self, recording: LiveRecording) -> int:
        for name in recording.never_seen():
            self._reporter.event(f'{name} was asked for, but nobody published it', warning=True)
        if recording.empty:
            self._reporter.event(
                f'nothing was received: no recording {recording.name} is left behind',
                warning=True,
            )
        if recording.failure is not None:
            self._reporter.final(
                recording.state('failed'), _broken_off(recording, recording.failure)
            )
            return FAILED
        if not recording.complete:
            self._reporter.final(recording.state('kept'), _kept(recording))
            return KEPT
        state = recording.state('closed')
        self._reporter.final(state, '')
        return PARTIAL if any(topic.problem for topic in state.topics) else DONE

    def diagnose(self) -> Iterable[Status]:
        """Say how the recording goes: the whole, the spool, and what was lost by topic."""
        if self._recording is None:
            why = 'the disk is full' if self._wait_for_room else 'not active'
            return [Status('recording', Level.WARN, f'{why}: nothing is recorded')]
        from mosaico_ros.nodes.reports import statuses

        return statuses(self._recording.state('recording'))


def _kept(recording: LiveRecording) -> str:
    waiting = sum(topic.waiting for topic in recording.state('kept').topics)
    trouble = f' ({recording.trouble})' if recording.trouble is not None else ''
    return (
        f'{waiting} messages of {recording.name} are not in the archive yet{trouble}\n'
        f'  they are kept in {recording.spool_folder}\n'
        '  what to do: nothing; the next recorder for this daemon on this machine delivers them'
    )


def _broken_off(recording: LiveRecording, error: BaseException) -> str:
    state = recording.state('failed')
    stored = sum(topic.stored for topic in state.topics)
    waiting = sum(topic.waiting for topic in state.topics)
    dropped = sum(topic.dropped for topic in state.topics)
    return (
        f'the recording {recording.name} broke off: {error}\n'
        f'  of {state.received} messages received {stored} are in the archive, {waiting} are kept '
        f'in {recording.spool_folder} until the next recorder delivers them, '
        f'{dropped} were dropped'
    )


main = program('mosaico_recorder', RECORDER, Recorder)

if __name__ == '__main__':
    sys.exit(main())
