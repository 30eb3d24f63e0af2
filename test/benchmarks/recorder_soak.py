"""A recorder under fire: the daemon is killed, the line is cut, for as long as asked.

``python test/benchmarks/recorder_soak.py [--minutes M] [--topics N] [--rate HZ] [--seed S]``

One process publishes IMU messages; the recorder reaches its daemon over a line of this program,
which cuts it, or loses what the daemon answers; the daemon is killed and started again. In the end
every message is in the archive once and in order, or counted, topic by topic, and the recorder's
memory does not grow: less than 1 MB/min after the first quarter.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from mosaico_ros import MosaicoClient

_HERE = Path(__file__).parent
_FAULTS = _HERE.parent / 'client' / 'faults' / 'conftest.py'
_NAME = 'soak'


def start_daemon(folder: Path, port: int) -> tuple[subprocess.Popen[str], int]:
    """Start a daemon and wait until it serves; return it and its port."""
    daemon = subprocess.Popen(
        [
            *(sys.executable, '-m', 'mosaico_ros.cli.mosaicod', 'run'),
            *('--port', str(port), '--data-dir', str(folder / 'archive')),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert daemon.stdout is not None
    line = daemon.stdout.readline()
    return daemon, int(line.split('://')[1].split()[0].rsplit(':', 1)[1])


def resident_mb(pid: int) -> float:
    """Return the memory of a process, MB."""
    status = Path(f'/proc/{pid}/status').read_text()
    return int(status.split('VmRSS:')[1].split()[0]) / 1000


class Fire:
    """What is done to the daemon and to the line."""

    def __init__(self, folder: Path, dice: random.Random) -> None:
        spec = importlib.util.spec_from_file_location('faults', _FAULTS)
        assert spec is not None
        assert spec.loader is not None
        faults = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(faults)
        self._folder, self._dice = folder, dice
        self.daemon, self.port = start_daemon(folder, 0)
        self.line = faults.Line(self.port)
        self.done: dict[str, int] = {'killed': 0, 'cut': 0, 'answers lost': 0}

    def once(self) -> None:
        """Do one of them, and mend it."""
        kind = self._dice.choice(list(self.done))
        self.done[kind] += 1
        if kind == 'killed':
            self.daemon.kill()
            self.daemon.wait()
            time.sleep(self._dice.uniform(0, 5))
            self.daemon, _ = start_daemon(self._folder, self.port)
            return
        if kind == 'answers lost':
            self.line.lose_answers()
            time.sleep(self._dice.uniform(0, 3))
        self.line.cut()
        self.line.revive()


def stored(client: MosaicoClient, topic: str) -> tuple[int, bool]:
    """Return how many rows all parts have of a topic, and whether their times only grow."""
    stamps: list[np.ndarray] = []
    for name in sorted(client.list_sequences()):
        handler = client.topic_handler(name, topic)
        if handler is not None and handler.message_count:
            stamps.append(handler.to_numpy(columns=['timestamp_ns'])['timestamp_ns'])
    whole = np.concatenate(stamps) if stamps else np.empty(0, np.int64)
    return len(whole), bool((np.diff(whole) > 0).all())


def main() -> int:
    """Run the soak; return 0 if every message is accounted for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, default=20.0)
    parser.add_argument('--topics', type=int, default=20)
    parser.add_argument('--rate', type=float, default=500.0, help='messages/s of all topics')
    parser.add_argument('--seed', type=int, default=1)
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)
    seconds = arguments.minutes * 60
    with tempfile.TemporaryDirectory(prefix='mosaico-soak-') as place:
        folder = Path(place)
        fire = Fire(folder, dice)
        parameters = [
            f'port:={fire.line.port}', 'topics:=["/bench/*"]', f'sequence_name:={_NAME}',
            'report:=json', 'report_period_sec:=5.0', f'spool_dir:={folder / "spool"}',
            'min_free_space_mb:=0.0', 'spool_max_mb:=500.0', 'spool_segment_mb:=1.0',
            'rotate_sec:=60.0', 'commit_period_sec:=1.0',
        ]  # fmt: skip
        flags = [part for flag in parameters for part in ('-p', flag)]
        recorder = subprocess.Popen(
            [sys.executable, '-m', 'mosaico_ros.nodes.recorder', '--ros-args', *flags],
            stdout=subprocess.PIPE,
            text=True,
        )
        said: list[dict[str, Any]] = []

        def hear() -> None:
            assert recorder.stdout is not None
            for line in recorder.stdout:
                if line.startswith('{'):
                    said.append(json.loads(line))

        hearing = threading.Thread(target=hear, daemon=True)
        hearing.start()
        robot = subprocess.Popen(
            [
                *(sys.executable, str(_HERE / 'recorder.py'), '--role', 'publish'),
                *('--topics', str(arguments.topics), '--rate', str(arguments.rate)),
                *('--seconds', str(seconds)),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        memory: list[tuple[float, float]] = []
        next_fire = time.monotonic() + 10
        while robot.poll() is None and recorder.poll() is None:
            memory.append((time.monotonic(), resident_mb(recorder.pid)))
            if time.monotonic() >= next_fire:
                fire.once()
                next_fire = time.monotonic() + dice.uniform(3, 15)
            time.sleep(1.0)
        time.sleep(5)
        recorder.send_signal(signal.SIGINT)
        code = recorder.wait(120)
        hearing.join(10)
        last = next(entry for entry in reversed(said) if 'topics' in entry)
        each = int(arguments.rate / arguments.topics * seconds)
        wrong = []
        with MosaicoClient.connect('127.0.0.1', fire.port, 20) as client:
            for topic in last['topics']:
                count, ordered = stored(client, topic['name'])
                counted = (topic['lost'] or 0) + topic['dropped'] + topic['thinned']
                if count + counted != each or count != topic['stored'] or not ordered:
                    wrong.append({'archive': count, 'ordered': ordered, **topic})
            parts = len(client.list_sequences())
        fire.daemon.kill()
        fire.line.close()
    settled = np.array(memory[len(memory) // 4 :])
    slope = float(np.polyfit(settled[:, 0] / 60, settled[:, 1], 1)[0])
    print(
        json.dumps(
            {
                'exit_code': code,
                'published_per_topic': each,
                'topics': len(last['topics']),
                'stored': sum(topic['stored'] for topic in last['topics']),
                'lost': sum(topic['lost'] or 0 for topic in last['topics']),
                'parts': parts,
                'fire': fire.done,
                'memory_mb_per_min': round(slope, 2),
                'memory_mb': round(memory[-1][1]),
                'wrong': wrong,
            },
            indent=1,
        )
    )
    return 1 if wrong or code or len(last['topics']) != arguments.topics else 0


if __name__ == '__main__':
    sys.exit(main())
