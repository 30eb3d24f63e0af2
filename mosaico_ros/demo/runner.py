"""Run the demonstration: daemon, recorder, fault snapshots, robot and player, then the proof."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mosaico_ros.demo import evidence
from mosaico_ros.demo.ledger import Ledger
from mosaico_ros.demo.nodes import Nodes, Recording
from mosaico_ros.demo.processes import Children
from mosaico_ros.demo.proof import prove
from mosaico_ros.demo.screen import Screen
from mosaico_ros.demo.surroundings import child_environment, free_domain, free_port
from mosaico_ros.protocol.errors import MosaicoError

if TYPE_CHECKING:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient

DEFAULT_PORT = 6726
# Played back from the archive: so much around the first bump, seconds.
_AROUND_SEC = 0.5


@dataclass(frozen=True)
class DemoOptions:
    """What a user may choose: where the data goes and how long the robot runs (seconds)."""

    data_dir: Path
    seconds: float = 10.0
    suppress: str | None = None


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
    folder = options.data_dir / 'demo' / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MosaicoError(
            f'cannot write to {options.data_dir}: {error.strerror}',
            remedy='choose another folder with --data-dir',
        ) from error
    domain, port = free_domain(), free_port(DEFAULT_PORT)
    environment = child_environment(os.environ, domain, folder)
    screen.begin(options.seconds)
    with _one_interrupt(), Children(environment, folder) as children:
        nodes = Nodes(children, port, name, folder)
        daemon = nodes.daemon(options.data_dir)
        taken = '' if port == DEFAULT_PORT else f' (port {DEFAULT_PORT} is taken)'
        screen.done(f'daemon node on 127.0.0.1:{port}{taken}, data in {options.data_dir}')
        with _connect(children, port) as client:
            snapshots = nodes.fault_snapshot()
            recording = nodes.record(name)
            screen.done(f'recorder writing {name}, fault snapshot holding the last seconds')
            ledger = _run_robot(nodes, recording, options, domain, screen)
            _close(recorder=recording, screen=screen)
            proof = prove(client, name, ledger, screen.reading)
            screen.done('read back through the SDK and compared with the ledger')
            evidence.wait_for_snapshots(children, client, name, len(ledger.spikes))
            if snapshots.stop(patience=20.0) != 0:
                raise snapshots.failure()
            shown = [
                *evidence.of_snapshots(
                    client, name, [each.found[0] for each in proof.windows if each.found]
                ),
                _replay(nodes, client, name, proof.windows[0].found, screen),
                evidence.of_a_bag(client, port, name, folder),
            ]
            screen.done('exported as a rosbag2 recording, and that ingested again')
            found = evidence.found_everywhere(client, name)
        if daemon.stop(patience=10.0) != 0:
            raise daemon.failure()
    screen.result(proof, shown, found, recording.state, options.data_dir)
    return 0 if proof.ok and all(each.ok for each in shown) else 1


@contextmanager
def _connect(children: Children, port: int) -> Iterator[MosaicoClient]:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient

    connected: list[MosaicoClient] = []

    def connect() -> bool:
        try:
            connected.append(MosaicoClient.connect('127.0.0.1', port, timeout=0.5))
        except ConnectionError:
            return False
        return True

    children.wait_until(connect, 20.0, 'the start of the daemon')
    with connected[0] as client:
        yield client


def _run_robot(
    nodes: Nodes, recording: Recording, options: DemoOptions, domain: int, screen: Screen
) -> Ledger:
    said: list[str] = []
    path, robot = nodes.robot(options.seconds, options.suppress, said.append)
    nodes.children.wait_until(
        lambda: 'publishing' in said, 40.0, 'the matching of robot and recorder'
    )
    screen.done(
        f'robot publishing on {len(recording.state.get("topics", ()))} topics '
        f'in ROS domain {domain}, visible on this machine only'
    )
    began = time.monotonic()

    def finished() -> bool:
        screen.recording(time.monotonic() - began, recording.state)
        return not robot.running

    nodes.children.wait_until(finished, options.seconds + 60.0, 'the end of the robot')
    return Ledger.read(path)


def _close(recorder: Recording, screen: Screen) -> None:
    recorder.close()
    screen.recorded(recorder.state)


def _replay(
    nodes: Nodes,
    client: MosaicoClient,
    name: str,
    window: tuple[int, int] | None,
    screen: Screen,
) -> evidence.Copy:
    """Play what is around a window back onto live topics, and record that, too."""
    around = round(_AROUND_SEC * 1e9)
    start, end = (window[0] - around, window[1] + around) if window else (0, 0)
    recording = nodes.record(f'{name}_replay', ['/replay/*'])
    player = nodes.play(name, start, end, {'/imu': '/replay/imu', '/odom': '/replay/odom'})
    nodes.children.wait_until(lambda: not player.running, 60.0, 'the end of the playback')
    recording.close()
    screen.done('player: the first bump on live topics again, under /replay')
    return evidence.of_a_replay(client, name, f'{name}_replay', (start, end))
