"""Run the demonstration: daemon, recorder and robot as processes, then the proof."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mosaico_ros.demo.ledger import Ledger
from mosaico_ros.demo.processes import Child, Children
from mosaico_ros.demo.proof import prove
from mosaico_ros.demo.screen import Screen
from mosaico_ros.demo.surroundings import child_environment, free_domain, free_port
from mosaico_ros.protocol.errors import MosaicoError

if TYPE_CHECKING:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient

DEFAULT_PORT = 6726
_PYTHON = [sys.executable, '-m']


@dataclass(frozen=True)
class DemoOptions:
    """What a user may choose: where the data goes and how long the robot runs (seconds)."""

    data_dir: Path
    seconds: float = 10.0
    suppress: str | None = None


class RecorderWatch:
    """What the recorder says on its standard output."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.recording = False

    def hear(self, line: str) -> None:
        """Take in one line of JSON."""
        try:
            said = json.loads(line)
        except json.JSONDecodeError:
            return  # a library's print; not ours
        if 'state' in said:
            self.state = said
        elif said.get('event', '').startswith('recording into '):
            self.recording = True


@contextmanager
def _one_interrupt() -> Iterator[None]:
    """Let the first SIGINT or SIGTERM interrupt, and no further one disturb the cleaning up."""
    numbers = (signal.SIGINT, signal.SIGTERM)

    def interrupt(_number: int, _frame: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def run(options: DemoOptions, screen: Screen) -> int:
    """Run the whole demonstration; return 0 only if the proof holds.

    Raises
    ------
    MosaicoError
        A process failed, or the archive could not be read.
    """
    name = f'demo_{datetime.now():%Y%m%d_%H%M%S}'
    log_dir = options.data_dir / 'demo' / name
    try:
        log_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MosaicoError(
            f'cannot write to {options.data_dir}: {error.strerror}',
            remedy='choose another folder with --data-dir',
        ) from error
    domain, port = free_domain(), free_port(DEFAULT_PORT)
    environment = child_environment(os.environ, domain, log_dir)
    screen.begin(options.seconds)
    with _one_interrupt(), Children(environment, log_dir) as children:
        daemon, client = _start_daemon(children, options.data_dir, port, screen)
        with client:
            watch = RecorderWatch()
            recorder = _start_recorder(children, watch, name, port, screen)
            ledger = _run_robot(children, watch, options, log_dir, domain, screen)
            _close(recorder, watch, screen)
            proof = prove(client, watch.state['sequence'], ledger, screen.reading)
        if daemon.stop(patience=10.0) != 0:
            raise daemon.failure()
    screen.result(proof, watch.state, options.data_dir)
    return 0 if proof.ok else 1


def _start_daemon(
    children: Children, data_dir: Path, port: int, screen: Screen
) -> tuple[Child, MosaicoClient]:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient

    command = ['mosaico_ros.cli.mosaicod', 'run', '--data-dir', str(data_dir), '--port', str(port)]
    daemon = children.start('daemon', [*_PYTHON, *command])
    connected: list[MosaicoClient] = []

    def connect() -> bool:
        try:
            connected.append(MosaicoClient.connect('127.0.0.1', port, timeout=0.5))
        except ConnectionError:
            return False
        return True

    children.wait_until(connect, 20.0, 'the start of the daemon')
    taken = '' if port == DEFAULT_PORT else f' (port {DEFAULT_PORT} is taken)'
    screen.done(f'archive daemon on 127.0.0.1:{port}{taken}, data in {data_dir}')
    return daemon, connected[0]


def _start_recorder(
    children: Children, watch: RecorderWatch, name: str, port: int, screen: Screen
) -> Child:
    parameters = {
        'sequence_name': name,
        'port': port,
        'report': 'json',
        'report_period_sec': 0.2,
        'commit_period_sec': 2.0,
        # Every node has these two; they are not the robot's.
        'exclude_topics': '[/rosout, /parameter_events]',
        # Quoted once more: rcl reads a bare object as YAML.
        'metadata': json.dumps(json.dumps({'purpose': 'demo', 'robot': 'rover-7'})),
    }
    flags = [part for key, value in parameters.items() for part in ('-p', f'{key}:={value}')]
    recorder = children.start(
        'recorder',
        [*_PYTHON, 'mosaico_ros.nodes.recorder', '--ros-args', *flags],
        on_line=watch.hear,
        stop_signal=signal.SIGINT,
    )
    children.wait_until(lambda: watch.recording, 30.0, 'the start of the recorder')
    screen.done(f'recorder writing the sequence {name}')
    return recorder


def _run_robot(
    children: Children,
    watch: RecorderWatch,
    options: DemoOptions,
    log_dir: Path,
    domain: int,
    screen: Screen,
) -> Ledger:
    path = log_dir / 'ledger.json'
    command = [*_PYTHON, 'mosaico_ros.demo.robot']
    command += ['--ledger', str(path), '--seconds', str(options.seconds)]
    if options.suppress is not None:
        command += ['--suppress', options.suppress]
    said: list[str] = []
    robot = children.start('robot', command, on_line=said.append)
    children.wait_until(lambda: 'publishing' in said, 40.0, 'the matching of robot and recorder')
    screen.done(
        f'robot publishing on {len(watch.state.get("topics", ()))} topics '
        f'in ROS domain {domain}, visible on this machine only'
    )
    began = time.monotonic()

    def finished() -> bool:
        screen.recording(time.monotonic() - began, watch.state)
        return not robot.running

    children.wait_until(finished, options.seconds + 60.0, 'the end of the robot')
    return Ledger.read(path)


def _close(recorder: Child, watch: RecorderWatch, screen: Screen) -> None:
    if recorder.stop(patience=20.0) != 0:
        raise recorder.failure()
    deadline = time.monotonic() + 5.0
    while watch.state.get('state') != 'closed' and time.monotonic() < deadline:
        time.sleep(0.02)  # the reader thread has the last lines in a moment
    screen.recorded(watch.state)
