"""The nodes of the demo, each a process of its own."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mosaico_ros.demo.motion import SPIKE_THRESHOLD
from mosaico_ros.demo.processes import Child, Children

#: The fault that the rover's bumps are, and what a snapshot holds of the time around it, seconds.
FAULT_CODE = 'HARD_BUMP'
PRE_SEC, POST_SEC = 1.0, 0.5
_PYTHON = [sys.executable, '-m']
# What every node has, and what ours say; it is not the robot's.
_NOT_THE_ROBOTS = ('/rosout', '/parameter_events', '/*/transition_event', '/mosaico_*')


class Recording:
    """A recorder, and what it says on its standard output."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.begun = False
        self.process: Child | None = None

    def hear(self, line: str) -> None:
        """Take in one line of JSON."""
        try:
            said = json.loads(line)
        except json.JSONDecodeError:
            return  # a library's print; not ours
        if 'state' in said:
            self.state = said
        elif said.get('event', '').startswith('recording into '):
            self.begun = True

    def close(self) -> None:
        """Have it close the recording.

        Raises
        ------
        ProcessFailed
            It did not end well.
        """
        assert self.process is not None
        if self.process.stop(patience=20.0) != 0:
            raise self.process.failure()
        deadline = time.monotonic() + 5.0
        while self.state.get('state') != 'closed' and time.monotonic() < deadline:
            time.sleep(0.02)  # the reader thread has the last lines in a moment


class Nodes:
    """Starts nodes.

    Parameters
    ----------
    children
        Who owns the processes.
    port
        Of the daemon.
    name
        Of the demonstration; noted with all that it leaves in the archive.
    folder
        For what is no data of the archive.
    """

    def __init__(self, children: Children, port: int, name: str, folder: Path) -> None:
        self.children = children
        self._port = port
        self._name = name
        self._folder = folder

    def daemon(self, data_dir: Path) -> Child:
        """Start the archive's daemon."""
        return self._start('daemon', {'data_dir': str(data_dir), 'port': self._port})

    def record(self, sequence: str, topics: Sequence[str] = ()) -> Recording:
        """Start a recorder and wait until it records."""
        recording = Recording()
        recording.process = self._start(
            'recorder',
            {
                'sequence_name': sequence,
                'topics': list(topics) or [''],
                'exclude_topics': list(_NOT_THE_ROBOTS),
                'port': self._port,
                'report': 'json',
                'report_period_sec': 0.2,
                'commit_period_sec': 2.0,
                'metadata': json.dumps({'demo': self._name, 'robot': 'rover-7'}),
            },
            recording.hear,
        )
        self.children.wait_until(lambda: recording.begun, 30.0, 'the start of the recorder')
        return recording

    def fault_snapshot(self) -> Child:
        """Start what takes a snapshot of every bump."""
        rule = (
            f'/imu: linear_acceleration.y > {SPIKE_THRESHOLD} -> code {FAULT_CODE} severity ERROR'
        )
        return self._start(
            'fault_snapshot',
            {
                'robot_id': 'rover-7',
                'metadata': json.dumps({'demo': self._name}),
                'value_rules': [rule],
                'heal_count': 1,
                'cooldown_sec': 0.0,
                'pre_sec': PRE_SEC,
                'post_sec': POST_SEC,
                'ring_sec': 3.0,
                'segment_sec': 0.2,
                'exclude_topics': list(_NOT_THE_ROBOTS),
                'sequence_name': f'{self._name}_bump_{{snapshot_id}}',
                'snapshot_dir': str(self._folder / 'snapshots'),
                'port': self._port,
            },
        )

    def play(self, sequence: str, start_ns: int, end_ns: int, remaps: Mapping[str, str]) -> Child:
        """Start a player of some topics under other names."""
        parameters = {
            'sequences': [sequence],
            'topics': list(remaps),
            'start_ns': start_ns,
            'end_ns': end_ns,
            'discovery_sec': 20.0,
            'port': self._port,
        }
        return self._start('player', parameters, remaps=remaps)

    def robot(
        self, seconds: float, suppress: str | None, on_line: Callable[[str], None]
    ) -> tuple[Path, Child]:
        """Start the robot, which waits for recorder and fault snapshot; return its ledger, too."""
        path = self._folder / 'ledger.json'
        command = [*_PYTHON, 'mosaico_ros.demo.robot', '--ledger', str(path)]
        command += ['--seconds', str(seconds), '--subscribers', '2']
        if suppress is not None:
            command += ['--suppress', suppress]
        return path, self.children.start('robot', command, on_line=on_line)

    def _start(
        self,
        node: str,
        parameters: Mapping[str, Any],
        on_line: Callable[[str], None] | None = None,
        remaps: Mapping[str, str] | None = None,
    ) -> Child:
        # JSON is YAML, with the quotes that texts need. What the nodes say of themselves on
        # /diagnostics would be among what the robot says there.
        flags = [f'{key}:={json.dumps(value)}' for key, value in parameters.items()]
        arguments = [part for flag in flags for part in ('-p', flag)]
        arguments += ['-p', 'diagnostics_period_sec:=0.0']
        for old, new in (remaps or {}).items():
            arguments += ['-r', f'{old}:={new}']
        return self.children.start(
            node,
            [*_PYTHON, f'mosaico_ros.nodes.{node}', '--ros-args', *arguments],
            on_line=on_line,
            stop_signal=signal.SIGINT,
        )
